"""Windows of bias, found on a netlist whose margins can be computed by hand; yields, and their bounds."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sfq_race
from scipy.stats import binomtest, norm
from sfq_random import random_netlist, random_stimulus

from hwsdk import compiler
from hwsdk.backends.sfq_margin_report import margins
from hwsdk.backends.sfq_margins import ALL, TOLERANCE, Sweep, compare, output_layers, same_outputs, sweep
from hwsdk.backends.sfq_yield import Z95, curve, monte_carlo, wilson
from hwsdk.cli import margins as command
from hwsdk.errors import DataError, HwsdkError, MissingDependencyError, UnsupportedError
from hwsdk.ir.data import Events, Stimulus, events_from_arrays
from hwsdk.ir.trace import Trace
from hwsdk.simulators import sfq
from hwsdk.simulators.sfq import Conditions
from hwsdk.simulators.sfq_analog import run_analog

PNG = b"\x89PNG\r\n\x1a\n"


def by_hand(slack: Callable[[float], float]) -> tuple[float, float]:
    """The window in which the input is first, to 1e-5."""
    ends = []
    for way in (-1, 1):
        k = 1.0
        while slack(k + way * 1e-5) >= 0:
            k += way * 1e-5
        ends.append(k)
    return ends[0], ends[1]


def test_windows_are_those_computed_by_hand() -> None:
    found = sweep(sfq_race.race(), sfq_race.stimulus(), groups=[ALL, "data", "clock"])
    wanted = {ALL: by_hand(lambda k: sfq_race.slack(k, k)), "data": by_hand(lambda k: sfq_race.slack(k, 1)),
              "clock": by_hand(lambda k: sfq_race.slack(1, k))}
    for name, (low, high) in wanted.items():
        line = found.line(name)
        assert low - 1e-5 <= line.low <= low + TOLERANCE, name
        assert high - TOLERANCE <= line.high <= high + 1e-5, name
        assert not (line.low_open or line.high_open)
        assert line.margin == min(1 - line.low, line.high - 1)
    assert wanted["data"][0] > 0.87 and wanted["clock"][1] < 1.16, "the race decides, not the ends of the tables"


def test_every_point_of_a_plane_is_as_computed_by_hand() -> None:
    k = np.linspace(0.84, 1.22, 20)
    found = sweep(sfq_race.race(), sfq_race.stimulus(), k=k, groups=[("data", "clock")])
    plane = found.planes[0]
    assert (plane.first, plane.second) == ("data", "clock")
    wanted = [[sfq_race.slack(a, b) >= 0 for b in plane.k_second] for a in plane.k_first]
    assert np.array_equal(plane.good, wanted)
    assert 0.2 < plane.share < 0.9
    assert 1.0 in plane.k_first and len(plane.k_first) == len(k) + (1.0 not in np.round(k, 9))


def test_a_window_that_reaches_the_end_is_open() -> None:
    line = sweep(sfq_race.race(), sfq_race.stimulus(), k=[0.95, 1.05], groups=["data"]).line("data")
    assert (line.low, line.high, line.low_open, line.high_open) == (0.95, 1.05, True, True)
    assert line.to_text().count("beyond") == 2


def test_islands_beyond_a_gap_are_no_part_of_the_window() -> None:
    found = sweep(sfq_race.race(), sfq_race.stimulus(), k=[0.8, 0.9, 1.1, 1.2], run=lambda c: c.bias,
                  ok=lambda k: abs(k - 1) < 0.05 or k > 1.15)
    line = found.line()
    assert 0.95 < line.low <= 0.951 and 1.049 <= line.high < 1.05
    assert bool(line.good[-1]) and line.k[-1] == 1.2


def test_what_is_wrong_at_nominal_has_no_window() -> None:
    found = sweep(sfq_race.race(), sfq_race.stimulus(), k=[0.9, 1.1], run=lambda c: c.bias, ok=lambda k: k > 1.05)
    line = found.line()
    assert np.isnan(line.low) and np.isnan(line.margin) and "wrong at nominal" in found.to_text()
    assert found.to_dict()["lines"][0]["low"] is None
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_expected_trace_decides() -> None:
    program, stimulus = sfq_race.race(), sfq_race.stimulus()
    nominal = sfq.run(program, stimulus)
    none = np.zeros(0, np.int32)
    silent = Trace(nominal.n_samples, nominal.n_steps, {"out": Events((1,), 2, nominal.n_steps, none, none, none)})
    assert sweep(program, stimulus, k=[0.95], expected=nominal).line().low == 0.95
    assert np.isnan(sweep(program, stimulus, k=[0.95], expected=silent).line().low)
    assert same_outputs(program, nominal)(nominal) and not same_outputs(program, silent)(nominal)
    assert output_layers(program, nominal) == ["out"]
    with pytest.raises(DataError, match="WRONG_TRACE"):
        same_outputs(program, Trace(2, 8, {}))


def test_what_is_scaled_is_what_was_named() -> None:
    seen: list[Conditions] = []
    program = sfq_race.race()
    base = Conditions(bias=1.1, group_bias={"data": 0.5})
    sweep(program, sfq_race.stimulus(), k=[0.9], groups=[ALL, "data", ("clock", "data")], base=base,
          run=lambda c: seen.append(c), ok=lambda _: True)
    got = [(round(c.bias, 9), {n: round(k, 9) for n, k in c.group_bias.items()}) for c in seen]
    assert (0.99, {"data": 0.5}) in got and (1.1, {"data": 0.45}) in got
    assert (1.1, {"data": 0.45, "clock": 0.9}) in got and (1.1, {"data": 0.5, "clock": 0.9}) in got


@pytest.mark.parametrize(("given", "code"), [({"groups": ["nowhere"]}, "NO_SUCH_GROUP"), ({"what": "soma"}, "NO_SUCH"),
                                             ({"groups": [("data", "x")]}, "NO_SUCH_GROUP"), ({"what": "x"}, "UNKNOWN"),
                                             ({"k": [-1.0]}, "BAD_FACTORS"), ({"k": [np.nan]}, "BAD_FACTORS"),
                                             ({"k": []}, "BAD_FACTORS")])
def test_what_cannot_be_swept_is_refused(given: dict, code: str) -> None:
    with pytest.raises(HwsdkError, match=code):
        sweep(sfq_race.race(), sfq_race.stimulus(), **given)


def test_two_sweeps_are_set_side_by_side(tmp_path: Path) -> None:
    program, stimulus = sfq_race.race(), sfq_race.stimulus()

    def swept(low: float, high: float, groups: list[str], by: str) -> Sweep:
        return sweep(program, stimulus, k=[0.8, 1.2], groups=groups, by=by,
                     run=lambda c: c.bias * c.group_bias.get("data", 1.0), ok=lambda k: low <= k <= high)

    first, second = swept(0.9, 1.1, [ALL, "data"], "pulses"), swept(0.95, 1.2, [ALL, "clock"], "circuit")
    found = compare(first, second)
    assert found.common() == [ALL]
    assert found.overlap() == pytest.approx((1.1 - 0.95) / (1.2 - 0.9), abs=0.01)
    assert "pulses" in found.to_text() and f"{100 * found.overlap():.1f} %" in found.to_text()
    assert found.plot(tmp_path / "both.png").read_bytes().startswith(PNG)
    wrong = swept(2, 3, [ALL], "never")
    assert compare(first, wrong).overlap() == 0 and np.isnan(compare(wrong, wrong).overlap())
    with pytest.raises(DataError, match="NO_LINE"):
        compare(first, swept(0.9, 1.1, ["clock"], "x"))


def test_a_circuit_is_swept_as_the_pulse_simulator_is() -> None:
    """Their cells differ by some percent in delay, and so do the ends of their windows."""
    program = sfq_race.race()
    x = events_from_arrays((1,), [0, 0], [0, 2], [0, 0], n_samples=1, n_steps=3)
    stimulus, k = Stimulus({"x": x}), [0.8, 0.9, 1.1, 1.2]
    pulse = sweep(program, stimulus, k=k, groups=["data"])
    circuit = sweep(program, stimulus, k=k, groups=["data"], by="RCSJ solver", tolerance=0.01,
                    run=lambda c: run_analog(program, stimulus, conditions=c).trace)
    assert compare(pulse, circuit).overlap("data") > 0.85


@pytest.mark.parametrize(("right", "runs"), [(0, 1), (1, 1), (0, 30), (30, 30), (1, 30), (997, 1000), (500, 1000)])
def test_wilson_bounds_are_those_of_scipy(right: int, runs: int) -> None:
    ours = wilson(right, runs)
    theirs = binomtest(right, runs).proportion_ci(0.95, "wilson")
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert pytest.approx(float(norm.ppf(0.975)), abs=1e-15) == Z95


def test_the_fast_monte_carlo_decides_as_whole_runs_do() -> None:
    program, stimulus = sfq_race.race(), sfq_race.stimulus()
    options = {"runs": 120, "spread": 0.5, "jitter": True, "seed": 7}
    fast, slow = monte_carlo(program, stimulus, **options), monte_carlo(
        program, stimulus, **options, run=lambda c: sfq.run(program, stimulus, conditions=c))
    assert np.array_equal(fast.good, slow.good)
    assert 10 < fast.right < 110
    assert sum(fast.failures.values()) == fast.runs - fast.right
    assert np.array_equal(fast.good, monte_carlo(program, stimulus, **options, threads=2).good)
    assert not np.array_equal(fast.good, monte_carlo(program, stimulus, **{**options, "seed": 900}).good)
    assert (fast.low, fast.high) == wilson(fast.right, 120)


@pytest.mark.parametrize("seed", [0, 3, 5])
def test_the_fast_monte_carlo_knows_frames_and_lags(seed: int) -> None:
    """Against an expected trace that runs ahead, on netlists with many outputs and stray pulses."""
    program = random_netlist(seed)
    stimulus = random_stimulus(seed, program, 6, 2)
    nominal = sfq.run(program, stimulus)
    for shift, good in ((0, True), (1, False)):
        moved = nominal.spikes["all"].shifted(shift, nominal.n_steps)
        expected = Trace(2, nominal.n_steps, {"all": moved})
        made = monte_carlo(program, stimulus, runs=2, jitter=False, expected=expected)
        assert made.good.tolist() == [good, good] == [same_outputs(program, expected)(nominal)] * 2


def test_the_first_violation_is_told() -> None:
    """Two JTLs of the same line give their pulses in one another's way when delays of the data line spread wide."""
    program, stimulus = sfq_race.race(), sfq_race.stimulus()
    made = monte_carlo(program, stimulus, runs=200, spread=0.8, jitter=False)
    assert made.failures and all(w == "no violation" or w.split()[1] in ("timing", "absorbed") for w in made.failures)
    counts = list(made.failures.values())
    assert counts == sorted(counts, reverse=True)
    assert f"{made.right:,} of 200 runs right" in made.to_text()
    json.dumps(made.to_dict(), allow_nan=False)


