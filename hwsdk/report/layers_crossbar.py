"""What of a crossbar run belongs to which population: that whose input a block adds to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hwsdk.ir.trace import Trace
from hwsdk.programs.crossbar import Block, CrossbarProgram
from hwsdk.report.layers import COUNTED, LayerInfo, Share, share
from hwsdk.targets import Target

Floats = NDArray[np.float64]
BY_BLOCKS = "blocks driven by populations counted; the rest by size of the blocks that inputs drive"
PER_READ = ("reads", "conversions", "column_reads", "adds")


def layers(program: CrossbarProgram) -> tuple[LayerInfo, ...]:
    """Its populations."""
    return tuple(LayerInfo(p.name, p.n, bool(p.cell.fires)) for p in program.populations)


def rows(program: CrossbarProgram) -> tuple[str, ...]:
    """Populations."""
    return tuple(p.name for p in program.populations)


def from_populations(program: CrossbarProgram, block: Block) -> bool:
    """Do only populations drive it, so that a trace tells when?"""
    names = {p.name for p in program.populations}
    return all(s.source in names for s in block.segments)


def phases(block: Block) -> int:
    """Phases of the multiplexer in a read; its rows are driven anew in each."""
    return len(np.unique(block.phase))


def drives(program: CrossbarProgram, trace: Trace, block: Block, source: str | None = None) -> Floats:
    """(uses, samples x steps): rows of a block that spikes of populations, or of one of them, drive."""
    out = np.zeros((block.uses, trace.n_samples * trace.n_steps))
    first = 0
    names = {p.name for p in program.populations}
    for segment in block.segments:
        rows_ = block.row_source[:, first : first + segment.rows]
        first += segment.rows
        if segment.source not in names or source not in (None, segment.source):
            continue
        events = trace.spikes[segment.source]
        step = events.step.astype(np.int64) + segment.delay_ticks
        cell, keep = events.sample.astype(np.int64) * trace.n_steps + step, step < trace.n_steps
        driven = csr_array((np.ones(int(keep.sum())), (events.index[keep], cell[keep])), (events.n, out.shape[1]))
        use, row = np.nonzero(rows_ >= 0)
        wired = csr_array((np.ones(len(use)), (use, rows_[use, row])), (block.uses, events.n))
        out += (wired @ driven).toarray()
    return out


def reads(program: CrossbarProgram, trace: Trace) -> tuple[Floats, bool]:
    """((blocks,): reads of each block in all samples; do they add up without a guess?)."""
    found = np.zeros(len(program.blocks))
    open_ = [k for k, b in enumerate(program.blocks) if not from_populations(program, b)]
    for k, block in enumerate(program.blocks):
        if k not in open_:
            found[k] = float((drives(program, trace, block) > 0).sum())
    rest = float(trace.counts["reads"].sum()) - float(found.sum())
    weights = np.array([program.blocks[k].uses for k in open_], np.float64)
    if open_:
        found[open_] = max(rest, 0.0) * weights / weights.sum()
    return found, len(open_) <= 1


def of_target(program: CrossbarProgram, each: Floats) -> Floats:
    """(populations,): sums over the blocks of each."""
    names = rows(program)
    at = [names.index(b.target) for b in program.blocks]
    return np.bincount(at, weights=each, minlength=len(names)).astype(np.float64)


def row_drives(program: CrossbarProgram, trace: Trace) -> Floats:
    """(blocks,): rows x phases of each block in all samples; those of inputs by the rows that they have."""
    found = np.array([drives(program, trace, b).sum() * phases(b) for b in program.blocks])
    names = {p.name for p in program.populations}
    weights = np.array([float(b.uses * phases(b) * sum(s.rows for s in b.segments if s.source not in names))
                        for b in program.blocks])
    rest = float(trace.counts["row_drives"].sum()) - float(found.sum())
    return found + (max(rest, 0.0) * weights / weights.sum() if weights.any() else 0.0)


def shares(program: CrossbarProgram, trace: Trace, target: Target) -> Mapping[str, Share]:
    """Count -> events by population."""
    counts = {n: float(v.sum()) for n, v in trace.counts.items()}
    updates = [p.n * trace.n_steps * trace.n_samples for p in program.populations]
    spikes = [float(len(trace.spikes[p.name])) * bool(p.cell.fires) for p in program.populations]
    found = {"neuron_updates": share(updates, counts["neuron_updates"], "by neurons"),
             "spikes": share(spikes, counts["spikes"], "by spikes")}
    names = {p.name for p in program.populations}
    alone = sum(any(s.source not in names for s in b.segments) for b in program.blocks) <= 1
    found["row_drives"] = Share(of_target(program, row_drives(program, trace)), COUNTED if alone else BY_BLOCKS)
    if "reads" not in counts:
        return found
    read, exact = reads(program, trace)
    each = {"reads": np.ones(len(read)), "conversions": np.array([float(b.channels) for b in program.blocks]),
            "column_reads": np.array([float(b.columns) for b in program.blocks]),
            "adds": np.array([float((b.entry_out >= 0).sum()) / b.uses for b in program.blocks])}
    for name in PER_READ:
        own = share(of_target(program, read * each[name]), counts[name], BY_BLOCKS)
        found[name] = own if exact else Share(own.events, BY_BLOCKS)
    return found
