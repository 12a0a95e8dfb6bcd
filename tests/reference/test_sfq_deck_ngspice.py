"""An emitted deck of a whole compiled network runs in ngspice as it is, and gives the pulses of our analog solver."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import hwsdk
from hwsdk.backends.sfq_ngspice import INSTALL, PHASES, run_deck, ups
from hwsdk.compiler import load_data
from hwsdk.simulators.sfq_analog import SETTLE_S, run_analog

pytestmark = pytest.mark.skipif(shutil.which("ngspice") is None, reason=f"no ngspice: {INSTALL}")
XOR = Path(__file__).resolve().parents[2] / "examples" / "xor.nir"
CLOSE_FS = 150
"""ngspice prints every 50 fs and chooses its own steps."""


@pytest.mark.parametrize("style", ["counter", "loop"])
def test_spikes_of_xor_come_at_the_same_times(style: str, tmp_path: Path) -> None:
    program = hwsdk.compile(hwsdk.load(str(XOR), dt=1.0), "sfq", bits=3, target_options={"neuron": style})
    data = load_data(np.array([[[1, 0]]]), program)
    (path,) = hwsdk.emit(program, "ngspice", data=data).save(tmp_path / "xor.cir")
    run_deck(path.read_text("ascii"), tmp_path, 300.0)
    table = np.loadtxt(tmp_path / PHASES, ndmin=2)
    run = run_analog(program, data)
    ours = [run.pulses_fs[net] for net in program.arrays.spike_net.tolist()]
    theirs = [(ups(table[:, 2 * k], table[:, 2 * k + 1]) - SETTLE_S) * 1e15 for k in range(len(ours))]
    assert sum(map(len, ours)) >= 2
    for a, b in zip(ours, theirs, strict=True):
        assert len(a) == len(b)
        np.testing.assert_allclose(b, a, atol=CLOSE_FS)
