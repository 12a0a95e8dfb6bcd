"""Where blocks lie on macros: against losses in the wires, without sharing cells, read for about as long."""

from __future__ import annotations

import numpy as np
import pytest
from crossbar_arrays import currents, dense, physics, target

from hwsdk.ir.crossbar import Wires
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.memristor import MapOptions, map_network
from hwsdk.mappers.memristor_place import Size, packed
from hwsdk.mappers.memristor_slots import slots_of


@pytest.mark.parametrize("subtract", ["digital", "analog"])
@pytest.mark.parametrize("spread", ["no", "yes"])
def test_the_order_of_rows_and_columns_lowers_the_losses_in_the_wires(spread: str, subtract: str) -> None:
    rng = np.random.default_rng(3)
    weight = rng.normal(0, 1, (10, 20)) * rng.lognormal(0, 1.2, (10, 1)) * rng.lognormal(0, 1.2, 20)
    rate = rng.beta(0.4, 2, 20)
    wires, p = Wires(word=20.0, bit=20.0), physics(24, 24, mux=4)
    loss = {}
    for order in ("heavy", "model"):
        options = MapOptions(order=order, activity={"in": rate}, spread=spread, subtract=subtract)
        x = map_network(Lower()(dense(weight)), target(), p, options).blocks[0]
        rng = np.random.default_rng(4)
        spikes = (rng.random((20, 20)) < rate).astype(float)
        wanted = np.array([currents(x, p, s, Wires()) for s in spikes]).sum(0)
        got = np.array([currents(x, p, s, wires) for s in spikes]).sum(0)
        loss[order] = float(((wanted - got) / wanted).mean()), float(1 - got.sum() / wanted.sum())
    assert loss["heavy"][0] < 0.97 * loss["model"][0]
    assert loss["heavy"][1] < 0.95 * loss["model"][1]


@pytest.mark.parametrize("spread", ["no", "yes"])
@pytest.mark.parametrize("subtract", ["digital", "analog"])
def test_blocks_share_macros_without_sharing_cells(spread: str, subtract: str) -> None:
    sizes = [Size(*(int(x) for x in row)) for row in np.random.default_rng(5).integers(1, 33, (60, 3))]
    slots = slots_of(physics(), MapOptions(spread=spread, subtract=subtract))
    places = packed(sizes, 32, slots, True)
    taken: dict[int, np.ndarray] = {}
    for s, (m, up, left) in zip(sizes, places, strict=True):
        h, w = s.rows, s.columns
        cells = taken.setdefault(m, np.zeros((32, 32), int))
        assert up + h <= 32 and left + w <= 32 and left % slots.step == 0
        cells[up : up + h, slots.places(left, w)] += 1
    assert max(int(c.max()) for c in taken.values()) == 1
    area = sum(s.rows * s.columns for s in sizes) / 1024
    assert len(taken) <= 1.5 * area + 1
    assert len({p[0] for p in packed(sizes, 32, slots, False)}) == 60


def test_macros_are_read_for_about_as_long() -> None:
    sizes = [Size(16, 16, uses) for uses in (9, 8, 7, 1, 1, 1, 1, 1)]
    for spread, phases in (("no", 8), ("yes", 4)):
        places = packed(sizes, 32, slots_of(physics(), MapOptions(spread=spread)), True)
        load = phases * np.bincount([p[0] for p in places], [s.uses for s in sizes])
        assert len(load) == 2 and load.max() <= 17 * phases  # first fit alone: 25 and 4
