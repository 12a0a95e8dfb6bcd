"""Our mappings against what Intel's compiler printed (lava-dl notebooks): PilotNet SDNN and Oxford on Loihi 2.

The networks have the published shapes and random weights. The step of a split is the longest core's: neuron updates
(two passes for sigma-delta neurons) or synaptic operations, whichever takes longer, at the same activity for both.
"""

from __future__ import annotations

import numpy as np
import pytest

from hwsdk.ir.fixed import FixedLIF, FixedSigmaDelta
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import ConvSynapses, Input, Output, Shape, Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.loihi import MapOptions, legality, map_network
from hwsdk.mappers.objective import Times
from hwsdk.programs.loihi import LoihiProgram
from hwsdk.targets import load_target

LOIHI2 = load_target("loihi2")
LAYERS = [(24, 99, 32), (36, 49, 15), (48, 24, 7), (64, 22, 4), (64, 20, 2), (100,), (50,), (10,), (1,)]
STRIDES = [(2, 2), (2, 2), (2, 2), (1, 2), (1, 1)]
"""(x, y) of each convolution, 3 x 3 kernels; 22 x 4 follows from 24 x 7 with padding in y and stride (1, 2)."""
PADDING = [((0, 0), (0, 0))] * 3 + [((0, 0), (1, 1)), ((0, 0), (0, 0))]
INTEL_CORES = [25, 13, 3, 3, 2, 12, 1, 1, 1]
"""lava-dl tutorials, pilotnet_sdnn: 61 cores."""


def dense(pre: Shape, n: int, seed: int) -> Synapses:
    m = int(np.prod(pre))
    weight = np.random.default_rng(seed).integers(1, 100, m * n) * 2
    return Synapses(pre, (n,), np.repeat(np.arange(m), n), np.tile(np.arange(n), m), weight, np.ones(m * n, np.int64))


def pilotnet() -> Network:
    """3 x 200 x 66 input, sigma-delta neurons everywhere."""
    nodes, edges, at, shape = {"in": Input((3, 200, 66))}, [], "in", (3, 200, 66)
    for k, out in enumerate(LAYERS):
        if k < len(STRIDES):
            weight = np.random.default_rng(k).integers(1, 100, (out[0], shape[0], 3, 3)) * 2
            nodes[f"w{k}"] = ConvSynapses(shape, out, out, weight, STRIDES[k], PADDING[k], (1, 1))
        else:
            nodes[f"w{k}"] = dense(shape, out[0], k)
        nodes[f"p{k}"] = FixedSigmaDelta(np.full(out, 10), np.zeros(out, np.int64))
        edges += [Edge(at, f"w{k}"), Edge(f"w{k}", f"p{k}")]
        at, shape = f"p{k}", out
    nodes["out"] = Output((1,))
    return Network("pilotnet", nodes, (*edges, Edge(at, "out")), Semantics())


def oxford() -> Network:
    def cells(n: int) -> FixedLIF:
        z = np.zeros(n, np.int64)
        return FixedLIF(z, z, z + 100, z, z, z, z, z, np.ones(n), np.zeros(n))

    nodes = {"in": Input((200,)), "w0": dense((200,), 256, 0), "p0": cells(256), "w1": dense((256,), 200, 1),
             "p1": cells(200), "out": Output((200,))}
    edges = (Edge("in", "w0"), Edge("w0", "p0"), Edge("p0", "w1"), Edge("w1", "p1"), Edge("p1", "out"))
    return Network("oxford", nodes, edges, Semantics())


def synapses_of(program: LoihiProgram) -> np.ndarray:
    """(cores) synapses that act if every source fires."""
    a = program.arrays
    core = np.repeat(np.arange(program.n_cores), np.diff(a.axon_ptr)).repeat(np.diff(a.segment_ptr))
    return np.bincount(core, weights=np.diff(a.row_ptr)[a.segment_row], minlength=program.n_cores)


def step_of(neurons: np.ndarray, synapses: np.ndarray, activity: float, two_pass: bool) -> float:
    t = Times.of(LOIHI2)
    return float(np.maximum(neurons * (t.two_pass if two_pass else t.update), synapses * activity * t.private).max())


def intel_step(network: Network, cores: list[int], activity: float, two_pass: bool) -> float:
    """Every layer in equal parts on as many cores as Intel's compiler took."""
    layers = list(network.populations)
    each = synapses_of(map_network(network, LOIHI2, MapOptions(effort="none")))
    program = map_network(network, LOIHI2, MapOptions(effort="none"))
    owner = [next(layers.index(s.name) for s in program.populations if s.first <= i < s.first + s.n)
             for i in program.arrays.source_id[program.arrays.neuron_ptr[:-1]]]
    total = np.bincount(owner, weights=each)
    size = np.array([c.n for c in network.populations.values()])
    return step_of(-(-size // np.array(cores)), total / np.array(cores), activity, two_pass)


@pytest.mark.parametrize("activity", [1.0, 0.1, 0.01])
def test_pilotnet_takes_fewer_cores_than_intel_and_no_longer_a_step(activity):
    network = pilotnet()
    assert [network.populations[f"p{k}"].n for k in range(9)] == [int(np.prod(s)) for s in LAYERS]
    bound = intel_step(network, INTEL_CORES, activity, True)
    rates = dict.fromkeys(("in", *network.populations), activity)
    for packing in ("layer", "dense"):
        program = map_network(network, LOIHI2, MapOptions(packing=packing, step_time=bound, activity=rates))
        assert legality(program, LOIHI2) == ()
        assert program.n_cores < sum(INTEL_CORES) - 8
        step = step_of(np.diff(program.arrays.neuron_ptr), synapses_of(program), activity, True)
        assert step <= bound * 1.000001
        print(f"activity {activity}: {packing} {program.n_cores} cores, {step * 1e6:.1f} us; Intel 61 cores, "
              f"{bound * 1e6:.1f} us")


def test_oxford_takes_fewer_cores_than_intel_and_no_longer_a_step():
    network = oxford()
    bound = intel_step(network, [3, 2], 1.0, False)
    program = map_network(network, LOIHI2, MapOptions(step_time=bound))
    step = step_of(np.diff(program.arrays.neuron_ptr), synapses_of(program), 1.0, False)
    assert program.n_cores <= 4
    assert step <= bound * 1.000001
    assert map_network(network, LOIHI2, MapOptions()).n_cores == 3
