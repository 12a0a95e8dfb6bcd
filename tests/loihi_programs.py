"""Random integer networks over every Loihi neuron model, and programs of them made without the mapper."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np

from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.expand import explicit
from hwsdk.ir.fixed import FixedATRLIF, FixedGraded, FixedLIF, FixedNeuron, FixedRF, FixedSigmaDelta
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import ConvSynapses, Input, Shape, Synapses, size
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.loihi_cells import columns, model_of
from hwsdk.programs.loihi import TWO_PORTS, LoihiArrays, LoihiProgram, Source

STEPS = 12
KINDS = ("lif", "lif", "lif", "atrlif", "rf", "sigma_delta", "graded")


def cell(rng: np.random.Generator, shape: Shape, loud: int, kind: str = "lif") -> FixedNeuron:
    """A population with random parameters; ``loud`` scales it, up to wraps and clips."""
    def draw(low, high):
        return rng.integers(low, high, shape)

    def maybe(low, high):
        return int(rng.integers(low, high)) * int(rng.integers(0, 2))

    common = {"du": draw(0, 4096), "dv": draw(0, 4097), "vth": draw(0, 40 * loud), "bias_mant": draw(-20, 40 * loud),
              "bias_exp": draw(0, 8), "u_init": draw(-5000, 5000), "v_init": draw(-5000, 5000)}
    if kind == "lif":
        return FixedLIF(**common, reset_by=draw(0, 5000), scale=np.ones(shape), v_offset=np.zeros(shape),
                        reset=str(rng.choice(["value", "subtract"])), fires=bool(rng.random() < 0.9),
                        refractory=draw(0, 4) if rng.random() < 0.5 else None,
                        reset_interval=maybe(1, 7), reset_offset=maybe(0, 20))
    if kind == "atrlif":
        return FixedATRLIF(**common, dtheta=draw(0, 4097), dr=draw(0, 4097), theta_step=draw(0, 20))
    if kind == "rf":
        angle = rng.uniform(0, 3, shape)
        return FixedRF(np.int64(np.sin(angle) * 4000), np.int64(np.cos(angle) * 4000), draw(1, 300 * loud),
                       draw(-500, 500), draw(-500, 500), 12, maybe(1, 7), bool(rng.random() < 0.5))
    if kind == "graded":
        return FixedGraded(draw(0, 30), relu=bool(rng.random() < 0.5))
    return FixedSigmaDelta(draw(0, 5), draw(-20, 20), maybe(1, 4), maybe(1, 7), str(rng.choice(["relu", "unit"])),
                           bool(rng.random() < 0.5), encodes=bool(rng.random() < 0.4))


def random_network(rng: np.random.Generator, loud: int = 1, kinds: tuple[str, ...] = KINDS) -> Network:
    """Inputs and populations of a few neurons, joined at random; values of graded spikes only travel forward."""
    nodes: dict = {f"in{k}": Input((int(rng.integers(1, 5)),)) for k in range(rng.integers(0, 3))}
    inputs = list(nodes)
    for k in range(rng.integers(1, 5)):
        nodes[f"pop{k}"] = cell(rng, (int(rng.integers(1, 9)),), loud, str(rng.choice(kinds)))
    populations = [n for n in nodes if n not in inputs]
    edges: list[Edge] = []
    for k in range(rng.integers(1, 8)):
        a, b = str(rng.choice([*nodes])), str(rng.choice(populations))
        source = nodes.get(a)
        if isinstance(source, FixedNeuron) and source.graded and populations.index(a) >= populations.index(b):
            continue
        if getattr(source, "fires", True) and a.startswith(("in", "pop")):
            nodes[f"syn{k}"] = _synapses(rng, source, nodes[b].in_shape, loud)
            edges += [Edge(a, f"syn{k}"), Edge(f"syn{k}", b)]
    for k in range(rng.integers(0, 3)):
        _add_convolution(rng, k, nodes, edges, loud)
    return Network("random", nodes, tuple(edges), Semantics())


def _synapses(rng: np.random.Generator, source, post: Shape, loud: int) -> Synapses:
    m, n = size(source.shape), size(post)
    k = int(rng.integers(1, 2 * m * n + 2))
    graded = getattr(source, "graded", False)
    exp = int(rng.integers(0, 8)) if loud > 1 and not graded else 0
    high = 9 if graded else 256
    longest = int(rng.choice([1, 2, 5, 64]))
    return Synapses(source.shape, post, rng.integers(0, m, k), rng.integers(0, n, k), rng.integers(-high, high, k),
                    rng.integers(1, longest + 1, k), weight_exp=exp)


def _add_convolution(rng: np.random.Generator, k: int, nodes: dict, edges: list[Edge], loud: int) -> None:
    """An input, a convolution of it, and a population."""
    channels, length, kernel, stride, out = (int(rng.integers(*r)) for r in ((1, 3), (4, 9), (1, 4), (1, 3), (1, 4)))
    shape = (out, (length + 2 - kernel) // stride + 1)
    kind = str(rng.choice([kind for kind in KINDS if kind != "rf"]))
    nodes |= {f"image{k}": Input((channels, length)), f"conv{k}": ConvSynapses(
        (channels, length), shape, shape, rng.integers(-100, 100, (out, channels, kernel)), (stride,), ((1, 1),), (1,),
        delay_ticks=int(rng.integers(1, 4))), f"map{k}": cell(rng, shape, loud, kind)}
    edges += [Edge(f"image{k}", f"conv{k}"), Edge(f"conv{k}", f"map{k}")]


def random_stimulus(rng: np.random.Generator, network: Network, loud: int) -> Stimulus:
    """Two samples, spikes with values up to ``loud``."""
    if not network.inputs:
        return Stimulus.silent(STEPS, 2)
    return Stimulus({n: events_from_dense(rng.integers(0, 1 + loud, (2, STEPS, *i.shape)) * rng.integers(0, 2), i.shape)
                     for n, i in network.inputs.items()})


def senders(network: Network) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Inputs and populations with consecutive ids."""
    found, first = [], 0
    for name in (*network.inputs, *network.populations):
        node = network.nodes[name]
        model = model_of(node) if isinstance(node, FixedNeuron) else ""
        found.append(Source(name, node.shape, first, getattr(node, "fires", True), 0, model))
        first += found[-1].n
    return tuple(found[: len(network.inputs)]), tuple(found[len(network.inputs):])


