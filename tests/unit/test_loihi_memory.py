"""The core-memory model against Intel compiler print-outs (lava-dl notebooks; zmeidd/loihi_2_EMSTDP Example.ipynb)."""

from __future__ import annotations

import numpy as np
import pytest

from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import IF
from hwsdk.ir.nodes import Conv, Input, Linear, Output
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.loihi import MapOptions, map_network
from hwsdk.mappers.loihi_memory import population_memory, total_words
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.quantize import Quantize
from hwsdk.simulators import loihi
from hwsdk.targets import load_target

LOIHI2 = load_target("loihi2")


def neurons(shape):
    return IF(np.ones(shape), np.ones(shape), np.zeros(shape))


def dense(n_in: int, n_out: int, bits: int = 8) -> Network:
    rng = np.random.default_rng(0)
    weight = rng.choice([-1.0, 1.0], (n_out, n_in)) * rng.uniform(0.3, 1, (n_out, n_in))
    net = Network("d", {"in": Input((n_in,)), "w": Linear(weight), "p": neurons((n_out,)), "out": Output((n_out,))},
                  (Edge("in", "w"), Edge("w", "p"), Edge("p", "out")), Semantics())
    return Quantize(bits=bits)(Lower()(net))[0]


# n_in, n_out, printed axon_in %, neurons %, synapses %, total % ; bits that the compiler had left (12 + b per synapse)
EMSTDP = [
    (10, 10, 0.06, 0.24, 0.19, 0.30),
    (10, 100, 0.06, 2.44, 2.0, 2.66),
    (100, 10, 0.62, 0.24, 2.5, 2.60),
    (200, 100, 1.25, 2.44, 40.0, 34.01),
]


@pytest.mark.parametrize("row", EMSTDP)
def test_dense_layers_take_what_the_compiler_printed(row):
    n_in, n_out, axons, cells, synapses, total = row
    used = population_memory(dense(n_in, n_out), "p", LOIHI2).usage(np.zeros(n_out, np.int64), 1).of(0)
    assert used["axons_in"] / 160 == pytest.approx(axons, abs=0.01)
    assert used["neurons"] / 40.95 == pytest.approx(cells, abs=0.01)
    assert used["synapse_words"] / 160 == pytest.approx(synapses, abs=0.35)  # "a few %" where zero weights were dropped
    assert total_words({**used, "axons_out": n_out}) / 200 == pytest.approx(total, abs=0.4)


# lava-dl PilotNet SDNN: layer, input channels, kernel, output channels, words a core as printed
PILOTNET = [(3, (3, 3), 24, 81), (24, (3, 3), 36, 864), (36, (3, 3), 48, 1620), (48, (3, 3), 64, 2592),
            (64, (3, 3), 64, 2880)]


@pytest.mark.parametrize(("c_in", "kernel", "c_out", "printed"), PILOTNET)
def test_shared_kernels_take_c_in_kh_kw_times_a_few_words(c_in, kernel, c_out, printed):
    """The printed words fit  C_in kh kw ceil((C_out b + 10) / 64)  for a weight width b between 4 and 8 bits."""
    words = {c_in * 9 * -(-(c_out * bits + 10) // 64) for bits in range(4, 9)}
    assert printed in words
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(c_out, c_in, *kernel))
    net = Network("c", {"in": Input((c_in, 6, 6)), "w": Conv(weight, None, (1, 1), ((1, 1), (1, 1)), (1, 1)),
                        "p": neurons((c_out, 6, 6)), "out": Output((c_out, 6, 6))},
                  (Edge("in", "w"), Edge("w", "p"), Edge("p", "out")), Semantics())
    whole = Quantize()(Lower()(net))[0]
    used = population_memory(whole, "p", LOIHI2).usage(np.zeros(c_out * 36, np.int64), 1).of(0)
    assert used["synapse_words"] == c_in * 9 * -(-(c_out * 8 + 10) // 64)


def test_oxford_needs_no_more_cores_than_the_compiler_took():
    """Dense 256 -> 200 on 2 cores of 100 neurons and 8,064 words, 200 -> 256 on 3 cores of 85 (as printed)."""
    program = map_network(dense(256, 200), LOIHI2, MapOptions())
    assert program.n_cores == 2
    assert all(u["neurons"] == 100 and abs(u["synapse_words"] - 8064) / 8064 < 0.02 for u in program.usage)
    assert map_network(dense(200, 256), LOIHI2, MapOptions()).n_cores <= 3


def test_a_split_layer_still_computes_the_same():
    whole = dense(256, 200)
    program = map_network(whole, LOIHI2, MapOptions())
    rng = np.random.default_rng(1)
    data = Stimulus({"in": events_from_dense(rng.integers(0, 2, (1, 5, 256)), (256,))})
    from hwsdk.simulators import reference

    assert reference.run(whole, data, probes="all").first_difference(loihi.run(program, data, probes="all")) is None


def test_neurons_that_all_differ_are_cut_by_groups():
    """8 groups a core: 24 neurons with 24 thresholds take 3 cores or more, whatever the population's shape."""
    theta = np.linspace(1, 2, 24).reshape(2, 3, 4)
    cells = IF(np.ones((2, 3, 4)), theta, np.zeros((2, 3, 4)))
    net = Network("g", {"in": Input((2, 3, 4)), "p": cells, "out": Output((2, 3, 4))},
                  (Edge("in", "p"), Edge("p", "out")), Semantics())
    program = map_network(Quantize()(Lower()(net))[0], LOIHI2, MapOptions())
    assert 3 <= program.n_cores <= 4
    assert all(u["groups"] <= 8 for u in program.usage)


def test_wide_convolutions_are_cut_by_channel_and_by_place():
    """Neither cut alone fits: all channels take too many words, all places too many axons."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(96, 300, 3, 3))
    net = Network("w", {"in": Input((300, 8, 8)), "w": Conv(weight, None, (1, 1), ((1, 1), (1, 1)), (1, 1)),
                        "p": neurons((96, 8, 8)), "out": Output((96, 8, 8))},
                  (Edge("in", "w"), Edge("w", "p"), Edge("p", "out")), Semantics())
    program = map_network(Quantize()(Lower()(net))[0], LOIHI2, MapOptions())
    assert program.n_cores <= 40
