"""What a die does to rows that are driven: a matrix of currents for every block, with its wires and its converters.

A block's wires are solved on the physical rows and the columns that conduct together, phase by phase.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError, ProgramError
from hwsdk.ir.crossbar import Physics
from hwsdk.programs.crossbar import Block, CrossbarProgram
from hwsdk.simulators.memristor_die import converters, die_of, read_sigma_of
from hwsdk.simulators.wires import Grid, Ladder, grid_of, ladder_of
from hwsdk.simulators.wires_effective import Effective, effective
from hwsdk.simulators.wires_noise import NoiseModel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Columns of a block that conduct at the same time, as the wires see them. phases: ranks of the phases in which
    they do; rows, columns: numbers in the block, in physical order; taken: those of ``columns`` that are converted
    (positions), one array a phase.
    """

    phases: tuple[int, ...]
    rows: Ints
    columns: Ints
    taken: tuple[Ints, ...]
    grid: Grid


@dataclass(frozen=True, slots=True, eq=False)
class BlockModel:
    """A block of a die. R rows, K channels, C columns; gain and offset of converters.

    siemens (R, C): conductances. sigma (R, C) S: read noise, 0 without. weight (R, K): A per unit of input, times the
    gain of the converter. power: W per unit of input squared, in all phases of a read or (``parts``) in each; either
    (parts, R), or (parts, R, R) where wires couple the rows. variance (R, K): A^2 per unit of input squared, of ideal
    wires; forms: with wires, the terms of a quadratic form of each column, (R, terms + 1, C) A per unit of input, of
    which the last is A^2 per unit of input squared, and the sign of each term, (terms, C); None without read noise.
    groups: of columns, where wires count and currents are linear; ladder: where they are not. physical (R): rows in
    physical order. phase (K): rank of a channel's phase.
    """

    block: Block
    siemens: Floats
    sigma: Floats
    gain: Floats
    offset: Floats
    weight: Floats
    power: Floats
    variance: Floats | None
    forms: tuple[Singles, Singles] | None
    groups: tuple[Group, ...]
    ladder: Ladder | None
    physical: Ints
    phase: Ints

    @property
    def phases(self) -> int:
        """How many phases a read has."""
        return int(self.phase.max(initial=0)) + 1

    @property
    def noisy(self) -> bool:
        """Does every read differ?"""
        return bool(self.sigma.any())


def wired(physics: Physics) -> bool:
    """Do wires have any resistance?"""
    w = physics.wires
    return physics.has("wires") and max(w.word, w.bit, w.driver, w.sense) > 0


def linear(physics: Physics) -> bool:
    """Are currents a matrix times the inputs? They are not where rows switch transistors and lines have resistance."""
    return not (physics.wires.topology == "gated" and wired(physics))


def models(program: CrossbarProgram, conductances: Sequence[Any] | None = None, threads: int = 1,
           by_phase: bool = False, noise: bool = True) -> tuple[BlockModel, ...]:
    """All blocks of a die.

    Args:
        conductances: (R, C) S of every block instead of what the die has. threads: groups of columns that are solved
        beside each other. by_phase: power phase by phase. noise: make what read noise needs.

    Raises:
        DataError: BAD_CONDUCTANCES. ProgramError: BAD_DRIVE. ToleranceError: the noise that comes through the wires is
        not known well enough.
    """
    given = _given(program, conductances)
    _check_drive(program.physics)
    numbers = range(len(program.blocks))
    plans = [_plan(program, k, die_of(program, k) if given is None else given[k], noise) for k in numbers]
    jobs = [(p, g) for p in plans for g in p.groups]
    if threads <= 1 or len(jobs) < 2:
        solved = [_solve(*j) for j in jobs]
    else:
        with ThreadPoolExecutor(threads) as pool:
            solved = list(pool.map(_solve, *zip(*jobs, strict=True)))
    ends = np.cumsum([0, *(len(p.groups) for p in plans)])
    return tuple(_model(program, k, p, solved[ends[k] : ends[k + 1]], by_phase) for k, p in enumerate(plans))


def _given(program: CrossbarProgram, conductances: Sequence[Any] | None) -> tuple[Floats, ...] | None:
    """Conductances from outside, checked."""
    if conductances is None:
        return None
    found = tuple(np.asarray(g, np.float64) for g in conductances)
    shapes = [(b.rows, b.columns) for b in program.blocks]
    if [g.shape for g in found] != shapes:
        raise DataError(f"conductances of {[g.shape for g in found]}, the blocks are {shapes}", where=program.name,
                        code="BAD_CONDUCTANCES", fix="give one (rows, columns) array for each block")
    if any(not np.isfinite(g).all() or (g < 0).any() for g in found):
        raise DataError("a conductance that is negative or no number", where=program.name, code="BAD_CONDUCTANCES",
                        fix="give siemens, 0 or more")
    return found


def _check_drive(p: Physics) -> None:
    """Rows that switch transistors take one bit."""
    if p.wires.topology == "gated" and p.dac_bits != 1:
        raise ProgramError(f"rows that switch transistors, and {p.dac_bits} bits an input", code="BAD_DRIVE",
                           fix="set dac_bits to 1, or the topology to driven")


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """A block before its wires are solved."""

    block: Block
    siemens: Floats
    sigma: Floats
    phase: Ints
    groups: tuple[Group, ...]


def _plan(program: CrossbarProgram, index: int, g: Any, noise: bool) -> _Plan:
    p, block = program.physics, program.blocks[index]
    siemens = np.ascontiguousarray(g, np.float64)
    sigma = read_sigma_of(program, index, siemens) if noise else np.zeros(siemens.shape)
    phase = np.unique(block.phase, return_inverse=True)[1].astype(np.int64)
    groups = _groups(p, block, phase) if wired(p) and linear(p) else ()
    return _Plan(block, siemens, np.asarray(sigma, np.float64), phase, groups)