def test_unknown_jitter_is_told() -> None:
    known = sfq_race.race()
    unsure = replace(known, types=tuple(replace(t, sigma_fs=np.nan) if t.name == "DFF" else t for t in known.types))
    made = monte_carlo(unsure, sfq_race.stimulus(), runs=3)
    assert made.unknown == ("DFF",) and "jitter of DFF is not known, and was taken as 0 fs" in made.to_text()
    assert not monte_carlo(sfq_race.race(), sfq_race.stimulus(), runs=3, jitter=False).unknown


def test_a_curve_falls_with_the_spread(tmp_path: Path) -> None:
    found = curve(sfq_race.race(), sfq_race.stimulus(), "spread", [0.0, 0.3, 1.0], runs=150, jitter=False)
    values = [p.value for p in found.points]
    assert values[0] == 1 and values == sorted(values, reverse=True) and values[-1] < 0.8
    assert found.plot(tmp_path / "curve.svg").read_text("utf-8").startswith("<?xml")
    assert found.to_text().count("\n") == 5
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["values"] == [0.0, 0.3, 1.0]
    with pytest.raises(DataError, match="NO_SUCH_CONDITION"):
        curve(sfq_race.race(), sfq_race.stimulus(), "seed", [1])
    with pytest.raises(DataError, match="BAD_RUNS"):
        monte_carlo(sfq_race.race(), sfq_race.stimulus(), runs=0)


