"""Value checks of finished nodes, shared by the loader and the builder."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from hwsdk.errors import ModelError
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import Node
from hwsdk.ir.refractory import refractory_steps
from hwsdk.ir.semantics import Semantics


def check_node(name: str, node: Node, semantics: Semantics) -> None:
    """Finite values, positive time constants, a threshold above the reset, a refractory period that has a meaning.

    Raises:
        ModelError: NOT_FINITE, TAU_NOT_POSITIVE, THRESHOLD_NOT_ABOVE_RESET, REFRACTORY_RANGE or REFRACTORY_SEMANTICS,
            with the node in ``where``.
    """
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if not isinstance(value, np.ndarray):
            continue
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ModelError(f"{field.name} holds NaN or infinite values", where=name, code="NOT_FINITE",
                             fix="give finite parameters")
        if field.name.startswith("tau") and not (value > 0).all():
            raise ModelError(f"{field.name} is {value.min():g} at its smallest; time constants must be above 0",
                             where=name, code="TAU_NOT_POSITIVE",
                             fix="give a positive time constant, or use IF for none")
    _check_threshold(name, node, semantics)
    if isinstance(node, Neuron):
        _check_refractory(name, node, semantics)


def _check_threshold(name: str, node: Any, semantics: Semantics) -> None:
    """A neuron that resets to a value at or above its threshold would never stop."""
    if semantics.reset != "value" or not (hasattr(node, "v_threshold") and hasattr(node, "v_reset")):
        return
    if not (node.v_threshold > node.v_reset).all():
        bad = int((node.v_threshold <= node.v_reset).sum())
        at = np.unravel_index(int((node.v_threshold <= node.v_reset).argmax()), node.v_threshold.shape)
        raise ModelError(f"v_threshold {node.v_threshold[at]:g} is not above v_reset {node.v_reset[at]:g} "
                         f"({bad} of {node.v_threshold.size} neurons)", where=name, code="THRESHOLD_NOT_ABOVE_RESET",
                         fix="raise the threshold or lower v_reset")


def _check_refractory(name: str, node: Neuron, semantics: Semantics) -> None:
    """Refuse with the node's name."""
    try:
        refractory_steps(node, semantics)
    except ModelError as error:
        raise ModelError(error.what, where=name, fix=error.fix, code=error.code) from None
