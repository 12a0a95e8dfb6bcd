"""The Numba kernels and the counted events against plain twins that share no code with them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from loihi_programs import STEPS, random_network, random_program, random_stimulus
from loihi_twin import Plain, toward_zero

from hwsdk.errors import DataError, OverflowInStrictMode, ProgramError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.network import Network
from hwsdk.ir.semantics import Semantics
from hwsdk.programs.loihi import STATES
from hwsdk.simulators import kernels, loihi, reference, routes
from hwsdk.simulators.kernels_mesh import CLIPS, STEP_COUNTS, WRAPS
from hwsdk.simulators.loihi_state import part_neurons


def sent(trace, program, sample: int) -> list[list[tuple[int, int]]]:
    """(id, value) of every spike, step by step."""
    found: list[list[tuple[int, int]]] = [[] for _ in range(STEPS)]
    for s in program.populations:
        if s.fires:
            e = trace.spikes[s.name].one(sample)
            for t, i, v in zip(e.step, e.index, e.values(), strict=True):
                found[t].append((s.first + int(i), int(v)))
    return [sorted(step) for step in found]


def assert_equal(a, b) -> None:
    """Two traces, bit for bit."""
    for name, events in a.spikes.items():
        for column in ("sample", "step", "index"):
            np.testing.assert_array_equal(getattr(events, column), getattr(b.spikes[name], column))
        np.testing.assert_array_equal(events.values(), b.spikes[name].values())
    for x, y in ((a.counts, b.counts), (a.states, b.states)):
        assert x.keys() == y.keys()
        for key in x:
            np.testing.assert_array_equal(x[key], y[key])
            assert x[key].dtype == y[key].dtype


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 100, 4000]), st.booleans())
@example(5, 4000, True)
def test_states_spikes_and_counts_are_those_of_plain_python(seed: int, loud: int, lists: bool) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, loud)
    program, stimulus = random_program(rng, network), random_stimulus(rng, network, loud)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes, "DENSE_ABOVE", 0 if lists else 1000)
        trace = loihi.run(program, stimulus, steps=STEPS, probes="all")
    for sample in range(2):
        plain = Plain(program, stimulus.one(sample), STEPS, STEP_COUNTS)
        assert sent(trace, program, sample) == plain.spikes
        for name, value in plain.counts.items():
            assert trace.counts[name][sample].tolist() == value, name
        for name, value in (("core_synops", plain.core_synops), ("core_messages", plain.core_messages)):
            assert trace.counts[name][sample].tolist() == [value[c] for c in range(program.n_cores)], name
    expected = reference.run(network, stimulus, steps=STEPS, probes="all")
    assert set(expected.states) == set(trace.states)
    assert expected.first_difference(trace) is None


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 4000]))
def test_threads_change_nothing(seed: int, loud: int) -> None:
    """Cores in two parts, and samples beside each other."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, loud)
    program, stimulus = random_program(rng, network), random_stimulus(rng, network, loud)
    one = loihi.run(program, stimulus, steps=STEPS, probes="all")
    parts = loihi.run_machine(loihi.build(program, 2), stimulus, steps=STEPS, probes="all")
    assert_equal(one, parts)
    assert_equal(one, loihi.run(program, stimulus, steps=STEPS, probes="all", threads=2))


def test_strict_names_the_same_overflow_whatever_the_parts() -> None:
    found = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        network = random_network(rng, 4000)
        program, stimulus = random_program(rng, network), random_stimulus(rng, network, 100)
        said = []
        for parts in (1, 2):
            try:
                loihi.run_machine(loihi.build(program, parts), stimulus, strict=True)
            except OverflowInStrictMode as error:
                said.append((error.what, error.where))
        found += bool(said)
        assert said[::2] == said[1::2]
    assert found > 3


