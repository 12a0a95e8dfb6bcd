"""rules: what a Loihi-style target cannot run at all. Small named functions; every violation is collected."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from hwsdk.errors import UnsupportedError
from hwsdk.ir.fixed import FixedATRLIF, FixedLIF, FixedNeuron, FixedRF, FixedSigmaDelta
from hwsdk.ir.grid import off_grid
from hwsdk.ir.ledger import Ledger, LedgerWriter
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import ConvSynapses, Input, Synapses
from hwsdk.mappers.loihi_cells import model_of
from hwsdk.targets.loihi import LoihiTarget

Problem = tuple[str, str, str, str]
"""(code, where, what, fix)"""
Rule = Callable[[Network, LoihiTarget], Iterator[Problem]]
BITS_24 = (-(1 << 23) + 1, (1 << 23) - 1)
THRESHOLD = (0, (1 << 17) - 1)
MANTISSA, EXPONENT = (-4096, 4095), (0, 7)
REGISTERS: dict[type[FixedNeuron], dict[str, tuple[int, int]]] = {
    FixedLIF: {"du": (0, 4095), "dv": (0, 4096), "vth": THRESHOLD, "bias_mant": MANTISSA, "bias_exp": EXPONENT,
               "u_init": (-(1 << 23) + 1, 1 << 23), "v_init": BITS_24},
    FixedATRLIF: {"du": (0, 4095), "dv": (0, 4096), "dtheta": (0, 4096), "dr": (0, 4096), "vth": THRESHOLD,
                  "theta_step": THRESHOLD, "bias_mant": MANTISSA, "bias_exp": EXPONENT,
                  "u_init": (-(1 << 23) + 1, 1 << 23), "v_init": BITS_24},
    FixedRF: {"vth": BITS_24, "re_init": BITS_24, "im_init": BITS_24},
    FixedSigmaDelta: {"theta": (0, BITS_24[1]), "bias": BITS_24},
}
"""Range of each parameter: widths that lava-nc 0.10.0 declares for LIF; of the other models, what their states of 24
bits hold (lava/proc/atrlif, rf, sdn: precision=24), since Lava declares narrower parameters and enforces none."""
FIXES = {"du": "u of the chip loses at least 1/4096 in a step: train the layer with a current decay above 0"}
"""What helps where scaling does not."""


def form(network: Network, target: LoihiTarget | None = None) -> Iterator[Problem]:
    """On the chip every projection joins one sender and one population, and nothing but projections takes time."""
    for name, node in network.nodes.items():
        into = network.sources(name)
        if late := [e.source for e in into if e.delay_ticks]:
            yield ("NETWORK_FORM", name, f"the edge from {late[0]} has a delay of its own",
                   "give the delay to the synapses")
        if isinstance(node, Synapses | ConvSynapses):
            yield from _projection_form(network, name)
        elif loose := [e.source for e in into if isinstance(node, Neuron) == isinstance(network.nodes[e.source], Neuron)
                       or isinstance(network.nodes[e.source], Input)]:
            yield ("NETWORK_FORM", name, f"{loose[0]} feeds it directly", "connect them with a weight" if isinstance(
                node, Neuron) else "let a population feed the output")


def _projection_form(network: Network, name: str) -> Iterator[Problem]:
    """One source, an input or a population, and one target, a population."""
    ends = [[e.source for e in network.sources(name)], [e.target for e in network.targets(name)]]
    for what, found, kinds in zip(("source", "target"), ends, (Input | Neuron, Neuron), strict=True):
        if len(found) != 1 or not isinstance(network.nodes[found[0]], kinds):
            yield ("NETWORK_FORM", name, f"the {what} of the projection is {', '.join(found[:4]) or 'nothing'}; "
                   f"it must be one population{' or input' if what == 'source' else ''}",
                   "make one projection for each pair of populations")


def models(network: Network, target: LoihiTarget) -> Iterator[Problem]:
    """The neuron model must be one that the chip has or can be programmed for."""
    known = target.capabilities.models
    for name, cell in network.populations.items():
        if model_of(cell) not in known:
            yield ("NEURON_MODEL", name, f"{type(cell).__name__} neurons ({model_of(cell)}); {target.name} has "
                   f"{', '.join(known)} only", "compile for loihi2, whose neurons are programmable, or use plain LIF")
        elif isinstance(cell, FixedLIF):
            yield from _lif_options(name, cell, target)


def _lif_options(name: str, cell: FixedLIF, target: LoihiTarget) -> Iterator[Problem]:
    """Refractory periods and periodic resets."""
    can = target.capabilities
    rest = 0 if cell.refractory is None else int(cell.refractory.max(initial=0))
    if cell.refractory is not None and (cell.refractory < 0).any():
        yield ("REFRACTORY_RANGE", name, f"a refractory period of {int(cell.refractory.min())} steps",
               "give 0 steps or more")
    if can.max_refractory is not None and rest > can.max_refractory:
        yield ("REFRACTORY_RANGE", name, f"refractory for {rest} steps, {target.name} takes 0 to {can.max_refractory}",
               "shorten the refractory period, or use a longer step")
    if cell.reset_interval and not can.periodic_reset:
        yield ("PERIODIC_RESET", name, f"a reset every {cell.reset_interval} steps, which {target.name} does not have",
               "compile for loihi2, or present every sample in a run of its own")


def delay_range(network: Network, target: LoihiTarget) -> Iterator[Problem]:
    """Synaptic delays must fit their field; a chip delay of d + 1 steps stores d."""
    limit = target.capabilities.max_delay + 1
    for name, node in network.of(Synapses, ConvSynapses).items():
        ticks = np.atleast_1d(node.delay_ticks) if isinstance(node, Synapses | ConvSynapses) else np.zeros(0, np.int64)
        if len(ticks) and (ticks.max() > limit or ticks.min() < 1):
            longest = int(ticks.max())
            fix = f"let relay neurons carry them (hwsdk.mappers.relay; hwsdk.compile does), or use a step at " \
                  f"least {_up(longest / limit)} times as long (--dt, with data binned to it) and check the accuracy" \
                  if longest > limit else "give every connection 1 step or more"
            yield ("DELAY_RANGE", name, f"synaptic delays of {int(ticks.min())} to {longest} steps, {target.name} "
                   f"takes 1 to {limit}", fix)


def reset_kind(network: Network, target: LoihiTarget) -> Iterator[Problem]:
    """The neuron's reset must be one that the chip has."""
    for name, cell in network.populations.items():
        if isinstance(cell, FixedLIF) and cell.fires and cell.reset not in target.capabilities.resets:
            yield ("RESET_KIND", name, f"reset={cell.reset}, {target.name} has only reset="
                   f"{' or '.join(target.capabilities.resets)}",
                   "compile for loihi2, whose neurons are programmable, or train with reset to a value (--reset value)")


