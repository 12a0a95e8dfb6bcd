"""Refractory periods of neurons, in steps."""

from __future__ import annotations

import numpy as np

from hwsdk.errors import ModelError
from hwsdk.ir.neurons import IntArray, Neuron
from hwsdk.ir.nodes import FloatArray
from hwsdk.ir.semantics import MAX_DELAY, Semantics


def refractory_steps(node: Neuron, sem: Semantics) -> IntArray | None:
    """Steps after a spike in which the membrane rests: ceil(t_refrac / dt), as sPyNNaker takes it; None for 0.

    A ratio within 1e-6 of a whole number is that number.

    Raises:
        ModelError: REFRACTORY_RANGE. REFRACTORY_SEMANTICS: the reset is not in the step of the spike, or a neuron may
            fire several spikes a step, and then it is open what rests.
    """
    period: FloatArray | None = getattr(node, "t_refrac", None)
    if period is None or not period.any():
        return None
    steps = np.ceil(np.round(period / sem.dt, 6))
    if not (steps >= 0).all() or steps.max() > MAX_DELAY:
        raise ModelError(f"t_refrac is {period.min():g} to {period.max():g}, {steps.min():g} to {steps.max():g} steps; "
                         f"allowed are 0 to {MAX_DELAY} steps", code="REFRACTORY_RANGE",
                         fix="give t_refrac in the model's own time unit, as dt")
    if sem.reset_timing != "same_step" or sem.spikes != "single":
        raise ModelError(f"a refractory period with reset_timing={sem.reset_timing}, spikes={sem.spikes}",
                         code="REFRACTORY_SEMANTICS", fix="use reset_timing=same_step and spikes=single")
    return np.asarray(steps, np.int64)
