"""check: does a program do what its network says? Derived from the program's arrays alone, with none of the emitter.

For every source the synapses that its axons lead to (target, weight << exponent, delay) must be exactly those of the
network, as a multiset; outgoing and incoming axons must name the same pairs; every neuron must be placed once, with its
own parameters; senders and readouts must be those of the network.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.expand import explicit
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import ConvSynapses, Output, Synapses
from hwsdk.mappers import check_kernels as kernels
from hwsdk.mappers.check_neurons import check_neurons
from hwsdk.programs.loihi import TWO_PORTS, LoihiProgram, Source

IntArray = NDArray[np.int64]
BLOCK = 1 << 22
"""Synapses that are written out at a time."""


def check(network: Network, program: LoihiProgram) -> None:
    """Hold a program against the integer network that it was made of.

    Raises:
        InternalError: they differ; names the first wrong source and target.
    """
    _check_senders(network, program)
    check_neurons(network, program)
    _check_axons(program)
    wires = _Wires(program)
    for source in (*program.inputs, *program.populations):
        _check_source(network, program, source, wires)


def _check_senders(network: Network, program: LoihiProgram) -> None:
    """Ids without gaps in the order of the network, and readouts that read the same."""
    first = 0
    for source, name in zip((*program.inputs, *program.populations), (*network.inputs, *network.populations),
                            strict=True):
        if (source.name, source.first, source.shape) != (name, first, network.shapes[name]):
            raise InternalError(f"the program's sender {source.name} {source.shape} with ids from {source.first} "
                                f"should be {name} {network.shapes[name]} with ids from {first}")
        first += source.n
    for name in network.of(Output):
        read = {e.source for e in network.sources(name) if e.source in network.populations}
        if read != set(program.outputs.get(name, ())):
            raise InternalError(f"the output {name} reads {sorted(program.outputs.get(name, ()))}, not {sorted(read)}")


def _check_axons(program: LoihiProgram) -> None:
    """The cores that a source sends to must be those that have an axon for it, each once."""
    a, n = program.arrays, program.n_cores
    sent = np.sort(np.repeat(np.arange(len(a.out_ptr) - 1), np.diff(a.out_ptr)) * n + a.out_core)
    received = np.sort(a.axon_source * n + np.repeat(np.arange(n), np.diff(a.axon_ptr)))
    if len(sent) == len(received) and np.array_equal(sent, received) and (np.diff(sent) > 0).all():
        return
    pairs = Counter(sent.tolist())
    pairs.subtract(received.tolist())
    wrong = next((p for p, count in sorted(pairs.items()) if count), int(sent[1:][np.diff(sent) == 0][:1].sum()))
    raise InternalError(f"the axons of {_named(program, wrong // n)} and core {wrong % n} do not match: "
                        f"{pairs[wrong]:+d} outgoing")


@dataclass(frozen=True, slots=True, init=False, eq=False)
class _Wires:
    """The axons of each source, and what the kernels need of a program."""

    axon_ptr: IntArray
    axons: IntArray
    arrays: tuple[Any, ...]

    def __init__(self, program: LoihiProgram) -> None:
        a = program.arrays
        ptr = np.r_[0, np.cumsum(np.bincount(a.axon_source, minlength=len(a.out_ptr) - 1))]
        home = np.repeat(np.arange(program.n_cores), np.diff(a.axon_ptr))
        columns = (a.segment_ptr, a.segment_row, a.segment_base, a.row_ptr, np.int64(1) << a.row_exponent.astype(int),
                   a.target, a.weight.astype(np.int64), a.delay.astype(np.int64), home, *_accumulators(program))
        for name, value in (("axon_ptr", ptr), ("axons", np.argsort(a.axon_source, kind="stable")),
                            ("arrays", columns)):
            object.__setattr__(self, name, value)


def _accumulators(program: LoihiProgram) -> tuple[IntArray, IntArray]:
    """(first accumulator of each core, identity of each): a neuron's id, for its second input plus all ids."""
    a, total = program.arrays, len(program.arrays.out_ptr) - 1
    two = np.zeros(total, bool)
    for s in program.populations:
        two[s.first : s.first + s.n] = s.model in TWO_PORTS
    parts, ptr = [], [0]
    for c in range(program.n_cores):
        own = a.source_id[a.neuron_ptr[c] : a.neuron_ptr[c + 1]]
        parts += [own, own[two[own]] + total]
        ptr.append(ptr[-1] + len(own) + len(parts[-1]))
    return np.array(ptr, np.int64), np.concatenate(parts)


