"""The memristor mapper: a lowered network -> matrices -> tiles -> conductances -> places on macros -> program.

Every weight of the program is decoded again at the end and held against the network (hwsdk.mappers.memristor_check).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hwsdk.errors import FitError, UnsupportedError, Violation
from hwsdk.ir.crossbar import Physics
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.mapping import Usage
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import DiscreteLIF, Neuron
from hwsdk.ir.nodes import Conv, ConvSynapses, Linear, Output, Pool2d
from hwsdk.ir.plastic import PlasticSynapses
from hwsdk.mappers.maps import refuse_if_large
from hwsdk.mappers.memristor_build import Piece, Plan, blocks_of, pieces_of
from hwsdk.mappers.memristor_check import check, weights_of
from hwsdk.mappers.memristor_codes import largest
from hwsdk.mappers.memristor_options import MapOptions
from hwsdk.mappers.memristor_parts import TIMES, Budget, Part, refuse_many, too_many, way_out
from hwsdk.mappers.memristor_place import Place, Rates, check_rates, first_columns, packed
from hwsdk.mappers.memristor_range import with_full_scale, with_gains
from hwsdk.programs.crossbar import CrossbarProgram, Population
from hwsdk.programs.stored import Port
from hwsdk.targets.description import Target

PACKINGS = ("layer",)
"""See hwsdk.backends.base.CompileOptions; whether blocks share macros is an option of this mapper's own."""
__all__ = ["PACKINGS", "MapOptions", "check", "legality", "map_network", "refuse_too_large", "summary",
           "weights_of", "with_full_scale", "with_gains"]