class Assembler:
    """Neurons on random cores (or in id order), cores on random routers of three chips, equal rows stored once."""

    def __init__(self, rng: np.random.Generator, network: Network) -> None:
        self.rng, self.network = rng, network
        self.inputs, self.populations = senders(network)
        self.n_inputs = sum(s.n for s in self.inputs)
        n = sum(s.n for s in self.populations)
        home = rng.integers(0, rng.integers(1, 7), n)
        home = np.sort(home) if rng.random() < 0.5 else home
        self.cores = [np.flatnonzero(home == c) for c in np.unique(home)]
        if rng.random() < 0.5:
            self.cores = [rng.permutation(c) for c in self.cores]
        self.place = {int(i): (c, k) for c, own in enumerate(self.cores) for k, i in enumerate(own)}
        model = [s.model for s in self.populations for _ in range(s.n)]
        self.second = {}
        for c, own in enumerate(self.cores):
            two = [int(i) for i in own if model[i] in TWO_PORTS]
            self.second |= {i: (c, len(own) + k) for k, i in enumerate(two)}

    def accumulator(self, population: Source, k: int) -> tuple[int, int]:
        """(core, number there) of input k of a population."""
        port, i = divmod(k, population.n)
        return (self.second if port else self.place)[population.first - self.n_inputs + i]

    def axons(self) -> list[dict[int, list[tuple[int, int, tuple]]]]:
        """For each core: source id -> segments (exponent, base, entries)."""
        by_name = {s.name: s for s in (*self.inputs, *self.populations)}
        entries: list = [defaultdict(lambda: defaultdict(list)) for _ in self.cores]
        for name, node in self.network.of(Synapses, ConvSynapses).items():
            pre, post = (by_name[e.source if k == 0 else e.target] for k, e in
                         enumerate((self.network.sources(name)[0], self.network.targets(name)[0])))
            s = explicit(node)
            for i, j, w, d in zip(s.source, s.target, s.weight, s.delay_ticks, strict=True):
                core, at = self.accumulator(post, int(j))
                entries[core][pre.first + int(i)][name, s.weight_exp].append((at, int(w), int(d)))
        return [{source: [seg for (_, exp), all_of in forms.items() for seg in self._segments(exp, all_of)]
                 for source, forms in sorted(core.items())} for core in entries]

    def _segments(self, exp: int, entries: list) -> list[tuple[int, int, tuple]]:
        """The entries in one to three rows."""
        cuts = sorted({0, len(entries), *self.rng.integers(0, len(entries), self.rng.integers(0, 3)).tolist()})
        found = []
        for low, high in pairwise(cuts):
            base = min(at for at, _, _ in entries[low:high])
            found.append((exp, base, tuple((at - base, w, d) for at, w, d in entries[low:high])))
        return found

    def program(self) -> LoihiProgram:
        """All of it."""
        axons = self.axons()
        memory = _memory(axons)
        out = [[c for c, core in enumerate(axons) if s in core] for s in range(self.n_inputs + len(self.place))]
        places = self.rng.integers(0, (9, 5), (len(self.cores), 2)).astype(np.int32)
        order = np.concatenate(self.cores)
        arrays = LoihiArrays(
            core_chip=places[:, 0] // 3, core_x=places[:, 0].copy(), core_y=places[:, 1].copy(),
            neuron_ptr=_ptr(self.cores), source_id=order + self.n_inputs, out_ptr=_ptr(out),
            out_core=np.array([c for cores in out for c in cores], np.int32), **memory,
            **columns(list(self.network.populations.values()), order))
        return LoihiProgram("random", "loihi2", "1", "", "", 3, self.inputs, self.populations, {}, arrays,
                            self.network.semantics, graded_input=True)


