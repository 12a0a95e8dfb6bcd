"""The SpiNNaker 2 simulator on small programs made by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from spinnaker_programs import CYCLES, MACHINE, Hand, Pe, block, key_of, lif_records, word

from hwsdk.errors import DataError, OverflowInStrictMode, ProgramError
from hwsdk.ir.data import Stimulus
from hwsdk.programs.spinnaker import Sender, SpinnakerProgram
from hwsdk.programs.spinnaker_decode import header
from hwsdk.programs.spinnaker_image import Learner, PeMemory, PeSlice, encode
from hwsdk.simulators import spinnaker

N = 3
SILENT = {"v_threshold": 1e9}
LEARNER = Learner(1.0, 1.0, 0.0, 9.0, np.ones(2, np.float32), np.ones(2, np.float32))


def chain(*, delay: int = 1, weight: int = 10, cell: dict | None = None, block_of: dict | None = None,
          sender: dict | None = None, memory: dict | None = None, entries: int = 1, kind: str = "wide",
          **more) -> SpinnakerProgram:
    """in[3] one to one onto p[3]; p reaches nobody. more: fields of the program."""
    words = {"rows": np.arange(N + 1), "words": word("wide", np.arange(N), [weight] * N, [delay - 1] * N)}
    source = PeMemory("spike_list", "source", (PeSlice(key_of(0), N),))
    own = PeMemory("lif", "lif", (PeSlice(key_of(1), N, sends=False, records=True),),
                   (block(0, kind, **words | (block_of or {})),) * entries, slots=8,
                   neurons=lif_records(N, **{"decay_v": 1, "v_threshold": 5} | (cell or {})))
    own = dataclasses.replace(own, **memory or {})
    population = Sender("p", (N,), **{"model": "lif"} | (sender or {}))
    hand = Hand((Sender("in", (N,)),), (population,), [Pe(((0, np.arange(N)),), source, 0, 1),
                                                       Pe(((1, np.arange(N)),), own, 0, 2)],
                {0: {1}}, {"out": ("p",), "both": ("p", "p")})
    return hand.program(**more)


def stimulus(steps: int = 6, at: tuple[tuple[int, int], ...] = ((0, 0), (2, 1)), value: float = 1) -> Stimulus:
    """Events (step, element)."""
    x = np.zeros((steps, N))
    for t, i in at:
        x[t, i] = value
    return Stimulus.dense(x, {"in": (N,)})


def everybody(steps: int = 4) -> Stimulus:
    return stimulus(steps, tuple((t, i) for t in range(steps) for i in range(N)))


@pytest.mark.parametrize("delay", [1, 2, 7, 8])
def test_a_delay_is_a_number_of_steps(delay: int) -> None:
    trace = spinnaker.run(chain(delay=delay), stimulus(20), probes=[("p", "u")])
    assert trace.spikes["p"].step.tolist() == [delay, 2 + delay]
    assert trace.spikes["p"].index.tolist() == [0, 1]
    assert trace.states["p", "u"].dtype == np.float32
    assert np.argwhere(trace.states["p", "u"][0] == 10).tolist() == [[delay, 0], [2 + delay, 1]]


def test_outputs_lag_and_length() -> None:
    trace = spinnaker.run(chain(sender={"lag": 2}), stimulus())
    assert (trace.n_steps, trace.lag) == (8, {"p": 2, "out": 2})
    assert trace.spikes["out"] is trace.spikes["p"] and set(trace.spikes) == {"p", "out"}
    assert spinnaker.run(chain(), stimulus(), steps=2).n_steps == 2


def test_a_population_that_never_fires_is_read_out() -> None:
    trace = spinnaker.run(chain(sender={"fires": False}, cell={"fires": 0}), stimulus())
    assert trace.spikes["p"].dense(0)[:, 0].tolist() == [0, 10, 10, 10, 10, 10]
    assert list(trace.states) == [("p", "v")]


def test_counts_of_one_step() -> None:
    program = chain(level="low")
    c = spinnaker.run(program, everybody(3)).counts
    hops = int(program.arrays.pe_hops[0]) + int(program.arrays.pe_hops[1])
    expected = {"spikes": [0, 3, 3], "packets_sent": [3, 3, 3], "packets": [3, 3, 3], "hops": [3 * hops] * 3,
                "static_events": [0, 3, 3], "conv_events": [0] * 3, "chip_crossings": [0] * 3,
                "neuron_updates": [3] * 3, "late_ticks": [0] * 3}
    assert {k: c[k][0].tolist() for k in expected} == expected
    source = CYCLES["tick"] + 3 * CYCLES["spike_out"]
    quiet = CYCLES["tick"] + 3 * CYCLES["neuron_lif"]
    busy = quiet + 3 * (CYCLES["packet"] + CYCLES["event_static"] + CYCLES["recorded"])
    assert c["cycles_low"][0].tolist() == [source + quiet, source + busy, source + busy]
    assert not c["cycles_high"].any() and not c["pe_seconds_high"].any()
    assert c["pe_cycles"][0].tolist() == [3 * source, quiet + 2 * busy]
    np.testing.assert_allclose(c["busy_seconds"][0] * MACHINE.low_hz, [max(quiet, source), busy, busy])
    assert c["step_seconds"][0].tolist() == [1e-3] * 3
    assert (c["pe_packets"][0].tolist(), c["pe_fifo_peak"][0].tolist()) == ([0, 6], [0, 3])


def test_the_level_goes_with_the_packets() -> None:
    """Auto: high from two packets on, and only while it works."""
    c = spinnaker.run(chain(memory={"high_from": 2}), stimulus(5, ((0, 0), (2, 0), (2, 1)))).counts
    high = CYCLES["tick"] + 2 * (CYCLES["packet"] + CYCLES["event_static"] + CYCLES["recorded"]) \
        + 3 * CYCLES["neuron_lif"]
    source = CYCLES["tick"] + np.array([1, 0, 2, 0, 0]) * CYCLES["spike_out"]
    np.testing.assert_allclose(c["cycles_high"][0], source + np.array([0, 0, 0, high, 0]))
    np.testing.assert_allclose(c["pe_seconds_high"][0] * MACHINE.high_hz, c["cycles_high"][0])
    np.testing.assert_allclose(c["pe_seconds_low"] + c["pe_seconds_high"], 2e-3)


def test_a_barrier_waits_for_the_slowest_and_the_longest_way() -> None:
    program = chain(sync="barrier", level="auto")
    c = spinnaker.run(program, everybody(3)).counts
    way = int(program.arrays.pe_hops.sum()) * MACHINE.hop_s + MACHINE.router_s
    np.testing.assert_allclose(c["step_seconds"], c["busy_seconds"] + way)
    np.testing.assert_allclose(c["pe_seconds_high"], 2 * c["step_seconds"])
    assert not c["cycles_low"].any() and not c["late_ticks"].any()


def phased() -> SpinnakerProgram:
    """in -> a -> b, all within a step of three phases, on one PE with two slices."""
    words = {"rows": np.arange(N + 1), "delay": 0}
    own = PeMemory("lif", "lif", (PeSlice(key_of(1), N, 1), PeSlice(key_of(2), N, 2, False)), (
        block(0, "byte", words=word("byte", np.arange(N), 10), **words),
        block(1, "byte", words=word("byte", np.arange(N) + N, 10), phase=1, **words)), slots=1,
        phases=3, neurons=lif_records(2 * N, v_threshold=5))
    source = PeMemory("spike_list", "source", (PeSlice(key_of(0), N),), phases=3)
    populations = (Sender("a", (N,), "lif", phase=1), Sender("b", (N,), "lif", phase=2))
    return Hand((Sender("in", (N,)),), populations, [
        Pe(((0, np.arange(N)),), source, 0, 1), Pe(((1, np.arange(N)), (2, np.arange(N)[::-1].copy())), own, 0, 2)],
        {0: {1}, 1: {1}}).program(phases=3)


def test_phases_carry_spikes_within_a_step() -> None:
    trace = spinnaker.run(phased(), stimulus(4))
    for name, index in (("a", [0, 1]), ("b", [2, 1])):
        assert (trace.spikes[name].step.tolist(), trace.spikes[name].index.tolist()) == ([0, 2], index)
    assert trace.counts["step_seconds"][0].tolist() == pytest.approx([3e-3] * 4)


def test_buffers_that_the_host_fills_and_empties() -> None:
    program = chain(cell=SILENT)
    needed = max(header(program.image(pe))["needed"] for pe in range(2))
    assert not spinnaker.run(program, everybody(8)).counts["source_refills"].any()
    source = header(program.image(0))["needed"]
    c = spinnaker.run(dataclasses.replace(program, data_bytes=source + 5 * 8), everybody(4)).counts
    assert c["source_refills"][0].tolist() == [0, 1, 0, 1]  # events 5 and 10 of 12
    c = spinnaker.run(dataclasses.replace(program, data_bytes=needed + 2 * 4), everybody(8)).counts
    assert c["record_flushes"][0].tolist() == [0, 0, 0, 1, 0, 0, 1, 0]


def test_progress_and_threads() -> None:
    said: list[tuple[int, int]] = []
    x = Stimulus.dense(np.ones((2, 3000, N)), {"in": (N,)})
    one = spinnaker.run(chain(), x, progress=lambda done, total: said.append((done, total)))
    assert said[-1] == (6000, 6000) and len(said) > 4
    two = spinnaker.run(chain(), x, threads=2)
    assert all(np.array_equal(one.counts[k], two.counts[k]) for k in one.counts)
    with pytest.raises(DataError, match="BAD_THREADS"):
        spinnaker.run(chain(), x, threads=0)


def test_wrong_data_and_probes() -> None:
    with pytest.raises(DataError, match="GRADED_INPUT"):
        spinnaker.run(chain(), stimulus(value=2))
    with pytest.raises(DataError, match="FRACTIONAL_INPUT"):
        spinnaker.run(chain(), stimulus(value=0.5))
    with pytest.raises(DataError, match="WRONG_INPUTS"):
        spinnaker.run(chain(), Stimulus.silent(3))
    for probes, fix in (([("p", "w")], "probe u or v of p"), ([("q", "v")], "probe a state of p"),
                        ("v", 'give (population, state) pairs, or "all"')):
        with pytest.raises(DataError) as error:
            spinnaker.run(chain(), stimulus(), probes=probes)
        assert (error.value.code, error.value.fix) == ("NO_SUCH_STATE", fix)


def test_an_overrun_slips_and_is_counted() -> None:
    """A tick of 800 cycles or more of 150 MHz takes 5.3 us or more; with one interrupt in 4 us, some are lost."""
    trace = spinnaker.run(chain(level="low", tick_s=4e-6), everybody(12))
    c = trace.counts
    assert 0 < c["lost_ticks"].sum() < c["late_ticks"].sum() == c["pe_late_ticks"].sum()
    assert 1 < trace.spikes["p"].step.max() < 11  # its own clock is behind
    assert c["neuron_updates"].sum() < 12 * N


def test_strict_says_which_tick_is_late() -> None:
    with pytest.raises(OverflowInStrictMode) as error:
        spinnaker.run(chain(level="low", tick_s=5.9e-6), everybody(), strict=True)
    assert (error.value.code, error.value.where) == ("LATE_TICK", "sample 0, PE 1 (chip 0, core 2, lif of p)")
    assert error.value.what == "a tick of step 0 ends 5.9 us after its interrupt, a tick has 5.9 us"
    assert error.value.fix == "a longer step time, fewer neurons a PE, or the high performance level"


def test_strict_says_which_packets_are_late() -> None:
    """Sent 5.8 us after the interrupt, 30 us on their way."""
    machine = dataclasses.replace(MACHINE, router_s=30e-6)
    with pytest.raises(OverflowInStrictMode) as error:
        spinnaker.run(chain(level="low", tick_s=20e-6, machine=machine), everybody(), strict=True)
    assert (error.value.code, error.value.where) == ("LATE_PACKET", "sample 0, PE 1 (chip 0, core 2, lif of p)")
    assert error.value.what == (
        "packets read in a tick of step 2, one too late, came from PE 0 (chip 0, core 1, spike_list of in) "
        "35.9 us after its interrupt, a tick has 20.0 us")
    late = spinnaker.run(chain(tick_s=20e-6, machine=machine), everybody(6))
    assert late.spikes["p"].step.tolist() == np.repeat([2, 3, 4, 5], N).tolist()
    assert late.counts["late_packets"][0].tolist() == [0, 0, 3, 3, 3, 3]


def test_strict_says_which_packets_are_dropped() -> None:
    machine = dataclasses.replace(MACHINE, fifo=2)
    with pytest.raises(OverflowInStrictMode) as error:
        spinnaker.run(chain(machine=machine), everybody(), strict=True)
    assert (error.value.code, error.value.where) == ("DROPPED_PACKET", "sample 0, PE 1 (chip 0, core 2, lif of p)")
    assert error.value.what == "3 packets wait for a tick of step 1, the FIFO holds 2"
    trace = spinnaker.run(chain(machine=machine), everybody())
    assert trace.counts["dropped_packets"][0].tolist() == [0, 1, 1, 1]
    assert set(trace.spikes["p"].index.tolist()) == {0, 1}
    assert trace.counts["pe_fifo_peak"][0].tolist() == [0, 2]


def slots(n: int) -> SpinnakerProgram:
    return chain(memory={"slots": n})


BROKEN = {
    "a target": lambda: chain(block_of={"words": word("wide", [0, 1, 3], 1)}),
    "no delay": lambda: chain(block_of={"delay": 0}),
    "a long delay": lambda: chain(delay=8, block_of={"delay": 2}),
    "slots": lambda: slots(6),
    "no slots": lambda: slots(0),
    "phases of an image": lambda: chain(memory={"phases": 2}),
    "phases": lambda: chain(phases=2),
    "a phase": lambda: chain(block_of={"phase": 1}),
    "the phase of a sender": lambda: chain(sender={"phase": 1}),
    "too few rows": lambda: chain(block_of={"rows": np.arange(N)}),
    "csr for integers": lambda: chain(kind="csr", block_of={"words": np.ones(N, np.float32),
                                                            "targets": np.arange(N, dtype=np.uint32)}),
    "no rule": lambda: chain(kind="plastic"),
    "no history": lambda: chain(memory={"learners": (LEARNER,)}),
    "no table": lambda: chain(memory={"learners": (dataclasses.replace(LEARNER, plus=LEARNER.plus[:0]),),
                                      "history": 3}),
    "a split slice": lambda: split(),
    "a model": lambda: chain(sender={"model": "none"}),
    "another model": lambda: chain(sender={"model": "egru"}),
    "a sync": lambda: chain(sync="never"),
    "a level": lambda: chain(level="middle"),
    "no tick": lambda: chain(tick_s=0.0),
    "costs": lambda: chain(machine=dataclasses.replace(MACHINE, cycles={"tick": 1.0})),
    "a negative cost": lambda: chain(machine=dataclasses.replace(MACHINE, cycles=CYCLES | {"packet": -1.0})),
    "no clock": lambda: chain(machine=dataclasses.replace(MACHINE, low_hz=0.0)),
    "an element twice": lambda: changed("neuron", -1, 0),
    "no such element": lambda: changed("neuron", 0, -1),
    "no such sender": lambda: changed("slice_sender", 1, 2),
    "slices": lambda: changed("neuron_ptr", 1, 2),
    "slices of a pe": lambda: changed("slice_ptr", 1, 2),
    "packets to a source": lambda: routed(0),
}


def changed(name: str, at: int, value: int) -> SpinnakerProgram:
    """One number in the arrays is another."""
    program = chain()
    getattr(program.arrays, name)[at] = value
    return program


def split() -> SpinnakerProgram:
    """An entry that half of a slice matches."""
    program = chain()
    memory = program.memory(1)
    entry = dataclasses.replace(memory.blocks[0], mask=2**32 - 2)
    image = encode(dataclasses.replace(memory, blocks=(entry,)))
    program.arrays.image[program.arrays.image_ptr[1] :] = image
    return program


def routed(pe: int) -> SpinnakerProgram:
    """The input's packets go to one PE."""
    program = chain()
    program.arrays.router_pes[:] = 0
    program.arrays.router_pes[0, 0] = 1 << int(program.arrays.pe_core[pe])
    return program


@pytest.mark.parametrize("case", BROKEN)
def test_broken_programs_are_refused(case: str) -> None:
    with pytest.raises(ProgramError, match="INCONSISTENT") as error:
        spinnaker.build(BROKEN[case]())
    assert error.value.where and error.value.fix == "compile the model again"


def test_damaged_images_are_refused() -> None:
    program = chain()
    program.arrays.image[program.arrays.image_ptr[1]] += 8
    with pytest.raises(ProgramError, match="BAD_IMAGE"):
        spinnaker.build(program)


def test_several_entries_may_match() -> None:
    """All that match count."""
    trace = spinnaker.run(chain(entries=3, weight=2), stimulus(4), probes="all")
    assert trace.states["p", "u"][0, 1, 0] == 6
    assert trace.counts["static_events"].sum() == 6 and trace.counts["packets"].sum() == 2
