"""From parts to blocks: tiles, their places, their cells, and the converters behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import FitError, UnsupportedError, Violation
from hwsdk.ir.crossbar import Forming, Physics
from hwsdk.ir.network import Network
from hwsdk.mappers.memristor_codes import Cells, encode, encode_native, largest, pair_deviation, per_siemens
from hwsdk.mappers.memristor_matrix import Room, Tile
from hwsdk.mappers.memristor_options import Code, MapOptions, code_of
from hwsdk.mappers.memristor_parts import Budget, Part, kernels_of, parts_of
from hwsdk.mappers.memristor_place import Place, Rates, Size, phases, placed, write_order
from hwsdk.mappers.memristor_range import codes, full_scale, is_bipolar, steps
from hwsdk.mappers.memristor_slots import Slots, slots_of
from hwsdk.programs.crossbar import Block, block

Floats = NDArray[Any]
Piece = tuple[Part, Tile]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What decides every block. code: of written blocks; native_code: of blocks that chance makes, which are
    differential pairs. slots: the columns of a macro as blocks take them.
    """

    network: Network
    physics: Physics
    options: MapOptions
    rates: Rates
    code: Code
    native_code: Code
    slots: Slots

    @classmethod
    def of(cls, network: Network, physics: Physics, options: MapOptions, rates: Rates) -> Plan:
        """With the codes of an array."""
        return cls(network, physics, options, rates, code_of(physics, options),
                   code_of(physics, options, "differential"), slots_of(physics, options))

    def code_of(self, part: Part) -> Code:
        """Of the blocks of a part."""
        return self.native_code if part.native else self.code

    def room(self, code: Code) -> Room:
        """What a block may take.

        Raises:
            FitError: not even one neuron.
        """
        neurons = (self.physics.columns - code.extra) // code.width
        if neurons < 1:
            raise FitError(f"{self.network.name} does not fit the macros", violations=(
                Violation("columns", "one neuron", code.width + code.extra, self.physics.columns, "columns"),),
                hint="fewer bits, or another encoding")
        return Room(self.physics.rows, neurons)

    def size(self, piece: Piece) -> Size:
        """Of a block."""
        part, tile = piece
        code = self.code_of(part)
        columns = tile.weight.shape[1] * code.width + code.extra
        return Size(len(tile.weight), columns, len(tile.row_source))


def pieces_of(plan: Plan, budget: Budget) -> list[Piece]:
    """All tiles of all populations, with their parts."""
    found = []
    for target in plan.network.populations:
        kernels = kernels_of(plan.network, target, plan.options, plan.room(plan.code))
        for part in parts_of(plan.network, target, plan.options, kernels):
            for tile in part.tiles(plan.room(plan.code_of(part))):
                found.append((part, tile))
                size = plan.size(found[-1])
                budget.take(target, size.rows * size.columns)
    return found


def blocks_of(plan: Plan, pieces: Sequence[Piece], places: Sequence[Place]) -> tuple[tuple[Block, ...], list[float]]:
    """(blocks, what clipping and levels took from the weights of each, as a sum of squares)."""
    tops: dict[Part, Floats] = {}
    blocks, errors = [], []
    for (part, tile), place in zip(pieces, places, strict=True):
        if part not in tops:
            tops[part] = largest(part.values, part.owner, part.owners, plan.options)[part.owner_of]
        cells = _cells(plan, part, tile, tops[part])
        blocks.append(_block(plan, (part, tile), cells, place))
        errors.append(cells.error)
    return tuple(blocks), errors


def _cells(plan: Plan, part: Part, tile: Tile, top: Floats) -> Cells:
    """The cells of a tile. top (n,): the largest weight of each neuron."""
    if part.native:
        forming = native_forming(part, plan.physics)
        unit = np.full(tile.weight.shape[1], native_unit(part, plan.physics, forming))
        return encode_native(tile, plan.native_code, plan.physics, forming, unit)
    own = top[tile.outs[0]]
    return encode(tile, plan.code, plan.physics, own, per_siemens(plan.code, plan.physics, own))


def _block(plan: Plan, piece: Piece, cells: Cells, place: Place) -> Block:
    """A block at its place."""
    (part, tile), physics, options = piece, plan.physics, plan.options
    rates = plan.rates if options.order == "heavy" else None
    inputs = frozenset(plan.network.inputs)
    row_at, col_at = placed(tile, cells, place, physics.rows, plan.slots, rates)
    low, high = codes(physics, is_bipolar(tile, cells, physics, inputs))
    scale = full_scale(tile, cells, physics, inputs, plan.rates if options.full_scale == "calibrated" else None)
    return block(
        name=tile.name, target=part.target, macro=place[0], kind="native" if part.native else "written",
        segments=tile.segments, code_min=low, code_max=high, target_s=cells.target_s, mask=cells.mask,
        row_at=row_at, col_at=col_at, row_source=tile.row_source, channel=cells.channel, sign=cells.sign,
        phase=phases(cells, col_at, physics.mux), step_a=steps(scale, high), entry_channel=cells.entry_channel,
        entry_coef=cells.entry_coef, entry_out=cells.entry_out, write_order=write_order(cells.mask, row_at, col_at))


def native_forming(part: Part, physics: Physics) -> Forming:
    """How the cells form.

    Raises:
        UnsupportedError: NO_FORMING, it is not known.
    """
    if physics.device.forming is None:
        raise UnsupportedError("its weights should be the devices' own, and nothing is known about how cells form",
                               where=part.name, code="NO_FORMING", fix="use a target whose device has forming "
                               "statistics, or let the weights be written")
    return physics.device.forming


def native_unit(part: Part, physics: Physics, forming: Forming) -> float:
    """Weight of a siemens with which weights of the devices' own have the root mean square of the model's."""
    cell = physics.cell
    deviation = pair_deviation(forming, cell.g_min if cell.g_off is None else cell.g_off)
    wanted = float(np.sqrt(np.mean(part.values**2)))
    if deviation == 0:
        raise UnsupportedError("its weights should be the devices' own, and all cells form alike", where=part.name,
                               code="NO_FORMING", fix="use a device whose cells differ, or let the weights be written")
    return float(wanted / deviation)
