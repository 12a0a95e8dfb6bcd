"""Whether a crossbar program is the network: cells are decoded back to weights, and every synapse is found once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hwsdk.errors import InternalError
from hwsdk.ir.expand import meetings
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import ConvSynapses
from hwsdk.mappers.memristor_codes import largest, per_siemens
from hwsdk.mappers.memristor_conv import Kernel
from hwsdk.mappers.memristor_matrix import Line, Matrix
from hwsdk.mappers.memristor_options import MapOptions, code_of
from hwsdk.mappers.memristor_parts import Part, link_name, parts_of
from hwsdk.mappers.memristor_place import first_columns
from hwsdk.programs.crossbar import Block, CrossbarProgram

Array = NDArray[Any]
Floats = NDArray[np.float64]
ROUNDING, TINY = 1e-9, float(np.finfo(np.float64).tiny)
"""Of the largest weight: what decoding in float64 may add; and numbers below which it has fewer digits."""


def check(lowered: Network, program: CrossbarProgram, options: MapOptions | None = None) -> None:
    """Hold a program against its network.

    Args:
        options: with which it was made. None: scales and levels are then taken from the cells, and a weight may be
            clipped at the largest that its neighbours hold.

    Raises:
        InternalError: what differs.
    """
    _check_places(program)
    for target in lowered.populations:
        blocks = [x for x in program.blocks if x.target == target]
        kernels = frozenset(x.name.rpartition("/")[0] for x in blocks if x.uses > 1)
        chosen = options or MapOptions(native=_native(blocks), scale=_scale(lowered, target, blocks))
        for part in parts_of(lowered, target, chosen, kernels):
            own = [x for x in blocks if x.name.rpartition("/")[0] == part.name]
            bound = _seen(part, own, program) if options is None else _bound(part, program, options)
            if part.matrix is not None:
                _check_matrix(part, part.matrix, own, program, bound)
            elif part.kernel is not None:
                _check_kernel(part, part.kernel, own, program, bound)
            blocks = [x for x in blocks if x not in own]
        if blocks:
            raise InternalError(f"block {blocks[0].name} stands for nothing in the network")


def _native(blocks: Sequence[Block]) -> tuple[str, ...]:
    """The links whose weights are the devices' own."""
    return tuple({f"{s.source}->{x.target}": None for x in blocks if x.kind == "native" for s in x.segments})


def _scale(lowered: Network, target: str, blocks: Sequence[Block]) -> str:
    """Do the blocks into a population belong to one source each? Scales are then taken from the cells."""
    parts = {x.name.rpartition("/")[0] for x in blocks}
    apart = any(link_name(lowered, s.source, target) in parts for x in blocks for s in x.segments)
    return "source" if apart else "matrix"


@dataclass(frozen=True, slots=True, eq=False)
class _Bound:
    """(n,) the largest weight of each neuron, and how far a decoded weight may be off."""

    top: Floats
    slack: Floats


def _bound(part: Part, program: CrossbarProgram, options: MapOptions) -> _Bound:
    """From the scales and levels of a part."""
    code = code_of(program.physics, options)
    top = largest(part.values, part.owner, part.owners, options)[part.owner_of]
    half = 0.0 if code.top is None else code.step_s / 2
    exact = code.exact and np.frexp(program.physics.volts)[0] == 0.5
    rounding = np.zeros_like(top) if exact else ROUNDING * top + TINY
    return _Bound(top, per_siemens(code, program.physics, top) * half + rounding)


def _seen(part: Part, blocks: Sequence[Block], program: CrossbarProgram) -> _Bound:
    """From the cells: of all neurons with one scale the largest weight, and half the smallest step between weights."""
    n = len(part.owner_of)
    unit, held, outs = np.zeros(n), [np.zeros(0)], [np.zeros(0, np.int64)]
    for x in blocks if not part.native else ():
        weight, where = weights_of(program, x)
        out = x.entry_out[0]
        unit[out] = np.abs(x.entry_coef)
        held.append(np.abs(weight).ravel())
        outs.append(np.broadcast_to(out[where], weight.shape).ravel())
        for use in x.entry_out[1:]:
            unit[use] = unit[out]
    _, group = np.unique(unit, return_inverse=True)
    values, owner = np.concatenate(held), group[np.concatenate(outs)]
    top, slack = np.zeros(group.max(initial=0) + 1), np.zeros(group.max(initial=0) + 1)
    for k in np.unique(owner):
        own = np.unique(np.append(values[owner == k], 0.0))
        gaps = np.diff(own)
        top[k] = own[-1]
        slack[k] = gaps[gaps > ROUNDING * own[-1]].min(initial=own[-1]) / 2 + ROUNDING * own[-1] + TINY
    return _Bound(top[group], slack[group])


