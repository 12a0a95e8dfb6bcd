"""Numba kernel of the transient solver of Josephson circuits. A plain twin that knows no reductions is in the tests."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from math import factorial
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.uint32]
"""Unsigned, so that Numba does not look for indices from the end."""
_njit: Any = njit
_inner = _njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False, fastmath={"contract"})
ROWS, SHUNT_ROWS = 5, 3
"""Phases of a junction and of a shunt's resistor that are kept: row k mod ROWS is that of step k."""
LEVELS = 4
"""Levels that a junction's phase may pass in one step."""
PI = np.pi
ROUND = 6755399441055744.0
"""1.5 * 2**52: a float64 below 2**51 to which it is added and from which it is taken again is rounded to an integer."""
PI_A, PI_B, PI_C = 3.141592651605606, 1.9841871479187034e-09, 1.1442377452219664e-17
"""pi as a sum of three parts; the first two end in zeros, so that their products with small integers are exact."""
SINE = tuple((-1.0) ** k / factorial(2 * k + 1) for k in range(1, 11))
"""Taylor's series of sin y / y behind the 1; the first term left out is below 2e-18 for |y| <= pi / 2."""


class Junctions(NamedTuple):
    """J branches between nodes p and m (N: ground): a junction with what was folded into its branch, all float64 (J,).

    ic A. c = S C / h^2 and g = S / (h r_sub) in A per radian. Shunt, a resistor R and inductor in series beside the
    junction: shunt_g = S / (h R), shunt_a and shunt_b give the resistor's phase from the junction's and from its
    history; 0 without a shunt. Inductor in series: w and u give the junction's phase from the branch's and from the
    history; 1 and 0 without. noise, shunt_noise: sigma of the current noise in A.
    """

    p: Indices
    m: Indices
    ic: Floats
    c: Floats
    g: Floats
    shunt_g: Floats
    shunt_a: Floats
    shunt_b: Floats
    w: Floats
    u: Floats
    noise: Floats
    shunt_noise: Floats


class Resistors(NamedTuple):
    """R resistors between p and m: g = S / (h R) in A per radian, noise: sigma in A."""

    p: Indices
    m: Indices
    g: Floats
    noise: Floats


class Factors(NamedTuple):
    """A = L D L^T of N nodes: the entries of L below its diagonal, column by column, and 1 / D (N,)."""

    row: Indices
    col: Indices
    value: Floats
    inverse: Floats


class Sources(NamedTuple):
    """Q piecewise linear currents into ``node``: points first[q]:first[q+1] of (time s, amp A). They change in steps
    begin..end (inclusive) of intervals, sorted by begin, of source ``which``.
    """

    node: Indices
    first: Indices
    time: Floats
    amp: Floats
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    which: Indices


class State(NamedTuple):
    """What goes from step to step. x (N+1,): node phases, the last of ground. into (N+1,): A from all sources.

    f (ROWS, J), shunt (SHUNT_ROWS, J), res (SHUNT_ROWS, R): phases of branches. h, h_shunt (J,): history currents.
    high, low (J,): the levels whose passing is a crossing. now, change, energy (Q,): amperes, their change in this
    step, and minus the sum of phase times change. point (Q,): place in the points. open: intervals that the step is in.
    past (P, 2): phases of probed nodes one and two steps back.
    """

    x: Floats
    into: Floats
    f: Floats
    shunt: Floats
    res: Floats
    h: Floats
    h_shunt: Floats
    h_res: Floats
    high: Floats
    low: Floats
    now: Floats
    change: Floats
    energy: Floats
    point: Indices
    open: Indices
    counts: NDArray[np.int64]
    past: Floats


OPEN, NEXT_INTERVAL, CROSSED, SAVED = 0, 1, 2, 3
"""Places in State.counts."""


class Output(NamedTuple):
    """Crossings (K,): junction, time in steps, direction +1 or -1. Probes P: node (P,), every ``every`` steps their
    phases and d phase / step (samples, P).
    """

    junction: Indices
    at: Floats
    sign: NDArray[np.int8]
    node: Indices
    phase: Floats
    slope: Floats


