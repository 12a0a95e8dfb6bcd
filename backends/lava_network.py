"""A LoihiProgram as Lava's processes see it: populations in groups of equal parameters, and the links between them.

Everything comes from the program's arrays. Lava's neuron processes have one decay and threshold each, so a population
with several becomes several processes; its connection processes have one weight for each pair of neurons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.programs.loihi import MODELS, RESETS, TWO_PORTS, LoihiProgram, Source

Ints = NDArray[np.int64]
NO_SPIKE = 1 << 17
"""A threshold that v, at most 2^23 - 1, never passes: 2^17 << 6 = 2^23."""
SHARED: dict[str, tuple[str, ...]] = {
    "lif": ("du", "dv", "vth", "reset_interval", "reset_offset"),
    "atrlif": ("du", "dv", "vth", "dtheta", "dr", "theta_step"),
    "rf": ("vth", "sin", "cos", "decay_bits", "state_exp"),
    "rf_iz": ("vth", "sin", "cos", "decay_bits", "state_exp"),
    "sigma_delta": ("vth", "spike_exp", "state_exp", "relu", "cum_error"),
    "delta": ("vth", "spike_exp", "state_exp", "cum_error"),
    "graded": ("vth",),
    "graded_relu": ("vth",),
}
"""Neuron model -> the parameters that one Lava process has once."""
OWN: dict[str, tuple[str, ...]] = {
    "lif": ("bias", "u_init", "v_init"), "atrlif": ("bias", "u_init", "v_init"), "rf": ("u_init", "v_init"),
    "rf_iz": ("u_init", "v_init"), "sigma_delta": ("bias",), "delta": (), "graded": (), "graded_relu": (),
}
"""Neuron model -> the parameters that each neuron of a Lava process has."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Neurons of one population that are one Lava process, or an input.

    index (n): which elements of the population, in the process's order. shared: see SHARED. own: see OWN, (n) each.
    cores: where they are. shape: of the process, None for (n,).
    """

    population: Source
    number: int
    index: Ints
    shared: dict[str, int]
    own: dict[str, Ints]
    cores: tuple[int, ...]
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """A link as a cross-correlation: weight (C_out, C_in / groups, height, width), stride and padding (y, x), each
    padding on both sides. reach: the largest sum of |weights| into one neuron, exponent included.
    """

    weight: Ints
    groups: int
    stride: tuple[int, int]
    padding: tuple[int, int]
    reach: int


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """Synapses that are one Lava connection: at most one for each pair of neurons.

    source: name of the sender, and number of its group (None for an input). target: the receiving group; port: 0, or 1
    for the imaginary part. pre, post: indices into the two processes; shape: (targets, sources). weight: on the grid of
    ``bits``; ``mode`` is a Lava SignMode that leaves every weight as it is. cores: whose rows these are. shared: are
    they rows of a convolution kernel? kernel: this, where a Lava convolution does the same.
    """

    source: tuple[str, int | None]
    target: tuple[str, int]
    port: int
    pre: Ints
    post: Ints
    weight: Ints
    delay: Ints
    shape: tuple[int, int]
    exponent: int
    bits: int
    mode: str
    cores: tuple[int, ...]
    shared: bool
    kernel: Kernel | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LavaNetwork:
    """Inputs, populations (each as its groups) and links."""

    inputs: dict[str, Group]
    groups: dict[str, tuple[Group, ...]]
    links: tuple[Link, ...]

    def end(self, name: str, number: int | None) -> Group:
        """A group, or an input where the number is None."""
        return self.inputs[name] if number is None else self.groups[name][number]


def lava_network(program: LoihiProgram) -> LavaNetwork:
    """The program in Lava's terms.

    Raises:
        UnsupportedError: NOT_IN_LAVA: a part that Lava's fixed-point models do not have.
    """
    cells = _columns(program)
    groups = {s.name: tuple(_groups(program, s, cells)) for s in program.populations}
    inputs = {s.name: Group(s, 0, np.arange(s.n), {}, {}, ()) for s in program.inputs}
    return LavaNetwork(inputs, groups, tuple(_links(program, groups)))


def _columns(program: LoihiProgram) -> dict[str, Ints]:
    """Neuron parameter -> (N), by id; and ``core``. What the rows of extra hold depends on the model: row0 to row3."""
    a = program.arrays
    order = np.argsort(a.source_id)
    names = ("du", "dv", "vth", "bias", "u_init", "v_init", "reset", "reset_by")
    found = {name: getattr(a, name).astype(np.int64)[order] for name in names}
    extra = a.extra if a.extra.shape[1] else np.zeros((4, program.n_neurons), np.int32)
    found |= {f"row{k}": row.astype(np.int64)[order] for k, row in enumerate(extra)}
    return found | {"core": program.core_of().astype(np.int64)[order]}


def _groups(program: LoihiProgram, s: Source, columns: dict[str, Ints]) -> Iterator[Group]:
    """The Lava processes of a population."""
    first = s.first - sum(i.n for i in program.inputs)
    mine = {name: column[first : first + s.n] for name, column in columns.items()}
    mine |= {name: mine[f"row{k}"] for k, name in enumerate(MODELS[s.model])}
    _require(s, mine)
    if s.model == "lif" and not s.fires:
        mine["vth"] = np.full(s.n, NO_SPIKE, np.int64)
    names = SHARED[s.model]
    table = np.stack([mine[name] for name in names])
    values, member = np.unique(table, axis=1, return_inverse=True)
    for k, column in enumerate(values.T):
        index = np.flatnonzero(member.ravel() == k)
        own = {name: mine[name][index] for name in OWN[s.model]}
        cores = tuple(int(c) for c in np.unique(mine["core"][index]))
        yield Group(s, k, index, dict(zip(names, map(int, column), strict=True)), own, cores)


def _require(s: Source, mine: dict[str, Ints]) -> None:
    """Refuse what Lava's fixed-point models lack."""
    if s.model == "lif" and s.fires and (mine["reset"] != RESETS.index("value")).any():
        raise UnsupportedError("reset by subtraction; Lava's LIF sets v to 0 at a spike", where=s.name,
                               code="NOT_IN_LAVA", fix="train with reset to a value, or use the engine hwsdk")
    if s.model == "lif" and s.fires and mine["refractory"].any():
        raise UnsupportedError("a refractory time; Lava's LIFRefractory has no fixed-point model", where=s.name,
                               code="NOT_IN_LAVA", fix="leave the refractory time out, or use the engine hwsdk")
    if "bias" in OWN[s.model] and s.model in ("lif", "atrlif"):
        mantissas(mine["bias"], s.name)


