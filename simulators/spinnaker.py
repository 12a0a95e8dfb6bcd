"""The SpiNNaker 2 simulator: runs a SpinnakerProgram PE by PE and packet by packet, in steps and in seconds.

Dynamics are those of the single-precision reference (hwsdk.ir.single, hwsdk.ir.plastic.StoredPairSTDP, hwsdk.ir.
recurrent in float32) as long as all PEs are in time. A tick of a PE: it reads the packets that have arrived, adds their
words to the accumulators of the steps to come, updates its neurons, and sends a packet for every spike. How long that
takes follows from counted events and the program's cycles, which are calibrated, not measured.

Packets of one read are processed by sending PE and slice, then tick and atom; where the FIFO overflows, those that
arrive first are kept. With a barrier PEs read while they wait for each other, and no FIFO overflows. exp and tanh of an
EGRU are rounded to float32 once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hwsdk.errors import DataError, OverflowInStrictMode, ProgramError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.simulators import kernels_spinnaker_parts as parts
from hwsdk.simulators.kernels_spinnaker import read_last, run_windows
from hwsdk.simulators.samples import Progress, run_all
from hwsdk.simulators.spinnaker_check import sender_of
from hwsdk.simulators.spinnaker_machine import Machine
from hwsdk.simulators.spinnaker_machine import build as build
from hwsdk.simulators.spinnaker_state import Columns, feed, longer, start, tally_of
from hwsdk.simulators.spinnaker_trace import Record, Sorted, columns, trace, wanted

BLOCK = 1024
MIN_BUFFER = 1 << 18
FIRST_WINDOWS, MOST_WINDOWS = 4, 1 << 14
"""Windows whose packets are kept, at first and at most: how far a PE may be behind."""
CODES = {parts.LATE_TICK: "LATE_TICK", parts.LATE_PACKET: "LATE_PACKET", parts.DROPPED_PACKET: "DROPPED_PACKET"}


def run(program: SpinnakerProgram, stimulus: Stimulus, *, steps: int | None = None,
        probes: Iterable[tuple[str, str]] | str = (), strict: bool = False,
        progress: Callable[[int, int], None] | None = None, threads: int = 1) -> Trace:
    """Run a program on every sample of a stimulus, each from the initial state.

    A step is that of the PE's own clock for spikes and states, that of the chip's timer for counts; they are the same
    until a PE has lost a tick.

    Args:
        steps: default the stimulus, plus the largest lag of a population.
        probes: (population, state) pairs, states as hwsdk.programs.spinnaker.STATES names them, and (projection,
            "weight") pairs of what learns, or "all"; float32 (samples, steps, n): states after the step's reset, whole
            weights, in the order of the network's synapses, after all spikes of the step have changed them, which a PE
            does in the tick after; 0 in steps that a PE has not come to.
        strict: the first late tick, late packet or dropped packet is an error.
        progress: called with (steps done, steps of all samples).
        threads: samples that run beside each other.

    Returns:
        Trace with counts, int64 (samples, steps): spikes of populations; packets_sent; packets, their copies for PEs;
        hops of those between PEs and router, those from the sender once; chip_crossings, links that they pass;
        static_events, conv_events, plastic_events, csr_events, weights added (zeros too); neuron_updates; late_ticks,
        ticks that end after the next interrupt; lost_ticks, interrupts that come while another one waits;
        late_packets, processed after the tick that they were meant for; dropped_packets, which found the FIFO full;
        forgotten_posts, post spikes that made room in a full history though the next pre spike of some row would have
        used them; source_refills and record_flushes, buffers that the host fills or empties because the PE's memory
        does not hold the whole run (0 if the program does not know the memory). float64 (samples, steps): cycles_low
        and cycles_high, of all PEs at each level; busy_seconds of the busiest PE, over the step's phase ticks;
        step_seconds; pe_seconds_low and pe_seconds_high, of all PEs' supplies. (samples, pes): pe_cycles float64, and
        int64 pe_packets (processed), pe_events, pe_late_ticks, pe_dropped, pe_fifo_peak.

    Raises:
        DataError: the stimulus does not suit the program. OverflowInStrictMode: only with ``strict``; LATE_TICK,
            LATE_PACKET or DROPPED_PACKET. ProgramError: the program does not hold together.
    """
    return run_machine(build(program), stimulus, steps=steps, probes=probes, strict=strict, progress=progress,
                       threads=threads)


def run_machine(machine: Machine, stimulus: Stimulus, *, steps: int | None = None,
                probes: Iterable[tuple[str, str]] | str = (), strict: bool = False,
                progress: Callable[[int, int], None] | None = None, threads: int = 1) -> Trace:
    """``run`` for a program that was built before."""
    program, samples = machine.program, stimulus.n_samples
    if threads < 1:
        raise DataError(f"{threads} threads", code="BAD_THREADS", fix="give 1 or more")
    stimulus.require(program.input_shapes, whole=not machine.graded, graded=machine.graded, chip=program.target)
    total = stimulus.n_steps + max((s.lag for s in program.populations), default=0) if steps is None else steps
    probed, said = wanted(program, probes), Progress(progress, samples * total)
    recorded = columns(machine, probed)
    runs = [_Sample(machine, stimulus.one(k), total, recorded, strict, k) for k in range(samples)]
    return trace(machine, run_all(runs, said, min(threads, samples)), total, probed, recorded.where)


@dataclass(slots=True)
class _Sample:
    """One sample."""

    machine: Machine
    stimulus: Stimulus
    steps: int
    columns: Columns
    strict: bool
    sample: int

    def go(self, progress: Progress) -> Sorted:
        """Run all windows, in blocks."""
        m, phases = self.machine, self.machine.program.phases
        buffer = max(MIN_BUFFER, 2 * len(m.u))
        run = start(m, feed(m, self.stimulus, self.steps), self.steps, self.columns, FIRST_WINDOWS, buffer)
        record, k, end = Record(run), 0, self.steps * phases
        while k < end:
            last = min(k + BLOCK * phases, end)
            done, written, why = run_windows(parts.Block(k, last, 0, self.strict), m.wiring, run)
            record.add(run, written)
            if why == parts.STOPPED:
                raise self._trouble(run)
            if why == parts.MORE:
                run = self._longer(run, done)
            progress.add(done // phases - k // phases)
            k = done
        if len(self.columns.synapse):
            read_last(end, m.wiring, run._replace(tally=tally_of(m, 1)))
        return record.closed(m, self.steps)

    def _longer(self, run: parts.Run, window: int) -> parts.Run:
        """With room for packets of more windows."""
        if len(run.mail.n) >= MOST_WINDOWS:
            raise ProgramError(f"a PE is {MOST_WINDOWS:,} ticks behind", where=f"sample {self.sample}",
                               code="LATE_TICK", fix=f"give it more time: {REMEDIES[parts.LATE_TICK]}")
        return longer(self.machine, run, window)

    def _trouble(self, run: parts.Run) -> OverflowInStrictMode:
        """The error for what ended a strict run."""
        why, pe, sender, step = run.tally.stop.tolist()
        need, limit = run.tally.need.tolist()
        if why == parts.DROPPED_PACKET:
            what = f"{need:,.0f} packets wait for a tick of step {step}, the FIFO holds {limit:,.0f}"
        else:
            late = why == parts.LATE_TICK
            what = f"a tick of step {step} ends" if late else \
                f"packets read in a tick of step {step}, one too late, came from {self._name(sender)}"
            what += f" {need * 1e6:,.1f} us after its interrupt, a tick has {limit * 1e6:,.1f} us"
        return OverflowInStrictMode(what, where=f"sample {self.sample}, {self._name(pe)}", code=CODES[why],
                                    fix=REMEDIES[why])

    def _name(self, pe: int) -> str:
        """A PE, and what it runs."""
        p = self.machine.program
        own = "+".join(s.name for s in sender_of(p, pe))
        return f"PE {pe} (chip {p.arrays.pe_chip[pe]}, core {p.arrays.pe_core[pe]}, {p.application(pe)} of {own})"


REMEDIES = {
    parts.LATE_TICK: "a longer step time, fewer neurons a PE, or the high performance level",
    parts.LATE_PACKET: "a longer step time, fewer neurons a PE, or the high performance level",
    parts.DROPPED_PACKET: "fewer senders for each PE, or less activity",
}
