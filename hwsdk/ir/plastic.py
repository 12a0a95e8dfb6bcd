"""Projections whose weights change while the network runs, and the rules by which they do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ModelError
from hwsdk.ir.fixed import FixedNeuron
from hwsdk.ir.neurons import Neuron, is_spiking
from hwsdk.ir.nodes import FloatArray, Input, Node, Output, Projection
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.single import WEIGHT_LIMIT, SingleNeuron, single

if TYPE_CHECKING:
    from hwsdk.ir.network import Edge


@dataclass(frozen=True, slots=True)
class Plasticity:
    """Base of the learning rules: frozen values. What a rule computes is dispatched by its type, in the reference in
    hwsdk.simulators.reference_plastic.
    """

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest weight."""
        return (-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class PairSTDP(Plasticity):
    """Additive spike-pair STDP with deferred updates: SpikePairRule and AdditiveWeightDependence of sPyNNaker.

    A weight changes only when its pre neuron spikes. At a pre spike of step t, on a synapse of delay d, with last_pre
    the step of the pre spike before (0 if there was none) and every post spike counted d steps late:

        for each post spike in (last_pre - d, t - d], the earliest first, with D = t_post + d - last_pre:
            w = min(w_max, w + a_plus x exp(-D / tau_plus))      x the pre trace as last_pre left it
        for the last post spike at or before t - d, with D = t - (t_post + d), which may be 0:
            w = max(w_min, w - a_minus y exp(-D / tau_minus))    y the post trace as t_post left it
        then w is delivered, to act in step t + d

    Both ends of the window are floored at 0, so a post spike of step 0 changes no weight by itself; it counts in the
    trace. Traces are those of all pairs: at a neuron's own spikes x = x exp(-D / tau) + 1, D since its spike before.
    Within a step: currents arrive, neurons update, all spikes enter the histories, then the pre spikes are worked off.

    tau_plus, tau_minus: in the model's time unit. a_plus, a_minus: in the unit of the weights, 0 or more; they are not
    multiplied by w_max. w_min, w_max: 0 <= w_min <= w_max; a weight is held inside after every single change.

    Sources, all of sPyNNaker: the window, the shift of post spikes by the (dendritic) delay, the order within a step
    and the delivery of the new weight are those of synapse_dynamics_stdp_mad_impl.c and post_events.h; traces, and that
    D = 0 depresses, of timing_pair_impl.h (older versions ask for D > 0, with which 14 of 1,080 cells recorded for
    arXiv:2310.05868 come out wrong); absolute amplitudes of weight_dependence_additive.py, the bound after each change
    of weight_additive_one_term_impl.h. Different: weights and traces are float64, not 16 bits with tables of exp; no
    post spike is forgotten, while post_events.h keeps the last 15 of each neuron; and post_events.h lets a post spike
    of step 0 depress, which no recording at hand can tell.

    Raises:
        ModelError: BAD_RULE.
    """

    tau_plus: float
    tau_minus: float
    a_plus: float
    a_minus: float
    w_min: float
    w_max: float

    def __post_init__(self) -> None:
        _take_numbers(self)

    @property
    def bounds(self) -> tuple[float, float]:
        """(w_min, w_max)."""
        return (self.w_min, self.w_max)


@dataclass(frozen=True, slots=True)
class StoredPairSTDP(Plasticity):
    """PairSTDP as a SpiNNaker 2 processing element computes it on the integer weights in its memory.

    Traces and changes are float32; every operation is rounded to float32, none are fused. e+ and e- are
    ``decay_table(tau_plus)`` and ``decay_table(tau_minus)``, 0 beyond their ends. With the D, the windows and the order
    of PairSTDP:

        trace       x = x e[D] + 1
        potentiate  w = min(w_max, w + (a_plus x) e+[D])
        depress     w = max(w_min, w - (a_minus y) e-[D])

    and when all changes of one pre spike are done, the nearest integer of w (halves to the even one) is stored and
    delivered. A PE keeps the last ``history`` spikes of a post neuron; of these the last ``history`` - 1 before the
    step of the pre spike count, since one may be of that step itself.

    tau_plus, tau_minus: in steps, at most MAX_TAU. a_plus, a_minus: in the unit of the weights, rounded to float32.
    w_min, w_max: integers, 0 <= w_min <= w_max <= 32767. history: 2 or more.

    Raises:
        ModelError: BAD_RULE.
    """

    tau_plus: float
    tau_minus: float
    a_plus: float
    a_minus: float
    w_min: float
    w_max: float
    history: int = 16

    def __post_init__(self) -> None:
        _take_numbers(self)
        if max(self.tau_plus, self.tau_minus) > MAX_TAU:
            raise ModelError(f"a time constant of {max(self.tau_plus, self.tau_minus):g} steps, tables hold up to "
                             f"{MAX_TAU}", code="BAD_RULE", fix="use a longer step")
        if self.w_min % 1 or self.w_max % 1 or self.w_max > WEIGHT_LIMIT:
            raise ModelError(f"stored weights of {self.w_min:g} to {self.w_max:g}", code="BAD_RULE",
                             fix=f"give integers up to {WEIGHT_LIMIT}")
        if self.history < 2 or self.history % 1:
            raise ModelError(f"history is {self.history:g}", code="BAD_RULE", fix="give 2 or more spikes")
        object.__setattr__(self, "history", int(self.history))
        for name in ("a_plus", "a_minus"):
            object.__setattr__(self, name, float(single(getattr(self, name))))

    @property
    def bounds(self) -> tuple[float, float]:
        """(w_min, w_max)."""
        return (self.w_min, self.w_max)


MAX_TAU = 4096
"""Steps. A table of float32 is 17 tau entries long, so a longer one is larger than a core's memory."""


def decay_table(tau: float) -> NDArray[np.float32]:
    """exp(-D / tau) for D = 0, 1, ... steps, float32 (n,): it ends where the value falls below 2^-24, which is half a
    unit in the last place of 1. Beyond its end everything is 0.
    """
    smallest = 2.0**-24
    values = [math.exp(-steps / tau) for steps in range(math.ceil(-tau * math.log(smallest)) + 2)]
    return np.asarray([v for v in values if v >= smallest], np.float32)


def _take_numbers(rule: PairSTDP | StoredPairSTDP) -> None:
    """Every field a finite float: time constants above 0, the others 0 or more, the bounds in order."""
    for field in fields(rule):
        value = getattr(rule, field.name)
        least = "above 0" if field.name.startswith("tau") else "0 or more"
        good = isinstance(value, int | float | np.number) and math.isfinite(value) and \
            (value > 0 if least == "above 0" else value >= 0)
        if not good:
            raise ModelError(f"{field.name} of {type(rule).__name__} is {value!r}", code="BAD_RULE",
                             fix=f"give a finite number, {least}")
        object.__setattr__(rule, field.name, float(value))
    if rule.w_min > rule.w_max:
        raise ModelError(f"w_min {rule.w_min:g} is above w_max {rule.w_max:g}", code="BAD_RULE", fix="exchange them")


@dataclass(frozen=True, slots=True, eq=False)
class PlasticSynapses(Projection):
    """A sparse projection whose weights follow a rule: in floats, or of StoredPairSTDP as integers.

    source, target int64 (k,): flat indices into pre_shape and post_shape; weight float64 (k,): with which every sample
    starts, whole numbers for StoredPairSTDP; delay_ticks int64 (k,), 1 or more. Several synapses may join one pair;
    each learns by itself. The rule sees the spikes of the one population or input that feeds the node, and those of the
    one population that it feeds (an Output may read it too).
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    weight: FloatArray
    delay_ticks: NDArray[np.int64]
    rule: Plasticity

    def parameters(self) -> int:
        """The weights."""
        return int(self.weight.size)


def check_plastic(nodes: Mapping[str, Node], edges: tuple[Edge, ...], semantics: Semantics) -> None:
    """What plastic projections need of the network around them.

    Raises:
        ModelError: PLASTIC_FORM, PLASTIC_DELAY, PLASTIC_WEIGHT, PLASTIC_SPIKES or PLASTIC_INTEGER, with the projection
            in ``where``.
    """
    for name, node in nodes.items():
        if not isinstance(node, PlasticSynapses):
            continue
        _check_ends(name, nodes, [e for e in edges if e.target == name],
                    [e for e in edges if e.source == name and not isinstance(nodes[e.target], Output)])
        _check_values(name, node)
        if semantics.spikes != "single":
            raise ModelError("a learning rule in a network whose neurons fire several spikes a step", where=name,
                             code="PLASTIC_SPIKES", fix="use spikes=single")
        _check_numbers(name, node, nodes)


def _check_numbers(name: str, node: PlasticSynapses, nodes: Mapping[str, Node]) -> None:
    """A rule and all populations compute in the same kind of numbers."""
    stored = isinstance(node.rule, StoredPairSTDP)
    others = (n for n, x in nodes.items() if isinstance(x, Neuron) and
              (not isinstance(x, SingleNeuron) if stored else isinstance(x, FixedNeuron | SingleNeuron)))
    other = next(others, None)
    if other is None:
        return
    kind = "integers" if isinstance(nodes[other], FixedNeuron) else "floats" if stored else "single precision"
    raise ModelError(f"it learns in {'stored integers' if stored else 'floats'}, {other} computes in {kind}",
                     where=name, code="PLASTIC_INTEGER", fix="use the neurons of hwsdk.ir.single" if stored else
                     "use the neurons of hwsdk.ir.neurons" + (
                         ", or StoredPairSTDP" if isinstance(nodes[other], SingleNeuron) else ""))


def _check_ends(name: str, nodes: Mapping[str, Node], into: list[Edge], out: list[Edge]) -> None:
    """One sender of spikes, one population that fires, and no time but that of the synapses."""
    pre, post = [nodes[e.source] for e in into], [nodes[e.target] for e in out]
    if len(post) != 1 or not isinstance(post[0], Neuron) or not _fires(post[0]) or post[0].in_shape != post[0].shape:
        raise ModelError(f"a learning rule needs the spikes of exactly one population; the projection feeds "
                         f"{', '.join(e.target for e in out) or 'nothing'}", where=name, code="PLASTIC_FORM",
                         fix="make one plastic projection for each population that it feeds")
    if len(pre) != 1 or not (isinstance(pre[0], Input) or _fires(pre[0])):
        raise ModelError(f"a learning rule needs the spikes of exactly one population or input; "
                         f"{', '.join(e.source for e in into) or 'nothing'} feeds the projection", where=name,
                         code="PLASTIC_FORM", fix="make one plastic projection for each population that feeds it")
    if any(e.delay_ticks for e in (*into, *out)):
        raise ModelError("an edge of the projection has a delay of its own, of which the rule would not know",
                         where=name, code="PLASTIC_FORM", fix="give the delay to the synapses")


def _fires(node: Node) -> bool:
    """True for a population whose spikes have no value."""
    return isinstance(node, Neuron) and is_spiking(node) and not node.graded


def _check_values(name: str, node: PlasticSynapses) -> None:
    """Delays that a deferred update can wait for, weights that the rule can reach."""
    if node.delay_ticks.size and node.delay_ticks.min() < 1:
        raise ModelError(f"a plastic synapse with a delay of {int(node.delay_ticks.min())} steps", where=name,
                         code="PLASTIC_DELAY", fix="give delays of 1 step or more: the rule reads this step's spikes")
    low, high = node.rule.bounds
    if node.weight.size and not (node.weight.min() >= low and node.weight.max() <= high):
        raise ModelError(f"initial weights of {node.weight.min():g} to {node.weight.max():g}, the rule keeps them "
                         f"within {low:g} to {high:g}", where=name, code="PLASTIC_WEIGHT",
                         fix="start inside, or widen w_min and w_max")
    if isinstance(node.rule, StoredPairSTDP) and (node.weight % 1).any():
        raise ModelError("stored weights that are no whole numbers", where=name, code="PLASTIC_WEIGHT",
                         fix="give whole numbers, or build the model in floats and let hwsdk quantise it")
