"""hwsdk compare: rows against what the single commands say, reasons instead of crashes, marks where they are due."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from command_line import run, run_json

from hwsdk import compiler
from hwsdk.backends.base import CompileOptions
from hwsdk.backends.verify import decisions, layer_drift
from hwsdk.cost import Amount
from hwsdk.errors import HwsdkError, TargetError
from hwsdk.ir.data import Events, Stimulus, events_from_dense
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import IF
from hwsdk.ir.nodes import Input, Linear, Output
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.trace import Trace
from hwsdk.report.compare import FAMILIES, Comparison, compare
from hwsdk.report.compare_rows import Refusal, Row, output_cosine
from hwsdk.report.compare_text import amount, latency, span
from hwsdk.simulators import reference

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PULSES = (EXAMPLES / "digits_sfq.nir", "--dt", "1", "--reset", "subtract", "--input", EXAMPLES / "digits_sfq_test.npz")
COARSE = {"memristor": {"adc_bits": "4"}}
"""So that a decision or two differ from the float reference's."""
DIGITS = (EXAMPLES / "digits.nir", "--dt", "1e-3", "--reset", "value", "--input", EXAMPLES / "digits_test.npz")


@pytest.fixture(scope="module")
def pulses():
    network = compiler.load(EXAMPLES / "digits_sfq.nir", dt=1.0, reset="subtract")
    return network, compiler.load_data(EXAMPLES / "digits_sfq_test.npz", network, limit=20)


@pytest.fixture(scope="module")
def four(pulses) -> Comparison:
    return compare(*pulses, common=CompileOptions(bits=4), options=COARSE)


def test_all_four_families_have_a_row_of_their_own_figures(pulses, four):
    network, data = pulses
    assert 0 < four.rows[3].same < 1  # so that a share of all would be seen
    assert tuple(r.target for r in four.rows) == FAMILIES and all(r.fits for r in four.rows)
    wanted = decisions(reference.run(network, data), "output", data.n_steps)
    assert four.reference_accuracy == (wanted == data.labels).mean()
    for name in ("loihi2", "memristor"):
        program = compiler.compile(network, name, bits=4, target_options=COARSE.get(name))
        trace = compiler.simulate(program, data)
        cost = compiler.estimate(program, trace)
        row = next(r for r in four.rows if r.target == name)
        got = decisions(trace, "output", data.n_steps)
        assert row.accuracy == (got == data.labels).mean() and row.same == (got == wanted).mean()
        assert row.latency == tuple(np.percentile(cost.latency_samples, (50, 95, 99)))
        assert row.cost.to_dict() == cost.to_dict() and row.digest == program.digest()
        assert row.usage == compiler.summary(program)
        drift = layer_drift("if2", reference.run(network, data), trace, data.n_steps)
        assert row.cosine == pytest.approx(drift.similarity)


def test_the_table_shows_units_ranges_and_what_is_missing(four):
    text = four.to_text()
    assert max(map(len, text.splitlines())) <= 118
    assert "\x1b" not in text and "\x1b" in four.to_text(150, colour=True)
    head = re.sub(r" +", " ", text.split("\n* best")[0])
    for said in ("loihi2 2 of 120 cores", "spinnaker2 3 of 148 PEs", "sfq 40,885 of 1,000,000",
                 "memristor 1 of 16 macros", "unknown", "at least"):
        assert said in head
    assert "with cooling" in text and "GUESSED" not in text
    assert "ranges          of registers and converters: from the worst case" in text
    for row in four.rows:
        assert f"\n{row.target}: {row.title}\n" in text
    assert "not published   packet sent; NoC hop" in text


def test_a_refusal_is_a_row_with_code_text_and_remedy():
    network = compiler.load(EXAMPLES / "digits.nir", dt=1e-3, reset="value")
    data = compiler.load_data(EXAMPLES / "digits_test.npz", network, limit=2)
    found = compare(network, data, targets=["sfq", "loihi2"], options={"loihi2": {"bits": 11}})
    sfq, loihi = (r.refusal for r in found.rows)
    assert sfq.code == "LOOP_FAN_IN" and "lif1: neuron 0 needs more branches" in sfq.to_text() and "prune" in sfq.fix
    assert loihi.code and not found.any_fits
    text = found.to_text()
    assert "cannot run it" in text and "LOOP_FAN_IN" in text and "fix             prune synapses" in text
    assert found.to_dict()["rows"][0]["reason"]["fix"] == sfq.fix


def test_a_network_that_is_too_large_is_told_with_need_and_limit():
    n, o = 600, np.ones(600)
    nodes = {"input": Input((n,)), "w": Linear(np.ones((n, n))), "n": IF(o, o, 0 * o), "output": Output((n,))}
    network = Network("big", nodes, tuple(map(Edge, nodes, list(nodes)[1:])), Semantics(dt=1.0))
    found = compare(network, Stimulus.dense(np.ones((1, 2, n)), {"input": (n,)}), targets=["sfq", "loihi2"])
    assert [r.fits for r in found.rows] == [False, True] and found.rows[0].refusal.fit
    text = found.to_text()
    assert "does not fit" in text and "limit 1,000,000 [junctions]" in text and "fewer weight bits" in text


