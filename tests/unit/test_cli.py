"""The command line, in this process: what it prints, writes and returns."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest
from command_line import run, run_json

from hwsdk import backends, compiler
from hwsdk.cli import build_parser, main
from hwsdk.cli.progress import bar
from hwsdk.errors import HwsdkError
from hwsdk.ir.trace_file import load_trace

SETTLED = ["--dt", "1e-3", "--reset", "value"]


def lif(n: int) -> nir.LIF:
    return nir.LIF(tau=np.full(n, 0.02), r=np.full(n, 20.0), v_leak=np.zeros(n), v_threshold=np.ones(n),
                   v_reset=np.zeros(n))


def write_chain(path: Path, *nodes: nir.NIRNode, n_in: int) -> str:
    """input -> nodes one after the other, written to a file."""
    named: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([n_in]))}
    named |= {f"n{i}": node for i, node in enumerate(nodes)}
    names = list(named)
    nir.write(path, nir.NIRGraph(named, list(pairwise(names)), type_check=False))
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, its data and its program."""
    here = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(0)
    write_chain(here / "model.nir", nir.Linear(rng.normal(0.2, 0.3, (8, 6))), lif(8), nir.Linear(
        rng.normal(0.2, 0.3, (3, 8))), lif(3), n_in=6)
    np.savez(here / "data.npz", input=(rng.random((4, 12, 6)) < 0.4).astype(np.uint8), labels=np.arange(4) % 3)
    assert main(["compile", str(here / "model.nir"), *SETTLED, "--target", "loihi2", "-o", str(here / "p.hwx")]) == 0
    return here


def test_targets(capsys):
    code, out, err = run(capsys, "targets")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == list(backends.names())
    assert {"loihi1", "loihi2", "memristor", "sfq", "spinnaker2"} <= set(backends.names())
    code, out, _ = run(capsys, "targets", "loihi2")
    assert code == 0
    assert "4,095 neurons\n      Intel compiler print-outs" in out
    assert "synaptic operation, private      not published" in out
    assert "proxy loihi1-energy: " in out
    assert max(map(len, out.splitlines())) < 160
    assert run_json(capsys, "targets", "loihi1")[1]["limits"]["neurons"]["value"] == 1024


def test_inspect(capsys, folder):
    code, out, err = run(capsys, "inspect", folder / "model.nir", *SETTLED)
    assert (code, err) == (0, "")
    assert "node n1 LIF out=[8]" in out
    assert "11 neurons" in out
    body = run_json(capsys, "inspect", folder / "model.nir", *SETTLED)[1]
    assert body["neurons"] == 11
    assert body["semantics"]["dt"] == 1e-3
    assert body["warnings"] == []


def test_guesses_are_shown_once_and_can_be_forbidden(capsys, folder):
    code, out, err = run(capsys, "compile", folder / "model.nir", "--target", "loihi2")
    assert code == 0
    assert err.count("warning: ") == 1
    assert "dt=0.001 was taken" in err
    assert "was taken" not in out, "what was printed as a warning is not repeated"
    assert run(capsys, "compile", folder / "model.nir", "--target", "loihi2", "--quiet")[2] == ""
    assert len(run_json(capsys, "inspect", folder / "model.nir")[1]["warnings"]) == 1
    code, body = run_json(capsys, "inspect", folder / "model.nir", "--guess-nothing")
    assert (code, body["error"]["code"]) == (2, "SEMANTICS_UNSETTLED")


def test_compile(capsys, folder):
    code, out, err = run(capsys, "compile", folder / "model.nir", *SETTLED, "-t", "loihi2", "--calibrate",
                         folder / "data.npz", "-o", folder / "c.hwx")
    assert (code, err) == (0, "")
    assert out.startswith("model fits loihi2\n  cores ")
    assert "ranges from calibration data" in out
    assert out.endswith(f"wrote {folder / 'c.hwx'}\n")
    assert compiler.load_program(folder / "c.hwx").name == "model"
    code, out, _ = run(capsys, "compile", folder / "model.nir", *SETTLED, "-t", "loihi1", "--text")
    assert "core 0 chip 0 router " in out
    assert out.endswith("not written (-o P.hwx keeps the program)\n")


def test_compile_as_json(capsys, folder):
    code, body = run_json(capsys, "compile", folder / "model.nir", *SETTLED, "-t", "loihi2")
    assert code == 0
    assert body["usage"]["cores"] == {"used": 2, "available": 120, "unit": "cores"}
    assert body["output"] is None
    assert len(body["digest"]) == 64