@dataclass(frozen=True, slots=True, eq=False)
class _Projection:
    """Synapses that leave a source, sorted by it, with the identity of each target; ways: of a convolution, by axis."""

    node: Synapses | ConvSynapses
    identity: IntArray
    ptr: IntArray
    ways: tuple[Any, ...] = ()

    def count(self, low: int, sizes: IntArray) -> None:
        """Add the synapses of each source from low on."""
        if isinstance(self.node, Synapses):
            sizes += np.diff(self.ptr[low : low + len(sizes) + 1])
        else:
            per_group = self.node.weight.shape[0] // self.node.groups
            kernels.conv_sizes(low, low + len(sizes), _three(self.node.pre_shape[1:]), self.ways, per_group, sizes)

    def write(self, low: int, at: IntArray, target: IntArray, key: IntArray) -> None:
        """Write them where ``at`` says."""
        node, factor = self.node, 1 << self.node.weight_exp
        if isinstance(node, Synapses):
            kernels.explicit_synapses(low, self.ptr, node.target, node.weight.astype(np.int64), node.delay_ticks,
                                      factor, self.identity, at, target, key)
        else:
            weight = node.weight.reshape(*node.weight.shape[:2], -1).astype(np.int64)
            kernels.conv_synapses(low, low + len(at), _three(node.pre_shape[1:]), _three(node.conv_shape[1:]),
                                  _three(node.kernel), self.ways, weight, node.groups, factor, node.delay_ticks,
                                  self.identity, at, target, key)


def _three(sizes: tuple[int, ...]) -> IntArray:
    """Sizes of three axes, 1 for those that there are not."""
    return np.array([1] * (3 - len(sizes)) + list(sizes), np.int64)


def _projection(network: Network, program: LoihiProgram, name: str, target: str) -> _Projection:
    """One connection of the network; convolutions of more than three axes are written out."""
    node = network.nodes[name]
    if not isinstance(node, Synapses | ConvSynapses):
        raise InternalError(f"{name} is no projection")
    s = next(s for s in program.populations if s.name == target)
    identity = s.first + np.arange(s.n)
    if s.model in TWO_PORTS:
        identity = np.concatenate([identity, identity + len(program.arrays.out_ptr) - 1])
    if isinstance(node, ConvSynapses) and len(node.kernel) <= 3:
        return _Projection(node, identity, np.zeros(0, np.int64), _ways(node))
    flat = explicit(node)
    order = np.argsort(flat.source, kind="stable")
    if (np.diff(flat.source) < 0).any():
        flat = Synapses(flat.pre_shape, flat.post_shape, flat.source[order], flat.target[order], flat.weight[order],
                        flat.delay_ticks[order], None, flat.weight_exp)
    return _Projection(flat, identity, np.searchsorted(flat.source, np.arange(math.prod(flat.pre_shape) + 1)))


def _ways(node: ConvSynapses) -> tuple[tuple[IntArray, IntArray, IntArray], ...]:
    """For each of three axes (pointers, output positions, offsets) by input position: where an input can go."""
    found = [(np.array([0, 1]), np.zeros(1, np.int64), np.zeros(1, np.int64))] * (3 - len(node.kernel))
    for n, m, k, s, (before, _), d in zip(node.pre_shape[1:], node.conv_shape[1:], node.kernel, node.stride,
                                          node.padding, node.dilation, strict=True):
        out, offset = [], []
        ptr = [0]
        for q in range(n):
            for tap in range(k):
                step, rest = divmod(q + before - tap * d, s)
                if rest == 0 and 0 <= step < m:
                    out.append(step)
                    offset.append(tap)
            ptr.append(len(out))
        found.append((np.array(ptr), np.array(out, np.int64), np.array(offset, np.int64)))
    return tuple(found)


