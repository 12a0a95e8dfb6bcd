"""What an analog-to-digital converter gives, as the reference computes it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from hwsdk.errors import ModelError
from hwsdk.ir.affine import apply_map
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.nodes import Input, Output, Quantise, Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.simulators import reference

FLOAT = np.dtype(np.float64)


def quantise(step, offset=0.0, low=-8, high=7):
    step = np.asarray(step, np.float64)
    return Quantise(step, np.broadcast_to(np.float64(offset), step.shape), low, high)


def test_steps_halves_and_range():
    node = quantise([0.5] * 7)
    x = np.array([[0.0, 0.24, 0.25, 0.26, 0.75, -9.0, 99.0]])
    np.testing.assert_array_equal(apply_map(node, x, FLOAT), [[0, 0, 0, 0.5, 1.0, -4.0, 3.5]])


def test_offset_is_in_steps_and_stays_in_the_output():
    np.testing.assert_array_equal(apply_map(quantise([2.0, 2.0], 0.6), np.array([[0.0, 1.0]]), FLOAT), [[2.0, 2.0]])


def test_without_a_step_nothing_is_converted():
    np.testing.assert_array_equal(apply_map(quantise([0.0, 1.0]), np.array([[123.456, 123.456]]), FLOAT),
                                  [[123.456, 7.0]])


def test_shape_is_checked():
    with pytest.raises(ModelError, match="SHAPE_MISMATCH"):
        quantise([1.0, 1.0]).out_shape((3,))


def converted(step):
    """One neuron that sums a spike of 0.3 through a converter every step, and fires above 0.5."""
    zero, one = np.zeros(1), np.ones(1)
    index = np.zeros(1, np.int64)
    weight = Synapses((1,), (1,), index, index, np.array([0.3]), index)
    sums = Synapses((1,), (1,), index, index, one, index)
    cell = DiscreteLIF(zero, one, zero, 0.5 * one, zero, zero, zero, zero, zero, zero)
    nodes = {"in": Input((1,)), "w": weight, "adc": quantise([step], 0.0, 0, 3), "sum": sums, "n": cell,
             "out": Output((1,))}
    chain = ("in", "w", "adc", "sum", "n", "out")
    return Network("adc", nodes, tuple(Edge(*e) for e in pairwise(chain)), Semantics())


def test_in_a_network_it_moves_spikes():
    data = Stimulus.dense(np.ones((1, 6, 1)), {"in": (1,)})
    assert converted(0.0).is_discrete
    fine = reference.run(converted(0.0), data).spikes["n"].step
    coarse = reference.run(converted(0.5), data).spikes["n"].step
    np.testing.assert_array_equal(fine, [1, 3, 5])
    np.testing.assert_array_equal(coarse, [1, 3, 5])  # 0.3 becomes 0.5, which is not above 0.5
    np.testing.assert_array_equal(reference.run(converted(0.7), data).spikes["n"].step, [])
