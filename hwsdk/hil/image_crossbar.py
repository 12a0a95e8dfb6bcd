"""A CrossbarProgram as the bytes that an array controller loads: see firmware_stubs/crossbar/crossbar.h.

They hold what the controller needs (which cells get what, rows, converters, neurons), and what an emulated array needs
to stand for the die: its conductances after writing and, where currents are linear, the matrix of driven rows through
the wires. All that hwsdk.simulators.memristor computes is covered, in its order and so with its bits, but read noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError, UnsupportedError
from hwsdk.hil.image import DeviceImage, Field, elements, pack
from hwsdk.ir.crossbar import STAGES
from hwsdk.programs.crossbar import CrossbarProgram, Population
from hwsdk.simulators.memristor import Chip, chip_of
from hwsdk.simulators.memristor_chip import BlockModel

Array = NDArray[Any]
READINGS, GATED = 1, 2
"""Flags of an image: readings of the cells are part of the state; columns are ladders, as rows switch transistors and
lines have resistance.
"""
REPORT = 8
"""Bytes at the beginning of the state: cells written, and of them those whose reading missed its target."""
MOST_BYTES = (1 << 32) - 1
NEURON = ("decay_u", "decay_v", "bias", "v_threshold", "reset_by", "u_init", "v_init")


def image_of(program: CrossbarProgram, conductances: Sequence[Any] | None = None, *, readings: bool = False,
             ) -> DeviceImage:
    """A program for the crossbar runner. Classes of a digital readout are decided by the host.

    Args:
        conductances: (R, C) float64 S of every block, of a chip that was read back; default what physics.die has.
        readings: the controller keeps its reading of every cell in its state, for ``readings_of``.

    Raises:
        UnsupportedError: READ_NOISE, IMAGE_SIZE. ProgramError: the program does not hold together. DataError:
        BAD_CONDUCTANCES.
    """
    chip = chip_of(program, conductances)
    _refuse_noise(chip)
    populations = program.populations
    sections = [*_heads(program, chip, readings), *_neurons(populations), *_blocks(program, chip.models)]
    size = sum(s.nbytes for s in sections)
    if size + 16 * len(sections) + 64 > MOST_BYTES:
        raise UnsupportedError(f"an image of {size:,} bytes, there can be {MOST_BYTES:,}", where=program.name,
                               code="IMAGE_SIZE", fix="compile it for larger cells or fewer macros")
    ports = elements([(p.name, p.shape, 0, True) for p in program.inputs])
    found = elements([(p.name, p.shape, p.lag, p.cell.fires) for p in populations])
    out = "ones" if all(p.cell.fires for p in populations) else "f64"
    n_in, n = sum(p.n for p in ports), sum(p.n for p in found)
    data = pack("crossbar", 1, program.digest(), n_in, n, ("i32", out), sections)
    states = {(p.name, state): Field(REPORT + 8 * (k * n + p.first), "<f8", p.n)
              for p in found for k, state in enumerate(("u", "v"))}
    return DeviceImage("crossbar", 1, data, ports, found, dict(program.outputs), 0, states)


def report_of(state: bytes) -> tuple[int, int]:
    """(cells that were written, those of them that the verifying read found too far from their target), of the bytes of
    the runner's state. Too far: by more than the law's tolerance, or half a level.
    """
    written, missed = np.frombuffer(state, "<u4", 2).tolist()
    return written, missed


def readings_of(program: CrossbarProgram, image: DeviceImage, state: bytes) -> tuple[NDArray[np.float64], ...]:
    """(R, C) S of every block as the controller read its cells: for chip_of(program, conductances), or, by
    backends.memristor_emit.emit_measured, as a file for backends.memristor_import.import_conductances.

    Args:
        image: of the program, with ``readings``. state: the bytes of the runner's state.

    Raises:
        DataError: NO_READINGS.
    """
    shapes = [(b.rows, b.columns) for b in program.blocks]
    ends = np.cumsum([0, *(r * c for r, c in shapes)]).tolist()
    at = REPORT + 16 * image.n_out
    if not _flags(image) & READINGS or len(state) < at + 8 * ends[-1]:
        raise DataError("the state holds no readings of the cells", where=program.name, code="NO_READINGS",
                        fix="load image_of(program, readings=True), and read its state")
    own = np.frombuffer(state, "<f8", ends[-1], at)
    return tuple(own[a:b].reshape(s).copy() for a, b, s in zip(ends, ends[1:], shapes, strict=False))


def _flags(image: DeviceImage) -> int:
    """Those of the settings."""
    at = int(np.frombuffer(image.data, "<u4", 1, 64)[0])
    return int(np.frombuffer(image.data, "<u4", 7, at)[6])


def _refuse_noise(chip: Chip) -> None:
    """Noise that is new in every read is the arrays' own."""
    noisy = [m.block.name for m in chip.models if m.noisy]
    if noisy:
        stages = ", ".join(repr(s) for s in STAGES if s in chip.program.physics.stages and s != "read")
        raise UnsupportedError(
            f"read noise of {chip.program.physics.device.read.family} in {len(noisy)} block(s), first {noisy[0]}: an "
            "emulated array is free of noise, as a simulator's normal numbers rest on its mathematical library",
            where=chip.program.name, code="READ_NOISE",
            fix=f"take program.with_stages({stages}), or compile with the option off=read")


