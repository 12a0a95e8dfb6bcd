"""Emission for SpiNNaker 2: what slices store of each other becomes the image of every PE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.ir.plastic import StoredPairSTDP, decay_table
from hwsdk.mappers.phases import Phases
from hwsdk.mappers.spinnaker_load import model_of, rules_of, slots_of
from hwsdk.mappers.spinnaker_merge import joined_entries
from hwsdk.mappers.spinnaker_records import records
from hwsdk.mappers.spinnaker_rows import Heard, Layout
from hwsdk.programs.spinnaker_image import Block, Learner, PackedRows, PeMemory, PeSlice, encode, table_words

IntArray = NDArray[np.int64]
Parts = list[Block | PackedRows]


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """Key of atom 0 and mask of every slice, by sender."""

    key: Mapping[str, IntArray]
    mask: Mapping[str, IntArray]


@dataclass(frozen=True, slots=True, eq=False)
class _Whole:
    """What all PEs are made of: by population what it hears (with its number), its rules and its neurons' records; by
    sender which slices are heard.
    """

    layout: Layout
    heard: Mapping[str, list[tuple[int, Heard]]]
    rules: Mapping[str, list[StoredPairSTDP]]
    cells: Mapping[str, NDArray[np.uint32]]
    sends: Mapping[str, NDArray[np.bool_]]
    keys: Keys
    phases: Phases
    recorded: frozenset[str]


def images(layout: Layout, heard: list[Heard], keys: Keys, phases: Phases, recorded: frozenset[str],
           high_from: IntArray) -> list[NDArray[np.uint8]]:
    """The image of every PE."""
    populations = layout.wiring.network.populations
    into: dict[str, list[tuple[int, Heard]]] = {n: [] for n in populations}
    sends = {n: np.zeros(len(c.index), bool) for n, c in layout.cuts.items()}
    for number, h in enumerate(heard):
        into[h.wire.target].append((number, h))
        sends[h.wire.source][h.source] = True
    whole = _Whole(layout, into, {n: rules_of([h.wire for _, h in hs]) for n, hs in into.items()},
                   {n: records(p) for n, p in populations.items()}, sends, keys, phases, recorded)
    return [_image(whole, pe, int(high_from[pe])) for pe in range(len(layout.pes))]


def _image(whole: _Whole, pe: int, high_from: int) -> NDArray[np.uint8]:
    """One PE."""
    layout, phases, own = whole.layout, whole.phases, whole.layout.pes[pe]
    network = layout.wiring.network
    slices = tuple(PeSlice(int(whole.keys.key[n][k]), len(layout.cuts[n].index[k]), phases.of.get(n, 0),
                           bool(whole.sends[n][k]), n in whole.recorded) for n, k in own)
    names = tuple(dict.fromkeys(n for n, _ in own))
    if names[0] in network.inputs:
        return encode(PeMemory("spike_list", "source", slices, phases=phases.count))
    rules = list(dict.fromkeys(r for n in names for r in whole.rules[n]))
    if len({r.history for r in rules}) > 1:
        raise UnsupportedError(f"learning rules that keep {' and '.join(sorted({str(r.history) for r in rules}))} post "
                               "spikes a neuron on one PE", where=names[0], code="RULE_HISTORY",
                               fix="give all rules of a population the same history")
    heard = [h for _, h in sorted((pair for n in names for pair in whole.heard[n]), key=lambda pair: pair[0])]
    parts: Parts = []
    entries: list[tuple[str, int]] = []
    for h in heard:
        for k in sorted(k for n, k in own if n == h.wire.target):
            entries += [(h.wire.source, len(parts))] * int(h.ptr[k + 1] - h.ptr[k])
            parts += _parts(whole, h, k, rules)
    model, learners = model_of(network.populations[names[0]]), tuple(_learner(r) for r in rules)
    cells = np.concatenate([whole.cells[n][layout.cuts[n].index[k]] for n, k in own])
    memory = PeMemory(_application(model, heard, parts), model, slices, (), learners, cells,
                      slots_of([h.wire for h in heard], phases.count), phases.count, high_from,
                      max((r.history for r in rules), default=0))
    return joined_entries(encode(memory, parts), entries) if model == "egru" else encode(memory, parts)


def _parts(whole: _Whole, heard: Heard, target: int, rules: list[StoredPairSTDP]) -> Parts:
    """What one slice of a wire's targets stores."""
    wire, own = heard.wire, slice(int(heard.ptr[target]), int(heard.ptr[target + 1]))
    source, phase = heard.source[own], whole.phases.of.get(heard.wire.source, 0)
    key, mask = whole.keys.key[wire.source][source], whole.keys.mask[wire.source][source]
    if wire.kind == "conv":
        return [replace(b, key=k, mask=m, phase=phase)
                for b, k, m in zip(heard.blocks[own], key.tolist(), mask.tolist(), strict=True)]
    if not len(source):
        return []
    node: Any = wire.node
    plastic, size = wire.kind == "plastic", heard.words.itemsize
    first, last = (int(p) // size for p in heard.word_ptr[target : target + 2])
    low, high = (int(p) for p in heard.row_ptr[target : target + 2])
    index = (heard.row_at[own] - low) // 2 - 2
    table = table_words(key, mask, wire.kind, phase, rules.index(node.rule) if plastic else wire.delay, index)
    return [PackedRows(table, heard.rows[low:high].view(np.uint32), index + 1,
                       heard.words[first:last].view(np.uint8),
                       int(whole.layout.cuts[wire.source].sizes[source].sum()) if plastic else 0)]


def _learner(rule: StoredPairSTDP) -> Learner:
    return Learner(rule.a_plus, rule.a_minus, rule.w_min, rule.w_max, decay_table(rule.tau_plus),
                   decay_table(rule.tau_minus))


def _application(model: str, heard: list[Heard], parts: Parts) -> str:
    """The PE application that serves these words."""
    kinds = {h.wire.kind for h in heard}
    if model == "egru":
        return "egru_csr"
    if "plastic" in kinds:
        return "stdp_pair_additive"
    if "conv" in kinds:
        places = max((prod(b.kernel.shape[2:]) for b in parts if isinstance(b, Block)), default=1)
        return "lif_conv2d" if places > 1 else "l2mu_mem"
    late = bool(kinds & {"narrow", "wide"}) and max(h.wire.longest - h.wire.delay for h in heard) > 0
    return ("lif_curr_exp" if model == "lif_curr" else "lif") + ("" if late else "_no_delay")
