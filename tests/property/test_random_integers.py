"""Random integer networks of every neuron model: the chip keeps every bit of the reference, relays included."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_integers import MODELS, random_integer_network
from random_networks import random_stimulus

from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.errors import UnsupportedError
from hwsdk.mappers.loihi import MapOptions, legality, map_network
from hwsdk.mappers.loihi_cells import model_of
from hwsdk.simulators import loihi, reference

SPOKE: set[str] = set()
RELAYED: list[int] = []
seeds = st.integers(0, 2**31)
many = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@many
@given(seeds, st.sampled_from([1, 8, 64, 150]), st.booleans(), st.sampled_from(["layer", "dense"]))
def test_the_chip_equals_the_reference(seed, longest, graded, packing):
    network = random_integer_network(seed, longest)
    backend = backends.get("loihi2")
    _, whole, _ = backend.discrete(network, CompileOptions())
    program = map_network(whole, backend.target, MapOptions(packing=packing, seed=seed % 7))
    assert legality(program, backend.target) == ()
    steps = 40 if longest < 100 else 200
    data = random_stimulus(network, seed, steps=steps, graded=graded)
    expected = reference.run(network, data, probes="all")
    if any(np.abs(s.values()).max(initial=0) > 1e6 for s in expected.spikes.values()):
        return  # graded spikes that grow from layer to layer leave the chip's registers
    got = loihi.run(program, data, probes="all")
    assert expected.first_difference(got, list(network.populations)) is None, f"seed {seed}"
    for key, states in expected.states.items():
        np.testing.assert_array_equal(states, got.states[key], err_msg=f"{key}, seed {seed}")
    SPOKE.update(model_of(p) for n, p in network.populations.items() if len(expected.spikes[n]))
    RELAYED.append(whole.n_neurons - network.n_neurons)


@settings(many, max_examples=60)
@given(seeds, st.sampled_from([1, 100]))
def test_loihi1_runs_what_it_takes(seed, longest):
    network = random_integer_network(seed, longest, ("lif",))
    backend = backends.get("loihi1")
    try:
        _, whole, _ = backend.discrete(network, CompileOptions())
        program = map_network(whole, backend.target, MapOptions())
    except UnsupportedError as error:
        assert error.code in {"RESET_KIND", "PERIODIC_RESET"}, error
        return
    data = random_stimulus(network, seed, steps=120)
    expected, got = reference.run(network, data, probes="all"), loihi.run(program, data, probes="all")
    assert expected.first_difference(got, list(network.populations)) is None, f"seed {seed}"


def test_every_model_spoke_and_relays_were_there():
    assert set(MODELS) == SPOKE or not SPOKE
    assert sum(n > 0 for n in RELAYED) >= 20 or not RELAYED
