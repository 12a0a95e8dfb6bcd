"""Edits of a design, a network with its options: each gives a new design, or says that there is nothing to edit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.backends.base import CompileOptions
from hwsdk.errors import FitError
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import Conv, Linear, Node, Synapses, frozen

BITS = (7, 6, 5, 4, 3, 2)
FINER = (4, 6, 8, 12, 16)
CHIPS = (2, 4, 8, 16, 32, 48)
PRUNED = (0.1, 0.25, 0.5, 0.75, 0.9)
STEPS = (0.75, 0.5, 0.25)
LONGER, SHORTER = (2.0, 5.0, 10.0), (0.5, 0.2, 0.1)
PARTS = (2, 4)
OPTIONS: dict[str, tuple[tuple[str, str, float], ...]] = {
    "spinnaker2": (("sync", "barrier", 0.0), ("level", "low", 0.0), ("level", "high", 0.0), ("timing", "phased", 1e-4),
                   ("history", "64", 2e-3), ("history", "16", 4e-3)),
    "sfq": (("weights", "binary", 0.0), ("weights", "train", 0.0), ("neuron", "counter", 1e-3),
            ("neuron", "loop", 1e-2)),
    "memristor": (("encoding", "differential", 1e-2), ("conv", "toeplitz", 1e-4), ("conv", "im2col", 1e-4),
                  ("adc_bits", "6", 2e-2), ("adc_bits", "4", 8e-2), ("mux", "1", 0.0)),
}
"""Family of targets, a start of their names -> (option, value, how much it is thought to cost)."""
WITHOUT = {"sfq": ("packing", "chips", "step_time"), "memristor": ("packing", "step_time")}
"""Family of targets -> options of a compilation that it does not have."""
FLAGS = {"bits": int, "chips": int, "packing": str, "step-time": float}
"""Of the command line, as refusals propose them -> their kinds."""


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A network to compile with options, and to run for so many steps (None: those of the data)."""

    network: Network
    options: CompileOptions
    steps: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """kind: two edits of one kind exclude each other. name, value: the setting, as in a Point. text: as people read it.
    cost: how much accuracy it is thought to cost, by which edits are tried, the cheapest first. change: gives the
    edited design, or None where there is nothing to edit.
    """

    kind: str
    name: str
    value: Any
    text: str
    cost: float
    change: Callable[[Design], Design | None]


def edits_for(target: str, design: Design, steps: int, refusal: FitError | None, *, budget: bool = True,
              finer: bool = False) -> list[Edit]:
    """What could help, what is thought to cost least first.

    Args:
        steps: of the data. refusal: why the design does not fit, if it does not; what it proposes was tried by the
        backend. budget: is more asked for than that it fits? finer: should it be more accurate?
    """
    named = _named(design.network, refusal)
    found = [*_options(target, design), *_quantising(design), *_pruning(design.network, named), *_fewer_steps(steps),
             *_splitting(design.network, named), *(_finer(design) if finer else ())]
    unique = {(e.name, e.value): e for e in _proposed(refusal)}
    for edit in found:
        if refusal is None or budget or _could_help(edit, refusal):
            unique.setdefault((edit.name, edit.value), edit)
    return sorted(unique.values(), key=lambda e: e.cost)


MENDS: dict[str, tuple[str, ...]] = {
    "chips": ("cores", "neurons", "application_pes", "macros", "chips", "router_entries", "data_bytes",
              "synapse_words"),
    "packing": ("cores", "application_pes"), "step_time": ("tick_cycles", "application_pes"), "steps": (),
    "option.level": ("tick_cycles",), "option.sync": ("tick_cycles",), "option.history": ("pe_bytes",),
}
"""Kind of an edit -> the broken limits that it could mend; other kinds could mend any."""


def _could_help(edit: Edit, refusal: FitError) -> bool:
    """With fitting."""
    return edit.kind not in MENDS or any(v.rule in MENDS[edit.kind] for v in refusal.violations)


def _named(network: Network, refusal: FitError | None) -> tuple[str, ...]:
    """Populations that a refusal names."""
    where = "" if refusal is None else " ".join(f"{v.where} " for v in refusal.violations)
    return tuple(n for n in network.populations if re.search(rf"(?<![\w.]){re.escape(n)}(?![\w.])", where))


def _set(kind: str, text: str, cost: float, **changed: Any) -> Edit:
    """Other options of the compilation."""
    (name, value), *_ = changed.items()

    def change(design: Design) -> Design | None:
        if all(getattr(design.options, n) == v for n, v in changed.items()):
            return None
        return replace(design, options=replace(design.options, **changed))
    return Edit(kind, name, value, text, cost, change)