def _words(rows: Iterable[Sequence[int]]) -> Array:
    """u32 behind each other; negative ones as i32."""
    return np.array([x for row in rows for x in row], np.int64).astype("<u4")


def _joined(arrays: Iterable[Array], dtype: str) -> Array:
    return np.concatenate([np.zeros(0, dtype), *(np.asarray(a).astype(dtype).ravel() for a in arrays)])


def _heads(program: CrossbarProgram, chip: Chip, readings: bool) -> list[Array]:
    """Settings, amounts, senders."""
    p, order = program.physics, _order(program)
    gated = any(m.ladder is not None for m in chip.models)
    settings = (len(program.inputs), len(program.populations), len(program.blocks), p.dac_bits or 0, p.rows, p.columns,
                READINGS * readings | GATED * gated)
    depth = dict.fromkeys(order, 1)
    for s in (s for b in program.blocks for s in b.segments):
        depth[s.source] = max(depth[s.source], s.delay_ticks + 1)
    sizes = {x.name: x.n for x in program.inputs} | {x.name: x.n for x in program.populations}
    return [_words([settings]), np.array([p.volts, _tolerance(program)]), _words((sizes[n], depth[n]) for n in order)]


def _order(program: CrossbarProgram) -> dict[str, int]:
    """Sender -> its number."""
    names = [p.name for p in program.inputs] + [p.name for p in program.populations]
    return {name: k for k, name in enumerate(names)}


def _tolerance(program: CrossbarProgram) -> float:
    """S by which a reading may miss its target: that of a verified write, else half a level; never less than what a
    target loses as float32 (half a unit in the last place of 24 bits).
    """
    p = program.physics
    law, cell = p.device.write, p.cell
    if p.has("write") and law.family == "verified":
        found = law.one("tolerance") * cell.window
    else:
        found = 0.5 * cell.window / (cell.levels - 1) if cell.levels and p.has("levels") else 0.0
    return max(found, cell.g_max * 2.0**-24)


def _neurons(populations: Sequence[Population]) -> list[Array]:
    """Populations, neurons, refractory steps."""
    rests = [np.zeros(p.n, np.int64) if p.cell.refractory is None else p.cell.refractory for p in populations]
    held = _joined((np.minimum(r, MOST_BYTES) for r in rests), "<u4")
    return [_words((p.cell.reset != "value", p.cell.comparison == ">=", p.cell.fires, 0) for p in populations),
            _joined((getattr(p.cell, n) for n in NEURON for p in populations), "<f8"), held[: len(held) * held.any()]]


def _blocks(program: CrossbarProgram, models: tuple[BlockModel, ...]) -> list[Array]:
    """From the blocks' sizes to the ranks of their rows."""
    bs, order, populations = program.blocks, _order(program), [p.name for p in program.populations]
    adc = program.physics.has("adc")
    sizes = ((b.rows, b.columns, b.channels, b.uses, len(b.entry_coef), len(b.segments), populations.index(b.target),
              b.macro, b.kind == "native", m.phases, b.code_min, b.code_max, len(b.write_order))
             for b, m in zip(bs, models, strict=True))
    channels = (np.stack([b.step_a * adc, m.offset, m.gain], 1) for b, m in zip(bs, models, strict=True))
    return [
        _words(sizes), _words((order[s.source], s.delay_ticks, s.rows) for b in bs for s in b.segments),
        _joined((b.row_source for b in bs), "<i4"), _joined((b.row_at for b in bs), "<u4"),
        _joined((b.col_at for b in bs), "<u4"), _joined((m.weight for m in models if m.ladder is None), "<f8"),
        _joined(channels, "<f8"), _joined((m.phase for m in models), "<u4"),
        _joined((np.stack([b.channel, b.sign.astype(np.int32)], 1) for b in bs), "<i4"),
        _joined((b.entry_coef for b in bs), "<f8"), _joined((b.entry_channel for b in bs), "<u4"),
        _joined((b.entry_out for b in bs), "<i4"), _joined((b.write_order for b in bs), "<u4"),
        _joined((b.target_s.ravel()[b.write_order] for b in bs if b.kind != "native"), "<f4"),
        _joined((m.siemens for m in models), "<f8"), *_ladders(models)]


def _ladders(models: tuple[BlockModel, ...]) -> list[Array]:
    """Lines by rank, and the ranks of the rows."""
    found = [(m, m.ladder) for m in models if m.ladder is not None]
    return [_joined((np.stack([x.source, x.bit]) for _, x in found), "<f8"),
            _joined((np.argsort(m.physical) for m, _ in found), "<u4")]
