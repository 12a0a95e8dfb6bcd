"""The solver's linear system: a reduced net as a constant, symmetric, positive definite matrix, factored once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

from hwsdk.errors import InternalError
from hwsdk.simulators.kernels_rcsj import Factors, Junctions, Resistors
from hwsdk.simulators.rcsj_net import EARTH, INDUCTOR, JUNCTION, RESISTOR, Net, S, bad

K_B = 1.380649e-23
"""Boltzmann's constant in J/K (CODATA 2018, exact)."""
FEW = 3
"""Neighbours of a node that is eliminated beforehand: no more, so that the matrix does not fill."""
Rows = dict[int, dict[int, float]]
"""A symmetric matrix: node -> node -> A per radian."""


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """Arrays for the kernel. place: node of the net -> row of the matrix, for nodes that have one.

    own (resistors of the net,): the junction into which it is folded, or -1 - its index in ``resistors``.
    """

    junctions: Junctions
    resistors: Resistors
    factors: Factors
    place: dict[int, int]
    own: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Rows of the matrix."""
        return len(self.factors.inverse)


def system_of(net: Net, h: float, temperature: float) -> System:
    """The system of a folded net for steps of h seconds, with noise of ``temperature`` kelvin."""
    values = _junction_values(net, h, temperature)
    left = [r for r in range(len(net.resistors)) if r not in net.gone[RESISTOR]]
    own = np.zeros(len(net.resistors), np.int64)
    for j, (r, _) in net.shunt.items():
        own[r] = j
    own[left] = -1 - np.arange(len(left))
    conductance = np.array([S / (h * net.resistors[r].ohm) for r in left], np.float64)
    rows = _rows(net, values.pop("branch"), 1.5 * conductance, left)
    _drop_silent(net, rows)
    place, factors = _factor(rows)
    place[EARTH] = len(factors.inverse)
    sigma = np.array([_sigma(net.resistors[r].ohm, h, temperature) for r in left], np.float64)
    return System(Junctions(*_ends(place, net.ends[JUNCTION]), **values),
                  Resistors(*_ends(place, [net.ends[RESISTOR][r] for r in left]), conductance, sigma),
                  factors, place, own)


def _sigma(ohm: float, h: float, temperature: float) -> float:
    """A: Johnson noise of a resistor, white up to half the rate of steps: sqrt(4 k T / R / 2 h)."""
    return sqrt(4 * K_B * temperature / ohm / (2 * h))


def _ends(place: dict[int, int], ends: Iterable[tuple[int, int]]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Rows of the matrix of branches' ends."""
    table = np.array([(place[p], place[m]) for p, m in ends], np.uint32).reshape(-1, 2)
    return np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])


def _junction_values(net: Net, h: float, temperature: float) -> dict[str, Any]:
    """The fields of Junctions but its ends, and ``branch``: A per radian between the ends.

    The resistor of a shunt: r = a f - b hist, from S / L (f - r) = 1.5 g r + hist. The junction f in series with L:
    f = w F - u H, from S / L (F - f) = G f + H. In both the branch stays a current per radian plus a known current.
    """
    e = net.junctions
    n = len(e)
    found: dict[str, Any] = {"ic": np.array([x.ic for x in e], np.float64)}
    found["c"] = np.array([S * x.c / h**2 for x in e], np.float64)
    found["g"] = np.array([S / (h * x.r_sub) for x in e], np.float64)
    zeros = ("shunt_g", "shunt_a", "shunt_b", "u", "shunt_noise")
    found |= {name: np.zeros(n) for name in zeros} | {"w": np.ones(n)}
    found["noise"] = np.array([_sigma(x.r_sub, h, temperature) if x.r_sub < inf else 0.0 for x in e], np.float64)
    branch = 2.25 * found["c"] + 1.5 * found["g"]
    for j, (r, coil) in net.shunt.items():
        g, stiff = S / (h * net.resistors[r].ohm), S / net.inductors[coil].henry
        found["shunt_g"][j], found["shunt_b"][j] = g, 1 / (1.5 * g + stiff)
        found["shunt_a"][j] = stiff * found["shunt_b"][j]
        found["shunt_noise"][j] = _sigma(net.resistors[r].ohm, h, temperature)
        branch[j] += 1.5 * g * found["shunt_a"][j]
    for j, coil in net.series.items():
        stiff = S / net.inductors[coil].henry
        found["u"][j] = 1 / (branch[j] + stiff)
        found["w"][j] = stiff * found["u"][j]
        branch[j] *= found["w"][j]
    return found | {"branch": branch}


