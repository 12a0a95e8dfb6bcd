"""sfq_plan: the numbers of counters: how wide each must be, and what is added to it when.

A counter holds C = v - theta (plus 2^n for kind "subtract") modulo 2^b, b = n + 1 bits, read once a frame. Its bits are
enough if v - theta stays within -2^n .. 2^n - 1 whenever it is read; in between it may wrap round. The v that it keeps
for the next frame does too, so that whoever looks at its bits knows v.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.ir.neurons import DiscreteLIF

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
KINDS = ("memoryless", "subtract", "value")
MOST_BITS = 48
"""Of a counter: all of its numbers are whole in float64 then, with room for their sums."""
WALKED = 2048
"""Steps that are followed one by one; what still grows then is taken to grow for good."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Counters of a population, int64 (n) each. kind: one of KINDS.

    frame: what every frame adds; after: what the end of a frame adds (memoryless: always, once the counter is -1;
    otherwise after a spike); ones: bits that init toggles beside those of ``after``; init: what init adds at last; all
    modulo 2^bits. v_zero: C at v = 0. steps: for which the bits are enough, None for any number.
    """

    kind: str
    bits: Ints
    frame: Ints
    after: Ints
    ones: Ints
    init: Ints
    v_zero: Ints
    steps: int | None


def plan(name: str, cell: DiscreteLIF, low: Floats, high: Floats, odd: NDArray[np.bool_], max_steps: int) -> Plan:
    """The counters of a population whose neurons get from ``low`` to ``high`` in a step, without their bias.

    odd (n): whether a line ever adds an odd number.

    Raises:
        UnsupportedError: COUNTER_WIDTH.
    """
    kind = "memoryless" if not cell.decay_v.any() else cell.reset
    bias, threshold, back, start = (np.asarray(x, np.float64).ravel() for x in (
        cell.bias, cell.v_threshold, cell.reset_by, cell.v_init))
    if kind == "memoryless":
        least, most, settled, kept = low + bias, high + bias, True, (0 * low, 0 * low)
    else:
        least, most, settled, kept = reach(low + bias, high + bias, threshold, back if kind == "subtract" else None,
                                           start, max_steps)
    theta = np.clip(np.ceil(threshold), least, most + 1)
    span = np.maximum(np.maximum(most - theta + 1, theta - least), np.maximum(kept[1] + 1, -kept[0]))
    n = np.where(span > 1, np.ceil(np.log2(np.maximum(span, 1))), 0).astype(np.int64)
    n += (2.0 ** n < span).astype(np.int64)
    if int(n.max(initial=0)) >= MOST_BITS:
        raise UnsupportedError(
            f"counters of {int(n.max()) + 1} bits, to hold what {max_steps:,} steps can add up to; limit {MOST_BITS} "
            "bits", where=name, code="COUNTER_WIDTH", fix="run fewer steps (steps=N), or scale the layer down")
    return _numbers(kind, n, theta, bias + low, back, start, odd, None if settled else max_steps)


def _numbers(kind: str, n: Ints, theta: Floats, constant: Floats, back: Floats, start: Floats,
             odd: NDArray[np.bool_], steps: int | None) -> Plan:
    """The constants. constant: the bias, less what the complement rails of negative weights count up."""
    whole = [np.rint(x).astype(np.int64) for x in (theta, constant, back, start)]
    t, c, r, v = whole
    mod = np.left_shift(np.int64(2), n)
    zero = np.zeros_like(t)
    if kind == "subtract":
        half = mod // 2
        init = (half - t + v + r) % mod
        ones = (~odd & ((c | r | init) & 1 == 0)).astype(np.int64)  # a lowest bit that nothing else would toggle
        return Plan(kind, n + 1, c % mod, -r % mod, ones, (init - ones) % mod, (half - t) % mod, steps)
    after = (1 - t + (c if kind == "memoryless" else 0)) % mod
    frame, init = (zero, zero) if kind == "memoryless" else (c % mod, v % mod)
    return Plan(kind, n + 1, frame, after, mod - 1 - after, init, -t % mod, steps)


def reach(low: Floats, high: Floats, theta: Floats, back: Floats | None, start: Floats, steps: int,
          ) -> tuple[Floats, Floats, bool, tuple[Floats, Floats]]:
    """Least and most v before the threshold over so many steps, whether more steps cannot widen them, and least and
    most v that is kept.

    low, high: what a step adds. back: what a spike takes away; None: v is then 0.
    """
    least, most = start + low, start + high
    a, b = start.copy(), start.copy()
    for _ in range(min(steps, WALKED)):
        before_a, before_b = a + low, b + high
        least, most = np.minimum(least, before_a), np.maximum(most, before_b)
        after_a, after_b = _after(before_a, before_b, theta, back)
        new_a, new_b = np.minimum(a, after_a), np.maximum(b, after_b)
        if np.array_equal(new_a, a) and np.array_equal(new_b, b):
            return least, most, True, (a, b)
        falls, rises, a, b = new_a < a, new_b > b, new_a, new_b
    left = steps - min(steps, WALKED)
    fall = np.minimum(low, 0) - (0 if back is None else np.maximum(back, 0))
    rise = np.maximum(high, 0) + (0 if back is None else np.maximum(-back, 0))
    more, less = left * rise * rises, left * fall * falls
    return least + less, most + more, False, (a + less, b + more)


def _after(low: Floats, high: Floats, theta: Floats, back: Floats | None) -> tuple[Floats, Floats]:
    """Least and most v after the threshold: of those below it, and of those that a spike resets."""
    quiet, fires = low < theta, high >= theta
    reset_low = np.zeros_like(low) if back is None else np.maximum(low, theta) - back
    reset_high = np.zeros_like(low) if back is None else high - back
    least = np.minimum(np.where(quiet, low, np.inf), np.where(fires, reset_low, np.inf))
    most = np.maximum(np.where(quiet, np.minimum(high, theta - 1), -np.inf), np.where(fires, reset_high, -np.inf))
    return least, most