def mantissas(bias: Ints, where: str) -> tuple[Ints, Ints]:
    """(mantissa, exponent) of each bias, in Lava's 13 and 3 bits, with the smallest exponent.

    Raises:
        UnsupportedError: NOT_IN_LAVA: a bias has no such form.
    """
    mantissa, exponent = bias.copy(), np.zeros_like(bias)
    for _ in range(7):
        wide = (mantissa < -4096) | (mantissa > 4095)
        mantissa, exponent = np.where(wide, mantissa >> 1, mantissa), exponent + wide
    bad = (mantissa << exponent != bias) | (mantissa < -4096) | (mantissa > 4095)
    if bad.any():
        raise UnsupportedError(f"a bias of {int(bias[bad][0])}, Lava has 13 bits times 2^0 to 2^7", where=where,
                               code="NOT_IN_LAVA", fix="use the engine hwsdk, or a bias of that form")
    return mantissa, exponent


@dataclass(frozen=True, slots=True, eq=False)
class _Synapses:
    """Every synapse of the program: ids of source and target, port of the target, row of its core, core."""

    source: Ints
    target: Ints
    port: Ints
    row: Ints
    core: Ints
    weight: Ints
    delay: Ints

    def of(self, chosen: Ints) -> _Synapses:
        """Some of them."""
        return _Synapses(*(getattr(self, f)[chosen] for f in self.__slots__))


def _synapses(program: LoihiProgram) -> _Synapses:
    """Axons, segments and rows written out; synapses of weight 0 are left out."""
    a = program.arrays
    axon_core = np.repeat(np.arange(program.n_cores), np.diff(a.axon_ptr))
    per_axon = np.diff(a.segment_ptr)
    length = np.diff(a.row_ptr)[a.segment_row]
    start = np.repeat(a.row_ptr[a.segment_row] - np.cumsum(length) + length, length)
    entry = start + np.arange(len(start))
    source = a.axon_source.repeat(per_axon).repeat(length)
    core = axon_core.repeat(per_axon).repeat(length)
    local = a.segment_base.repeat(length) + a.target[entry]
    neuron, port = _accumulators(program, core, local.astype(np.int64))
    found = _Synapses(source, a.source_id[neuron], port, a.segment_row.repeat(length).astype(np.int64), core,
                      a.weight[entry].astype(np.int64), a.delay[entry].astype(np.int64))
    return found.of(np.flatnonzero(found.weight))


def _accumulators(program: LoihiProgram, core: Ints, local: Ints) -> tuple[Ints, Ints]:
    """(neuron in core order, port) of accumulators of cores."""
    a = program.arrays
    size = np.diff(a.neuron_ptr)[core]
    second = local >= size
    n_inputs = sum(s.n for s in program.inputs)
    two = np.concatenate([np.zeros(0, bool), *(np.full(s.n, s.model in TWO_PORTS) for s in program.populations)])
    having = np.flatnonzero(two[a.source_id - n_inputs])
    before = np.searchsorted(having, a.neuron_ptr[:-1])
    neuron = a.neuron_ptr[core] + local
    neuron[second] = having[(before[core] + local - size)[second]]
    return neuron, second.astype(np.int64)


