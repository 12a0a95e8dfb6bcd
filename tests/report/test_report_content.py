"""What a report says: every section of every family, honest rasters, words for what is left out."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from report_networks import DIGITS, digits, report

from hwsdk import backends
from hwsdk.errors import DataError
from hwsdk.ir.data import events_from_dense
from hwsdk.ir.early_exit import ExitRule
from hwsdk.report.content import EMPTY, Bars, Column, Grid, Plan, Raster, Table
from hwsdk.report.content_of import content_of
from hwsdk.report.content_plan import MOST_SIDE, grouped
from hwsdk.report.content_raster import BANDS, BINS, raster

SECTIONS = ["fit", "placement", "traffic", "spikes", "energy", "time", "losses", "ledger", "target"]


@pytest.mark.parametrize("target", DIGITS)
def test_every_section_says_something(target: str) -> None:
    content = report(target)
    assert [s.name for s in content.sections] == SECTIONS
    for section in content.sections:
        assert section.words or section.parts, section.name
    assert dict(content.facts)["accuracy"].endswith("of 3 samples")
    json.dumps(content.to_dict())


@pytest.mark.parametrize("target", DIGITS)
def test_without_a_run(target: str) -> None:
    """What the program alone tells is there; what a run tells is left out with a sentence."""
    program, _, _ = digits(target)
    content = content_of(program, None, backends.get(target))
    assert [s.name for s in content.sections] == SECTIONS
    for name in ("spikes", "energy", "time"):
        assert content.section(name).parts == ()
        assert "No run was given" in content.section(name).words[0]
    assert content.section("placement").parts and content.section("ledger").parts


@pytest.mark.parametrize("target", ["loihi1", "spinnaker2"])
def test_the_plan_shows_every_core_once(target: str) -> None:
    program, _, _ = digits(target)
    (plan,) = report(target).parts(Plan)
    cores = program.n_cores if target == "loihi1" else program.n_pes
    used = sum(int((p.layer > EMPTY).sum()) for p in plan.panes)
    assert used == cores == sum(len(p.labels) for p in plan.panes)
    assert all(((p.share > 0) == (p.layer > EMPTY)).all() for p in plan.panes)
    (held,) = report(target).parts(Table, "placement")
    assert sum(row[[c.name for c in held.columns].index("neurons")] for row in held.rows) == sum(
        x.n for x in (program.populations if target == "loihi1" else program.senders))


def test_cells_of_a_macro() -> None:
    program, _, _ = digits("memristor")
    (plan,) = report("memristor").parts(Plan)
    cells = sum(int(np.count_nonzero(b.mask)) for b in program.blocks)
    per_place = program.physics.rows * program.physics.columns / plan.panes[0].share.size
    assert sum(p.share.sum() for p in plan.panes) * per_place == pytest.approx(cells)
    assert {plan.layers[k] for p in plan.panes for k in np.unique(p.layer) if k >= 0} == {"lif1", "lif2"}


def test_a_small_raster_is_exact() -> None:
    _, trace, _ = digits("loihi1")
    found = {r.title: r for r in report("loihi1").parts(Raster)}
    assert list(found) == ["input", "lif1", "lif2"]
    for name in ("lif1", "lif2"):
        expected = trace.spikes[name].dense(0).T
        assert found[name].each == (1, 1) and np.array_equal(found[name].values, expected)
        assert "each place" not in found[name].alt


def test_a_large_raster_says_what_its_places_are() -> None:
    """Densities: what all places hold together is every spike; the caption gives their size."""
    rng = np.random.default_rng(1)
    dense = rng.random((1, 2 * BINS + 3, 3 * BANDS - 7)) < 0.03
    events = events_from_dense(dense, (3 * BANDS - 7,))
    found = raster("wide", events, True)
    assert found.values.shape[0] <= BANDS and found.values.shape[1] <= BINS
    high, wide = (np.minimum(e, n - np.arange(k) * e) for e, n, k in zip(
        found.each, (found.n, found.n_steps), found.values.shape, strict=True))
    assert (found.values * np.outer(high, wide)).sum() == pytest.approx(dense.sum())
    assert f"{found.each[0]} neuron(s) and {found.each[1]} step(s)" in found.alt
    assert found.events == dense.sum()


def test_silent_populations_are_named() -> None:
    program, trace, _ = digits("loihi1")
    quiet = dataclasses.replace(trace.spikes["lif2"], **{n: np.zeros(0, np.int32) for n in ("sample", "step", "index")})
    content = content_of(program, dataclasses.replace(trace, spikes={**trace.spikes, "lif2": quiet}, counts={}),
                         backends.get("loihi1"))
    assert [r.title for r in content.parts(Raster)] == ["lif1"]
    assert "no counted events" in content.section("energy").words[0]
    assert any("nothing fires" in w and "lif2" in w for w in content.section("spikes").words)


def test_an_exit_rule_is_told() -> None:
    """A report is of runs to the end, and says so where the program would end them sooner."""
    program, trace, _ = digits("loihi1")
    assert "exit rule" not in dict(report("loihi1").facts)
    rule = ExitRule("output", (0.9,))
    content = content_of(program.with_exit(rule), trace, backends.get("loihi1"))
    assert "runs to the end" in dict(content.facts)["exit rule"]


def test_a_sample_that_is_not_there() -> None:
    program, trace, _ = digits("loihi1")
    with pytest.raises(DataError, match="there is no sample 3"):
        content_of(program, trace, backends.get("loihi1"), sample=3)


@pytest.mark.parametrize("target", ["loihi1", "spinnaker2", "memristor"])
def test_losses_by_layer(target: str) -> None:
    """Every layer has its lines, and the error of its weights as the text has it."""
    program, _, _ = digits(target)
    (table,) = report(target).parts(Table, "losses")
    assert {row[0] for row in table.rows} >= {"lif1", "lif2"}
    (bars,) = report(target).parts(Bars, "losses")
    assert bars.rows == ("lif1", "lif2")
    for (value,) in bars.values:
        assert f"{value * 100:.2f}%" in program.losses


def test_the_ledger_is_whole() -> None:
    program, _, _ = digits("loihi1")
    rows = [r for t in report("loihi1").parts(Table, "ledger")[1:] for r in t.rows]
    assert sorted(r[2] for r in rows) == sorted(e.text for e in program.ledger.entries)


def test_large_matrices_are_added_up() -> None:
    values = np.arange(130.0 * 50).reshape(130, 50)
    names = tuple(f"core {k}" for k in range(130)), tuple(f"core {k}" for k in range(50))
    found, said = grouped(Grid("x", *names, values, "messages", ("from", "to"), ""))
    assert found.values.shape == (len(found.rows), len(found.columns)) and max(found.values.shape) <= MOST_SIDE
    assert found.values.sum() == values.sum()
    assert found.values[1, 1] == values[3:6, 2:4].sum() and found.rows[1] == "core 3 to 5"
    assert "3 rows and 2 columns" in said


@pytest.mark.parametrize(("unit", "cell", "expected"), [
    ("", "x", "x"), ("n", 12345, "12,345"), ("n", 2.5, "2.5"), ("n", 12345.67, "12,345.7"), ("%", 0.0001, "<0.1%"),
    ("%", 0.0, "0.0%"), ("%", 0.125, "12.5%"), ("J", 2.5e-9, "2.5 nJ"), ("J", None, "not published")])
def test_cells_as_people_read_them(unit: str, cell: object, expected: str) -> None:
    assert Column("c", unit).shown(cell) == expected


class Foreign:
    """A program of a family that hwsdk does not know."""

    kind = "of another package"

    def __init__(self, program) -> None:
        self.program = program

    def __getattr__(self, name: str):
        return getattr(self.program, name)


class ForeignBackend:
    """Its backend."""

    def __init__(self, backend) -> None:
        self.backend, self.target, self.name = backend, backend.target, backend.name

    def summary(self, program):
        return self.backend.summary(program.program)

    def estimate(self, program, *rest):
        return self.backend.estimate(program.program, *rest)


def test_a_family_that_nobody_knows() -> None:
    """What every program has is told; the rest is left out with a sentence."""
    program, trace, _ = digits("loihi1")
    content = content_of(Foreign(program), trace, ForeignBackend(backends.get("loihi1")))
    assert [s.name for s in content.sections] == SECTIONS
    for name in ("placement", "traffic"):
        assert content.section(name).parts == () and "is left out" in content.section(name).words[0]
    assert [r.title for r in content.parts(Raster)] == ["lif1", "lif2"]
    assert content.parts(Table, "energy")
