"""A made chip: what the cells and converters of a CrossbarProgram really are, drawn from the seed physics.die.

All that a die draws belongs to a place of it: to a cell (macro, physical row, physical column) or to a converter. So
one die has the same stuck and formed cells whatever is mapped to it, and a stage that is switched off leaves the draws
of the others as they are. Every stage of every row has a stream of its own, PCG64 of
SeedSequence(die, spawn_key=(STAGE_ID, macro, physical row, use)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import TargetError
from hwsdk.ir.crossbar import Law
from hwsdk.programs.crossbar import Block, CrossbarProgram
from hwsdk.simulators.devices import draw_forming, draw_write, drift, read_sigma
from hwsdk.simulators.devices_verify import write_verify

Array = NDArray[np.float64]
STAGE_ID = {"forming": 1, "write": 2, "faults": 3, "drift": 4, "adc": 5, "read": 6, "read_back": 7}


@dataclass(slots=True)
class Places:
    """Random numbers of the cells of a block, by place: what a cell gets depends on nothing but its place, the stage
    and how often was drawn before. It draws like a NumPy Generator, for arrays of the block's shape only.
    """

    seed: int
    key: tuple[int, ...]
    rows: NDArray[Any]
    columns: NDArray[Any]
    uses: int = 0

    def standard_normal(self, size: tuple[int, ...]) -> Array:
        """(R, C) standard normal numbers."""
        return self._draw("standard_normal", size)

    def random(self, size: tuple[int, ...]) -> Array:
        """(R, C) uniform numbers in [0, 1)."""
        return self._draw("random", size)

    def _draw(self, kind: str, size: tuple[int, ...]) -> Array:
        if size != (len(self.rows), len(self.columns)):
            raise ValueError(f"a block of {len(self.rows)} x {len(self.columns)} cells cannot draw {size}")
        drawn, most = np.empty(size), int(self.columns.max(initial=-1)) + 1
        for k, row in enumerate(self.rows):
            drawn[k] = getattr(stream(self.seed, *self.key, int(row), self.uses), kind)(most)[self.columns]
        self.uses += 1
        return drawn


def stream(seed: int, *key: int) -> np.random.Generator:
    """The generator of a key. Raises TargetError BAD_DIE for a seed below 0."""
    if seed < 0:
        raise TargetError(f"a seed cannot be {seed}", where="die", fix="choose 0 or more", code="BAD_DIE")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def places(program: CrossbarProgram, block: Block, stage: str) -> Places:
    """The random numbers of a stage for the cells of a block."""
    return Places(program.physics.die, (STAGE_ID[stage], block.macro), block.row_at, block.col_at)


def dies(program: CrossbarProgram) -> tuple[Array, ...]:
    """``die_of`` for all blocks."""
    return tuple(die_of(program, k) for k in range(len(program.blocks)))


def die_of(program: CrossbarProgram, block_index: int) -> Array:
    """(R, C) float64, S: what the cells of a block are physics.seconds after they were written, in the order of
    ``target_s``.

    Written cells: target, error of the write, cut to [0, ceiling]. Native cells: formed by chance. Then stuck cells,
    and the drift of all that are not pristine. Raises TargetError BAD_LAW for a law with wrong constants, BAD_TARGET
    for a native block on cells of which no forming is known.
    """
    p, block = program.physics, program.blocks[block_index]
    new = made(program, block_index)
    if not p.has("drift") or p.device.drift.family == "none":
        return new.g
    later = drift(p.device.drift, p.cell, new.g, p.seconds, places(program, block, "drift"), new.aim)
    return np.where(new.alive, _physical(program, later), new.g)


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """Cells right after they were written, (R, C) each. g: S. aim: what was to be written there, S; of stuck and native
    cells g. alive: formed or stuck; the others are pristine and do not drift.
    """

    g: Array
    aim: Array
    alive: NDArray[np.bool_]


def made(program: CrossbarProgram, block_index: int) -> Made:
    """The cells of a block before their drift."""
    block = program.blocks[block_index]
    if block.kind == "native":
        g = _native(program, block)
        new = Made(g, g, g != _off(program))
    else:
        new = Made(_written(program, block), block.target_s, block.mask != 0)
    return _stuck(program, block, new)


def _off(program: CrossbarProgram) -> float:
    """Of a cell that was never formed, S."""
    cell = program.physics.cell
    return cell.g_min if cell.g_off is None else cell.g_off


def _physical(program: CrossbarProgram, g: Array) -> Array:
    return np.clip(g, 0.0, program.physics.cell.ceiling)


def _write_law(program: CrossbarProgram) -> Law:
    return program.physics.device.write if program.physics.has("write") else Law()


def _written(program: CrossbarProgram, block: Block) -> Array:
    law, cell = _write_law(program), program.physics.cell
    g = draw_write(law, cell, block.target_s, places(program, block, "write"))
    return np.where(block.mask != 0, _physical(program, g), _off(program))


def _native(program: CrossbarProgram, block: Block) -> Array:
    p = program.physics
    if p.device.forming is None:
        raise TargetError("its cells are to be formed by chance, and nothing is known of their forming",
                          where=f"block {block.name}", fix="give the target a device.forming, or write the weights")
    return _physical(program, draw_forming(p.device.forming, p.cell, block.mask, places(program, block, "forming")))


def _stuck(program: CrossbarProgram, block: Block, new: Made) -> Made:
    """The same with stuck cells at g_max and g_min. Pristine cells can be stuck, too."""
    p, d = program.physics, program.physics.device
    if not p.has("faults") or d.stuck_on + d.stuck_off == 0:
        return new
    u = places(program, block, "faults").random(new.g.shape)
    stuck = u < d.stuck_on + d.stuck_off
    at = np.where(u < d.stuck_on, p.cell.g_max, p.cell.g_min)
    return Made(np.where(stuck, at, new.g), np.where(stuck, at, new.aim), new.alive | stuck)


@dataclass(frozen=True, slots=True, eq=False)
class Writes:
    """What the writing of a block took. pulses (R, C) int64: 0 for cells that are never written; a native cell gets
    one, of the forming voltage. missed (R, C) bool: cells that a verified write gave up.
    """

    pulses: NDArray[np.int64]
    missed: NDArray[np.bool_]


def writes_of(program: CrossbarProgram, block_index: int) -> Writes:
    """The pulses that the writes of ``die_of`` took."""
    block, law = program.blocks[block_index], _write_law(program)
    pulses, missed = (block.mask != 0).astype(np.int64), np.zeros(block.mask.shape, np.bool_)
    if block.kind == "native" or law.family != "verified":
        return Writes(pulses, missed)
    w = program.physics.cell.window
    done = write_verify(block.target_s, law.one("a") * w, law.one("tolerance") * w, int(law.one("pulses")),
                        places(program, block, "write"))
    return Writes(pulses * done.pulses, done.missed & (block.mask != 0))


def read_back(program: CrossbarProgram, block_index: int, error: float, seed: int, reads: int = 1) -> Array:
    """(R, C) S: a block's conductances as a tester measures them. error: standard deviation of a reading as a share of
    the window g_max - g_min; the mean of ``reads`` readings is given, and never less than 0. seed: of the tester.
    """
    p, block = program.physics, program.blocks[block_index]
    g = die_of(program, block_index)
    if error == 0:
        return g
    tester = Places(seed, (STAGE_ID["read_back"], p.die, block.macro), block.row_at, block.col_at)
    sigma = error * p.cell.window / np.sqrt(reads)
    measured: Array = np.maximum(g + sigma * tester.standard_normal(g.shape), 0.0)
    return measured


def read_sigma_of(program: CrossbarProgram, block_index: int, g: Array) -> Array:
    """(R, C) S: standard deviation of the noise of one read of cells that have g (S); 0 without the stage "read", and
    of pristine cells, as the laws are those of formed ones.
    """
    p = program.physics
    if not p.has("read") or p.device.read.family == "none":
        return np.zeros(g.shape)
    new = made(program, block_index)
    sigma = read_sigma(p.device.read, p.cell, g, p.seconds, new.g if p.device.read.family == "pcm_1f" else None)
    return np.where(new.alive, sigma, 0.0)


def converters(program: CrossbarProgram, block_index: int) -> tuple[Array, Array]:
    """(gain (K,), offset in LSB (K,)) of the converters behind the channels of a block; (1, 0) without the stage "adc".

    Neighbouring ``mux`` columns of a macro share a converter; a channel of several columns has that of the first.
    """
    p, block = program.physics, program.blocks[block_index]
    gain, offset = np.ones(block.channels), np.zeros(block.channels)
    if not p.has("adc") or (p.adc.gain == 0 and p.adc.offset == 0):
        return gain, offset
    for k, column in enumerate(first_columns(block)):
        one, other = stream(p.die, STAGE_ID["adc"], block.macro, int(column) // p.mux).standard_normal(2)
        gain[k], offset[k] = 1.0 + p.adc.gain * one, p.adc.offset * other
    return gain, offset


def first_columns(block: Block) -> NDArray[np.int64]:
    """(K,) the first physical column of every channel."""
    first = np.full(block.channels, np.iinfo(np.int64).max)
    np.minimum.at(first, block.channel, block.col_at.astype(np.int64))
    return first
