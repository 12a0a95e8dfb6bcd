"""A die as the flat arrays that the kernels run on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ProgramError
from hwsdk.programs.crossbar import Block, CrossbarProgram, Population
from hwsdk.simulators import kernels_memristor_parts as parts
from hwsdk.simulators.memristor_chip import BlockModel
from hwsdk.simulators.memristor_die import STAGE_ID

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """A program and a die of it, ready to run. place: sender -> first element in the ring; depth: steps it holds."""

    program: CrossbarProgram
    models: tuple[BlockModel, ...]
    net: parts.Net
    place: dict[str, int]
    depth: int
    elements: int

    @property
    def lag(self) -> int:
        """The largest of all populations."""
        return max((p.lag for p in self.program.populations), default=0)

    @property
    def neurons(self) -> dict[str, slice]:
        """Population -> its neurons, numbered through."""
        ends = np.cumsum([0, *(p.n for p in self.program.populations)]).tolist()
        return {p.name: slice(a, b) for p, a, b in zip(self.program.populations, ends, ends[1:], strict=False)}


def build(program: CrossbarProgram, models: tuple[BlockModel, ...]) -> Machine:
    """Flat arrays of a die.

    Raises:
        ProgramError: the program does not hold together.
    """
    check(program)
    sizes = _sizes_of(program)
    place = dict(zip(sizes, _ends(sizes.values()).tolist(), strict=False))
    order = {n: k for k, n in enumerate(sizes)}
    net = _net(program, models, place, order)
    depth = 1 + max((s.delay_ticks for b in program.blocks for s in b.segments), default=0)
    return Machine(program, models, net, place, depth, sum(sizes.values()))


def check(program: CrossbarProgram) -> None:
    """What the kernels rely on.

    Raises:
        ProgramError: BAD_PROGRAM.
    """
    inputs, fires = program.input_shapes, {p.name: p.cell.fires for p in program.populations}
    for p in program.populations:
        if not p.cell.fires and p.cell.refractory is not None:
            raise ProgramError("refractory steps, and it does not fire", where=p.name, fix="compile the model again")
    for b in program.blocks:
        if b.target not in fires:
            raise _bad(b, f"its sums go to {b.target!r}, which is no population")
        for s in b.segments:
            if s.source not in inputs and not fires.get(s.source, False):
                raise _bad(b, f"its rows are driven by {s.source!r}, which is no input and sends no spikes")
            if s.delay_ticks < (0 if s.source in inputs else 1):
                raise _bad(b, f"a delay of {s.delay_ticks} steps from {s.source}")
        _check_sizes(program, b)


def _sizes_of(program: CrossbarProgram) -> dict[str, int]:
    """Sender -> elements, inputs first."""
    return {p.name: p.n for p in program.inputs} | {p.name: p.n for p in program.populations}


def _check_sizes(program: CrossbarProgram, b: Block) -> None:
    """Shapes and ranges of a block's arrays."""
    r, c, k, e, u = b.rows, b.columns, b.channels, len(b.entry_channel), b.uses
    shapes = {"target_s": (r, c), "mask": (r, c), "row_source": (u, r), "channel": (c,), "sign": (c,), "step_a": (k,),
              "entry_coef": (e,), "entry_out": (u, e)}
    for name, shape in shapes.items():
        if getattr(b, name).shape != shape:
            raise _bad(b, f"{name} has the shape {getattr(b, name).shape}, it should have {shape}")
    if sum(s.rows for s in b.segments) != r:
        raise _bad(b, f"segments of {sum(s.rows for s in b.segments)} rows, it has {r}")
    size = _sizes_of(program)
    limits = [("channel", b.channel, 0, k), ("entry_channel", b.entry_channel, 0, k),
              ("entry_out", b.entry_out, -1, size[b.target]), ("macro", np.array([b.macro]), 0, program.macros)]
    row = 0
    for s in b.segments:
        limits.append(("row_source", b.row_source[:, row : row + s.rows], -1, size[s.source]))
        row += s.rows
    for name, values, low, high in limits:
        if values.size and not low <= values.min() <= values.max() < high:
            raise _bad(b, f"{name} from {values.min()} to {values.max()}, there are {high}")


