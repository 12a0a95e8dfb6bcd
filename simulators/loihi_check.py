"""Whether a LoihiProgram holds together: a file from elsewhere may be broken, and kernels check no bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ProgramError
from hwsdk.programs.loihi import MODELS, RESETS, TWO_PORTS, LoihiArrays, LoihiProgram

IntArray = NDArray[np.int64]
MAX_DELAY = 64
"""Steps: a delay of 63 and the step that every connection takes (lava/proc/dense/models.py)."""
MAX_COUNT = (1 << 31) - 1
MAX_SHIFT = 31
"""Of a left shift of 32-bit parameters."""
RANGES = {"dtheta": (0, 4096), "dr": (0, 4096), "decay_bits": (0, MAX_SHIFT), "state_exp": (0, MAX_SHIFT),
          "spike_exp": (0, MAX_SHIFT), "refractory": (0, MAX_COUNT), "reset_interval": (0, MAX_COUNT)}
"""Model parameter -> smallest and largest value that the formulas of hwsdk.ir.fixed are made for."""


def check(program: LoihiProgram) -> None:
    """Say what is broken before a kernel reads past an array.

    Raises:
        ProgramError: INCONSISTENT.
    """
    if not (_senders_fit(program) and _arrays_fit(program) and _rows_stay_home(program) and _parameters_fit(program)):
        raise ProgramError("its arrays do not fit together", where=program.name, code="INCONSISTENT",
                           fix="compile the model again")


def core_order(program: LoihiProgram) -> IntArray:
    """Place in core order of each neuron by id."""
    n_inputs = sum(s.n for s in program.inputs)
    rank = np.empty(program.n_neurons, np.int64)
    rank[program.arrays.source_id - n_inputs] = np.arange(program.n_neurons)
    return rank


def models(program: LoihiProgram) -> dict[str, IntArray]:
    """Neuron model -> its neurons, ascending in core order."""
    rank, found = core_order(program), dict[str, list[IntArray]]()
    n_inputs = sum(s.n for s in program.inputs)
    for s in program.populations:
        found.setdefault(s.model, []).append(rank[s.first - n_inputs : s.first - n_inputs + s.n])
    return {model: np.sort(np.concatenate(parts)) for model, parts in found.items()}


def second_inputs(program: LoihiProgram) -> IntArray:
    """Neurons with a second accumulator, in core order."""
    found = models(program)
    return np.sort(np.concatenate([np.zeros(0, np.int64), *(found[m] for m in TWO_PORTS if m in found)]))


def extras(a: LoihiArrays) -> NDArray[np.int32]:
    """The (4, N) parameters, zeros where none are stored."""
    return a.extra if a.extra.shape[1] else np.zeros((a.extra.shape[0], len(a.source_id)), np.int32)


def accumulators(program: LoihiProgram) -> tuple[IntArray, IntArray]:
    """(neurons, second accumulators) of each core."""
    seconds = np.searchsorted(second_inputs(program), program.arrays.neuron_ptr)
    return np.diff(program.arrays.neuron_ptr), np.diff(seconds)


def _senders_fit(program: LoihiProgram) -> bool:
    """Known models, and ids without gaps."""
    first = 0
    for s in (*program.inputs, *program.populations):
        if s.first != first:
            return False
        first += s.n
    return all(s.model in MODELS for s in program.populations) and \
        sum(s.n for s in program.populations) == program.n_neurons


def _arrays_fit(program: LoihiProgram) -> bool:
    """Do all pointers, indices and lengths fit together?"""
    a, n, cores = program.arrays, program.n_neurons, program.n_cores
    n_sources = sum(s.n for s in (*program.inputs, *program.populations))
    ends = ((a.neuron_ptr, cores, a.source_id), (a.axon_ptr, cores, a.axon_source), (a.core_row_ptr, cores, a.row_bits),
            (a.segment_ptr, len(a.axon_source), a.segment_row), (a.row_ptr, len(a.row_bits), a.target),
            (a.out_ptr, n_sources, a.out_core))
    if not all(len(p) == k + 1 and p[0] == 0 and p[-1] == len(x) and bool((p[1:] >= p[:-1]).all())
               for p, k, x in ends):
        return False
    columns = (a.du, a.dv, a.vth, a.bias, a.u_init, a.v_init, a.reset, a.reset_by, a.fires)
    lengths = (*((x, n) for x in columns), (a.core_x, cores), (a.core_y, cores), (a.weight, len(a.target)),
               (a.delay, len(a.target)), (a.segment_base, len(a.segment_row)), (a.row_exponent, len(a.row_bits)),
               (a.row_shared, len(a.row_bits)))
    rows = max(len(names) for names in MODELS.values())
    if not all(x.shape == (k,) for x, k in lengths) or a.extra.shape not in ((rows, 0), (rows, n)):
        return False
    inside = ((a.axon_source, n_sources), (a.out_core, cores), (a.segment_row, len(a.row_bits)))
    good = all(_within(x, 0, k - 1) for x, k in inside) and bool((np.diff(a.row_ptr) > 0).all())
    good = good and bool((np.diff(a.segment_ptr) > 0).all())
    good = good and np.array_equal(np.sort(a.source_id), np.arange(n_sources - n, n_sources))
    return good and _within(a.delay, 1, MAX_DELAY) and _within(a.row_exponent, 0, MAX_SHIFT)


def _rows_stay_home(program: LoihiProgram) -> bool:
    """Does every segment use a row of its own core, and stay within the core's accumulators?"""
    a = program.arrays
    core = np.repeat(np.arange(program.n_cores), np.diff(a.axon_ptr)).repeat(np.diff(a.segment_ptr))
    row_core = np.repeat(np.arange(program.n_cores), np.diff(a.core_row_ptr))
    if not np.array_equal(row_core[a.segment_row], core):
        return False
    if not len(core):
        return True
    low, high = (f.reduceat(a.target, a.row_ptr[:-1])[a.segment_row].astype(np.int64)
                 for f in (np.minimum, np.maximum))
    neurons, seconds = accumulators(program)
    return bool((low + a.segment_base >= 0).all() and (high + a.segment_base < (neurons + seconds)[core]).all())


def _parameters_fit(program: LoihiProgram) -> bool:
    """Are the numbers of each neuron ones that its model can compute with?"""
    a, extra = program.arrays, extras(program.arrays)
    for model, neurons in models(program).items():
        more = {name: extra[k, neurons] for k, name in enumerate(MODELS[model])}
        ranges: list[tuple[NDArray[Any], int, int]] = [
            (a.du[neurons], 0, 4095), (a.dv[neurons], 0, 4096), (a.reset[neurons], 0, len(RESETS) - 1)]
        ranges += [(more[k], *RANGES[k]) for k in more if k in RANGES]
        if not all(_within(*r) for r in ranges):
            return False
    return True


def _within(values: NDArray[np.integer], low: int, high: int) -> bool:
    """Are all values in low .. high?"""
    return not len(values) or bool(values.min() >= low and values.max() <= high)
