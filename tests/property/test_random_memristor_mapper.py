"""Random networks on random arrays: every synapse in its cells once, exactly where the array is ideal, else to half a
step; and the decoded matrix gives what the lowered network gives.
"""

from __future__ import annotations

import numpy as np
import pytest
from crossbar_arrays import IDEAL, physics, target
from pulse_networks import pulse_network
from random_networks import random_conv_network, random_network

from hwsdk.errors import FitError
from hwsdk.ir.crossbar import STAGES, Cell
from hwsdk.ir.expand import explicit
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import ConvSynapses, Synapses
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.memristor import MapOptions, check, legality, map_network
from hwsdk.mappers.memristor_check import weights_of
from hwsdk.programs.crossbar import CrossbarProgram
from hwsdk.programs.crossbar_form import require_form

Synapse = tuple[str, int, int, str, int]
MAKERS = (random_network, random_conv_network, pulse_network)
SCALES = ("matrix", "neuron", "source")


def synapses_of(network: Network) -> dict[Synapse, float]:
    """(source, element, delay, population, neuron) -> weight, of a lowered network."""
    found: dict[Synapse, float] = {}
    for name in network.populations:
        for edge in network.sources(name):
            node = network.nodes[edge.source]
            assert isinstance(node, Synapses | ConvSynapses)
            (into,) = network.sources(edge.source)
            x = explicit(node)
            for s, t, w, d in zip(x.source, x.target, x.weight, x.delay_ticks, strict=True):
                key = (into.source, int(s), int(d), name, int(t))
                found[key] = found.get(key, 0.0) + float(w)
    return {k: w for k, w in found.items() if w}


def held_by(program: CrossbarProgram) -> dict[Synapse, float]:
    """The same, of a program: every use of every block, weight by weight."""
    found: dict[Synapse, float] = {}
    for x in program.blocks:
        weight, where = weights_of(program, x)
        heard = [s for s in x.segments for _ in range(s.rows)]
        for u in range(x.uses):
            for r, c in zip(*np.nonzero(weight), strict=True):
                if x.row_source[u, r] >= 0:
                    key = (heard[r].source, int(x.row_source[u, r]), heard[r].delay_ticks, x.target,
                           int(x.entry_out[u, where[c]]))
                    assert key not in found
                    found[key] = float(weight[r, c])
    return found


def array(rng: np.random.Generator, ideal: bool):
    """Some array, large or small."""
    rows, columns = (int(k) for k in rng.choice([4, 7, 16, 64, 500], 2))
    changes = {"mux": int(rng.choice([1, 2, 3, 8])), "dac_bits": rng.choice([None, 1, 4])}
    if ideal:
        return physics(rows, columns, **changes | IDEAL)
    cell = Cell(2e-6, 40e-6, rng.choice([None, 1e-7]), None, rng.choice([None, 4, 9, 16]))
    stages = STAGES[int(rng.integers(0, 2)):]
    return physics(rows, columns, cell=cell, stages=stages, **changes)


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("seed", range(50))
def test_an_ideal_array_holds_every_synapse_exactly(maker, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lowered = Lower()(maker(seed))
    options = MapOptions(
        bits=None, conv=str(rng.choice(["auto", "toeplitz", "im2col"])), scale=str(rng.choice(SCALES)),
        order=str(rng.choice(["heavy", "model"])), subtract=str(rng.choice(["digital", "analog"])),
        spread=str(rng.choice(["no", "yes"])))
    program = map_network(lowered, target(), array(rng, True), options)
    assert held_by(program) == synapses_of(lowered)
    require_form(program)
    check(lowered, program)


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("seed", range(50))
def test_any_array_holds_every_synapse_to_half_a_step(maker, seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    lowered = Lower()(maker(seed))
    encoding = str(rng.choice(["differential", "offset", "sliced"]))
    options = MapOptions(
        bits=int(rng.integers(3, 9)), conv=str(rng.choice(["auto", "toeplitz", "im2col"])), encoding=encoding,
        scale=str(rng.choice(SCALES)), order=str(rng.choice(["heavy", "model"])),
        subtract="digital" if encoding == "offset" else str(rng.choice(["digital", "analog"])),
        clip=str(rng.choice(["max", "percentile", "sigmas"])), share=bool(rng.integers(2)),
        native=tuple(n for n in lowered.populations if rng.random() < 0.2), spread=str(rng.choice(["no", "yes"])))
    try:
        program = map_network(lowered, target(), array(rng, False), options)  # checks itself, strictly
    except FitError as error:
        assert error.violations[0].rule == "columns"  # an array of 4 columns and a weight of 5 pairs
        return
    assert not legality(program, target())
    require_form(program)
    check(lowered, program)
    held, wanted = held_by(program), synapses_of(lowered)
    assert set(held) <= set(wanted)
    if not options.native:
        top = max(map(abs, wanted.values()), default=0.0)
        assert all(abs(held.get(k, 0.0) - w) <= max(top, abs(w)) for k, w in wanted.items())
        assert all(held.get(k, 0.0) * w >= 0 for k, w in wanted.items())  # no sign is lost


def test_the_same_seed_gives_the_same_bytes() -> None:
    for maker in MAKERS:
        made = [map_network(Lower()(maker(3)), target(), physics(), MapOptions()).digest() for _ in range(2)]
        assert made[0] == made[1]
