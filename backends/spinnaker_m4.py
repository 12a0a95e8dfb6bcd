"""The cycles of a SpiNNaker run by what hwsdk's own kernel takes on a Cortex-M4, beside those of the calibrated model.

Instructions are counted exactly by executing the firmware (hwsdk.targets.m4_law); cycles are a bracket. Where a run's
counts do not tell which term it was, low and high take the cheaper and the dearer one; instructions and the nominal
figure take the mean of the kinds of words that the program has, and half of what is only sometimes paid (the first
packet of a slice or entry in a tick, a word that learns with a post spike), which is an assumption. What silicon does
otherwise is not in it: the exponential unit (so there is no figure for EGRUs), look-ups in the population table, DMA,
wait states, interrupts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hwsdk.backends import spinnaker_cost
from hwsdk.cost import Amount, CostReport, Extra
from hwsdk.errors import UnsupportedError
from hwsdk.ir.trace import Trace
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.programs.spinnaker_image import PeMemory
from hwsdk.targets.m4_law import M4Law, Term, load_law
from hwsdk.targets.spinnaker import SpinnakerTarget

CYCLES = ("calibrated", "executed")
"""Values of the option ``cycles``."""
STATIC = ("narrow", "byte", "wide")
MODELS = {"lif": ("pe_lif", "neuron_lif"), "lif_curr": ("pe_lif_curr", "neuron_curr")}
"""Neuron model -> terms of a PE's tick and of a neuron's update."""
LINES = 32
"""Neurons that the term ``word`` covers."""


@dataclass(frozen=True, slots=True)
class Price:
    """Of one event: instructions, and cycles low, nominal and high."""

    instructions: float = 0.0
    low: float = 0.0
    nominal: float = 0.0
    high: float = 0.0

    @classmethod
    def of(cls, term: Term, share: float = 1.0) -> Price:
        """``share`` times a term."""
        return cls(*(share * x for x in (term.instructions, term.cycles_low, term.cycles_nominal, term.cycles_high)))

    def __add__(self, other: Price) -> Price:
        return Price(self.instructions + other.instructions, self.low + other.low, self.nominal + other.nominal,
                     self.high + other.high)

    def times(self, n: float) -> Price:
        """Of n events."""
        return Price(n * self.instructions, n * self.low, n * self.nominal, n * self.high)


def either(prices: Iterable[tuple[Price, float]]) -> Price:
    """One of several, with weights: their mean, from the cheapest to the dearest; nothing of nothing."""
    found = [(p, w) for p, w in prices if w > 0]
    if not found:
        return Price()
    total = sum(w for _, w in found)
    mean = sum((p.times(w / total) for p, w in found), Price())
    return Price(mean.instructions, min(p.low for p, _ in found), mean.nominal, max(p.high for p, _ in found))


@dataclass(frozen=True, slots=True)
class Executed:
    """What a whole run takes, of all PEs and samples, and the factors on the calibrated cycles."""

    cycles: Price
    calibrated: float

    @property
    def factors(self) -> tuple[float, float, float]:
        """(low, nominal, high)."""
        return (self.cycles.low / self.calibrated, self.cycles.nominal / self.calibrated,
                self.cycles.high / self.calibrated)


def executed(program: SpinnakerProgram, trace: Trace, law: M4Law) -> Executed | None:
    """A run's cycles by the law; None where it says nothing: of EGRUs, and of a run without any."""
    memories = [program.memory(pe) for pe in range(program.n_pes)]
    n = {name: float(counts.sum()) for name, counts in trace.counts.items()}
    calibrated = n["cycles_low"] + n["cycles_high"]
    if calibrated <= 0 or any(m.model == "egru" for m in memories):
        return None
    terms, steps = law.terms, trace.n_steps * trace.n_samples
    found = Price()
    for m in memories:
        if m.model in MODELS:
            tick, update = (terms[name] for name in MODELS[m.model])
            lines = Price.of(terms["word"], sum(-(-s.n // LINES) for s in m.slices))
            found += (Price.of(tick, program.phases) + Price.of(update, m.n) + lines).times(steps)
    found += Price.of(terms["spike"]).times(n["spikes"])
    for name, kinds in (("static", STATIC), ("conv", ("conv",)), ("plastic", ("plastic",)), ("csr", ("csr",))):
        found += _event(memories, kinds, law).times(n[f"{name}_events"])
    found += _packet(memories, law).times(n["packets"])
    return Executed(found, calibrated)


def _event(memories: list[PeMemory], kinds: tuple[str, ...], law: M4Law) -> Price:
    """Of a word or weight of these kinds."""
    terms, prices = law.terms, []
    for block in (b for m in memories for b in m.blocks if b.kind in kinds):
        price, weight = Price.of(terms[f"event_{block.kind}"]), float(len(block.words))
        if block.kind == "conv":
            out = block.kernel.shape[0] / max(block.shape["out_channels"] // max(block.shape["group_out"], 1), 1)
            weight = float(block.kernel.size)
            place = Price.of(terms["place_conv"], 1 / max(out, 1))
            row = Price.of(terms["row_conv"], 1 / max(out * block.kernel.shape[3] / block.shape["stride_x"], 1))
            price += place + row
        if block.kind == "plastic":
            pair = Price.of(terms["pair_plastic"])
            price += Price(pair.instructions / 2, 0.0, pair.nominal / 2, pair.high)
        prices.append((price, weight))
    return either(prices)


def _packet(memories: list[PeMemory], law: M4Law) -> Price:
    """Of a packet that comes to a PE: read out, and what it does before its words. Low: many for each slice and entry
    in a tick; high: one.
    """
    terms, prices = law.terms, []
    for kind in sorted({b.kind for m in memories for b in m.blocks}):
        weight = float(sum(len(b.rows) for m in memories for b in m.blocks if b.kind == kind))
        own = Price.of(terms["gathered"]) + Price.of(terms[f"packet_{kind}"])
        first = Price.of(terms["heard"]) + Price.of(terms["some_heard"]) + Price.of(terms[f"entry_{kind}"])
        prices.append((own + Price(first.instructions / 2, 0.0, first.nominal / 2, first.high), weight))
    return either(prices)


def extras(found: Executed, law: M4Law, open_: tuple[float, float], samples: int) -> tuple[Extra, ...]:
    """Both figures for the report, means of a sample."""
    calibrated, cycles = found.calibrated / samples, found.cycles.times(1 / samples)
    low, high = calibrated * open_[0], calibrated * open_[1]
    text = (f"{cycles.nominal:,.0f} [{cycles.low:,.0f} to {cycles.high:,.0f}], {cycles.instructions:,.0f} "
            f"instructions of hwsdk's kernel; {law.image.compiler}")
    return (
        Extra("active cycles, calibrated", Amount(calibrated, low, high, "cycles"),
              f"{calibrated:,.0f} [{low:,.0f} to {high:,.0f}]"),
        Extra("active cycles, as executed on an M4", Amount(cycles.nominal, cycles.low, cycles.high, "cycles"), text))


def silent(law: M4Law) -> Extra:
    """What the report says where the law says nothing."""
    low, mean, high = law.egru_update.instructions
    return Extra("active cycles, as executed on an M4", Amount(None, None, None, "cycles", ("an exponential unit",)),
                 f"not compared: hwsdk's kernel computes exp and tanh in software ({low:,.0f} to {high:,.0f} "
                 f"instructions an EGRU, mean {mean:,.0f}), the chip has a unit for them")


def scaled(program: SpinnakerProgram, trace: Trace, by: float) -> Trace:
    """The trace with ``by`` times the active cycles, and the times that follow: of work, of steps where a barrier keeps
    them, of PEs at the high level where the level follows the load.
    """
    counts = {n: np.asarray(c, np.float64) * by if n in ("cycles_low", "cycles_high", "busy_seconds") else c
              for n, c in trace.counts.items()}
    if program.sync == "barrier":
        counts["step_seconds"] = trace.counts["step_seconds"] + (by - 1) * trace.counts["busy_seconds"]
    elif program.level == "auto":
        more = (by - 1) * trace.counts["pe_seconds_high"]
        counts["pe_seconds_high"] = trace.counts["pe_seconds_high"] + more
        counts["pe_seconds_low"] = trace.counts["pe_seconds_low"] - more
    return dataclasses.replace(trace, counts=counts)


def report(program: SpinnakerProgram, trace: Trace, target: SpinnakerTarget, *, boundary: str, proxy: str | None,
           cycles: str = CYCLES[0]) -> CostReport:
    """``spinnaker_cost.estimate`` with both figures of the active cycles beside it.

    Args:
        cycles: which of CYCLES is priced.

    Raises:
        UnsupportedError: BAD_OPTION. TargetError, DataError: see ``spinnaker_cost.estimate``.
    """
    if cycles not in CYCLES:
        raise UnsupportedError(f"cycles is {cycles!r}", code="BAD_OPTION", fix=f"use {' or '.join(CYCLES)}")
    plain = spinnaker_cost.estimate(program, trace, target, boundary=boundary, proxy=proxy)
    law = load_law(target.name)
    found = executed(program, trace, law)
    if found is None:
        if cycles != CYCLES[0]:
            raise UnsupportedError("the M4's kernel computes exp and tanh in software, the chip has a unit for them",
                                   where=program.name, code="NO_M4_CYCLES", fix="use cycles=calibrated")
        return dataclasses.replace(plain, extra=(*plain.extra, silent(law)))
    both = extras(found, law, spinnaker_cost.cycle_range(program, trace, target), trace.n_samples)
    if cycles != CYCLES[0]:
        low, nominal, high = found.factors
        plain = spinnaker_cost.estimate(program, scaled(program, trace, nominal), target, boundary=boundary,
                                        proxy=proxy, open_=(low / nominal, high / nominal))
    return dataclasses.replace(plain, extra=(*plain.extra, *both))