def map_network(lowered: Network, target: Target, physics: Physics, options: MapOptions | None = None, *,
                model_digest: str = "", losses: str = "", progress: Callable[[str], None] | None = None,
                ) -> CrossbarProgram:
    """Write a network into crossbars.

    Args:
        lowered: DiscreteLIF populations and Synapses or ConvSynapses, as hwsdk.mappers.lower makes it. physics: of the
            arrays. losses: what earlier passes cost.

    Raises:
        UnsupportedError: a part or an option that crossbars do not have.
        FitError: more macros or columns than there are.
    """
    say, options = progress or (lambda _: None), options or MapOptions()
    _require(lowered, physics, options)
    macros = macros_of(target, options)
    plan = Plan.of(lowered, physics, options, _rates(lowered, options))
    refuse_many(lowered, plan.code, physics, options, macros)
    say("tiles")
    pieces = pieces_of(plan, Budget(lowered.name, physics.rows, physics.columns, macros, way_out(lowered, options),
                                    TIMES))
    say("place")
    places = packed([plan.size(x) for x in pieces], physics.rows, plan.slots, options.share)
    used, per_chip = 1 + max((p[0] for p in places), default=-1), _limit(target, "macros")
    if macros is not None and used > macros:
        raise _too_many(plan, macros, per_chip or 1, pieces, places)
    blocks, errors = blocks_of(plan, pieces, places)
    log = LedgerWriter()
    told = _tell(plan, pieces, errors, log)
    program = CrossbarProgram(
        lowered.name, target.name, target.version, target.digest(), model_digest or lowered.digest(),
        tuple(Port(n, i.shape) for n, i in lowered.inputs.items()), _populations(lowered), _outputs(lowered), used,
        1 if per_chip is None else max(1, -(-used // per_chip)), physics, blocks, lowered.semantics, None,
        lowered.ledger + log.done(), "\n".join(filter(None, [losses, *told])))
    say("check")
    check(lowered, program, options)
    return program


def _require(network: Network, physics: Physics, options: MapOptions) -> None:
    """Parts and options that crossbars do not have."""
    for name, cell in network.populations.items():
        if not isinstance(cell, DiscreteLIF):
            raise UnsupportedError(f"{type(cell).__name__} neurons; behind the crossbars are DiscreteLIF neurons in "
                                   "floats", where=name, code="NEURON_MODEL", fix="lower a network of IF, LIF, "
                                   "CubaLIF or Threshold neurons, or call hwsdk.compile")
    if learning := network.of(PlasticSynapses):
        raise UnsupportedError("weights that change while the network runs; cells keep what was written",
                               code="PLASTICITY", where=", ".join(learning),
                               fix="compile it for a target that learns (spinnaker2)")
    known = {*network.populations, *(f"{x}->{p}" for p in network.populations for x in _senders(network, p))}
    if unknown := [n for n in options.native if n not in known]:
        raise UnsupportedError(f"native {', '.join(unknown[:4])}, which is no population and no link",
                               code="BAD_NATIVE", fix=f"use {', '.join(sorted(known)[:8])}")
    if options.full_scale == "calibrated" and not options.activity and physics.has("adc") and physics.adc.bits:
        raise UnsupportedError("a calibrated range without an activity", code="NO_CALIBRATION",
                               fix="give activity=, or measure currents and use with_full_scale")


def _senders(network: Network, target: str) -> list[str]:
    """What feeds a population through its projections."""
    return [e.source for into in network.sources(target) for e in network.sources(into.source)]


def _rates(network: Network, options: MapOptions) -> Rates:
    """The given activity, checked."""
    sizes = {n: int(np.prod(i.shape, dtype=np.int64)) for n, i in network.inputs.items()}
    sizes |= {n: p.n for n, p in network.populations.items()}
    check_rates(options.activity, sizes)
    return dict(options.activity)


def macros_of(target: Target, options: MapOptions) -> int | None:
    """Macros at hand, None where there is no limit."""
    per_chip = _limit(target, "macros")
    return None if per_chip is None else per_chip * options.chips


def _limit(target: Target, name: str) -> int | None:
    """A limit of the description, None where it has none."""
    return target.limit(name) if name in target.limits else None


def refuse_too_large(network: Network, target: Target, physics: Physics, options: MapOptions) -> None:
    """The cheap questions about a model, before anything is built.

    Raises:
        FitError: more neurons than cells. UnsupportedError: TOO_LARGE.
    """
    budget = Budget(network.name, physics.rows, physics.columns, macros_of(target, options), way_out(network, options))
    shared = options.conv != "toeplitz" and bool(network.of(Conv, ConvSynapses, Pool2d))
    for name, cell in network.populations.items():
        if network.sources(name) and not shared:
            budget.take(name, cell.n)
        refuse_if_large(cell.n, f"the population {name}, with a synapse for each neuron,")
    for name, node in network.of(Linear).items():
        if isinstance(node, Linear):
            refuse_if_large(int(node.weight.size), f"the matrix {name}")


def _too_many(plan: Plan, macros: int, per_chip: int, pieces: Sequence[Piece], places: Sequence[Place]) -> FitError:
    """Which population takes the macros."""
    by: dict[str, set[int]] = {}
    for (part, _), place in zip(pieces, places, strict=True):
        by.setdefault(part.target, set()).add(place[0])
    need = len({p[0] for p in places})
    return too_many(plan.network.name, need, macros, {n: len(m) for n, m in by.items()},
                    way_out(plan.network, plan.options), -(-need // per_chip))


def _populations(network: Network) -> tuple[Population, ...]:
    """The digital neurons."""
    return tuple(Population(n, p, network.lag.get(n, 0)) for n, p in network.populations.items()
                 if isinstance(p, DiscreteLIF))


def _outputs(network: Network) -> dict[str, tuple[str, ...]]:
    """Output name -> the populations that it reads."""
    return {n: tuple(e.source for e in network.sources(n) if isinstance(network.nodes[e.source], Neuron))
            for n in network.of(Output)}


def _tell(plan: Plan, pieces: Sequence[Piece], errors: Sequence[float], log: LedgerWriter) -> list[str]:
    """What became of each part: in the ledger what it is, as text what it cost."""
    told = []
    for part in dict.fromkeys(p for p, _ in pieces):
        own = [tile for p, tile in pieces if p is part]
        if part.native:
            log.changed(part.target, "NATIVE", f"{len(part.values):,} weights of {part.name} on {len(own)} block(s) "
                        "are what the devices are: of the model stay the places of the synapses and the root mean "
                        "square of their weights")
            continue
        uses = len(own[0].row_source)
        how = f"{plan.code.encoding} cells" + (f", read {uses} times a step" if uses > 1 else "")
        log.changed(part.target, "CROSSBAR", f"{len(part.values):,} weights of {part.name} on {len(own)} block(s), "
                    f"{how}")
        told.append(_cost_text(plan, part, sum(e for (p, _), e in zip(pieces, errors, strict=True) if p is part)))
    return told


def _cost_text(plan: Plan, part: Part, error: float) -> str:
    """What clipping and levels took from the weights of a part. error: the sum of its squares."""
    top = largest(part.values, part.owner, part.owners, plan.options)[part.owner]
    size = np.abs(part.values)
    scale = float(size.max())
    whole = np.sqrt(((size / scale) ** 2).sum()) * scale
    over = size > top * (1 + 1e-12)
    lost = np.sqrt((((size - top)[over] / scale) ** 2).sum()) * scale
    levels = "any conductance" if plan.code.top is None else f"{plan.code.top} steps a side"
    return (f"{part.name}: {over.mean():.2%} of the weights clipped (error {lost / whole:.2%}), {levels} "
            f"(error with clipping {np.sqrt(error) / whole:.2%} of the root mean square)")


def summary(program: CrossbarProgram, target: Target) -> dict[str, Usage]:
    """Macros, cells and converters in use, and of rows, columns and reads the most that a macro has."""
    p, per_chip = program.physics, _limit(target, "macros")
    macros = None if per_chip is None else per_chip * program.chips
    converters = set[tuple[int, int]]()
    rows, columns = dict[int, set[int]](), dict[int, set[int]]()
    reads = dict[int, int]()
    for x in program.blocks:
        converters |= {(x.macro, int(c)) for c in np.unique(first_columns(x.channel, x.col_at) // p.mux)}
        rows.setdefault(x.macro, set()).update(x.row_at.tolist())
        columns.setdefault(x.macro, set()).update(x.col_at.tolist())
        reads[x.macro] = reads.get(x.macro, 0) + x.uses * len(np.unique(x.phase))
    cells = sum(x.target_s.size for x in program.blocks)
    n = program.macros
    return {
        "macros": Usage(n, macros, "macros"), "cells": Usage(cells, n * p.rows * p.columns, "cells"),
        "converters": Usage(len(converters), n * -(-p.columns // p.mux), "converters"),
        "rows (fullest macro)": Usage(max(map(len, rows.values()), default=0), p.rows, "rows"),
        "columns (fullest macro)": Usage(max(map(len, columns.values()), default=0), p.columns, "columns"),
        "reads a step": Usage(sum(x.uses for x in program.blocks), None, "reads"),
        "phases a step (busiest macro)": Usage(max(reads.values(), default=0), None, "phases"),
    }


def legality(program: CrossbarProgram, target: Target) -> tuple[Violation, ...]:
    """Every limit of the target that the program breaks; empty means legal."""
    p, per_chip = program.physics, _limit(target, "macros")
    found = list[Violation]()
    if per_chip is not None and program.macros > per_chip * program.chips:
        found.append(Violation("macros", "whole network", program.macros, per_chip * program.chips, "macros"))
    for x in program.blocks:
        for name, at, limit in (("rows", x.row_at, p.rows), ("columns", x.col_at, p.columns)):
            if len(at) and int(at.max()) >= limit:
                found.append(Violation(name, f"block {x.name}", int(at.max()) + 1, limit, name))
        if x.macro >= program.macros:
            found.append(Violation("macros", f"block {x.name}", x.macro + 1, program.macros, "macros"))
    return tuple(found)
