"""Real models on the chip: integer reference and simulator agree on every bit, and what float loses is known.

Models and data: corpus (NIR paper files, N-MNIST samples, Braille sample); see the corpus' own README for sources.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import hwsdk
from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.backends.verify import decisions, verify_network
from hwsdk.errors import FitError, UnsupportedError
from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.ledger import SemanticsWarning
from hwsdk.simulators import reference

# every model of the corpus that the target supports, and the semantics that settle it
MODELS = {
    "exported/norse_li.nir": {"preset": "norse"},
    "exported/norse_mlp_lifbox.nir": {"preset": "norse"},
    "exported/sinabs_conv1d_iaf.nir": {"preset": "sinabs", "spikes": "single"},
    "exported/sinabs_conv_iaf.nir": {"preset": "sinabs", "spikes": "single"},
    "exported/sinabs_mlp_if.nir": {"dt": 1.0, "reset": "value"},
    "exported/snntorch_mlp_leaky.nir": {"preset": "snntorch"},
    "exported/snntorch_mlp_synaptic.nir": {"preset": "snntorch"},
    "exported/snntorch_rleaky.nir": {"preset": "snntorch"},
    "nir_paper/braille_noDelay_bias_zero.nir": {"preset": "snntorch"},
    "nir_paper/cnn_sinabs.nir": {"dt": 1.0, "reset": "value"},
    "nir_paper/legacy/braille_2023-10-19b.nir": {"preset": "snntorch"},
    "nir_paper/legacy/lif_norse_v0.1.1_scalar.nir": {"dt": 1e-4, "reset": "value"},
    "nir_paper/legacy/scnn_mnist_2023-10-16.nir": {"dt": 1.0, "reset": "value"},
    "nir_paper/legacy/scnn_mnist_2023-10-18_bad_flatten.nir": {"dt": 1.0, "reset": "value"},
    "nir_paper/legacy/scnn_mnist_batches_no_input_shape.nir": {"dt": 1.0, "reset": "value"},
    "nir_paper/lif_norse.nir": {"dt": 1e-4, "reset": "value"},
    "other/snntorch_tests_lif.nir": {"preset": "snntorch"},
}


def load(corpus, name, **semantics):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SemanticsWarning)
        return hwsdk.load(corpus / name, **semantics)


def test_the_table_names_every_model(corpus):
    assert {str(p.relative_to(corpus)) for p in corpus.rglob("*.nir")} == set(MODELS)


VARIANTS = ("memristor_128", "memristor_isaac", "memristor_neurram", "memristor_pcm")
"""Other arrays of one family, which the conformance suite has; their wires take minutes for the models here."""
TAKES_ALL = ("loihi2", "spinnaker2")
"""Targets whose neurons are programs, so that no model of the corpus is refused."""


@pytest.mark.parametrize("target", [n for n in backends.names() if n not in VARIANTS])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_chip_equals_the_integer_reference(corpus, name, target):
    network, backend = load(corpus, name, **MODELS[name]), backends.get(target)
    rng = np.random.default_rng(0)
    steps = 20 if network.n_neurons > 1000 else 60
    data = Stimulus({n: events_from_dense(rng.random((1, steps, *i.shape)) < 0.3, i.shape)
                     for n, i in network.inputs.items()})
    try:
        options = CompileOptions(target_options=backend.exact)
        _, whole, _ = backend.discrete(network, options)
        program = backend.compile(network, options, lambda _: None)
    except (UnsupportedError, FitError) as error:  # for sfq see also test_corpus_on_sfq.py
        assert target not in TAKES_ALL, error
        assert error.fix
        if target == "loihi1":
            assert (error.code, network.semantics.reset) == ("RESET_KIND", "subtract")
        return
    expected = reference.run(whole, data, probes="all")
    got = backend.simulate(program, data, probes="all", strict=False, progress=None)
    assert expected.first_difference(got, close=backend.closeness(network)) is None
    assert any(state.any() for state in got.states.values()) or target not in TAKES_ALL


def nmnist(corpus, samples):
    """(samples, 314, 2, 34, 34) binary frames of 1 ms from the first event, and labels."""
    with np.load(corpus / "nmnist" / "nmnist_test_0_49.npz") as z:
        frames = np.zeros((samples, 314, 2, 34, 34), np.uint8)
        for i in range(samples):
            own = slice(z["offset"][i], z["offset"][i + 1])
            t = np.cumsum(z["dt_us"][own].astype(np.int64))
            t = (t - t[0]) // 1000
            keep = t < 314
            frames[i, t[keep], z["p"][own][keep], z["y"][own][keep], z["x"][own][keep]] = 1
        return frames, z["label"][:samples].astype(np.int64)


def test_all_50_nmnist_samples_are_classified_in_integers(corpus):
    """50 of 50 right in float (the stored oracle) and on the chip."""
    frames, labels = nmnist(corpus, 50)
    network = load(corpus, "nir_paper/cnn_sinabs.nir", dt=1.0, reset="value")
    data = Stimulus.dense(frames, {"input": (2, 34, 34)}, labels)
    program = hwsdk.compile(network, "loihi2")
    trace = hwsdk.simulate(program, data)
    with np.load(corpus / "nmnist" / "oracle_cnn_sinabs_test_0_49.npz") as oracle:
        expected = oracle["counts_zero_reset"].argmax(1)
    decided = decisions(trace, "output", 314)
    assert (expected == labels).all()
    assert (decided == labels).all()
    assert trace.counts["wraps"].sum() == 0


def test_nmnist_drift_per_layer_is_known(corpus):
    frames, labels = nmnist(corpus, 5)
    network = load(corpus, "nir_paper/cnn_sinabs.nir", dt=1.0, reset="value")
    data = Stimulus.dense(frames, {"input": (2, 34, 34)}, labels)
    report = verify_network(network, backends.get("loihi2"), data, CompileOptions())
    assert report.ok
    assert report.lowering is None
    assert report.accuracy == {"float": 1.0, "integer": 1.0, "chip": 1.0}
    assert [d.layer for d in report.drift] == ["1", "3", "6", "10", "12"]
    for drift in report.drift:
        assert abs(drift.spikes_chip - drift.spikes_float) / drift.spikes_float < 0.03, drift
        assert drift.similarity > 0.3, drift


def test_braille_keeps_its_decision_and_lowering_keeps_every_spike(corpus):
    network = load(corpus, "nir_paper/braille_noDelay_bias_zero.nir", preset="snntorch", precision="float64")
    with np.load(corpus / "nir_paper" / "braille" / "braille_test_sample0_recovered.npz") as z:
        data = Stimulus.dense(z["spikes"], {"input": (12,)}, [int(z["label"])])
    report = verify_network(network, backends.get("loihi2"), data, CompileOptions())
    assert report.ok
    assert report.lowering is None
    assert report.accuracy["float"] == report.accuracy["chip"] == 1.0
    drift = {d.layer: d for d in report.drift}
    assert abs(drift["lif1.lif"].spikes_chip - 119) <= 6


def test_lava_fixed_point_trace_is_reproduced(corpus):
    """lif_lava_cpu_fixed.csv: LIF tau 2.5 ms, dt 0.1 ms, in the conversion of the paper's script.

    dv = int(dt/tau 4095) = 163, du = 4095, vth = int(0.1 * 131071) >> 9 = 25, w = int(256 dt/tau) = 10
    (NIR: paper/nir_to_lava.py); the trace holds v after the reset.
    """
    from hwsdk.ir.fixed import FixedLIF
    from hwsdk.ir.network import Edge, Network
    from hwsdk.ir.nodes import Input, Output, Synapses
    from hwsdk.ir.semantics import Semantics

    rows = np.loadtxt(corpus / "nir_paper" / "lif_traces" / "lif_lava_cpu_fixed.csv", delimiter=",")
    one = np.ones(1, np.int64)
    cell = FixedLIF(4095 * one, 163 * one, 25 * one, 0 * one, 0 * one, 0 * one, 0 * one, 0 * one, np.ones(1),
                    np.zeros(1))
    synapse = Synapses((1,), (1,), 0 * one, 0 * one, 10 * one, one)
    network = Network("lava", {"in": Input((1,)), "w": synapse, "lif": cell, "out": Output((1,))},
                      (Edge("in", "w"), Edge("w", "lif"), Edge("lif", "out")), Semantics())
    data = Stimulus.dense(rows[:, :1], {"in": (1,)})
    for trace in (reference.run(network, data, probes="all"),
                  hwsdk.simulate(hwsdk.compile(network, "loihi2"), data, probes="all")):
        np.testing.assert_array_equal(trace.spikes["lif"].dense(0)[:, 0], rows[:, 2])
        np.testing.assert_array_equal(trace.states["lif", "v"][0, :, 0], rows[:, 1])
