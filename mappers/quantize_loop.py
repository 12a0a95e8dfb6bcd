"""quantize_loop: inductors, resistors and bias currents of neurons that sum currents, and what they then compute.

What a branch adds, how it decays and where a soma fires: hwsdk.ir.cells.SomaModel and hwsdk.ir.soma. All branches of a
neuron decay with one tau. Its scale s (A per unit of the model) is the largest that its branches can have; a weight too
large for one branch gets several equal ones in parallel. A threshold has a range, which the bias current spans. Where
a neuron without memory has few synapses, its threshold may lie anywhere between the largest sum that must not fire and
the smallest that must, as no decision depends on it: see quantize_gap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir import soma as law
from hwsdk.ir.cells import FS
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.mappers.loop_form import TIE, Array, LoopForm, Soma, Wrong, wrong_tau
from hwsdk.mappers.pulse_rules import Problem, memoryless
from hwsdk.mappers.quantize_counter import Fan
from hwsdk.mappers.quantize_gap import Gap, gap_of

COUNTER, NO_LEAK = "use style counter", "train neurons without a leak, which counters take"
"""Of remedies: where the neuron has no leak, and where it has one."""
ENOUGH = 0.05
"""Of the room of a threshold: what is not worth further branches."""


@dataclass(frozen=True, slots=True, eq=False)
class LoopDesign:
    """The parts of one population. bias_a, tau_fs, scale, reset_a (n): bias current, decay time, A per unit of the
    model, what a spike takes from v. Of each branch, sorted by target and in the order in which the synapses come in:
    target, source, delay_ticks and projection (its place among those onto the population) of its synapse; weight_a:
    signed, as the soma sees it; l_h, r_ohm; k: coupling of one that inhibits, 0 for a direct branch. lead_fs: see
    LoopForm. times: branches of each synapse, of those that are not 0. settled (n): whether all sums were looked at, so
    that the threshold could be put between two of them; room (n): how well, see Gap.room.
    """

    bias_a: Array
    tau_fs: Array
    scale: Array
    reset_a: Array
    target: NDArray[np.int64]
    source: NDArray[np.int64]
    delay_ticks: NDArray[np.int64]
    projection: NDArray[np.int64]
    weight_a: Array
    l_h: Array
    r_ohm: Array
    k: Array
    times: NDArray[np.int64]
    lead_fs: int
    settled: NDArray[np.bool_]
    room: Array

    @property
    def fan_in(self) -> NDArray[np.int64]:
        """(n): branches of each neuron."""
        return np.bincount(self.target, minlength=len(self.bias_a))

    @property
    def net_a(self) -> Array:
        """(B): what each branch's pulse has left when those without lead arrive."""
        lead = np.exp(-self.lead_fs / self.tau_fs[self.target])
        return np.where(self.weight_a < 0, self.weight_a * lead, self.weight_a)


@dataclass(frozen=True, slots=True, eq=False)
class _Neuron:
    """One neuron: branches of each of its synapses, their inductors, and what LoopDesign says. wide: room with a bias
    current that may be off.
    """

    soma: Soma
    scale: float
    times: NDArray[np.int64]
    l_h: Array
    weight_a: Array
    bias_a: float
    tau_fs: float
    room: float
    wide: float
    settled: bool


@dataclass(frozen=True, slots=True)
class _Frame:
    """What neurons share. keeps: what is left of a current after a frame."""

    tau_fs: float
    lead_fs: int
    keeps: float

    @property
    def lead(self) -> float:
        """By how much an inhibitory branch is stronger, as its pulse comes before the others."""
        return math.exp(self.lead_fs / self.tau_fs)


def at_rest(cell: DiscreteLIF) -> Array:
    """(n): where v settles without input, b / (1 - a); the chip's v is counted from there."""
    return (cell.bias / (1 - cell.decay_v)).ravel()


def design_loops(name: str, cell: DiscreteLIF, fan: Fan, form: LoopForm, taus: Array, frame_fs: float,
                 ) -> tuple[LoopDesign | None, list[Problem]]:
    """The parts of a population with decay times in fs, or what forbids them."""
    theta = cell.v_threshold.ravel() - at_rest(cell)
    problems: dict[str, list[tuple[int, str, str]]] = {}
    neurons: list[_Neuron] = []
    for i in range(cell.n):
        frame = _Frame(float(taus[i]), form.lead_fs, math.exp(-frame_fs / taus[i]))
        found = wrong_tau(cell, taus, i, form) or _neuron(
            fan.weight[fan.ptr[i] : fan.ptr[i + 1]], float(theta[i]), cell, frame, form)
        if isinstance(found, _Neuron):
            neurons.append(found)
        else:
            problems.setdefault(found[0], []).append((i, *found[1:]))
    if problems:
        return None, [(code, name, f"neuron {rows[0][0]} {rows[0][1]}" + (
            f"; so do {len(rows) - 1} more" if len(rows) > 1 else ""), rows[0][2] if memoryless(cell) else
            rows[0][2].replace(COUNTER, NO_LEAK)) for code, rows in problems.items()]
    return _design(neurons, fan, form), []


