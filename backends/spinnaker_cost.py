"""What a SpiNNaker program's run costs: a chip without its PEs, the supply of its PEs, and their active cycles.

E = chips x P_off x t + sum over PEs of P_sleep(level) x t + cycles x e_cycle(level) + MACs x e_MAC(level)

The constants follow from five published powers of a whole chip; see hwsdk.targets.spinnaker. Packets, hops and DRAM
have no published energy, so that every sum says "at least".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hwsdk.cost import Amount, CostReport, Item, Latency, Run, proxy_target, report, require_counts
from hwsdk.errors import DataError, TargetError
from hwsdk.ir.trace import Trace
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.targets.spinnaker import SpinnakerTarget

Range = tuple[float, float]
NEEDED = ("packets", "packets_sent", "hops", "chip_crossings", "spikes", "static_events", "conv_events",
          "plastic_events", "csr_events", "cycles_low", "cycles_high", "busy_seconds", "step_seconds",
          "pe_seconds_low", "pe_seconds_high")
"""Counts (samples, steps) that a priced trace has to hold."""
OVERRUNS = {"late_ticks": "ticks late", "lost_ticks": "ticks lost", "late_packets": "packets late",
            "dropped_packets": "packets dropped"}
UNUSED = ("sleeping", "off")
MIX = "what an instruction mix other than CoreMark's does to the energy of a cycle"
MODEL = "errors of the cycle model beyond what its calibration leaves open"
WORK, TICK, REST = "work of the busiest PE", "timer tick", "barrier"
EXACT = (1.0, 1.0)


def estimate(program: SpinnakerProgram, trace: Trace, target: SpinnakerTarget, *, boundary: str = "chip",
             proxy: str | None = None, unused: str = "sleeping", open_: Range | None = None) -> CostReport:
    """Energy and latency of a simulated run.

    Args:
        open_: factors for the least and the most that the active cycles may be; default: ``cycle_range``.
        unused: what PEs do that hold nothing: "sleeping", as in the published idle powers, or "off".

    Raises:
        TargetError: a proxy that this target does not document, or a boundary that it cannot price.
        DataError: the trace holds no counted events, or is not one of this program.
    """
    if unused not in UNUSED:
        raise TargetError(f"unused PEs {unused!r}", code="BAD_UNUSED", fix=f"use one of {', '.join(UNUSED)}")
    require_counts(trace)
    require_own(program, trace)
    stand_in = proxy_target(target, proxy)
    open_ = cycle_range(program, trace, target) if open_ is None else open_
    time = latency(program, trace, open_)
    counts = {k: float(v.sum()) for k, v in trace.counts.items()}
    static = _supplies(program, trace, target, time, unused, open_)
    late = [f"{int(counts[k]):,} {text}" for k, text in OVERRUNS.items() if counts.get(k)]
    notes = (MIX, MODEL, *((f"a run on time: this one has {', '.join(late)}",) if late else ()))
    run = Run(trace.n_samples, trace.n_steps, counts, time, program.chips, program.n_pes,
              sum(s.n for s in program.inputs) * trace.n_steps, notes, static,
              {"cycles_low": open_, "cycles_high": open_})
    return report(target, run, boundary=boundary, proxy=stand_in)


def require_own(program: SpinnakerProgram, trace: Trace) -> None:
    """Raise DataError unless the trace can be one of this program: the same populations and PEs, and all counts."""
    wrong = ""
    if lacking := [n for n in NEEDED if n not in trace.counts]:
        wrong = f"it does not count {', '.join(lacking)}"
    for s in program.populations:
        if s.name not in trace.spikes or trace.spikes[s.name].n != s.n:
            wrong = f"it has no population {s.name} of {s.n} neurons"
    pes = trace.counts["pe_cycles"].shape[-1] if "pe_cycles" in trace.counts else program.n_pes
    if pes != program.n_pes:
        wrong = f"it ran on {pes} PEs, the program has {program.n_pes}"
    if wrong:
        raise DataError(f"the trace is not one of this program: {wrong}", where=program.name, code="WRONG_TRACE",
                        fix="simulate this program, or estimate the one that the trace belongs to")


def latency(program: SpinnakerProgram, trace: Trace, cycles: Range = EXACT) -> Latency:
    """The sum of the steps' lengths.

    A timer sets them whatever the PEs do, so that there is no range. With a barrier the busiest PE does: low and high
    are its time at the ``cycles`` (factors) that the calibration leaves open, taken alike for all PEs.
    """
    steps, busy = (trace.counts[n].astype(np.float64) for n in ("step_seconds", "busy_seconds"))
    open_ = cycles if program.sync == "barrier" else EXACT
    low, high = (float(np.maximum(steps + busy * (f - 1), 0.0).sum(-1).mean()) for f in open_)
    if program.sync == "barrier":
        work, other = busy >= steps - busy, REST
    else:
        late = trace.counts["late_ticks"] > 0 if "late_ticks" in trace.counts else np.zeros(steps.shape, bool)
        work, other = late | (busy > steps), TICK
    share = float(work.mean())
    per_sample = steps.sum(-1)
    return Latency(Amount(float(per_sample.mean()), low, high, "s"), per_sample, {WORK: share, other: 1 - share})


def calibrations(target: SpinnakerTarget) -> list[tuple[float, float, float]]:
    """(cycles a packet, an event, a neuron) at the corners of what the published throughput of a PE allows.

    clock / ticks = tick + packet x packets + event x packets x events a packet + neuron x neurons
    """
    c, k = target.cycle_costs(), {n: f.value or 0.0 for n, f in target.figures().items()}
    at = {n.removeprefix("calibration, "): v for n, v in k.items() if n.startswith("calibration, ")}
    whole = target.clock_hz("high") / at["ticks"] - c["tick"]
    return [(packet, (whole - packet * at["packets"] - neuron * at["neurons"]) / (at["packets"] * at["events"]), neuron)
            for packet in (at["packet_low"], c["packet"]) for neuron in (at["neuron_low"], at["neuron_high"])]


def cycle_range(program: SpinnakerProgram, trace: Trace, target: SpinnakerTarget) -> Range:
    """Factors for the least and the most that the run's active cycles may be, as far as the calibration leaves it open.

    At each corner of ``calibrations`` all neuron updates change as the calibrated one, and all synaptic events as a
    static one, but for those in floats (csr_events), which are fitted to another measurement. 1 lies inside.
    """
    c, n = target.cycle_costs(), {k: float(v.sum()) for k, v in trace.counts.items()}
    whole = n["cycles_low"] + n["cycles_high"]
    if whole <= 0:
        return EXACT
    events = sum(c[f"event_{k}"] * n[f"{k}_events"] for k in ("static", "conv", "plastic"))
    ticks = program.n_pes * program.phases * trace.n_steps * trace.n_samples
    rest = (c["tick"] * ticks + c["packet"] * n["packets"] + c["event_csr"] * n["csr_events"]
            + c["spike_out"] * n["spikes"])
    neurons = max(whole - events - rest, 0.0)
    more = [(packet - c["packet"]) * n["packets"] + (event / c["event_static"] - 1) * events
            + (neuron / c["neuron_curr"] - 1) * neurons for packet, event, neuron in calibrations(target)]
    return 1 + min(0.0, *more) / whole, 1 + max(0.0, *more) / whole


def _supplies(program: SpinnakerProgram, trace: Trace, target: SpinnakerTarget, time: Latency, unused: str,
              cycles: Range) -> tuple[Item, ...]:
    """Seconds (mean of a sample) at each power that is drawn asleep or not.

    The time at the high level is that of work where the level follows the load, so that it is as open as the cycles.
    """
    seconds = time.amount.value or 0.0
    ends = (time.amount.low or 0.0, time.amount.high or 0.0)
    open_ = (ends[0] / seconds, ends[1] / seconds) if seconds else EXACT
    at = {level: float(trace.counts[f"pe_seconds_{level}"].sum()) / trace.n_samples for level in target.levels}
    chip = next(p for p in target.power if p.boundary == "included")
    idle = target.need("pes") * program.chips - program.n_pes
    asleep = target.supply("high" if program.level == "high" else "low")
    return (
        Item(chip.name, "chip-seconds", program.chips * seconds, chip.quantity(), open_),
        *(Item(f"{target.supply(level).name}, in use", "PE-seconds", at[level], target.supply(level).quantity(),
               cycles if level == "high" and program.level == "auto" else open_) for level in at),
        Item(f"{asleep.name}, not in use", "PE-seconds", idle * seconds * (unused == "sleeping"), asleep.quantity(),
             open_))


def chip_power(target: SpinnakerTarget, level: str, *, busy: float = 0.0, macs: float = 0.0) -> float:
    """W of one chip whose PEs all do the same; with the published loads this gives the published powers back.

    level: "off", "low", "high", or "auto": at the high level while at work, asleep at the low one. busy: share of the
    time in which a PE's processor runs. macs: multiply-accumulates/s of the whole chip.
    """
    if level == "off":
        return target.off_w
    pes, work = target.need("pes"), "low" if level == "low" else "high"
    sleep: Mapping[str, float] = {n: target.sleep_w(n) for n in target.levels}
    supply = busy * sleep["high"] + (1 - busy) * sleep["low"] if level == "auto" else sleep[level]
    return target.off_w + pes * (supply + busy * target.running_w(work)) + macs * target.mac_j(work)
