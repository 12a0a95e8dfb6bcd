"""A small netlist of cells of several kinds, joined by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sfq_cells_by_hand import Net

from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.programs.sfq import Layer, PulseNetlist, Schedule


def joined() -> tuple[PulseNetlist, Stimulus]:
    """A splitter, a line, a merger, a TFF and a DFF that a clock reads; a pulse goes in or not in five frames."""
    net = Net()
    source, clock, split, merge, toggle, store = (net.add(n) for n in ("SRC", "SRC", "SPLIT", "MERGE", "TFF", "DFF"))
    line = net.chain(["JTL"] * 5)
    for a, out, b, pin in ((source, 0, split, 0), (split, "q0", line[0], 0), (line[-1], 0, merge, "a"),
                           (split, "q1", merge, "b"), (merge, 0, toggle, 0), (toggle, 0, store, "a"),
                           (clock, 0, store, "clk")):
        net.join(a, out, b, pin)
    spikes = [net.join(store, 0, net.add("SINK"), 0)]
    program = net.program(inputs=[("in", [source])], frame=[(clock, 100_000)], spikes=spikes,
                          layers=[Layer("x", (1,), "counter", 106_000)], schedule=Schedule(150_000, 0, 0, 10_000))
    return program, Stimulus({"in": events_from_dense(np.array([[1], [0], [1], [1], [0]]))})


def two_branches(bias_a: float) -> tuple[PulseNetlist, Stimulus]:
    """A soma with two direct branches; no pulse, one, the other and both go in."""
    net = Net()
    left, right = net.add("SRC"), net.add("SRC")
    soma = net.add("SOMA2", branches=((1.0, 1.0), (1.0, 1.0)), bias_a=bias_a)
    for pin, source in enumerate((left, right)):
        net.join(source, 0, soma, pin)
    spikes = [net.join(soma, 0, net.add("SINK"), 0)]
    program = net.program(inputs=[("in", [left, right])], layers=[Layer("clock", (1,), "loop", 25_000)], spikes=spikes,
                          schedule=Schedule(150_000, 0, 0, 10_000))
    arrays = replace(program.arrays, branch_l_h=np.full(2, 20e-12), branch_r_ohm=np.full(2, 1.0))
    data = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0, 0]])
    return replace(program, arrays=arrays), Stimulus({"in": events_from_dense(data)})
