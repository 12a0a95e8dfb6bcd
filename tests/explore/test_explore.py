"""explore: the same results whoever measures, however much is remembered, and as other commands give them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from small_designs import digits, found, pulses, space

from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.backends.memristor_yield import yields
from hwsdk.backends.sfq_yield import monte_carlo
from hwsdk.backends.verify import verify_network
from hwsdk.errors import HwsdkError
from hwsdk.explore import engines, show
from hwsdk.explore.bench import Bench
from hwsdk.explore.engines import Crew, chunks
from hwsdk.explore.job import Job, code_digest
from hwsdk.explore.points import Axis, Point, Space
from hwsdk.explore.run import Exploration, explore
from hwsdk.ir import formats

SERIAL = Crew("serial")


@pytest.fixture(scope="module")
def plain() -> Exploration:
    return explore(*digits(), space(), crew=SERIAL)


def test_what_is_remembered_changes_nothing(plain: Exploration) -> None:
    points = [r.point for r in plain.results][::5]
    fresh = explore(*digits(), points, crew=Crew("serial", keep=False))
    assert found(fresh.results) == found(plain.results[::5])


def test_processes_give_the_same(plain: Exploration) -> None:
    some = [r for r in plain.results if r.point.target in ("loihi2", "memristor")][::3]
    again = explore(*digits(), [r.point for r in some], crew=Crew("joblib", 2))
    assert found(again.results) == found(tuple(some))


@pytest.mark.parametrize("target", ["loihi2", "spinnaker2", "memristor"])
def test_a_point_is_what_verify_and_estimate_say(plain: Exploration, target: str) -> None:
    network, data = digits()
    short = formats.load_data(data, {"input": data.inputs["input"].shape}, n_steps=16)
    usual = {"bits": 4, "steps": 16, "option.level": "auto", "estimate.adc_model": "band"}
    got = next(r for r in plain.results if r.point.target == target and set(r.point.settings) <= set(usual.items())
               and r.point.get("steps") and r.point.get("bits"))
    backend, options = backends.get(target), CompileOptions(bits=4)
    report = verify_network(network, backend, short, options)
    program = backend.compile(network, options, lambda _: None)
    cost = backend.estimate(program, backend.simulate(program, short, probes=(), strict=False, progress=None), None,
                            "chip", {})
    assert got.accuracy == report.accuracy["chip"]
    assert got.similarity == report.drift[-1].similarity
    assert got.amounts["energy"] == cost.energy_total and got.amounts["latency"] == cost.latency
    assert got.digest == program.digest()
    assert got.used == {n: (u.used, u.available, u.unit) for n, u in backend.summary(program).items()}


def test_a_refusal_is_a_result(plain: Exploration) -> None:
    refused = [r for r in plain.results if r.point.target == "sfq"]
    assert {r.code for r in refused} == {"LOOP_FAN_IN"} and not any(r.fits for r in refused)
    assert all("branches" in r.reason for r in refused)
    assert plain.reasons == {("sfq", "LOOP_FAN_IN"): 12}
    assert "12 refused [LOOP_FAN_IN]" in plain.to_text()


def test_a_fault_of_ours_ends_its_point_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Bench, point: Point) -> None:
        raise ZeroDivisionError("seven")

    monkeypatch.setattr(Bench, "_measured", broken)
    ended = explore(*digits(), space("bits=7,8", targets=("loihi2",)), crew=SERIAL)
    assert [r.code for r in ended.bugs] == ["BUG", "BUG"] and "ZeroDivisionError: seven" in ended.to_text()


def test_what_is_no_property_of_a_point_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(self: Bench, point: Point) -> None:
        raise MemoryError

    monkeypatch.setattr(Bench, "_measured", full)
    with pytest.raises(MemoryError):
        explore(*digits(), space("bits=8", targets=("loihi2",)), crew=SERIAL, store=tmp_path / "p")
    assert len((tmp_path / "p").read_bytes().splitlines()) == 1


def test_going_on_measures_only_what_is_new(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measured: list[Point] = []
    measure = Bench.measure

    def counted(self: Bench, point: Point) -> object:
        measured.append(point)
        return measure(self, point)

    monkeypatch.setattr(Bench, "measure", counted)
    few, more = space("bits=7,8", targets=("loihi2",)), space("bits=6:8", targets=("loihi2", "sfq"))
    first = explore(*digits(), few, crew=SERIAL, store=tmp_path / "p")
    second = explore(*digits(), more, crew=SERIAL, store=tmp_path / "p", resume=True)
    third = explore(*digits(), more, crew=SERIAL, store=tmp_path / "p", resume=True)
    assert len(measured) == 6 == len(set(measured))
    assert (first.resumed, second.resumed, third.resumed) == (0, 2, 6)
    assert second.results == third.results


def test_variants_of_a_model_and_their_semantics() -> None:
    network, data = digits(4)
    other = network.replace(name="soft", semantics=network.semantics.with_(reset="subtract"))
    both = Space(("hard", "soft"), ("loihi2",), (Axis("semantics.reset", ("value", "subtract")),))
    rows = explore({"hard": network, "soft": other}, data, both, crew=SERIAL).results
    by = {(r.point.model, r.point.get("semantics.reset")): r for r in rows}
    assert by["hard", "value"].similarity == by["soft", "value"].similarity
    assert by["hard", "subtract"].amounts == by["soft", "subtract"].amounts != by["hard", "value"].amounts
    assert len({r.key for r in rows}) == 4


def test_dies_are_the_yield_of_the_crossbar() -> None:
    network, data = digits(6)
    axes = (Axis("option.write", (0.4,)), Axis("die", (0, 1, 2, 3)))
    got = explore(network, data, Space(("digits",), ("memristor",), axes), crew=SERIAL, least=0.5)
    backend = backends.get("memristor")
    program = backend.compile(network, CompileOptions(target_options={"write": 0.4}), lambda _: None)
    theirs = yields(program, data, dies=4, measure="accuracy", least=0.5)
    (ours,) = got.yields().values()
    assert ours.values.tolist() == theirs.values.tolist() and len(set(ours.values.tolist())) > 1
    assert (ours.good, ours.bounds) == (theirs.good, theirs.bounds)
    (shown,) = got.front.results
    assert shown.accuracy == theirs.values.min()  # a design is as good as its worst chip
    assert "yield" in got.to_text()


def test_dies_and_bias_of_pulse_logic() -> None:
    network, data = pulses()
    axes = (Axis("bits", (4,)), Axis("run.spread", (0.03,)), Axis("die", (0, 1, 2)))
    got = explore(network, data, Space(("digits_sfq",), ("sfq",), axes), crew=SERIAL).results
    program = backends.get("sfq").compile(network, CompileOptions(bits=4), lambda _: None)
    theirs = monte_carlo(program, data, runs=3, spread=0.03)  # type: ignore[arg-type]
    assert [r.same for r in got] == theirs.good.tolist()
    bias = Space(("digits_sfq",), ("sfq",), (Axis("bits", (4,)), Axis("run.bias", (0.5, 1.0))))
    low, nominal = explore(network, data, bias, crew=SERIAL).results
    assert nominal.same and nominal.similarity == 1.0 and not low.same


def test_conditions_where_there_are_none() -> None:
    (r,) = explore(*digits(), [Point.of("digits", "loihi2", {"die": 1})], crew=SERIAL).results
    assert (r.fits, r.code) == (False, "NO_CONDITIONS")


def test_chunks_hold_every_point_once_and_keep_what_is_shared_together() -> None:
    points = space(*("bits=2:8", "steps=8,16", "loihi2.boundary=chip,host"), targets=("loihi2", "sfq")).grid()
    cut = chunks(points)
    assert sorted(p for c in cut for p in c) == sorted(points)
    assert all(len({p.without("boundary") for p in c}) == 1 for c in cut)
    bits = [c[0].get("bits") for c in cut if c[0].target == "loihi2"]
    assert len(bits) == 14 and sum(a != b for a, b in pairwise(bits)) == 6


def test_a_job_comes_back_from_its_bytes() -> None:
    network, data = digits()
    job = Job({"digits": network}, data, data)
    again = Job.from_bytes(job.to_bytes())
    assert (again.models, again.shared) == (job.models, job.shared)
    assert again.networks["digits"].to_text() == network.to_text()
    assert len(code_digest()) == 64


def test_a_worker_with_other_code_is_refused() -> None:
    network, data = digits()
    with pytest.raises(HwsdkError, match=r"OTHER_CODE"):
        engines._bench(Job({"digits": network}, data).to_bytes(), "another", True)


def test_labels_decide_the_key() -> None:
    network, data = digits()
    one, other = (Bench(Job({"digits": network}, d)).key(Point("digits", "loihi2")) for d in (data, data.one(0)))
    assert one != other


def test_page_and_figure(plain: Exploration, tmp_path: Path) -> None:
    page = show.page(plain, tmp_path / "p.html").read_text("utf-8")
    assert "<svg" in page and "src=" not in page and "<script" not in page
    assert not [w for w in page.split() if w.startswith(("href=\"http", "url(http", "@import"))]
    assert page.count("<tr>") == 1 + len(show._alike(plain))
    assert show.plot(plain, tmp_path / "p.png").read_bytes()[1:4] == b"PNG"
    with pytest.raises(HwsdkError, match=r"BAD_FORMAT"):
        show.plot(plain, tmp_path / "p.doc")


def test_the_front_of_it(plain: Exploration) -> None:
    best = plain.front.results
    assert {r.point.target for r in best} == {"loihi2", "spinnaker2", "memristor"}  # each misses parts of its own
    assert all(r.fits for r in best) and 0 < len(best) < len(plain.fitting)
    energies = np.array([r.amounts["energy"].value for r in plain.fitting if r.point.target == "loihi2"], float)
    cheapest = next(r for r in best if r.point.target == "loihi2")
    assert cheapest.amounts["energy"].value == energies.min()


@pytest.mark.parametrize(("crew", "code"), [
    ({"engine": "gpu"}, "UNKNOWN_ENGINE"), ({"workers": 0}, "BAD_WORKERS"), ({"scheduler": "tcp://x"}, "NO_SCHEDULER")])
def test_a_crew_that_there_is_not(crew: dict[str, object], code: str) -> None:
    with pytest.raises(HwsdkError) as error:
        Crew(**crew)  # type: ignore[arg-type]
    assert error.value.code == code