def _memory(axons: list[dict[int, list[tuple[int, int, tuple]]]]) -> dict:
    """The axon, segment and row columns of LoihiArrays."""
    rows, segments, segment_ptr, core_rows = [], [], [0], []
    for core in axons:
        known: dict = {}
        for parts in core.values():
            for exp, base, entries in parts:
                row = known.setdefault((exp, entries), len(rows))
                rows += [(exp, entries)] if row == len(rows) else []
                segments.append((row, base))
            segment_ptr.append(len(segments))
        core_rows.append(known)
    entries = np.array([e for _, row in rows for e in row], np.int64).reshape(-1, 3)
    used = np.bincount([r for r, _ in segments], minlength=len(rows)) if rows else np.zeros(0)
    return {
        "axon_ptr": _ptr(axons), "axon_source": np.array([s for core in axons for s in core], np.int64),
        "segment_ptr": np.array(segment_ptr, np.int64), "segment_row": np.array([r for r, _ in segments], np.int32),
        "segment_base": np.array([b for _, b in segments], np.int32), "core_row_ptr": _ptr(core_rows),
        "row_ptr": _ptr([row for _, row in rows]), "row_exponent": np.array([e for e, _ in rows], np.int8),
        "row_bits": np.full(len(rows), 8, np.uint8), "row_shared": used > 1, "target": entries[:, 0].astype(np.int32),
        "weight": entries[:, 1].astype(np.int16), "delay": entries[:, 2].astype(np.uint8)}


def _ptr(items) -> np.ndarray:
    """Where the parts of each of some items begin."""
    return np.concatenate([[0], np.cumsum([len(x) for x in items])]).astype(np.int64)


def random_program(rng: np.random.Generator, network: Network) -> LoihiProgram:
    """A program of the network."""
    return Assembler(rng, network).program()