def test_simulate(capsys, folder):
    code, out, err = run(capsys, "simulate", folder / "p.hwx", "-i", folder / "data.npz", "-o", folder / "t.npz")
    assert (code, err) == (0, "")
    assert out.startswith("model on loihi2: 4 sample(s) of 12 steps, and 2 more until the last layer has answered\n")
    assert "largest output of each sample: " in out
    assert "accuracy " in out
    assert (folder / "t.npz").stat().st_mode & 0o777 == (folder / "p.hwx").stat().st_mode & 0o777
    assert load_trace(folder / "t.npz").n_samples == 4
    body = run_json(capsys, "simulate", folder / "p.hwx", "-i", folder / "data.npz", "--limit", "2", "--steps", "5")[1]
    assert (body["samples"], body["steps"], len(body["decisions"])) == (2, 7, 2)


def test_estimate_from_data_and_from_a_trace_is_the_same(capsys, folder):
    run(capsys, "simulate", folder / "p.hwx", "-i", folder / "data.npz", "-o", folder / "t.npz")
    code, from_data = run_json(capsys, "estimate", folder / "p.hwx", "-i", folder / "data.npz")
    assert code == 0
    assert from_data == run_json(capsys, "estimate", folder / "p.hwx", "--trace", folder / "t.npz")[1]
    assert from_data["energy_dynamic"]["value"] is None
    proxy = run_json(capsys, "estimate", folder / "p.hwx", "--trace", folder / "t.npz", "--proxy", "loihi1-energy")[1]
    assert proxy["energy_dynamic"]["value"] > 0
    assert proxy["proxy"].startswith("loihi1-energy: ")


def test_verify(capsys, folder):
    words = ["verify", folder / "model.nir", *SETTLED, "-t", "loihi2", "-i", folder / "data.npz"]
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    assert "chip against integer reference: equal, every spike and every state" in out
    assert run_json(capsys, *words)[1]["ok"] is True


def test_a_difference_is_exit_code_1(capsys, folder, monkeypatch):
    from hwsdk.backends.verify import VerifyReport
    from hwsdk.ir.trace import Mismatch

    report = VerifyReport("loihi2", 1, 1, None, Mismatch("spike", "n1", 0, 3, 2, 1, 0), None, (), {}, "")
    monkeypatch.setattr(compiler, "verify", lambda *_a, **_k: report)
    code, out, _ = run(capsys, "verify", folder / "model.nir", *SETTLED, "-t", "loihi2", "-i", folder / "data.npz")
    assert code == 1
    assert "spike differs first at step 3, layer n1, neuron 2, sample 0: expected 1, got 0" in out


def test_what_does_not_fit_is_exit_code_1(capsys, tmp_path):
    model = write_chain(tmp_path / "wide.nir", nir.Linear(np.ones((1, 20_000))), lif(1), n_in=20_000)
    code, out, err = run(capsys, "compile", model, *SETTLED, "-t", "loihi2", "-o", tmp_path / "p.hwx")
    assert (code, out) == (1, "")
    assert "n1, neuron 0: needs 20,000 axons, limit 16,000 [axons_in]" in err
    assert not (tmp_path / "p.hwx").exists()
    code, body = run_json(capsys, "compile", model, *SETTLED, "-t", "loihi2")
    assert (code, body["error"]["code"]) == (1, "DOES_NOT_FIT")
    assert body["error"]["violations"][0] == {"rule": "axons_in", "where": "n1, neuron 0", "need": 20000,
                                              "limit": 16000, "unit": "axons"}


@pytest.mark.parametrize(("option", "value"), [
    ("--bits", "0"), ("--bits", "17"), ("--bits", "-1"), ("--bits", "x"), ("--chips", "0"), ("--chips", "-2"),
    ("--option", "level"),
    ("--seed", "-1"), ("--dt", "0"), ("--dt", "nan"), ("--dt", "-1e-3"), ("--recurrent-delay", "-1"), ("--reset", "no"),
])
def test_impossible_options_are_refused_before_any_work(capsys, option, value):
    code, body = run_json(capsys, "compile", "no such file", "-t", "loihi2", f"{option}={value}")
    assert (code, body["error"]["code"]) == (2, "USAGE")
    assert option in body["error"]["what"]
    assert body["error"]["fix"] == "see: hwsdk compile --help"


