"""discretise: one population and its Semantics -> decays, gain, bias, threshold and start of a DiscreteLIF."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.neurons import IF, LI, LIF, CubaLI, CubaLIF, DiscreteLIF, I, Neuron, Threshold, is_spiking
from hwsdk.ir.nodes import Shape
from hwsdk.ir.refractory import refractory_steps
from hwsdk.ir.semantics import Semantics

Array = NDArray[np.float64]
FARTHEST_START = 64.0
"""An initial state beyond this multiple of the layer's own figures would cost more precision than early bias does."""


@dataclass(frozen=True, slots=True)
class Warm:
    """State of a population: synaptic current and membrane."""

    u: Array
    v: Array


@dataclass(frozen=True, slots=True)
class Discrete:
    """A population before retiming. ``gain`` belongs into its incoming weights; ``extra_delay`` into their delays."""

    name: str
    cell: DiscreteLIF
    gain: Array
    extra_delay: int = 0

    def warmed(self, lag: int, dt: float, log: LedgerWriter) -> DiscreteLIF:
        """The cell with an initial state that reaches (u_start, v_start) after ``lag`` steps of bias alone, and with
        the gain that its weights take, ``dt`` dividing it.
        """
        start = Warm(self.cell.u_start, self.cell.v_start)
        begin = _rewind(self.cell, start, lag)
        if begin is None:
            log.warning(self.name, "EARLY_BIAS", f"the chip runs this layer {lag} steps before its first input, and no "
                        "initial state makes up for the bias of these steps")
            begin = start
        gain = self.gain / dt if self.cell.gain is None else self.gain * self.cell.gain / dt
        return replace(self.cell, u_init=begin.u, v_init=begin.v, gain=gain)


def _rewind(cell: DiscreteLIF, start: Warm, lag: int) -> Warm | None:
    """The state ``lag`` steps earlier, or None if there is none or it spikes on the way."""
    u, v = start.u, start.v
    usual = np.abs(cell.bias) + np.abs(u) + np.abs(v) + np.abs(cell.v_threshold)
    for _ in range(lag):
        after = np.where(cell.decay_v == 0, u + cell.bias, v)
        if ((cell.decay_u == 0) & (u != 0)).any() or (cell.fires and spikes(cell, after).any()):
            return None
        v = np.where(cell.decay_v == 0, 0.0, (v - u - cell.bias) / np.where(cell.decay_v == 0, 1, cell.decay_v))
        u = np.where(cell.decay_u == 0, 0.0, u / np.where(cell.decay_u == 0, 1, cell.decay_u))
        if (np.abs(v) > FARTHEST_START * usual).any() or (np.abs(u) > FARTHEST_START * usual).any():
            return None
    return Warm(u, v)


def spikes(cell: DiscreteLIF, v: Array) -> NDArray[np.bool_]:
    """Where a membrane is beyond its threshold."""
    return v >= cell.v_threshold if cell.comparison == ">=" else v > cell.v_threshold


def discretise(name: str, node: Neuron, sem: Semantics, current: Array, log: LedgerWriter) -> Discrete:
    """One population in the form of a chip neuron.

    Args:
        current: constant input (*shape) that the biases of its connections add up to.

    Raises:
        UnsupportedError: several spikes a step, or a floor under v.
    """
    _refuse(name, node, sem)
    if isinstance(node, CubaLI | CubaLIF):
        _refuse_decay(name, "synaptic current", _leaky(sem, node.tau_syn)[0])
    if isinstance(node, DiscreteLIF):
        return Discrete(name, replace(node, bias=node.bias + current, u_init=node.u_start, v_init=node.v_start),
                        np.ones(node.shape))
    decay_v, gain, rest = _membrane(node, sem)
    decay_u = np.zeros(node.shape)
    extra = 0
    if isinstance(node, CubaLI | CubaLIF):
        decay_u, gain_u = _leaky(sem, node.tau_syn)
        gain = gain * gain_u * node.w_in
        extra = 1 if sem.order == "simultaneous" else 0
    bias = gain * current
    with np.errstate(divide="ignore"):
        settled = np.where(decay_u == 1, np.inf, bias / np.where(decay_u == 1, 1, 1 - decay_u))
    if not np.isfinite(settled[bias != 0]).all():
        raise UnsupportedError("a bias flows into a synaptic current that never decays", where=name,
                               code="BIAS_DIVERGES", fix="give tau_syn a finite value")
    settled = np.where(bias == 0, 0.0, settled)
    through_synapse = sem.bias_path == "synapse" and isinstance(node, CubaLI | CubaLIF) and bool(settled.any())
    u_start = -settled / np.where(decay_u == 0, 1, decay_u if extra else 1) if through_synapse else 0.0 * settled
    if through_synapse:
        log.changed(name, "BIAS_ON_MEMBRANE", "the bias through the synapse became a constant membrane current and an "
                    "initial synaptic current, which is the same")
    return Discrete(name, _cell(node, sem, decay_u, decay_v, settled + rest, np.where(decay_u == 0, 0.0, u_start)),
                    np.asarray(gain, np.float64), extra)


