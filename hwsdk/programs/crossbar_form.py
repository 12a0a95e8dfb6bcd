"""Whether a CrossbarProgram holds together, so that nobody reads beside its arrays: a file may be broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ProgramError
from hwsdk.programs.crossbar import BLOCK_ARRAYS, CELL_ARRAYS, READOUT_ARRAYS, Block, CrossbarProgram
from hwsdk.programs.crossbar_body import require_body

Array = NDArray[Any]
TYPES = {"target_s": "f8", "mask": "u1", "sign": "i1", "step_a": "f8", "entry_coef": "f8"}
"""Arrays of a block that are not int32."""
OPTIONAL = ("refractory", "gain")
"""Arrays of a population that may be missing."""
MOST_INPUTS = 1 << 31
"""Elements of an input; rows name them by int32."""


def require_form(program: CrossbarProgram) -> CrossbarProgram:
    """The program itself, if it holds together.

    Raises:
        ProgramError: INCONSISTENT, which part of it.
    """
    for part in PARTS:
        for problem in part(program):
            raise ProgramError(problem, where=str(program.name), code="INCONSISTENT", fix="compile the model again")
    return program


def _body(program: CrossbarProgram) -> Iterator[str]:
    """Fields of another type, or out of range."""
    try:
        require_body(json.loads(json.dumps(program._body())))
    except (ValueError, TypeError, AttributeError) as error:
        yield " ".join(str(error).split())


def _names(program: CrossbarProgram) -> Iterator[str]:
    """Two parts of one name, and names of nothing."""
    senders = [p.name for p in program.inputs] + [p.name for p in program.populations]
    populations = {p.name for p in program.populations}
    for names in (senders, [b.name for b in program.blocks]):
        if len(set(names)) < len(names):
            yield "two parts have the same name"
    yield from (f"output {n} reads {s}, which is no population" for n, sources in program.outputs.items()
                for s in sources if s not in populations)
    yield from (f"block {b.name} sums for {b.target}, which is no population" for b in program.blocks
                if b.target not in populations)
    for b in program.blocks:
        yield from (f"block {b.name} hears {s.source} {s.delay_ticks} steps late" for s in b.segments
                    if s.source not in senders or (s.delay_ticks < 1 and s.source in populations))
    yield from (f"input {p.name} has the shape {list(p.shape)}" for p in program.inputs if p.n >= MOST_INPUTS)


def _populations(program: CrossbarProgram) -> Iterator[str]:
    """Parameters of neurons that are missing, of another shape, or no numbers."""
    for p in program.populations:
        lead = p.cell.decay_u
        for name in CELL_ARRAYS:
            x: Array | None = getattr(p.cell, name)
            if x is None:
                if name not in OPTIONAL:
                    yield f"population {p.name} has no {name}"
                continue
            kind = "i8" if name == "refractory" else "f8"
            if x.dtype != kind or lead is None or x.shape != lead.shape:
                yield f"{name} of population {p.name} is an array {list(x.shape)} of {x.dtype}"
            elif np.isnan(x).any() or (name == "refractory" and (x < 0).any()):
                yield f"{name} of population {p.name} has a value that cannot be"


def _shapes(program: CrossbarProgram) -> Iterator[str]:
    """Arrays of blocks of another type or shape."""
    for b in program.blocks:
        for name, shape in _expected(b).items():
            x: Array = getattr(b, name)
            if x.dtype != TYPES.get(name, "i4") or x.shape != shape:
                yield f"{name} of block {b.name} is an array {list(x.shape)} of {x.dtype}, not {list(shape)}"


def _expected(b: Block) -> Mapping[str, tuple[int, ...]]:
    """The shape of every array of a block, by sizes that some of them give."""
    r, c, k, e = (_length(x) for x in (b.row_at, b.col_at, b.phase, b.entry_coef))
    u, written = _length(b.row_source), int(np.count_nonzero(b.mask))
    own = {"target_s": (r, c), "mask": (r, c), "row_at": (r,), "col_at": (c,), "row_source": (u, r), "channel": (c,),
           "sign": (c,), "phase": (k,), "step_a": (k,), "entry_channel": (e,), "entry_coef": (e,),
           "entry_out": (u, e), "write_order": (written,)}
    return {n: own[n] for n in BLOCK_ARRAYS}


def _length(x: Array) -> int:
    """Along the first axis."""
    return int(x.shape[0]) if x.ndim else 0


def _ranges(program: CrossbarProgram) -> Iterator[str]:
    """Indices out of range, and numbers that cannot be."""
    p = program.physics
    sizes = {x.name: x.n for x in program.inputs} | {x.name: x.n for x in program.populations}
    for b in program.blocks:
        if not 0 <= b.macro < program.macros:
            yield f"block {b.name} lies on macro {b.macro} of {program.macros}"
        if min(b.rows, b.columns, b.channels, b.uses) < 1 or sum(s.rows for s in b.segments) != b.rows:
            yield f"block {b.name} has {b.rows} rows, {b.columns} columns, {b.channels} channels and {b.uses} uses"
            continue
        limits = {"row_at": (0, p.rows), "col_at": (0, p.columns), "channel": (0, b.channels), "phase": (0, p.mux),
                  "entry_channel": (0, b.channels), "entry_out": (-1, sizes[b.target]), "mask": (0, 2)}
        yield from (f"{name} of block {b.name} has an entry outside {low} to {high - 1}"
                    for name, (low, high) in limits.items() if not _within(getattr(b, name), low, high))
        yield from _rows(b, sizes)
        yield from _numbers(b)


def _within(x: Array, low: int, high: int) -> bool:
    """Are all values from low to high - 1?"""
    return not x.size or bool(low <= x.min() and x.max() < high)


def _rows(b: Block, sizes: Mapping[str, int]) -> Iterator[str]:
    """Rows that hear elements which their source does not have."""
    at = 0
    for s in b.segments:
        if not _within(b.row_source[:, at : at + s.rows], -1, sizes[s.source]):
            yield f"row_source of block {b.name} names an element that {s.source} does not have"
        at += s.rows


def _numbers(b: Block) -> Iterator[str]:
    """Conductances, steps and coefficients that are none."""
    if not (np.isfinite(b.target_s).all() and (b.target_s >= 0).all()):
        yield f"a conductance of block {b.name} is below 0 or no number"
    if not (np.isfinite(b.step_a).all() and (b.step_a >= 0).all() and np.isfinite(b.entry_coef).all()):
        yield f"a step or a coefficient of block {b.name} is no number"
    if b.converted and not b.code_min <= 0 < b.code_max:
        yield f"the converters of block {b.name} have codes {b.code_min} to {b.code_max}"
    if not np.isin(b.sign, (-1, 1)).all():
        yield f"sign of block {b.name} is neither 1 nor -1"


def _places(program: CrossbarProgram) -> Iterator[str]:
    """Cells that are taken or written twice, channels without a column, converters that read two at once."""
    taken: dict[int, list[Array]] = {}
    for b in program.blocks:
        taken.setdefault(b.macro, []).append(
            (b.row_at.astype(np.int64)[:, None] * program.physics.columns + b.col_at).ravel())
        if not np.array_equal(np.sort(b.write_order), np.flatnonzero(b.mask)):
            yield f"write_order of block {b.name} does not name every formed cell once"
        if len(np.unique(b.channel)) < b.channels:
            yield f"a channel of block {b.name} has no column"
            continue
        first = np.full(b.channels, program.physics.columns, np.int64)
        np.minimum.at(first, b.channel, b.col_at.astype(np.int64))
        mux = program.physics.mux
        if len(np.unique(first // mux * mux + b.phase)) < b.channels:
            yield f"a converter of block {b.name} reads two channels in one phase"
    for macro, cells in taken.items():
        ordered = np.sort(np.concatenate(cells))
        if (ordered[1:] == ordered[:-1]).any():
            yield f"a cell of macro {macro} belongs to two rows, columns or blocks"


def _readout(program: CrossbarProgram) -> Iterator[str]:
    """A readout that does not fit its population."""
    r = program.readout
    if r is None:
        return
    own = [p for p in program.populations if p.name == r.population]
    if not own:
        yield f"the readout is of {r.population}, which is no population"
        return
    n, classes = r.windows * own[0].n, _length(r.classes)
    shapes = {"weight": (classes, n), "bias": (classes,), "mean": (n,), "scale": (n,), "classes": (classes,)}
    for name in READOUT_ARRAYS:
        x: Array = getattr(r, name)
        if x.shape != shapes[name] or (name != "classes" and x.dtype != "f8"):
            yield f"{name} of the readout is an array {list(x.shape)} of {x.dtype}, not {list(shapes[name])}"
        elif x.dtype.kind == "f" and not np.isfinite(x).all():
            yield f"{name} of the readout has a value that is no number"
    if not classes or (r.scale == 0).any():
        yield "the readout has no classes, or divides by 0"


PARTS: tuple[Callable[[CrossbarProgram], Iterator[str]], ...] = (
    _body, _names, _populations, _shapes, _ranges, _places, _readout)
"""In this order, as the later ones rest on the earlier."""
