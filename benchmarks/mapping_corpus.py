"""Packets, hops and cores of our mapping against cores that are filled in neuron order, for models of a corpus.

usage: mapping_corpus.py MODEL [MODEL ...] [--target loihi2] [--packing dense] [--effort normal]

Both count one packet for each neuron and each core that hears it, and its hops on X-Y routes; every neuron fires
equally often. Filled in order: neurons by id, each core up to the first limit, cores along a snake of the routers.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import dataclass

import numpy as np

import hwsdk
from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.errors import HwsdkError
from hwsdk.ir.mapping import Place, Slice
from hwsdk.ir.network import Network
from hwsdk.mappers import loihi_emit as emit
from hwsdk.mappers.loihi import MapOptions, core_usage, map_network
from hwsdk.mappers.loihi_layout import layout, together
from hwsdk.mappers.loihi_memory import population_memory
from hwsdk.mappers.loihi_rows import wire
from hwsdk.mappers.partition import ratio
from hwsdk.mappers.place import slots
from hwsdk.targets.loihi import LoihiTarget


@dataclass(frozen=True)
class Score:
    """What a mapping costs in a step in which every neuron fires once."""

    cores: int
    packets: int
    hops: int


def score(network: Network, cores: tuple[tuple[Slice, ...], ...], places: list[Place]) -> Score:
    """Count packets and hops."""
    where = layout(network, cores)
    flow = emit.traffic(emit.axons(wire(network, where)), where).tocoo()
    at = np.array([(p.x, p.y) for p in places])
    hops = np.abs(at[flow.row] - at[flow.col]).sum(axis=1) @ flow.data
    return Score(len(cores), int(flow.sum()), int(hops))


def in_order(network: Network, target: LoihiTarget) -> tuple[tuple[Slice, ...], ...]:
    """Cores filled neuron by neuron, each up to its first limit; outgoing axons count too."""
    cores: list[list[Slice]] = [[]]
    used: dict[str, int] = {}
    for name, cell in network.populations.items():
        memory, low = population_memory(network, name, target), 0
        while low < cell.n:
            high = fits = low
            step = cell.n - low
            while step:
                part = np.ones(cell.n, np.int64)
                part[low : min(high + step, cell.n)] = 0
                extra = memory.usage(part, 2).of(0)
                both = {k: used.get(k, 0) + v for k, v in extra.items()}
                if ratio(both, target) <= 1:
                    high = fits = min(high + step, cell.n)
                    best = both
                step = step // 2 if high < cell.n else 0
            if fits > low:
                cores[-1].append(Slice(name, np.arange(low, fits)))
                used, low = best, fits
            if low < cell.n:
                cores.append([])
                used = {}
    return split_overflowing(network, target, together(tuple(tuple(c) for c in cores if c)))


def split_overflowing(network: Network, target: LoihiTarget, cores: tuple[tuple[Slice, ...], ...],
                      ) -> tuple[tuple[Slice, ...], ...]:
    """Halve cores whose outgoing axons overflow."""
    while True:
        where = layout(network, cores)
        out = emit.axons_out(emit.axons(wire(network, where)), where)
        bad = [ratio(u, target) > 1 for u in core_usage(network, target, cores, out)]
        if not any(bad):
            return cores
        halved = []
        for core, over in zip(cores, bad, strict=True):
            n = sum(len(s.index) for s in core) // 2 if over else 0
            first, second = [], []
            for s in core:
                take = min(n, len(s.index))
                n -= take
                first += [Slice(s.population, s.index[:take])] if take else []
                second += [Slice(s.population, s.index[take:])] if take < len(s.index) else []
            halved += [tuple(x) for x in (first, second) if x]
        cores = tuple(halved)


def ours(network: Network, target: LoihiTarget, options: MapOptions) -> tuple[Score, float]:
    """Score of our mapping, and seconds to make it."""
    start = time.perf_counter()
    program = map_network(network, target, options)
    seconds = time.perf_counter() - start
    a = program.arrays
    n_inputs = sum(s.n for s in program.inputs)
    home = np.empty(program.n_neurons, np.int64)
    home[a.source_id - n_inputs] = program.core_of()
    sender = np.repeat(home, np.diff(a.out_ptr[n_inputs:]))
    to = a.out_core[a.out_ptr[n_inputs] :]
    hops = np.abs(a.core_x[sender] - a.core_x[to]) + np.abs(a.core_y[sender] - a.core_y[to])
    return Score(program.n_cores, len(to), int(hops.sum())), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--target", default="loihi2")
    parser.add_argument("--packing", default="dense")
    parser.add_argument("--effort", default="normal")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    backend = backends.get(args.target)
    print(f"{'model':34} {'neurons':>8} | in order: cores packets    hops | ours: cores packets    hops seconds")
    for path in args.models:
        name = path.rsplit("/", 1)[-1]
        try:
            network = hwsdk.load(path)
            _, whole, _ = backend.discrete(network, CompileOptions())
            cores = in_order(whole, backend.target)
            chips = -(-len(cores) // backend.target.need("cores"))
            grid = slots(backend.target, chips)
            places = [Place(int(c), int(x), int(y)) for x, y, c in grid.place[grid.snake[: len(cores)]]]
            base = score(whole, cores, places)
            found, seconds = ours(whole, backend.target, MapOptions(chips, args.packing, effort=args.effort))
        except HwsdkError as error:
            print(f"{name:34} not mapped: [{error.code}]")
            continue
        worse = " WORSE" if found.packets > base.packets or found.hops > base.hops else ""
        print(f"{name:34} {whole.n_neurons:8,} | {base.cores:15} {base.packets:7,} {base.hops:7,} | {found.cores:11} "
              f"{found.packets:7,} {found.hops:7,} {seconds:7.2f}{worse}")


if __name__ == "__main__":
    main()
