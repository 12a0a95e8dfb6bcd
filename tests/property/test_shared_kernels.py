"""A convolution stays its kernel through lowering and quantising, and means the same as written out."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import Maker, conv_like, random_conv_network, random_stimulus

from hwsdk.errors import UnsupportedError
from hwsdk.ir.expand import explicit
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import ConvSynapses, Input, Synapses
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.maps import conv_matrix, identity, node_map
from hwsdk.mappers.quantize import Quantize
from hwsdk.simulators import reference

REFUSALS = {"UNSTABLE_DECAY", "BIAS_DIVERGES", "LATE_RESET", "WEIGHTS_LOST", "THRESHOLD_RANGE", "BAD_BITS"}
KERNELS: list[int] = []
COMPOSED: list[bool] = []
seeds = st.integers(0, 2**31)
many = settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def lowered_or_none(network: Network) -> Network | None:
    try:
        return Lower()(network)
    except UnsupportedError as error:
        assert error.code in REFUSALS, error
        return None


def written_out(network: Network) -> Network:
    """The network with every synapse by itself."""
    return network.replace(nodes={n: explicit(x) if isinstance(x, ConvSynapses) else x
                                  for n, x in network.nodes.items()})


@many
@given(seeds)
def test_maps_of_chains_equal_the_products_of_their_matrices(seed):
    m = Maker(seed)
    at = m.add("in", Input(m.pick([(2, 9), (2, 6, 5), (1, 7, 4), (3, 5, 5)])))
    short, full = identity(m.shape[at]), identity(m.shape[at]).parts()[0].toarray()
    for k in range(int(m.rng.integers(1, 4))):
        before = m.shape[at]
        at = conv_like(m, at, f"op{k}")
        ((_, step),) = node_map(m.nodes[at], before).parts().items()
        short, full = short.then(m.nodes[at]), step @ full
    assert short.out_shape == m.shape[at]
    np.testing.assert_allclose(sum(p.toarray() for p in short.parts().values()), full, atol=1e-12)
    COMPOSED.append(short.conv is not None)
    if short.conv is not None:
        assert short.conv.out_shape(short.in_shape) == short.out_shape
        np.testing.assert_allclose(conv_matrix(short.conv, short.in_shape).toarray(), full, atol=1e-12)


@many
@given(seeds)
def test_lowering_keeps_every_spike(seed):
    network = random_conv_network(seed)
    lowered = lowered_or_none(network)
    if lowered is None or any(e.code == "EARLY_BIAS" for e in lowered.ledger.entries):
        return
    data = random_stimulus(network, seed)
    model, chip = reference.run(network, data), reference.run(lowered, data)
    for name in network.populations:
        np.testing.assert_array_equal(*(t.aligned(name, data.n_steps).dense() for t in (model, chip)), err_msg=name)


@many
@given(seeds, st.integers(3, 8), st.booleans())
def test_kernels_quantise_as_their_synapses_do(seed, bits, per_channel):
    lowered = lowered_or_none(random_conv_network(seed))
    if lowered is None:
        return
    try:
        shared, explicit_ = (Quantize(bits=bits, per_channel=per_channel)(n) for n in (lowered, written_out(lowered)))
    except UnsupportedError as error:
        assert error.code in REFUSALS, error
        return
    KERNELS.append(len(shared[0].of(ConvSynapses)))
    for name, expected in explicit_[0].of(Synapses).items():
        got = explicit(shared[0].nodes[name])
        for field in ("source", "target", "weight", "delay_ticks", "weight_exp", "weight_bits", "sign_mode"):
            np.testing.assert_array_equal(getattr(got, field), getattr(expected, field), err_msg=f"{name}.{field}")
    for a, b in zip(shared[1].layers, explicit_[1].layers, strict=True):
        assert (a.synapses, a.lost_weights, a.weight_exp) == (b.synapses, b.lost_weights, b.weight_exp)
        np.testing.assert_allclose([a.weight_error, a.weight_bits, a.scale], [b.weight_error, b.weight_bits, b.scale],
                                   rtol=1e-9, atol=1e-12)
    data = random_stimulus(lowered, seed)
    runs = [reference.run(n, data, probes="all") for n in (explicit_[0], shared[0])]
    assert runs[0].first_difference(runs[1]) is None, f"seed {seed}"


def test_enough_kernels_were_compared():
    """Refused networks and chains that are no convolution do not count."""
    assert sum(KERNELS) >= 150 or not KERNELS
    assert sum(COMPOSED) >= 100 or not COMPOSED
