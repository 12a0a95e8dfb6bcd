"""Parameters of any magnitude end in a program or in a typed refusal, never in a crash or a silent overflow."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import random_network, random_stimulus

import hwsdk
from hwsdk.errors import UnsupportedError
from hwsdk.ir.network import Network

MAGNITUDES = (1e-300, 1e-30, 1e-6, 1e6, 1e17, 1e30, 1e300)
REFUSALS = {"VALUE_RANGE", "THRESHOLD_RANGE", "UNSTABLE_DECAY", "LATE_RESET", "BIAS_DIVERGES", "BIAS_RANGE",
            "LOOP_TOO_SHORT", "WEIGHTS_LOST"}


def stretched(network: Network, seed: int) -> Network:
    """Some parameters of a network multiplied by something far from 1."""
    rng = np.random.default_rng(seed)
    nodes = {}
    for name, node in network.nodes.items():
        changes = {}
        for field in dataclasses.fields(node):
            value = getattr(node, field.name)
            if isinstance(value, np.ndarray) and value.dtype.kind == "f" and rng.random() < 0.2:
                changes[field.name] = value * rng.choice(MAGNITUDES)
        nodes[name] = dataclasses.replace(node, **changes) if changes else node
    return network.replace(nodes=nodes)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**31))
def test_any_magnitude_compiles_or_is_refused_by_name(seed):
    network = stretched(random_network(seed), seed)
    try:
        program = hwsdk.compile(network, "loihi2")
    except UnsupportedError as error:
        assert error.code in REFUSALS, error
        assert error.fix
        return
    trace = hwsdk.simulate(program, random_stimulus(network, seed))
    assert trace.n_samples == 2
