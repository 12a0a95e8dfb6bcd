"""The SpiNNaker 2 mapper: a network in single precision -> partition -> PEs -> keys, places, routes -> program.

Nothing is set by hand: slices are the largest that fit a PE's memory and its tick. Everything that is emitted is held
against the network at the end, synapse by synapse (hwsdk.mappers.spinnaker_check).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import FitError, InternalError, UnsupportedError, Violation
from hwsdk.ir.ledger import Ledger, LedgerWriter
from hwsdk.ir.mapping import Usage
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron, is_spiking
from hwsdk.ir.nodes import Output
from hwsdk.ir.recurrent import EGRU
from hwsdk.mappers.objective import Search
from hwsdk.mappers.phases import Phases
from hwsdk.mappers.spinnaker_assemble import Parts, arrays
from hwsdk.mappers.spinnaker_check import check
from hwsdk.mappers.spinnaker_cut import Cutter, Partition, widest_share
from hwsdk.mappers.spinnaker_learned import learned_of
from hwsdk.mappers.spinnaker_load import Activity, Limits
from hwsdk.mappers.spinnaker_pack import Pes, Predicted, alone, high_from, merged, predicted, side_by_side
from hwsdk.mappers.spinnaker_place import trees
from hwsdk.mappers.spinnaker_rows import Layout, heard_of
from hwsdk.mappers.spinnaker_spread import evened
from hwsdk.mappers.spinnaker_tiles import most_boxes
from hwsdk.mappers.spinnaker_wires import n_of, wiring
from hwsdk.programs.spinnaker import LEVELS, SYNC, Machine, Sender, SpinnakerArrays, SpinnakerProgram
from hwsdk.programs.spinnaker_decode import header
from hwsdk.targets.spinnaker import SpinnakerTarget

PACKINGS = ("layer", "dense", "spread")
RECORDS = ("outputs", "all", "none")
Rates = Mapping[str, "NDArray[np.float64] | float"]
MARGINS = 4
"""Times that the partition is made anew with less room where an image came out larger than counted."""


@dataclass(frozen=True, slots=True)
class MapOptions:
    """chips: at hand. packing: "layer": a PE for each slice; "dense": small slices together; "spread": every
    population on all PEs. seed, effort, time_budget: of the placement, see hwsdk.mappers.objective.Search. sync,
    tick_s, level: see SpinnakerProgram; tick_s is the length of a phase tick. activity: spikes of the busiest tick, by
    sender; None: nothing is known, see hwsdk.mappers.spinnaker_cut. record: whose spikes the PEs keep for the host.
    """

    chips: int = 1
    packing: str = "layer"
    seed: int = 0
    effort: str = "fast"
    time_budget: float | None = None
    sync: str = "timer"
    tick_s: float = 1e-3
    level: str = "auto"
    activity: Rates | None = None
    record: str = "outputs"


def map_network(network: Network, target: SpinnakerTarget, phases: Phases, options: MapOptions, *,
                model_digest: str = "", losses: str = "", progress: Callable[[str], None] | None = None,
                ) -> SpinnakerProgram:
    """Place a network on SpiNNaker 2 chips.

    Args:
        network: is_single, or of EGRU populations; phases: of its steps.

    Raises:
        UnsupportedError: a synapse, period or option that the chip does not have.
        FitError: it needs more than there is; every broken limit is listed.
    """
    say, start = progress or (lambda _: None), time.monotonic()
    _require(network, options)
    limits = limits_of(target, options, phases)
    search = Search(options.seed, options.effort, options.time_budget, start)
    for _ in range(MARGINS):
        made = _made(network, target, options, limits, search, say)
        over = max(int(u["bytes"]) for u in made.used) - target.data_bytes
        if over <= 0:
            break
        if options.packing == "spread":
            raise _too_full(network, target, made)
        limits = replace(limits, data_bytes=limits.data_bytes - over)
    else:
        raise InternalError("the images of PEs stay larger than their memory")
    program = SpinnakerProgram(
        network.name, target.name, target.version, target.digest(), model_digest or network.digest(),
        tuple(Sender(n, i.shape) for n, i in network.inputs.items()), _populations(network, phases),
        _outputs(network), made.arrays, _machine(target), network.semantics, options.sync,
        options.tick_s if options.sync == "timer" else 0.0, phases.count, options.level, target.data_bytes, made.used,
        network.ledger + made.notes, losses, learned_of(network))
    say("check")
    check(network, program)
    return program


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """The parts of a program that the mapper finds."""

    arrays: SpinnakerArrays
    used: tuple[dict[str, int], ...]
    notes: Ledger


def _made(network: Network, target: SpinnakerTarget, options: MapOptions, limits: Limits, search: Search,
          say: Callable[[str], None]) -> _Made:
    """Partition, emit, place and route."""
    say("partition")
    activity, log = activity_of(network, options), LedgerWriter()
    found, pes = _fit(network, target, limits, activity, options)
    layout = Layout(found.wiring, found.cuts, pes)
    say("emit")
    heard = heard_of(layout)
    load = predicted(layout, heard, limits, activity)
    _require_time(layout, limits, load)
    _tell_share(log, options, limits, load)
    _tell_fifo(log, options, target.need("fifo"), load)
    low = limits.tick_cycles * target.clock_hz("low") / target.clock_hz("low" if options.level == "low" else "high")
    parts = Parts(layout, heard, limits.phases, activity, high_from(layout, heard, limits, low, activity.records))
    made, used, cut_short = arrays(parts, target, options.chips, search, say)
    if cut_short:
        log.warning("", "SEARCH_CUT_SHORT", f"the search for a placement was stopped after {options.time_budget:g} s; "
                    "another run may find another one")
    busy = load.fixed + load.more
    busy = np.minimum(busy, limits.tick_cycles) if options.activity is None else busy
    return _Made(made, tuple(u | {"cycles": round(c)} for u, c in zip(used, busy.tolist(), strict=True)), log.done())


def limits_of(target: SpinnakerTarget, options: MapOptions, phases: Phases) -> Limits:
    """What a PE has, for one phase tick at the highest level that is allowed; a packet must arrive within the tick."""
    clock = target.clock_hz("low" if options.level == "low" else "high")
    time_s = max(options.tick_s - packet_way_s(target, options.chips), 0.0) if options.sync == "timer" else np.inf
    return Limits(target.data_bytes, time_s * clock, target.need("atoms_wide"), target.cycle_costs(), phases)


def packet_way_s(target: SpinnakerTarget, chips: int) -> float:
    """Seconds that the longest way of a packet takes over so many chips of a board."""
    far = int(trees([(int(x), int(y)) for x, y in target.board.chips[:chips]]).distance.max())
    hops = max(target.router_hops(c) for c in range(1, target.need("pes") + 1))
    return 2 * hops * target.hop_s + target.router_s + far * (target.link_s + target.router_s)


def activity_of(network: Network, options: MapOptions) -> Activity:
    """Expected spikes of the busiest tick: as given, 1 where nothing is said.

    Raises:
        UnsupportedError: BAD_ACTIVITY, an activity that does not suit its population.
    """
    rates = {}
    given = dict(options.activity or {})
    if unknown := sorted(set(given) - {*network.inputs, *network.populations, *network.outputs}):
        raise UnsupportedError(f"an activity of {', '.join(unknown[:4])}, which the network does not have",
                               code="BAD_ACTIVITY", fix=f"use {', '.join([*network.inputs, *network.populations][:8])}")
    for name in (*network.inputs, *network.populations):
        rates[name] = _rate(name, n_of(network, name), given.get(name, 1.0))
    return Activity(rates, _recorded(network, options))


def _rate(name: str, n: int, given: object) -> NDArray[np.float64]:
    """Spikes a tick of each of n elements."""
    try:
        rate = np.asarray(given, np.float64).ravel()
    except (TypeError, ValueError):
        rate = np.full(1, np.nan)
    if len(rate) in (1, n) and np.isfinite(rate).all() and (rate >= 0).all():
        return np.broadcast_to(rate, n)
    what = f"an activity of {len(rate)} numbers for {n} neurons" if len(rate) not in (1, n) else \
        "an activity that is not a number of 0 or more"
    raise UnsupportedError(what, where=name, code="BAD_ACTIVITY", fix="give one number, or one a neuron, 0 or more")


def _recorded(network: Network, options: MapOptions) -> frozenset[str]:
    """Populations whose spikes the PEs keep."""
    spiking = {n for n, p in network.populations.items() if is_spiking(p)}
    read = {n for names in _outputs(network).values() for n in names}
    return frozenset({"all": spiking, "outputs": spiking & read, "none": set()}[options.record])


def _require(network: Network, options: MapOptions) -> None:
    """Options and forms that this mapper does not know."""
    for what, known in (("packing", PACKINGS), ("sync", SYNC), ("level", LEVELS), ("record", RECORDS)):
        if getattr(options, what) not in known:
            raise UnsupportedError(f"{what} {getattr(options, what)!r}", code=f"BAD_{what.upper()}",
                                   fix=f"use one of {', '.join(known)}")
    egru = [isinstance(p, EGRU) for p in network.populations.values()]
    if not network.is_single and not (egru and all(egru)):
        raise UnsupportedError("the mapper takes networks in single precision", code="NOT_SINGLE",
                               fix="quantise it first, or call hwsdk.compile")


def _fit(network: Network, target: SpinnakerTarget, limits: Limits, activity: Activity, options: MapOptions,
         ) -> tuple[Partition, Pes]:
    """Slices and PEs that are there.

    Raises:
        FitError: more PEs than there are.
    """
    wires = wiring(network)
    available = target.need("application_pes") * options.chips
    cutter = Cutter.of(wires, limits)
    if options.packing == "spread":
        found, pes = _spread(network, cutter, activity, available)
        if len(pes) > available:
            raise _too_many(network, target, options, found, len(pes))
        return found, pes

    def pes_of(p: Partition) -> Pes:
        if options.packing == "dense":
            return merged(p.wiring, p.cuts, limits, activity.times(p.share))
        return alone(p.cuts)

    if options.activity is not None or limits.tick_cycles == np.inf:
        found = cutter.partition(activity)
    else:
        found = widest_share(cutter, activity, lambda p: len(pes_of(p)) <= available) or \
            cutter.partition(activity.times(0.0))
    pes = pes_of(found)
    if len(pes) > available:
        raise _too_many(network, target, options, found, len(pes))
    return found, pes


def _spread(network: Network, cutter: Cutter, activity: Activity, available: int) -> tuple[Partition, Pes]:
    """Every population in as many slices as there are PEs beside those of the inputs."""
    quiet = activity.times(0.0) if cutter.limits.tick_cycles < np.inf else activity
    sources = sum(len(c.index) for n, c in cutter.partition(quiet).cuts.items() if n in network.inputs)
    room = max(available - sources, 1)
    parts = {n: most_boxes(cutter.wiring.grids[n], room) if n in cutter.wiring.grids else min(p.n, room)
             for n, p in network.populations.items()}
    found = evened(replace(cutter, parts=parts).partition(quiet), parts)
    pes = side_by_side(network, found.cuts)
    for own in pes:
        n, names = sum(len(found.cuts[name].index[k]) for name, k in own), tuple(name for name, _ in own)
        if n > cutter.limits.neurons:
            raise FitError(f"{network.name} does not fit the PEs when it is spread over them", violations=(
                Violation("atoms_wide", f"a PE with parts of {_some(names)}", n, cutter.limits.neurons, "neurons"),))
        for name in names:
            if name in network.populations and n > found.wiring.widest(name):
                found = replace(found, wiring=found.wiring.with_wide(name))
    return found, pes


def _too_full(network: Network, target: SpinnakerTarget, made: _Made) -> FitError:
    """The fullest PE of a network that is spread."""
    pe = max(range(len(made.used)), key=lambda k: made.used[k]["bytes"])
    senders, a = (*network.inputs, *network.populations), made.arrays
    names = tuple(senders[s] for s in a.slice_sender[a.slice_ptr[pe] : a.slice_ptr[pe + 1]])
    return FitError(f"{network.name} does not fit the PEs when it is spread over them", violations=(
        Violation("pe_bytes", f"a PE with parts of {_some(names)}", made.used[pe]["bytes"], target.data_bytes,
                  "bytes"),))


def _require_time(layout: Layout, limits: Limits, load: Predicted) -> None:
    """A tick in which nothing spikes is worked off in time."""
    pe = int(np.argmax(load.fixed))
    if load.fixed[pe] > limits.tick_cycles:
        names = tuple(dict.fromkeys(n for n, _ in layout.pes[pe]))
        raise FitError(f"{layout.wiring.network.name} does not fit the tick of a PE", violations=(
            Violation("tick_cycles", f"a PE with parts of {_some(names)}, no spike", ceil(load.fixed[pe]),
                      int(limits.tick_cycles), "cycles"),))


def _some(names: tuple[str, ...]) -> str:
    """The first few of some names."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _too_many(network: Network, target: SpinnakerTarget, options: MapOptions, found: Partition, need: int) -> FitError:
    """Which population takes the PEs."""
    name = max(found.cuts, key=lambda n: len(found.cuts[n].index))
    limit, most = target.need("application_pes") * options.chips, len(found.cuts[name].index)
    where = f"whole network; {name} alone takes {most}" if most > 1 else \
        f"whole network, {len(found.cuts)} populations and inputs with at least one each"
    return FitError(f"{network.name} does not fit {options.chips} chip(s) of {target.name}", violations=(
        Violation("application_pes", where, need, limit, "PEs"),))


