"""pulse_rules: what no neuron of pulse logic can do, and which style each population gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from hwsdk.errors import UnsupportedError
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.nodes import ConvSynapses, Synapses

STYLES = ("counter", "loop")
Problem = tuple[str, str, str, str]
"""(code, where, what, fix)"""


def memoryless(cell: DiscreteLIF) -> bool:
    """True where nothing is kept from one frame to the next."""
    return not (cell.decay_v.any() or cell.decay_u.any())


def integrates(cell: DiscreteLIF) -> bool:
    """True where everything is kept: an IF neuron."""
    return bool((cell.decay_v == 1).all()) and not cell.decay_u.any()


def choose_styles(network: Network, wanted: str | Mapping[str, str] = "auto") -> dict[str, str]:
    """Population -> "counter" or "loop".

    Args:
        network: lowered.
        wanted: "auto": counter where it is exact (no memory, or no leak), loop elsewhere; "counter" or "loop": for all
            populations; or a style for each population that is named, "auto" for the others.

    Raises:
        UnsupportedError: BAD_OPTION, an unknown style or population.
    """
    own = dict.fromkeys(network.populations, wanted) if isinstance(wanted, str) else dict(wanted)
    if unknown := sorted(set(own) - set(network.populations)):
        raise UnsupportedError(f"a neuron style for {', '.join(unknown)}, which is no population of the network",
                               code="BAD_OPTION", fix=f"its populations are {', '.join(network.populations)}")
    if bad := sorted({s for s in own.values() if s not in (*STYLES, "auto")}):
        raise UnsupportedError(f"the neuron style {bad[0]!r}", code="BAD_OPTION",
                               fix=f"use auto, {' or '.join(STYLES)}")
    return {n: _automatic(c) if own.get(n, "auto") == "auto" else own[n] for n, c in network.populations.items()
            if isinstance(c, DiscreteLIF)}


def _automatic(cell: DiscreteLIF) -> str:
    """Counter where it is exact."""
    return "counter" if memoryless(cell) or integrates(cell) else "loop"


def require(network: Network, styles: Mapping[str, str]) -> None:
    """Check every rule.

    Raises:
        UnsupportedError: all violations in one message; the code is that of the first.
    """
    problems = [*_form(network)]
    for name, cell in network.populations.items():
        if not isinstance(cell, DiscreteLIF):
            continue
        problems += _any_style(name, cell)
        problems += _counter(name, cell) if styles[name] == "counter" else _loop(name, cell)
    refuse(problems)


def refuse(problems: list[Problem]) -> None:
    """One error for all problems, if there are any."""
    if problems:
        (code, where, what, fix), *rest = problems
        more = "".join(f"\n  - {w}: {t} [{c}] (fix: {f})" for c, w, t, f in rest)
        raise UnsupportedError(what + more, where=where, code=code, fix=fix)


def _form(network: Network) -> Iterator[Problem]:
    """Populations of DiscreteLIF joined by synapses that take a frame or more, as Lower(min_delay=1) makes them."""
    for name, cell in network.populations.items():
        if not isinstance(cell, DiscreteLIF):
            yield ("NEURON_MODEL", name, f"{type(cell).__name__} neurons; pulse logic has counters and current loops",
                   "build the population of NIR's neurons: IF, LIF or Threshold")
    for name, node in network.of(Synapses, ConvSynapses).items():
        ticks = np.atleast_1d(node.delay_ticks) if isinstance(node, Synapses | ConvSynapses) else np.ones(1)
        if len(ticks) and ticks.min() < 1:
            yield ("DELAY_RANGE", name, f"a delay of {int(ticks.min())} frames, the shortest is 1",
                   "lower the network with min_delay=1")


def _any_style(name: str, cell: DiscreteLIF) -> Iterator[Problem]:
    """What neither style has."""
    if not cell.fires:
        yield ("NOT_FIRING", name, "a membrane that is read out; a pulse circuit puts out nothing but pulses",
               "give the population a threshold and count the spikes of a firing population")
    if cell.decay_u.any():
        yield ("SYNAPTIC_CURRENT", name, f"a synaptic current that keeps {float(cell.decay_u.max()):g} of itself in a "
               "step; a neuron of pulse logic holds one state, limit 0", "use LIF in place of CubaLIF and train again")
    if cell.refractory is not None and cell.refractory.any():
        yield ("REFRACTORY", name, f"a refractory period of {int(cell.refractory.max())} steps, limit 0",
               "train without a refractory period")


def _counter(name: str, cell: DiscreteLIF) -> Iterator[Problem]:
    """A counter keeps all or nothing."""
    if not memoryless(cell) and not integrates(cell) and not cell.decay_u.any():
        low, high = float(cell.decay_v.min()), float(cell.decay_v.max())
        mixed = bool(np.isin(cell.decay_v, (0, 1)).all())
        yield ("COUNTER_LEAK", name, f"the membrane keeps {low:g}{f' to {high:g}' if high > low else ''} of itself in "
               "a step; a counter keeps all or nothing, the same for all neurons of a population",
               "split the population" if mixed else "use style loop for it (neuron=auto does), or train IF neurons")


def _loop(name: str, cell: DiscreteLIF) -> Iterator[Problem]:
    """A current loop always leaks through its resistor, and starts without current."""
    if (cell.decay_v == 1).any():
        yield ("LOOP_WITHOUT_LEAK", name, "a membrane that keeps all of itself; the currents of a loop decay through "
               "its resistors", "use style counter for it (neuron=auto does)")
