"""PilotNet-LIF: lava-dl's ground truth of two dense layers, replayed bit for bit by reference and chip simulator.

Ground truth: lava-nc/lava-dl tests/lava/lib/dl/netx/gts/pilotnet_lif, network.net of the same repository. Integers:
v <- tz(v (4096 - 1024), 12) + 64 (W s)[t-1] + 64 b, a spike above 64 * 25, then v = 0 and the probe shows 128 in that
step. The state of fc-k is reset before step 6 + k, so every layer runs in two parts here, each from v = 0.
"""

from __future__ import annotations

import h5py
import numpy as np
import pytest

import hwsdk
from hwsdk.ir.data import Stimulus
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import Input, Output, Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.simulators import reference

V_DECAY, VTH, SHOWN_AT_A_SPIKE = 1024, 25, 128


def layer(weight: np.ndarray, bias: np.ndarray, v_before: np.ndarray) -> Network:
    """One dense layer in Loihi's integers; ``v_before`` is v at the end of the step before the first."""
    n_out, n_in = weight.shape
    target, source = np.nonzero(weight)
    full = lambda x: np.full(n_out, x, np.int64)  # noqa: E731
    synapses = Synapses((n_in,), (n_out,), source, target, weight[target, source], np.ones(len(source), np.int64))
    cell = FixedLIF(full(4095), full(V_DECAY), full(VTH), bias, full(6), full(0), full(0), v_before, np.ones(n_out),
                    np.zeros(n_out))
    return Network("fc", {"in": Input((n_in,)), "w": synapses, "fc": cell, "out": Output((n_out,))},
                   (Edge("in", "w"), Edge("w", "fc"), Edge("fc", "out")), Semantics())


def before(v: np.ndarray) -> np.ndarray:
    """Some v that decays to the given one in a step."""
    keep = 4096 - V_DECAY
    return np.sign(v) * -((-np.abs(v) << 12) // keep)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("level", ["reference", "chip"])
def test_dense_layers_replay_every_voltage_and_spike(corpus, k, level):
    folder = corpus / "loihi" / "gts" / "pilotnet_lif"
    arriving = np.load(folder / f"fc-{k - 1}.npy").T.astype(np.uint8)
    spikes, voltages = np.load(folder / f"fc-{k}.npy").T, np.load(folder / f"fc-{k}-v.npy").T
    with h5py.File(folder / "network.net") as file:
        node = file["layer"][str(7 + k)]
        weight, bias = (node[x][()].astype(np.int64) for x in ("weight", "bias"))
    steps, restart = len(voltages), 6 + k
    differing = 0
    for first, last in ((0, restart), (restart, steps)):
        lead = 1 if first else 0  # one step earlier, so that the spike of the step before can arrive
        start = before(-64 * bias) if lead else np.zeros(len(bias), np.int64)
        network = layer(weight, bias, start)
        data = Stimulus.dense(arriving[first - lead : last], {"in": (weight.shape[1],)})
        trace = reference.run(network, data, probes="all") if level == "reference" else hwsdk.simulate(
            hwsdk.compile(network, "loihi2"), data, probes="all")
        fired = trace.spikes["fc"].dense(0)[lead:].astype(bool)
        shown = np.where(fired, SHOWN_AT_A_SPIKE, trace.states["fc", "v"][0, lead:])
        differing += int((fired != spikes[first:last]).sum()) + int((shown != voltages[first:last]).sum())
    assert spikes.sum() > 0
    assert differing == 0
