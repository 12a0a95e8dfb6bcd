"""The SpiNNaker 2 mapper: awkward networks come out as the reference has them, refusals explain themselves, and what a
program says of its ticks.
"""

from __future__ import annotations

import numpy as np
import pytest
from spinnaker_small import SmallChip, small_backend

from hwsdk.backends.base import CompileOptions
from hwsdk.errors import FitError, UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import LIF
from hwsdk.ir.nodes import Conv, Input, Output, Synapses
from hwsdk.ir.plastic import PairSTDP
from hwsdk.ir.semantics import Semantics
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.simulators import reference

RNG = np.random.default_rng(0)
WHOLE = SmallChip()


def lif(shape: int | tuple[int, ...], **more) -> LIF:
    return neuron(LIF, shape, **{"tau": 5.0, "v_threshold": 0.15, **more})


def builder(inputs: int | tuple[int, ...] = 6) -> NetworkBuilder:
    return NetworkBuilder("awkward").input("in", inputs)


def weight(n: int, m: int) -> np.ndarray:
    return np.random.default_rng(n * m).normal(0.4, 0.6, (n, m))


def mapped(network: Network, chip: SmallChip = WHOLE, **options) -> SpinnakerProgram:
    """Compile, and compare with the reference on the chip's own network."""
    backend, given = small_backend(chip), CompileOptions(chips=chip.chips, **options)
    _, whole, _ = backend.discrete(network, given)
    program = backend.compile(network, given, lambda _: None)
    rng = np.random.default_rng(1)
    shapes = {n: x.shape for n, x in network.inputs.items()}
    data = Stimulus.dense({n: (rng.random((1, 16, *s)) < 0.4).astype(int) for n, s in shapes.items()}, shapes) \
        if shapes else Stimulus.silent(16)
    expected = reference.run(whole, data, probes="all")
    assert expected.first_difference(backend.simulate(program, data, probes="all", strict=True)) is None
    assert sum(len(e) for n, e in expected.spikes.items() if n in whole.populations) > 0
    return program


def one_to_one(n: int) -> Network:
    index, ones = np.arange(n), np.ones(n, np.int64)
    nodes = {"in": Input((50,)), "a": lif(n), "b": lif(n),
             "s": Synapses((50,), (n,), np.sort(index % 50), index, np.full(n, 1.5), ones),
             "t": Synapses((n,), (n,), index, index[::-1].copy(), np.full(n, 1.5), ones)}
    edges = [Edge("in", "s"), Edge("s", "a"), Edge("a", "t"), Edge("t", "b")]
    return Network("pairs", nodes, tuple(edges), Semantics())


def heavy_tailed() -> Network:
    rng = np.random.default_rng(3)
    count = np.minimum((rng.pareto(1.1, 400) * 4 + 1).astype(int), 380)
    target, source = np.repeat(np.arange(400), count), rng.integers(0, 400, count.sum())
    order = np.lexsort((target, source))
    node = Synapses((400,), (400,), source[order], target[order], rng.normal(0.2, 0.5, len(order)),
                    rng.integers(1, 9, len(order)))
    nodes = {"in": Input((6,)), "p": lif(400), "r": node,
             "s": Synapses((6,), (400,), np.arange(400) * 6 // 400, np.arange(400), np.full(400, 0.8),
                           np.ones(400, np.int64))}
    return Network("tails", nodes, (Edge("in", "s"), Edge("s", "p"), Edge("p", "r"), Edge("r", "p")), Semantics())


def chain_of_ones(length: int = 12) -> Network:
    b = builder(1)
    for k in range(length):
        b.population(f"p{k}", lif(1)).connect(f"p{k - 1}" if k else "in", f"p{k}", weight=np.full((1, 1), 1.5))
    return b.build(Semantics())


def twice_joined() -> Network:
    return builder().population("a", lif(9)).population("b", lif(7)).connect("in", "a", weight=weight(9, 6)).connect(
        "a", "b", weight=weight(7, 9), delay_ticks=1).connect("a", "b", weight=weight(7, 9), delay_ticks=3,
                                                              name="again").build(Semantics())


def deaf() -> Network:
    return builder().input("unheard", 40).population("a", lif(9)).population("lonely", lif(5)).connect(
        "in", "a", weight=weight(9, 6)).build(Semantics())


def solid() -> Network:
    """A convolution over three axes, which is written out."""
    rng = np.random.default_rng(2)
    conv = Conv(rng.normal(0.4, 0.5, (2, 1, 2, 2, 2)), None, (1, 1, 1), ((0, 0),) * 3, (1, 1, 1), 1)
    nodes = {"in": Input((1, 4, 3, 4)), "conv": conv, "p": lif((2, 3, 2, 3)), "out": Output((2, 3, 2, 3))}
    return Network("solid", nodes, (Edge("in", "conv"), Edge("conv", "p"), Edge("p", "out")), Semantics())


