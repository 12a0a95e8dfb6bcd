"""The records of neurons in a PE's memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError, UnsupportedError
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.recurrent import EGRU
from hwsdk.ir.single import SingleLIF
from hwsdk.programs.spinnaker_image import CONTROL, floats

Words = NDArray[np.uint32]
MAX_REFRACTORY = (1 << 12) - 1


def records(cell: Neuron) -> Words:
    """(n, fields) uint32 of a population, as NEURON_FIELDS of its model says.

    Raises:
        UnsupportedError: REFRACTORY_RANGE.
    """
    if isinstance(cell, EGRU):
        zero = np.zeros(cell.shape)
        columns = [zero, cell.theta, cell.bias_z, cell.bias_r, cell.bias_x, cell.bias_h]
        return np.stack([floats(c.ravel()) for c in columns], axis=1)
    if not isinstance(cell, SingleLIF):
        raise InternalError(f"no PE application for a {type(cell).__name__}")
    columns = [cell.decay_v, cell.bias, cell.v_threshold, cell.reset_by, cell.v_init]
    if cell.decay_u.any():
        columns = [cell.decay_u, cell.u_init, *columns]
    return np.stack([*(floats(c.ravel()) for c in columns), _control(cell)], axis=1)


def _control(cell: SingleLIF) -> Words:
    """Control words."""
    rests = np.zeros(cell.n, np.int64) if cell.refractory is None else cell.refractory.ravel()
    if rests.max(initial=0) > MAX_REFRACTORY:
        raise UnsupportedError(f"a refractory period of {int(rests.max())} steps; the limit is {MAX_REFRACTORY}",
                               code="REFRACTORY_RANGE", fix="use a longer step or a shorter period")
    word = rests << CONTROL["refractory"]
    for name, given in (("subtract", cell.reset == "subtract"), ("at_threshold", cell.comparison == ">="),
                        ("fires", cell.fires)):
        word |= int(given) << CONTROL[name]
    return word.astype(np.uint32)