def _links(program: LoihiProgram, groups: dict[str, tuple[Group, ...]]) -> Iterator[Link]:
    """One Lava connection for each (sender's process, receiver's process, port, row format, synapse of a pair)."""
    synapses = _synapses(program)
    if not len(synapses.weight):
        return
    senders = (*program.inputs, *program.populations)
    starts = np.array([s.first for s in senders])
    part, within = _places(senders, groups)
    pre, post = (np.searchsorted(starts, ids, "right") - 1 for ids in (synapses.source, synapses.target))
    form = _formats(program, synapses)
    columns = (pre, part[synapses.source], post, part[synapses.target], synapses.port, form)
    key = _one_number((*columns, _repeats(synapses, form)))
    _, first, member = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(member.ravel().astype(np.min_scalar_type(len(first))), kind="stable")
    for at, chosen in zip(first, np.split(order, np.cumsum(np.bincount(member.ravel()))[:-1]), strict=True):
        kind = tuple(int(c[at]) for c in columns)
        for signed in _by_sign(synapses.of(chosen), kind[-1] // 2 % 256):
            yield _link(program, groups, kind, signed, within)


def _by_sign(s: _Synapses, bits: int) -> tuple[_Synapses, ...]:
    """As one, or the excitatory and the inhibitory ones apart: only weights of one sign have the grid's lowest bit."""
    positive = s.weight > 0
    if positive.all() or not positive.any() or not (s.weight % (1 << (9 - bits))).any():
        return (s,)
    return s.of(np.flatnonzero(positive)), s.of(np.flatnonzero(~positive))


def _one_number(columns: tuple[Ints, ...]) -> Ints:
    """Rows of small non-negative integers as one number each, in the same order."""
    key = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        key = key * (int(column.max()) + 1) + column
    return key


def _places(senders: tuple[Source, ...], groups: dict[str, tuple[Group, ...]]) -> tuple[Ints, Ints]:
    """(group, place in it) of every id; inputs are one group."""
    total = senders[-1].first + senders[-1].n
    part, within = np.zeros(total, np.int64), np.zeros(total, np.int64)
    for s in senders:
        within[s.first : s.first + s.n] = np.arange(s.n)
        for g in groups.get(s.name, ()):
            part[s.first + g.index], within[s.first + g.index] = g.number, np.arange(len(g.index))
    return part, within


def _formats(program: LoihiProgram, synapses: _Synapses) -> Ints:
    """Exponent, bits and "shared" of each synapse as one number."""
    a = program.arrays
    exponent = a.row_exponent.astype(np.int64)[synapses.row]
    if (exponent < 0).any():
        raise UnsupportedError("a negative weight exponent, whose rounding depends on which synapses are summed first",
                               where=program.name, code="NOT_IN_LAVA", fix="use the engine hwsdk")
    return (exponent * 256 + a.row_bits.astype(np.int64)[synapses.row]) * 2 + a.row_shared[synapses.row]


def _repeats(synapses: _Synapses, form: Ints) -> Ints:
    """How many synapses of the same pair and format come before each."""
    kind = np.unique(form, return_inverse=True)[1].ravel()
    pair = _one_number((synapses.source, synapses.target, synapses.port, kind))
    ordered = np.sort(pair)
    if not (ordered[1:] == ordered[:-1]).any():
        return np.zeros(len(pair), np.int64)
    order = np.lexsort((synapses.delay, pair))
    new = np.r_[True, pair[order][1:] != pair[order][:-1]]
    at = np.arange(len(order))
    count = np.empty(len(order), np.int64)
    count[order] = at - np.maximum.accumulate(np.where(new, at, 0))
    return count


def _link(program: LoihiProgram, groups: dict[str, tuple[Group, ...]], kind: tuple[int, ...], s: _Synapses,
          within: Ints) -> Link:
    """One connection of the synapses ``s``."""
    pre, part, post, to, port, form = kind
    senders = (*program.inputs, *program.populations)
    source, target = senders[pre], senders[post]
    n_pre = len(groups[source.name][part].index) if source.name in groups else source.n
    exponent, bits = divmod(form // 2, 256)
    order = np.lexsort((within[s.source], within[s.target]))
    return Link((source.name, part if source.name in groups else None), (target.name, to), port,
                within[s.source][order], within[s.target][order], s.weight[order], s.delay[order],
                (len(groups[target.name][to].index), n_pre), exponent, bits,
                sign_mode(s.weight, bits, f"{source.name} -> {target.name}"),
                tuple(int(c) for c in np.unique(s.core)), bool(form % 2))


def sign_mode(weight: Ints, bits: int, where: str) -> str:
    """The Lava SignMode under which these weights stay as they are (lava.utils.weightutils: clip, then truncate).

    Raises:
        UnsupportedError: NOT_IN_LAVA: none does.
    """
    low, high = int(weight.min()), int(weight.max())
    signed = ("MIXED", 9 - bits, -256, 255)
    one_sign = ("EXCITATORY", 8 - bits, 0, 255) if low >= 0 else ("INHIBITORY", 8 - bits, -255, 0)
    for mode, step, least, most in (signed, one_sign):
        if least <= low and high <= most and not (weight % (1 << step)).any():
            return mode
    raise UnsupportedError(f"weights of {low} to {high} that {bits} bits cannot hold", where=where, code="NOT_IN_LAVA",
                           fix="compile the model again")
