"""What would make a model fit SpiNNaker 2: bounds that cost nothing, and changes that were really tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from hwsdk.backends.base import CompileOptions
from hwsdk.errors import FitError, Violation
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import Linear
from hwsdk.ir.plastic import PlasticSynapses
from hwsdk.targets.spinnaker import SpinnakerTarget

Fits = Callable[[CompileOptions], bool]
Tries = Iterator[tuple[str, CompileOptions]]
LEAST_BYTES = 2
"""Of a stored synapse: a 16-bit word."""
MORE_CHIPS = (2, 4, 8, 16, 32, 48)
MORE_TIME = (2, 5, 10)
MAX_TRIED = 30_000_000
"""Weights up to which changes of options are tried; beyond, each try takes minutes."""
EFFORT = 40_000_000
"""Weights that all tries of one refusal together may map; the first try is always made."""


def refuse_too_large(network: Network, target: SpinnakerTarget, options: CompileOptions) -> None:
    """The cheap questions, before anything is built.

    Raises:
        FitError: more neurons than the PEs address, or more weights than they hold, with the number of chips to try.
    """
    pes, most = target.need("application_pes"), target.need("chips")
    weights = {n: int(np.count_nonzero(x.weight)) for n, x in network.nodes.items() if isinstance(x, Linear)}
    layer = max(network.populations, key=lambda n: network.populations[n].n, default="")
    needs = [("neurons", f"whole network, most in {layer}", network.n_neurons, pes * target.need("atoms_wide"),
              "neurons")]
    if weights:
        needs.append(("data_bytes", f"whole network, most in {max(weights, key=lambda n: weights[n])}",
                      LEAST_BYTES * sum(weights.values()), pes * target.data_bytes, "bytes"))
    broken = [(Violation(rule, where, need, limit * options.chips, unit), -(-need // limit), limit)
              for rule, where, need, limit, unit in needs if need > limit * options.chips]
    if not broken:
        return
    enough = max(chips for _, chips, _ in broken)
    hint = f"try --chips {enough}: so many hold these, the other limits show then" if enough <= most else \
        f"make it smaller or sparser: the largest board of {target.name} has {most} chips"
    raise FitError(f"{network.name} does not fit {options.chips} chip(s) of {target.name}", hint=hint,
                   violations=tuple(v for v, _, _ in broken))


def proposals(error: FitError, network: Network, target: SpinnakerTarget, options: CompileOptions, fits: Fits,
              ) -> tuple[tuple[str, ...], str]:
    """(the nearest changes that were tried and make it fit, the smallest of each kind; a hint if there are none)."""
    found: list[str] = []
    if network.n_parameters > MAX_TRIED:
        chips = max((-(-int(v.need) // target.need("application_pes")) for v in error.violations
                     if v.rule == "application_pes"), default=0)
        more = f"--chips {chips}" if options.chips < chips <= target.need("chips") else "more chips (--chips)"
        return (), f"not tried because it takes minutes: {more}, fewer bits (--bits)"
    untried, effort = list[str](), EFFORT
    for kind in (_packing, _chips, _time, _history, _bits):
        for text, changed in kind(error, network, target, options):
            if effort <= 0:
                untried.append(text)
                break
            effort -= network.n_parameters
            if fits(changed):
                found.append(text)
                break
    if untried:
        return tuple(found), f"not tried because it takes minutes: {', or '.join(untried)}"
    rules = {v.rule for v in error.violations}
    hint = "a longer step (--step-time), or fewer inputs a neuron" if "tick_cycles" in rules else \
        "fewer inputs a neuron (prune the layer, or put a smaller one before it)" if "pe_bytes" in rules else ""
    if "pe_bytes" in rules and network.of(PlasticSynapses):
        hint += ", or shorter time constants of the learning rules (their tables take about 67 bytes a step of each)"
    return tuple(found), hint


def _packing(error: FitError, network: Network, target: SpinnakerTarget, options: CompileOptions) -> Tries:
    """Small slices together, or a PE for each."""
    if options.packing == "spread":
        yield "give every population PEs of its own (--packing layer)", replace(options, packing="layer")
        yield "put small slices together (--packing dense)", replace(options, packing="dense")
    if options.packing == "layer" and any(v.rule == "application_pes" for v in error.violations):
        yield "put small slices together (--packing dense)", replace(options, packing="dense")


def _time(error: FitError, network: Network, target: SpinnakerTarget, options: CompileOptions) -> Tries:
    """A longer step, where the tick is too short or an expected activity asks for many PEs."""
    if any(v.rule == "tick_cycles" for v in error.violations) or options.activity is not None or options.data:
        for more in MORE_TIME:
            step = (options.step_time or 1e-3) * more
            yield f"take {more} times as long for a step (--step-time {step:g})", replace(options, step_time=step)


def _history(error: FitError, network: Network, target: SpinnakerTarget, options: CompileOptions) -> Tries:
    """Fewer post spikes remembered."""
    if network.of(PlasticSynapses):
        for n in (64, 16):
            own = {**options.target_options, "history": n}
            yield f"remember {n} post spikes a neuron (--option history={n})", replace(options, target_options=own)


def _bits(error: FitError, network: Network, target: SpinnakerTarget, options: CompileOptions) -> Tries:
    """Weights that 16-bit words hold."""
    for bits in (8, 5):
        if bits < options.bits:
            yield f"use {bits}-bit weights (--bits {bits}, check the accuracy with hwsdk verify)", \
                replace(options, bits=bits)


def _chips(error: FitError, network: Network, target: SpinnakerTarget, options: CompileOptions) -> Tries:
    """More chips."""
    if any(v.rule in ("pe_bytes", "tick_cycles") for v in error.violations):
        return
    need = max((-(-int(v.need) // target.need("application_pes")) for v in error.violations
                if v.rule == "application_pes"), default=2)
    for chips in sorted({need, *MORE_CHIPS}):
        if max(options.chips, need - 1) < chips <= target.need("chips"):
            yield f"use {chips} chips (--chips {chips})", replace(options, chips=chips)