def rows_of(four, **changes):
    """Two rows with the same boundary and complete figures, but for what is changed in the second."""
    base = four.rows[0].cost
    figures = {"energy_dynamic": Amount(1.0, 0.9, 1.1, "J"), "energy_static": Amount(0.0, 0.0, 0.0, "J"),
               "latency": Amount(1.0, 1.0, 1.0, "s")}
    first = replace(four.rows[0], cost=replace(base, **figures))
    second = replace(first, target="other", cost=replace(base, **{**figures, **changes}))
    marks = replace(four, rows=(first, second)).marks
    return {m.column: m for m in marks}


def test_costs_are_marked_only_where_they_can_be_compared(four):
    apart = rows_of(four, energy_dynamic=Amount(2.0, 1.5, 2.5, "J"), latency=Amount(0.5, 0.5, 0.5, "s"))
    assert apart["dynamic energy"].best == ("loihi2",) and apart["latency"].best == ("other",)
    near = rows_of(four, energy_dynamic=Amount(2.0, 1.0, 2.5, "J"))["dynamic energy"]
    assert not near.best and "overlaps that of other" in near.why_not
    part = rows_of(four, energy_dynamic=Amount(2.0, 1.5, 2.5, "J", ("hop",)))["dynamic energy"]
    assert not part.best and "not published for other" in part.why_not
    wide = rows_of(four, energy_dynamic=Amount(2.0, 1.5, 2.5, "J"), omitted=("memory",))["dynamic energy"]
    assert not wide.best and "boundaries differ" in wide.why_not
    lent = rows_of(four, energy_dynamic=Amount(2.0, 1.5, 2.5, "J"), proxy="p: text")["dynamic energy"]
    assert not lent.best and "other stands on the prices of another chip" in lent.why_not
    assert "all are the same" in apart["accuracy"].why_not


def test_the_best_shares_are_marked_and_the_rest_is_explained(four):
    marks = {m.column: m for m in four.marks}
    assert marks["output cosine"].best == ("loihi2", "spinnaker2", "sfq")
    text = four.to_text()
    assert "1.0000 *" in text and "no best latency is marked: the boundaries differ" in text
    assert "no best dynamic energy or total energy is marked: prices are not published for loihi2" in text


def test_cells_of_times_and_amounts():
    assert amount(Amount(None, None, None, "J", ("x",))) == "unknown" and amount(None) == "unknown"
    assert amount(Amount(2.5e-6, 2e-6, 3e-6, "J", ("x",))) == "at least 2.5 uJ\n2 to 3 uJ"
    assert span(Amount(1e-6, 5e-7, 1e-6, "J")) == ["500 nJ to 1 uJ"] and span(Amount(0.0, 0.0, 0.0, "J")) == []
    assert latency(Row("t", "1", "T")) == "-"


def test_cosine_takes_values_lags_and_silence(pulses):
    network, _ = pulses
    a = np.zeros((1, 3, 10))
    a[0, 0, 3], a[0, 1, 4] = 3.0, 4.0

    def trace(array, lag=0) -> Trace:
        events: Events = events_from_dense(np.pad(array, ((0, 0), (lag, 0), (0, 0))), (10,))
        return Trace(1, 3 + lag, {"output": events}, lag={"output": lag})

    b = a.copy()
    b[0, 1, 4] = 0.0
    assert output_cosine(network, trace(a), trace(2 * a, 2), 3) == pytest.approx(1.0)
    assert output_cosine(network, trace(a), trace(b), 3) == pytest.approx(0.6)
    assert output_cosine(network, trace(0 * a), trace(0 * a), 3) == 1.0
    assert output_cosine(network, trace(0 * a), trace(a), 3) == 0.0
    assert output_cosine(network, trace(a), Trace(1, 3, {}), 3) is None