def register_range(network: Network, target: LoihiTarget) -> Iterator[Problem]:
    """Every parameter must fit its register; see REGISTERS."""
    for name, cell in network.populations.items():
        ranges = REGISTERS.get(type(cell), {}) if isinstance(cell, FixedNeuron) else {}
        if isinstance(cell, FixedRF):
            ranges = ranges | dict.fromkeys(("sin", "cos"), (-(1 << cell.decay_bits), 1 << cell.decay_bits))
        for field, (low, high) in ranges.items():
            values = getattr(cell, field)
            if values.size and (values.min() < low or values.max() > high):
                yield ("REGISTER_RANGE", name, f"{field} is {int(values.min())} to {int(values.max())}, the register "
                       f"holds {low} to {high}", FIXES.get(field, "scale the layer, or quantise it with hwsdk"))


def weight_range(network: Network, target: LoihiTarget) -> Iterator[Problem]:
    """Weight mantissas of 8 bits and a sign on the grid of their bits, exponents of 4 bits; see hwsdk.ir.grid."""
    for name, node in network.of(Synapses, ConvSynapses).items():
        if isinstance(node, Synapses | ConvSynapses) and (problem := off_grid(node)):
            yield "WEIGHT_RANGE", name, problem, "quantise the network with hwsdk, or build it with hwsdk.ir.build"


RULES: tuple[Rule, ...] = (form, models, delay_range, reset_kind, register_range, weight_range)


def require(network: Network, target: LoihiTarget) -> None:
    """Check every rule.

    Raises:
        UnsupportedError: all violations in one message; the code is that of the first.
    """
    _refuse([p for rule in RULES for p in rule(network, target)])


def require_form(network: Network) -> None:
    """Check only the rule that later passes rely on.

    Raises:
        UnsupportedError: NETWORK_FORM.
    """
    _refuse(list(form(network)))


def _refuse(problems: list[Problem]) -> None:
    """One error for all problems, if there are any."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for code, where, what, fix in problems:
        places.setdefault((code, what, fix), []).append(where)
    if places:
        (code, what, fix), broken = next(iter(places.items()))
        more = "".join(f"\n  - {_names(w)}: {t} (fix: {f})" for (_, t, f), w in list(places.items())[1:])
        raise UnsupportedError(what + more, where=_names(broken), code=code, fix=fix)


def notes(network: Network) -> Ledger:
    """What stands outside the rules: where the hardware may want it otherwise, and what only a run can tell."""
    log = LedgerWriter()
    for name, cell in network.populations.items():
        interval = cell.reset_interval if isinstance(cell, FixedLIF) else 0
        if interval & (interval - 1):
            log.warning(name, "RESET_INTERVAL", f"a reset every {interval} steps; the Loihi 2 hardware wants a power "
                        "of two (lava-dl, mnist notebook)")
        if cell.graded:
            log.assumed(name, "GRADED_RANGE", "the values of its spikes stay within 32 bits, what a spike of Loihi 2 "
                        "carries (Intel brief)")
    return log.done()


def _names(places: list[str]) -> str:
    """A few names, and how many more."""
    more = f" and {len(places) - 6} more" if len(places) > 6 else ""
    return ", ".join(places[:6]) + more


def _up(x: float) -> str:
    """Two digits, rounded up."""
    return f"{math.ceil(x * 10) / 10:g}"
