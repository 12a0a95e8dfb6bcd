"""The page, the figures, the text and the command."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from command_line import run, run_json
from report_networks import DIGITS, digits, page, report

from hwsdk.errors import HwsdkError
from hwsdk.ir.trace_file import save_trace
from hwsdk.report import figures, html
from hwsdk.report.content import Bars, Column, Content, Dots, Section, Table


class Page(HTMLParser):
    """All elements of a page with their attributes, and whether they nest."""

    VOID = ("meta", "link", "br", "hr", "img", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {target: page(target) for target in DIGITS}


def test_pages_are_sound(pages: dict[str, str]) -> None:
    """Elements nest, names are unique, references meet a name, figures and tables are named."""
    for target, text in pages.items():
        found = Page(text).found
        ids = [a["id"] for _, a in found if "id" in a]
        assert len(ids) == len(set(ids)), target
        for tag, a in found:
            for name in a.get("aria-labelledby", "").split():
                assert name in ids, (target, tag, name)
            address = a.get("href", a.get("src", ""))
            assert address == "" or address.startswith(("#", "data:")), (target, address)
            if address.startswith("#"):
                assert address[1:] in ids, (target, address)
            if tag == "svg":
                assert a["role"] == "img" and len(a["aria-label"]) > 20
        assert [a["href"][1:] for t, a in found if t == "a"][1:] == [s.name for s in report(target).sections]
        headings = [t for t, _ in found if re.fullmatch("h[1-6]", t)]
        assert headings.count("h1") == 1 and headings[0] == "h1"


def test_nothing_is_fetched(pages: dict[str, str]) -> None:
    """No style, script or image asks for an address, and the policy would not let it."""
    for text in pages.values():
        assert "default-src 'none'" in text
        assert not re.search(r"url\((?!#)|@import|<(?:iframe|object|embed|base|form)\b|xmlns|xlink", text)
        assert "#01020" not in text, "a mark of a colour was left"


def test_equal_reports_are_equal_bytes(pages: dict[str, str]) -> None:
    """In another process with another order of sets, and whatever matplotlib is told by its user."""
    code = ("import hashlib, sys, matplotlib; sys.path[:0] = sys.argv[1:]; matplotlib.rcParams['font.size'] = 30\n"
            "from report_networks import report\nfrom hwsdk.report import html\n"
            "print(hashlib.sha256(html.page(report('loihi1')).encode()).hexdigest())")
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(root / "tests"), str(root)], check=True,
                          capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert done.stdout.strip() == hashlib.sha256(pages["loihi1"].encode()).hexdigest()


def test_names_cannot_be_markup() -> None:
    evil = '<script>alert(1)</script> & "quoted" $\\frac{1$ \u96f6'
    table = Table(evil, (Column(evil), Column("n", "n")), ((evil, 1),))
    bars = Bars(evil, (evil,), (evil,), ((0.5,),), "%", evil)
    content = Content(evil, evil, "0" * 64, ((evil, evil),), (Section("fit", evil, (evil,), (table, bars)),))
    text = html.page(content)
    Page(text)
    assert text.count("<script") == 1
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize("target", DIGITS)
def test_figures_from_python(target: str) -> None:
    """Each is a figure of matplotlib in the given colours, and matplotlib's own settings stay."""
    import matplotlib

    before = dict(matplotlib.rcParams)
    content = report(target)
    for draw in (figures.placement, figures.traffic, figures.raster, figures.energy, figures.energy_by_layer,
                 figures.limits):
        figure = draw(content, palette=figures.DARK)
        assert figure.axes and matplotlib.colors.to_hex(figure.get_facecolor()) == figures.DARK.ground
    assert dict(matplotlib.rcParams) == before
    with pytest.raises(HwsdkError, match="no figure of nobody"):
        figures.raster(content, "nobody")


def test_the_dots_stand_where_the_energies_are() -> None:
    (dots,) = report("loihi1").parts(Dots)
    (axes,) = figures.energy(report("loihi1")).axes
    drawn = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
    assert drawn == [value for _, value, _, _ in dots.rows if value]


def test_text_of_a_terminal() -> None:
    text = report("loihi1").to_text(100)
    assert text == report("loihi1").to_text(100)
    assert max(map(len, text.splitlines()[8:])) <= 100
    for part in ("Limits -", "Import ledger -", "synaptic operation, private", "lif2", "no preset, given"):
        assert part in text


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program, trace, _ = digits("loihi1")
    program.save(tmp_path / "p.hwx")
    save_trace(trace, tmp_path / "t.npz", program.digest())
    out = tmp_path / "r.html"
    code, text, _ = run(capsys, "report", tmp_path / "p.hwx", tmp_path / "t.npz", "-o", out)
    assert code == 0 and f"wrote {out}" in text and "9." in text
    assert os.listdir(tmp_path) and out.read_text("utf-8").startswith("<!DOCTYPE html>")
    code, body = run_json(capsys, "report", tmp_path / "p.hwx", tmp_path / "t.npz", "--boundary", "host")
    assert code == 0 and body["digest"] == program.digest() and body["output"] is None
    assert [s["name"] for s in body["sections"]][:2] == ["fit", "placement"]
    assert '"host"' in body["facts"]["energy"]
    code, text, _ = run(capsys, "report", tmp_path / "p.hwx", "--quiet")
    assert code == 0 and "No run was given" in text


def test_refusals_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program, trace, _ = digits("loihi1")
    program.save(tmp_path / "p.hwx")
    save_trace(dataclasses.replace(trace, counts={}), tmp_path / "other.npz", "0" * 64)
    assert "WRONG_TRACE" in run(capsys, "report", tmp_path / "p.hwx", tmp_path / "other.npz")[2]
    assert run(capsys, "report", tmp_path / "p.hwx", "-o", tmp_path)[0] == 2
    assert run(capsys, "report", tmp_path / "none.hwx")[0] == 2
