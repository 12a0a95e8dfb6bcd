"""What a die computes, as a network: the reference runs it, and every spike and state is that of the simulator.

A block becomes a chain for all its uses together: rows (elements of the senders, some steps late), currents of the
channels, codes, entries, inputs of the neurons. Every chain sums in the simulator's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import Input, Node, Output, Quantise, Shape, Synapses
from hwsdk.programs.crossbar import Block, CrossbarProgram
from hwsdk.simulators.memristor_chip import BlockModel, linear, models
from hwsdk.simulators.memristor_machine import check

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def network_of(program: CrossbarProgram, conductances: Sequence[Any] | None = None) -> Network:
    """A die as DiscreteLIF, Synapses and Quantise. Read noise is left out; graded inputs enter whole, in one slice.

    Args:
        conductances: (R, C) float64 S of every block; default what physics.die has.

    Raises:
        UnsupportedError: NOT_LINEAR, where rows switch transistors and lines have resistance. ProgramError: the program
        does not hold together. DataError: BAD_CONDUCTANCES.
    """
    if not linear(program.physics):
        raise UnsupportedError("currents of gated columns with resistance are no sum of what each row gives",
                               where=program.name, code="NOT_LINEAR",
                               fix='leave out the stage "wires", or use a driven array')
    check(program)
    nodes: dict[str, Node] = {p.name: Input(p.shape) for p in program.inputs}
    nodes |= {p.name: p.cell for p in program.populations}
    shapes: dict[str, Shape] = program.input_shapes | {p.name: p.shape for p in program.populations}
    edges: list[Edge] = []
    prefix = "block"
    while any(n.startswith(prefix) for n in (*nodes, *program.outputs)):
        prefix = f"_{prefix}"
    for k, m in enumerate(models(program, conductances, noise=False)):
        _chain(f"{prefix}{k:06d}", m, program.physics.has("adc"), shapes, nodes, edges)
    for name, sources in program.outputs.items():
        nodes[name] = Output(shapes[sources[0]])
        edges += [Edge(s, name) for s in sources]
    return Network(program.name, nodes, tuple(edges), program.semantics, program.ledger, program.lag)


def _chain(name: str, m: BlockModel, adc: bool, shapes: dict[str, Shape], nodes: dict[str, Node],
           edges: list[Edge]) -> None:
    """One block. Its uses lie behind each other in every node."""
    b, row = m.block, 0
    codes, entries, sums = f"{name}.codes", f"{name}.entries", f"{name}.sums"
    step = np.where(adc, b.step_a, 0.0)
    nodes[codes] = Quantise(np.tile(step, b.uses), np.tile(m.offset, b.uses), b.code_min, b.code_max)
    for k, s in enumerate(b.segments):
        rows, currents = f"{name}.rows{k:06d}", f"{name}.currents{k:06d}"
        own = b.row_source[:, row : row + s.rows].astype(np.int64).ravel()
        at = np.flatnonzero(own >= 0)
        nodes[rows] = _synapses(shapes[s.source], (len(own),), own[at], at, np.ones(len(at)), s.delay_ticks)
        nodes[currents] = _currents(b, m.weight[row : row + s.rows])
        edges += [Edge(s.source, rows), Edge(rows, currents), Edge(currents, codes)]
        row += s.rows
    use, e = np.divmod(np.arange(b.entry_out.size), len(b.entry_channel) or 1)
    nodes[entries] = _synapses((b.uses * b.channels,), (b.entry_out.size,), use * b.channels + b.entry_channel[e],
                               np.arange(b.entry_out.size), b.entry_coef[e])
    out = b.entry_out.ravel().astype(np.int64)
    at = np.flatnonzero(out >= 0)
    nodes[sums] = _synapses((b.entry_out.size,), shapes[b.target], at, out[at], np.ones(len(at)))
    edges += [Edge(codes, entries), Edge(entries, sums), Edge(sums, b.target)]


def _currents(b: Block, weight: Floats) -> Synapses:
    """Rows of a segment to channels, the same in every use."""
    r, k = weight.shape
    row, channel = np.nonzero(weight)
    use = np.repeat(np.arange(b.uses), len(row))
    return _synapses((b.uses * r,), (b.uses * k,), use * r + np.tile(row, b.uses),
                     use * k + np.tile(channel, b.uses), np.tile(weight[row, channel], b.uses))


def _synapses(pre: Shape, post: Shape, source: Any, target: Any, weight: Any, delay: int = 0) -> Synapses:
    source, target = np.asarray(source, np.int64), np.asarray(target, np.int64)
    return Synapses(pre, post, source, target, np.asarray(weight, np.float64), np.full(len(source), delay, np.int64))
