"""Where learned weights lie in a SpiNNaker program, and what the check, the file and the simulator make of that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spinnaker_small import SmallChip, small_backend

import hwsdk
from hwsdk.backends.base import CompileOptions
from hwsdk.errors import DataError, InternalError, ProgramError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.plastic import StoredPairSTDP
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.single import SingleLIF
from hwsdk.mappers.spinnaker_check import check
from hwsdk.programs.spinnaker import Learned, SpinnakerProgram
from hwsdk.simulators import reference
from hwsdk.simulators.spinnaker_walk import walk

RULES = [StoredPairSTDP(4.0, 5.0, a, 3.0, 0, most) for a, most in ((7.0, 300), (9.0, 301))]
SHAPES = {"in": (4,), "more": (4,)}


def network_of(learns: bool = True) -> Network:
    """Two inputs, each with a projection of its own rule onto six neurons; all synapses have one weight and delay."""
    b = NetworkBuilder("learn").input("in", 4).input("more", 4)
    b.population("p", neuron(SingleLIF, 6, decay_u=0.0, decay_v=0.9, v_threshold=400.0))
    for source, rule in zip(("in", "more"), RULES, strict=True):
        b.connect(source, "p", weight=np.full((6, 4), 100), delay_ticks=2, name=f"from {source}",
                  **({"plasticity": rule} if learns else {}))
    return b.output("out", "p").build(Semantics())


def program_of(network: Network, neurons: int = 4) -> SpinnakerProgram:
    """In PEs of so many neurons."""
    return small_backend(SmallChip(neurons)).compile(network, CompileOptions(), lambda _: None)


def data(steps: int = 20) -> Stimulus:
    rng = np.random.default_rng(1)
    return Stimulus.dense({n: (rng.random((2, steps, 4)) < 0.5).astype(int) for n in SHAPES}, SHAPES)


def with_arrays(program: SpinnakerProgram, **arrays: Any) -> SpinnakerProgram:
    return replace(program, arrays=replace(program.arrays, **arrays))


def swapped(program: SpinnakerProgram, a: int, b: int) -> SpinnakerProgram:
    """Two synapses are each said to be the other."""
    numbers = program.arrays.learned_synapse.copy()
    i, k = (int(np.flatnonzero(numbers == x)[0]) for x in (a, b))
    numbers[[i, k]] = numbers[[k, i]]
    return with_arrays(program, learned_synapse=numbers)


def test_words_are_named_by_pe_entry_and_row() -> None:
    """Neurons 0 to 2 and 3 to 5 on a PE each, which hears both inputs."""
    program = program_of(network_of())
    node = network_of().nodes["from in"]
    assert program.learned == (Learned("from in", 24, 300), Learned("from more", 24, 301))
    assert np.diff(program.arrays.learned_ptr).tolist() == [0, 0, 24, 24]
    found = []
    for own in (range(3), range(3, 6)):
        for first in (0, 24):
            found += [first + int(np.flatnonzero((node.source == s) & (node.target == t))[0])
                      for s in range(4) for t in own]
    assert program.arrays.learned_synapse.tolist() == found
    assert "learned from more 24 synapses up to 301\n" in program.to_text()


@pytest.mark.parametrize("neurons", [1024, 4, 1])
def test_weights_are_those_of_the_reference_after_every_step(neurons: int) -> None:
    network = network_of()
    expected = reference.run(network, data(), probes="all")
    program = program_of(network, neurons)
    got = hwsdk.simulate(program, data(), probes="all")
    assert expected.states.keys() == got.states.keys()
    assert expected.first_difference(got) is None
    weight = got.states["from more", "weight"]
    assert weight.shape == (2, 20, 24)
    assert (weight[:, -1] != weight[:, -2]).any()
    assert (weight[0] != weight[1]).any()
    one = hwsdk.simulate(program, data(), probes=[("from more", "weight")])
    assert list(one.states) == [("from more", "weight")]
    np.testing.assert_array_equal(one.states["from more", "weight"], weight)
    for name, counted in hwsdk.simulate(program, data()).counts.items():
        np.testing.assert_array_equal(counted, got.counts[name])


def test_a_walk_tells_what_was_learned_without_changing_anything() -> None:
    program = program_of(network_of())
    expected = hwsdk.simulate(program, data().one(1), probes="all")
    moving = walk(program)
    start = moving.weights()
    assert {n: set(w.tolist()) for n, w in start.items()} == {"from in": {100.0}, "from more": {100.0}}
    for t in range(20):
        moving.step({n: e.one(1).at_step(t).ravel() for n, e in data().inputs.items()})
        for name, weight in moving.weights().items():
            np.testing.assert_array_equal(weight, expected.states[name, "weight"][0, t])
    assert expected.first_difference(moving.trace()) is None
    moving.reset()
    np.testing.assert_array_equal(moving.weights()["from in"], start["from in"])


def test_a_file_keeps_where_the_weights_are(tmp_path: Path) -> None:
    program = program_of(network_of())
    loaded = SpinnakerProgram.load(program.save(tmp_path / "p.hwx"))
    assert (loaded.learned, loaded.digest()) == (program.learned, program.digest())
    a, b = (hwsdk.simulate(p, data(), probes="all") for p in (program, loaded))
    assert a.first_difference(b) is None
    np.testing.assert_array_equal(a.states["from in", "weight"], b.states["from in", "weight"])


def test_what_does_not_learn_has_no_weights_to_probe() -> None:
    program = program_of(network_of(learns=False))
    assert program.learned == ()
    assert not len(program.arrays.learned_ptr) and not len(program.arrays.learned_synapse)
    with pytest.raises(DataError, match=r"no state 'weight' of 'from in'"):
        hwsdk.simulate(program, data(), probes=[("from in", "weight")])
    assert walk(program).weights() == {}
    with pytest.raises(DataError, match="probe weight of from in"):
        hwsdk.simulate(program_of(network_of()), data(), probes=[("from in", "u")])


@pytest.mark.parametrize(("a", "b", "text"), [
    (3, 4, "neuron"), (0, 23, "neuron"), (0, 4, "target"), (5, 29, "sender 1, is 0, learner 2, is 1")])
def test_the_check_finds_a_synapse_that_is_said_to_be_another(a: int, b: int, text: str) -> None:
    """All of one weight and delay here; those are told apart below."""
    network = network_of()
    program = program_of(network)
    check(network, program)
    with pytest.raises(InternalError, match=rf"word \d+ that learns of PE [23] should be synapse \d+ of .*: .*{text}"):
        check(network, swapped(program, a, b))


@pytest.mark.parametrize(("field", "text"), [("weight", "weight 7, is 100"), ("delay_ticks", "delay 7, is 2")])
def test_the_check_tells_synapses_of_a_pair_apart(field: str, text: str) -> None:
    network = network_of()
    node = network.nodes["from in"]
    columns = {f: np.r_[getattr(node, f), getattr(node, f)[:1]] for f in ("source", "target", "weight", "delay_ticks")}
    columns[field][-1] = 7
    network = network.replace(nodes={**network.nodes, "from in": replace(node, **columns)})
    program = program_of(network)
    with pytest.raises(InternalError, match=rf"should be synapse (0|24) of from in: ({text}|\w+ \d+, is 7)$"):
        check(network, swapped(program, 0, 24))


def test_the_check_finds_what_is_not_named_once() -> None:
    network = network_of()
    program = program_of(network)
    a = program.arrays
    twice, fewer = a.learned_synapse.copy(), a.learned_ptr.copy()
    twice[5] = twice[6]
    fewer[3] -= 1
    for damaged in (with_arrays(program, learned_synapse=twice), with_arrays(program, learned_ptr=fewer),
                    with_arrays(program, learned_synapse=a.learned_synapse[:-1]),
                    with_arrays(program, learned_ptr=a.learned_ptr[:0])):
        with pytest.raises(InternalError, match="does not name every synapse that learns exactly once"):
            check(network, damaged)
        with pytest.raises(ProgramError, match="its learned synapses are not those of the images"):
            hwsdk.simulate(damaged, data())
    for other in ((), program.learned[::-1], (replace(program.learned[0], w_max=9), program.learned[1])):
        with pytest.raises(InternalError, match=r"^from in, from more should learn, the program says "):
            check(network, replace(program, learned=other))
    for n, name in ((-1, "x"), (25, "x"), (24, "p"), (24, "from in"), (1 << 60, "x")):
        with pytest.raises(ProgramError, match="its learned synapses are not those of the images"):
            hwsdk.simulate(replace(program, learned=(program.learned[0], Learned(name, n, 9))), data())
    with pytest.raises(ProgramError, match="its learned synapses are not those of the images"):
        hwsdk.simulate(replace(program, learned=(Learned("x", -1, 9), Learned("y", 49, 9))), data())
    still = network_of(learns=False)
    with pytest.raises(InternalError, match=r"^nothing should learn"):
        check(still, replace(program_of(still), learned=program.learned))
