"""hwsdk yield and hwsdk attribute, and the functions behind them."""

from __future__ import annotations

from pathlib import Path

import memristor_small as small
import numpy as np
import pytest
from command_line import run, run_json

import hwsdk
from hwsdk import compiler
from hwsdk.cli import build_parser
from hwsdk.errors import UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.neurons import LIF
from hwsdk.ir.semantics import Semantics
from hwsdk.programs.crossbar import CrossbarProgram

SAMPLES = 12


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program, one without levels, and data; programs are read without their target's description."""
    monkeypatch.setattr(compiler, "load_program", CrossbarProgram.load)
    small.program().save(tmp_path / "p.hwx")
    small.program(small.physics(("write", "faults", "drift", "wires", "adc", "read"))).save(tmp_path / "q.hwx")
    data = small.stimulus(SAMPLES)
    np.savez(tmp_path / "data.npz", **{"in": data.inputs["in"].dense(dtype=np.uint8)}, labels=data.labels)
    return tmp_path


def test_yield(capsys, files) -> None:
    words = ("yield", files / "p.hwx", "--input", files / "data.npz", "--dies", "5", "--seed", "7")
    code, out, err = run(capsys, *words, "--least", "0.5", "--plot", files / "y.png")
    assert (code, err) == (0, "")
    assert out.startswith("prototypes: accuracy of 5 dies (7 to 11), stages levels write ")
    assert "reach 0.5 (95 %: " in out and out.endswith(f"wrote {files / 'y.png'}\n")
    body = run_json(capsys, *words, "--resume", files / "r.jsonl", "--threads", "2")[1]
    assert (body["dies"], body["yield"], body["resumed"]) == (list(range(7, 12)), None, 0)
    assert body["digest"] == small.program().digest()
    assert body["values"] == hwsdk.yields(small.program(), small.stimulus(SAMPLES), dies=5, seed=7).values.tolist()
    again = run_json(capsys, *words, "--resume", files / "r.jsonl")[1]
    assert (again["resumed"], again["values"]) == (5, body["values"])
    few = run_json(capsys, *words, "--limit", "3", "--steps", "6", "--measure", "similarity")[1]
    assert few["measure"] == "similarity" and few["ideal"] == 1.0


def test_a_readout_that_is_trained_on_every_die(capsys, files) -> None:
    """As when its features are taken from the die and the readout is trained by hand."""
    from hwsdk.ir.windows import features
    from hwsdk.lsm.readout import accuracy, ridge
    from hwsdk.simulators import memristor

    program, data = small.program(readout=True), small.stimulus(SAMPLES)
    program.save(files / "r.hwx")
    words = ("yield", files / "r.hwx", "--input", files / "data.npz", "--dies", "1", "--seed", "4")
    body = run_json(capsys, *words, "--retrain", "7")[1]
    x = features(memristor.run(program.with_die(4), data), "hidden", 2, small.STEPS)
    train = np.isin(np.arange(12), [0, 1, 3, 5, 6, 8, 10])
    wanted = accuracy(ridge(x[train], data.labels[train], population="hidden", windows=2), x[~train],
                      data.labels[~train])
    assert body["values"] == [wanted] and body["measure"] == "accuracy, readout trained on each die"
    for more, code in ((("12",), "BAD_RETRAIN"), (("5", "--measure", "agreement"), "BAD_RETRAIN")):
        assert run_json(capsys, *words, "--retrain", *more)[1]["error"]["code"] == code
    code, body = run_json(capsys, "yield", files / "p.hwx", "--input", files / "data.npz", "--retrain", "7")
    assert body["error"]["code"] == "NO_READOUT"


def test_a_file_of_another_run_is_refused(capsys, files) -> None:
    words = ("yield", files / "p.hwx", "--input", files / "data.npz", "--dies", "1", "--resume", files / "r.jsonl")
    assert run(capsys, *words)[0] == 0
    code, body = run_json(capsys, *words, "--limit", "2")
    assert (code, body["error"]["code"]) == (2, "OTHER_RUN")


def test_attribute(capsys, files) -> None:
    words = ("attribute", files / "p.hwx", "--input", files / "data.npz", "--stage", "write", "--stage", "levels")
    code, out, err = run(capsys, *words, "--bare", files / "q.hwx", "--plot", files / "a.svg")
    assert (code, err) == (0, "")
    assert out.startswith("prototypes: accuracy by stage, die 3, 12 sample(s) of 12 steps\n")
    assert out.endswith(f"wrote {files / 'a.svg'}\n")
    body = run_json(capsys, *words, "--die", "5")[1]
    assert (body["die"], [r["stage"] for r in body["stages"]]) == (5, ["write"])
    wanted = hwsdk.attribute(small.program(), small.stimulus(SAMPLES), die=5, stages=["write"]).to_dict()
    assert {n: body[n] for n in wanted} == wanted
    code, body = run_json(capsys, *words, "--stage", "luck")
    assert (code, body["error"]["code"]) == (2, "NO_SUCH_STAGE")


def test_other_targets_have_neither() -> None:
    rng = np.random.default_rng(0)
    net = NetworkBuilder("m").input("in", 4).population("p", neuron(LIF, (3,), tau=0.01, v_threshold=1.0))
    net = net.connect("in", "p", weight=rng.random((3, 4))).output("out", "p")
    program = compiler.compile(net.build(Semantics(dt=1e-3)), "loihi2")
    data = np.ones((1, 5, 4))
    with pytest.raises(UnsupportedError) as error:
        hwsdk.yields(program, {"in": data})
    assert error.value.code == "NO_YIELD" and "hwsdk margins" in error.value.fix
    with pytest.raises(UnsupportedError) as error:
        hwsdk.attribute(program, {"in": data})
    assert error.value.code == "NO_ATTRIBUTION" and "hwsdk verify" in error.value.fix


@pytest.mark.parametrize("command", ["yield", "attribute"])
def test_both_explain_themselves(capsys, command) -> None:
    with pytest.raises(SystemExit) as end:
        build_parser().parse_args([command, "--help"])
    assert not end.value.code
    text = capsys.readouterr().out
    assert f"example:\n  hwsdk {command} " in text and "--plot FILE.png" in text


@pytest.mark.parametrize("option", ["--dies=0", "--dies=x", "--seed=-1", "--threads=0", "--least=nan", "--least=good",
                                    "--measure=beauty"])
def test_impossible_options_are_refused_before_any_work(capsys, option) -> None:
    code, body = run_json(capsys, "yield", "no such file", "-i", "nor this", option)
    assert (code, body["error"]["code"]) == (2, "USAGE")
    assert option.split("=")[0] in body["error"]["what"]


def test_files_are_looked_at_first(capsys, files) -> None:
    for words, code in ((("yield", files / "none.hwx", "-i", files / "data.npz"), "NO_FILE"),
                        (("yield", files / "p.hwx", "-i", files / "data.npz", "--resume", files), "CANNOT_WRITE"),
                        (("attribute", files / "p.hwx", "-i", files / "p.hwx"), "WRONG_FILE"),
                        (("attribute", files / "p.hwx", "-i", files / "data.npz", "--bare", files / "x"), "NO_FILE")):
        assert run_json(capsys, *words)[1]["error"]["code"] == code