def _option(name: str, value: str, cost: float) -> Edit:
    """An option of one target."""
    def change(design: Design) -> Design | None:
        now = design.options.target_options
        if str(now.get(name)) == value:
            return None
        return replace(design, options=replace(design.options, target_options={**now, name: value}))
    return Edit(f"option.{name}", f"option.{name}", value, f"--option {name}={value}", cost, change)


def _proposed(refusal: FitError | None) -> Iterator[Edit]:
    """What the backend has tried and found to fit."""
    for text in () if refusal is None else refusal.proposals:
        for flag, value in re.findall(r"--([a-z-]+) ([^\s,)]+)", text):
            if flag == "option":
                name, _, chosen = value.partition("=")
                yield _option(name, chosen, 0.0)
            elif flag in FLAGS:
                known = FLAGS[flag](value)
                yield _set(flag.replace("-", "_"), f"--{flag} {value}", _cost(flag, known),
                           **{flag.replace("-", "_"): known})
        if "without --per-channel" in text:
            yield _set("per_channel", "one scale a layer", 1e-3, per_channel=False)


def _cost(flag: str, value: Any) -> float:
    """How much accuracy a flag is thought to cost."""
    return 2.0 ** (1 - value) if flag == "bits" else 1e-4 * value if flag == "chips" else 0.0


def _options(target: str, design: Design) -> Iterator[Edit]:
    """What changes no weight: packing, chips, the step's length, and options of the target."""
    missing = next((names for family, names in WITHOUT.items() if target.startswith(family)), ())
    yield from (e for e in _placing(design) if e.kind not in missing)
    for family, rows in OPTIONS.items():
        if target.startswith(family):
            yield from (_option(*row) for row in rows)


def _placing(design: Design) -> Iterator[Edit]:
    """Packing, chips, the step's length."""
    yield _set("packing", "--packing dense", 0.0, packing="dense")
    yield _set("packing", "--packing spread", 0.0, packing="spread")
    for chips in (c for c in CHIPS if c > design.options.chips):
        yield _set("chips", f"--chips {chips}", _cost("chips", chips), chips=chips)
    now = design.options.step_time or 1e-3
    for factor in (*LONGER, *SHORTER):
        yield _set("step_time", f"--step-time {now * factor:g}", 1e-4, step_time=now * factor)


def _quantising(design: Design) -> Iterator[Edit]:
    """Scales and bits of weights."""
    if design.options.per_channel:
        yield _set("per_channel", "one scale a layer", 1e-3, per_channel=False)
    else:
        yield _set("per_channel", "--per-channel", 0.0, per_channel=True)
    for bits in (b for b in BITS if b < design.options.bits):
        yield _set("bits", f"--bits {bits}", _cost("bits", bits), bits=bits)


def _finer(design: Design) -> Iterator[Edit]:
    """More bits, for more accuracy."""
    for bits in (b for b in FINER if b > design.options.bits):
        yield _set("bits", f"--bits {bits}", 1e-3 * bits, bits=bits)


def _pruning(network: Network, named: tuple[str, ...]) -> Iterator[Edit]:
    """Small weights to zero: of the layers into what a refusal names, and of all."""
    for share in PRUNED:
        into = tuple(dict.fromkeys(e.source for n in named for e in network.sources(n)))
        for layers in ([into] if into else []) + [()]:
            where = f"of {', '.join(layers)}" if layers else "of every layer"
            yield Edit("prune", f"prune.{'+'.join(layers)}" if layers else "prune", share,
                       f"prune the smallest {share:.0%} of the weights {where}",
                       (0.2 if layers else 0.3) * share**2, _pruner(share, layers))


def _pruner(share: float, layers: tuple[str, ...]) -> Callable[[Design], Design | None]:
    """An edit's change."""
    def change(design: Design) -> Design | None:
        pruned = prune(design.network, share, layers)
        return None if pruned is design.network else replace(design, network=pruned)
    return change


def _fewer_steps(steps: int) -> Iterator[Edit]:
    """A shorter run."""
    for fewer in dict.fromkeys(max(1, round(steps * share)) for share in STEPS):
        if fewer < steps:
            yield Edit("steps", "steps", fewer, f"--steps {fewer}", 0.4 * (1 - fewer / steps) ** 2, _shorter(fewer))


def _shorter(steps: int) -> Callable[[Design], Design | None]:
    """An edit's change."""
    return lambda design: replace(design, steps=steps)


def _splitting(network: Network, named: tuple[str, ...]) -> Iterator[Edit]:
    """Populations that a broken limit names."""
    for name in named:
        for parts in (p for p in PARTS if p <= network.populations[name].n):
            yield Edit(f"split {name}", f"split.{name}", parts, f"split {name} into {parts} populations", 5e-4,
                       _splitter(name, parts))


