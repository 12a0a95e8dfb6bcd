"""scale="source": what comes from each input or population has blocks and scales of its own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from crossbar_arrays import WINDOW, dense, lif, physics, target
from random_networks import random_network

import hwsdk
from hwsdk.errors import InternalError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import Conv, ConvSynapses, Delay, Input, Linear, Output
from hwsdk.ir.semantics import Semantics
from hwsdk.lsm.liquid import liquid
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.memristor import MapOptions, check, map_network, summary, with_full_scale
from hwsdk.mappers.memristor_check import weights_of
from hwsdk.mappers.memristor_parts import link_name
from hwsdk.programs.crossbar import CrossbarProgram
from hwsdk.programs.crossbar_form import require_form
from hwsdk.simulators import reference
from hwsdk.simulators.memristor import run
from hwsdk.simulators.memristor_decode import network_of
from hwsdk.simulators.memristor_die import dies

W_IN, W_REC = (np.random.default_rng(3).normal(0, s, (20, k)) for s, k in ((0.9, 12), (0.05, 20)))
LIQUID = Lower()(dense(W_IN, W_REC))
NAMES = ["in->p/0.0", "p->p/0.0"]


def made(**options: object) -> CrossbarProgram:
    """The small liquid on one large array."""
    return map_network(LIQUID, target(), physics(64, 128), MapOptions(**{"scale": "source", **options}))


def held(program: CrossbarProgram, source: str) -> np.ndarray:
    """(rows, 20): weights from a source, by the targets of the cells."""
    (block,) = (x for x in program.blocks if x.segments[0].source == source)
    weight, where = weights_of(program, block)
    found = np.zeros((block.rows, 20))
    found[np.ix_(block.row_source[0], block.entry_out[0][where])] = weight
    return found


def test_each_source_has_a_block_with_scales_of_its_own() -> None:
    program = made()
    assert [x.name for x in program.blocks] == NAMES
    assert [{s.source for s in x.segments} for x in program.blocks] == [{"in"}, {"p"}]
    for source, weight in (("in", W_IN), ("p", W_REC)):
        top = np.abs(weight).max(axis=1)
        found = held(program, source)
        np.testing.assert_allclose(np.abs(found).max(axis=0), top)
        assert (np.abs(found - weight.T) <= top / 30 * (1 + 1e-9)).all()
    per_neuron = map_network(LIQUID, target(), physics(64, 64), MapOptions(scale="neuron"))
    (block,) = per_neuron.blocks
    assert block.rows == 32


def test_levels_and_write_errors_leave_small_weights_beside_large_ones_alone() -> None:
    """Of W_rec, whose weights are 18 times smaller, levels take a tenth and write errors less than a third."""
    lost, noise = {}, {}
    for scale in ("neuron", "source"):
        program = map_network(LIQUID, target(), physics(64, 64), MapOptions(scale=scale))
        rec = program.blocks[-1]
        weight, where = weights_of(program, rec)
        own = np.concatenate([[s.source == "p"] * s.rows for s in rec.segments])
        rms = np.sqrt(np.mean(W_REC**2))
        wanted = W_REC.T[np.ix_(rec.row_source[0][own], rec.entry_out[0][where])]
        lost[scale] = np.sqrt(np.mean((weight[own] - wanted) ** 2)) / rms
        unit = np.abs(rec.entry_coef) * program.physics.volts
        noise[scale] = 0.1 * WINDOW.window * np.sqrt(2) * unit.mean() / rms
    assert lost["source"] < 0.1 < 0.5 < lost["neuron"]
    assert noise["source"] < noise["neuron"] / 3 and noise["neuron"] > 2


def test_every_cell_of_a_die_is_nearer_in_weight() -> None:
    """The same through the chip: 10 % of the window, decoded to weights."""
    found = {}
    for scale in ("neuron", "source"):
        options = {"scale": scale, "write": 0.1, "stages": "levels,write"}
        program = hwsdk.compile(dense(W_IN, W_REC), "memristor", bits=5, target_options=options)
        rec = program.blocks[-1]
        real = dataclasses.replace(rec, target_s=dies(program)[-1])
        own = np.concatenate([[s.source == "p"] * s.rows for s in rec.segments])
        wanted, got = (weights_of(program, x)[0][own] for x in (rec, real))
        found[scale] = np.std(got - wanted) / np.std(W_REC)
    assert found["source"] < 0.5 and found["neuron"] > 2


def test_ideal_arrays_give_the_spikes_of_the_model() -> None:
    rng = np.random.default_rng(0)
    net = liquid(12, 40, seed=2, c_in=0.5)
    data = Stimulus.dense((rng.random((6, 30, 12)) < 0.3).astype(np.uint8), {"in": (12,)})
    program = hwsdk.compile(net, "memristor_ideal", target_options={"scale": "source"})
    assert [x.name for x in program.blocks] == ["in->liquid/0.0", "liquid->liquid/0.0"]
    seen, wanted = run(program, data), reference.run(Lower()(net), data)
    assert wanted.spikes["liquid"].index.size > 200
    for field in ("sample", "step", "index"):
        np.testing.assert_array_equal(getattr(seen.spikes["liquid"], field), getattr(wanted.spikes["liquid"], field))


def test_a_die_is_the_network_that_it_decodes_to() -> None:
    rng = np.random.default_rng(1)
    net = liquid(12, 40, seed=2, c_in=0.5)
    data = Stimulus.dense((rng.random((4, 20, 12)) < 0.3).astype(np.uint8), {"in": (12,)})
    program = hwsdk.compile(net, "memristor", bits=5, target_options={"scale": "source", "write": 0.1, "off": "wires"})
    assert any(x.converted for x in program.blocks)
    seen, wanted = run(program, data), reference.run(network_of(program), data)
    np.testing.assert_array_equal(seen.spikes["liquid"].index, wanted.spikes["liquid"].index)
    np.testing.assert_array_equal(seen.spikes["liquid"].step, wanted.spikes["liquid"].step)


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_on_random_dies_too(seed: int) -> None:
    net = random_network(seed)
    options = {"scale": "source", "write": 0.1, "off": "wires", "rows": 16, "columns": 32, "die": seed}
    program = hwsdk.compile(net, "memristor", bits=5, chips=999, target_options=options)
    shapes = {p.name: p.shape for p in program.inputs}
    rng = np.random.default_rng(seed)
    data = Stimulus.dense((rng.random((2, 15, sum(p.n for p in program.inputs))) < 0.4).astype(np.uint8), shapes)
    assert all(len({s.source for s in x.segments}) == 1 for x in program.blocks)
    wanted = reference.run(network_of(program), data, probes="all")
    assert wanted.first_difference(run(program, data, probes="all")) is None


@pytest.mark.parametrize("options", [
    {}, {"bits": 4}, {"encoding": "offset"}, {"encoding": "sliced"}, {"subtract": "analog"}, {"clip": "sigmas"},
    {"clip": "percentile", "clip_at": 95.0}, {"native": ("p->p",)}, {"native": ("p",)}])
def test_the_check_knows_it_with_and_without_the_options(options: dict) -> None:
    program = require_form(made(**options))  # checks itself, strictly
    assert [x.name for x in program.blocks] == NAMES
    check(LIQUID, program)
    other = program.blocks[0].target_s.copy()
    if program.blocks[0].kind == "written":
        other[2, 3] += 9e-6
        first = dataclasses.replace(program.blocks[0], target_s=other)
        for given in (MapOptions(**{"scale": "source", **options}), None):
            with pytest.raises(InternalError, match="the weight of row"):
                check(LIQUID, dataclasses.replace(program, blocks=(first, program.blocks[1])), given)
    with pytest.raises(InternalError, match="0 places"):
        check(LIQUID, dataclasses.replace(program, blocks=program.blocks[:1]))


def test_native_links_have_the_deviation_of_their_own_weights() -> None:
    units = [np.abs(x.entry_coef).mean() for x in made(native=("p",)).blocks]
    assert units[0] / units[1] == pytest.approx(np.sqrt(np.mean(W_IN**2)) / np.sqrt(np.mean(W_REC**2)))
    one = map_network(LIQUID, target(), physics(64, 64), MapOptions(native=("p",)))
    assert [x.name for x in one.blocks] == ["p:native/0.0"]


def test_ranges_are_set_block_by_block() -> None:
    program = made()
    rec = program.blocks[1]
    found = with_full_scale(program, {rec.name: np.full(rec.channels, 1e-6)})
    np.testing.assert_allclose(found.blocks[1].step_a, 1e-6 / rec.code_max)
    np.testing.assert_array_equal(found.blocks[0].step_a, program.blocks[0].step_a)


def test_kernels_stay_parts_of_their_own() -> None:
    rng = np.random.default_rng(4)
    conv, n = Conv(rng.normal(0, 1, (2, 2, 3, 3)), None, (1, 1), ((1, 1),) * 2, (1, 1), 1), 2 * 36
    cell = lif(n)
    p = dataclasses.replace(cell, **{f: getattr(cell, f).reshape(2, 6, 6) for f in (
        "tau", "r", "v_leak", "v_threshold", "v_reset")})
    nodes = {"in": Input((2, 6, 6)), "c": conv, "p": p, "loop": Conv(conv.weight / 20, None, (1, 1), ((1, 1),) * 2,
                                                                     (1, 1), 1), "out": Output((2, 6, 6))}
    edges = (Edge("in", "c"), Edge("c", "p"), Edge("p", "loop", 1), Edge("loop", "p"), Edge("p", "out"))
    lowered = Lower()(Network("conv", nodes, edges, Semantics()))
    for conv_as, uses in (("im2col", {36}), ("toeplitz", {1})):
        options = MapOptions(scale="source", conv=conv_as)
        program = map_network(lowered, target(), physics(256, 256), options)
        assert {x.uses for x in program.blocks} == uses and len({x.name for x in program.blocks}) == len(program.blocks)
        assert all(len({s.source for s in x.segments}) == 1 for x in program.blocks)
        check(lowered, program)
        check(lowered, program, options)
    assert lowered.of(ConvSynapses)


def test_delays_of_one_source_stay_together() -> None:
    nodes = {"in": Input((3,)), "d": Delay(np.array([0, 2, 2])), "w": Linear(np.ones((2, 3))), "p": lif(2),
             "out": Output((2,))}
    network = Network("late", nodes, (Edge("in", "d"), Edge("d", "w"), Edge("w", "p"), Edge("in", "w"),
                                      Edge("p", "out")), Semantics())
    (x,) = map_network(Lower()(network), target(), physics(), MapOptions(scale="source")).blocks
    assert [(s.source, s.delay_ticks) for s in x.segments] == [("in", 1), ("in", 3)]


def test_names_of_links_are_never_those_of_others() -> None:
    """Whatever arrows the names of nodes hold."""
    some = ("a", "b", "a->b", "b->a", "->", ">", "-", "a-", "->b", "b->", ">>", "a->", "a->b->")
    nodes = {n: Input((1,)) for n in some}
    network = Network("odd", {**nodes, "out": Output((1,))}, tuple(Edge(n, "out") for n in some), Semantics())
    names = [link_name(network, s, t) for s in some for t in some]
    assert len(set(names)) == len(names) and not set(names) & set(network.nodes)
    assert link_name(network, "b", "b") == "b->b"
    assert link_name(network, "a", "b") == "a->b->->"


def test_it_takes_more_phases_and_conversions() -> None:
    rows = {}
    for scale in ("neuron", "source"):
        program = map_network(LIQUID, target(), physics(64, 64), MapOptions(scale=scale))
        used = summary(program, target())
        rows[scale] = (used["macros"].used, used["cells"].used, used["phases a step (busiest macro)"].used,
                       sum(x.channels for x in program.blocks))
    assert rows["neuron"] == (1, 32 * 40, rows["neuron"][2], 40)
    assert rows["source"] == (1, 32 * 40, 2 * rows["neuron"][2], 80)
