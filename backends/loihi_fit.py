"""What would make a model fit: bounds that cost nothing, and changes that were really tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from hwsdk.backends.base import CompileOptions
from hwsdk.errors import FitError, Violation
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import Flatten, Input, Linear, Output, Synapses
from hwsdk.mappers.loihi_memory import limits, population_memory, total_words
from hwsdk.targets.loihi import LoihiTarget

Fits = Callable[[CompileOptions], bool]
PROPOSED_BITS = (6, 4)
MORE_CHIPS = (1, 1.25, 2, 4)
"""Multiples of the smallest thinkable number of chips that are tried, in this order."""
BY_CHIPS = ("cores", "neurons")
"""Broken limits that more chips can mend; the others lie within one core."""
FEWER_INPUTS = "fewer inputs a neuron (prune the layer, or put a smaller one before it)"
WAYS_OUT = {
    "axons_in": FEWER_INPUTS, "synapse_words": FEWER_INPUTS, "total_words": FEWER_INPUTS,
    "axons_out": "fewer targets a neuron (prune the layer behind it, or make it smaller)",
    "groups": "the same time constants and thresholds for more of its neurons",
    "neurons": "fewer neurons", "cores": "fewer neurons or fewer weights",
}
MAX_TRIED = 30_000_000
"""Weights up to which a model is lowered and mapped to learn more than the bound tells; beyond, that takes minutes."""
EFFORT = 100_000_000
"""Synapses that all tries of one refusal together may map; the first try is always made."""


def refuse_too_many_synapses(network: Network, target: LoihiTarget, options: CompileOptions) -> None:
    """The second cheap question, before anything is built: is it hopeless to store the weights of the dense layers?

    Raises:
        FitError: not even the largest board holds them, or these chips do not and trying others would take minutes.
    """
    words = dense_words(network, target, options.bits)
    per_chip = target.need("synapse_words") * target.need("cores")
    need = sum(words.values())
    enough, most = -(-need // per_chip), target.mesh.max_chips.value or 1
    if enough <= options.chips or (enough <= most and need * 64 <= MAX_TRIED * _entry_bits(target, options.bits)):
        return
    hint = f"try --chips {enough}: so many hold the weights, the other limits show then" if enough <= most else \
        f"make it smaller or sparser: the largest board of {target.name} has {most} chips, {per_chip * most:,} words"
    raise FitError(f"{network.name} does not fit {options.chips} chip(s) of {target.name}", hint=hint, violations=(
        Violation("synapse_words", f"whole network, most in {max(words, key=lambda n: words[n])}", need,
                  per_chip * options.chips, "64-bit words"),))


def dense_words(network: Network, target: LoihiTarget, bits: int) -> dict[str, int]:
    """Linear node -> words that its non-zero weights take at the least, for those that stand alone between two layers.

    Every non-zero weight is stored with its index (facts: ceil(n (12 + b) / 64) words for n weights of one axon).
    """
    entry = _entry_bits(target, bits)
    found = {}
    for name, node in network.nodes.items():
        if isinstance(node, Linear):
            layers = _layers_behind(network, name) if _after_emitter(network, name) else 0
            found[name] = -(-int(np.count_nonzero(node.weight)) * entry // 64) * layers
    return found


def _entry_bits(target: LoihiTarget, bits: int) -> int:
    """Bits of one stored weight with its index."""
    return bits + (target.memory.index_bits.value or 0)


def _after_emitter(network: Network, name: str) -> bool:
    """True if exactly one Input or population feeds a node, with nothing but Flatten between."""
    while len(sources := network.sources(name)) == 1:
        name = sources[0].source
        if not isinstance(network.nodes[name], Flatten):
            return isinstance(network.nodes[name], Input | Neuron)
    return False


def _layers_behind(network: Network, name: str) -> int:
    """Populations and Outputs that a node feeds, with nothing but Flatten between."""
    seen, pending = {name}, [name]
    while pending:
        ends = {e.target for e in network.targets(pending.pop())} - seen
        seen |= ends
        pending += [n for n in ends if isinstance(network.nodes[n], Flatten)]
    return sum(isinstance(network.nodes[n], Neuron | Output) for n in seen - {name})


def least_cores(whole: Network, target: LoihiTarget) -> dict[str, int]:
    """Resource -> cores that an integer network needs at the very least for it, however it is cut."""
    used = dict.fromkeys(limits(target), 0)
    for name, cell in whole.populations.items():
        one = population_memory(whole, name, target).usage(np.zeros(cell.n, np.int64), 1).of(0)
        for resource, amount in {**one, "total_words": total_words(one)}.items():
            used[resource] += amount
    return {n: -(-amount // limit) for n, amount in used.items() if (limit := limits(target)[n])}


def proposals(error: FitError, whole: Network, target: LoihiTarget, options: CompileOptions, fits: Fits,
              ) -> tuple[tuple[str, ...], str]:
    """(the nearest changes that were tried and make it fit, the smallest of each kind; a hint if there are none).

    Args:
        error: of the mapper. whole: the integer network. fits: tries options on the model and tells.
    """
    least, effort = least_cores(whole, target), EFFORT
    synapses = sum(s.parameters() for s in whole.of(Synapses).values())
    found: list[str] = []
    untried: list[str] = []
    for kind in (_scales, _packing, _chips, _bits):
        for text, changed in kind(error, least, target, options):
            if effort <= 0:
                untried.append(text)
                break
            effort -= synapses
            if fits(changed):
                found.append(text)
                break
    if untried:
        return tuple(found), f"not tried because it takes minutes: {', or '.join(untried)}"
    return tuple(found), _hint(error)


Tries = Iterator[tuple[str, CompileOptions]]
"""(what to do, options with it), the nearest first."""


def _packing(error: FitError, least: dict[str, int], target: LoihiTarget, options: CompileOptions) -> Tries:
    """Small layers on one core."""
    if options.packing != "dense" and max(least.values()) <= target.need("cores") * options.chips:
        yield "put small layers together (--packing dense)", replace(options, packing="dense")


def _chips(error: FitError, least: dict[str, int], target: LoihiTarget, options: CompileOptions) -> Tries:
    """More chips, where cores are what is missing."""
    if not all(v.rule in BY_CHIPS for v in error.violations):
        return
    need = max([*least.values(), *(int(v.need) for v in error.violations if v.rule == "cores")])
    start = max(-(-need // target.need("cores")), options.chips + 1)
    for chips in dict.fromkeys(-int(-start * more // 1) for more in MORE_CHIPS):
        if chips <= (target.mesh.max_chips.value or 1):
            yield f"use {chips} chips (--chips {chips})", replace(options, chips=chips)


def _bits(error: FitError, least: dict[str, int], target: LoihiTarget, options: CompileOptions) -> Tries:
    """Narrower weights, where their words are what is missing and enough of them can go."""
    words = max(least.get("synapse_words", 0), least.get("total_words", 0))
    single = any(v.rule in ("synapse_words", "total_words") for v in error.violations)
    if not single and words < max(least.values()):
        return
    for bits in (b for b in PROPOSED_BITS if b < options.bits):
        share = _entry_bits(target, bits) / _entry_bits(target, options.bits)
        if single or (least.get("synapse_words", 0) - 1) * share <= target.need("cores") * options.chips:
            yield f"use {bits}-bit weights (--bits {bits}) and check the accuracy", replace(options, bits=bits)


def _scales(error: FitError, least: dict[str, int], target: LoihiTarget, options: CompileOptions) -> Tries:
    """One scale a layer: fewer groups of neurons."""
    if options.per_channel:
        yield "use one scale a layer (without --per-channel)", replace(options, per_channel=False)


def _hint(error: FitError) -> str:
    """What would help where no single option does."""
    ways = dict.fromkeys(WAYS_OUT[v.rule] for v in error.violations if v.rule in WAYS_OUT)
    return ("neither more chips, nor fewer bits, nor denser packing makes it fit; it needs "
            f"{', and '.join(ways) or 'less of everything'}")