def weights_of(program: CrossbarProgram, block: Block) -> tuple[Floats, Array]:
    """(weight (R, N), column of each entry (E,)): what a block multiplies its rows with, N different outputs."""
    first = block.entry_out[0]
    _, where, column = np.unique(first, return_index=True, return_inverse=True)
    if not (block.entry_out == block.entry_out[:, where][:, column]).all():
        raise InternalError(f"block {block.name} sums differently from use to use")
    channel = _grouped(block.target_s * block.sign, block.channel, block.channels)
    volts = program.physics.volts
    return _grouped(channel[:, block.entry_channel] * (block.entry_coef * volts), column, len(where)), where


def _grouped(values: Floats, group: Array, groups: int) -> Floats:
    """(R, groups) sums of columns, in their order."""
    found = np.zeros((groups, len(values)))
    np.add.at(found, group, values.T)
    return found.T


def _formed(block: Block) -> tuple[Array, Array]:
    """(is there a pair of formed cells (R, N), column of each entry) of a native block."""
    _, where, column = np.unique(block.entry_out[0], return_index=True, return_inverse=True)
    per_channel = _grouped(block.mask.astype(np.float64), block.channel, block.channels)
    count = _grouped(per_channel[:, block.entry_channel], column, len(where))
    if not np.isin(count, (0, 2)).all():
        raise InternalError(f"block {block.name} has half a pair")
    return count == 2, where


def _compare(part: Part, block: Block, program: CrossbarProgram, wanted: Floats, outs: Array, bound: _Bound) -> None:
    """Hold the cells of a block against weights."""
    if part.native:
        found: Array = _formed(block)[0]
        bad = found != (wanted != 0)
    else:
        found = weights_of(program, block)[0]
        top = bound.top[outs]
        slack = np.where(wanted != 0, bound.slack[outs], ROUNDING * top + TINY)
        bad = np.abs(found - np.clip(wanted, -top, top)) > slack
    if bad.any():
        r, c = np.argwhere(bad)[0]
        raise InternalError(f"block {block.name}: the weight of row {r} to neuron {outs[c]} should be "
                            f"{wanted[r, c]:g}, is {found[r, c]:g}")


def _check_matrix(part: Part, matrix: Matrix, blocks: Sequence[Block], program: CrossbarProgram, bound: _Bound) -> None:
    """Blocks that are read once a step."""
    number = sparse.csr_matrix((np.arange(1, matrix.weight.nnz + 1), matrix.weight.indices, matrix.weight.indptr),
                               matrix.weight.shape)
    seen = np.zeros(matrix.weight.nnz + 1, np.int64)
    for x in blocks:
        _, where, _ = np.unique(x.entry_out[0], return_index=True, return_inverse=True)
        rows, outs = _rows(matrix.lines, x), x.entry_out[0][where].astype(np.int64)
        own = number[rows][:, outs].toarray()
        np.add.at(seen, own.ravel(), 1)
        _compare(part, x, program, np.where(own > 0, matrix.weight.data[own - 1], 0.0), outs, bound)
    if (seen[1:] != 1).any():
        k = int(np.flatnonzero(seen[1:] != 1)[0])
        raise InternalError(f"synapse {k} of {part.name} has {seen[1 + k]} places")


def _rows(lines: Sequence[Line], block: Block) -> Array:
    """(R,) the rows of the matrix that a block's rows are."""
    first = {(x.source, x.delay_ticks): x.first for x in lines}
    starts = [first[s.source, s.delay_ticks] for s in block.segments]
    return np.asarray(np.repeat(starts, [s.rows for s in block.segments]) + block.row_source[0], np.int64)


