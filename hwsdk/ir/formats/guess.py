"""Settle the Semantics of a file: preset and explicit values first, then what its numbers suggest, with a warning."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwsdk.errors import SemanticsError
from hwsdk.ir.formats.flatten_graph import FlatGraph
from hwsdk.ir.formats.raw import RawNode
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.semantics import Semantics, preset

OPTIONS = tuple(f.name for f in dataclasses.fields(Semantics))
DEFAULT_DT = 1e-4  # the paper's own step and snnTorch's (NIR: paper/01_lif; snntorch import_nir)
LEAKY = {"LI": ("tau",), "LIF": ("tau",), "CubaLI": ("tau_mem", "tau_syn"), "CubaLIF": ("tau_mem", "tau_syn")}
RESETTING = ("IF", "LIF", "CubaLIF")
SAME_RATIO = 1e-3


@dataclass(frozen=True, slots=True)
class Settled:
    """The Semantics, factors for time constants and for r of IF and I, and what had to be guessed (for one warning)."""

    semantics: Semantics
    tau_factor: float = 1.0
    r_factor: float = 1.0
    guesses: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class _Times:
    """What the file says about time: all time constants, and tau / r of the membranes."""

    taus: np.ndarray[Any, np.dtype[np.float64]]
    ratios: np.ndarray[Any, np.dtype[np.float64]]
    unit_gain: bool


def check_options(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides that are given (not None).

    Raises:
        SemanticsError: UNKNOWN_OPTION.
    """
    unknown = sorted(set(overrides) - set(OPTIONS))
    if unknown:
        raise SemanticsError(f"unknown option {', '.join(unknown)}", where="semantics", code="UNKNOWN_OPTION",
                             fix=f"use one of {', '.join(OPTIONS)}")
    return {k: _checked(k, v) for k, v in overrides.items() if v is not None}


