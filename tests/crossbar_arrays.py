"""Small arrays, targets and networks for the tests of the memristor mapper, and a second, dense solver of wires."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsdk.ir.crossbar import Cell, Converter, Device, Forming, Physics, Timing, Wires
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import LIF
from hwsdk.ir.nodes import Input, Linear, Node, Output
from hwsdk.ir.semantics import Semantics
from hwsdk.programs.crossbar import Block
from hwsdk.targets.description import Boundary, Limit, Target

FORMING = Forming(0.5, 12e-6, 0.15)
WINDOW = Cell(5e-6, 50e-6, levels=16)
IDEAL: dict[str, Any] = {"volts": 1.0, "cell": Cell(0.0, 2.0**-14), "adc": Converter(None), "dac_bits": None}


def target(macros: int | None = None) -> Target:
    """A chip of so many macros."""
    return Target(family="memristor", name="m", version="1", title="for tests",
                  limits={"macros": Limit(value=macros, unit="macros", source="test")}, energy=[], power=[],
                  boundary=Boundary(included=[], omitted=[]))


def physics(rows: int = 32, columns: int = 32, **changes: Any) -> Physics:
    """An array with 16 levels from 5 to 50 uS."""
    own: dict[str, Any] = {
        "mux": 8, "volts": 0.2, "cell": WINDOW, "device": Device(forming=FORMING), "wires": Wires(),
        "adc": Converter(6), "timing": Timing(1e-8, 5e-8, 1e-8)}
    return Physics(rows=rows, columns=columns, **own | changes)


def lif(n: int) -> LIF:
    """Neurons that leak."""
    one, zero = np.ones(n), np.zeros(n)
    return LIF(10 * one, 10 * one, zero, one, zero)


def dense(weight: Any, loop: Any = None) -> Network:
    """An input, a matrix, a population, and a loop of one step where ``loop`` is given."""
    weight = np.asarray(weight, np.float64)
    n = len(weight)
    nodes: dict[str, Node] = {"in": Input((weight.shape[1],)), "w": Linear(weight), "p": lif(n), "out": Output((n,))}
    edges = [Edge("in", "w"), Edge("w", "p"), Edge("p", "out")]
    if loop is not None:
        nodes["r"] = Linear(np.asarray(loop, np.float64))
        edges += [Edge("p", "r", 1), Edge("r", "p")]
    return Network("dense", nodes, tuple(edges), Semantics())


def currents(block: Block, p: Physics, x: Any, wires: Wires) -> Any:
    """(C,) A of the columns for row inputs x (R,), phase by phase, by one dense system over the cell currents: the
    voltage that drives a cell, less what the shared segments of both lines lose, is what the cell itself needs.
    """
    found = np.zeros(block.columns)
    for phase in np.unique(block.phase):
        on = np.flatnonzero(np.isin(block.channel, np.flatnonzero(block.phase == phase)))
        g = block.target_s[:, on]
        row, col = (a.ravel() for a in np.meshgrid(block.row_at, block.col_at[on], indexing="ij"))
        line, column = (a.ravel() for a in np.meshgrid(np.arange(block.rows), np.arange(len(on)), indexing="ij"))
        word = wires.word * (np.minimum.outer(col, col) + 1) + wires.driver
        bit = wires.bit * (p.rows - np.maximum.outer(row, row)) + wires.sense
        k = np.where(np.equal.outer(line, line), word, 0.0) + np.where(np.equal.outer(column, column), bit, 0.0)
        g = g.ravel()
        cell = np.linalg.solve(np.eye(len(g)) + g[:, None] * k, g * p.volts * np.asarray(x)[line])
        np.add.at(found, on[column], cell)
    return found
