"""The learning half of quantize_single: rules in floats -> the rules that change stored integers."""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch

import numpy as np

from hwsdk.errors import ModelError, UnsupportedError
from hwsdk.ir.nodes import frozen
from hwsdk.ir.plastic import PairSTDP, Plasticity, PlasticSynapses, StoredPairSTDP


@singledispatch
def stored_rule(rule: Plasticity, unit: float, dt: float, history: int) -> Plasticity:
    """The rule for integer weights, ``unit`` of them to one of the float weights."""
    raise UnsupportedError(f"there is no chip form of the learning rule {type(rule).__name__}", code="PLASTICITY",
                           fix="use PairSTDP")


@stored_rule.register
def _pair(rule: PairSTDP, unit: float, dt: float, history: int) -> Plasticity:
    return StoredPairSTDP(rule.tau_plus / dt, rule.tau_minus / dt, rule.a_plus * unit, rule.a_minus * unit,
                          float(np.rint(rule.w_min * unit)), float(np.rint(rule.w_max * unit)), history)


def stored(name: str, s: PlasticSynapses, unit: float, dt: float, history: int) -> PlasticSynapses:
    """The projection with integer weights.

    Raises:
        UnsupportedError: WEIGHTS_LOST, BAD_RULE, PLASTICITY.
    """
    try:
        rule = stored_rule(s.rule, unit, dt, history)
    except (ModelError, UnsupportedError) as error:
        raise UnsupportedError(error.what, where=name, code=error.code, fix=error.fix) from None
    (low, high), (least, most) = s.rule.bounds, rule.bounds
    if least == most and low != high:
        raise UnsupportedError(f"learned weights of {low:g} to {high:g} all become {least:g} beside the static ones",
                               where=name, code="WEIGHTS_LOST", fix="use more plastic_bits")
    return replace(s, weight=frozen(np.rint(s.weight * unit)), rule=rule)


def initial_loss(s: PlasticSynapses, whole: PlasticSynapses, unit: float) -> float:
    """Root-mean-square error of the initial weights over their root-mean-square, 0 where all are 0."""
    exact = s.weight * unit
    size = float(np.sqrt(np.mean(exact**2))) if len(exact) else 0.0
    return float(np.sqrt(np.mean((whole.weight - exact) ** 2))) / size if size else 0.0