@pytest.mark.parametrize("option", ["--steps=0", "--steps=-4", "--limit=0", "--bin=0", "--bin=-1"])
def test_impossible_data_options(capsys, option):
    code, out, err = run(capsys, "simulate", "no such file", "-i", "nor this", option)
    assert (code, out) == (2, "")
    assert err.startswith(f"hwsdk: [USAGE] argument {option.split('=')[0]}: '{option.split('=')[1]}' is not ")


def test_no_command_and_unknown_commands(capsys):
    assert run(capsys)[0] == 2
    code, _, err = run(capsys, "deploy")
    assert code == 2
    assert "invalid choice: 'deploy'" in err


@pytest.mark.parametrize("command", ["targets", "inspect", "compile", "simulate", "estimate", "verify", "yield",
                                     "attribute"])
def test_every_command_explains_itself(capsys, command):
    with pytest.raises(SystemExit) as end:
        build_parser().parse_args([command, "--help"])
    assert not end.value.code
    text = capsys.readouterr().out
    assert f"example:\n  hwsdk {command} " in text
    assert "Exit codes: 0 done" in text
    assert "--json" in text


def error_of(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[str, str, str]:
    """(code, what, fix) of a command that must be refused with exit code 2."""
    code, body = run_json(capsys, *words)
    assert code == 2, body
    return body["error"]["code"], body["error"]["what"], body["error"]["fix"]


def test_files_are_looked_at_first(capsys, folder):
    model = folder / "model.nir"
    assert error_of(capsys, "inspect", folder / "modl.nir") == (
        "NO_FILE", "there is no such file (a .nir or .net model is wanted)", f"check the path; there is {model}")
    assert error_of(capsys, "inspect", folder) == (
        "NOT_A_FILE", "it is a folder, a .nir or .net model is wanted", f"give a file in it, for example {model}")
    assert error_of(capsys, "inspect", folder / "p.hwx")[0] == "WRONG_FILE"
    assert error_of(capsys, "simulate", folder / "model.nir", "-i", folder / "data.npz") == (
        "NOT_A_PROGRAM", "it is an HDF5 file, perhaps a model, and no compiled program",
        f"compile it first: hwsdk compile {folder / 'model.nir'} --target T -o P.hwx")
    assert error_of(capsys, "simulate", folder / "p.hwx", "-i", folder / "none" / "x.npy")[2] == (
        f"check the path; there is no folder {folder / 'none'}")


def test_the_result_can_be_written_or_nothing_is_done(capsys, folder, monkeypatch):
    monkeypatch.setattr(compiler, "load", lambda *_a, **_k: pytest.fail("the model was read first"))
    words = ["compile", folder / "model.nir", "-t", "loihi2", "-o"]
    assert error_of(capsys, *words, folder / "none" / "p.hwx") == (
        "CANNOT_WRITE", f"cannot write here: there is no folder {folder / 'none'}",
        f"make it first: mkdir -p {folder / 'none'}")
    assert error_of(capsys, *words, folder)[:2] == ("CANNOT_WRITE", "cannot write here: it is a folder")
    assert error_of(capsys, "compile", folder / "model.nir", "-t", "loihi3")[0] == "UNKNOWN_TARGET"


def test_estimate_says_whether_the_host_is_in_it(capsys, folder):
    words = ("estimate", folder / "p.hwx", "--trace", folder / "t.npz")
    chip, host = (run_json(capsys, *words, *more)[1] for more in ((), ("--boundary", "host")))
    assert (chip["boundary"]["name"], host["boundary"]["name"]) == ("chip", "host")
    assert host["latency"]["value"] > host["latency_chip"]["value"] == chip["latency"]["value"]
    assert "input from the host" in run(capsys, *words, "--boundary", "host")[1]


def test_estimate_wants_one_source(capsys, folder):
    assert error_of(capsys, "estimate", folder / "p.hwx")[:2] == ("NO_DATA", "nothing to estimate from")
    assert error_of(capsys, "estimate", folder / "p.hwx", "-i", "a", "--trace", "b")[0] == "NO_DATA"
    assert error_of(capsys, "estimate", folder / "p.hwx", "-i", folder / "data.npz", "--proxy", "gpu") == (
        "NO_PROXY", "loihi2 documents no proxy 'gpu'", "use --proxy loihi1-energy")


def test_the_trace_of_another_program_is_refused(capsys, folder):
    run(capsys, "compile", folder / "model.nir", *SETTLED, "-t", "loihi2", "--bits", "4", "-o", folder / "four.hwx")
    run(capsys, "simulate", folder / "four.hwx", "-i", folder / "data.npz", "-o", folder / "four.npz")
    assert error_of(capsys, "estimate", folder / "p.hwx", "--trace", folder / "four.npz")[0] == "WRONG_TRACE"


def test_the_trace_of_another_network_is_no_activity(capsys, folder, tmp_path):
    other = write_chain(tmp_path / "o.nir", nir.Linear(np.ones((5, 6))), lif(5), nir.Linear(np.ones((3, 5))), lif(3),
                        n_in=6)
    run(capsys, "simulate", folder / "p.hwx", "-i", folder / "data.npz", "-o", tmp_path / "t.npz")
    words = [*SETTLED, "-t", "loihi2", "--activity", tmp_path / "t.npz"]
    assert run(capsys, "compile", folder / "model.nir", *words)[0] == 0
    code, what, _ = error_of(capsys, "compile", other, *words)
    assert (code, what) == ("WRONG_TRACE", "the trace does not hold n1 as the network has it")


def test_devices_and_pipes_are_not_replaced_by_a_result(capsys, folder, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert error_of(capsys, "simulate", folder / "p.hwx", "-i", folder / "data.npz", "-o", tmp_path / "pipe")[:2] == (
        "CANNOT_WRITE", "cannot write here: it is a device or a pipe")
    with pytest.raises(HwsdkError, match="a device or a pipe"):
        compiler.load_program(folder / "p.hwx").save(tmp_path / "pipe")
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


def test_lava_takes_no_threads(capsys, folder):
    words = ("simulate", folder / "p.hwx", "-i", folder / "data.npz", "--engine", "lava", "--threads", "2")
    assert error_of(capsys, *words)[0] == "NO_THREADS"


@pytest.mark.parametrize("command", ["compile", "simulate"])
def test_an_interrupt_leaves_nothing_behind(capsys, folder, tmp_path, monkeypatch, command):
    def interrupted(*_a: object, **_k: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("numpy.save" if command == "compile" else "numpy.savez_compressed", interrupted)
    out = tmp_path / "result"
    words = {"compile": ["compile", folder / "model.nir", *SETTLED, "-t", "loihi2"],
             "simulate": ["simulate", folder / "p.hwx", "-i", folder / "data.npz"]}[command]
    code, text, err = run(capsys, *words, "-o", out)
    assert (code, text) == (130, "")
    assert "interrupted; nothing was written" in err
    assert list(tmp_path.iterdir()) == []


def test_a_bug_is_exit_code_3(capsys, folder, monkeypatch):
    def broken(*_a: object, **_k: object) -> None:
        raise ZeroDivisionError("seven")

    monkeypatch.setattr(compiler, "load", broken)
    code, _, err = run(capsys, "inspect", folder / "model.nir")
    assert code == 3
    assert "[BUG] this is a bug in hwsdk: ZeroDivisionError: seven\n  fix: please report it with the lines above" in err
    assert run_json(capsys, "inspect", folder / "model.nir")[1]["error"]["code"] == "BUG"


def test_progress_only_where_a_person_looks(capsys):
    with bar("work", quiet=False) as say:
        say.phase("a phase")
        say.step(1, 2)
        assert say.display is None, "standard error is no terminal here"
    assert capsys.readouterr() == ("", "")


def test_options_of_one_target(capsys, folder):
    model = ("compile", folder / "model.nir", *SETTLED)
    code, body = run_json(capsys, *model, "-t", "spinnaker2", "--option", "level=low", "--option", "record=all")
    assert code == 0
    assert "PEs" in body["usage"]
    for target, option, expected in (
            ("loihi2", "level=low", "loihi2 has no option level"),
            ("spinnaker2", "colour=red", "spinnaker2 has no option colour"),
            ("spinnaker2", "level=middle", "level is 'middle'"), ("spinnaker2", "history=0", "history is '0'")):
        code, body = run_json(capsys, *model, "-t", target, "--option", option)
        assert (code, body["error"]["what"]) == (2, expected)
    code, body = run_json(capsys, *model, "-t", "loihi2", "--bits", "9")
    assert (code, body["error"]["code"]) == (2, "BAD_BITS")
