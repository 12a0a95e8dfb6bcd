"""lower, for projections that learn: weights, amplitudes and bounds take the target's gain, both ends one lag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import singledispatch

import numpy as np

from hwsdk.errors import UnsupportedError
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import Node, Output, frozen
from hwsdk.ir.plastic import PairSTDP, Plasticity, PlasticSynapses
from hwsdk.mappers.discretise import Discrete
from hwsdk.mappers.retime import Link


@singledispatch
def scaled(rule: Plasticity, factor: float, where: str) -> Plasticity:
    """The rule of the projection ``where`` for weights that are ``factor`` > 0 times as large."""
    raise UnsupportedError(f"there is no chip form of the learning rule {type(rule).__name__}", where=where,
                           code="PLASTICITY", fix="use PairSTDP")


@scaled.register
def _pair(rule: PairSTDP, factor: float, where: str) -> Plasticity:
    return replace(rule, a_plus=rule.a_plus * factor, a_minus=rule.a_minus * factor, w_min=rule.w_min * factor,
                   w_max=rule.w_max * factor)


@dataclass(frozen=True, slots=True)
class Learning:
    """A plastic projection of the model, from one emitter to one population, which has one gain for all neurons."""

    name: str
    source: str
    target: str
    node: PlasticSynapses
    gain: float

    @property
    def links(self) -> tuple[Link, ...]:
        """What keeps both ends at one lag: spikes that the rule compares must be late by the same time."""
        return (Link(self.source, self.target, 0, tie=self.name), Link(self.target, self.source, 0, tie=self.name))

    def synapses(self, lag: int, log: LedgerWriter) -> Node:
        """The projection for the lowered network, ``lag`` steps behind the model; its delays stay."""
        if lag:
            log.warning(self.name, "LATE_LEARNING", f"{self.target} runs {lag} step(s) behind the model; if it fires "
                        "in the model's step 0, that spike changes weights on the chip, and in the model none")
        rule = scaled(self.node.rule, self.gain, self.name)
        return replace(self.node, weight=frozen(self.node.weight * self.gain), rule=rule)


def learning(network: Network, cells: Mapping[str, Discrete], dt: float) -> list[Learning]:
    """All plastic projections; ``dt``: by which lowering divides weights besides.

    Raises:
        UnsupportedError: PLASTIC_ORDER, PLASTIC_GAIN.
    """
    found = []
    for name, node in network.of(PlasticSynapses).items():
        if isinstance(node, PlasticSynapses):
            (into,) = network.sources(name)
            (out,) = network.targets(name)
            found.append(Learning(name, into.source, out.target, node, _gain(name, cells[out.target]) / dt))
    return found


def refuse_outputs(network: Network) -> None:
    """What a plastic projection delivers goes to its population alone.

    Raises:
        UnsupportedError: PLASTIC_OUTPUT.
    """
    for name in network.of(PlasticSynapses):
        if any(isinstance(network.nodes[e.target], Output) for e in network.targets(name)):
            raise UnsupportedError("an output reads what a plastic projection delivers", where=name,
                                   code="PLASTIC_OUTPUT", fix="let the output read the population behind it")


def _gain(name: str, cell: Discrete) -> float:
    """The gain that all neurons of the target share."""
    if cell.extra_delay:
        raise UnsupportedError(f"{cell.name} sees its synaptic current one step late (order=simultaneous), which would "
                               "be a delay that the learning rule does not know", where=name, code="PLASTIC_ORDER",
                               fix="import with order=synapse_first")
    low, high = float(cell.gain.min()), float(cell.gain.max())
    if low != high or not low > 0 or not np.isfinite(low):
        raise UnsupportedError(f"the neurons of {cell.name} multiply their input by {low:g} to {high:g}; a rule has "
                               "one amplitude and one largest weight for all its synapses", where=name,
                               code="PLASTIC_GAIN", fix="give all neurons of the population one resistance, one w_in "
                               "and one time constant, with a gain above 0")
    return low
