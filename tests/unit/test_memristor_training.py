"""What training costs by the rules of the report, counted by hand on small networks and on the paper's sizes."""

from __future__ import annotations

import json
import math

import pytest

from hwsdk.backends import memristor_training as training
from hwsdk.backends.memristor_training import Encoder, Task, compare, liquid, prototypical, through_time

SMALL = Task("small", (Encoder("a", 3, 4, 5),), 2, "by hand", ways=2, shots=1, queries=2)
PAIR = Task("pair", (Encoder("a", 3, 4, 5), Encoder("b", 2, 1, 7)), 2, "by hand", batch=6)


def walked(task: Task) -> tuple[int, int]:
    """MAC forward and backward of one sample through time, one product after another."""
    forward = backward = 0
    for e in task.encoders:
        for _ in range(e.steps):
            for _ in range(e.neurons):
                forward += e.inputs + e.neurons  # sums
                backward += e.inputs + e.neurons  # gradients of the weights
                backward += e.neurons  # the error, back through the recurrence
        for _ in range(task.outputs):
            forward += e.neurons
            backward += 2 * e.neurons  # gradients of weights and of the features
    return forward, backward


@pytest.mark.parametrize("task", [SMALL, PAIR, *(t for t in training.TASKS if t.name != "zero-shot, EEG to images")])
def test_through_time_is_what_a_walk_counts(task):
    forward, backward = walked(task)
    compared = task.batch * task.outputs if len(task.encoders) > 1 else 0
    found = through_time(task)
    assert (found.forward, found.backward) == (forward + compared, backward + 2 * compared)
    assert found.trained == sum(e.inputs * e.neurons + e.neurons**2 + e.neurons * task.outputs for e in task.encoders)


def test_a_small_liquid_by_hand():
    found = liquid(SMALL)
    assert (found.trained, found.fixed) == (8, 28)
    assert (found.forward, found.backward) == (8, 8), "the readout alone, without the gradient of its inputs"
    assert found.in_memory == 5 * 28
    assert (found.digital, found.total) == (16, 156)


def test_two_modalities_are_compared_within_the_batch():
    found = liquid(PAIR)
    heads = 4 * 2 + 1 * 2
    assert (found.forward, found.backward) == (heads + 6 * 2, heads + 2 * 6 * 2)
    assert found.in_memory == 5 * 28 + 7 * 3


def test_a_query_pays_for_its_share_of_the_shots():
    forward, backward = walked(SMALL)
    found = prototypical(SMALL)
    assert found.forward == round(1.5 * forward) + 2 * 2
    assert found.backward == round(1.5 * backward) + 2 * 2 * 2
    more = prototypical(Task("more", SMALL.encoders, 2, "by hand", ways=2, shots=4, queries=2))
    assert more.forward == 3 * forward + 4


def test_the_sizes_of_the_paper():
    nmnist, tidigits, sounds, eeg = compare().comparisons
    assert [m.trained for m in nmnist.methods] == [2_000, 93_200, 93_200]
    assert [m.trained for m in tidigits.methods] == [2_200, 55_000, 55_000]
    assert [m.trained for m in sounds.methods] == [25_600, 169_600, 169_600]
    assert [m.trained for m in eeg.methods] == [2_097_152, 12_484_608, 12_484_608]
    assert nmnist.weights(nmnist.methods[1]) == pytest.approx(46.6)
    for c in (nmnist, tidigits, sounds):
        own, through, proto = c.methods
        assert c.factor(own) == c.factor(own, in_memory=True) == 1.0
        assert 100 < c.factor(through) < c.factor(proto)
        assert 2 < c.factor(through, in_memory=True) < 3, "the steps of the liquid themselves are most of the work"


def test_unknown_steps_leave_the_counts_unknown():
    eeg = compare().comparisons[-1]
    assert [m.forward for m in eeg.methods][1:] == [None, None]
    assert eeg.methods[0].in_memory is eeg.methods[0].total is None
    assert eeg.methods[0].digital is not None
    assert all(eeg.factor(m, in_memory=True) is None for m in eeg.methods)
    assert eeg.factor(eeg.methods[1]) is None


def test_the_report_says_what_is_not_known():
    text = compare().to_text()
    for x in ("152.83 x lower", "393.07 x lower", "23.34 x better", "160 x better", "own counting is not known",
              "unknown steps", "s43588-024-00751-z"):
        assert x in text
    assert max(map(len, text.splitlines())) < 160
    found = json.loads(json.dumps(compare().to_dict()))
    assert sorted(found["published"]["factors"].values()) == [23.34, 152.83, 160.0, 393.07]
    assert len(found["rules"]) == len(training.RULES)
    first = found["tasks"][0]["methods"]
    assert first[0]["factor_digital"] == 1.0 and math.isclose(first[1]["factor_weights"], 46.6)
    assert found["tasks"][-1]["methods"][1]["total"] is None


def test_own_tasks():
    text = compare([SMALL]).to_text()
    assert "small: a 3-4, 5 steps; 2 outputs\n    [by hand]\n" in text
    assert "N-MNIST" not in text
