"""The check of a mapping finds every way in which a program can differ from its network."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from integer_networks import random_integer_network

from hwsdk.errors import InternalError
from hwsdk.ir.fixed import FixedSigmaDelta
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import ConvSynapses, Input, Output, Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.check import check
from hwsdk.mappers.loihi import MapOptions, legality, map_network
from hwsdk.programs.loihi import LoihiProgram
from hwsdk.targets import load_target

LOIHI2 = load_target("loihi2")


def cells(*shape: int) -> FixedSigmaDelta:
    return FixedSigmaDelta(np.full(shape, 10), np.arange(np.prod(shape)).reshape(shape) % 5)


def conv(pre, c_out, kernel, stride=1, padding=0, seed=0, **more) -> ConvSynapses:
    out = tuple((n + 2 * padding - kernel) // stride + 1 for n in pre[1:])
    weight = np.random.default_rng(seed).integers(-100, 100, (c_out, pre[0], kernel, kernel)) * 2 + 2
    return ConvSynapses(pre, (c_out, *out), (c_out, *out), weight, (stride, stride), ((padding, padding),) * 2, (1, 1),
                        **more)


@pytest.fixture(scope="module")
def network() -> Network:
    """A convolution on several cores (by the neurons' groups: thresholds all differ by channel) and a sparse layer."""
    rng = np.random.default_rng(1)
    first = conv((2, 9, 8), 20, 3, 2, 1, weight_exp=1)
    a = FixedSigmaDelta(np.repeat(np.arange(20) + 5, 20).reshape(20, 5, 4), np.zeros((20, 5, 4), np.int64))
    pairs = rng.permutation(400 * 12)[:900]
    sparse = Synapses((20, 5, 4), (12,), pairs // 12, pairs % 12, rng.integers(1, 100, 900) * 2,
                      rng.integers(1, 5, 900))
    nodes = {"in": Input((2, 9, 8)), "w": first, "a": a, "s": sparse, "b": cells(12), "out": Output((12,))}
    edges = (Edge("in", "w"), Edge("w", "a"), Edge("a", "s"), Edge("s", "b"), Edge("b", "out"))
    return Network("n", nodes, edges, Semantics())


@pytest.fixture(scope="module")
def program(network: Network) -> LoihiProgram:
    found = map_network(network, LOIHI2, MapOptions())
    assert found.n_cores > 2 and found.arrays.row_shared.any() and not found.arrays.row_shared.all()
    return found


def changed(program: LoihiProgram, **arrays: np.ndarray) -> LoihiProgram:
    return dataclasses.replace(program, arrays=dataclasses.replace(program.arrays, **arrays))


def with_one(program: LoihiProgram, name: str, at: int, value) -> LoihiProgram:
    column = getattr(program.arrays, name).copy()
    column[at] = value(column[at]) if callable(value) else value
    return changed(program, **{name: column})


def entry(program: LoihiProgram, shared: bool) -> int:
    """The second entry of the last row of a kind."""
    a = program.arrays
    return int(a.row_ptr[np.flatnonzero(a.row_shared == shared)[-1]])


@pytest.mark.parametrize("shared", [True, False])
def test_a_wrong_weight_is_found(network, program, shared):
    with pytest.raises(InternalError, match=r"connection (in|a)\[\d+\] -> (a|b)\[\d+\] should be weight -?\d+, 1?"):
        check(network, with_one(program, "weight", entry(program, shared), lambda w: w + 2))


@pytest.mark.parametrize("shared", [True, False])
def test_a_wrong_delay_is_found(network, program, shared):
    with pytest.raises(InternalError, match=r"\] should be weight -?\d+, \d steps, is weight -?\d+, \d steps"):
        check(network, with_one(program, "delay", entry(program, shared), lambda d: d + 1))


@pytest.mark.parametrize("shared", [True, False])
def test_a_moved_target_is_found(network, program, shared):
    a, at = program.arrays, entry(program, shared)
    other = int(a.target[at + 1])
    with pytest.raises(InternalError, match=r"lacks its synapse|a synapse too many|should be"):
        check(network, with_one(program, "target", at, other))


def test_a_wrong_base_is_found(network, program):
    kernel = np.flatnonzero(program.arrays.row_shared[program.arrays.segment_row])
    at = int(kernel[np.argmax(program.arrays.segment_base[kernel])])
    with pytest.raises(InternalError, match=r"connection in\[\d+\] -> a\[\d+\]"):
        check(network, with_one(program, "segment_base", at, 0))
    with pytest.raises(InternalError, match="reaches past the core's neurons"):
        check(network, with_one(program, "segment_base", at, 10_000))


def test_a_wrong_exponent_is_found(network, program):
    with pytest.raises(InternalError, match=r"connection in\[\d+\]"):
        check(network, with_one(program, "row_exponent", int(np.argmax(program.arrays.row_shared)), lambda e: e + 1))


def test_a_lost_axon_is_found(network, program):
    """On the sending side alone, and on both sides."""
    a = program.arrays
    with pytest.raises(InternalError, match=r"the axons of .* and core \d+ do not match"):
        check(network, with_one(program, "out_core", 0, lambda c: (c + 1) % program.n_cores))
    last = int(a.segment_ptr[-2])
    assert len(a.axon_source) == len(a.out_core)
    sender, core = int(a.axon_source[-1]), program.n_cores - 1
    heard_on = a.out_core[a.out_ptr[sender] : a.out_ptr[sender + 1]]
    gone = int(a.out_ptr[sender]) + int(np.flatnonzero(heard_on == core)[0])
    ptr = a.axon_ptr.copy()
    ptr[-1] -= 1
    out = a.out_ptr.copy()
    out[sender + 1 :] -= 1
    lost = changed(program, axon_ptr=ptr, axon_source=a.axon_source[:-1], segment_ptr=a.segment_ptr[:-1], out_ptr=out,
                   segment_row=a.segment_row[:last], segment_base=a.segment_base[:last],
                   out_core=np.delete(a.out_core, gone))
    with pytest.raises(InternalError, match="lacks its synapse"):
        check(network, lost)


def test_a_segment_too_many_is_found(network, program):
    a = program.arrays
    ptr = a.segment_ptr.copy()
    ptr[-1] += 1
    twice = changed(program, segment_ptr=ptr, segment_row=np.r_[a.segment_row, a.segment_row[-1]],
                    segment_base=np.r_[a.segment_base, a.segment_base[-1]])
    with pytest.raises(InternalError, match="a synapse too many"):
        check(network, twice)


def test_a_neuron_placed_twice_is_found(network, program):
    with pytest.raises(InternalError, match=r"id \d+ is placed 0 times"):
        check(network, with_one(program, "source_id", 3, int(program.arrays.source_id[4])))


@pytest.mark.parametrize("name", ["vth", "bias", "reset", "du"])
def test_a_wrong_parameter_is_found(network, program, name):
    with pytest.raises(InternalError, match=rf"{name} of (a|b)\[\d+\] should be"):
        check(network, with_one(program, name, 7, lambda v: v + 1))


def test_a_wrong_readout_is_found(network, program):
    with pytest.raises(InternalError, match="output out reads"):
        check(network, dataclasses.replace(program, outputs={"out": ("a",)}))


def test_several_synapses_of_one_pair_are_held_against_each_other():
    """Two synapses from 0 to 0 with different delays, swapped, are not the same; the order does not matter."""
    twice = Synapses((1,), (2,), np.array([0, 0, 0]), np.array([0, 0, 1]), np.array([2, 4, 6]), np.array([1, 3, 1]))
    net = Network("t", {"in": Input((1,)), "s": twice, "b": cells(2), "out": Output((2,))},
                  (Edge("in", "s"), Edge("s", "b"), Edge("b", "out")), Semantics())
    program = map_network(net, LOIHI2, MapOptions())
    a = program.arrays
    check(net, changed(program, weight=a.weight[[1, 0, 2]], delay=a.delay[[1, 0, 2]]))
    with pytest.raises(InternalError, match=r"in\[0\] -> b\[0\] should be"):
        check(net, changed(program, delay=a.delay[[1, 0, 2]]))


@pytest.mark.parametrize("seed", range(40))
def test_every_kind_of_network_maps_and_passes(seed):
    """All neuron models, second inputs, groups, dilation, loops: mapped, checked inside, and within all limits."""
    net = random_integer_network(seed, lava=False).network
    program = map_network(net, LOIHI2, MapOptions(packing=("layer", "dense", "spread")[seed % 3]))
    assert legality(program, LOIHI2) == ()
