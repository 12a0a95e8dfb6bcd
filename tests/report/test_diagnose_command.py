"""The command diagnose: files in, exit codes, JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fault_networks import EXAMPLES, digits

import hwsdk
from hwsdk.cli import main
from hwsdk.simulators import reference

MODEL, DATA = str(EXAMPLES / "digits.nir"), str(EXAMPLES / "digits_test.npz")
COMMON = ["--target", "loihi2", "--input", DATA, "--limit", "10", "--json", "--quiet", "--reset", "value"]


def ran(capsys, *words: str):
    code = main(["diagnose", MODEL, *COMMON, *words])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def expected(tmp_path):
    """Spikes of the right model as a framework would save them: (samples, steps, neurons) by layer."""
    network, data, _ = digits()
    trace = reference.run(network, data)
    path = tmp_path / "expected.npz"
    np.savez(path, lif2=trace.spikes["lif2"].dense(), something=np.zeros(3))
    return str(path)


def test_a_right_model_ends_with_0(capsys, expected):
    code, body = ran(capsys, "--dt", "1e-3", "--expected", expected)
    assert (code, body["wrong"]) == (0, False)
    assert body["stages"][0]["name"] == "import"
    assert body["stages"][0]["first"] is None


def test_a_wrong_dt_ends_with_1(capsys, expected):
    code, body = ran(capsys, "--dt", "5e-4", "--expected", expected)
    assert (code, body["verdict"]["stage"]) == (1, "dt")
    assert body["hypotheses"][0]["text"] == "dt=0.001"


def test_a_preset_says_what_is_right(capsys):
    code, body = ran(capsys, "--dt", "1e-3", "--reference-preset", "norse")
    assert (code, body["wrong"], body["stages"][0]["first"]) == (0, False, None)
    code, body = ran(capsys, "--dt", "1e-3", "--reference-preset", "snntorch")
    assert (code, body["verdict"]["stage"], body["hypotheses"][0]["text"]) == (1, "dt", "dt=0.0001")


def test_a_program_from_a_file(capsys, tmp_path):
    program = hwsdk.compile(digits()[0], "loihi2")
    path = str(program.save(tmp_path / "p.hwx"))
    code, body = ran(capsys, "--dt", "1e-3", "--program", path, "--no-alternatives")
    assert (code, body["alternatives"]) == (0, [])
    code, body = ran(capsys, "--dt", "1e-3", "--program", path, "--bits", "4", "--no-alternatives")
    assert (code, body["verdict"]["stage"]) == (1, "mapping")


def test_what_is_wrong_with_the_files(capsys, expected, tmp_path):
    code, body = ran(capsys, "--dt", "1e-3", "--expected", expected, "--reference-preset", "sinabs")
    assert (code, body["error"]["code"]) == (2, "TWO_TRUTHS")
    np.savez(tmp_path / "e.npz", other=np.zeros((10, 32, 10)))
    code, body = ran(capsys, "--dt", "1e-3", "--expected", str(tmp_path / "e.npz"))
    assert (code, body["error"]["code"]) == (2, "WRONG_EXPECTED")
    (tmp_path / "bad.npz").write_bytes(b"no")
    code, body = ran(capsys, "--dt", "1e-3", "--expected", str(tmp_path / "bad.npz"))
    assert (code, body["error"]["code"]) == (2, "BAD_TRACE")
