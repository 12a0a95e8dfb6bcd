"""How many dies are good: bounds, repeatability, and a file that lets an interrupted run go on."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import memristor_small as small
import numpy as np
import pytest
from scipy.stats import binom, binomtest

from hwsdk.backends import memristor_judges as judges
from hwsdk.backends.memristor_yield import QUANTILES, YieldReport, clopper_pearson, quantile, yields
from hwsdk.errors import DataError, MissingDependencyError
from hwsdk.ir.crossbar import Law
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.ir.windows import features
from hwsdk.programs.crossbar import CrossbarProgram, Readout
from hwsdk.simulators import reference


def nothing(program: CrossbarProgram, stimulus: Stimulus) -> Trace:
    """A run that takes no time."""
    return Trace(stimulus.n_samples, stimulus.n_steps, {})


def of_die(die: int) -> float:
    """A number between 0 and 1 that nobody would guess."""
    return float(np.random.default_rng(die).random())


@dataclass(frozen=True)
class ByDie:
    """Measures the number of the die, and remembers whom it was asked for."""

    key: str = "by die"
    name: str = "by die"
    asked: list[int] = field(default_factory=list)
    fail_at: int = -1

    def __call__(self, program: CrossbarProgram, trace: Trace) -> float:
        if not program.physics.stages or program.physics.die == 3:
            return of_die(3)  # the run without stages, on the program's own die
        if program.physics.die == self.fail_at:
            raise KeyboardInterrupt
        self.asked.append(program.physics.die)
        return of_die(program.physics.die)


def quick(judge: ByDie, path: Path | None = None, **options) -> YieldReport:
    """Dies 100 and on."""
    options = {"dies": 8, "seed": 100, **options}
    return yields(small.program(), small.stimulus(3), measure=judge, run=nothing, resume=path, **options)


@pytest.mark.parametrize(("right", "runs"), [(0, 1), (1, 1), (0, 40), (40, 40), (37, 40), (1, 1000)])
def test_bounds_of_a_share_are_scipys_exact_ones(right, runs) -> None:
    known = binomtest(right, runs).proportion_ci(0.95, "exact")
    assert clopper_pearson(right, runs) == pytest.approx((known.low, known.high), abs=1e-12)


@pytest.mark.parametrize("n", [5, 20, 59, 60, 200])
@pytest.mark.parametrize("share", QUANTILES)
def test_bounds_of_a_quantile_are_the_closest_that_hold(n, share) -> None:
    """P(lower bound > quantile) <= 2.5 %, and the next order statistic would break that; the same above."""
    found = quantile(np.arange(1.0, n + 1), share)
    low, high = found.low, found.high
    if low is None:
        assert binom.cdf(0, n, share) > 0.025
    else:
        assert binom.cdf(low - 1, n, share) <= 0.025 < binom.cdf(low, n, share)
    if high is None:
        assert binom.sf(n - 1, n, share) > 0.025
    else:
        assert binom.sf(high - 1, n, share) <= 0.025 < binom.sf(high - 2, n, share)
    assert (low or 0) <= found.value <= (high or n)


def test_bounds_hold_the_true_quantile_as_often_as_they_say() -> None:
    rng, runs = np.random.default_rng(7), 2000
    held = 0
    for sample in rng.exponential(size=(runs, 60)):
        found = quantile(sample, 0.25)
        assert found.low is not None and found.high is not None
        held += found.low <= -np.log(0.75) <= found.high
    assert 0.95 - 3 * np.sqrt(0.05 * 0.95 / runs) < held / runs < 0.985


def test_a_report_is_what_the_dies_gave() -> None:
    report = quick(ByDie(), least=0.5)
    values = np.array([of_die(100 + k) for k in range(8)])
    assert report.dies.tolist() == list(range(100, 108))
    assert np.array_equal(report.values, values)
    assert report.good == (values >= 0.5).sum() and report.value == report.good / 8
    assert report.bounds == clopper_pearson(report.good, 8)
    assert report.worst == 100 + values.argmin()
    assert report.ideal == of_die(3)
    body = report.to_dict()
    assert json.loads(json.dumps(body)) == body
    assert (body["mean"], body["yield"]) == (values.mean(), report.value)
    text = report.to_text()
    assert f"yield {report.value:.2%}: {report.good} of 8 reach 0.5" in text
    assert text.splitlines()[-3].split()[:2] == ["50%", f"{np.quantile(values, 0.5, method='inverted_cdf'):.4f}"]


def test_exactly_enough_is_good_and_nothing_asked_is_no_yield() -> None:
    assert quick(ByDie(), dies=1, least=of_die(100)).good == 1
    report = quick(ByDie(), dies=1)
    assert (report.value, report.bounds, report.to_dict()["std"]) == (None, None, None)
    assert "yield" not in report.to_text()


def test_dies_that_are_known_are_not_run_again(tmp_path) -> None:
    file, first = tmp_path / "dies.jsonl", ByDie()
    before = quick(first, file, dies=5)
    assert (sorted(first.asked), before.resumed) == ([100, 101, 102, 103, 104], 0)
    more = ByDie()
    report = quick(more, file, dies=8, least=0.5, threads=2)
    assert (sorted(more.asked), report.resumed) == ([105, 106, 107], 5)
    assert np.array_equal(report.values, quick(ByDie()).values)
    none = ByDie()
    assert np.array_equal(quick(none, file, dies=3, seed=104).values, report.values[4:7]) and not none.asked
    lines = [json.loads(x) for x in file.read_text().splitlines()]
    assert sorted(x["die"] for x in lines) == list(range(100, 108)) and len({x["run"] for x in lines}) == 1


@pytest.mark.parametrize("cut", [1, 30, 90])
def test_a_last_line_that_was_half_written_is_done_again(tmp_path, cut) -> None:
    file = tmp_path / "dies.jsonl"
    whole = quick(ByDie(), file, dies=4)
    content = file.read_bytes()
    last = content.rfind(b"\n", 0, -1) + 1
    file.write_bytes(content[: min(last + cut, len(content) - 1)])
    again = ByDie()
    assert np.array_equal(quick(again, file, dies=4).values, whole.values)
    assert again.asked == [103]
    assert file.read_bytes() == content


def test_a_file_that_was_cut_in_its_first_line(tmp_path) -> None:
    file = tmp_path / "dies.jsonl"
    quick(ByDie(), file, dies=1)
    file.write_bytes(file.read_bytes()[:4])
    quick(ByDie(), file, dies=1)
    assert len(file.read_text().splitlines()) == 1


def test_an_interrupted_run_keeps_what_is_done(tmp_path) -> None:
    file = tmp_path / "dies.jsonl"
    with pytest.raises(KeyboardInterrupt):
        quick(ByDie(fail_at=103), file)
    assert [json.loads(x)["die"] for x in file.read_text().splitlines()] == [100, 101, 102]
    rest = ByDie()
    quick(rest, file)
    assert rest.asked == list(range(103, 108))


def test_results_of_another_run_are_refused(tmp_path) -> None:
    file = tmp_path / "dies.jsonl"
    program, data, judge = small.program(), small.stimulus(3), ByDie()
    yields(program, data, dies=2, measure=judge, run=nothing, resume=file)
    kept = file.read_bytes()
    noisier = replace(program, physics=small.physics(write=Law("range", {"a": 0.2})))
    for p, d, j in ((noisier, data, judge), (program.with_stages("write"), data, judge),
                    (program, small.stimulus(3, seed=2), judge), (program, data, ByDie("other"))):
        with pytest.raises(DataError, match="OTHER_RUN"):
            yields(p, d, dies=2, measure=j, run=nothing, resume=file)
    assert file.read_bytes() == kept
    assert yields(program.with_die(77), data, dies=2, measure=judge, run=nothing, resume=file).resumed == 2


@pytest.mark.parametrize("content", ["what is this\n", "what is this", '{"die": 1}\n', "[]\n", '{"run": 1, "die": "x"'
                                     ', "value": 1}\n'])
def test_files_that_hold_no_results_are_left_alone(tmp_path, content) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(content)
    with pytest.raises(DataError, match="BAD_RESUME"):
        quick(ByDie(), file)
    assert file.read_text() == content
    with pytest.raises(DataError, match="CANNOT_WRITE"):
        quick(ByDie(), tmp_path / "none" / "x.jsonl")
    with pytest.raises(DataError, match="BAD_RESUME"):
        quick(ByDie(), tmp_path)


def test_threads_run_beside_each_other_and_change_nothing() -> None:
    both = threading.Barrier(2, timeout=20)

    def waits(program: CrossbarProgram, stimulus: Stimulus) -> Trace:
        if program.physics.stages:
            both.wait()
        return nothing(program, stimulus)

    program, data = small.program(), small.stimulus(3)
    report = yields(program, data, dies=4, seed=100, measure=ByDie(), run=waits, threads=2)
    assert np.array_equal(report.values, quick(ByDie(), dies=4).values)


def test_progress_counts_up() -> None:
    seen: list[tuple[int, int]] = []
    quick(ByDie(), dies=3, say=lambda *x: seen.append(x))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(("options", "code"), [
    ({"dies": 0}, "BAD_DIES"), ({"seed": -1}, "BAD_DIES"), ({"threads": 0}, "BAD_DIES"),
    ({"least": float("nan")}, "BAD_LEAST"), ({"workers": "ants"}, "BAD_WORKERS"),
    ({"measure": "beauty"}, "NO_SUCH_MEASURE"),
])
def test_what_cannot_be(options, code) -> None:
    with pytest.raises(DataError) as error:
        yields(small.program(), small.stimulus(3), run=nothing, **options)
    assert error.value.code == code


def test_a_measure_that_is_no_number(tmp_path) -> None:
    judge = ByDie()
    object.__setattr__(judge, "fail_at", 0)
    with pytest.raises(DataError, match="BAD_MEASURE"):
        yields(small.program(), small.stimulus(3), dies=2, measure=NotANumber(), run=nothing)


class NotANumber(ByDie):
    """No measure."""

    def __call__(self, program: CrossbarProgram, trace: Trace) -> float:
        return float("nan")


# --- with the simulator


def test_threads_and_processes_give_the_same_dies(tmp_path) -> None:
    program, data = small.program(), small.stimulus()
    alone = yields(program, data, dies=6, seed=20)
    assert alone.measure == "accuracy" and len(set(alone.values)) > 1
    assert np.array_equal(yields(program, data, dies=6, seed=20, threads=3).values, alone.values)
    other = yields(program, data, dies=6, seed=20, threads=2, workers="processes", resume=tmp_path / "d.jsonl")
    assert np.array_equal(other.values, alone.values)


def test_a_die_is_the_program_with_that_die() -> None:
    from hwsdk.simulators import memristor

    program, data = small.program(), small.stimulus()
    trace = memristor.run(program.with_die(22), data)
    counts = trace.counts_of("output", data.n_steps)
    assert yields(program, data, dies=1, seed=22).values[0] == np.mean(counts.argmax(1) == data.labels)


def test_more_noise_makes_worse_dies() -> None:
    data = small.stimulus()
    means = []
    for a in (0.02, 0.15, 0.5):
        p = small.physics(("levels", "write"), write=Law("range", {"a": a}))
        means.append(yields(small.program(p), data, dies=10).values.mean())
    assert means[0] > means[1] > means[2]
    quiet = yields(small.program(small.physics(("levels",))), data, dies=3, measure="similarity")
    assert quiet.values.tolist() == [1.0, 1.0, 1.0] and quiet.ideal == 1.0


def test_measures_are_as_computed_by_hand() -> None:
    from hwsdk.simulators import memristor

    program, data = small.program(), small.stimulus()
    unlabelled = Stimulus(data.inputs)
    ideal, die = memristor.run(program.with_stages(), data), memristor.run(program.with_die(8), data)
    classes = [t.counts_of("output", data.n_steps).argmax(1) for t in (ideal, die)]
    report = yields(program, unlabelled, dies=1, seed=8)
    assert (report.measure, report.values[0], report.ideal) == ("agreement", np.mean(classes[0] == classes[1]), 1.0)
    a, b = (t.aligned("out", data.n_steps).dense().ravel() for t in (ideal, die))
    cosine = a @ b / np.sqrt((a @ a) * (b @ b))
    found = yields(program, unlabelled, dies=1, seed=8, measure="similarity").values[0]
    assert found == pytest.approx(cosine) and found < 1
    wanted = yields(program, unlabelled, dies=1, seed=8, expected=die)
    assert wanted.values[0] == 1.0 and wanted.ideal is not None and wanted.ideal < 1


def test_features_are_counts_in_windows_and_the_readout_decides_on_them() -> None:
    from hwsdk.simulators import memristor

    program, data = small.program(readout=True), small.stimulus()
    trace = memristor.run(program, data)
    dense = trace.aligned("hidden", data.n_steps).dense()
    wanted = np.concatenate([dense[:, :6].sum(1), dense[:, 6:].sum(1)], 1)
    assert np.array_equal(features(trace, "hidden", 2, small.STEPS), wanted)
    r = program.readout
    assert r is not None
    decided = (wanted @ r.weight.T).argmax(1)
    assert np.array_equal(judges.decided(program, trace, small.STEPS), decided)
    assert yields(program, data, dies=1, seed=3).values[0] == np.mean(decided == data.labels) > 0.5


def test_windows_that_do_not_divide_the_steps_hold_every_spike_once() -> None:
    data = small.stimulus()
    trace = Trace(30, small.STEPS, {"in": data.inputs["in"]})
    found = features(trace, "in", 5, small.STEPS).reshape(30, 5, -1)
    assert np.array_equal(found.sum(1), data.inputs["in"].counts())


def test_a_readout_trained_on_every_die_survives_what_kills_a_given_one() -> None:
    """On dies that lose half of what was written."""
    from hwsdk.simulators import memristor

    program = small.program(small.physics(("levels", "write"), write=Law("range", {"a": 0.5})), readout=True)
    data = small.stimulus(120)
    train = np.arange(120) < 60
    calls = []

    def nearest_mean(x: np.ndarray, labels: np.ndarray, r: Readout) -> Readout:
        calls.append(len(x))
        means = np.stack([x[labels == k].mean(0) for k in r.classes])
        return replace(r, weight=means, bias=-(means**2).sum(1) / 2)

    judge = judges.InSitu(data.labels, train, nearest_mean, small.STEPS)
    trained = yields(program, data, dies=5, measure=judge)
    given = yields(program, data, dies=5)
    assert set(calls) == {60}
    die, r = memristor.run(program.with_die(2), data), program.readout
    assert r is not None
    x = features(die, "hidden", 2, small.STEPS)
    own = nearest_mean(x[train], data.labels[train], r)
    right = ((x @ own.weight.T + own.bias).argmax(1) == data.labels)[60:]
    assert trained.values[2] == right.mean() < 1.0
    assert trained.values.mean() > given.values.mean() + 0.1
    with pytest.raises(DataError, match="NO_READOUT"):
        yields(program.with_readout(None), data, dies=1, measure=judge)


def test_what_cannot_be_measured() -> None:
    program, data = small.program(), small.stimulus()
    many = replace(program, outputs={"a": ("out",), "b": ("hidden",)})
    for p, d, measure, code in ((many, data, "accuracy", "NO_DECISION"), (many, data, "agreement", "NO_DECISION"),
                                (program, Stimulus(data.inputs), "accuracy", "NO_LABELS")):
        with pytest.raises(DataError) as error:
            yields(p, d, dies=1, measure=measure)
        assert error.value.code == code
    assert yields(many, data, dies=1).measure == "similarity"


def test_a_drawing(tmp_path, monkeypatch) -> None:
    import sys

    report = quick(ByDie(), least=0.5)
    for name in ("y.png", "y.svg", "y.pdf"):
        assert report.plot(tmp_path / name).stat().st_size > 3000
    svg = (tmp_path / "y.svg").read_text()
    assert "<svg" in svg
    assert quick(ByDie(), dies=1).plot(tmp_path / "one.png").exists()
    with pytest.raises(DataError, match="CANNOT_WRITE"):
        report.plot(tmp_path / "y.bmp")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError):
        report.plot(tmp_path / "z.png")


def test_the_ideal_array_is_the_model() -> None:
    """The run without stages equals the reference of the network that the array stands for."""
    from hwsdk.simulators import memristor
    from hwsdk.simulators.memristor_decode import network_of

    program, data = small.program().with_stages(), small.stimulus()
    assert reference.run(network_of(program), data).first_difference(memristor.run(program, data)) is None
