"""The Loihi mapper: integer network -> partition -> place -> LoihiProgram, with a legality check that explains."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import FitError, InternalError, UnsupportedError, Violation
from hwsdk.ir.ledger import Ledger, LedgerWriter
from hwsdk.ir.mapping import Placement, Slice, Usage
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import Output, size
from hwsdk.mappers import loihi_emit as emit
from hwsdk.mappers import rules
from hwsdk.mappers.check import check
from hwsdk.mappers.cuts import Demand, Rates
from hwsdk.mappers.loihi_layout import Layout, layout, together
from hwsdk.mappers.loihi_memory import limits, population_memory, row_words, total_words
from hwsdk.mappers.loihi_rows import Rows, wire
from hwsdk.mappers.objective import Search
from hwsdk.mappers.pack import first_fit, merge
from hwsdk.mappers.partition import Part, demands, partition, violations
from hwsdk.mappers.place import Found, place
from hwsdk.mappers.spread import spread
from hwsdk.programs.loihi import MODELS, LoihiProgram
from hwsdk.targets.loihi import LoihiTarget

PACKINGS = ("layer", "dense", "spread")
Activity = Mapping[str, "NDArray[np.float64] | float"]
"""Input or population -> mean spikes a step, of each neuron or of all."""


@dataclass(frozen=True, slots=True)
class MapOptions:
    """chips: how many are at hand. seed, effort, time_budget: of the search, see hwsdk.mappers.objective.Search.

    packing: "layer": the fewest parts of every layer, each on a core of its own where the chips have room. "dense":
    parts together on the fewest cores, those first that save most messages and hops. "spread": as many parts as make
    energy times time of a step least. step_time: seconds that no core may take longer than, as far as cutting and the
    number of cores allow it. activity: measured spikes a step.
    """

    chips: int = 1
    packing: str = "layer"
    seed: int = 0
    effort: str = "fast"
    time_budget: float | None = None
    step_time: float | None = None
    activity: Activity | None = None


def map_network(network: Network, target: LoihiTarget, options: MapOptions, *, model_digest: str = "", losses: str = "",
                progress: Callable[[str], None] | None = None) -> LoihiProgram:
    """Place an integer network on a Loihi-style chip.

    Raises:
        UnsupportedError: a rule of the chip is broken (delays, resets, registers).
        FitError: it needs more than there is; every broken limit is listed.
    """
    say, start = progress or (lambda _: None), time.monotonic()
    if not network.is_integer:
        raise UnsupportedError("the mapper takes integer networks", code="NOT_INTEGER",
                               fix="quantise it first, or call hwsdk.compile")
    rules.require(network, target)
    refuse_too_many_neurons(network, target, options.chips)
    say("partition")
    rates = rates_of(network, options.activity)
    parts, busy = _cores(network, target, options, rates)
    cores = together(parts)
    say("place")
    where, rows, heard = _emit_base(network, cores)
    flow = emit.traffic(heard, where, np.concatenate([rates[s.name] for s in where.populations]))
    search = Search(options.seed, options.effort, options.time_budget, start)
    found = place(flow, target, options.chips, search, say)
    placement = Placement(cores, found.places)
    say("emit")
    used = core_usage(network, target, cores, emit.axons_out(heard, where))
    program = LoihiProgram(
        network.name, target.name, target.version, target.digest(), model_digest or network.digest(), placement.chips,
        where.inputs, where.populations, _outputs(network), emit.arrays(network, where, rows, heard, placement),
        network.semantics, used, network.ledger + _told(found, options, busy), losses, target.capabilities.graded_input)
    say("check")
    check(network, program)
    return program


def _told(found: Found, options: MapOptions, busy: float) -> Ledger:
    """Whether the time ran out, which makes the program depend on the machine; whether a step takes too long."""
    log = LedgerWriter()
    if options.step_time and busy > options.step_time:
        log.warning("", "STEP_TIME_MISSED", f"not every core is done in {options.step_time:g} s: one may be busy for "
                    f"{busy:.3g} s")
    if found.cut_short:
        log.warning("", "SEARCH_CUT_SHORT", f"the search for a placement was stopped after {options.time_budget:g} s; "
                    "another run may find another one")
    return log.done()


def refuse_too_many_neurons(network: Network, target: LoihiTarget, chips: int) -> None:
    """The cheap question, before anything is built.

    Raises:
        FitError: more neurons than the chips hold, with the number of chips to try, if a board has so many.
    """
    per_chip = target.need("neurons") * target.need("cores")
    if network.n_neurons <= per_chip * chips:
        return
    layer = max(network.populations, key=lambda n: network.populations[n].n)
    enough, most = -(-network.n_neurons // per_chip), target.mesh.max_chips.value or 1
    way_out = f"try --chips {enough}: so many hold the neurons, the other limits show then" if enough <= most else \
        f"make it smaller: the largest board of {target.name} has {most} chips, {per_chip * most:,} neurons"
    raise FitError(f"{network.name} does not fit {chips} chip(s) of {target.name}", hint=way_out, violations=(
        Violation("neurons", f"whole network, most in {layer}", network.n_neurons, per_chip * chips, "neurons"),))


def _cores(network: Network, target: LoihiTarget, options: MapOptions, rates: Rates,
           ) -> tuple[tuple[tuple[Slice, ...], ...], float]:
    """Slices of each core, split further where outgoing axons overflow, and the most seconds of one in a step.

    Where the cores do not allow the step time, it is doubled until they do.

    Raises:
        FitError: more cores than the chips have.
    """
    available, found = target.need("cores") * options.chips, demands(network, target, rates)
    bound = options.step_time or math.inf
    cores = _bounded(network, target, options, rates, found, bound)
    while len(cores) > available and bound < math.inf:
        seconds = [p.seconds for core in cores for p in core]
        bound = 2 * max(bound, *seconds)
        bound = bound if bound < sum(seconds) else math.inf
        cores = _bounded(network, target, options, rates, found, bound)
    busy = max(sum(p.seconds for p in core) for core in cores)
    slices = tuple(tuple(p.slice for p in core) for core in cores)
    if len(slices) <= available:
        slices = _split_for_axons(network, target, slices, available)
    if len(slices) > available:
        raise _too_many_cores(network, target, options.chips, [p for core in cores for p in core], len(slices))
    return slices, busy


def _bounded(network: Network, target: LoihiTarget, options: MapOptions, rates: Rates, found: list[Demand],
             bound: float) -> list[tuple[Part, ...]]:
    """Parts on cores, none of which takes longer than ``bound``; more cores than there are if it cannot be done."""
    available = target.need("cores") * options.chips
    coarse = partition(network, found, target, bound)
    if coarse is None:
        raise InternalError("a partition without a limit of its parts was given up")
    if options.packing == "spread" and coarse.parts < available:
        coarse = spread(network, found, target, coarse, available, bound)
    parts = coarse.listed()
    if options.packing != "dense" and len(parts) <= available:
        return [(p,) for p in parts]
    rate = np.concatenate([rates[name] for name in (*network.inputs, *network.populations)])
    cores = merge(network, parts, target, rate, bound)
    return cores if len(cores) <= available else min(cores, first_fit(parts, target, bound), key=len)


def _split_for_axons(network: Network, target: LoihiTarget, cores: tuple[tuple[Slice, ...], ...],
                     available: int) -> tuple[tuple[Slice, ...], ...]:
    """Halve the cores whose outgoing axons or total words overflow, until none does."""
    while True:
        where, _, heard = _emit_base(network, cores)
        usage = core_usage(network, target, cores, emit.axons_out(heard, where))
        bad = {i for i, u in enumerate(usage) if violations(u, target, "")}
        if not bad or len(cores) > available:
            return cores
        finer = tuple(half for i, core in enumerate(cores) for half in (_halves(core) if i in bad else (core,)))
        if len(finer) == len(cores):
            break
        cores = finer
    found = tuple(v for i, u in enumerate(usage) for v in violations(u, target, f"core {i} ({_names(cores[i])})"))
    raise FitError(f"{network.name} does not fit {target.name}", violations=found)


def _halves(core: tuple[Slice, ...]) -> tuple[tuple[Slice, ...], ...]:
    """A core as two: by slice if it has several, else its slice cut in the middle."""
    if len(core) > 1:
        return core[: len(core) // 2], core[len(core) // 2 :]
    part = core[0]
    if len(part.index) < 2:
        return (core,)
    middle = len(part.index) // 2
    return (Slice(part.population, part.index[:middle]),), (Slice(part.population, part.index[middle:]),)


def _emit_base(network: Network, cores: tuple[tuple[Slice, ...], ...],
               ) -> tuple[Layout, Rows, emit.Axons]:
    """Layout, synapses and who hears whom."""
    where = layout(network, cores)
    rows = wire(network, where)
    return where, rows, emit.axons(rows)


def core_usage(network: Network, target: LoihiTarget, cores: tuple[tuple[Slice, ...], ...],
               axons_out: NDArray[np.int64]) -> tuple[dict[str, int], ...]:
    """Resources of every core, from the network itself."""
    used: list[dict[str, int]] = [dict.fromkeys(limits(target), 0) for _ in cores]
    for name in network.populations:
        memory = population_memory(network, name, target)
        holders = [(c, s) for c, core in enumerate(cores) for s in core if s.population == name]
        part = np.empty(memory.cell.n, np.int64)
        for k, (_, s) in enumerate(holders):
            part[s.index] = k
        usage = memory.usage(part, len(holders))
        for k, (c, _) in enumerate(holders):
            for resource, amount in usage.of(k).items():
                used[c][resource] += amount
    for c, total in enumerate(used):
        total["axons_out"] = int(axons_out[c])
        total["total_words"] = total_words(total)
    return tuple(used)


def _too_many_cores(network: Network, target: LoihiTarget, chips: int, parts: list[Part], need: int) -> FitError:
    """Which layers take the cores."""
    by_layer: dict[str, int] = {}
    for part in parts:
        by_layer[part.slice.population] = by_layer.get(part.slice.population, 0) + 1
    layer = max(by_layer, key=lambda n: by_layer[n])
    limit = target.need("cores") * chips
    return FitError(f"{network.name} does not fit {chips} chip(s) of {target.name}", violations=(
        Violation("cores", f"whole network; {layer} alone takes {by_layer[layer]}", need, limit, "cores"),))


def rates_of(network: Network, activity: Activity | None) -> dict[str, NDArray[np.float64]]:
    """Sender -> spikes a step of each neuron: as measured, 1 where nothing is said.

    Raises:
        UnsupportedError: an activity that does not suit its population.
    """
    known = (*network.inputs, *network.populations, *network.outputs)
    if unknown := sorted(set(activity or ()) - set(known)):
        raise UnsupportedError(f"an activity of {', '.join(unknown[:4])}, which the network does not have",
                               code="BAD_ACTIVITY", fix=f"use {', '.join(known[:8])}")
    found = {}
    for name in (*network.inputs, *network.populations):
        n = size(network.shapes[name])
        given = np.asarray((activity or {}).get(name, 1.0), np.float64).ravel()
        if len(given) not in (1, n) or not np.isfinite(given).all() or (given < 0).any():
            raise UnsupportedError(f"an activity of {len(given)} numbers for {n} neurons", where=name,
                                   code="BAD_ACTIVITY", fix="give one number, or one a neuron, 0 or more")
        found[name] = np.broadcast_to(given, n)
    return found


def _outputs(network: Network) -> dict[str, tuple[str, ...]]:
    """Output name -> the populations that it reads."""
    return {n: tuple(e.source for e in network.sources(n) if isinstance(network.nodes[e.source], Neuron))
            for n in network.of(Output)}


def _names(core: tuple[Slice, ...]) -> str:
    """Populations on a core."""
    return ", ".join(s.population for s in core)


def legality(program: LoihiProgram, target: LoihiTarget) -> tuple[Violation, ...]:
    """Every limit of the target that the program breaks, and every resource of which it takes more than it says.

    Neurons, groups, axons and synapse words are counted again from the cores' memories; empty means legal.
    """
    found = [v for i, u in enumerate(program.usage) for v in violations(dict(u), target, f"core {i}")]
    for resource, counted in recount(program, target).items():
        for core, amount in enumerate(counted):
            if amount > program.usage[core][resource]:
                found.append(Violation(f"{resource} as stated", f"core {core}", int(amount),
                                       program.usage[core][resource]))
    per_chip = np.bincount(program.arrays.core_chip, minlength=1)
    for chip, used in enumerate(per_chip):
        if used > target.need("cores"):
            found.append(Violation("cores", f"chip {chip}", int(used), target.need("cores"), "cores"))
    return tuple(found)


def recount(program: LoihiProgram, target: LoihiTarget) -> dict[str, NDArray[np.int64]]:
    """Resource -> what each core's memory really holds, from the arrays alone."""
    a = program.arrays
    n_inputs = sum(s.n for s in program.inputs)
    fan_out = np.diff(a.out_ptr)[n_inputs:][a.source_id - n_inputs]
    model = np.concatenate([np.full(s.n, list(MODELS).index(s.model)) for s in program.populations])
    extra = a.extra if a.extra.shape[1] else np.zeros((len(a.extra), len(a.du)), np.int32)
    table = np.stack([model[a.source_id - n_inputs], a.du, a.dv, a.vth, a.reset_by, a.reset, a.fires, *extra])
    bounds = list(zip(a.neuron_ptr[:-1], a.neuron_ptr[1:], strict=True))
    long = np.add.reduceat(a.delay > 1, a.row_ptr[:-1]) > 0 if len(a.row_bits) else np.zeros(0, bool)
    words = row_words(np.diff(a.row_ptr), a.row_bits.astype(np.int64), a.row_shared, long & ~a.row_shared, target)
    sums = np.r_[0, np.cumsum(words)]
    return {
        "synapse_words": np.diff(sums[a.core_row_ptr]),
        "neurons": np.diff(a.neuron_ptr), "axons_in": np.diff(a.axon_ptr),
        "axons_out": np.array([fan_out[lo:hi].sum() for lo, hi in bounds], np.int64),
        "groups": np.array([np.unique(table[:, lo:hi], axis=1).shape[1] for lo, hi in bounds], np.int64),
    }


def summary(program: LoihiProgram, target: LoihiTarget) -> dict[str, Usage]:
    """Cores of all chips, and of each per-core resource the fullest core."""
    table = {"cores": Usage(program.n_cores, target.need("cores") * program.chips, "cores")}
    for resource, limit in limits(target).items():
        fullest = max((u[resource] for u in program.usage), default=0)
        table[f"{resource} (fullest core)"] = Usage(fullest, limit, target.limits[resource].unit)
    return table