def grouped(rank: int, groups: int, dilation: int) -> Network:
    shape = (4, 9) if rank == 1 else (4, 7, 6)
    kernel = np.random.default_rng(rank).normal(0.4, 0.6, (6, 4 // groups, *(2,) * rank))
    out = (6, *(n - dilation for n in shape[1:]))
    b = builder(shape).population("p", lif(out)).convolve("in", "p", kernel, dilation=dilation, groups=groups)
    dense = np.random.default_rng(9).normal(0, 0.3, (int(np.prod(out)),) * 2) * (
        np.random.default_rng(8).random((int(np.prod(out)),) * 2) < 0.1)
    return b.connect("p", "p", weight=dense, delay_ticks=2).build(Semantics())


def learning(n: int) -> Network:
    rule = PairSTDP(3.0, 4.0, 0.4, 0.3, 0.0, 2.0)
    return builder(20).population("p", lif(n)).connect(
        "in", "p", weight=np.minimum(np.abs(weight(n, 20)), 2.0), plasticity=rule, delay_ticks=1).build(Semantics())


NETWORKS = {"one to one": one_to_one(3000), "heavy tails": heavy_tailed(), "ones": chain_of_ones(), "solid": solid(),
            "twice": twice_joined(), "deaf": deaf(), "1-D groups": grouped(1, 2, 1), "2-D dilated": grouped(2, 1, 2),
            "2-D groups": grouped(2, 2, 1), "learning": learning(90)}
SMALL = {"one to one": SmallChip(chips=2), "heavy tails": SmallChip(data=9000), "learning": SmallChip(data=94_208),
         "2-D groups": SmallChip(neurons=20)}


@pytest.mark.parametrize("packing", ["layer", "dense", "spread"])
@pytest.mark.parametrize("name", NETWORKS)
def test_awkward_networks_come_out_as_the_reference_has_them(name, packing):
    program = mapped(NETWORKS[name], SMALL.get(name, WHOLE), packing=packing)
    if packing == "dense" and name == "ones":
        assert program.n_pes == 2
    if packing == "spread" and name == "twice":
        assert program.n_pes > 8


@pytest.mark.parametrize("delay", [0, 1, 7, 8, 9, 20])
@pytest.mark.parametrize("timing", ["pipelined", "phased"])
def test_delays_of_any_length(delay, timing):
    network = builder().population("a", lif(9)).population("b", lif(7)).connect("in", "a", weight=weight(9, 6)).connect(
        "a", "b", weight=weight(7, 9), delay_ticks=delay).build(Semantics())
    program = mapped(network, target_options={"timing": timing})
    assert program.phases == (3 if not delay else 2 if timing == "phased" else 1) if timing == "phased" else 1


def test_plastic_populations_larger_than_a_pe_are_cut():
    network = learning(500)
    program = mapped(network, target_options={"history": 100})
    assert program.n_pes > 4
    assert {program.application(pe) for pe in range(program.n_pes)} == {"spike_list", "stdp_pair_additive"}


def test_a_network_without_inputs():
    network = NetworkBuilder("alone").population("a", lif(5, v_leak=1.0)).population("b", lif(4)).connect(
        "a", "b", weight=weight(4, 5)).build(Semantics())
    program = mapped(network)
    assert program.inputs == ()
    assert program.n_pes == 2


def test_several_chips_in_any_number():
    network = one_to_one(600)
    for chips in (3, 7, 48):
        assert mapped(network, SmallChip(neurons=40, pes=12, chips=chips)).chips == 3
    assert "try --chips 3" in str(refused(network, SmallChip(neurons=40, pes=12, chips=2)))
    error = refused(network, SmallChip(neurons=40, pes=15, chips=2))
    assert "whole network; b alone takes 15: needs 32 PEs, limit 30 [application_pes]" in str(error)
    assert error.proposals == ("use 3 chips (--chips 3)",)


def dense(n: int, m: int) -> Network:
    return NetworkBuilder("dense").input("in", m).population("hidden", lif(n)).connect(
        "in", "hidden", weight=np.random.default_rng(0).uniform(0.1, 1, (n, m))).build(Semantics())


def refused(network: Network, chip: SmallChip = WHOLE, **options) -> FitError:
    with pytest.raises(FitError) as caught:
        small_backend(chip).compile(network, CompileOptions(chips=chip.chips, **options), lambda _: None)
    assert all(v.need > v.limit for v in caught.value.violations)
    return caught.value


def test_too_many_pes():
    error = refused(chain_of_ones(30), SmallChip(pes=20))
    assert str(error).splitlines() == [
        "[DOES_NOT_FIT] awkward does not fit 1 chip(s) of spinnaker2",
        "  - whole network, 31 populations and inputs with at least one each: needs 31 PEs, limit 20 [application_pes]",
        "  fix: put small slices together (--packing dense); or use 2 chips (--chips 2)"]
    error = refused(dense(1000, 784), SmallChip(pes=10))
    assert "whole network; hidden alone takes" in str(error)
    assert "(--chips " in str(error)


def test_one_neuron_that_is_too_large():
    error = refused(dense(10, 600), SmallChip(data=1200))
    (broken,) = error.violations
    assert (broken.rule, broken.limit, broken.unit) == ("pe_bytes", 1200, "bytes")
    assert "hidden[0], one neuron with 600 synapses: needs 2,612 bytes, limit 1,200 [pe_bytes]" in str(error)
    assert "fewer inputs a neuron" in str(error)


def test_one_neuron_that_takes_too_long():
    error = refused(dense(10, 300), step_time=1e-5, activity={"in": 1.0})
    assert "hidden[0], one neuron with 300 synapses: needs 17,655 cycles, limit 2,947 [tick_cycles]" in str(error)
    assert error.proposals == ("take 10 times as long for a step (--step-time 0.0001)",)


def test_a_convolution_whose_single_neuron_is_too_large():
    network = builder((40, 3, 3)).population("p", lif((1, 3, 3))).convolve(
        "in", "p", np.full((1, 40, 3, 3), 0.1), padding=1).build(Semantics())
    error = refused(network, SmallChip(data=400))
    (broken,) = error.violations
    assert (broken.rule, broken.where) == ("pe_bytes", "p, one neuron")
    assert broken.need >= 360


def test_too_many_neurons_or_weights_are_refused_before_anything_is_built():
    assert "needs 200,000 neurons, limit 151,552 [neurons]" in str(refused(dense(200_000, 3)))
    assert "try --chips 2" in str(refused(dense(200_000, 3)))


def test_router_entries_that_are_not_there():
    error = refused(twice_joined(), SmallChip(neurons=2, entries=1))
    assert "router_entries" in {v.rule for v in error.violations}


def test_a_network_that_does_not_fit_when_it_is_spread():
    network = builder().population("a", lif(30)).population("b", lif(30)).connect(
        "in", "a", weight=weight(30, 6)).connect("a", "b", weight=weight(30, 30)).build(Semantics())
    error = refused(network, SmallChip(neurons=40, pes=2), packing="spread")
    assert "a PE with parts of a, b: needs 60 neurons, limit 40 [atoms_wide]" in str(error)
    error = refused(network, SmallChip(data=2600, pes=2), packing="spread")
    assert "pe_bytes" in {v.rule for v in error.violations} or "application_pes" in {v.rule for v in error.violations}


def test_a_tick_that_is_over_before_anything_spikes():
    error = refused(dense(20, 20), step_time=1e-6)
    assert "tick_cycles" in {v.rule for v in error.violations}
    assert "--step-time" in str(error)


@pytest.mark.parametrize(("options", "code"), [
    ({"packing": "tight"}, "BAD_PACKING"), ({"activity": {"nobody": 1.0}}, "BAD_ACTIVITY"),
    ({"activity": {"in": np.ones(3)}}, "BAD_ACTIVITY"), ({"activity": {"in": -1.0}}, "BAD_ACTIVITY"),
    ({"chips": 49}, "BAD_CHIPS"), ({"effort": "heroic"}, "BAD_EFFORT")])
def test_options_that_are_not_there(options, code):
    with pytest.raises(UnsupportedError) as caught:
        small_backend(WHOLE).compile(dense(20, 20), CompileOptions(**options), lambda _: None)
    assert caught.value.code == code


def told(program: SpinnakerProgram) -> dict[str, str]:
    return {e.code: e.text for e in program.ledger.entries}


def test_what_a_program_says_of_its_ticks():
    held = told(small_backend(WHOLE).compile(dense(100, 100), CompileOptions(), lambda _: None))
    assert held["TICK_HELD"].startswith("no PE overruns its tick of 0.001 s at all neurons spiking; the busiest takes")
    assert "FIFO_SHARE" not in held
    shared = told(small_backend(SmallChip(pes=9)).compile(dense(600, 200), CompileOptions(step_time=2e-4),
                                                          lambda _: None))
    assert "of the neurons spike in a tick, spread evenly" in shared["TICK_SHARE"]
    known = told(small_backend(WHOLE).compile(dense(100, 100), CompileOptions(activity={"in": 0.1}), lambda _: None))
    assert "at the expected activity" in known["TICK_HELD"]
    many = told(small_backend(WHOLE).compile(dense(8, 2048), CompileOptions(activity={"in": 1.0}), lambda _: None))
    assert "while at most 50.0% of the expected activity comes" in many["FIFO_SHARE"]


def test_packets_find_room_up_to_the_share_that_is_told():
    backend, network = small_backend(WHOLE), dense(8, 2048)
    program = backend.compile(network, CompileOptions(activity={"in": 1.0}), lambda _: None)
    for share, drops in ((0.5, False), (1.0, True)):
        fires = np.broadcast_to(np.arange(2048) < 2048 * share, (1, 6, 2048)).astype(int)
        trace = backend.simulate(program, Stimulus.dense({"in": fires}, {"in": (2048,)}))
        assert bool(trace.counts["dropped_packets"].sum()) == drops