def test_drawings_are_files_and_leave_pyplot_alone(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path[:0] = ["tests"]
import sfq_race
from hwsdk.backends.sfq_margins import sweep
found = sweep(sfq_race.race(), sfq_race.stimulus(), k=[0.8, 0.9, 1.1, 1.2], groups=["all", "data", ("data", "clock")])
assert "matplotlib" not in sys.modules
print(found.plot({str(tmp_path / "m.png")!r}), found.plot({str(tmp_path / "m.pdf")!r}))
assert "matplotlib.pyplot" not in sys.modules
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "m.png").read_bytes().startswith(PNG) and (tmp_path / "m.pdf").read_bytes().startswith(b"%PDF")


def test_drawing_needs_matplotlib_and_a_name_it_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = sweep(sfq_race.race(), sfq_race.stimulus(), k=[0.9, 1.1])
    with pytest.raises(DataError, match="CANNOT_WRITE"):
        found.plot(tmp_path / "m.doc")
    with pytest.raises(DataError, match="CANNOT_WRITE"):
        found.plot(tmp_path / "nowhere" / "m.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=re.escape("pip install 'matplotlib>=3.7'")):
        found.plot(tmp_path / "m.png")


def ran(words: list[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> tuple[int, dict, str]:
    """The command on the race."""
    stimulus = sfq_race.stimulus()
    np.save(folder / "x.npy", stimulus.inputs["x"].dense())
    (folder / "race.hwx").write_bytes(b"")
    monkeypatch.setattr(compiler, "load_program", lambda _: sfq_race.race())
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    for name in ("steps", "bin", "limit"):
        parser.add_argument(f"--{name}", type=int)
    given = parser.parse_args(words)
    given.program, given.input, given.quiet = str(folder / "race.hwx"), str(folder / "x.npy"), True
    return command.run(given)


def test_the_command_prints_windows_and_yield(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plot = tmp_path / "m.png"
    code, body, text = ran(["--bias", "0.85:1.15:7", "--layer", "data", "--layer", "clock", "--map", "--runs", "5",
                            "--spread", "0.02", "--plot", str(plot)], monkeypatch, tmp_path)
    assert code == 0 and plot.exists()
    assert [x["name"] for x in body["margins"]["lines"]] == ["data", "clock"]
    assert np.shape(body["margins"]["planes"][0]["good"]) == (7, 7)
    assert body["yield"]["runs"] == 5 and "5 of 5 runs right" in text and f"wrote {plot}" in text
    json.dumps(body, allow_nan=False)
    assert body["curve"] is None and body["files"] == [str(plot)]
    assert ran([], monkeypatch, tmp_path)[1]["yield"] is None


def test_the_command_draws_the_yield_over_the_spread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--bias", "0.95:1.05:3", "--runs", "60", "--spread", "0.5", "--curve", "--plot", str(tmp_path / "m.png")]
    _, body, text = ran(words, monkeypatch, tmp_path)
    assert body["curve"]["values"] == [0.0, 0.25, 0.5, 0.75, 1.0] and "yield over spread of cell delays" in text
    rights = [p["right"] for p in body["curve"]["points"]]
    assert rights[0] == 60 > rights[-1] and rights[2] == body["yield"]["right"]
    made = monte_carlo(sfq_race.race(), sfq_race.stimulus(), runs=60, spread=0.5, jitter=False)
    assert made.to_dict() == body["yield"], "a curve adds points, it changes none"
    assert (tmp_path / "m_yield.png").read_bytes().startswith(PNG)
    for lacking in (["--curve", "--spread", "0.5"], ["--curve", "--runs", "5"]):
        with pytest.raises(DataError, match="NO_SPREAD"):
            ran(lacking, monkeypatch, tmp_path)


@pytest.mark.parametrize("words", [["--bias", "1.2:0.8"], ["--bias", "0.8"], ["--bias", "0.8:1.2:1"], ["--spread", "2"],
                                   ["--bias", "a:b"], ["--spread", "-0.1"], ["--unknown-jitter", "x"]])
def test_odd_words_are_refused(words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        ran(words, monkeypatch, tmp_path)


def test_a_map_needs_two_layers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(HwsdkError, match="BAD_LAYERS"):
        ran(["--map", "--layer", "data"], monkeypatch, tmp_path)


def test_programs_of_other_targets_have_no_margins() -> None:
    class Other:
        name, target = "net", "loihi2"

    with pytest.raises(UnsupportedError, match="NO_MARGINS"):
        margins(Other(), sfq_race.stimulus())  # type: ignore[arg-type]