def _leaving(network: Network, program: LoihiProgram, name: str) -> Iterator[_Projection]:
    """The connections that leave a sender, one for each population that they reach."""
    for edge in network.targets(name):
        if isinstance(network.nodes[edge.target], Synapses | ConvSynapses):
            for behind in network.targets(edge.target):
                yield _projection(network, program, edge.target, behind.target)


def _check_source(network: Network, program: LoihiProgram, source: Source, wires: _Wires) -> None:
    """All synapses that leave one input or population."""
    leaving = list(_leaving(network, program, source.name))
    sizes = np.zeros(source.n, np.int64)
    for p in leaving:
        p.count(0, sizes)
    ends = np.cumsum(sizes)
    identities = 2 * (len(program.arrays.out_ptr) - 1)
    seen, expected, low = np.zeros(identities, np.int64), np.zeros(identities, np.int64), 0
    while low < source.n:
        before = ends[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(ends, before + BLOCK, "right")))
        _check_block(program, source, wires, leaving, low, sizes[low:high], seen, expected)
        low = high


def _check_block(program: LoihiProgram, source: Source, wires: _Wires, leaving: list[_Projection], low: int,
                 sizes: IntArray, seen: NDArray[Any], expected: IntArray) -> None:
    """Some consecutive elements of a sender."""
    start = np.r_[0, np.cumsum(sizes)]
    target, key, end = np.empty(start[-1], np.int64), np.empty(start[-1], np.int64), start[:-1].copy()
    for p in leaving:
        p.write(low, end, target, key)
    done = 0
    while done < len(sizes):
        kind, at, to, wanted, found = kernels.compare(
            source.first + low + done, start[done:-1], end[done:], target, key, wires.axon_ptr, wires.axons,
            wires.arrays, seen, expected)
        if kind == kernels.EQUAL:
            return
        done = at - source.first - low
        if kind != kernels.SEVERAL:
            raise InternalError(_complaint(program, kind, at, to, wanted, found))
        own = slice(start[done], end[done])
        _compare_all(program, at, target[own], key[own], wires)
        done += 1


def _compare_all(program: LoihiProgram, source: int, target: IntArray, key: IntArray, wires: _Wires) -> None:
    """One source of which several synapses reach one target: as multisets."""
    axons = wires.axons[wires.axon_ptr[source] : wires.axon_ptr[source + 1]]
    got_target, got_key = kernels.heard(axons, wires.arrays)
    wanted = Counter(zip(target.tolist(), key.tolist(), strict=True))
    found = Counter(zip(got_target.tolist(), got_key.tolist(), strict=True))
    if wanted == found:
        return
    lacking, surplus = wanted - found, found - wanted
    to = min((t for t, _ in (*lacking, *surplus)))
    there = [k for t, k in lacking if t == to], [k for t, k in surplus if t == to]
    kind = kernels.DIFFERENT if all(there) else kernels.MISSING if there[0] else kernels.EXTRA
    raise InternalError(_complaint(program, kind, source, to, *(min(k, default=0) for k in there)))


def _complaint(program: LoihiProgram, kind: int, source: int, target: int, wanted: int, found: int) -> str:
    """What is wrong with one pair."""
    if kind == kernels.OUTSIDE:
        return f"a row that {_named(program, source)} uses on core {target} reaches past the core's neurons"
    text = {kernels.MISSING: f"lacks its synapse ({_synapse(wanted)})",
            kernels.EXTRA: f"has a synapse too many ({_synapse(found)})",
            kernels.DIFFERENT: f"should be {_synapse(wanted)}, is {_synapse(found)}"}[kind]
    return f"the program's connection {_named(program, source)} -> {_named(program, target)} {text}"


def _synapse(key: int) -> str:
    """A key in words."""
    return f"weight {key // 256}, {key % 256} steps"


def _named(program: LoihiProgram, identity: int) -> str:
    """A source or target as population[index]."""
    total = len(program.arrays.out_ptr) - 1
    port = ", second input" if identity >= total else ""
    for s in (*program.inputs, *program.populations):
        if s.first <= identity % total < s.first + s.n:
            return f"{s.name}[{identity % total - s.first}]{port}"
    return f"id {identity}"