def _splitter(name: str, parts: int) -> Callable[[Design], Design | None]:
    """An edit's change."""
    def change(design: Design) -> Design | None:
        cut = split(design.network, name, parts) if name in design.network.populations else None
        return None if cut is None else replace(design, network=cut)
    return change


def prune(network: Network, share: float, layers: tuple[str, ...] = ()) -> Network:
    """A network whose smallest weights are zero: this share of the weights that are not zero, of every layer or of
    these ``layers``, and of their parts after a ``split``.
    """
    changed = {n: found for n, node in network.nodes.items()
               if not layers or n in layers or n.startswith(tuple(f"{x}." for x in layers))
               if (found := _pruned(node, share)) is not None}
    return network.replace(nodes={**network.nodes, **changed}) if changed else network


def _pruned(node: Node, share: float) -> Node | None:
    """A layer, or None where nothing of it can go."""
    if not isinstance(node, Linear | Conv | Synapses):
        return None
    kept = _kept(node.weight, share)
    if kept.all():
        return None
    if not isinstance(node, Synapses):
        return replace(node, weight=frozen(np.where(kept, node.weight, 0.0)))
    fewer: dict[str, Any] = {n: frozen(getattr(node, n)[kept], getattr(node, n).dtype)
                             for n in ("source", "target", "weight", "delay_ticks")}
    return replace(node, **fewer, shared=None)


def _kept(weight: NDArray[Any], share: float) -> NDArray[np.bool_]:
    """All but the smallest share of what is not zero; of equal ones the first go."""
    flat = np.abs(weight).ravel()
    order = np.argsort(flat, kind="stable")
    zeros = int((flat == 0).sum())
    gone = order[zeros : zeros + round(share * (flat.size - zeros))]
    kept = np.ones(flat.size, bool)
    kept[gone] = False
    return kept.reshape(weight.shape)


def split(network: Network, name: str, parts: int) -> Network | None:
    """The same network with a population as several, each with its share of the neurons. None where what leads to it or
    from it is not a plain matrix for it alone.
    """
    cell, edges = network.populations[name], network.edges
    around = [*(e.source for e in network.sources(name)), *(e.target for e in network.targets(name))]
    if len(cell.shape) != 1 or cell.n < parts or not all(_own_matrix(network, n, name) for n in around):
        return None
    ends = np.array_split(np.arange(cell.n), parts)
    nodes: dict[str, Node] = {n: node for n, node in network.nodes.items() if n != name and n not in around}
    nodes |= {f"{name}.{k}": _part(cell, own) for k, own in enumerate(ends)}
    new = [e for e in edges if not {e.source, e.target} & {name, *around}]
    for node in dict.fromkeys(around):
        (before,), (after,) = network.sources(node), network.targets(node)
        for i, rows in _ends(after.target == name, ends):
            for j, columns in _ends(before.source == name, ends):
                label = f"{node}{'' if j is None else f'.from{j}'}{'' if i is None else f'.to{i}'}"
                nodes[label] = _block(network.nodes[node], rows, columns, first=not j)
                new += [Edge(before.source if j is None else f"{name}.{j}", label, before.delay_ticks),
                        Edge(label, after.target if i is None else f"{name}.{i}", after.delay_ticks)]
    return network.replace(nodes=nodes, edges=tuple(new))


def _own_matrix(network: Network, node: str, name: str) -> bool:
    """Is it a matrix between two nodes, one of them the population?"""
    found = network.nodes[node]
    return (isinstance(found, Linear) and found.weight.ndim == 2
            and len(network.sources(node)) == len(network.targets(node)) == 1)


def _ends(cut: bool, ends: list[NDArray[np.intp]]) -> list[tuple[int | None, Any]]:
    """(part, its neurons), or all of them."""
    return list(enumerate(ends)) if cut else [(None, slice(None))]


def _block(node: Node, rows: Any, columns: Any, first: bool) -> Linear:
    """A part of a matrix; the bias comes once to each neuron."""
    if not isinstance(node, Linear):
        raise TypeError(type(node).__name__)
    bias = None
    if node.bias is not None and first:
        bias = frozen(np.broadcast_to(node.bias, (node.weight.shape[0],))[rows])
    return Linear(frozen(node.weight[rows][:, columns]), bias)


def _part(cell: Neuron, own: NDArray[np.intp]) -> Neuron:
    """Some neurons of a population."""
    values: Mapping[str, Any] = {n: getattr(cell, n) for n in cell.__dataclass_fields__}
    return replace(cell, **{n: frozen(v[own], v.dtype) for n, v in values.items()
                            if isinstance(v, np.ndarray) and v.shape == (cell.n,)})


__all__ = ["Design", "Edit", "edits_for", "prune", "split"]
