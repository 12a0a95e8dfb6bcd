"""check, first part: every neuron of a network is placed once, with its own parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsdk.errors import InternalError
from hwsdk.ir.fixed import FixedATRLIF, FixedGraded, FixedLIF, FixedRF, FixedSigmaDelta
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron
from hwsdk.programs.loihi import MODELS, RESETS, LoihiProgram

PLAIN = ("du", "dv", "vth", "bias", "u_init", "v_init", "reset_by")
RENAMED = {"u_init": "re_init", "v_init": "im_init"}
"""Where the resonator keeps what the columns call so."""


def check_neurons(network: Network, program: LoihiProgram) -> None:
    """Compare every column of every population.

    Raises:
        InternalError: a neuron is missing or there twice, or a parameter is not its own.
    """
    a = program.arrays
    first = sum(s.n for s in program.inputs)
    placed = np.bincount(a.source_id, minlength=first + network.n_neurons)
    if len(a.source_id) != network.n_neurons or (placed[first:] != 1).any() or placed[:first].any():
        wrong = int(np.flatnonzero(placed != (np.arange(len(placed)) >= first))[0])
        raise InternalError(f"the neuron with id {wrong} is placed {placed[wrong]} times")
    rank = np.empty(network.n_neurons, np.int64)
    rank[a.source_id - first] = np.arange(network.n_neurons)
    for s in program.populations:
        cell, own = network.populations[s.name], rank[s.first - first : s.first - first + s.n]
        if not _is(cell, s.model) or s.fires != getattr(cell, "fires", True):
            raise InternalError(f"{s.name} is a {type(cell).__name__}, the program says {s.model!r}, fires={s.fires}")
        columns = [(name, getattr(a, name)) for name in (*PLAIN, "reset", "fires")]
        zeros = np.zeros(len(rank), np.int32)
        columns += [(n, a.extra[k] if a.extra.shape[1] else zeros) for k, n in enumerate(MODELS[s.model])]
        for name, column in columns:
            _compare(s.name, name, np.broadcast_to(np.asarray(_wanted(cell, name)).ravel(), s.n), column[own])


def _compare(population: str, name: str, wanted: Any, found: Any) -> None:
    """One parameter of all neurons."""
    if not np.array_equal(wanted, found):
        at = int(np.flatnonzero(wanted != found)[0])
        raise InternalError(f"{name} of {population}[{at}] should be {wanted[at]}, the program says {found[at]}")


def _is(cell: Neuron, model: str) -> bool:
    """Does a model of MODELS compute this population?"""
    kinds = {"lif": FixedLIF, "atrlif": FixedATRLIF, "rf": FixedRF, "rf_iz": FixedRF, "sigma_delta": FixedSigmaDelta,
             "delta": FixedSigmaDelta, "graded": FixedGraded, "graded_relu": FixedGraded}
    variants = {FixedRF: ("izhikevich", "rf_iz"), FixedSigmaDelta: ("encodes", "delta"),
                FixedGraded: ("relu", "graded_relu")}
    if model not in kinds or type(cell) is not kinds[model]:
        return False
    flag, variant = variants.get(type(cell), ("", ""))
    return not flag or getattr(cell, flag) == (model == variant)


def _wanted(cell: Neuron, name: str) -> Any:
    """What a column must hold for a population: 0 where its model has no such parameter."""
    if name == "relu":
        return getattr(cell, "activation", "") == "relu"
    if name == "reset":
        return RESETS.index(getattr(cell, "reset", "value"))
    if name == "fires":
        return getattr(cell, "fires", True)
    value = getattr(cell, RENAMED.get(name, name) if isinstance(cell, FixedRF) else name, 0)
    return 0 if value is None else value
