"""PyNN's standard cells as sPyNNaker computes them, in the IR: times in ms, voltages in mV, currents in nA."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsdk.ir.build import neuron
from hwsdk.ir.neurons import CubaLIF
from hwsdk.ir.nodes import Shape
from hwsdk.ir.semantics import Semantics


def spynnaker(dt: float = 1.0) -> Semantics:
    """The semantics of a sPyNNaker run with a time step of ``dt`` ms.

    The membrane follows the closed form of its equation over a step, sees the synaptic current of this step, spikes at
    or above the threshold and is reset in the same step (neuron_model_lif_impl.h, threshold_type_static.h,
    synapse_types_exponential_impl.h). A spike of step t on a synapse of delay d acts in step t + d.
    """
    return Semantics(dt=dt, integrator="exponential", comparison=">=", initial="leak")


def if_curr_exp(shape: Shape | int, dt: float, *, cm: Any, tau_m: Any, tau_syn: Any, v_rest: Any, v_reset: Any,
                v_thresh: Any, tau_refrac: Any, i_offset: Any = 0.0, v_init: Any = None) -> CubaLIF:
    """IF_curr_exp: a population to be run with ``spynnaker(dt)``; weights into it are in nA.

    With R = tau_m / cm and the weights S that arrive in a step, sPyNNaker computes

        i' = i exp(-dt / tau_syn) + S (tau_syn / dt) (1 - exp(-dt / tau_syn))
        v' = alpha - exp(-dt / tau_m) (alpha - v)  with  alpha = R (i' + i_offset) + v_rest

    and no v' in the ceil(tau_refrac / dt) steps after a spike. A CubaLIF with w_in = tau_syn / dt, r = R and
    v_leak = v_rest + R i_offset is the same.

    Args:
        cm: nF. tau_syn: of excitatory and inhibitory synapses alike. v_init: v before the first step; None is v_rest.
            Each is a number, or an array as ``hwsdk.ir.build.neuron`` takes it.

    Raises:
        ModelError: as ``hwsdk.ir.build.neuron``.
    """
    r = np.asarray(tau_m, np.float64) / cm
    return neuron(CubaLIF, shape, tau_syn=tau_syn, tau_mem=tau_m, r=r, v_leak=v_rest + r * i_offset, v_reset=v_reset,
                  v_threshold=v_thresh, w_in=np.asarray(tau_syn, np.float64) / dt, t_refrac=tau_refrac,
                  v_init=v_rest if v_init is None else v_init)
