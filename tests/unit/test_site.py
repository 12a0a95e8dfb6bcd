"""The documentation as a site: it builds without a warning, its tutorials run, and it needs no network."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hwsdk.targets import names

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
MADE = ("overview.md", "architecture.md", "contributing.md")
WHY = "the tools of the site are missing: pip install 'hwsdk[docs]'"
pytest.importorskip("mkdocstrings", reason=WHY)
yaml = pytest.importorskip("yaml", reason=WHY)


def tool(name: str) -> ModuleType:
    """docs/name.py, which is no module of a package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def leaves(menu: Any) -> list[str]:
    """The pages of a menu, in order."""
    if isinstance(menu, str):
        return [menu]
    return [page for part in (menu.values() if isinstance(menu, dict) else menu) for page in leaves(part)]


@pytest.fixture(scope="module")
def menu() -> list[str]:
    return leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does; a warning fails it."""
    folder = tmp_path_factory.mktemp("site")
    run = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)], cwd=ROOT,
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


def words(page: Path) -> str:
    """The text of a page."""
    return unescape(re.sub(r"<[^>]+>", "", page.read_text("utf-8")))


def test_the_menu_holds_every_page_once(menu: list[str]) -> None:
    written = [p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md")]
    tutorials = [f"tutorials/{p.stem}.md" for p in DOCS.glob("tutorials/*.py")]
    assert sorted(menu) == sorted([*written, *tutorials, *(f"targets/{name}.md" for name in names()), *MADE])


def test_every_page_is_there_and_loads_nothing_from_elsewhere(site: Path, menu: list[str]) -> None:
    assert [page for page in menu if not (site / page).with_suffix(".html").is_file()] == []
    loads = re.compile(r"""<(?:script|img|iframe)[^>]*\ssrc=["']?(?:https?:)?//|<link[^>]*href=["']?(?:https?:)?//|"""
                       r"""url\(["']?(?:https?:)?//|@import""")
    files = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert [p.name for p in files if loads.search(p.read_text("utf-8"))] == []


def test_tutorials_show_what_they_print(site: Path) -> None:
    shown = {p.stem: words(site / "tutorials" / f"{p.stem}.html") for p in DOCS.glob("tutorials/*.py")}
    assert "chip against integer reference: equal, every spike and every state" in shown["deploy"]
    assert "spikes a sample: [1. 0.]" in shown["by_hand"]
    assert "not beaten in energy, latency, accuracy" in shown["explore"]
    assert "0 mismatches" in shown["device"]
    assert re.search(r"readout trained by in_situ: \d+% on the die", shown["liquid"])
    assert re.search(r"memristor +\d+\.\d% right", shown["compare"])
    assert len(shown) == 6


def test_numbers_of_targets_come_from_their_descriptions(site: Path) -> None:
    assert "12 % published error (TCAD 2025)" in words(site / "targets" / "loihi1.html")
    assert "not published for Loihi 2" in words(site / "targets" / "loihi2.html")
    for page, chip in (("loihi", "loihi2"), ("spinnaker2",) * 2, ("sfq", "sfq"), ("memristor", "memristor_pcm")):
        assert f'href="targets/{chip}.html"' in (site / f"{page}.html").read_text("utf-8")


def test_docstrings_are_on_the_site(site: Path) -> None:
    for page, anchor in (("hwsdk", "hwsdk.compiler.compile"), ("backends", "hwsdk.backends.base.Backend"),
                         ("hil", "hwsdk.hil.session.run"), ("build", "hwsdk.ir.build.NetworkBuilder"),
                         ("explore", "hwsdk.explore.run.explore"), ("lsm", "hwsdk.lsm.liquid.liquid"),
                         ("report", "hwsdk.report.compare.compare")):
        assert f'id="{anchor}"' in (site / "api" / f"{page}.html").read_text("utf-8")


def test_root_documents_link_to_pages(site: Path) -> None:
    assert 'href="loihi_silicon.html"' in (site / "overview.html").read_text("utf-8")
    assert 'href="architecture.html"' in (site / "contributing.html").read_text("utf-8")


def test_a_tutorial_that_fails_or_warns_stops_the_build(tmp_path: Path) -> None:
    hooks = tool("hooks")
    for code in ("1 / 0", "import warnings; warnings.warn('old')"):
        path = tmp_path / "bad.py"
        path.write_text(f'# %% [markdown]\n"""# Bad\n"""\n\n# %%\n{code}\n', "utf-8")
        with pytest.raises(hooks.PluginError, match=r"bad\.py: (ZeroDivisionError|UserWarning)"):
            hooks.tutorial_page(path)


def test_sections_of_docstrings_become_lists() -> None:
    text = ("Do it.\n\nArgs:\n    a: one,\n        two. b: three\n    c, d: four\n    and five.\n\n"
            "Raises:\n    KeyError: no.\n")
    assert tool("docstrings").markdown(text) == (
        "Do it.\n\n**Args**\n\n- `a`: one,\n    two. b: three\n- `c`, `d`: four\n    and five.\n\n"
        "**Raises**\n\n- `KeyError`: no.")


def test_no_list_is_swallowed_by_the_paragraph_above_it(site: Path) -> None:
    """Markdown of the site wants an empty line before a list."""
    swallowed = re.compile(r"<p>(?:(?!</p>).)*\n(?:- |\* |1\. )", re.DOTALL)
    assert [p.name for p in site.rglob("*.html") if swallowed.search(p.read_text("utf-8"))] == []
