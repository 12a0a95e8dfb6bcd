"""Two layers of current-summing somas as one circuit: y = f(h1(a, b), h2(a, b)), where only bias currents choose f."""

from __future__ import annotations

from dataclasses import replace

from hwsdk.ir.circuit import Circuit
from hwsdk.ir.soma import Branch, coupling
from hwsdk.simulators.rcsj import solve_many
from hwsdk.simulators.sfq_circuits import PS, circuit_of, driver, pulse_points, sink
from hwsdk.simulators.sfq_soma import soma_circuit

FRAME_S, START_S = 250 * PS, 60 * PS
DIRECT = Branch(8e-12, 0.51)
"""Both branches of h1 and of h2, and that of h1 to y: a decay time of 40 ps."""
INHIBITS = Branch(5e-12, 0.26, coupling(5e-12))
"""Both branches of h2 to y, the same decay time."""
XOR_A = {"h1": 160e-6, "h2": 102e-6, "y": 122e-6}
"""Soma bias currents at which h1 is OR, h2 is AND, and y is h1 without h2."""
DELAY = 5
"""Lines (of two junctions) from h1 to y, so that h2 comes first."""
ORDER = (0, 1, 2, 3, 3, 2, 1, 0)
"""Frames: bit 0 is a, bit 1 is b."""


def network() -> Circuit:
    """Bias groups: h1, h2, y (the somas' own currents) and "cells" (all the rest)."""
    parts = []
    for name in "ab":
        parts += [driver().circuit.placed(f"src_{name}", {"q": name}, "cells"),
                  circuit_of("SPLIT").circuit.placed(f"split_{name}", {"a": name, "q0": f"{name}1", "q1": f"{name}2"},
                                                     "cells")]
    parts += [_soma("h1", [DIRECT] * 2, ["a1", "b1"], "d0"), _soma("h2", [DIRECT] * 2, ["a2", "b2"], "h2"),
              circuit_of("SPLIT").circuit.placed("split_h2", {"a": "h2", "q0": "i0", "q1": "i1"}, "cells"),
              *(circuit_of("JTL").circuit.placed(f"late{k}", {"a": f"d{k}", "q": f"d{k + 1}"}, "cells")
                for k in range(DELAY)),
              _soma("y", [DIRECT, INHIBITS, INHIBITS], [f"d{DELAY}", "i0", "i1"], "out"),
              sink().circuit.placed("end", {"a": "out"}, "cells")]
    return Circuit("two layers", ()).joined(parts)


def _soma(name, branches, pins, out):
    """A soma whose own bias current is 1 A in a group of its own: the run's factor is the current."""
    made = soma_circuit(branches, 1.0)
    placed = made.circuit.placed(name, {f"b{j}": p for j, p in enumerate(pins)} | {"q": out}, "cells")
    own = f"{name}.bsoma"
    return Circuit(name, tuple(replace(e, group=name) if e.name == own else e for e in placed.elements))


def frames(biases, cells=1.0):
    """For each {h1, h2, y: A} the pulses of (h1, h2, y) in the frames of ORDER, and whether all sources got through."""
    circuit, stop = network(), START_S + FRAME_S * len(ORDER)
    sent = {n: [START_S + FRAME_S * f for f, p in enumerate(ORDER) if p >> k & 1] for k, n in enumerate("ab")}
    inputs = {f"src_{n}.pulse": pulse_points(t) for n, t in sent.items()}
    factors = [{**b, "cells": cells} for b in biases]
    runs = []
    for k in range(0, len(factors), 4):
        part = factors[k : k + 4]
        runs += solve_many([circuit] * len(part), stop, inputs=[inputs] * len(part), bias=part)
    return [_counts(run, sent) for run in runs]


def _counts(run, sent):
    rows = []
    for j in ("h1.jo1", "h2.jo1", "end.j1"):
        at = run.crossings[j]
        rows.append(tuple(int(((at >= START_S + FRAME_S * f) & (at < START_S + FRAME_S * (f + 1))).sum())
                          for f in range(len(ORDER))))
    first = {n: f"split_{n}.j1" for n in sent}
    clean = all(run.pulses(first[n]) == len(t) and not len(run.returns[first[n]]) for n, t in sent.items())
    return rows, clean


def function(row):
    """The truth table of a row of counts, for (a, b) = 00, 10, 01, 11; None if a frame has two pulses, or the two
    frames of an input differ.
    """
    half = row[:4]
    return "".join(map(str, half)) if half == row[:3:-1] and max(row) <= 1 else None