def _rows(net: Net, branch: NDArray[np.float64], conductance: NDArray[np.float64], left: list[int]) -> Rows:
    """The matrix of all nodes that have an element."""
    rows: Rows = {n: {n: 0.0} for n in range(len(net.touch)) if net.touch[n]}
    for j, ends in enumerate(net.ends[JUNCTION]):
        _stamp(rows, *ends, float(branch[j]))
    for k, r in enumerate(left):
        _stamp(rows, *net.ends[RESISTOR][r], float(conductance[k]))
    coupled = net.coupled()
    for i, coil in enumerate(net.inductors):
        if i not in net.gone[INDUCTOR] and i not in coupled:
            _stamp(rows, *net.ends[INDUCTOR][i], S / coil.henry)
    for group in _groups(net, coupled):
        _stamp_group(net, rows, group)
    return rows


def _add(rows: Rows, a: int, b: int, value: float) -> None:
    """One entry; none for ground."""
    if a != EARTH and b != EARTH:
        row = rows[a]
        row[b] = row.get(b, 0.0) + value


def _stamp(rows: Rows, p: int, m: int, g: float) -> None:
    """A branch of g A per radian."""
    for a, b, value in ((p, p, g), (m, m, g), (p, m, -g), (m, p, -g)):
        _add(rows, a, b, value)


def _groups(net: Net, coupled: set[int]) -> list[list[int]]:
    """Inductors that are coupled with each other, directly or over others."""
    of = {i: [i] for i in coupled}
    for a, b, _ in net.couplings:
        if of[a] is not of[b]:
            of[a].extend(of[b])
            for i in of[b]:
                of[i] = of[a]
    return [group for i, group in sorted(of.items()) if group[0] == i]


def _stamp_group(net: Net, rows: Rows, group: list[int]) -> None:
    """Coupled inductors: S times the inverse of their inductance matrix."""
    at = {i: k for k, i in enumerate(group)}
    matrix = np.diag([net.inductors[i].henry for i in group])
    for a, b, k in net.couplings:
        if a in at:
            matrix[at[a], at[b]] += k * sqrt(net.inductors[a].henry * net.inductors[b].henry)
            matrix[at[b], at[a]] = matrix[at[a], at[b]]
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        names = ", ".join(net.inductors[i].name for i in group)
        raise bad("no coils can be coupled like this: they would hold negative energy", names,
                  "smaller couplings") from None
    inverse = S * np.linalg.inv(matrix)
    for a in group:
        for b in group:
            g = float(inverse[at[a], at[b]])
            for i, sign_a in zip(net.ends[INDUCTOR][a], (1, -1), strict=True):
                for k, sign_b in zip(net.ends[INDUCTOR][b], (1, -1), strict=True):
                    _add(rows, i, k, sign_a * sign_b * g)


def _drop_silent(net: Net, rows: Rows) -> None:
    """Take out nodes that only inductors meet: nothing flows into them from history, so they need no row."""
    silent = {n for n in rows if n not in net.held and all(kind == INDUCTOR for kind, _ in net.touch[n])}
    work = sorted(silent)
    while work:
        n = work.pop()
        if n not in rows or len(rows[n]) - 1 > FEW:
            continue
        row = rows.pop(n)
        own = row.pop(n)
        for a in row:
            del rows[a][n]
            for b in row:
                _add(rows, a, b, -row[a] * row[b] / own)
        work.extend(a for a in row if a in silent)


def _factor(rows: Rows) -> tuple[dict[int, int], Factors]:
    """L D L^T with an order that keeps L sparse; node -> row."""
    nodes = sorted(rows)
    if not nodes:
        empty = np.zeros(0, np.uint32)
        return {}, Factors(empty, empty, np.zeros(0), np.zeros(0))
    at = {n: k for k, n in enumerate(nodes)}
    entries = [(at[a], at[b], value) for a in nodes for b, value in rows[a].items()]
    i, k, value = (np.array(column) for column in zip(*entries, strict=True))
    matrix = csc_matrix((value, (i, k)), shape=(len(nodes), len(nodes)))
    lu = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    if not np.array_equal(lu.perm_r, lu.perm_c):
        raise InternalError("a positive definite matrix was factored with pivots off its diagonal")
    low = lu.L.tocsc()
    low.sort_indices()
    col = np.repeat(np.arange(len(nodes)), np.diff(low.indptr))
    below = low.indices > col
    factors = Factors(low.indices[below].astype(np.uint32), col[below].astype(np.uint32), low.data[below],
                      1 / lu.U.diagonal())
    return {n: int(lu.perm_c[k]) for n, k in at.items()}, factors
