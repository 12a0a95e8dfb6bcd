"""Relay neurons carry long delays: nothing changes but what is in between."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import random_conv_network, random_network, random_stimulus

from hwsdk.errors import UnsupportedError
from hwsdk.ir.fixed import FixedGraded, FixedLIF
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import ConvSynapses, Node, Synapses
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.quantize import Quantize
from hwsdk.mappers.relay import Relay
from hwsdk.simulators import reference

RELAYED: list[int] = []
seeds = st.integers(0, 2**31)
many = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def late(node: Node, rng: np.random.Generator, longest: int) -> Node:
    """A projection with random delays."""
    if isinstance(node, ConvSynapses):
        return replace(node, delay_ticks=int(rng.integers(1, longest + 1)))
    if isinstance(node, Synapses):
        return replace(node, delay_ticks=rng.integers(1, longest + 1, len(node.weight)))
    return node


def integer_network(seed: int, longest: int) -> Network | None:
    """Random populations with random delays; every second one with graded relays of its spikes."""
    network = (random_network if seed % 3 else random_conv_network)(seed)
    try:
        whole, _ = Quantize()(Lower()(network))
    except UnsupportedError:
        return None
    rng = np.random.default_rng(seed)
    nodes: dict[str, Node] = {n: late(x, rng, longest) for n, x in whole.nodes.items()}
    for name, node in whole.nodes.items():
        if isinstance(node, FixedLIF) and node.fires and rng.random() < 0.3:
            nodes[name] = FixedGraded(rng.integers(0, 3, node.shape))
    return whole.replace(nodes=nodes)


@many
@given(seeds, st.integers(1, 7), st.integers(1, 30))
def test_relays_keep_every_spike_and_state(seed, longest, most):
    network = integer_network(seed, most)
    if network is None:
        return
    relayed, text = Relay(longest)(network)
    for node in relayed.of(Synapses, ConvSynapses).values():
        ticks = np.atleast_1d(node.delay_ticks)
        assert ticks.min(initial=1) >= 1
        assert ticks.max(initial=1) <= longest
    data = random_stimulus(network, seed, steps=40, graded=True)
    expected, got = (reference.run(n, data, probes="all") for n in (network, relayed))
    assert expected.first_difference(got, list(network.populations)) is None, f"seed {seed}"
    for key, states in expected.states.items():
        np.testing.assert_array_equal(states, got.states[key], err_msg=str(key))
    for output in network.outputs:
        np.testing.assert_array_equal(expected.spikes[output].dense(), got.spikes[output].dense())
    added = relayed.n_neurons - network.n_neurons
    assert (added > 0) == bool(text) == (relayed is not network)
    assert all(relayed.lag.get(n.split(".relay")[0], 0) == relayed.lag[n] for n in relayed.populations if ".relay" in n)
    RELAYED.append(added)


def test_enough_networks_had_relays():
    assert sum(n > 0 for n in RELAYED) >= 50 or not RELAYED