def _checked(name: str, value: Any) -> Any:
    """Numbers where numbers belong."""
    numeric = {"dt": float, "v_floor": float, "input_delay": int, "connection_delay": int, "recurrent_delay": int}
    if name not in numeric:
        return value
    try:
        number = numeric[name](value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or (numeric[name] is int and number != value):
        kind = "an integer" if numeric[name] is int else "a number"
        raise SemanticsError(f"{name} is {value!r}, it must be {kind}", where="semantics", code="BAD_SEMANTICS",
                             fix=f"give {name} as {kind}")
    return number


def settle(flat: FlatGraph, preset_name: str | None, given: Mapping[str, Any], strict: bool,
           ledger: LedgerWriter) -> Settled:
    """The Semantics of a network.

    Raises:
        SemanticsError: BAD_PRESET, BAD_SEMANTICS, or SEMANTICS_UNSETTLED where ``strict`` forbids a guess.
    """
    base = preset(preset_name) if preset_name is not None else Semantics()
    changes = dict(given)
    times = _times(flat)
    guesses: list[str] = []
    if preset_name is None and "dt" not in changes:
        changes["dt"] = _guess_dt(flat, times, guesses, ledger)
    if preset_name is None and "reset" not in changes:
        _guess_reset(flat, guesses, ledger)
    elif preset_name is not None:
        ledger.assumed("", "PRESET", f"preset {preset_name} is what that framework does with this file; a module with "
                       "other settings of reset, input or spikes exports the same file (load the module itself)")
    semantics = base.with_(**changes)
    factor = _tau_factor(times, semantics, preset_name, guesses, ledger)
    if strict and guesses:
        raise SemanticsError("the file does not settle how the network runs: " + "; ".join(guesses),
                             code="SEMANTICS_UNSETTLED", fix="give the options named above, or a preset (--preset)")
    origin = f"preset {preset_name}" if preset_name else "no preset"
    told = ", ".join(f"{k}={v}" for k, v in given.items()) or "nothing"
    ledger.assumed("", "SEMANTICS", f"{origin}, given {told}: {semantics.to_text()}")
    whole_input = 1.0 / semantics.dt if preset_name == "norse" else 1.0
    return Settled(semantics, factor, whole_input, tuple(guesses))


def _times(flat: FlatGraph) -> _Times:
    """Collect the positive, finite time constants; broken ones are refused later, where they are read."""
    taus, ratios, unit = [np.zeros(0)], [np.zeros(0)], True
    for node in flat.nodes.values():
        for name in LEAKY.get(node.type, ()):
            tau = _positive(node, name)
            taus.append(tau)
            r = _positive(node, "r")
            if name != "tau_syn" and tau.size and r.size and (tau.size == r.size or 1 in (tau.size, r.size)):
                ratios.append(tau / r)
                unit = unit and bool((r == 1).all())
    return _Times(np.concatenate(taus), np.concatenate(ratios), unit)


def _positive(node: RawNode, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The positive finite values of a field, flat; empty if it is not numeric."""
    value = node.fields.get(name)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        return np.zeros(0)
    flat = value.astype(np.float64).ravel()
    good = np.isfinite(flat) & (flat > 0)
    return flat if good.all() else np.zeros(0)


def _guess_dt(flat: FlatGraph, times: _Times, guesses: list[str], ledger: LedgerWriter) -> float:
    """dt from the parameters, with the reason."""
    if not times.taus.size:
        return _dt_without_tau(flat, guesses, ledger)
    dt, why = DEFAULT_DT, f"nothing in the file says how long a step is, so dt={DEFAULT_DT:g} was taken"
    if times.ratios.size and not times.unit_gain and np.ptp(times.ratios) <= SAME_RATIO * times.ratios.max():
        dt = _rounded(float(np.median(times.ratios)))
        why = f"tau / r is {dt:g} for every leaky neuron, as in exports with r = tau / dt, so dt={dt:g} was taken"
    elif times.taus.max() > 1.0:
        dt, why = 1.0, (f"the largest time constant is {times.taus.max():g}, more than a second, so the file seems to "
                        "count in steps and dt=1 was taken")
    text = f"{why} (settle it with dt=... or --dt)"
    ledger.warning("", "DT_ASSUMED", text)
    guesses.append(text)
    return dt


def _rounded(dt: float) -> float:
    """dt without the noise of a float32 export."""
    short = float(f"{dt:.3g}")
    return short if abs(short - dt) <= 1e-5 * dt else dt


def _dt_without_tau(flat: FlatGraph, guesses: list[str], ledger: LedgerWriter) -> float:
    """dt=1 where no time constant depends on it."""
    types = {n.type for n in flat.nodes.values()}
    if "Delay" in types:
        text = "no neuron has a time constant, but delays count in dt; dt=1 was taken (settle it with dt=... or --dt)"
        ledger.warning("", "DT_ASSUMED", text)
    elif types & {"I", "IF"}:
        text = "no neuron has a time constant, so only r * dt matters; dt=1 was taken (settle it with dt=... or --dt)"
        ledger.assumed("", "DT_ASSUMED", text)
    else:
        return 1.0
    guesses.append(text)
    return 1.0


def _guess_reset(flat: FlatGraph, guesses: list[str], ledger: LedgerWriter) -> None:
    """NIR resets to v_reset, but a model trained with reset by subtraction has the same file."""
    if any(n.type in RESETTING for n in flat.nodes.values()):
        text = ("NIR says that a spike sets v to v_reset, but the file cannot say whether the model was trained with "
                "reset by subtraction (settle it with reset=value|subtract or --reset)")
        ledger.warning("", "RESET_ASSUMED", text)
        guesses.append(text)


def _tau_factor(times: _Times, semantics: Semantics, preset_name: str | None, guesses: list[str],
                ledger: LedgerWriter) -> float:
    """1/dt for Norse exports with the factor missing, else 1 and a warning where Euler cannot work."""
    if not times.taus.size or semantics.integrator != "euler" or semantics.dt <= times.taus.min():
        return 1.0
    if preset_name == "norse" and semantics.dt > times.taus.max():
        return 1.0 / semantics.dt
    text = (f"dt={semantics.dt:g} is longer than the time constant {times.taus.min():g}, so forward Euler overshoots; "
            "files from Norse have time constants too small by a factor dt (use --preset norse for them), otherwise "
            "give a smaller dt or integrator=exponential")
    ledger.warning("", "DT_LARGE", text)
    guesses.append(text)
    return 1.0
