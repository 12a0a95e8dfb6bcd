"""rules: what a Loihi-style target cannot run at all. Small named functions; every violation is collected."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from hwsdk.errors import UnsupportedError
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import Synapses
from hwsdk.targets import Target

Problem = tuple[str, str, str, str]
"""(code, where, what, fix)"""


def delay_range(network: Network, target: Target) -> Iterator[Problem]:
    """Synaptic delays must fit their field; a chip delay of d + 1 steps stores d."""
    limit = target.capabilities.max_delay + 1
    for name, node in network.of(Synapses).items():
        ticks = node.delay_ticks if isinstance(node, Synapses) else np.zeros(0, np.int64)
        if len(ticks) and (ticks.max() > limit or ticks.min() < 1):
            longest = int(ticks.max())
            fix = f"shorten the delays, or use a step at least {_up(longest / limit)} times as long (--dt, with data " \
                  "binned to it) and check the accuracy" if longest > limit else "give every connection 1 step or more"
            yield ("DELAY_RANGE", name, f"synaptic delays of {int(ticks.min())} to {longest} steps, {target.name} "
                   f"takes 1 to {limit}", fix)


def reset_kind(network: Network, target: Target) -> Iterator[Problem]:
    """The neuron's reset must be one that the chip has."""
    for name, cell in network.populations.items():
        if isinstance(cell, FixedLIF) and cell.fires and cell.reset not in target.capabilities.resets:
            yield ("RESET_KIND", name, f"reset={cell.reset}, {target.name} has only reset="
                   f"{' or '.join(target.capabilities.resets)}",
                   "compile for loihi2, whose neurons are programmable, or train with reset to a value (--reset value)")


def register_range(network: Network, target: Target) -> Iterator[Problem]:
    """Widths of the registers (lava-nc 0.10.0 documentation of LIF and Dense)."""
    ranges = {"du": (0, 4095), "dv": (0, 4096), "vth": (0, (1 << 17) - 1), "bias_mant": (-4096, 4095),
              "bias_exp": (0, 7), "u_init": (-(1 << 23), 1 << 23), "v_init": (-(1 << 23) + 1, (1 << 23) - 1)}
    for name, cell in network.populations.items():
        for field, (low, high) in ranges.items():
            values = getattr(cell, field)
            if values.size and (values.min() < low or values.max() > high):
                yield ("REGISTER_RANGE", name, f"{field} is {int(values.min())} to {int(values.max())}, the register "
                       f"holds {low} to {high}", "scale the layer, or quantise it with hwsdk")


def weight_range(network: Network, target: Target) -> Iterator[Problem]:
    """Weight mantissas of 8 bits and a sign, exponents of 4 bits (lava-nc 0.10.0 weightutils)."""
    for name, node in network.of(Synapses).items():
        if isinstance(node, Synapses) and len(node.weight):
            low, high = int(node.weight.min()), int(node.weight.max())
            if low < -256 or high > 255 or not 0 <= node.weight_exp <= 7:
                yield ("WEIGHT_RANGE", name, f"weights of {low} to {high} with exponent {node.weight_exp}, the memory "
                       "holds -256 to 255 with 0 to 7", "quantise the network with hwsdk")


RULES: tuple[Callable[[Network, Target], Iterator[Problem]], ...] = (
    delay_range, reset_kind, register_range, weight_range,
)


def require(network: Network, target: Target) -> None:
    """Check every rule.

    Raises:
        UnsupportedError: all violations in one message; the code is that of the first.
    """
    places: dict[tuple[str, str, str], list[str]] = {}
    for code, where, what, fix in (p for rule in RULES for p in rule(network, target)):
        places.setdefault((code, what, fix), []).append(where)
    if places:
        (code, what, fix), broken = next(iter(places.items()))
        more = "".join(f"\n  - {_names(w)}: {t} (fix: {f})" for (_, t, f), w in list(places.items())[1:])
        raise UnsupportedError(what + more, where=_names(broken), code=code, fix=fix)


def _names(places: list[str]) -> str:
    """A few names, and how many more."""
    more = f" and {len(places) - 6} more" if len(places) > 6 else ""
    return ", ".join(places[:6]) + more


def _up(x: float) -> str:
    """Two digits, rounded up."""
    return f"{math.ceil(x * 10) / 10:g}"
