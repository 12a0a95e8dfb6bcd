"""sfq_check_loops: branches, biases and times of somas, held against weights, decays, thresholds and resets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.cells import FS, SomaModel
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.soma import Branch, coupling, decay_times, excess, losses, threshold, weights
from hwsdk.mappers.sfq_check_lines import DFF, SOMA, Lines
from hwsdk.mappers.sfq_check_wanted import Found, Wanted, compare

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
CLOSE = 1e-9
"""Figures of a soma may be off by this share, which is rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Branches:
    """Every branch's neuron, the cell of its soma and of its line, weight A and decay time fs, and when its pulse comes
    in a frame. models: of the somas, (M); soma (B): which of them.
    """

    neuron: Ints
    cell: Ints
    rail: Ints
    weight: Floats
    tau_fs: Floats
    time_fs: Ints
    models: tuple[SomaModel, ...]
    soma: Ints


def check_loops(network: Network, x: Lines, wanted: Wanted) -> None:
    """Weights, delays and constants of all somas.

    Raises:
        InternalError: the first difference, with cell and synapse.
    """
    a = x.netlist.arrays
    neuron = np.full(x.netlist.n_cells, -1, np.int64)
    neuron[x.starter] = np.arange(len(x.starter))
    if len(idle := a.soma_cell[neuron[a.soma_cell] < 0]):
        raise InternalError(f"{x.name(idle[0])}: a soma whose spikes are nobody's")
    b = _branches(x, neuron)
    loop = x.kind[x.starter] == SOMA
    latest = np.full(len(loop), -1, np.int64)
    np.maximum.at(latest, b.neuron, b.time_fs)
    net = b.weight * np.exp((b.time_fs - latest[b.neuron]) / b.tau_fs)
    compare(x, wanted.of(loop), Found(x.element[b.rail], b.neuron, x.frames[b.rail], net, b.cell), CLOSE)
    _check_early(x, b, latest)
    _check_parts(x, b)
    _check_constants(network, x, b, loop)


def _branches(x: Lines, neuron: Ints) -> Branches:
    """All branches, each with the one line that leads to it."""
    a, base = x.netlist.arrays, x.netlist.input_base
    w = x.ways.where(x.kind[x.ways.cell] == SOMA)
    pin = base[w.cell] + w.pin
    counts = np.diff(a.branch_ptr)
    soma = np.repeat(np.arange(len(counts)), counts)
    due = base[a.soma_cell][soma] + np.arange(len(soma)) - a.branch_ptr[:-1][soma]
    order, wanted = np.argsort(pin, kind="stable"), np.sort(due)
    if not np.array_equal(pin[order], wanted):
        odd = int(np.setxor1d(pin, wanted)[:1].sum()) or int(pin[order][:-1][np.diff(pin[order]) == 0][0])
        c = int(np.searchsorted(base, odd, "right")) - 1
        raise InternalError(f"{x.name(c)}: not one way leads to its branch {odd - int(base[c])}")
    at = order[np.argsort(np.argsort(due, kind="stable"), kind="stable")]
    rail = w.origin[at]
    if len(wrong := np.flatnonzero(x.kind[rail] != DFF)):
        raise InternalError(f"{x.name(w.cell[at[wrong[0]]])} gets pulses of {x.name(rail[wrong[0]])}, which is no line")
    found = [x.netlist.types[x.netlist.arrays.cell_type[c]].soma for c in a.soma_cell]
    models = tuple(m for m in found if m is not None)
    cell = a.soma_cell[soma].astype(np.int64)
    time = x.clock_fs[rail] + x.delay_fs[rail] + w.fs[at]
    return Branches(neuron[cell], cell, rail, a.branch_a, a.branch_tau_fs, time, models, soma)