def _tell_share(log: LedgerWriter, options: MapOptions, limits: Limits, load: Predicted) -> None:
    """Up to which activity no PE overruns its tick."""
    if options.sync != "timer":
        return
    share = _share(limits.tick_cycles - load.fixed, load.more)
    known, tick = options.activity is not None, f"its tick of {options.tick_s:g} s"
    if share >= 1:
        what, busiest = "the expected activity" if known else "all neurons spiking", (load.fixed + load.more).max()
        log.read("", "TICK_HELD", f"no PE overruns {tick} at {what}; the busiest takes "
                 f"{float(busiest) / limits.tick_cycles:.0%} of it")
    else:
        what = "the expected activity comes" if known else "the neurons spike"
        log.warning("", "TICK_SHARE", f"no PE overruns {tick} while at most {_percent(share)} of {what} in a tick, "
                    "spread evenly")


def _tell_fifo(log: LedgerWriter, options: MapOptions, length: int, load: Predicted) -> None:
    """Up to which activity the packets of a tick find room even if all of them come at once."""
    share = _share(np.full(len(load.packets), float(length)), load.packets)
    if share < 1:
        tell = log.read if options.activity is None else log.warning
        tell("", "FIFO_SHARE", f"a PE keeps {length:,} packets that wait and drops what comes beyond; there is room "
             f"for sure while at most {_percent(share)} of "
             f"{'the neurons spike' if options.activity is None else 'the expected activity comes'} in a tick")


