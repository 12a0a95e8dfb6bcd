"""Laws of devices beside the noise models of aihwkit, formula for formula and drawn, and where aihwkit is wrong.

`make aihwkit` sets up .venv-aihwkit of the checkout; HWSDK_AIHWKIT_PYTHON names another environment. The noise models
of 1.1.0, of which there is a wheel, and of 1.2.0, which has to be compiled, are the same but for a year in their heads.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from device_laws import (
    CMO,
    CMO_DRIFT,
    CMO_LOG,
    DAY,
    PCM,
    PCM_1F,
    PCM_DRIFT,
    QUARTIC,
    US,
    WAN_1D,
    WAN_2D,
    WAN_DRIFT,
    cell,
)
from scipy import stats

from hwsdk.ir.crossbar import Law
from hwsdk.simulators import devices

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(os.environ.get("HWSDK_AIHWKIT_PYTHON", ROOT / ".venv-aihwkit" / "bin" / "python"))
INSTALL = ("python3.11 -m venv .venv-aihwkit && .venv-aihwkit/bin/pip install torch==2.13.0 numpy scipy tqdm requests "
           "&& .venv-aihwkit/bin/pip install --no-deps aihwkit==1.1.0")
pytestmark = pytest.mark.slow
CMO_FINE = Law("cmo", {"intercept_us": 0.00081107, "slope": 0.00106879})


class Ones:
    """Every normal number is 1, so that what is added is the standard deviation."""

    def standard_normal(self, size):
        return np.ones(size)

    def random(self, size):
        return np.zeros(size)


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    if not PYTHON.is_file():
        pytest.skip(f"aihwkit is not installed: {INSTALL} (or set HWSDK_AIHWKIT_PYTHON)")
    out = tmp_path_factory.mktemp("aihwkit") / "noise.npz"
    done = subprocess.run([PYTHON, ROOT / "tests" / "aihwkit_noise.py", out], capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(out) as found:
        return {name: found[name] for name in found.files}


def error(ours, theirs):
    """The largest difference as a share of the largest value."""
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def at(peer, g_max, g_min=0.0):
    return (g_min + peer["shares"] * (g_max - g_min)) * US


def test_wan_agrees_where_g_max_is_40(peer):
    assert error(devices.write_sigma(QUARTIC, cell(40), at(peer, 40)) / US, peer["wan.write.40"]) < 1e-12
    for days, poly in ((1, WAN_1D), (2, WAN_2D)):  # theirs is the whole error of the day, ours is added to the write's
        whole = devices.scaled_sigma(np.array(poly), 40.0, 40.0, at(peer, 40) / US)
        assert error(whole, peer[f"wan.day{days}.40"]) < 1e-12
        g = at(peer, 40)
        added = devices.drift(WAN_DRIFT, cell(40), g, days * DAY, Ones(), g) - g
        both = np.hypot(added, devices.write_sigma(QUARTIC, cell(40), g)) / US
        assert error(both, peer[f"wan.day{days}.40"]) < 1e-12


def test_aihwkit_does_not_rescale_wan_and_we_do(peer):
    """Their sigma in uS is the same for 40, 25 and 10 uS: 1.6 and 4 times too much of the range. Ours scales."""
    for g_max in (25.0, 10.0):
        theirs = peer[f"wan.write.{g_max:g}"]
        assert error(theirs, peer["wan.write.40"]) < 1e-12
        ours = devices.write_sigma(QUARTIC, cell(g_max), at(peer, g_max)) / US
        assert error(theirs / ours, np.full(ours.shape, 40 / g_max)) < 1e-12
        print(f"g_max {g_max:g} uS, half: aihwkit {theirs[24]:.4f} uS, hwsdk {ours[24]:.4f} uS")


@pytest.mark.parametrize("g_max", [25.0, 10.0])
def test_phase_change_cells_agree(peer, g_max):
    """Write and drift at every conductance and for another G_max; the read noise, too, with q of what was written."""
    g, c = at(peer, g_max), cell(g_max)
    assert error(devices.write_sigma(PCM, c, g) / US, peer[f"pcm.write.{g_max:g}"]) < 1e-12
    assert error(devices.draw_nu(PCM_DRIFT, c, g / US, Ones()), peer[f"pcm.nu.{g_max:g}"]) < 1e-12
    for seconds in (1.0, DAY):
        later = devices.drift(PCM_DRIFT, c, g, seconds, Ones(), g)
        assert error(later / US, peer[f"pcm.drift.{g_max:g}.{seconds:g}"]) < 1e-12
        sigma = devices.read_sigma(PCM_1F, c, later, seconds, g) / US
        assert error(sigma, peer[f"pcm.read.{g_max:g}.{seconds:g}"]) < 1e-12


def test_metal_oxide_cells_agree(peer):
    g, c = at(peer, 88.2, 9.0), cell(88.2, 9.0)
    assert error(devices.write_sigma(CMO, c, g) / US, peer["cmo.write.2"]) < 1e-12
    assert error(devices.write_sigma(CMO_FINE, c, g) / US, peer["cmo.write.0.2"]) < 1e-12
    for seconds in (10.0, DAY):
        later = devices.drift(CMO_DRIFT, c, g, seconds, Ones(), g)
        assert error(later / US, peer[f"cmo.drift.{seconds:g}"]) < 1e-12
        assert error(devices.read_sigma(CMO_LOG, c, later, seconds) / US, peer[f"cmo.read.{seconds:g}"]) < 1e-9


def test_aihwkit_takes_the_finer_write_without_saying_so(peer):
    """Its default acceptance range 2e-2 is none of its keys (0.2 and 2, in %), so the error is that of 0.2 %, and more
    than ten times smaller than that of the 2 % which the default seems to ask for.
    """
    assert (peer["cmo.write.default"] == peer["cmo.write.0.2"]).all()
    assert (peer["cmo.write.2"] / peer["cmo.write.default"]).min() > 10


def test_draws_agree(peer):
    """Two samples of 20,000: theirs and ours."""
    rng, half = np.random.default_rng(0), np.full((20000,), 12.5 * US)
    ours = {
        "pcm.write": devices.draw_write(PCM, cell(25), half, rng) / US,
        "pcm.nu": devices.draw_nu(PCM_DRIFT, cell(25), half / US * 0.2, rng),
        "wan.write": devices.draw_write(QUARTIC, cell(40), half, rng) / US,
        "cmo.drift": devices.drift(CMO_DRIFT, cell(1e3), half * 4, DAY, rng) / US,
    }
    for name, sample in ours.items():
        assert stats.ks_2samp(sample, peer[f"drawn.{name}"]).pvalue > 1e-3, name
