"""The SFQ mapper: a network in the numbers of pulse logic -> a netlist of cells, and the times of its frames.

Nothing is set by hand: every population is made in numbers first (lines, slots, widths of counters), then the times at
which they are read follow from who listens to whom, and the frame is as short as the slowest allows. Everything is
checked at the end: when pulses can come, at every cell (hwsdk.mappers.sfq_timing), and what they are worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import FitError, InternalError, UnsupportedError, Violation
from hwsdk.ir.expand import meetings
from hwsdk.ir.ledger import Ledger, LedgerWriter
from hwsdk.ir.mapping import Usage
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.nodes import ConvSynapses, Output, Synapses
from hwsdk.mappers import pulse_rules
from hwsdk.mappers.quantize_gap import BIAS_SPREAD
from hwsdk.mappers.quantize_loop import LoopDesign
from hwsdk.mappers.sfq_build import PARTS, WIRES
from hwsdk.mappers.sfq_frame import Assembly, Frame
from hwsdk.mappers.sfq_timing import Timing, figures, timings
from hwsdk.programs.sfq import STYLES, Layer, PulseNetlist, Schedule
from hwsdk.programs.stored import Port
from hwsdk.targets.sfq import SfqTarget

WEIGHTS = ("auto", "train", "binary")
MARGIN_S = 1e-12
"""Distance of pulses beyond what cells need, chosen: twenty times the thermal jitter of a JTL (51 fs, JoSIM, 4.2 K)."""
SPREAD = BIAS_SPREAD
"""Share by which all bias currents may change together, if nothing else is asked for."""
Problem = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class MapOptions:
    """styles: population -> one of STYLES. weights: of counters, one of WEIGHTS. wires: "abut" or "ptl", a transmitter
    and a receiver on every net that no JTL drives. margin_s: between pulses, beyond what the cells need; spread: share
    by which all bias currents may change together and the netlist still works. frame_s: of a
    frame; None: the shortest. max_steps: for which counters must be wide enough. max_synapses: that convolutions may
    have when they are written out. designs: parts of populations of style "loop".
    """

    styles: Mapping[str, str]
    weights: str = "auto"
    wires: str = "abut"
    margin_s: float = MARGIN_S
    spread: float = SPREAD
    frame_s: float | None = None
    max_steps: int = 1024
    max_synapses: int = 4_000_000
    designs: Mapping[str, LoopDesign] | None = None


def map_network(network: Network, target: SfqTarget, options: MapOptions, *, model_digest: str = "", losses: str = "",
                progress: Callable[[str], None] | None = None) -> PulseNetlist:
    """Make a netlist of a network whose populations are DiscreteLIF in the chip's numbers.

    Raises:
        UnsupportedError: what pulse logic cannot do exactly. FitError: a frame that is too short.
    """
    say = progress or (lambda _: None)
    say("check the form")
    require(network, options)
    say("lines and counters")
    types = {name: target.cell(name) for name in target.cell_names}
    assembly = Assembly(network, target, types, options.wires, round(options.margin_s * 1e15), options.spread)
    assembly.prepare(options.styles, options.weights, options.max_steps, options.designs or {})
    frame = assembly.frame()
    _require_frame(network, options, frame)
    say("cells and nets")
    types_in_use, arrays = assembly.finish(frame)
    length = frame.least_fs if options.frame_s is None else round(options.frame_s * 1e15)
    program = PulseNetlist(
        network.name, target.name, target.version, target.digest(), model_digest or network.digest(),
        tuple(Port(n, i.shape) for n, i in network.inputs.items()),
        tuple(Layer(n, p.shape, options.styles[n], frame.read_fs[n], network.lag.get(n, 0),
                    bool(p.decay_v.any())) for n, p in network.populations.items() if isinstance(p, DiscreteLIF)),
        outputs_of(network), types_in_use, tuple(assembly.builder.groups), PARTS, arrays=arrays,
        schedule=Schedule(length, 0, 0, frame.input_fs, assembly.max_steps(options.max_steps)),
        semantics=network.semantics, wires=options.wires, losses=losses, timing={
            **frame.parts, "least frame": frame.least_fs, "least frame at nominal bias": frame.nominal_fs})
    say("timing")
    return _timed(program, network.ledger, options.spread)


def outputs_of(network: Network) -> dict[str, tuple[str, ...]]:
    """Output name -> populations that it reads."""
    return {n: tuple(e.source for e in network.sources(n) if e.source in network.populations)
            for n in network.of(Output)}


def _timed(program: PulseNetlist, ledger: Ledger, spread: float) -> PulseNetlist:
    """With the time before the first frame, the figures of the timing check, and what it warns of.

    Raises:
        InternalError: pulses too close at the nominal bias.
    """
    found = timings(program, spread)
    for t in found:
        if t.bias == 1 and t.faults:
            raise InternalError(f"{program.name}: {len(t.faults)} timing fault(s); {t.faults[0]}")
    log = LedgerWriter()
    _tell_corners(log, found)
    start = -(-max(t.last_fs for t in found if t.once) // 1000) * 1000
    return replace(program, schedule=replace(program.schedule, start_fs=start), ledger=ledger + log.done(),
                   timing={**program.timing, **figures(found)})


def _tell_corners(log: LedgerWriter, found: list[Timing]) -> None:
    """Where the netlist would fail."""
    for bias in sorted({t.bias for t in found if t.bias != 1}):
        faults = [f for t in found if t.bias == bias for f in t.faults]
        if faults:
            log.warning("", "BIAS_MARGIN", f"with all bias currents x {bias:g} pulses come too close at "
                        f"{len(faults)} place(s), first {faults[0]}; a larger margin helps (margin=PS)")


def require(network: Network, options: MapOptions) -> None:
    """What this mapper cannot make.

    Raises:
        UnsupportedError: all that is wrong in one message; the code is that of the first.
    """
    for what, known in (("weights", WEIGHTS), ("wires", WIRES)):
        if getattr(options, what) not in known:
            raise UnsupportedError(f"{what} {getattr(options, what)!r}", code="BAD_OPTION",
                                   fix=f"use one of {', '.join(known)}")
    lacking = [n for n in network.populations if options.styles.get(n) not in STYLES]
    if lacking:
        raise UnsupportedError("no style is chosen", where=lacking[0], code="BAD_OPTION",
                               fix=f"give one of {', '.join(STYLES)} for every population")
    pulse_rules.refuse([*_form(network), *_too_many(network, options), *_trains(network, options)])
    pulse_rules.require(network, options.styles)
    pulse_rules.refuse([p for n, cell in network.populations.items() if isinstance(cell, DiscreteLIF)
                        for p in _counter(network, n, cell) if options.styles[n] == "counter"]
                       + [p for n in network.populations if options.styles[n] == "loop" for p in _loop(n, options)])


def _form(network: Network) -> list[Problem]:
    """Every projection joins one sender and one population; nothing but projections takes time."""
    found: list[Problem] = []
    for name, node in network.nodes.items():
        into = network.sources(name)
        if late := [e.source for e in into if e.delay_ticks]:
            found.append(("NETWORK_FORM", name, f"the edge from {late[0]} has a delay of its own, limit 0 frames",
                          "give the delay to the synapses"))
        if isinstance(node, Synapses | ConvSynapses):
            ends = len(into), len(network.targets(name))
            if ends != (1, 1) or network.targets(name)[0].target not in network.populations:
                found.append(("NETWORK_FORM", name, f"a projection with {ends[0]} sources and {ends[1]} targets, which "
                              "must be one each, the target a population",
                              "make one projection for each pair of populations"))
        elif name in network.populations and any(
                not isinstance(network.nodes[e.source], Synapses | ConvSynapses) for e in into):
            found.append(("NETWORK_FORM", name, f"{into[0].source} feeds it directly", "connect them with a weight"))
    return found


def _too_many(network: Network, options: MapOptions) -> list[Problem]:
    """Convolutions are written out."""
    found: list[Problem] = []
    for name, node in network.of(ConvSynapses).items():
        if isinstance(node, ConvSynapses):
            n = int((meetings(node) * (node.weight != 0).sum(axis=(0, 1))).sum())
            if n > options.max_synapses:
                found.append(("TOO_LARGE", name, f"{n:,} synapses when it is written out, limit "
                              f"{options.max_synapses:,}", "use a smaller input or fewer channels"))
    return found


LONGEST_TRAIN = 1023
"""Pulses, chosen: what the timing check follows grows with the square, and is 8 MB a line here."""


def _trains(network: Network, options: MapOptions) -> list[Problem]:
    """Trains have a pulse for each unit of a weight."""
    found: list[Problem] = []
    for name in network.populations:
        for edge in network.sources(name):
            node = network.nodes[edge.source]
            if not isinstance(node, Synapses | ConvSynapses) or options.styles[name] != "counter":
                continue
            most = float(np.abs(node.weight).max(initial=0))
            if options.weights == "train" and most > LONGEST_TRAIN:
                found.append(("TRAIN_TOO_LONG", edge.source, f"a weight of {most:,.0f} would be a train of as many "
                              f"pulses, limit {LONGEST_TRAIN:,}", "use weights=binary, or fewer weight bits"))
    return found


def _counter(network: Network, name: str, cell: DiscreteLIF) -> list[Problem]:
    """A counter holds whole numbers, and fires at its threshold."""
    found: list[Problem] = []
    fix = "quantise the network first, or call hwsdk.compile"
    if cell.comparison != ">=":
        found.append(("COUNTER_COMPARISON", name, f"a spike at v {cell.comparison} threshold; a counter has v >= "
                      "threshold", fix))
    values = {"bias": cell.bias, "v_threshold": cell.v_threshold}
    if not pulse_rules.memoryless(cell):
        values |= {"v_init": cell.v_init} | ({"reset_by": cell.reset_by} if cell.reset == "subtract" else {})
    for edge in network.sources(name):
        node = network.nodes[edge.source]
        if isinstance(node, Synapses | ConvSynapses):
            values[f"weight of {edge.source}"] = np.asarray(node.weight, np.float64)
    for what, value in values.items():
        if not _whole(value):
            odd = value[~(np.isfinite(value) & (value == np.rint(value)) & (np.abs(value) < LARGEST))]
            found.append(("COUNTER_INTEGER", name, f"{what} {float(odd.ravel()[0]):g}; a counter needs whole numbers, "
                          f"limit {LARGEST:,}", fix))
    return found


LARGEST = 1 << 40
"""Of the numbers of a counter; it is far above what pays, and keeps all sums exact."""


def _whole(value: NDArray[np.float64]) -> bool:
    return bool((np.isfinite(value) & (value == np.rint(value)) & (np.abs(value) < LARGEST)).all())


def _loop(name: str, options: MapOptions) -> list[Problem]:
    """Loops come with their parts, and leak by time."""
    found: list[Problem] = []
    if name not in (options.designs or {}):
        found.append(("LOOP_DESIGN", name, "style loop, and no parts for it", "quantise it with QuantizePulse"))
    if options.frame_s is None:
        found.append(("FRAME_NEEDED", name, "a loop leaks by time, and the time of a frame is not chosen",
                      "give the frame (frame=PS) that it was quantised for"))
    return found


def _require_frame(network: Network, options: MapOptions, frame: Frame) -> None:
    """Everything must be done before the next frame."""
    if options.frame_s is not None and round(options.frame_s * 1e15) < frame.nominal_fs:
        raise FitError(f"{network.name} does not fit its frame", violations=(
            Violation("frame", f"a frame, for {frame.slowest}", -(-frame.nominal_fs // 1000),
                      round(options.frame_s * 1e12), "ps"),), hint="choose a longer frame (frame=PS)")


def summary(program: PulseNetlist, target: SfqTarget) -> dict[str, Usage]:
    """Junctions, bias current and pins of what a chip has; cells by role and area."""
    cells: dict[str, int] = {}
    counts, bias_a, area = program.type_counts, 0.0, 0.0
    for t in program.types:
        cells[t.role] = cells.get(t.role, 0) + counts[t.name]
        bias_a += counts[t.name] * np.nan_to_num(t.bias_a)
        area += counts[t.name] * np.nan_to_num(t.area_m2)
    bias_a += float(program.arrays.soma_bias_a.sum())
    a = program.arrays
    pins = len(a.input_source) + len(a.frame_source) + len(a.init_source) + counts.get("SFQDC", 0)
    return {"junctions": Usage(program.junctions, target.limit("junctions"), "JJ"),
            "bias": Usage(int(np.ceil(bias_a * 1e3)), None, "mA"),
            "pins": Usage(pins, None, "pins"),
            "area": Usage(int(np.ceil(area * 1e12)), None, "um2 of cells of known area"),
            **{f"{role} cells": Usage(n, None, "cells") for role, n in sorted(cells.items())}}


ENFORCED = ("junctions",)
"""Limits that refuse a netlist. Bias current and pins have remedies outside of it: recycling, and converters."""


def legality(program: PulseNetlist, target: SfqTarget) -> tuple[Violation, ...]:
    """Limits of one chip that the netlist breaks, of those that are enforced; ``summary`` tells of the others."""
    used = summary(program, target)
    return tuple(Violation(name, program.name, u.used, u.available, u.unit) for name, u in used.items()
                 if name in ENFORCED and u.available is not None and u.used > u.available)
