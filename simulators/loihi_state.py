"""The neurons of a part of a LoihiProgram in the form that the kernels want, in their initial state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.programs.loihi import GRADED, MODELS, RESETS, TWO_PORTS, LoihiProgram
from hwsdk.simulators import kernels
from hwsdk.simulators.kernels_models import COLUMNS, KERNELS, STATE_ROWS, V_MAX, Special
from hwsdk.simulators.loihi_check import extras, models

IntArray = NDArray[np.int64]
WITH_U_V = ("lif", "atrlif")
NONE = np.zeros(0, np.int64)
NONE.flags.writeable = False
NEVER = 1 << 62
"""A threshold that no neuron reaches."""


@dataclass(frozen=True, slots=True, eq=False)
class Neurons:
    """Neurons ``first`` to ``last`` - 1 in core order. special: as they start, numbered from ``first``; seconds: how
    many second accumulators they have.
    """

    program: LoihiProgram
    first: int
    last: int
    special: Special
    seconds: int

    @property
    def columns(self) -> int:
        """Accumulators."""
        return self.last - self.first + self.seconds

    def cells(self, dtype: type[np.int32] | type[np.int64], slots: int) -> kernels.Cells:
        """u, v and the ring, at the start."""
        a, own = self.program.arrays, slice(self.first, self.last)
        found = models(self.program)
        lif, plain = np.zeros(len(a.du), bool), np.zeros(len(a.du), bool)
        lif[found.get("lif", NONE)] = True
        for model in WITH_U_V:
            plain[found.get(model, NONE)] = True

        def whole(column: NDArray[np.integer], neutral: int = 0) -> kernels.Ints:
            return np.where(plain[own], column[own], neutral).astype(dtype)

        theta = np.where(a.fires & lif, a.vth.astype(np.int64) << 6, V_MAX)
        keeps = ((a.reset == RESETS.index("subtract")) | ~lif).astype(np.uint8)
        return kernels.Cells(
            whole(a.u_init), whole(a.v_init), whole(4095 - a.du), whole(4096 - a.dv), whole(a.bias),
            whole(theta, V_MAX), keeps[own].copy(), whole(np.where(lif, a.reset_by, 0)),
            np.zeros((slots, self.columns), dtype))

    def fresh(self) -> Special:
        """The special neurons at the start."""
        s = self.special
        return s._replace(state=s.state.copy(), value=s.value.copy(), held=s.held.copy(), n_held=s.n_held.copy())

    def slot(self, neurons: IntArray) -> IntArray:
        """Number among the special ones of each of some neurons, -1 for none."""
        slot = np.full(self.last - self.first, -1)
        slot[self.special.neuron] = np.arange(len(self.special.neuron))
        return slot[neurons - self.first]


def fits_int32(program: LoihiProgram, arriving: int) -> bool:
    """Can 32 bits hold every intermediate value of u and v if |input| << 6 is at most ``arriving``?

    Up to 2^24 the one wrap brings u back into its range; beyond, u can grow until its decay takes as much as is added.
    Graded spikes have no bound.
    """
    a = program.arrays

    def most(x: NDArray[np.integer]) -> int:
        return int(np.abs(x.astype(np.int64)).max(initial=0))

    if any(s.model in GRADED for s in program.populations):
        return False
    u = max(most(a.u_init), kernels.U_WRAP)
    if arriving > 2 * kernels.U_WRAP:
        u = max(u, (arriving - 2 * kernels.U_WRAP) * 4096 // (4096 - most(4095 - a.du)))
    v = max(most(a.v_init), V_MAX + most(a.reset_by))
    return u + max(arriving, v + most(a.bias)) < 1 << 31


def part_neurons(program: LoihiProgram, first: int, last: int) -> Neurons:
    """Sort the neurons first .. last - 1 by model."""
    found = {m: own[(own >= first) & (own < last)] for m, own in models(program).items()}
    second = np.sort(np.concatenate([found.get(m, NONE) for m in TWO_PORTS]))
    neuron, state, par, bounds = [], [], [], [0]
    for names in KERNELS:
        for model in names:
            own = found.get(model, NONE)
            states, parameters = _special(program, model, own, last - first + np.searchsorted(second, own))
            neuron.append(own)
            state.append(_rows(STATE_ROWS, states, len(own)))
            par.append(_rows(COLUMNS, parameters, len(own)))
        bounds.append(sum(len(n) for n in neuron))
    group = np.repeat(np.arange(len(KERNELS)), np.diff(bounds))
    order = np.lexsort((np.concatenate(neuron), group))  # the first overflow is that of the first neuron
    value = np.zeros(last - first, np.int64)
    for model in WITH_U_V:
        value[found.get(model, NONE) - first] = 1
    special = Special(np.concatenate(neuron)[order] - first, np.array(bounds), np.concatenate(state, axis=1)[:, order],
                      np.concatenate(par, axis=1)[:, order], value[: last - first if len(order) else 0],
                      *_rests(program, found, first, last), *_resets(program, found, first))
    return Neurons(program, first, last, special, len(second))


def _rows(n: int, given: list[IntArray], columns: int) -> IntArray:
    """n rows, zeros where none are given."""
    found = np.zeros((n, columns), np.int64)
    for row, values in zip(found, given, strict=False):
        row[:] = values
    return found


def _special(program: LoihiProgram, model: str, own: IntArray, second: IntArray,
             ) -> tuple[list[IntArray], list[IntArray]]:
    """Rows of Special.state and Special.par of one model; see there."""
    a = program.arrays
    e = dict(zip(MODELS[model], extras(a).astype(np.int64)[:, own], strict=False))
    vth, bias, u, v = (x[own].astype(np.int64) for x in (a.vth, a.bias, a.u_init, a.v_init))
    ones = np.ones(len(own), np.int64)
    if model == "atrlif":
        return [u, v, vth << 6, 0 * u], [4096 - e["dtheta"], 4096 - e["dr"], vth << 6, e["theta_step"] << 6]
    if model in TWO_PORTS:
        return [u, v], [e["sin"], e["cos"], vth, e["decay_bits"], e["state_exp"], (model == "rf_iz") * ones, second]
    if model in ("sigma_delta", "delta"):
        shift = e["spike_exp"] + e["state_exp"]
        theta = np.where(a.fires[own], vth << shift, NEVER)
        return [], [theta, bias, shift, e["state_exp"], e["relu"], e["cum_error"], (model == "delta") * ones]
    return [], [vth, (model == "graded_relu") * ones]


def _rests(program: LoihiProgram, found: dict[str, IntArray], first: int, last: int,
           ) -> tuple[IntArray, IntArray, IntArray]:
    """rests, held and n_held of Special."""
    rests, lif = np.zeros(last - first, np.int64), found.get("lif", NONE)
    rests[lif - first] = extras(program.arrays)[MODELS["lif"].index("refractory"), lif]
    some = int(np.count_nonzero(rests))
    return rests if some else rests[:0], np.zeros((3, some), np.int64), np.zeros(1, np.int64)


def _resets(program: LoihiProgram, found: dict[str, IntArray], first: int,
            ) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """every, at, reset_ptr and reset_neuron of Special."""
    extra, lif = extras(program.arrays).astype(np.int64), found.get("lif", NONE)
    every, offset = (extra[MODELS["lif"].index(name), lif] for name in ("reset_interval", "reset_offset"))
    lif, offset, every = lif[every > 0], offset[every > 0], every[every > 0]
    pairs, group = np.unique(np.stack([every, offset % np.maximum(every, 1)]), axis=1, return_inverse=True)
    ptr = np.r_[0, np.cumsum(np.bincount(group.ravel(), minlength=pairs.shape[1]))].astype(np.int64)
    return pairs[0].copy(), pairs[1].copy(), ptr, lif[np.argsort(group.ravel(), kind="stable")] - first
