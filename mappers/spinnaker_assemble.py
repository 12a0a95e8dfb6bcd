"""PEs with their slices become images, places, keys and routing tables: the arrays of a SpinnakerProgram."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.mappers.objective import Search
from hwsdk.mappers.phases import Phases
from hwsdk.mappers.spinnaker_emit import Keys, images
from hwsdk.mappers.spinnaker_keys import allocate
from hwsdk.mappers.spinnaker_learned import learned_words
from hwsdk.mappers.spinnaker_load import Activity
from hwsdk.mappers.spinnaker_pack import packets
from hwsdk.mappers.spinnaker_place import Die, Flow, place
from hwsdk.mappers.spinnaker_route import route
from hwsdk.mappers.spinnaker_rows import Heard, Layout
from hwsdk.programs.spinnaker import SpinnakerArrays
from hwsdk.programs.spinnaker_decode import header
from hwsdk.targets.spinnaker import SpinnakerTarget


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What is put together. high_from (PEs): see PeMemory."""

    layout: Layout
    heard: list[Heard]
    phases: Phases
    activity: Activity
    high_from: NDArray[np.int64]


def arrays(parts: Parts, target: SpinnakerTarget, chips: int, search: Search, say: Callable[[str], None],
           ) -> tuple[SpinnakerArrays, list[dict[str, int]], bool]:
    """(the program's arrays, bytes and neurons of each PE, was the search for places cut short?).

    Raises:
        FitError: keys, cores or router entries that are not there.
    """
    layout = parts.layout
    cuts = layout.cuts
    keys = allocate([c.sizes for c in cuts.values()], target.need("key_bits"), list(cuts))
    of_slice = Keys(*(dict(zip(cuts, np.split(x, keys.slice_ptr[1:-1]), strict=True)) for x in (keys.key, keys.mask)))
    say("place")
    slices, sent, ptr, hearers = packets(layout, parts.heard, parts.activity)
    home = np.array([layout.home[s][0] for s in slices], np.int64)
    flow = Flow(home, sent, ptr, hearers)
    placed = place(len(layout.pes), flow, die(target), [(x, y) for x, y in target.board.chips[:chips]], search, say)
    say("route")
    key, mask = (np.array([x[n][k] for n, k in slices], np.int64) for x in (of_slice.key, of_slice.mask))
    routes = route(placed, flow, key, mask, target.need("router_entries"))
    say("emit")
    made = images(layout, parts.heard, of_slice, parts.phases, parts.activity.records, parts.high_from)
    used = [{"bytes": h["needed"], "neurons": h["neurons"]} for h in map(header, made)]
    number = {name: k for k, name in enumerate(cuts)}
    index = [cuts[n].index[k] for n, k in slices]
    found = SpinnakerArrays(
        placed.chip_x, placed.chip_y, placed.pe_chip, placed.pe_core, placed.pe_x, placed.pe_y, placed.pe_hops,
        _ptr([len(i) for i in made]), np.concatenate(made), _ptr([len(p) for p in layout.pes]),
        np.array([number[n] for n, _ in slices], np.int32), _ptr([len(i) for i in index]), np.concatenate(index),
        routes.ptr.astype(np.int64), routes.key, routes.mask, routes.pes, routes.links,
        *learned_words(layout, parts.heard))
    return found, used, placed.cut_short


def die(target: SpinnakerTarget) -> Die:
    """The cores of a chip; the system keeps those of the last group."""
    n, usable = target.need("pes"), target.need("application_pes")
    reserved = tuple(range(usable + 1, n + 1))
    return Die(tuple((x, y) for x, y in target.noc.qpes), tuple((x, y) for x, y in target.noc.router), reserved)


def _ptr(sizes: list[int]) -> NDArray[np.int64]:
    """Pointers of consecutive parts."""
    return np.cumsum(np.array([0, *sizes], np.int64))
