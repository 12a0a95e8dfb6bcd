"""The Numba kernels and the counted events against plain twins that share no code with them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hwsdk.errors import OverflowInStrictMode, ProgramError
from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.mapping import Place, Placement, Slice
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import Input, Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers import loihi_emit as emit
from hwsdk.programs.loihi import LoihiProgram
from hwsdk.simulators import kernels, loihi, reference, routes

STEPS = 12


def cell(rng: np.random.Generator, n: int, loud: int) -> FixedLIF:
    def draw(low, high):
        return rng.integers(low, high, n)

    return FixedLIF(
        du=draw(0, 4096), dv=draw(0, 4097), vth=draw(0, 40 * loud), bias_mant=draw(-20, 40 * loud), bias_exp=draw(0, 8),
        reset_by=draw(0, 5000), u_init=draw(-5000, 5000), v_init=draw(-5000, 5000), scale=np.ones(n),
        v_offset=np.zeros(n), reset=str(rng.choice(["value", "subtract"])), fires=bool(rng.random() < 0.9))


def random_network(rng: np.random.Generator, loud: int = 1) -> Network:
    """Inputs and populations of a few neurons; ``loud`` scales everything, up to wraps and clips."""
    inputs = {f"in{k}": Input((int(rng.integers(1, 5)),)) for k in range(rng.integers(0, 3))}
    cells = {f"pop{k}": cell(rng, int(rng.integers(1, 9)), loud) for k in range(rng.integers(1, 4))}
    nodes, edges = {**inputs, **cells}, []
    longest = int(rng.choice([1, 2, 5]))
    for k in range(rng.integers(1, 6)):
        a, b = str(rng.choice([*inputs, *cells])), str(rng.choice(list(cells)))
        if not getattr(nodes[a], "fires", True):
            continue
        m, n = nodes[a].shape[0], nodes[b].shape[0]
        size = int(rng.integers(1, 2 * m * n + 2))
        exp = int(rng.integers(0, 8)) if loud > 1 else 0
        nodes[f"syn{k}"] = Synapses((m,), (n,), rng.integers(0, m, size), rng.integers(0, n, size),
                                    rng.integers(-256, 256, size), rng.integers(1, longest + 1, size), weight_exp=exp)
        edges += [Edge(a, f"syn{k}"), Edge(f"syn{k}", b)]
    return Network("random", nodes, tuple(edges), Semantics())


def random_program(rng: np.random.Generator, network: Network) -> LoihiProgram:
    """Neurons on random cores, cores on random routers of three chips."""
    groups: list[list[Slice]] = [[] for _ in range(rng.integers(1, 7))]
    for name, p in network.populations.items():
        home = rng.integers(0, len(groups), p.n)
        for k in np.unique(home):
            groups[k].append(Slice(name, np.flatnonzero(home == k)))
    cores = tuple(tuple(g) for g in groups if g)
    places = tuple(Place(int(x) // 3, int(x), int(y)) for x, y in rng.integers(0, (9, 5), (len(cores), 2)))
    where = emit.layout(network, cores)
    rows = emit.synapse_rows(network, where)
    heard = emit.listening(rows, where, len(cores))
    return LoihiProgram("random", "loihi2", "1", "", "", 3, where.inputs, where.populations, {},
                        emit.arrays(network, where, rows, heard, Placement(cores, places)), network.semantics,
                        graded_input=True)


def random_stimulus(rng: np.random.Generator, network: Network, loud: int) -> Stimulus:
    if not network.inputs:
        return Stimulus.silent(STEPS, 2)
    return Stimulus({n: events_from_dense(rng.integers(0, 1 + loud, (2, STEPS, *i.shape)) * rng.integers(0, 2), i.shape)
                     for n, i in network.inputs.items()})


def toward_zero(x: int, keep: int) -> int:
    return (abs(x) * keep >> 12) * (1 if x >= 0 else -1)


class Plain:
    """One sample of a program in plain Python: dictionaries, and every message walks from router to router."""

    def __init__(self, program: LoihiProgram, sample: Stimulus) -> None:
        self.program, self.a = program, program.arrays
        self.events = [(s.first + int(i), int(t), int(v)) for s in program.inputs
                       for e in [sample.inputs[s.name]] for t, i, v in zip(e.step, e.index, e.values(), strict=True)]
        self.u, self.v = [int(x) for x in self.a.u_init], [int(x) for x in self.a.v_init]
        self.arriving: Counter = Counter()
        self.counts = {name: [0] * STEPS for name in kernels.STEP_COUNTS}
        self.core_synops: Counter = Counter()
        self.core_messages: Counter = Counter()
        self.spikes = [sorted(self.step(t)) for t in range(STEPS)]

    def step(self, t: int) -> list[int]:
        fired = [i for i in range(len(self.u)) if self.neuron(t, i)]
        core = [int(np.searchsorted(self.a.neuron_ptr, i, "right")) - 1 for i in fired]
        synops, messages, links = Counter(), Counter(), Counter()
        for source, when, value in self.events:
            if when == t:
                self.send(t, source, value, synops, messages)
        for i, home in zip(fired, core, strict=True):
            source = int(self.a.source_id[i])
            for to in self.send(t, source, 1, synops, messages):
                self.travel(t, home, to, links)
        self.core_synops += synops
        self.core_messages += messages
        for name, value in {"spikes": len(fired), "synaptic_operations": sum(synops.values()),
                            "peak_core_synops": max(synops.values(), default=0),
                            "peak_core_spikes": max(Counter(core).values(), default=0),
                            "peak_core_messages": max(messages.values(), default=0),
                            "peak_link": max(links.values(), default=0)}.items():
            self.counts[name][t] = value
        return [int(self.a.source_id[i]) for i in fired]

    def neuron(self, t: int, i: int) -> bool:
        a = self.a
        u = toward_zero(self.u[i], 4095 - int(a.du[i])) + (self.arriving.pop((t, i), 0) << 6)
        wrapped = u - (1 << 24) if u > 1 << 23 else (u + (1 << 24) if u <= -(1 << 23) else u)
        self.counts["wraps"][t] += wrapped != u
        v = toward_zero(self.v[i], 4096 - int(a.dv[i])) + wrapped + int(a.bias[i])
        clipped = max(min(v, (1 << 23) - 1), 1 - (1 << 23))
        self.counts["clips"][t] += clipped != v
        fires = bool(a.fires[i]) and clipped > int(a.vth[i]) << 6
        self.u[i], self.v[i] = wrapped, clipped
        if fires:
            self.v[i] = clipped - int(a.reset_by[i]) if a.reset[i] else 0
        return fires

    def send(self, t: int, source: int, value: int, synops: Counter, messages: Counter) -> list[int]:
        a = self.a
        cores = [int(c) for c in a.out_core[a.out_ptr[source] : a.out_ptr[source + 1]]]
        for c in cores:
            (axon,) = [x for x in range(a.axon_ptr[c], a.axon_ptr[c + 1]) if a.axon_source[x] == source]
            messages[c] += 1
            for g in range(a.segment_ptr[axon], a.segment_ptr[axon + 1]):
                row, base = a.segment_row[g], a.neuron_ptr[c] + a.segment_base[g]
                for s in range(a.row_ptr[row], a.row_ptr[row + 1]):
                    synops[c] += 1
                    at = t + int(a.delay[s]), int(base + a.target[s])
                    self.arriving[at] += (int(a.weight[s]) << int(a.row_exponent[row])) * value
        return cores

    def travel(self, t: int, home: int, to: int, links: Counter) -> None:
        a = self.a
        x, y, x1, y1 = (int(z) for z in (a.core_x[home], a.core_y[home], a.core_x[to], a.core_y[to]))
        self.counts["messages"][t] += 1
        self.counts["chip_crossings"][t] += abs(int(a.core_chip[home]) - int(a.core_chip[to]))
        while (x, y) != (x1, y1):
            along_x = x != x1
            step = (np.sign(x1 - x), 0) if along_x else (0, np.sign(y1 - y))
            links[x, y, x + step[0], y + step[1]] += 1
            x, y = x + step[0], y + step[1]
            self.counts["hops_ew" if along_x else "hops_ns"][t] += 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 100, 4000]), st.booleans())
@example(5, 4000, True)
def test_states_spikes_and_counts_are_those_of_plain_python(seed: int, loud: int, lists: bool) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, loud)
    program, stimulus = random_program(rng, network), random_stimulus(rng, network, loud)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes, "DENSE_ABOVE", 0 if lists else 1000)
        trace = loihi.run(program, stimulus, probes="all")
    for sample in range(2):
        plain = Plain(program, stimulus.one(sample))
        for name, value in plain.counts.items():
            assert trace.counts[name][sample].tolist() == value, name
        for name, value in (("core_synops", plain.core_synops), ("core_messages", plain.core_messages)):
            assert trace.counts[name][sample].tolist() == [value[c] for c in range(program.n_cores)], name
        got = [sorted(s.first + int(i) for s in program.populations if s.fires
                      for i in trace.spikes[s.name].index[(trace.spikes[s.name].step == t)
                                                          & (trace.spikes[s.name].sample == sample)])
               for t in range(STEPS)]
        assert got == plain.spikes
    expected = reference.run(network, stimulus, probes="all")
    assert expected.first_difference(trace) is None


@settings(max_examples=200, deadline=None)
@given(st.integers(-(2**31) + 1, 2**31 - 1), st.integers(0, 4096))
@example(-(2**31) + 1, 4096)
def test_decay_never_leaves_its_type(x: int, keep: int) -> None:
    for whole in (np.int32, np.int64):
        assert kernels.decay(whole(x), whole(keep), whole) == toward_zero(x, keep)


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
    padded = -(-n // kernels.LANES) * kernels.LANES
    fired, counts = np.empty(padded + kernels.LANES, np.int32), np.zeros(len(kernels.STEP_COUNTS), np.int64)
    k = kernels.update_neurons(cells, a, np.zeros(padded, np.uint8), fired, counts)
    assert fired[:k].tolist() == np.flatnonzero(fires).tolist()
    assert cells.u.tolist() == wrapped.tolist() and cells.v.tolist() == after.tolist() and not a.any()
    assert counts[kernels.WRAPS] == (u != wrapped).sum() and counts[kernels.CLIPS] == (v != clipped).sum()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_strict_names_the_first_overflow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, 4000)
    program, stimulus = random_program(rng, network), random_stimulus(rng, network, 100)
    trace = loihi.run(program, stimulus)
    over = np.argwhere(trace.counts["wraps"] + trace.counts["clips"] > 0)
    if not len(over):
        loihi.run(program, stimulus, strict=True)
        return
    with pytest.raises(OverflowInStrictMode, match=rf"needs -?[\d,]+ in step {over[0, 1]}, its 24 bits hold") as error:
        loihi.run(program, stimulus, strict=True)
    assert error.value.where.startswith(f"sample {over[0, 0]}, layer pop")


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
                                   "segment_row", "segment_base", "core_row_ptr"])
def test_broken_programs_are_refused(field: str) -> None:
    rng = np.random.default_rng(3)
    program = random_program(rng, random_network(rng))
    assert program.n_synapses
    getattr(program.arrays, field)[-1] = {"delay": 0, "row_ptr": 0}.get(field, 1000)
    with pytest.raises(ProgramError, match="INCONSISTENT"):
        loihi.build(program)


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
