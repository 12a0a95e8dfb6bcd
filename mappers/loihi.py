"""The Loihi mapper: integer network -> partition -> place -> LoihiProgram, with a legality check that explains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import FitError, UnsupportedError, Violation
from hwsdk.ir.mapping import Placement, Slice, Usage
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import Output
from hwsdk.mappers import loihi_emit as emit
from hwsdk.mappers import rules
from hwsdk.mappers.loihi_memory import limits, population_memory, total_words
from hwsdk.mappers.partition import Part, pack, split_populations, violations
from hwsdk.mappers.place import place
from hwsdk.programs.loihi import LoihiProgram
from hwsdk.targets import Target

PACKINGS = ("layer", "dense")
MAX_SPLIT_ROUNDS = 12


@dataclass(frozen=True, slots=True)
class MapOptions:
    """chips: how many are at hand. packing: "layer" gives every part a core of its own where the chips have room,
    "dense" puts small parts together. seed: for placement. rates: population -> spikes a step, measured, or None.
    """

    chips: int = 1
    packing: str = "layer"
    seed: int = 0
    rates: dict[str, NDArray[np.float64]] | None = None


def map_network(network: Network, target: Target, options: MapOptions, *, model_digest: str = "", losses: str = "",
                progress: Callable[[str], None] | None = None) -> LoihiProgram:
    """Place an integer network on a Loihi-style chip.

    Raises:
        UnsupportedError: a rule of the chip is broken (delays, resets, registers).
        FitError: it needs more than there is; every broken limit is listed.
    """
    say = progress or (lambda _: None)
    if not network.is_integer:
        raise UnsupportedError("the mapper takes integer networks", code="NOT_INTEGER",
                               fix="quantise it first, or call hwsdk.compile")
    rules.require(network, target)
    refuse_too_many_neurons(network, target, options.chips)
    say("partition")
    cores = _cores(network, target, options)
    say("place")
    where, rows, heard = _emit_base(network, cores)
    flow = emit.traffic(heard, where, _rates(where, options))
    placement = Placement(cores, tuple(place(flow, target, options.chips, options.seed)))
    say("emit")
    used = core_usage(network, target, cores, emit.axons_out(heard, where))
    return LoihiProgram(
        network.name, target.name, target.version, target.digest(), model_digest or network.digest(), placement.chips,
        where.inputs, where.populations, _outputs(network), emit.arrays(network, where, rows, heard, placement),
        network.semantics, used, network.ledger, losses, target.capabilities.graded_input)


def refuse_too_many_neurons(network: Network, target: Target, chips: int) -> None:
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


def _cores(network: Network, target: Target, options: MapOptions) -> tuple[tuple[Slice, ...], ...]:
    """Slices of each core, split further where outgoing axons overflow.

    Raises:
        FitError: more cores than the chips have.
    """
    parts = split_populations(network, target)
    available = target.need("cores") * options.chips
    roomy = options.packing == "layer" and len(parts) <= available
    cores = [(p.slice,) for p in parts] if roomy else pack(parts, target)
    if len(cores) > available:
        raise _too_many_cores(network, target, options.chips, parts, len(cores))
    final = _split_for_axons(network, target, tuple(cores), available)
    if len(final) > available:
        raise _too_many_cores(network, target, options.chips, parts, len(final))
    return final


def _split_for_axons(network: Network, target: Target, cores: tuple[tuple[Slice, ...], ...],
                     available: int) -> tuple[tuple[Slice, ...], ...]:
    """Halve the cores whose outgoing axons or total words overflow, until none does."""
    for _ in range(MAX_SPLIT_ROUNDS):
        where, _, heard = _emit_base(network, cores)
        usage = core_usage(network, target, cores, emit.axons_out(heard, where))
        bad = {i for i, u in enumerate(usage) if violations(u, target, "")}
        if not bad or len(cores) > available:
            return cores
        cores = tuple(half for i, core in enumerate(cores) for half in (_halves(core) if i in bad else (core,)))
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
               ) -> tuple[emit.Layout, emit.Rows, NDArray[np.bool_]]:
    """Layout, synapses and who hears whom."""
    where = emit.layout(network, cores)
    rows = emit.synapse_rows(network, where)
    return where, rows, emit.listening(rows, where, len(cores))


def core_usage(network: Network, target: Target, cores: tuple[tuple[Slice, ...], ...],
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


def _too_many_cores(network: Network, target: Target, chips: int, parts: list[Part], need: int) -> FitError:
    """Which layers take the cores."""
    by_layer: dict[str, int] = {}
    for part in parts:
        by_layer[part.slice.population] = by_layer.get(part.slice.population, 0) + 1
    layer = max(by_layer, key=lambda n: by_layer[n])
    limit = target.need("cores") * chips
    return FitError(f"{network.name} does not fit {chips} chip(s) of {target.name}", violations=(
        Violation("cores", f"whole network; {layer} alone takes {by_layer[layer]}", need, limit, "cores"),))


def _rates(where: emit.Layout, options: MapOptions) -> NDArray[np.float64] | None:
    """Spikes a step of every neuron by id, or None."""
    if options.rates is None:
        return None
    return np.concatenate([options.rates.get(s.name, np.ones(s.n)) for s in where.populations])


def _outputs(network: Network) -> dict[str, tuple[str, ...]]:
    """Output name -> the populations that it reads."""
    return {n: tuple(e.source for e in network.sources(n) if isinstance(network.nodes[e.source], Neuron))
            for n in network.of(Output)}


def _names(core: tuple[Slice, ...]) -> str:
    """Populations on a core."""
    return ", ".join(s.population for s in core)


def legality(program: LoihiProgram, target: Target) -> tuple[Violation, ...]:
    """Every limit of the target that the program breaks, and every resource of which it takes more than it says.

    Neurons, groups and axons are counted again from the cores' memories; empty means legal.
    """
    found = [v for i, u in enumerate(program.usage) for v in violations(dict(u), target, f"core {i}")]
    for resource, counted in recount(program).items():
        for core, amount in enumerate(counted):
            if amount > program.usage[core][resource]:
                found.append(Violation(f"{resource} as stated", f"core {core}", int(amount),
                                       program.usage[core][resource]))
    per_chip = np.bincount(program.arrays.core_chip, minlength=1)
    for chip, used in enumerate(per_chip):
        if used > target.need("cores"):
            found.append(Violation("cores", f"chip {chip}", int(used), target.need("cores"), "cores"))
    return tuple(found)


def recount(program: LoihiProgram) -> dict[str, NDArray[np.int64]]:
    """Resource -> what each core's memory really holds, from the arrays alone."""
    a = program.arrays
    n_inputs = sum(s.n for s in program.inputs)
    fan_out = np.diff(a.out_ptr)[n_inputs:][a.source_id - n_inputs]
    table = np.stack([a.du, a.dv, a.vth, a.reset_by])
    bounds = list(zip(a.neuron_ptr[:-1], a.neuron_ptr[1:], strict=True))
    return {
        "neurons": np.diff(a.neuron_ptr), "axons_in": np.diff(a.axon_ptr),
        "axons_out": np.array([fan_out[lo:hi].sum() for lo, hi in bounds], np.int64),
        "groups": np.array([np.unique(table[:, lo:hi], axis=1).shape[1] for lo, hi in bounds], np.int64),
    }


def summary(program: LoihiProgram, target: Target) -> dict[str, Usage]:
    """Cores of all chips, and of each per-core resource the fullest core."""
    table = {"cores": Usage(program.n_cores, target.need("cores") * program.chips, "cores")}
    for resource, limit in limits(target).items():
        fullest = max((u[resource] for u in program.usage), default=0)
        table[f"{resource} (fullest core)"] = Usage(fullest, limit, target.limits[resource].unit)
    return table