def test_labels_options_and_targets_are_checked(pulses):
    network, data = pulses
    given = compare(network, Stimulus(data.inputs), targets=["loihi2", "loihi2"], labels=data.labels[::-1])
    plain = compare(network, Stimulus(data.inputs), targets=["loihi2"])
    assert len(given.rows) == 1 and plain.rows[0].accuracy is None and plain.rows[0].same == 1.0
    decided = decisions(reference.run(network, data), "output", data.n_steps)
    assert given.rows[0].accuracy == given.reference_accuracy == (decided == data.labels[::-1]).mean()
    with pytest.raises(TargetError, match="no target 'loihi9'"):
        compare(network, data, targets=["loihi9"])
    with pytest.raises(HwsdkError, match="options for sfq, which is not compared"):
        compare(network, data, targets=["loihi2"], options={"sfq": {"neuron": "loop"}})
    wrong = compare(network, data, targets=["loihi2"], options={"loihi2": {"level": "low"}})
    assert wrong.rows[0].refusal.code == "UNKNOWN_OPTION"


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_page_stands_alone_and_can_be_walked(four):
    bad = Row("x<y", "1", "T", Refusal("BAD", "", "5 <i> 6", "a <i> b", True))
    odd = replace(four, network="<b>&", rows=(*four.rows, bad))
    page = Page(odd.to_html())
    tags = [t for t, _ in page.tags]
    assert not {"script", "link", "img", "iframe"} & set(tags) and not {"b", "i"} & set(tags)
    assert not any({"src", "href"} & set(a) for _, a in page.tags)
    assert "<b>&: which chip?" in page.text and "5 <i> 6" in page.text and "a <i> b" in page.text
    heads = [a.get("scope") for t, a in page.tags if t == "th"]
    assert heads.count("row") >= 5 and None not in heads and tags.count("caption") == 1 + 4
    assert ("html", {"lang": "en"}) in page.tags
    assert "prefers-color-scheme: dark" in odd.to_html() and len(odd.to_html()) < 500_000


def test_the_command_writes_table_page_and_documents(capsys, tmp_path):
    page, table, documents = tmp_path / "c.html", tmp_path / "c.json", tmp_path / "n.json"
    code, out, _ = run(capsys, "compare", *PULSES, "--limit", "3", "--targets", "loihi2,spinnaker2,sfq",
                       "--option", "sfq:bits=4", "--option", "sfq:estimate.bias_scheme=ersfq",
                       "--option", "spinnaker2:level=low", "--html", page, "-o", table, "--neurobench", documents)
    assert code == 0 and out.startswith("digits_sfq on 3 target(s), 3 sample(s) of")
    assert page.read_text().startswith("<!doctype html>") and f"wrote {page}" in out
    found = json.loads(table.read_text())
    assert [r["fits"] for r in found["rows"]] == [True, True, True]
    assert found["rows"][2]["cost"]["energy_static"]["value"] == 0.0  # ERSFQ
    assert "weights 4 bit" in found["rows"][2]["losses"] and "8 bit" in found["rows"][1]["losses"]
    got = json.loads(documents.read_text())
    assert set(got) == {"loihi2", "spinnaker2", "sfq"} and got["loihi2"]["system"]["method"] == "simulated-cycle"


def test_a_document_that_cannot_be_made_is_no_reason_against_the_chip(pulses, monkeypatch):
    def refuse(*_args, **_named):
        raise HwsdkError("connections through a Thing are not counted", where="x", code="NOT_COUNTED")

    monkeypatch.setattr("hwsdk.report.compare_rows.measure", refuse)
    found = compare(*pulses, targets=["spinnaker2"], neurobench=True)
    assert found.rows[0].fits and found.neurobench()["spinnaker2"]["algorithm"] is None
    assert "[NOT_COUNTED] x: connections" in found.neurobench()["spinnaker2"]["notes"][0]
    assert "a step takes a tick of 1 ms" in found.to_text()


def test_exit_codes_of_the_command(capsys):
    code, body = run_json(capsys, "compare", *DIGITS, "--limit", "1", "--targets", "sfq")
    assert code == 1 and body["rows"][0]["reason"]["code"] == "LOOP_FAN_IN"
    for words, said in ((("--targets", "loihi9"), "UNKNOWN_TARGET"), (("--option", "level=low"), "BAD_OPTION"),
                        (("--option", "sfq:bits=x"), "BAD_OPTION"), (("--option", "loihi1:bits=4"), "BAD_OPTION"),
                        (("--html", "/no/such/folder/x.html"), "CANNOT_WRITE")):
        code, body = run_json(capsys, "compare", *DIGITS, "--limit", "1", *words)
        assert (code, body["error"]["code"]) == (2, said), words


def test_guesses_on_import_stand_under_the_table(capsys):
    words = [w for w in DIGITS if w not in ("--dt", "1e-3", "--reset", "value")]
    _, out, _ = run(capsys, "compare", *words, "--limit", "1", "-t", "loihi2", "--calibrate", "--proxy", "--quiet")
    assert out.count("GUESSED") == 2 and "set by the same data" in out and "PROXY" in out


def test_a_network_in_a_chip_s_integers_is_held_to_itself(corpus):
    network = compiler.load(corpus / "loihi" / "tiny.net")
    frames = (np.random.default_rng(0).random((2, 6, 3, 16, 16)) < 0.3).astype(float)
    data = Stimulus.dense(frames, {"input": (3, 16, 16)})
    found = compare(network, data, neurobench=True)
    assert found.reference == "integer" and found.rows[0].cosine == 1.0 and found.rows[0].accuracy is None
    assert [r.refusal.code for r in found.rows[1:]] == ["NEURON_MODEL"] * 3
    assert set(found.neurobench()) == {"loihi2"}