def test_the_spike_buffer_may_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks end early, in all parts at once, and lose nothing."""
    rng = np.random.default_rng(8)
    network = random_network(rng)
    program, stimulus = random_program(rng, network), random_stimulus(rng, network, 1)
    whole = loihi.run(program, stimulus, steps=200)
    assert whole.counts["spikes"].sum() > 200
    monkeypatch.setattr(loihi, "MIN_BUFFER", 1)
    for parts in (1, 2):
        assert_equal(whole, loihi.run_machine(loihi.build(program, parts), stimulus, steps=200))


def test_a_part_that_breaks_off_frees_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    network = random_network(rng)
    program, stimulus = random_program(rng, network), random_stimulus(rng, network, 1)
    whole = kernels.run_part

    def second_fails(t, end, part, *rest):
        if part == 1:
            raise MemoryError
        return whole(t, end, part, *rest)

    monkeypatch.setattr(kernels, "run_part", second_fails)
    with pytest.raises(MemoryError):
        loihi.run_machine(loihi.build(program, 2), stimulus)


def test_the_random_programs_say_everything() -> None:
    seen = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        a = (program := random_program(rng, random_network(rng))).arrays
        seen |= {s.model for s in program.populations} | ({"shared"} if a.row_shared.any() else set())
        seen |= {name for name, found in (("based", a.segment_base), ("late", a.delay > 63),
                                          ("split", np.diff(a.segment_ptr) > 1)) if found.any()}
    assert seen == {*STATES, "shared", "based", "late", "split"}


def test_probes_are_the_states_of_the_model() -> None:
    rng = np.random.default_rng(0)
    network = random_network(rng, kinds=("rf",))
    program, stimulus = random_program(rng, network), random_stimulus(rng, network, 1)
    trace = loihi.run(program, stimulus, probes=[("pop0", "im")])
    assert list(trace.states) == [("pop0", "im")]
    with pytest.raises(DataError) as error:
        loihi.run(program, stimulus, probes=[("pop0", "v")])
    assert (error.value.what, error.value.fix) == ("no state 'v' of 'pop0'", "probe re or im of pop0")


@settings(max_examples=200, deadline=None)
@given(st.integers(-(2**31) + 1, 2**31 - 1), st.integers(0, 4096))
@example(-(2**31) + 1, 4096)
def test_decay_never_leaves_its_type(x: int, keep: int) -> None:
    for whole in (np.int32, np.int64):
        assert kernels.decay(whole(x), whole(keep), whole) == toward_zero(x, keep)


def nothing_special():
    cell = FixedLIF(*np.zeros((8, 1), np.int64), scale=np.ones(1), v_offset=np.zeros(1))
    program = random_program(np.random.default_rng(0), Network("one", {"pop": cell}, (), Semantics()))
    return part_neurons(program, 0, 1).special


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 100), st.sampled_from([np.int32, np.int64]))
def test_update_neurons_is_its_numpy_twin(seed: int, n: int, whole: type) -> None:
    rng = np.random.default_rng(seed)

    def draw(low, high):
        return rng.integers(low, high, n).astype(whole)

    cells = kernels.Cells(
        draw(-(1 << 23), 1 << 23), draw(-(1 << 23), 1 << 23), draw(0, 4096), draw(0, 4097), draw(-5000, 5000),
        draw(0, 1 << 23), rng.integers(0, 2, n).astype(np.uint8), draw(0, 5000), np.zeros((2, n), whole))
    a = draw(-(1 << 17), 1 << 17)
    u = np.sign(cells.u) * ((np.abs(cells.u.astype(np.int64)) * cells.keep_u) >> 12) + (a.astype(np.int64) << 6)
    wrapped = np.where(u > 1 << 23, u - (1 << 24), np.where(u <= -(1 << 23), u + (1 << 24), u))
    v = np.sign(cells.v) * ((np.abs(cells.v.astype(np.int64)) * cells.keep_v) >> 12) + wrapped + cells.bias
    clipped = np.clip(v, -(1 << 23) + 1, (1 << 23) - 1)
    fires = clipped > cells.theta
    after = np.where(fires, np.where(cells.subtracts > 0, clipped - cells.reset_by, 0), clipped)
    (flags, fired), counts = kernels.new_scratch(n), np.zeros(len(STEP_COUNTS), np.int64)
    k = kernels.update_neurons(cells, a, nothing_special(), flags, fired, counts)
    assert fired[:k].tolist() == np.flatnonzero(fires).tolist()
    assert cells.u.tolist() == wrapped.tolist() and cells.v.tolist() == after.tolist() and not a.any()
    assert counts[WRAPS] == (u != wrapped).sum() and counts[CLIPS] == (v != clipped).sum()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_strict_names_the_first_overflow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, 4000)
    program, stimulus = random_program(rng, network), random_stimulus(rng, network, 100)
    trace = loihi.run(program, stimulus, steps=STEPS)
    over = np.argwhere(trace.counts["wraps"] + trace.counts["clips"] > 0)
    if not len(over):
        loihi.run(program, stimulus, steps=STEPS, strict=True)
        return
    with pytest.raises(OverflowInStrictMode, match=rf"needs -?[\d,]+ in step {over[0, 1]}, its 24 bits hold") as error:
        loihi.run(program, stimulus, steps=STEPS, strict=True)
    assert error.value.where.startswith((f"sample {over[0, 0]}, layer pop", f"sample {over[0, 0]}, layer map"))


def test_strict_gives_neuron_need_and_limit() -> None:
    n = 3
    zeros = np.zeros(n, np.int64)
    loud = FixedLIF(du=zeros, dv=zeros, vth=zeros + 131071, bias_mant=np.array([0, 0, 4095]), bias_exp=zeros + 7,
                    reset_by=zeros, u_init=zeros, v_init=np.array([8_000_000, 0, 8_000_000]), scale=np.ones(n),
                    v_offset=np.zeros(n))
    network = Network("loud", {"pop": loud}, (), Semantics())
    program = random_program(np.random.default_rng(0), network)
    with pytest.raises(OverflowInStrictMode) as error:
        loihi.run(program, Stimulus.silent(3), strict=True)
    assert error.value.where == "sample 0, layer pop, neuron 2"
    assert error.value.what == ("the membrane v needs 8,524,160 in step 0, its 24 bits hold -8,388,607 to 8,388,607")


@pytest.mark.parametrize("field", ["axon_source", "target", "out_core", "source_id", "delay", "row_ptr", "segment_ptr",
                                   "segment_row", "segment_base", "core_row_ptr", "du", "dv", "reset", "row_exponent"])
def test_broken_programs_are_refused(field: str) -> None:
    rng = np.random.default_rng(3)
    program = random_program(rng, random_network(rng, kinds=("lif",)))
    assert program.n_synapses
    getattr(program.arrays, field)[-1] = {"delay": 0, "row_ptr": 0, "dv": 5000, "du": -1, "reset": 2,
                                          "row_exponent": -1}.get(field, 1000)
    with pytest.raises(ProgramError, match="INCONSISTENT"):
        loihi.build(program)


def test_a_delay_beyond_the_chips_is_refused() -> None:
    rng = np.random.default_rng(3)
    program = random_program(rng, random_network(rng))
    program.arrays.delay[0] = 65
    with pytest.raises(ProgramError, match="INCONSISTENT"):
        loihi.build(program)


def test_unknown_models_are_refused() -> None:
    rng = np.random.default_rng(3)
    program = random_program(rng, random_network(rng))
    first, *others = program.populations
    with pytest.raises(ProgramError, match="INCONSISTENT"):
        loihi.build(dataclasses.replace(program, populations=(dataclasses.replace(first, model="none"), *others)))


def test_accumulators_end_with_the_second_inputs() -> None:
    """Synapses onto second inputs are out of range for the same program without resonators."""
    found = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        program = random_program(rng, random_network(rng, kinds=("rf",)))
        a = program.arrays
        core = np.repeat(np.arange(program.n_cores), np.diff(a.axon_ptr)).repeat(np.diff(a.segment_ptr))
        high = np.array([a.target[a.row_ptr[r] : a.row_ptr[r + 1]].max() for r in a.segment_row]) + a.segment_base
        loihi.build(program)
        if (high >= np.diff(a.neuron_ptr)[core]).any() and not any("map" in s.name for s in program.populations):
            found += 1
            plain = tuple(dataclasses.replace(s, model="graded") for s in program.populations)
            with pytest.raises(ProgramError, match="INCONSISTENT"):
                loihi.build(dataclasses.replace(program, populations=plain))
    assert found > 3


@pytest.mark.parametrize(("kind", "row", "value"), [("rf", 2, 64), ("rf", 3, -1), ("lif", 0, -1), ("lif", 1, -5),
                                                    ("atrlif", 1, 5000), ("sigma_delta", 1, 40)])
def test_parameters_that_a_model_cannot_have_are_refused(kind: str, row: int, value: int) -> None:
    rng = np.random.default_rng(3)
    program = random_program(rng, random_network(rng, kinds=(kind,)))
    extra = np.zeros((4, program.n_neurons), np.int32)
    extra[row] = value
    with pytest.raises(ProgramError, match="INCONSISTENT"):
        loihi.build(dataclasses.replace(program, arrays=dataclasses.replace(program.arrays, extra=extra)))


def test_lost_axons_are_refused() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        program = random_program(rng, random_network(rng))
        if program.n_cores > 1 and len(program.arrays.out_core):
            out = program.arrays.out_core
            out[0] = (out[0] + 1) % program.n_cores
            for above in (0, 1000):
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(routes, "DENSE_ABOVE", above)
                    with pytest.raises(ProgramError, match="ROUTING_MISMATCH"):
                        loihi.build(program)


def test_no_threads_are_refused() -> None:
    rng = np.random.default_rng(3)
    program = random_program(rng, random_network(rng))
    with pytest.raises(DataError, match="BAD_THREADS"):
        loihi.run(program, Stimulus.silent(1), threads=0)