def _percent(share: float) -> str:
    """Rounded down to a tenth of a percent."""
    return f"{floor(share * 1000) / 10:.1f}%"


def _share(room: NDArray[np.float64], need: NDArray[np.float64]) -> float:
    """The largest factor with which the need of every PE finds room."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.where(need > 0, room / need, np.inf).min(initial=np.inf))


def _machine(target: SpinnakerTarget) -> Machine:
    """What of the chip the simulator needs."""
    return Machine(target.clock_hz("low"), target.clock_hz("high"), target.cycle_costs(), target.need("fifo"),
                   target.hop_s, target.router_s, target.link_s)


def _populations(network: Network, phases: Phases) -> tuple[Sender, ...]:
    """Populations as senders."""
    return tuple(Sender(n, p.shape, "egru" if isinstance(p, EGRU) else "lif", is_spiking(p), network.lag.get(n, 0),
                        phases.of.get(n, 0)) for n, p in network.populations.items())


def _outputs(network: Network) -> dict[str, tuple[str, ...]]:
    """Output name -> the populations that it reads."""
    return {n: tuple(e.source for e in network.sources(n) if isinstance(network.nodes[e.source], Neuron))
            for n in network.of(Output)}


def summary(program: SpinnakerProgram, target: SpinnakerTarget) -> dict[str, Usage]:
    """Chips, PEs and router entries, and of each resource of a PE the fullest."""
    a = program.arrays
    per_chip = np.bincount(a.pe_chip, minlength=program.chips)
    clock = program.machine.low_hz if program.level == "low" else program.machine.high_hz
    tick = round(program.tick_s * clock) if program.sync == "timer" else None
    most = {k: max((u[k] for u in program.usage), default=0) for k in ("bytes", "neurons", "cycles")}
    return {
        "PEs": Usage(program.n_pes, target.need("application_pes") * program.chips, "PEs"),
        "PEs (fullest chip)": Usage(int(per_chip.max()), target.need("application_pes"), "PEs"),
        "memory (fullest PE)": Usage(most["bytes"], program.data_bytes, "bytes"),
        "neurons (fullest PE)": Usage(most["neurons"], target.need("atoms_wide"), "neurons"),
        "tick (busiest PE, predicted)": Usage(most["cycles"], tick, "cycles"),
        "router entries (fullest chip)": Usage(int(np.diff(a.router_ptr).max()), target.need("router_entries"),
                                               "entries"),
    }


def legality(program: SpinnakerProgram, target: SpinnakerTarget) -> tuple[Violation, ...]:
    """Every limit of the target that the program breaks, counted from its images and tables; empty means legal."""
    found = []
    for pe in range(program.n_pes):
        head = header(program.image(pe))
        if head["needed"] > target.data_bytes:
            found.append(Violation("pe_bytes", f"PE {pe}", head["needed"], target.data_bytes, "bytes"))
        if head["neurons"] > target.need("atoms_wide"):
            found.append(Violation("atoms_wide", f"PE {pe}", head["neurons"], target.need("atoms_wide"), "neurons"))
    per_chip = np.bincount(program.arrays.pe_chip, minlength=program.chips)
    found += [Violation("application_pes", f"chip {c}", int(n), target.need("application_pes"), "PEs")
              for c, n in enumerate(per_chip) if n > target.need("application_pes")]
    found += [Violation("router_entries", f"chip {c}", int(n), target.need("router_entries"), "entries")
              for c, n in enumerate(np.diff(program.arrays.router_ptr)) if n > target.need("router_entries")]
    return tuple(found)