def _check_early(x: Lines, b: Branches, latest: Ints) -> None:
    """What excites comes last, and all of it at once."""
    if len(wrong := np.flatnonzero((b.weight > 0) & (b.time_fs != latest[b.neuron]) & _excited(b))):
        i = int(wrong[0])
        raise InternalError(f"{x.name(b.cell[i])}: the pulse of {x.name(b.rail[i])} comes "
                            f"{int(latest[b.neuron[i]] - b.time_fs[i])} fs before the last one")


def _excited(b: Branches) -> NDArray[np.bool_]:
    """(B): has the branch's neuron any branch that excites?"""
    return np.isin(b.neuron, b.neuron[b.weight > 0])


def _check_parts(x: Lines, b: Branches) -> None:
    """Inductors, resistors and couplings must give the weights and decay times."""
    a = x.netlist.arrays
    weight, tau = np.zeros(len(b.soma)), np.zeros(len(b.soma))
    for m, model in enumerate(b.models):
        own = slice(int(a.branch_ptr[m]), int(a.branch_ptr[m + 1]))
        parts = [Branch(*row) for row in zip(a.branch_l_h[own], a.branch_r_ohm[own], a.branch_k[own], strict=True)]
        weight[own], tau[own] = weights(model, parts), decay_times(model, parts) * 1e15
    wanted_k = [coupling(x) if w < 0 else 0.0 for x, w in zip(a.branch_l_h, b.weight, strict=True)]
    rows = (("weight", weight, b.weight), ("decay time", tau, b.tau_fs), ("coupling", a.branch_k, np.array(wanted_k)))
    for what, got, due in rows:
        if len(wrong := np.flatnonzero(~(np.abs(got - due) <= CLOSE * np.abs(due)))):
            i = int(wrong[0])
            source = x.element_name(int(x.element[b.rail[i]]))
            raise InternalError(f"{x.name(b.cell[i])}: the {what} of the branch from {source} comes to {got[i]:g}, "
                                f"not {due[i]:g}")


def _check_constants(network: Network, x: Lines, b: Branches, loop: NDArray[np.bool_]) -> None:
    """Threshold, decay and reset of every neuron."""
    a, frame = x.netlist.arrays, x.netlist.schedule.frame_fs
    at = np.full(x.netlist.n_cells, -1, np.int64)
    at[a.soma_cell] = np.arange(len(a.soma_cell))
    theta, sums = np.zeros(len(b.models)), np.zeros(len(b.models))
    for m, model in enumerate(b.models):
        mine = b.soma == m
        theta[m] = threshold(model, b.weight[mine], a.soma_bias_a[m]) * excess(model, b.tau_fs[mine][0] * FS)
        sums[m] = losses(model, b.weight[mine], b.tau_fs[mine]).sum()
    for first, cell in _loops(network, loop):
        own = at[x.starter[first : first + cell.n]]
        mine = np.flatnonzero((b.neuron >= first) & (b.neuron < first + cell.n))
        rows = (("threshold", own, theta[own], cell.v_threshold.ravel()),
                ("reset", own, sums[own], cell.reset_by.ravel()),
                ("decay", b.soma[mine], np.exp(-frame / b.tau_fs[mine]), cell.decay_v.ravel()[b.neuron[mine] - first]))
        for what, soma, got, due in rows:
            off = np.abs(got - due) > CLOSE * np.maximum(np.abs(due), 1e-6 if what != "decay" else 0)
            if off.any():
                i = int(np.argmax(off))
                name = x.name(a.soma_cell[soma[i]])
                raise InternalError(f"{name}: its {what} is {got[i]:.9g} in the netlist, not {due[i]:.9g}")
        if cell.bias.any() or cell.v_init.any() or cell.reset != "subtract" or cell.comparison != ">=":
            raise InternalError(f"{x.neuron_name(first)}: a bias, a start or a reset that no soma has")


def _loops(network: Network, loop: NDArray[np.bool_]) -> Iterator[tuple[int, DiscreteLIF]]:
    """(first neuron, population) of each one of somas."""
    first = 0
    for cell in network.populations.values():
        if isinstance(cell, DiscreteLIF) and loop[first : first + cell.n].any():
            yield first, cell
        first += cell.n
