"""The content-addressable memory (examples/cam_memory.py) on the simulator of SpiNNaker 2, beyond the published tables:
random sequences answer as a dictionary does, long ones spike as the model in float64 does.
"""

from __future__ import annotations

from functools import cache

import cam_memories as memories
import pytest
from cam_memories import BITS, CUES, dictionary, few
from hypothesis import given
from spinnaker_small import SmallChip, small_backend
from spinnaker_traces import pes_of, troubles

from examples import cam_memory as cam
from hwsdk.backends.base import CompileOptions
from hwsdk.backends.spinnaker import SpinnakerBackend
from hwsdk.ir.trace import Trace
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.simulators import reference


@cache
def memory() -> tuple[SpinnakerBackend, SpinnakerProgram]:
    """The memory in PEs of 4 neurons."""
    backend = small_backend(SmallChip(4))
    program = backend.compile(cam.cam_network(CUES, BITS), CompileOptions(packing="dense"), lambda _: None)
    assert program.n_pes >= 20
    return backend, program


def ask(operations: list[cam.Operation], slot: int) -> list[tuple[set[int], set[int]]]:
    """The answers of the chip."""
    backend, program = memory()
    trace = backend.simulate(program, cam.stimulus(cam.cam_network(CUES, BITS), operations, slot))
    assert troubles(trace) == {}
    return cam.answers(trace, operations, slot)


@few
@given(memories.sequences)
def test_learning_anew_forgets_at_20_steps_an_operation(operations):
    assert ask(operations, 20) == dictionary(operations)


@few
@given(memories.sequences, memories.several)
def test_what_is_learned_once_is_recalled_at_10_steps_an_operation(operations, several):
    once = memories.learned_once(operations, several)
    assert ask(once, 10) == dictionary(once)


@pytest.mark.parametrize("slot", [10, 20])
@pytest.mark.parametrize(("n_cues", "n_bits", "neurons"), [(3, 4, 2), (5, 10, 1024), (16, 6, 5), (12, 20, 4),
                                                           (40, 30, 16)])
def test_long_sequences_spike_for_spike(n_cues, n_bits, neurons, slot):
    """Learn every cue, recall everything by cue and by content, learn other contents over it, recall again."""
    network = cam.cam_network(n_cues, n_bits)
    operations = memories.long_sequence(n_cues, n_bits, rounds=3)
    data = cam.stimulus(network, operations, slot)
    backend = small_backend(SmallChip(neurons))
    program = backend.compile(network, CompileOptions(packing="dense"), lambda _: None)
    trace = backend.simulate(program, data)
    assert troubles(trace) == {}
    assert set(pes_of(program)) == {*network.inputs, *network.populations}
    assert reference.run(network, data).first_difference(trace) is None
    if slot == 20:
        assert cam.answers(trace, operations, slot) == dictionary(operations)


def run(history: int, operations: list[cam.Operation]) -> tuple[Trace, Trace]:
    """(reference of the chip's numbers, chip) with so many post spikes remembered."""
    network, backend = cam.cam_network(2, 2), SpinnakerBackend("spinnaker2")
    options = CompileOptions(target_options={"history": history})
    data = cam.stimulus(network, operations, 20)
    whole = backend.discrete(network, options)[1]
    return reference.run(whole, data), backend.simulate(backend.compile(network, options, lambda _: None), data)


def test_a_short_history_forgets_a_lesson_and_says_so():
    """What cue 0 learned is worked off when it spikes next. Until then its content must not fire more than ``history``
    times, and each of 100 recalls in between makes it fire once.
    """
    lessons = [cam.learn(0, {0}), cam.learn(1, {0}), *[cam.recall_cue(1)] * 100, cam.recall_cue(0)]
    expected, trace = run(256, lessons)
    assert troubles(trace) == {}
    assert expected.first_difference(trace) is None
    assert cam.answers(trace, lessons, 20) == dictionary(lessons)
    expected, trace = run(64, lessons)
    assert set(troubles(trace)) == {"forgotten_posts"}
    assert expected.first_difference(trace) is None
