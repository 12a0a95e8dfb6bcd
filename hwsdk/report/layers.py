"""Which layer a cost belongs to: counted events shared out over populations, as far as the trace tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.cost import CostReport, Item
from hwsdk.ir.trace import Trace
from hwsdk.report.content import Bars, Cell, Column, Found, Table
from hwsdk.targets import Target

Floats = NDArray[np.float64]
COUNTED = "counted"


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """A population as a report names it. fires: False for one that is read out. model: of its neurons."""

    name: str
    n: int
    fires: bool = True
    model: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """Events of one kind by layer, (layers,) float64 of all samples together; how: COUNTED, or how they were shared."""

    events: Floats
    how: str = COUNTED


def share(events: Any, counted: float, otherwise: str) -> Share:
    """A share that is called counted only if it adds up to what the trace counted."""
    found = np.asarray(events, np.float64)
    return Share(found, COUNTED if np.isclose(found.sum(), counted, rtol=1e-9, atol=1e-9) else otherwise)


@dataclass(frozen=True, slots=True)
class Family:
    """What a report asks of a family of chips; each takes the program first.

    layers: its populations. rows: names of what costs are shared over, inputs and common parts included. placement
    (program, target), traffic (program, trace), shares (program, trace, target): name of a count or of an item -> Share
    over ``rows``. times (program, trace, target).
    """

    layers: Callable[[Any], tuple[LayerInfo, ...]]
    rows: Callable[[Any], tuple[str, ...]]
    placement: Callable[[Any, Target], Found]
    traffic: Callable[[Any, Trace | None], Found]
    shares: Callable[[Any, Trace, Target], Mapping[str, Share]]
    times: Callable[[Any, Trace, Target], Found]


def by_layer(cost: CostReport, rows: Sequence[str], shares: Mapping[str, Share]) -> Found:
    """Energy and events of each layer, kind by kind, and which kinds are known in total only."""
    told, untold = _sorted_out((*cost.items, *cost.static), shares)
    if not told:
        return Found((f"By layer nothing is known: the trace counts {_names(untold)} in total only.",))
    table = Table("Cost of each layer (mean of a sample)", (
        Column("layer"), Column("kind"), Column("events", "n", "-"), Column("energy", "J"), Column("how it is known")),
        tuple(_rows(told, rows, cost.samples)))
    found = Found(parts=(table,))
    bars = _bars(told, rows)
    if bars is not None:
        found = Found(parts=(bars, table))
    words = ["Events are those of the layer that receives them for synaptic work, and of the layer that sends them for "
             "spikes and messages."]
    if untold:
        words.append(f"Known in total only, and in no layer's sum: {_names(untold)}.")
    return Found(tuple(words)) + found


def _sorted_out(items: Sequence[Item], shares: Mapping[str, Share]) -> tuple[list[tuple[Item, Share]], list[Item]]:
    """(items with what is known of their layers, items of which nothing is); those that never occurred are left out."""
    told, untold = [], []
    for item in (i for i in items if i.count):
        found = shares.get(item.name, shares.get(item.per))
        if found is None or not found.events.sum() > 0:
            untold.append(item)
        else:
            told.append((item, found))
    return told, untold


def _names(items: Sequence[Item]) -> str:
    return ", ".join(i.name for i in items) or "nothing"


def _parts(item: Item, found: Share) -> Floats:
    """(layers,): which part of the item each layer has."""
    return np.asarray(found.events / found.events.sum())


def _rows(told: Sequence[tuple[Item, Share]], rows: Sequence[str], samples: int) -> Iterator[tuple[Cell, ...]]:
    """Lines of the table, layer by layer."""
    for k, layer in enumerate(rows):
        for item, found in told:
            part = float(_parts(item, found)[k])
            if part:
                energy = item.amount().value
                yield (layer, item.name, None if _timed(item) else item.count * part,
                       None if energy is None else energy * part, found.how)


def _timed(item: Item) -> bool:
    """Is the item a power for a time?"""
    return item.price is not None and item.price.unit == "W"


def _bars(told: Sequence[tuple[Item, Share]], rows: Sequence[str]) -> Bars | None:
    """Energy by layer and kind, of the kinds with a price."""
    priced = [(i, s, e) for i, s in told if (e := i.amount().value)]
    if not priced:
        return None
    each = np.stack([_parts(i, s) * e for i, s, e in priced], axis=1)
    keep = [k for k in range(len(rows)) if each[k].sum() > 0]
    most = max(keep, key=lambda k: float(each[k].sum()))
    names = tuple(rows[k] for k in keep)
    missing = [i.name for i, _ in told if i.amount().value is None]
    less = f" Not published, hence missing: {', '.join(missing)}." if missing else ""
    return Bars("Energy of each layer, by kind", names, tuple(i.name for i, _, _ in priced),
                tuple(tuple(map(float, each[k])) for k in keep), "J",
                f"Bars: energy of {len(keep)} layers by kind; {rows[most]} takes the most, "
                f"{each[most].sum() / each.sum():.0%} of what is known by layer.{less}")