@_inner
def source_value(s: Sources, q: int, t: float, point: Any) -> Any:
    """A of source q at t seconds; moves its place on."""
    first, last = s.first[q], s.first[q + 1] - 1
    k = point[q]
    while k < last and s.time[k + 1] <= t:
        k += 1
    point[q] = k
    if k == last or t <= s.time[first]:
        return s.amp[k]
    part = (t - s.time[k]) / (s.time[k + 1] - s.time[k])
    return s.amp[k] + part * (s.amp[k + 1] - s.amp[k])


@_inner
def change_sources(s: Sources, st: State, k: int, h: float) -> None:
    """Currents at step k, before the phases of step k are known."""
    while st.counts[NEXT_INTERVAL] < len(s.begin) and s.begin[st.counts[NEXT_INTERVAL]] <= k:
        st.open[st.counts[OPEN]] = st.counts[NEXT_INTERVAL]
        st.counts[OPEN] += 1
        st.counts[NEXT_INTERVAL] += 1
    for o in range(st.counts[OPEN]):
        q = s.which[st.open[o]]
        new = source_value(s, q, k * h, st.point)
        st.change[q] = new - st.now[q]
        st.energy[q] -= 0.5 * st.x[s.node[q]] * st.change[q]
        st.into[s.node[q]] += st.change[q]
        st.now[q] = new


@_inner
def close_sources(s: Sources, st: State, k: int) -> None:
    """The energy of the changes with the new phases; intervals that end here are left."""
    kept = 0
    for o in range(st.counts[OPEN]):
        q = s.which[st.open[o]]
        st.energy[q] -= 0.5 * st.x[s.node[q]] * st.change[q]
        if s.end[st.open[o]] > k:
            st.open[kept] = st.open[o]
            kept += 1
    st.counts[OPEN] = kept


@_inner
def junction_currents(j: Junctions, f1: Any, f2: Any, f3: Any, f4: Any, s1: Any, s2: Any, h: Any, h_shunt: Any) -> None:
    """History currents of junctions and shunts: all but what is proportional to the new phase. BDF2 once for d/dt and
    twice for d2/dt2; the sine is taken of the phase extrapolated by a parabola.
    """
    for i in range(len(h)):
        x = 3.0 * (f1[i] - f2[i]) + f3[i]
        n = (x / PI + ROUND) - ROUND
        y = ((x - n * PI_A) - n * PI_B) - n * PI_C
        half = 0.5 * n
        odd = half - ((half + ROUND) - ROUND)
        z = y * y
        sine = 1.0 + z * (SINE[0] + z * (SINE[1] + z * (SINE[2] + z * (SINE[3] + z * (SINE[4] + z * (SINE[5] + z * (
            SINE[6] + z * (SINE[7] + z * (SINE[8] + z * SINE[9])))))))))
        sine *= y * (1.0 - 4.0 * odd * odd - 4.0 * odd * odd)
        history = 0.5 * f2[i] - 2.0 * f1[i]
        second = 5.5 * f2[i] - 6.0 * f1[i] - 2.0 * f3[i] + 0.25 * f4[i]
        back = j.shunt_g[i] * (0.5 * s2[i] - 2.0 * s1[i])
        h_shunt[i] = back
        h[i] = j.ic[i] * sine + j.c[i] * second + j.g[i] * history + j.shunt_a[i] * back


@_inner
def add_noise(j: Junctions, r: Resistors, st: State, normal: Any, own: Any) -> None:
    """Johnson noise. normal: a normal number for each junction, then for each resistor in the circuit's order.

    own (resistors of the circuit): the junction whose shunt it is, or -1 - its index in r.
    """
    for i in range(len(st.h)):
        st.h[i] += j.noise[i] * normal[i]
    for k in range(len(own)):
        z = normal[len(st.h) + k]
        if own[k] < 0:
            st.h_res[-1 - own[k]] += r.noise[-1 - own[k]] * z
        else:
            st.h_shunt[own[k]] += j.shunt_noise[own[k]] * z
            st.h[own[k]] += j.shunt_a[own[k]] * j.shunt_noise[own[k]] * z


@_inner
def load(j: Junctions, r: Resistors, st: State) -> None:
    """The right side: source currents less history currents."""
    x = st.x
    for i in range(len(x)):
        x[i] = st.into[i]
    for i in range(len(st.h)):
        current = j.w[i] * st.h[i]
        x[j.p[i]] -= current
        x[j.m[i]] += current
    for i in range(len(st.h_res)):
        x[r.p[i]] -= st.h_res[i]
        x[r.m[i]] += st.h_res[i]


