"""The RCSJ equations once more, plain and dense: every node a phase, every inductor a current, no reductions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.circuit import PHI0, Circuit, Coupling, Inductor, Junction, Resistor, Source

S = PHI0 / (2 * np.pi)
BOLTZMANN = 1.380649e-23


class Twin:
    """A circuit in steps of h seconds; ``phase`` (steps + 1, nodes + 1): radians, the last column is ground."""

    def __init__(self, circuit: Circuit, steps: int, h: float, temperature: float | None = None, seed: int = 0) -> None:
        self.h, self.temperature = h, temperature
        self.nodes = list(circuit.nodes)
        self.junctions, self.resistors, self.inductors, self.couplings, self.sources = (
            list(circuit.of(kind)) for kind in (Junction, Resistor, Inductor, Coupling, Source))
        self.rng = np.random.default_rng(seed)
        self.inverse = np.linalg.inv(self.matrix())
        self.phase = np.zeros((steps + 5, len(self.nodes) + 1))  # four rows of rest before the first
        self.amp = np.zeros((steps + 1, len(self.sources)))
        self.amp[0] = [self.current(s, 0.0) for s in self.sources]
        for k in range(1, steps + 1):
            self.step(k)
        self.phase = self.phase[4:]

    def at(self, node: str) -> int:
        return len(self.nodes) if node == "0" else self.nodes.index(node)

    def of(self, node: str) -> NDArray[np.float64]:
        return self.phase[:, self.at(node)]

    def across(self, junction: str) -> NDArray[np.float64]:
        e = next(e for e in self.junctions if e.name == junction)
        return self.of(e.p) - self.of(e.m)

    def energy(self, source: str) -> float:
        """J: the integral of I V dt by trapezoids."""
        q = next(q for q, s in enumerate(self.sources) if s.name == source)
        mean = 0.5 * (self.amp[1:, q] + self.amp[:-1, q])
        return float(S * np.sum(mean * np.diff(self.of(self.sources[q].p))))

    @staticmethod
    def current(source: Source, t: float) -> float:
        times, amps = zip(*source.points, strict=True)
        return float(np.interp(t, times, amps))

    def matrix(self) -> NDArray[np.float64]:
        n, h = len(self.nodes), self.h
        a = np.zeros((n + 1 + len(self.inductors),) * 2)
        for e in (*self.junctions, *self.resistors):
            g = S * (2.25 * e.c / h**2 + 1.5 / (h * e.r_sub)) if isinstance(e, Junction) else S * 1.5 / (h * e.ohm)
            p, m = self.at(e.p), self.at(e.m)
            a[p, p] += g
            a[m, m] += g
            a[p, m] -= g
            a[m, p] -= g
        for k, e in enumerate(self.inductors, n + 1):
            p, m = self.at(e.p), self.at(e.m)
            a[p, k] += 1
            a[m, k] -= 1
            a[k, p] += S
            a[k, m] -= S
            a[k, k] -= e.henry
        names = [e.name for e in self.inductors]
        for c in self.couplings:
            i, k = names.index(c.first), names.index(c.second)
            mutual = c.k * np.sqrt(self.inductors[i].henry * self.inductors[k].henry)
            a[n + 1 + i, n + 1 + k] -= mutual
            a[n + 1 + k, n + 1 + i] -= mutual
        a[n, :] = a[:, n] = 0.0
        a[n, n] = 1.0  # ground: phase 0
        return a

    def noise(self, ohm: float) -> float:
        z = self.rng.standard_normal()
        return z * np.sqrt(4 * BOLTZMANN * (self.temperature or 0.0) / ohm / (2 * self.h))

    def step(self, k: int) -> None:
        n, h, row = len(self.nodes), self.h, k + 4
        b = np.zeros(n + 1 + len(self.inductors))
        for e in (*self.junctions, *self.resistors):
            p, m = self.at(e.p), self.at(e.m)
            f1, f2, f3, f4 = (self.phase[row - d, p] - self.phase[row - d, m] for d in (1, 2, 3, 4))
            hv = (-2 * f1 + 0.5 * f2) / h
            if isinstance(e, Junction):
                v1, v2 = (1.5 * f1 - 2 * f2 + 0.5 * f3) / h, (1.5 * f2 - 2 * f3 + 0.5 * f4) / h
                ha = (1.5 * hv - 2 * v1 + 0.5 * v2) / h
                known = e.ic * np.sin(3 * f1 - 3 * f2 + f3) + S * (e.c * ha + hv / e.r_sub)
            else:
                known = S * hv / e.ohm
            if self.temperature is not None:
                known += self.noise(e.r_sub if isinstance(e, Junction) else e.ohm)
            b[p] -= known
            b[m] += known
        self.amp[k] = [self.current(s, k * h) for s in self.sources]
        for s, amp in zip(self.sources, self.amp[k], strict=True):
            b[self.at(s.p)] += amp
        b[n] = 0.0
        self.phase[row] = (self.inverse @ b)[: n + 1]
