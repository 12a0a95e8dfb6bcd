"""Deployed systems on the firmware, over a link: as a process, and on an emulated Cortex-M4F. No spike may differ."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

import hwsdk
from hwsdk.compiler import load_data
from hwsdk.errors import FitError
from hwsdk.hil import session
from hwsdk.hil.devices import open_device
from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.ledger import SemanticsWarning

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
M4 = "unicorn:"
SMALL = "exec:"


@pytest.fixture(autouse=True)
def _settled():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SemanticsWarning)
        yield


@pytest.fixture(scope="module", params=[SMALL, M4])
def device(request):
    if request.param == M4:
        for name in ("unicorn", "elftools"):
            pytest.importorskip(name, reason="an emulated Cortex-M4F needs: pip install 'hwsdk[hil]'")
    with open_device(request.param) as opened:
        yield opened


def equal(program, device, data):
    """Run it; every spike and value is the simulator's, and there are some."""
    report = session.run(program, device, data)
    assert report.window is None, report.to_text()
    assert report.spikes > 0
    assert not report.not_held
    return report


@pytest.mark.parametrize("target", ["loihi1", "loihi2", "spinnaker2", "memristor", "memristor_neurram"])
def test_digits(device, target):
    network = hwsdk.load(EXAMPLES / "digits.nir", dt=1e-3, reset="value")
    calibration = load_data(EXAMPLES / "digits_calibration.npz", network, limit=20)
    program = hwsdk.compile(network, target, data=calibration)
    samples = 1 if device.url == M4 and target.startswith("memristor") else 3
    equal(program, device, load_data(EXAMPLES / "digits_test.npz", network, limit=samples))


@pytest.mark.parametrize(("file", "data"), [("digits_sfq.nir", "digits_sfq_test.npz"), ("xor.nir", None)])
def test_pulses(device, file, data):
    network = hwsdk.load(EXAMPLES / file, dt=1.0, reset="subtract")
    program = hwsdk.compile(network, "sfq", bits=4)
    (name, node), = network.inputs.items()
    pairs = np.array([[[k & 1, k >> 1 & 1]] * 3 for k in range(4)])
    given = Stimulus({name: events_from_dense(pairs, node.shape)}) if data is None else load_data(
        EXAMPLES / data, network, limit=2)
    equal(program, device, given)


@pytest.mark.parametrize("reset", ["value", "subtract"])
@pytest.mark.parametrize("target", ["loihi2", "spinnaker2"])
def test_braille(device, corpus, target, reset):
    name = "snntorch" if target == "loihi2" else "spinnaker2"
    network = hwsdk.load(corpus / "nir_paper/braille_noDelay_bias_zero.nir", preset=name, reset=reset)
    with np.load(corpus / "nir_paper/braille/braille_test_sample0_recovered.npz") as z:
        data = Stimulus.dense(z[z.files[0]], {n: i.shape for n, i in network.inputs.items()})
    equal(hwsdk.compile(network, target, data=data), device, data)


@pytest.mark.parametrize("target", ["loihi2", "spinnaker2"])
def test_a_convolution_network_on_a_silicon_retina(device, corpus, target):
    semantics = {"preset": "spinnaker2"} if target == "spinnaker2" else {}
    network = hwsdk.load(corpus / "nir_paper/cnn_sinabs.nir", dt=1.0, reset="value", **semantics)
    data = load_data(corpus / "nmnist/nmnist_test_0_49.npz", network, dt_s=1e-3, limit=1,
                     n_steps=20 if device.url == M4 else None)
    report = equal(hwsdk.compile(network, target, data=data), device, data)
    assert report.spikes > 500


def test_what_does_not_fit_is_refused_with_the_numbers(corpus):
    network = hwsdk.load(corpus / "nir_paper/cnn_sinabs.nir", dt=1.0, reset="value")
    program = hwsdk.compile(network, "loihi2")
    with open_device("exec: --arena 400000") as device:
        with pytest.raises(FitError, match=r"needs [\d,]+ bytes, limit 400,000 \[device memory\]") as refused:
            device.load(program)
        assert refused.value.violations[0].need > 400_000
