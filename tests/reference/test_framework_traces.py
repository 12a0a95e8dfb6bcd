"""Published traces of other frameworks, replayed from the model file through the loader."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwsdk.ir.data import Stimulus
from hwsdk.ir.formats import load, load_data
from hwsdk.ir.network import Network
from hwsdk.simulators import reference

# The LIF traces of the NIR paper (lif_norse.nir, dt 1e-4): framework -> preset, overrides because the trace's own
# set-up differed from the preset, scale of the recorded v, steps by which our v is late, largest error of v.
# sinabs: its input column is scaled by dt/tau already; v recorded as float32. nengo: v in units of the threshold.
# lava and spyx: a spike is seen one step after the sum that caused it.
TRACES: dict[str, tuple[str | None, dict[str, Any], float, int, float]] = {
    "snntorch": ("snntorch", {}, 25.0, 0, 1e-6),
    "norse": ("norse", {"dt": 1e-4}, 1.0, 0, 1e-7),
    "sinabs": ("sinabs", {"dt": 1e-4}, 1.0, 0, 0.0),
    "lava_cpu_float": ("lava", {"dt": 1e-4}, 1.0, 0, 1e-7),
    "rockpool": (None, {"dt": 1e-4, "integrator": "exponential_dt_gain", "reset": "subtract",
                        "precision": "float32"}, 1.0, 0, 1e-8),
    "spyx": (None, {"dt": 1e-4, "reset": "subtract", "reset_timing": "next_step", "connection_delay": 1,
                    "precision": "float32"}, 1.0, 1, 0.0),
    "nengo": (None, {"dt": 1e-4, "integrator": "exponential", "reset": "value"}, 10.0, 0, 1e-7),
    "lava_cpu_fixed": ("lava", {"dt": 1e-4}, 1.0, 0, np.inf),  # integers of another scale: spikes only
    "exact": (None, {"dt": 1e-4, "integrator": "exponential", "reset": "value"}, 1.0, 0, np.inf),
}


def replay(network: Network, x: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    stimulus = Stimulus.dense(x[:, None], {"input": (1,)})
    trace = reference.run(network, stimulus, probes=[("1", "v")])
    return trace.spikes["1"].dense(0)[:, 0], np.asarray(trace.states["1", "v"])[0, :, 0]


@pytest.mark.parametrize("framework", TRACES)
def test_lif_trace(corpus: Path, framework: str) -> None:
    preset, overrides, scale, late, error = TRACES[framework]
    x, v, z = np.loadtxt(corpus / f"nir_paper/lif_traces/lif_{framework}.csv", delimiter=",").T
    network = load(corpus / "nir_paper/lif_norse.nir", preset=preset, **{"reset": None, **overrides})
    spikes, membrane = replay(network, x)
    np.testing.assert_array_equal(spikes, z)
    assert z.sum() == 4
    assert np.abs(scale * membrane[late:] - v[: len(v) - late]).max() <= error


def test_lif_exact_until_the_first_spike(corpus: Path) -> None:
    """The exact solution resets at the crossing inside the step, so v agrees up to the first spike only."""
    x, v, z = np.loadtxt(corpus / "nir_paper/lif_traces/lif_exact.csv", delimiter=",").T
    network = load(corpus / "nir_paper/lif_norse.nir", dt=1e-4, integrator="exponential", reset="value")
    first = int(np.flatnonzero(z)[0])
    _, membrane = replay(network, x)
    np.testing.assert_allclose(membrane[:first], v[:first], atol=1e-8)


def test_braille_raster_of_snntorch(corpus: Path) -> None:
    network = load(corpus / "nir_paper/braille_noDelay_bias_zero.nir", preset="snntorch")
    shapes = {n: i.shape for n, i in network.inputs.items()}
    stimulus = load_data(corpus / "nir_paper/braille/braille_test_sample0_recovered.npz", shapes)
    raster = reference.run(network, stimulus).spikes["lif1.lif"].dense(0)
    expected = np.load(corpus / "nir_paper/braille/snntorch_activity_noDelay_bias_zero.npy")
    assert raster.shape == (256, 38)
    assert int((raster != expected).sum()) == 0
    assert stimulus.labels is not None
    assert stimulus.labels.tolist() == [1]


@pytest.mark.parametrize("samples", [10, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("reset", "key", "right"), [
    ("value", "counts_zero_reset", {10: 10, 50: 50}), ("subtract", "counts_subtract", {10: 10, 50: 47})])
def test_nmnist_counts_of_cnn_sinabs(corpus: Path, reset: str, key: str, right: dict[int, int], samples: int) -> None:
    """Output spike counts of torch on N-MNIST test samples: corpus/README.md, notes on the oracle."""
    network = load(corpus / "nir_paper/cnn_sinabs.nir", dt=1.0, reset=reset, comparison=">")
    shapes = {n: i.shape for n, i in network.inputs.items()}
    stimulus = load_data(corpus / "nmnist/nmnist_test_0_49.npz", shapes, dt_s=1e-3, n_steps=314, limit=samples)
    counts = reference.run(network, stimulus).counts_of("output", 314)
    expected = np.load(corpus / "nmnist/oracle_cnn_sinabs_test_0_49.npz")[key][:samples]
    np.testing.assert_array_equal(counts, expected)
    assert stimulus.labels is not None
    assert int((counts.argmax(1) == stimulus.labels).sum()) == right[samples]


def test_presets_leave_nothing_to_guess(corpus: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(corpus / "nir_paper/lif_norse.nir", preset="snntorch", strict=True)