def _neuron(weight: Array, theta: float, cell: DiscreteLIF, frame: _Frame, form: LoopForm) -> _Neuron | Wrong:
    """The fewest branches with which the threshold lies far enough from all sums, or as far as it can."""
    if not len(weight):
        return "LOOP_WITHOUT_INPUT", "has no synapse", f"{COUNTER} for it, or remove it"
    if not theta > 0:
        return ("LOOP_THRESHOLD", f"has a threshold of {theta:g} above its resting value; a soma needs more than 0",
                f"raise the threshold, lower the bias, or {COUNTER}")
    gap = gap_of(weight, theta, cell.comparison, memoryless(cell))
    best: _Neuron | None = None
    wrong: Wrong | None = None
    for branches in range(max(len(weight), form.fan_in[0]), form.fan_in[1] + 1):
        found = _with_branches(weight, gap, frame, form.soma(branches), branches)
        if not isinstance(found, _Neuron):
            wrong = found
        elif best is None or found.wide > best.wide + ENOUGH:
            best = found
        if best is not None and best.wide >= 1:
            return best
    return best or wrong or (
        "LOOP_FAN_IN", f"needs more branches for its {len(weight)} synapses than the largest soma has, "
        f"{form.fan_in[1]}", f"prune synapses, split the neuron into two layers, or {COUNTER}")


def _with_branches(weight: Array, gap: Gap, frame: _Frame, soma: Soma, branches: int) -> _Neuron | Wrong:
    """A neuron with so many branches, at the largest scale that they and the threshold allow."""
    size, spans = _sizes(weight, frame, soma)
    times = _shares(size / spans[:, 1], branches)
    least, most = float((spans[:, 0] * times / size).max()), float((spans[:, 1] * times / size).min())
    if least > most * (1 + TIE):
        weak, strong = int(np.argmax(spans[:, 0] * times / size)), int(np.argmin(spans[:, 1] * times / size))
        ratio = float(size[strong] / size[weak])
        return ("LOOP_WEIGHT_RANGE", f"has a weight of {weight[strong]:.3g} beside one of {weight[weak]:.3g}; with "
                f"{branches} branches it can have {most / least * ratio:.3g} times that instead of {ratio:.3g}",
                _wider(frame.tau_fs, soma))
    exciting = float(np.maximum(weight, 0).sum())
    best = gap.best(soma.moves(exciting * most, frame.tau_fs) / most)
    scale, (low, high) = _scale(exciting, best, frame.tau_fs, soma, least, most)
    theta = min(max(best, low), high)
    if not gap.keeps(theta, 0, 0) or gap.room(theta) < 0:
        side = "raise the threshold, let fewer synapses excite it" if best < low else "lower the threshold"
        return ("LOOP_THRESHOLD", f"has a threshold of {gap.theta:.3g}; with these weights its soma has {low:.3g} to "
                f"{high:.3g}", f"{side}, or {COUNTER}")
    return _built(weight, gap, frame, soma, times, scale)


def _scale(exciting: float, theta: float, tau_fs: float, soma: Soma, least: float, most: float,
           ) -> tuple[float, tuple[float, float]]:
    """A per unit of the model, and the lowest and highest threshold in that unit."""
    (low, high), units = soma.thresholds(0.0, tau_fs), soma.thresholds(1.0, tau_fs)
    load = (units[0] - low) * exciting, (units[1] - high) * exciting
    over = theta - load[1]
    scale = most if over <= 0 else max(min(most, high / over), least)
    return scale, (load[0] + low / scale, load[1] + high / scale)


def _built(weight: Array, gap: Gap, frame: _Frame, soma: Soma, times: NDArray[np.int64], scale: float,
           ) -> _Neuron | Wrong:
    """With parts that there are, and the threshold between the sums that these make."""
    tau = frame.tau_fs
    wanted = np.repeat(weight * np.where(weight < 0, frame.lead, 1.0) * scale / times, times)
    henry = np.array([soma.inductor(abs(w), tau, w < 0) for w in wanted.tolist()])
    made = np.array([math.copysign(soma.current(x, w < 0), w) for x, w in zip(henry, wanted.tolist(), strict=True)])
    exciting = law.exciting(made)
    net = np.add.reduceat(np.where(made < 0, made / frame.lead, made), np.r_[0, np.cumsum(times)[:-1]])
    real, moves = gap.of(net, gap.theta * scale), soma.moves(exciting, tau)
    bias = soma.bias(real.best(moves), exciting, tau)
    theta = soma.threshold(exciting, bias, tau)
    back = float(law.losses(soma.model, made, np.full(len(made), tau)).sum() - np.minimum(net, 0).sum())
    if not real.keeps(theta, frame.keeps * theta, frame.keeps / (1 - frame.keeps) * back):
        return ("LOOP_NARROW", f"parts sums of {gap.low:.4g} and {gap.high:.4g}; inductors in steps of "
                f"{soma.inductance_grid_h * 1e12:g} pH, and the {frame.keeps:.2%} of a current that a frame leaves, "
                "do not keep them apart", f"choose a longer frame (frame=PS), train for a wider margin, or {COUNTER}")
    room, wide = (real.room(theta, x) if gap.settled else 1.0 for x in (0.0, moves))
    return _Neuron(soma, scale, times, henry, made, bias, tau, room, wide, gap.settled)


