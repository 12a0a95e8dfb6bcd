"""The commands explore and fit: exit codes, JSON, files, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import run, run_json
from small_designs import EXAMPLES

DIGITS = (EXAMPLES / "digits.nir", "--dt", "1e-3", "--reset", "value", "--input", EXAMPLES / "digits_test.npz",
          "--limit", "2")
SERIAL = ("--engine", "serial")


def test_explore_keeps_shows_and_goes_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ("explore", *DIGITS, *SERIAL, "--targets", "loihi2,sfq", "--sweep", "bits=4,8", "-o", tmp_path / "p.jsonl")
    code, out, _ = run(capsys, *words, "--html", tmp_path / "p.html")
    assert code == 0 and "4 points, 0 of them measured before; 2 fit and run" in out
    assert (tmp_path / "p.html").is_file()
    code, body = run_json(capsys, *words)
    assert (code, body["error"]["code"]) == (2, "EXISTS")
    code, body = run_json(capsys, *words, "--resume")
    assert code == 0 and body["resumed"] == 4 and len(body["points"]) == 4
    assert set(body["pareto"]["keys"]) <= {p["key"] for p in body["points"]}
    assert body["refused"] == [{"target": "sfq", "code": "LOOP_FAN_IN", "points": 2}]


def test_explore_says_no_when_nothing_fits(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "explore", *DIGITS, *SERIAL, "--targets", "sfq")
    assert code == 1 and "1 refused [LOOP_FAN_IN]" in out


def test_explore_takes_patterns_variants_dies_and_samples(capsys: pytest.CaptureFixture[str]) -> None:
    code, body = run_json(capsys, "explore", EXAMPLES / "digits_sfq.nir", *DIGITS, *SERIAL,
                          "--targets", "memristor_i*", "--yield-dies", "2", "--yield-least", "0.5", "--sample", "3",
                          "--sweep", "bits=6:8")
    assert code == 0 and len(body["points"]) == 6 and len(body["yields"]) == 3
    assert {p["point"]["target"] for p in body["points"]} <= {"memristor_ideal", "memristor_isaac"}
    assert all(y["good"] is not None for y in body["yields"])


@pytest.mark.parametrize(("words", "code"), [
    (("--targets", "loihi9"), "UNKNOWN_TARGET"), (("--sweep", "colour=1"), "BAD_SWEEP"), (("--resume",), "NO_STORE"),
    (("--pareto", "beauty"), "BAD_OBJECTIVE"), (("--targets", "loihi2", "--yield-dies", "2"), "NO_YIELD"),
    (("-o", "/none/p.jsonl"), "CANNOT_WRITE"), (("--scheduler", "tcp://127.0.0.1:1"), "NO_SCHEDULER"),
    (("--targets", ","), "NO_TARGET")])
def test_explore_refuses(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: str) -> None:
    exit_code, body = run_json(capsys, "explore", *DIGITS, *words)
    assert (exit_code, body["error"]["code"]) == (2, code)


def test_a_model_is_given_once(capsys: pytest.CaptureFixture[str]) -> None:
    code, body = run_json(capsys, "explore", DIGITS[0], *DIGITS)
    assert (code, body["error"]["code"]) == (2, "BAD_MODELS")


def test_an_interrupted_exploration_says_how_to_go_on(capsys: pytest.CaptureFixture[str], tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    from hwsdk.explore.bench import Bench

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Bench, "_measured", stopped)
    code, out, _ = run(capsys, "explore", *DIGITS, *SERIAL, "-o", tmp_path / "p.jsonl")
    assert code == 130 and "--resume" in out


def test_fit_writes_the_best(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ("fit", *DIGITS, "--target", "loihi2", "--latency-budget", "2e-4", "--tries", "40")
    code, body = run_json(capsys, *words, "-o", tmp_path / "p.hwx")
    assert code == 0 and body["needed"] and body["output"] == str(tmp_path / "p.hwx")
    code, simulated = run_json(capsys, "simulate", tmp_path / "p.hwx", "--input", EXAMPLES / "digits_test.npz",
                               "--limit", "2")
    assert simulated["digest"] == body["working"][0]["result"]["digest"]


def test_fit_says_no(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "fit", *DIGITS, "--target", "loihi2", "--latency-budget", "1e-9", "--tries", "3", "-o",
                       tmp_path / "p.hwx")
    assert code == 1 and "nothing came nearer" in out and not (tmp_path / "p.hwx").exists()


def test_fit_refuses_a_proxy_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    code, body = run_json(capsys, "fit", *DIGITS, "--target", "sfq", "--proxy", "x")
    assert (code, body["error"]["code"]) == (2, "NO_PROXY")