def _bad(b: Block, what: str) -> ProgramError:
    return ProgramError(what, where=f"block {b.name}", fix="compile the model again")


def _net(program: CrossbarProgram, models: tuple[BlockModel, ...], place: dict[str, int], order: dict[str, int],
         ) -> parts.Net:
    p, bs = program.physics, [m.block for m in models]
    ladders = [(m, m.ladder) for m in models if m.ladder is not None]
    key = np.random.SeedSequence(p.die, spawn_key=(STAGE_ID["read"],)).generate_state(2, np.uint32).astype(np.uint64)
    segments = [(order[s.source], place[s.source], s.delay_ticks, stop) for b in bs for s, stop in
                zip(b.segments, np.cumsum([s.rows for s in b.segments]).tolist(), strict=True)]
    settings = (len(program.inputs), p.dac_bits or 0, _shifts(program), p.wires.conducting == "all")
    return parts.Net(
        _blocks(program, models), np.array(segments, np.int64).reshape(-1, 4),
        _joined((b.row_source for b in bs), np.int32), _joined((m.weight for m in models), np.float64),
        _joined((m.variance for m in models if m.variance is not None), np.float64),
        _joined((m.forms[0] for m in models if m.forms is not None), np.float32),
        _joined((m.forms[1] for m in models if m.forms is not None), np.float32),
        _joined((m.power for m in models), np.float64), _converters(program, models),
        _joined((m.phase for m in models), np.int64), _joined((b.entry_coef for b in bs), np.float64),
        _joined((b.entry_channel for b in bs), np.int32), _joined((b.entry_out for b in bs), np.int32),
        _joined((np.argsort(m.physical) for m, _ in ladders), np.int64),
        _pair([x.source for _, x in ladders], [x.bit for _, x in ladders], np.float64),
        _pair([m.siemens[m.physical] for m, _ in ladders], [m.sigma[m.physical] for m, _ in ladders], np.float64),
        _pair([b.channel for b in bs], [b.sign for b in bs], np.int64),
        _populations(program.populations, place), *_neurons(program.populations), np.array(settings, np.int64),
        np.array([p.volts, p.timing.settle + p.timing.integrate, p.timing.phase]), key)


def _blocks(program: CrossbarProgram, models: tuple[BlockModel, ...]) -> Ints:
    """See parts.Net.blocks."""
    found = np.zeros((len(models) + 1, len(parts.SIZES) + len(parts.PLACES)), np.int64)
    first = dict(zip([p.name for p in program.populations], _ends(p.n for p in program.populations).tolist(),
                     strict=False))
    at = dict.fromkeys(parts.PLACES, 0)
    for row, m in zip(found, models, strict=False):
        sizes = _sizes(program, m) | {"TARGET": first[m.block.target]} | at
        for name, value in sizes.items():
            row[getattr(parts, name)] = value
        for name, value in _room(m).items():
            at[name] += value
    for name, value in at.items():
        found[-1, getattr(parts, name)] = value
    return found


def _sizes(program: CrossbarProgram, m: BlockModel) -> dict[str, int]:
    b = m.block
    out = b.entry_out[b.entry_out >= 0]
    return {
        "ROWS": b.rows, "CHANNELS": b.channels, "COLUMNS": b.columns, "USES": b.uses, "ENTRIES": len(b.entry_channel),
        "PHASE_COUNT": m.phases, "MACRO": b.macro, "PARTS": len(m.power), "QUADRATIC": m.power.ndim == 3,
        "CONVERTERS": _real(program, b), "GATED": m.ladder is not None, "NOISY": m.noisy,
        "TERMS": 0 if m.forms is None else len(m.forms[1]), "RESTS": bool(_rest(program, m).any()),
        "LOW": b.code_min, "HIGH": b.code_max,
        "FIRST": int(out.min()) if out.size else 0, "LAST": int(out.max()) + 1 if out.size else 0}


