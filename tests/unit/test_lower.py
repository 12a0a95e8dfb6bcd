"""Lowering: convolutions that stay one kernel, and factors behind a readout."""

from __future__ import annotations

import numpy as np
import pytest

from hwsdk.errors import UnsupportedError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import IF, LI, CubaLI, I, Neuron
from hwsdk.ir.nodes import Conv, ConvSynapses, Delay, Flatten, Input, Linear, Node, Output, Pool2d, Scale, Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers import maps
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.quantize import Quantize
from hwsdk.simulators import reference


def chain(*nodes: Node, shape: tuple[int, ...], out: tuple[int, ...]) -> Network:
    """in -> n0 -> n1 ... -> out."""
    named = {"in": Input(shape), **{f"n{i}": n for i, n in enumerate(nodes)}, "out": Output(out)}
    names = list(named)
    return Network("chain", named, tuple(map(Edge, names[:-1], names[1:])), Semantics())


def cells(shape: tuple[int, ...]) -> IF:
    return IF(np.ones(shape), np.ones(shape), np.zeros(shape))


def conv(c_out: int, c_in: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1) -> Conv:
    weight = np.random.default_rng(kernel).normal(size=(c_out, c_in // groups, kernel, kernel))
    return Conv(weight, None, (stride, stride), ((padding, padding),) * 2, (1, 1), groups)


POOL = Pool2d((2, 2), (2, 2))
FORMS = {
    "pool, then a convolution with padding": ((POOL, conv(3, 2, 3, padding=1)), (3, 4, 4), (6, 6), 1),
    "convolution, then a pool": ((conv(3, 2, 3, padding=1), POOL), (3, 4, 4), (4, 4), 1),
    "two convolutions, the second without padding": ((conv(3, 2, 3, padding=1), conv(2, 3, 3)), (2, 6, 6), (5, 5), 1),
    "depthwise after pool": ((POOL, conv(2, 2, 3, groups=2)), (2, 2, 2), (6, 6), 2),
    "a factor a channel and a delay": ((conv(3, 2, 3), Scale(np.full((3, 6, 6), 2.0)), Delay(np.full((3, 6, 6), 4))),
                                       (3, 6, 6), (3, 3), 1),
    "flattened": ((conv(3, 2, 3), Flatten(0, -1)), (108,), (3, 3), 1),
}


@pytest.mark.parametrize("case", FORMS)
def test_what_is_one_convolution_stays_one(case: str) -> None:
    nodes, shape, kernel, groups = FORMS[case]
    (node,) = Lower()(chain(*nodes, cells(shape), shape=(2, 8, 8), out=shape)).of(ConvSynapses).values()
    assert isinstance(node, ConvSynapses)
    assert (node.kernel, node.groups, node.post_shape) == (kernel, groups, shape)
    assert node.delay_ticks == (5 if "delay" in case else 1) - ("delay" in case)


WRITTEN_OUT = {
    "two convolutions with padding": ((conv(3, 2, 3, padding=1), conv(2, 3, 3, padding=1)), (2, 8, 8)),
    "a pool that leaves a row, then padding": ((Pool2d((3, 3), (3, 3)), conv(2, 2, 3, padding=1)), (2, 2, 2)),
    "a factor a neuron": ((conv(3, 2, 3), Scale(np.arange(108.0).reshape(3, 6, 6) + 1)), (3, 6, 6)),
    "a delay a neuron": ((conv(3, 2, 3), Delay(np.arange(108).reshape(3, 6, 6))), (3, 6, 6)),
    "one to one": ((Scale(np.full((2, 8, 8), 3.0)),), (2, 8, 8)),
}


@pytest.mark.parametrize("case", WRITTEN_OUT)
def test_what_is_no_convolution_is_written_out(case: str) -> None:
    nodes, shape = WRITTEN_OUT[case]
    (node,) = Lower()(chain(*nodes, cells(shape), shape=(2, 8, 8), out=shape)).of(Synapses, ConvSynapses).values()
    assert isinstance(node, Synapses)
    assert node.shared is None


def test_a_large_convolution_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is written out: neither the limit on synapses nor the matrix is touched."""
    monkeypatch.setattr(maps, "conv_matrix", None)
    monkeypatch.setattr(maps, "MAX_SYNAPSES", 1000)
    nodes = (conv(8, 2, 3, padding=1), cells((8, 64, 64)), POOL, conv(4, 8, 3), cells((4, 30, 30)))
    net = chain(*nodes, shape=(2, 64, 64), out=(4, 30, 30))
    whole, report = Quantize()(Lower()(net))
    assert len(whole.of(ConvSynapses)) == 2
    assert sum(r.synapses for r in report.layers) > 500_000


READERS: dict[str, Neuron] = {
    "I": I(np.full((2, 3), 0.5)), "LI": LI(np.full((2, 3), 3.0), np.full((2, 3), 2.0), np.full((2, 3), 0.25)),
    "CubaLI": CubaLI(*(np.full((2, 3), v) for v in (2.0, 3.0, 1.5, 0.25, 0.5))),
}


@pytest.mark.parametrize("reader", READERS)
def test_factors_behind_a_readout_move_into_its_weights(reader: str) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.uniform(-2, 2, (2, 3)), rng.uniform(-2, 2, 6)
    net = chain(Scale(rng.normal(size=(2, 3))), READERS[reader], Scale(first), Flatten(0, -1), Scale(second),
                shape=(2, 3), out=(6,))
    low = Lower()(net)
    assert [e.node for e in low.ledger.entries if e.code == "FACTOR_FOLDED"] == ["n1"]
    data = Stimulus.dense((rng.random((20, 2, 3)) < 0.5) * 1, {"in": (2, 3)})
    expected, got = (reference.run(n, data).aligned("out", 20).dense(0) for n in (net, low))
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_a_readout_that_two_outputs_read_keeps_its_own_unit() -> None:
    nodes: dict[str, Node] = {"in": Input((2,)), "w": Linear(np.eye(2)), "p": I(np.ones(2)),
                              "s": Scale(np.full(2, 3.0)), "a": Output((2,)), "b": Output((2,))}
    edges = [("in", "w"), ("w", "p"), ("p", "s"), ("p", "a"), ("s", "b")]
    with pytest.raises(UnsupportedError, match=r"^\[ANALOG_CONNECTION\] p: I has no spikes, yet it feeds s"):
        Lower()(Network("two", nodes, tuple(Edge(*e) for e in edges), Semantics()))
