"""Exit rules: what they decide, how programs carry them, how they are tuned, and the command."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from random_networks import random_network

import hwsdk
from hwsdk.backends import early_exit as ee
from hwsdk.backends import early_exit_tune as tuning
from hwsdk.backends.early_exit_report import Spread, percentiles
from hwsdk.cli import early_exit as command
from hwsdk.cost import Amount
from hwsdk.errors import DataError, ProgramError, UnsupportedError
from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.early_exit import UNREACHED, ExitRule, course, exits
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.trace import Trace
from hwsdk.programs import container

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RULE = ExitRule("out", (2.0,), "margin")
ONE = np.array([[[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0]]])
"""A sample whose sums are 1 0 0, 2 0 0, 2 1 0, 3 1 0."""


@pytest.fixture(scope="module")
def program():
    return hwsdk.compile(random_network(5, Semantics()), "loihi2")


@pytest.mark.parametrize(("field", "value", "says"), [
    ("measure", "entropy", "measure 'entropy'"), ("evidence", "mean", "evidence 'mean'"), ("output", "", "output ''"),
    ("thresholds", (), r"thresholds \(\)"), ("thresholds", (float("nan"),), "thresholds"),
    ("temperature", 0.0, "temperature 0.0"), ("earliest", 0, "earliest 0"), ("every", 1.5, "every 1.5"),
    ("latest", 0, "latest 0")])
def test_a_rule_without_meaning_is_refused(field, value, says):
    with pytest.raises(UnsupportedError, match=rf"^\[BAD_RULE\] exit rule: an exit rule with .*{says}"):
        dataclasses.replace(RULE, **{field: value})
    with pytest.raises(UnsupportedError, match="steps 5 to 4"):
        dataclasses.replace(RULE, earliest=5, latest=4)


def test_a_rule_survives_json_and_nothing_else_is_one():
    rule = ExitRule("o", (0.1 + 0.2, 5), "softmax", 4, "last", 2, 9, 3)
    assert ExitRule.from_json(json.loads(json.dumps(rule.to_json()))) == rule
    assert rule.to_text() == "softmax over 4 of o (last) reaches 0.3 to step 1, 5, from step 2 to 9, every 3 steps"
    waits = dataclasses.replace(RULE, thresholds=(UNREACHED, UNREACHED, 1))
    assert "reaches nothing to step 2, 1, from" in waits.to_text()
    for wrong in ({"output": "o"}, rule.to_json() | {"more": 1}, rule.to_json() | {"measure": "x"}):
        with pytest.raises(ValueError, match="exit rule"):
            ExitRule.from_json(wrong)


def test_confidences_of_known_counts():
    counts = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 2.0]])
    of = {m: ExitRule("o", (0,), m, temperature=2).confidence(counts, 4) for m in ("softmax", "softmax_mean", "margin",
                                                                                   "count")}
    e = np.exp
    np.testing.assert_allclose(of["softmax"], [e(1.5) / (e(1.5) + e(0.5) + 1), e(1) / (2 * e(1) + 1)])
    np.testing.assert_allclose(of["softmax_mean"][0], e(3 / 8) / (e(3 / 8) + e(1 / 8) + 1))
    assert of["margin"].tolist() == [2, 0]
    assert of["count"].tolist() == [3, 2]
    assert ExitRule("o", (0,)).confidence(np.array([[1e6, 0.0]]), 1).tolist() == [1.0]


@pytest.mark.parametrize(("changes", "step", "confident"), [
    ({}, 2, True), ({"earliest": 3}, 4, True), ({"every": 3}, 4, True), ({"latest": 1}, 1, False),
    ({"thresholds": (9.0,)}, 4, False), ({"thresholds": (1.0, 9.0)}, 1, True), ({"thresholds": (5.0, 5, 1)}, 3, True),
    ({"measure": "count", "thresholds": (3.0,)}, 4, True), ({"evidence": "last", "thresholds": (1.0,)}, 1, True),
    ({"earliest": 9}, 4, True)])
def test_where_a_rule_stops(changes, step, confident):
    found = exits(dataclasses.replace(RULE, **changes), events_from_dense(ONE, (3,)))
    assert (found.steps[0], found.decision[0], found.confident[0]) == (step, 0, confident)


def plain(rule: ExitRule, dense: np.ndarray) -> tuple[int, int]:
    """The rule in so many words."""
    evidence = np.zeros(dense.shape[1])
    last = min(rule.latest or len(dense), len(dense))
    for done in range(1, last + 1):
        evidence = evidence + dense[done - 1] if rule.evidence == "sum" else dense[done - 1]
        asked = done >= rule.earliest and (done - rule.earliest) % rule.every == 0
        ordered, threshold = sorted(evidence), rule.thresholds[min(done, len(rule.thresholds)) - 1]
        share = np.exp(ordered) / np.exp(ordered).sum()
        sure = {"softmax": share[-1], "margin": ordered[-1] - ordered[-2], "count": ordered[-1]}[rule.measure]
        if done == last or (asked and sure >= threshold - 1e-12 * (rule.measure == "softmax")):
            return done, int(evidence.argmax())
    raise AssertionError


@pytest.mark.parametrize("measure", ["softmax", "margin", "count"])
@pytest.mark.parametrize("evidence", ["sum", "last"])
def test_decisions_are_those_of_the_plain_rule_and_know_nothing_of_later_steps(measure, evidence):
    rng = np.random.default_rng(1)
    for _ in range(20):
        dense = rng.integers(0, 3, (6, 9, 4)) * rng.integers(0, 2, (6, 9, 4))
        thresholds = rng.uniform(0.3, 0.9, 3) if measure == "softmax" else rng.integers(1, 6, 3)
        rule = ExitRule("o", tuple(thresholds.tolist()), measure, evidence=evidence, earliest=int(rng.integers(1, 5)),
                        latest=int(rng.integers(5, 12)), every=int(rng.integers(1, 4)))
        found = exits(rule, events_from_dense(dense, (4,)))
        assert [plain(rule, x) for x in dense] == list(zip(found.steps, found.decision, strict=True))
        for k, n in enumerate(found.steps):
            dense[k, n:] = rng.integers(0, 9, dense[k, n:].shape)
        again = exits(rule, events_from_dense(dense, (4,)))
        assert (again.steps == found.steps).all() and (again.decision == found.decision).all()


def test_outputs_count_from_the_step_at_which_the_chip_answers():
    late = events_from_dense(np.concatenate([np.full((1, 2, 3), 7), ONE], axis=1), (3,))
    trace = Trace(1, 6, {"out": late}, lag={"out": 2})
    found = exits(RULE, trace.aligned("out", 4))
    assert found.steps.tolist() == [2]
    assert ee.executed(trace, "out", found.steps).tolist() == [4]
    assert ee.model_steps(trace) == 4


def test_a_program_carries_its_rule(program, tmp_path):
    (name,) = program.outputs
    rule = ExitRule(name, (0.7,), temperature=3.0)
    quick = program.with_exit(rule)
    assert quick.digest() != program.digest() == quick.with_exit(None).digest()
    assert "exit_rule" not in container.read(program.save(tmp_path / "p.hwx"))[0].body
    assert f"exit when {rule.to_text()}\n" in quick.to_text()
    again = hwsdk.load_program(quick.save(tmp_path / "q.hwx"))
    assert again.exit_rule == rule and again.digest() == quick.digest() and again.to_text() == quick.to_text()
    assert hwsdk.load_program(tmp_path / "p.hwx").exit_rule is None


def test_only_outputs_that_the_host_sees_can_decide(program, tmp_path):
    with pytest.raises(UnsupportedError, match=r"^\[NO_SUCH_OUTPUT\] exit rule: .*'nobody'.*\n.*use one of"):
        program.with_exit(ExitRule("nobody", (1.0,)))
    (output,) = program.outputs.values()
    assert program.with_exit(ExitRule(output[0], (1.0,))).exit_rule is not None
    quick = program.with_exit(ExitRule(output[0], (1.0,)))
    wrong = dataclasses.replace(quick, exit_rule=dataclasses.replace(quick.exit_rule, output="nobody"))
    with pytest.raises(ProgramError, match=r"^\[NO_SUCH_OUTPUT\]"):
        hwsdk.load_program(wrong.save(tmp_path / "w.hwx"))
    object.__setattr__(wrong.exit_rule, "output", output[0])
    object.__setattr__(wrong.exit_rule, "measure", "hope")
    with pytest.raises(ProgramError, match="an exit rule with the measure 'hope'"):
        hwsdk.load_program(wrong.save(tmp_path / "w.hwx"))
    with pytest.raises(UnsupportedError, match=r"^\[NO_RULE\].*\n.*early-exit"):
        ee.rule_of(program)


def test_counts_that_are_not_kept_by_step_cannot_be_cut(program):
    events = events_from_dense(ONE, (3,))
    trace = Trace(1, 4, {"out": events}, {("out", "v"): ONE}, {
        "spikes": np.ones((1, 4)), "pe_cycles": np.ones((1, 4)), "frames": np.array([[4]])})
    (whole,) = ee.cut_trace(trace, [4])
    assert set(whole.counts) == set(trace.counts)
    with pytest.raises(DataError, match=r"^\[NOT_BY_STEP\] frames .*\n.*--input"):
        ee.cut_trace(trace, [2])
    carrying = program.with_exit(ExitRule(next(iter(program.outputs)), (1.0,), "count"))
    whole_run = dataclasses.replace(trace, spikes={next(iter(program.outputs)): events})
    assert "not evaluated" in command.report(carrying, whole_run)[1]
    del trace.counts["frames"]
    (cut,) = ee.cut_trace(trace, [2])
    assert set(cut.counts) == {"spikes"} and cut.counts["spikes"].shape == (1, 2) and cut.n_steps == 2
    assert len(cut.spikes["out"]) == 2 and cut.states["out", "v"].shape == (1, 2, 3)


def test_some_samples_of_a_stimulus_keep_their_events():
    dense = np.arange(24).reshape(4, 2, 3)
    data = Stimulus.dense({"a": dense}, {"a": (3,)}, labels=[0, 1, 2, 3])
    part = ee.subset(data, np.array([3, 1]))
    assert (part.inputs["a"].dense() == dense[[3, 1]]).all() and part.labels.tolist() == [3, 1]


def test_what_is_unknown_of_one_sample_is_unknown_of_the_distribution():
    known, least = Amount(2.0, 1.0, 3.0, "J"), Amount(4.0, 4.0, 4.0, "J", ("hops",))
    spread = Spread.of([known, least])
    assert spread.mean == Amount(3.0, 2.5, 3.5, "J", ("hops",)) and "at least" in spread.to_text()
    none = Spread.of([known, Amount(None, None, None, "J", ("hops",))])
    assert none.value is None and none.to_text().startswith("unknown") and none.to_dict()["samples"] is None
    assert percentiles(np.arange(1, 101)) == {
        "mean": 50.5, "p50": 50, "p95": 95, "p99": 99, "min": 1, "max": 100, "sum": 5050}


def judged(dense, labels, **more):
    """Tuning of a made-up output; all decisions after all steps are right unless labels say otherwise."""
    rule = ExitRule("o", (1.0,), "margin", **more)
    events = events_from_dense(dense, (dense.shape[2],))
    seen, truth = course(rule, events), np.asarray(labels)
    return rule, tuning._Judged(seen, seen.decision == truth[:, None], seen.decision[:, -1] == truth)


def misleading(n: int) -> np.ndarray:
    """n samples whose output 0 leads by 1 first; in the last quarter output 1 wins in the end."""
    dense = np.zeros((n, 6, 2))
    dense[:, 0, 0] = 1
    dense[: 3 * n // 4, 2:, 0] = 1
    dense[3 * n // 4 :, 2:, 1] = 1
    return dense


def test_the_threshold_saves_most_within_the_loss():
    labels = [0] * 30 + [1] * 10
    rule, what = judged(misleading(40), labels)
    none = tuning._tuned(rule, what, 0.0, False, False, tuning.LABELS)
    assert none.rule.thresholds == (2.0,) and none.chosen.accuracy == 1.0 and none.chosen.lost == 0
    assert none.chosen.steps == pytest.approx((30 * 3 + 10 * 5) / 40)
    all_ = tuning._tuned(rule, what, 0.25, False, False, tuning.LABELS)
    assert all_.rule.thresholds[0] <= 1 and all_.chosen.steps == 1 and all_.chosen.lost == 10
    assert [p.steps for p in none.curve] == sorted(p.steps for p in none.curve) and len(none.curve) == 2
    assert none.fixed[-1].accuracy == 1.0 and none.fixed[0].accuracy == 0.75
    assert none.loss_bound == pytest.approx(1 - 0.05 ** (1 / 40)) and "do not exclude a loss of 7.2%" in none.to_text()
    sure = tuning._tuned(rule, what, 0.05, False, True, tuning.LABELS)
    assert sure.rule is None and "no threshold saves steps" in sure.to_text() and sure.to_dict()["rule"] is None
    assert tuning._tuned(rule, what, 0.08, False, True, tuning.LABELS).rule == none.rule


def test_thresholds_by_step_wait_where_early_leads_mislead():
    rule, what = judged(misleading(40), [0] * 30 + [1] * 10)
    found = tuning._tuned(rule, what, 0.0, True, False, tuning.LABELS)
    assert found.rule.thresholds[:3] == (UNREACHED, UNREACHED, 2.0) and found.chosen.accuracy == 1.0
    assert found.chosen.steps <= tuning._tuned(rule, what, 0.0, False, False, tuning.LABELS).chosen.steps


@pytest.mark.parametrize(("below", "value", "short"), [
    (0.3, 0.40807, 0.4), (0.4080, 0.40807, 0.40807), (1.0, 3.0, 3.0), (-np.inf, 0.1, 0.0), (0.999, 1.0, 1.0)])
def test_thresholds_are_short_numbers_between_what_was_seen(below, value, short):
    assert tuning._short(below, value) == pytest.approx(short, abs=1e-12)
    assert below < tuning._short(below, value) <= value


def test_data_do_not_judge_the_rule_that_they_made():
    data = Stimulus.dense({"a": np.eye(4)[:, None]}, {"a": (4,)})
    assert tuning.shared(ee.subset(data, np.array([0, 1])), ee.subset(data, np.array([1, 2]))) == 1
    with pytest.raises(DataError, match=r"^\[SAME_DATA\]"):
        tuning.shared(data, ee.subset(data, np.array([3, 2])))
    with pytest.raises(DataError, match=r"^\[BAD_LOSS\]"):
        tuning.tune(None, data, most_loss=1.5)


def told(*words: str) -> tuple[int, dict, str]:
    """What the command says to a command line."""
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    parser.add_argument("--quiet", action="store_true")
    return command.run(parser.parse_args([*words, "--quiet"]))


def test_the_command_sets_tunes_and_reports(tmp_path):
    network = hwsdk.load(EXAMPLES / "digits.nir", dt=1e-3, reset="value")
    plain_, quick = tmp_path / "p.hwx", tmp_path / "q.hwx"
    hwsdk.compile(network, "loihi1").save(plain_)
    test = ["--input", str(EXAMPLES / "digits_test.npz"), "--limit", "20"]
    code, body, text = told(str(plain_), "--tune", str(EXAMPLES / "digits_calibration.npz"), *test, "-o", str(quick))
    assert code == 0 and "tuned on 50 sample(s)" in text and f"wrote {quick}" in text
    assert body["early_exit"]["samples"] == 20 and body["rule"]["measure"] == "margin" and json.dumps(body)
    assert told(str(quick), *test)[1]["early_exit"] == body["early_exit"]
    assert "of output (sum) reaches 3, from step 1, every 2 steps" in told(str(quick), "--threshold=3", "--every=2")[2]
    assert told(str(quick), "--tune-first", "15", *test)[1]["early_exit"]["samples"] == 5
    program, data = hwsdk.load_program(quick), hwsdk.compiler.load_data(test[1], network, limit=20)
    trace = hwsdk.simulate(program, data)
    assert command.report(program, trace, data)[0]["early_exit"] == body["early_exit"]
    assert command.exits_text(program, trace, data)[0]["early_exit"]["decisions"] == body["early_exit"]["decisions"]
    assert command.report(hwsdk.load_program(plain_), trace) == ({}, "")


@pytest.mark.parametrize(("words", "code"), [
    ([], "NO_RULE"), (["--tune-first", "3"], "BAD_OPTION"), (["--threshold", "1", "--decides", "x"], "NO_SUCH_OUTPUT"),
    (["--threshold", "1", "--temperature", "1", "--tune", "D"], "BAD_OPTION")])
def test_the_command_refuses(program, tmp_path, words, code):
    path, data = str(program.save(tmp_path / "p.hwx")), str(EXAMPLES / "digits_calibration.npz")
    with pytest.raises((DataError, UnsupportedError)) as error:
        told(path, *[data if w == "D" else w for w in words])
    assert error.value.code == code