@_inner
def substitute(a: Factors, x: Any) -> None:
    """x <- A^-1 x."""
    for e in range(len(a.value)):
        x[a.row[e]] -= a.value[e] * x[a.col[e]]
    for i in range(len(a.inverse)):
        x[i] *= a.inverse[i]
    for e in range(len(a.value) - 1, -1, -1):
        x[a.col[e]] -= a.value[e] * x[a.row[e]]
    x[len(a.inverse)] = 0.0


@_inner
def unload(j: Junctions, r: Resistors, st: State, f: Any, shunt: Any, res: Any) -> bool:
    """Phases of the branches from those of the nodes; has any junction passed a level?"""
    for i in range(len(f)):
        f[i] = j.w[i] * (st.x[j.p[i]] - st.x[j.m[i]])
    passed = 0
    for i in range(len(f)):
        f[i] -= j.u[i] * st.h[i]
        shunt[i] = j.shunt_a[i] * f[i] - j.shunt_b[i] * st.h_shunt[i]
        passed |= (f[i] >= st.high[i]) | (f[i] < st.low[i])
    for i in range(len(res)):
        res[i] = st.x[r.p[i]] - st.x[r.m[i]]
    return passed != 0


@_inner
def note_crossings(st: State, f: Any, f1: Any, k: int, out: Output) -> None:
    """Times at which phases pass pi + 2 pi n, linear between steps k - 1 and k."""
    n = st.counts[CROSSED]
    for i in range(len(f)):
        for _ in range(LEVELS):
            up = f[i] >= st.high[i]
            if not up and not f[i] < st.low[i]:
                break
            level = st.high[i] if up else st.low[i]
            out.junction[n], out.sign[n] = i, 1 if up else -1
            out.at[n] = k - (f[i] - level) / (f[i] - f1[i])
            n += 1
            st.high[i] += 2 * PI if up else -2 * PI
            st.low[i] = st.high[i] - 2 * PI
    st.counts[CROSSED] = n


@_inner
def note_probes(st: State, k: int, every: int, out: Output) -> None:
    """Phases of probed nodes, and their change a step by BDF2."""
    row = st.counts[SAVED]
    for i in range(len(out.node)):
        new = st.x[out.node[i]]
        if k % every == 0:
            out.phase[row, i] = new
            out.slope[row, i] = 1.5 * new - 2.0 * st.past[i, 0] + 0.5 * st.past[i, 1]
        st.past[i, 1] = st.past[i, 0]
        st.past[i, 0] = new
    if k % every == 0:
        st.counts[SAVED] += 1


@_njit(cache=True, nogil=True, _nrt=False, fastmath={"contract"})
def run(j: Junctions, r: Resistors, a: Factors, s: Sources, st: State, out: Output, normal: Floats, own: Any,
        begin: int, end: int, every: int, h: float) -> int:
    """Steps begin + 1 .. end of h seconds; comes back with the last step that is done, early if crossings or normal
    numbers, a row (junctions + resistors of the circuit) a step, run out. No rows: no noise. own: see ``add_noise``.
    """
    noisy = len(normal) > 0
    end = min(end, begin + len(normal)) if noisy else end
    for k in range(begin + 1, end + 1):
        if st.counts[CROSSED] + LEVELS * len(st.h) > len(out.at):
            return k - 1
        change_sources(s, st, k, h)
        f, f1 = st.f[k % ROWS], st.f[(k - 1) % ROWS]
        shunt, s1, s2 = st.shunt[k % 3], st.shunt[(k + 2) % 3], st.shunt[(k + 1) % 3]
        junction_currents(j, f1, st.f[(k - 2) % ROWS], st.f[(k - 3) % ROWS], st.f[(k - 4) % ROWS], s1, s2, st.h,
                          st.h_shunt)
        for i in range(len(st.h_res)):
            st.h_res[i] = r.g[i] * (0.5 * st.res[(k + 1) % 3, i] - 2.0 * st.res[(k + 2) % 3, i])
        if noisy:
            add_noise(j, r, st, normal[k - begin - 1], own)
        load(j, r, st)
        substitute(a, st.x)
        if unload(j, r, st, f, shunt, st.res[k % 3]):
            note_crossings(st, f, f1, k, out)
        close_sources(s, st, k)
        note_probes(st, k, every, out)
    return end