def _check_kernel(part: Part, kernel: Kernel, blocks: Sequence[Block], program: CrossbarProgram, bound: _Bound) -> None:
    """Blocks that are read for every output position: each weight of the kernel lies in one place, and meets as many
    inputs as in the convolution.
    """
    node = kernel.node
    seen = np.zeros(node.weight.size, np.int64)
    for x in blocks:
        _, where, _ = np.unique(x.entry_out[0], return_index=True, return_inverse=True)
        outs = x.entry_out[:, where].astype(np.int64)
        if any(len(np.unique(outs[:, k])) < len(outs) for k in range(outs.shape[1])):
            raise InternalError(f"block {x.name} gives a neuron the same sum twice")
        if [(s.source, s.delay_ticks) for s in x.segments] != [(kernel.source, node.delay_ticks)]:
            raise InternalError(f"block {x.name} hears other rows than {kernel.source}")
        index = _kernel_index(node, x, outs)
        wanted = np.where(index >= 0, node.weight.ravel()[index], 0.0)
        _compare(part, x, program, wanted, outs[0], bound)
        met = (x.row_source >= 0).sum(axis=0)
        live = (index >= 0) & (wanted != 0)
        np.add.at(seen, index[live], np.broadcast_to(met[:, None], index.shape)[live])
    expected = ((node.weight != 0) * meetings(node)).ravel()
    if (seen != expected).any():
        k = int(np.flatnonzero(seen != expected)[0])
        raise InternalError(f"weight {k} of the kernel {part.name} meets {seen[k]} inputs, not {expected[k]}")


def _kernel_index(node: ConvSynapses, block: Block, outs: Array) -> Array:
    """(R, N) the flat index in the kernel of the weight between a row and a column, -1 where groups do not meet. From
    where elements and neurons lie; the same in every use.
    """
    n_in, n_out = node.pre_shape[1:], node.conv_shape[1:]
    group_in, group_out = node.weight.shape[1], node.weight.shape[0] // node.groups
    source, out = block.row_source.astype(np.int64), outs[:, 0] % prod(n_out)
    if (outs % prod(n_out) != out[:, None]).any():
        raise InternalError(f"block {block.name} reads several positions at once")
    at_in, at_out = np.unravel_index(source.clip(0) % prod(n_in), n_in), np.unravel_index(out, n_out)
    offset = np.zeros(source.shape, np.int64)
    axes = zip(at_in, at_out, node.kernel, node.stride, node.padding, node.dilation, strict=True)
    for i, o, k, s, (lo, _), d in axes:
        along, rest = np.divmod(i - (o * s - lo)[:, None], d)
        outside = (source >= 0) & ((rest != 0) | (along < 0) | (along >= k))
        if outside.any():
            raise InternalError(f"block {block.name} reads an input outside of the kernel")
        offset = offset * k + along
    flat = np.where(source >= 0, source // prod(n_in) * prod(node.kernel) + offset, -1)
    row = flat.max(axis=0)
    if (np.where(source >= 0, flat, row) != row).any():
        raise InternalError(f"a row of block {block.name} stands for several weights")
    size = prod(node.kernel)
    c_in, c_out = row // size, outs[0] // prod(n_out)
    meet = (c_in // group_in)[:, None] == (c_out // group_out)[None, :]
    index = (c_out[None, :] * group_in + (c_in % group_in)[:, None]) * size + (row % size)[:, None]
    return np.where(meet, index, -1)


def _check_places(program: CrossbarProgram) -> None:
    """No cell and no converter is taken twice."""
    p = program.physics
    taken: dict[int, list[Array]] = {}
    for x in program.blocks:
        if not (0 <= x.row_at.min() <= x.row_at.max() < p.rows and 0 <= x.col_at.min() <= x.col_at.max() < p.columns):
            raise InternalError(f"block {x.name} lies outside of its macro")
        taken.setdefault(x.macro, []).append(cells_at(x, p.columns))
        if doubly_used(x, p.mux):
            raise InternalError(f"block {x.name} has a converter with two channels in a phase")
    for macro, cells in taken.items():
        if twice(np.concatenate(cells)):
            raise InternalError(f"a cell of macro {macro} is taken twice")


def cells_at(block: Block, columns: int) -> Array:
    """The physical cells of a block, as numbers."""
    return (block.row_at.astype(np.int64)[:, None] * columns + block.col_at).ravel()


def twice(cells: Array) -> bool:
    """Is any number there twice?"""
    ordered = np.sort(cells)
    return bool((ordered[1:] == ordered[:-1]).any())


def doubly_used(block: Block, mux: int) -> bool:
    """Does a converter read two channels in a phase, or none in a phase that there is not?"""
    busy = first_columns(block.channel, block.col_at) // mux * mux + block.phase
    return len(np.unique(busy)) < len(busy) or bool((block.phase < 0).any() or (block.phase >= mux).any())