def _cell(node: Neuron, sem: Semantics, decay_u: Array, decay_v: Array, bias: Array, u_start: Array) -> DiscreteLIF:
    """Shift v so that the reset value is 0."""
    zero = np.zeros(node.shape)
    v_reset = getattr(node, "v_reset", zero)
    v_leak = getattr(node, "v_leak", zero)
    theta = getattr(node, "v_threshold", getattr(node, "threshold", zero)) - v_reset
    v_init = getattr(node, "v_init", None)
    v_start = (v_init if v_init is not None else v_leak if sem.initial == "leak" else zero) - v_reset
    reset_by = theta / np.where(decay_v == 0, 1, decay_v) if sem.reset_timing == "next_step" else theta
    return DiscreteLIF(decay_u, decay_v, bias - (1 - decay_v) * v_reset, theta, reset_by, u_start, v_start, u_start,
                       v_start, v_reset + zero, sem.reset, ">" if isinstance(node, Threshold) else sem.comparison,
                       is_spiking(node), refractory_steps(node, sem))


def _membrane(node: Neuron, sem: Semantics) -> tuple[Array, Array, Array]:
    """(decay, gain, what v_leak adds) of one step of the membrane."""
    one = np.ones(node.shape)
    if isinstance(node, I | IF):
        return one, node.r * (1.0 if sem.integrator == "exponential_unit_gain" else sem.dt), 0 * one
    if isinstance(node, Threshold):
        return 0 * one, one, 0 * one
    if isinstance(node, LI | LIF):
        decay, gain = _leaky(sem, node.tau)
        return decay, gain * node.r, (1 - decay) * node.v_leak
    if isinstance(node, CubaLI | CubaLIF):
        decay, gain = _leaky(sem, node.tau_mem)
        return decay, gain * node.r, (1 - decay) * node.v_leak
    raise UnsupportedError(f"there is no chip form of a {type(node).__name__} neuron", code="UNKNOWN_NEURON",
                           fix="use one of NIR's neurons")


def _leaky(sem: Semantics, tau: Array) -> tuple[Array, Array]:
    """(decay, gain) of tau x' = -x + input (see Semantics.integrator)."""
    ratio = np.asarray(sem.dt / tau, np.float64)
    if sem.integrator == "euler":
        return 1 - ratio, ratio
    decay = np.exp(-ratio)
    gain = {"exponential": 1 - decay, "exponential_dt_gain": ratio, "exponential_unit_gain": np.ones_like(decay)}
    return decay, gain[sem.integrator]


def _refuse(name: str, node: Neuron, sem: Semantics) -> None:
    """What no chip neuron of this form does."""
    decay = node.decay_v if isinstance(node, DiscreteLIF) else _membrane(node, sem)[0]
    _refuse_decay(name, "membrane", decay)
    if not is_spiking(node) or isinstance(node, DiscreteLIF | Threshold):
        return
    if sem.spikes == "multiple":
        raise UnsupportedError("several spikes in one step", where=name, code="MULTIPLE_SPIKES",
                               fix="import with spikes=single and check the accuracy with hwsdk verify")
    if sem.v_floor is not None:
        raise UnsupportedError("a floor under the membrane potential", where=name, code="V_FLOOR",
                               fix="import without v_floor and check the accuracy with hwsdk verify")
    if sem.reset_timing == "skip_step":
        raise UnsupportedError("the input of the step after a spike is lost", where=name, code="SKIP_STEP",
                               fix="import with reset_timing=same_step and check the accuracy with hwsdk verify; "
                               "snnTorch layers with reset_delay=False lose nothing")
    if sem.reset == "subtract" and sem.reset_timing == "next_step" and (decay == 0).any():
        raise UnsupportedError("a subtraction that acts one step late on a membrane without memory", where=name,
                               code="LATE_RESET", fix="import with reset_timing=same_step")


def _refuse_decay(name: str, what: str, decay: Array) -> None:
    """Forward Euler with dt above tau overshoots."""
    if (decay < 0).any() or (decay > 1).any():
        raise UnsupportedError(f"the {what} keeps {float(decay.min()):g} of itself in a step; a chip keeps 0 to 1",
                               where=name, code="UNSTABLE_DECAY",
                               fix="dt is larger than tau: use a smaller dt, or integrator=exponential")


def readout(shape: Shape) -> DiscreteLIF:
    """A population that puts out its input of this step and never fires."""
    zero = np.zeros(shape)
    return DiscreteLIF(zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, fires=False)