def _wider(tau_fs: float, soma: Soma) -> str:
    """What gives weights more range."""
    least, most = ((x + soma.model.l_x_h) / r * 1e12 for x, r in zip(soma.inductance_h[::-1], soma.resistance_ohm[::-1],
                                                                   strict=True))
    if soma.inductors(tau_fs) == soma.inductors((least + most) * 500):
        return f"prune the smallest weights, or {COUNTER}"
    return (f"let v decay with {least:.0f} to {most:.0f} ps instead of {tau_fs / 1000:.0f}, for which there are all "
            "branches: train another leak, or choose another frame (frame=PS)")


def _shares(load: Array, branches: int) -> NDArray[np.int64]:
    """Branches of each synapse, as many as the soma has, the fullest shared out first."""
    times = np.ones(len(load), np.int64)
    while times.sum() < branches:
        times[np.argmax(load / times)] += 1
    return times


def _sizes(weight: Array, frame: _Frame, soma: Soma) -> tuple[Array, Array]:
    """(what branches must add, (k, 2) A: the least and the most that one can)."""
    spans = np.array([soma.span(frame.tau_fs, x) for x in (False, True)])[(weight < 0).astype(int)]
    return np.abs(weight) * np.where(weight < 0, frame.lead, 1.0), spans


def _design(neurons: list[_Neuron], fan: Fan, form: LoopForm) -> LoopDesign:
    """All branches."""
    synapse = np.repeat(np.arange(len(fan.weight)), np.concatenate([x.times for x in neurons]))
    bias, tau, scale, room, settled = (np.array([getattr(x, f) for x in neurons])
                                       for f in ("bias_a", "tau_fs", "scale", "room", "settled"))
    weight_a, l_h = (np.concatenate([getattr(x, f) for x in neurons]) for f in ("weight_a", "l_h"))
    reset = np.array([law.losses(x.soma.model, x.weight_a, np.full(len(x.l_h), x.tau_fs)).sum() for x in neurons])
    k = np.array([law.coupling(x) if w < 0 else 0.0 for x, w in zip(l_h, weight_a, strict=True)])
    return LoopDesign(bias, tau, scale, reset, fan.target[synapse], fan.source[synapse], fan.delay_ticks[synapse],
                      fan.projection[synapse], weight_a, l_h, np.concatenate([_resistors(x) for x in neurons]), k,
                      np.concatenate([x.times for x in neurons]), form.lead_fs, settled, room)


def _resistors(x: _Neuron) -> Array:
    """ohm: of every branch, for one decay time of all; direct ones slow each other down."""
    total, direct = x.l_h + x.soma.model.l_x_h, x.weight_a > 0
    load = 1 + x.soma.model.l_soma_h * float((1 / total[direct]).sum())
    return np.asarray(total / (x.tau_fs * FS) * np.where(direct, load, 1.0), np.float64)


def loop_cell(cell: DiscreteLIF, design: LoopDesign, form: LoopForm, frame_fs: float) -> DiscreteLIF:
    """What the somas compute, with v in A and counted from where it rests; they start without current."""
    exciting = np.bincount(design.target, np.maximum(design.weight_a, 0), cell.n)
    theta = np.array([form.soma(int(k)).threshold(e, b, t) for k, e, b, t in zip(
        design.fan_in, exciting, design.bias_a, design.tau_fs, strict=True)])
    zero, s = np.zeros(cell.shape), design.scale.reshape(cell.shape)
    offset = (cell.v_offset + at_rest(cell).reshape(cell.shape)) * s
    gain = s if cell.gain is None else cell.gain * s
    return replace(cell, decay_u=zero, decay_v=np.exp(-frame_fs / design.tau_fs).reshape(cell.shape), bias=zero,
                   v_threshold=theta.reshape(cell.shape), reset_by=design.reset_a.reshape(cell.shape), u_init=zero,
                   v_init=zero, u_start=zero, v_start=zero, v_offset=offset,
                   reset="subtract", comparison=">=", gain=gain, refractory=None)


def can_fire_twice(cell: DiscreteLIF, exciting: Array) -> NDArray[np.bool_]:
    """(n): may a spike leave v at the threshold or above, so that the soma fires again at once?"""
    theta = cell.v_threshold.ravel()
    return np.asarray(cell.decay_v.ravel() * theta + exciting - cell.reset_by.ravel() >= theta)


def starts_elsewhere(cell: DiscreteLIF) -> NDArray[np.bool_]:
    """(n): neurons that the model starts at another state than that of rest."""
    return np.asarray(~np.isclose(cell.v_init.ravel(), at_rest(cell), rtol=0, atol=1e-12)) & (not memoryless(cell))
