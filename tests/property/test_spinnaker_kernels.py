"""The SpiNNaker 2 machine against a plain twin that shares no code with it, and against the reference."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spinnaker_programs import STEPS, Chance, Hand, Pe, block, key_of, lif_records, random_stimulus, word
from spinnaker_twin import Twin, is_close

from hwsdk.errors import OverflowInStrictMode, ProgramError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import Synapses
from hwsdk.ir.plastic import PlasticSynapses, StoredPairSTDP, decay_table
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.single import SingleLIF
from hwsdk.programs.spinnaker import Sender, SpinnakerProgram
from hwsdk.programs.spinnaker_image import Learner, PeMemory, PeSlice
from hwsdk.simulators import reference, spinnaker
from hwsdk.simulators.kernels_spinnaker_parts import PE_COUNTS, STEP_AMOUNTS, STEP_COUNTS

SEEDS = st.integers(0, 2**32 - 1)
TROUBLES = ("late_ticks", "late_packets", "dropped_packets")


def made(seed: int, graded: bool = False, **more) -> tuple[SpinnakerProgram, Stimulus]:
    """A random program with data for two samples."""
    rng = np.random.default_rng(seed)
    program = dataclasses.replace(Chance(rng, graded).program(), **more)
    return program, random_stimulus(rng, program)


def assert_is_twin(trace, program: SpinnakerProgram, stimulus: Stimulus, sample: int) -> Twin:
    """Every spike, state and count."""
    twin = Twin(program, stimulus.one(sample), trace.n_steps)
    for s in program.populations:
        if s.fires:
            e = trace.spikes[s.name].one(sample)
            got = list(zip(e.step.tolist(), e.index.tolist(), e.values().tolist(), strict=True))
            assert got == sorted((t, i, y) for name, t, i, y in twin.spikes if name == s.name), s.name
    for key, table in twin.states.items():
        np.testing.assert_array_equal(trace.states[key][sample], table, str(key))
    for name in STEP_COUNTS:
        assert trace.counts[name][sample].tolist() == twin.counts[name], name
    for name in STEP_AMOUNTS:
        assert all(is_close(a, b) for a, b in zip(trace.counts[name][sample], twin.counts[name], strict=True)), name
    for name in (*PE_COUNTS, "pe_cycles"):
        assert trace.counts[name][sample].tolist() == twin.pe[name], name
    return twin


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
@given(SEEDS, st.booleans())
@example(5, True)
def test_spikes_states_and_counts_are_those_of_plain_python(seed: int, graded: bool) -> None:
    program, stimulus = made(seed, graded)
    trace = spinnaker.run(program, stimulus, steps=STEPS, probes="all")
    for sample in range(2):
        assert_is_twin(trace, program, stimulus, sample)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_pes_that_are_far_behind(seed: int) -> None:
    """A tick too short for anything: packets of many windows wait."""
    program, stimulus = made(seed, sync="timer", tick_s=2 / 2**20)  # 1.9 us; 800 cycles at 300 MHz are 2.7
    trace = spinnaker.run(program, stimulus, steps=STEPS, probes="all")
    assert trace.counts["lost_ticks"].sum() > 0
    assert_is_twin(trace, program, stimulus, 0)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.booleans())
def test_threads_change_nothing(seed: int, graded: bool) -> None:
    program, stimulus = made(seed, graded)
    assert_equal(spinnaker.run(program, stimulus, probes="all"),
                 spinnaker.run(program, stimulus, probes="all", threads=2))


@pytest.mark.parametrize("graded", [False, True])
def test_blocks_may_be_short_and_buffers_full(graded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found = 0
    for seed in range(12):
        program, stimulus = made(seed, graded)
        whole = spinnaker.run(program, stimulus, probes="all", steps=40)
        found += whole.counts["spikes"].sum() > 2 * len(program.arrays.neuron)
        for name, value in (("MIN_BUFFER", 1), ("BLOCK", 3)):
            with monkeypatch.context() as patch:
                patch.setattr(spinnaker, name, value)
                assert_equal(whole, spinnaker.run(program, stimulus, probes="all", steps=40))
    assert found > 3


def test_a_pe_may_not_be_behind_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    program, stimulus = made(3, sync="timer", tick_s=1e-6)
    assert len(spinnaker.build(program).wiring.edges.source)
    monkeypatch.setattr(spinnaker, "MOST_WINDOWS", 8)
    with pytest.raises(ProgramError, match="a PE is 8 ticks behind"):
        spinnaker.run(program, stimulus, steps=60)


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_strict_names_the_first_trouble(seed: int) -> None:
    program, stimulus = made(seed)
    counts = spinnaker.run(program, stimulus, steps=STEPS).counts
    troubles = np.argwhere(sum(counts[name] for name in TROUBLES) > 0)
    if not len(troubles):
        assert_equal(spinnaker.run(program, stimulus, steps=STEPS),
                     spinnaker.run(program, stimulus, steps=STEPS, strict=True))
        return
    sample, step = troubles[0]
    with pytest.raises(OverflowInStrictMode, match=rf"a tick of step {step}[ ,]") as error:
        spinnaker.run(program, stimulus, steps=STEPS, strict=True)
    assert error.value.where.startswith(f"sample {sample}, PE ")
    code = {"LATE_TICK": "late_ticks", "LATE_PACKET": "late_packets", "DROPPED_PACKET": "dropped_packets"}
    assert counts[code[error.value.code]][sample, step] > 0


def test_the_random_programs_say_everything() -> None:
    seen = set()
    for seed in range(40):
        program, stimulus = made(seed, bool(seed % 3 == 0))
        for pe in range(program.n_pes):
            m = program.memory(pe)
            seen |= {m.model, *(b.kind for b in m.blocks), *(f"mask {b.mask:x}" for b in m.blocks)}
            seen |= {"several slices" for _ in m.slices[1:]} | {f"{len(m.learners)} learners", f"history {m.history}"}
        counts = spinnaker.run(program, stimulus, steps=STEPS).counts
        seen |= {name for name in (*STEP_COUNTS, *STEP_AMOUNTS) if counts[name].sum() > 0}
        seen |= {program.sync, program.level, f"{program.phases} phases", f"{program.chips} chips"}
    assert {*STEP_COUNTS, *STEP_AMOUNTS, "source", "lif", "lif_curr", "egru", "narrow", "byte", "wide", "plastic",
            "conv", "csr", "mask fffff800", "several slices", "2 learners", "history 2", "history 16", "timer",
            "barrier", "auto", "low", "high", "3 phases", "3 chips"} <= seen


def random_network(rng: np.random.Generator) -> Network:
    """Inputs, populations in single precision, fixed and learning synapses between them."""
    b = NetworkBuilder("single")
    inputs = [f"in{k}" for k in range(rng.integers(1, 3))]
    names = [f"p{k}" for k in range(rng.integers(1, 4))]
    n = {name: int(rng.integers(1, 9)) for name in (*inputs, *names)}
    for name in inputs:
        b.input(name, n[name])
    for name in names:
        k = n[name]
        b.population(name, neuron(
            SingleLIF, k, decay_u=rng.random(k) * rng.integers(0, 2), decay_v=rng.random(k), bias=rng.normal(0, 5, k),
            v_threshold=rng.integers(1, 60, k), reset_by=rng.integers(0, 60, k), u_init=rng.normal(0, 9, k),
            v_init=rng.normal(0, 9, k), reset=str(rng.choice(["value", "subtract"])),
            comparison=str(rng.choice([">", ">="])), refractory=rng.integers(0, 4, k) if rng.random() < 0.4 else None))
        b.output(f"out {name}", name)
    for source in (*inputs, *names):
        for target in names:
            if rng.random() < 0.6:
                shape = (n[target], n[source])
                b.connect(source, target, weight=rng.integers(-40, 60, shape) * (rng.random(shape) < 0.7),
                          delay_ticks=rng.integers(1, 9, shape))
            elif rng.random() < 0.5:
                rule = StoredPairSTDP(rng.uniform(0.5, 9), rng.uniform(0.5, 9), rng.uniform(0, 30), rng.uniform(0, 30),
                                      0, 90, int(rng.integers(2, 9)))
                b.connect(source, target, weight=rng.integers(1, 90, shape := (n[target], n[source])), plasticity=rule,
                          delay_ticks=rng.integers(1, 9, shape))
    return b.build(Semantics(dt=1.0))


def blocks_onto(network: Network, target: str, number: dict[str, int]) -> tuple[list, list[Learner], int]:
    """(blocks, learners, history) of the PE of a population, from its projections."""
    blocks, learners, history = [], [], 1
    for edge in network.sources(target):
        node, source = network.nodes[edge.source], network.sources(edge.source)[0].source
        assert isinstance(node, Synapses | PlasticSynapses) and not edge.delay_ticks
        order = np.argsort(node.source, kind="stable")
        rows = np.searchsorted(node.source[order], np.arange(network.nodes[source].shape[0] + 1))
        words = word("wide", node.target[order], node.weight[order], node.delay_ticks[order] - 1)
        if isinstance(node, PlasticSynapses):
            r = node.rule
            blocks.append(block(number[source], "plastic", rows=rows, words=words, learner=len(learners)))
            learners.append(Learner(r.a_plus, r.a_minus, r.w_min, r.w_max, decay_table(r.tau_plus),
                                    decay_table(r.tau_minus)))
            history = r.history
        else:
            blocks.append(block(number[source], "wide", rows=rows, words=words))
    return blocks, learners, history


def program_of(network: Network) -> SpinnakerProgram:
    """Each input and population on a PE of its own."""
    number = {name: k for k, name in enumerate((*network.inputs, *network.populations))}
    pes, routes = [], {}
    for name, k in number.items():
        n = network.nodes[name].shape[0]
        slices = (PeSlice(key_of(k), n),)
        if name in network.inputs:
            memory = PeMemory("spike_list", "source", slices)
        else:
            p = network.nodes[name]
            blocks, learners, history = blocks_onto(network, name, number)
            for b in blocks:
                routes.setdefault(b.key // key_of(0) - 1, set()).add(k)
            records = lif_records(
                n, "lif_curr", decay_u=p.decay_u, u=p.u_init, decay_v=p.decay_v, bias=p.bias, reset_by=p.reset_by,
                v_threshold=p.v_threshold, v=p.v_init, fires=1, subtract=p.reset == "subtract",
                at_threshold=p.comparison == ">=", refractory=0 if p.refractory is None else p.refractory)
            memory = PeMemory("stdp_pair_additive", "lif_curr", slices, tuple(blocks), tuple(learners), records, 8,
                              history=history)
        pes.append(Pe(((k, np.arange(n)),), memory, 0, k + 1))
    inputs = tuple(Sender(name, i.shape) for name, i in network.inputs.items())
    populations = tuple(Sender(name, p.shape, "lif") for name, p in network.populations.items())
    return Hand(inputs, populations, pes, routes).program()


@settings(max_examples=80, deadline=None)
@given(SEEDS)
def test_in_time_it_does_what_the_reference_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    rules = [x.rule.history for x in network.nodes.values() if isinstance(x, PlasticSynapses)]
    program = program_of(network)
    arrays = {name: rng.random((2, 40, i.shape[0])) < 0.2 for name, i in network.inputs.items()}
    stimulus = Stimulus.dense(arrays, program.input_shapes)
    trace = spinnaker.run(program, stimulus, probes="all")
    assert trace.counts["late_ticks"].sum() == trace.counts["late_packets"].sum() == 0
    if len(set(rules)) < 2:  # a PE has one length for the histories of all its rules
        expected = reference.run(network, stimulus, probes=[(n, v) for n in network.populations for v in "uv"])
        assert expected.first_difference(trace, list(network.populations)) is None