def _solve(plan: _Plan, group: Group) -> tuple[Effective, NoiseModel | None]:
    """Currents, power and noise of columns that conduct together."""
    at = np.ix_(group.rows, group.columns)
    g, sigma = np.ascontiguousarray(plan.siemens[at]), np.ascontiguousarray(plan.sigma[at])
    return effective(g, group.grid), NoiseModel(g, group.grid, sigma) if sigma.any() else None


def _model(program: CrossbarProgram, index: int, plan: _Plan, solved: list[tuple[Effective, NoiseModel | None]],
           by_phase: bool) -> BlockModel:
    p, block, g = program.physics, plan.block, plan.siemens
    gain, offset = converters(program, index)
    gain, offset = _of_real_ones(p, block, gain, 1.0), _of_real_ones(p, block, offset, 0.0)
    physical = np.argsort(block.row_at, kind="stable")
    ladder = None if linear(p) else ladder_of(block.row_at[physical], p.wires, p.rows)
    variance = forms = None
    if plan.groups:
        weight, power = _wired(plan, [e for e, _ in solved], p, by_phase)
        forms = _forms(plan, [n for _, n in solved], p.volts * gain[block.channel])
    else:
        weight = p.volts * to_channels(block, g)
        power = _ideal_power(p, block, g, plan.phase, by_phase)
        if plan.sigma.any() and ladder is None:
            squares = np.zeros((block.channels, block.rows))
            np.add.at(squares, block.channel, (p.volts * plan.sigma.T) ** 2)
            variance = np.ascontiguousarray(squares.T * gain**2)
    return BlockModel(block, g, plan.sigma, gain, offset, weight * gain, power, variance, forms, plan.groups, ladder,
                      physical, plan.phase)


def _of_real_ones(p: Physics, block: Block, values: Any, ideal: float) -> Floats:
    """Of converters; ``ideal`` where there is none."""
    return np.where((block.step_a > 0) & p.has("adc"), np.asarray(values, np.float64), ideal)


def to_channels(block: Block, by_column: Floats) -> Floats:
    """(R, C) -> (R, K): columns added and taken away, in order."""
    found = np.zeros((block.channels, len(by_column)))
    for c in range(block.columns):
        found[block.channel[c]] += block.sign[c] * by_column[:, c]
    return np.ascontiguousarray(found.T)


def _ideal_power(p: Physics, block: Block, g: Floats, phase: Ints, by_phase: bool) -> Floats:
    """(parts, R) W of each row alone."""
    ranks = range(int(phase.max(initial=0)) + 1)
    own = phase[block.channel]
    rows = [p.volts**2 * (g if p.wires.conducting == "all" else g[:, own == r]).sum(1) for r in ranks]
    return np.array(rows) if by_phase else np.sum(rows, axis=0)[None]


def _groups(p: Physics, block: Block, phase: Ints) -> tuple[Group, ...]:
    """The columns that conduct together."""
    own, order = phase[block.channel], np.argsort(block.col_at, kind="stable")
    rows = np.argsort(block.row_at, kind="stable")
    ranks = range(int(phase.max(initial=0)) + 1)
    if p.wires.conducting == "all":
        taken = tuple(np.flatnonzero(own[order] == r) for r in ranks)
        return (Group(tuple(ranks), rows, order, taken, _grid(p, block, rows, order)),)
    found = []
    for r in ranks:
        columns = order[own[order] == r]
        found.append(Group((r,), rows, columns, (np.arange(len(columns)),), _grid(p, block, rows, columns)))
    return tuple(found)


def _grid(p: Physics, block: Block, rows: Ints, columns: Ints) -> Grid:
    return grid_of(block.row_at[rows], block.col_at[columns], p.wires, p.rows)


def _wired(plan: _Plan, solved: list[Effective], p: Physics, by_phase: bool) -> tuple[Floats, Floats]:
    """(R, K) A per unit of input, and (parts, R, R) W, through the wires."""
    block = plan.block
    by_column = np.zeros((block.rows, block.columns))
    powers = []
    for group, e in zip(plan.groups, solved, strict=True):
        by_column[np.ix_(group.rows, group.columns)] = e.currents.T
        drivers = np.empty((block.rows, block.rows))
        drivers[np.ix_(group.rows, group.rows)] = p.volts**2 * np.asarray(e.drivers)
        powers += [drivers] * len(group.phases) if by_phase else [drivers * len(group.phases)]
    power = np.array(powers) if by_phase else np.sum(powers, axis=0)[None]
    return p.volts * to_channels(block, by_column), power


def _forms(plan: _Plan, noise: list[NoiseModel | None], scale: Floats) -> tuple[Singles, Singles] | None:
    """See BlockModel.forms. scale (C): V of a row with input 1, times the gain of the column's converter."""
    found = [n for n in noise if n is not None]
    if not found:
        return None
    most, b = max(n.sign.shape[0] for n in found), plan.block
    form, sign = np.zeros((b.rows, most + 1, b.columns), np.float32), np.zeros((most, b.columns), np.float32)
    for group, n in zip(plan.groups, noise, strict=True):
        if n is not None:
            terms = len(n.sign)
            own = scale[group.columns]
            form[np.ix_(group.rows, np.arange(terms), group.columns)] = n.factor * own
            form[np.ix_(group.rows, [most], group.columns)] = (n.diagonal * own**2)[:, None]
            sign[np.ix_(np.arange(terms), group.columns)] = n.sign
    return form, sign