def _room(m: BlockModel) -> dict[str, int]:
    """What a block takes of the other arrays."""
    b, ladder = m.block, m.ladder is not None
    return {
        "SEGMENT_AT": len(b.segments), "CHANNEL_AT": b.channels, "ROW_AT": b.rows, "COLUMN_AT": b.columns,
        "SOURCE_AT": b.row_source.size, "WEIGHT_AT": m.weight.size, "ENTRY_AT": len(b.entry_channel),
        "OUT_AT": b.entry_out.size, "CELL_AT": m.siemens.size * ladder, "POWER_AT": m.power.size,
        "UNIT_AT": b.uses * parts.SLICES * b.channels, "VARIANCE_AT": 0 if m.variance is None else m.variance.size,
        "FORM_AT": 0 if m.forms is None else m.forms[0].size, "SIGN_AT": 0 if m.forms is None else m.forms[1].size}


def _converters(program: CrossbarProgram, models: tuple[BlockModel, ...]) -> Floats:
    """See parts.Net.converters."""
    rows = [np.array([_steps(program, m.block), m.offset, _rest(program, m), m.gain]) for m in models]
    return np.ascontiguousarray(np.concatenate([np.zeros((4, 0)), *rows], axis=1))


def _populations(populations: Sequence[Population], place: dict[str, int]) -> Ints:
    """See parts.Net.populations."""
    ends, found = _ends(p.n for p in populations), np.zeros((len(populations) + 1, 5), np.int64)
    found[:, parts.NEURON_AT] = ends
    for row, p in zip(found, populations, strict=False):
        c = p.cell
        row[parts.RING_AT :] = place[p.name], c.reset != "value", c.comparison == ">=", c.fires
    return found


def _neurons(populations: Sequence[Population]) -> tuple[Floats, Ints]:
    """See parts.Net.neurons and refractory."""
    cells = [p.cell for p in populations]
    names = ("decay_u", "decay_v", "bias", "v_threshold", "reset_by")
    rests = _joined((np.zeros(c.shape) if c.refractory is None else c.refractory for c in cells), np.int64)
    return np.array([_joined((getattr(c, n) for c in cells), np.float64) for n in names]), rests


def _steps(program: CrossbarProgram, b: Block) -> Floats:
    """(K) A of a converter's step, 0 of an ideal one."""
    return b.step_a if program.physics.has("adc") else np.zeros(b.channels)


def _rest(program: CrossbarProgram, m: BlockModel) -> Floats:
    """(K) A: what converters give at 0 A."""
    found: Floats = np.clip(np.rint(m.offset), m.block.code_min, m.block.code_max) * _steps(program, m.block)
    return found


def _real(program: CrossbarProgram, b: Block) -> int:
    """How many of the channels have a real converter."""
    real = _steps(program, b) > 0
    return parts.ALL if real.all() else parts.SOME if real.any() else parts.IDEAL


def _shifts(program: CrossbarProgram) -> int:
    """Bits of all shift registers: of a segment, one for every element that drives it and step of its delay."""
    bits = 0
    for b in program.blocks:
        row = 0
        for s in b.segments:
            own = b.row_source[:, row : row + s.rows]
            bits += s.delay_ticks * len(np.unique(own[own >= 0]))
            row += s.rows
    return bits


def _ends(sizes: Iterable[int]) -> Ints:
    """Where each begins, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.fromiter(sizes, np.int64))])


def _joined(arrays: Iterable[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    """All behind each other."""
    return np.concatenate([np.zeros(0, dtype), *(np.asarray(a).astype(dtype).ravel() for a in arrays)])


def _pair(one: Sequence[NDArray[Any]], other: Sequence[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    """Two of them, as rows."""
    return np.array([_joined(one, dtype), _joined(other, dtype)])
