"""Crossbars node by node: resistors between named nodes, solved as one dense system. Slow and plain, on purpose."""

from __future__ import annotations

import numpy as np


class Circuit:
    """Conductances and wires between named nodes; some nodes are held at a voltage. A wire of 0 ohm joins its nodes."""

    def __init__(self) -> None:
        self.links: list[tuple[object, object, float]] = []
        self.held: dict[object, float] = {}
        self._joined: dict[object, object] = {}

    def wire(self, p, q, ohm):
        if ohm == 0:
            self._joined[self._root(p)] = self._root(q)
        else:
            self.links.append((p, q, 1.0 / ohm))

    def cell(self, p, q, siemens):
        self.links.append((p, q, siemens))

    def hold(self, node, volts):
        self.held[node] = volts

    def _root(self, node):
        while node in self._joined:
            node = self._joined[node]
        return node

    def solve(self):
        """Voltage of every node."""
        held = {self._root(n): v for n, v in self.held.items()}
        roots = {self._root(n) for link in self.links for n in link[:2]}
        number = {n: k for k, n in enumerate(sorted(roots - set(held), key=repr))}
        matrix, right = np.zeros((len(number), len(number))), np.zeros(len(number))
        for p, q, g in self.links:
            for here, there in ((self._root(p), self._root(q)), (self._root(q), self._root(p))):
                if here in number:
                    matrix[number[here], number[here]] += g
                    if there in number:
                        matrix[number[here], number[there]] -= g
                    else:
                        right[number[here]] += g * held[there]
        # a node that nothing holds has no current and any voltage
        alone = np.flatnonzero(np.diag(matrix) == 0)
        matrix[alone, alone] = 1.0
        found = np.linalg.solve(matrix, right)
        volts = held | {n: found[k] for n, k in number.items()}
        self.volts = {n: volts[self._root(n)] for link in self.links for n in link[:2]} | self.held
        return self.volts

    def into(self, node):
        """A that flow into a held node through its links."""
        total = 0.0
        for p, q, g in self.links:
            for here, there in ((p, q), (q, p)):
                if self._root(here) == self._root(node):
                    total += g * (self.volts[there] - self.volts[here])
        return total


def driven(g, v, word, bit):
    """Driven rows: (currents out of the columns (N,), currents out of the sources (M,), V across the cells (M, N)).

    Currents are sums over cells, which lose fewer digits than small differences over a wire.
    """
    m, n = g.shape
    c = Circuit()
    for j in range(m):
        c.hold(("source", j), v[j])
        for k in range(n):
            c.wire(("source", j) if k == 0 else ("word", j, k - 1), ("word", j, k), word[k])
            c.wire(("bit", j, k), ("end", k) if j == m - 1 else ("bit", j + 1, k), bit[j])
            c.cell(("word", j, k), ("bit", j, k), g[j, k])
    for k in range(n):
        c.hold(("end", k), 0.0)
    volts = c.solve()
    across = np.array([[volts["word", j, k] - volts["bit", j, k] for k in range(n)] for j in range(m)])
    return np.sum(g * across, axis=0), np.sum(g * across, axis=1), across


def gated(g, active, source, bit, volts):
    """Gated columns: (currents out of the columns (N,), V across the cells (M, N), NaN where a row is open)."""
    m, n = g.shape
    currents, across = np.zeros(n), np.full((m, n), np.nan)
    for k in range(n):
        c = Circuit()
        c.hold("supply", volts)
        c.hold("end", 0.0)
        for j in range(m):
            c.wire("supply" if j == 0 else ("source", j - 1), ("source", j), source[j])
            c.wire(("bit", j), "end" if j == m - 1 else ("bit", j + 1), bit[j])
            if active[j]:
                c.cell(("source", j), ("bit", j), g[j, k])
        found = c.solve()
        currents[k] = c.into("end")
        for j in np.flatnonzero(active):
            across[j, k] = found["source", j] - found["bit", j]
    return currents, across


def ladder_column(g, active, n_active, source, bit, volts):
    """Current in A out of one gated column, walked plainly from the sense end up; see kernels_wires.ladder_columns."""
    if n_active == 0:
        return 0.0
    last = active[n_active - 1]
    y, u, f = g[last], 1.0, 0.0
    for j in range(last, len(bit)):
        f += bit[j]
    for n in range(n_active - 2, -1, -1):
        here, after = active[n], active[n + 1]
        s, b = 0.0, 0.0
        for j in range(here, after):
            s += source[j + 1]
            b += bit[j]
        share = 1.0 / (1.0 + (s + b) * y)
        w = 1.0 - u
        f += (s * b * y + s * w * w + b * u * u) * share
        u = (s * y + u) * share
        y = g[here] + y * share
    s = 0.0
    for j in range(active[0] + 1):
        s += source[j]
    current = volts * y / ((s + f) * y + u * u)
    return current
