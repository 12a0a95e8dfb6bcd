"""What MkDocs makes at build time: pages of targets and tutorials, and the documents of the root."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File
from pygments.formatters import HtmlFormatter

from hwsdk.cli.show import figure_text, limit_text
from hwsdk.targets import load_target, names
from hwsdk.targets.description import Figure, Target

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
LIBRARY = ("backends", "mappers", "simulators", "firmware_stubs")
"""Folders of the root that are installed inside hwsdk."""
PLACES = {"README.md": "overview.md", "ARCHITECTURE.md": "architecture.md", "CONTRIBUTING.md": "contributing.md"}
"""Documents of the root -> their page."""
FAMILIES = {"loihi": "loihi.md", "memristor": "memristor.md", "sfq": "sfq.md", "spinnaker": "spinnaker2.md"}
"""Family -> the page that says what its chips do and how far to trust the figures."""
FENCE = re.compile(r"(^```.*?^```\n?)", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"(?<!\[)`(?:docs/)?(\w+\.md)`")
CELL = re.compile(r"^# %%(.*)$", re.MULTILINE)


@event_priority(100)
def on_config(config: Any) -> None:
    """Lay the library out as an installation does, so that docstrings are read from where they are documented. First of
    all: mkdocstrings leaves out folders that are not there when it is configured.
    """
    view = ROOT / "build" / "api" / "hwsdk"
    shutil.rmtree(view, ignore_errors=True)
    view.mkdir(parents=True)
    for path in [*(ROOT / "hwsdk").iterdir(), *(ROOT / name for name in LIBRARY)]:
        if path.name != "__pycache__":
            (view / path.name).symlink_to(path)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are no files of this folder."""
    made = {f"targets/{name}.md": target_page(load_target(name)) for name in names()}
    made |= {f"tutorials/{path.stem}.md": tutorial_page(path) for path in tutorials()}
    made |= {place: (ROOT / name).read_text("utf-8") for name, place in PLACES.items()}
    made["css/code.css"] = HtmlFormatter(style="default").get_style_defs(".highlight")
    for uri, text in made.items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Links to documents of the root and to pages named in code style; the list of targets of a family."""
    uri = page.file.src_uri
    markdown = "".join(part if part.startswith("```") else linked(part, uri) for part in FENCE.split(markdown))
    if family := [f for f, place in FAMILIES.items() if place == uri]:
        markdown += described(load_target(name) for name in names() if load_target(name).family == family[0])
    if uri == "index.md":
        markdown = markdown.replace("<!-- tutorials -->", "\n".join(
            f"- [{title(path)}](tutorials/{path.stem}.md)" for path in tutorials()))
    return markdown


def linked(text: str, uri: str) -> str:
    """Prose whose links lead to pages of the site."""
    up = "../" * uri.count("/")

    def link(found: re.Match[str]) -> str:
        place = PLACES.get(found[1], found[1])
        known = place == PLACES.get(found[1]) or (DOCS / place).is_file()
        return f"[{found[0]}]({up}{place})" if known and place != uri else found[0]

    text = NAMED.sub(link, text)
    for name, place in PLACES.items():
        text = text.replace(f"]({name})", f"]({up}{place})")
    return text.replace("](docs/", f"]({up}") if uri in PLACES.values() else text


# Targets


def target_page(target: Target) -> str:
    """Limits, prices, powers and times of a chip, each with its source."""
    parts = [f"# {target.name}: {escaped(target.title)}\n", escaped(target.about()) + ".\n",
             f"{known(target)} What the chip computes, and how far its figures can be trusted: "
             f"[{FAMILIES[target.family].removesuffix('.md')}](../{FAMILIES[target.family]}). This page is made of "
             f"`hwsdk/targets/data/{target.name}.toml`, version {target.version}; "
             f"`hwsdk targets {target.name}` prints the same.\n",
             f"## {target.limits_title().capitalize()}\n",
             table(("limit", "value", "source"), ((n, limit_text(f), f.source) for n, f in target.limits.items()))]
    sections: Mapping[str, Iterable[tuple[str, str, Figure]]] = {
        "Energy": ((p.name, f" / {p.per}", p) for p in target.prices()),
        "Power": ((p.name, f" / {p.per}", p) for p in target.powers()),
        "Time": ((n, "", f) for n, f in target.times().items()),
        "Host, only with the boundary host": ((h.name, f" / {h.per}", h) for h in target.host),
        "Other figures": ((n, "", f) for n, f in target.figures().items()),
    }
    for head, rows in sections.items():
        if cells := [(name, figure_text(f, per), how(f), f.source) for name, per, f in rows]:
            parts += [f"## {head}\n", table(("name", "value [range]", "", "source"), cells)]
    parts += ["## What an energy figure holds\n", "Included: " + escaped("; ".join(target.boundary.included)) + ".\n",
              "Left out: " + escaped("; ".join(target.boundary.omitted)) + ".\n"]
    if target.proxy is not None:
        parts.append(f"Proxy `{target.proxy.name}`: {escaped(target.proxy.text)}.\n")
    return "\n".join(parts)


def described(targets: Iterable[Target]) -> str:
    """The section of a family's page that leads to the numbers of its chips."""
    rows = [f"| [{t.name}](targets/{t.name}.md) | {escaped(t.title)} | " + " | ".join(map(str, counted(t))) + " |"
            for t in targets]
    return "\n".join(["\n\n## Limits, prices and their sources\n",
                      "Every number of a description, with its source. The last columns count those that were measured "
                      "on silicon, constants of models that were fitted or assumed, and those that nobody published "
                      "(None, never 0).\n",
                      "| target | chip | numbers | measured | model constants | unpublished |",
                      "|---|---|---|---|---|---|", *rows]) + "\n"


def counted(target: Target) -> tuple[int, int, int, int]:
    """Numbers of a description: all, measured on silicon, constants of models, not published."""
    own = {id(f): f for f in (*target.prices(), *target.powers(), *target.times().values(), *target.host,
                              *target.figures().values())}.values()
    unknown = sum(f.value is None for f in (*own, *target.limits.values()))
    there = [f for f in own if f.value is not None]
    return (len(own) + len(target.limits), sum(f.measured for f in there),
            sum(f.calibrated and not f.measured for f in there), unknown)


def known(target: Target) -> str:
    """The same as a sentence."""
    n, measured, constants, unknown = counted(target)
    return (f"Of {n} numbers {measured} were measured on silicon, {constants} are constants of models, fitted or "
            f"assumed, and {unknown} are not published.")


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *(tuple(escaped(cell) for cell in row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def how(value: Figure) -> str:
    """Where a number stands between measured and assumed."""
    return "measured" if value.measured else "model constant" if value.calibrated else ""


def escaped(text: str) -> str:
    """Plain text as Markdown."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text).replace("<", "&lt;")


# Tutorials


def tutorials() -> list[Path]:
    """The tutorials, in the order of the menu."""
    menu = (ROOT / "mkdocs.yml").read_text("utf-8")
    return sorted((DOCS / "tutorials").glob("*.py"), key=lambda p: menu.find(f"tutorials/{p.stem}.md"))


def title(path: Path) -> str:
    """The heading of a tutorial."""
    return next(text for kind, text in cells(path) if kind == "markdown").splitlines()[0].lstrip("# ")


def cells(path: Path) -> Iterator[tuple[str, str]]:
    """("markdown" or "code", text) of every cell of a script in percent format."""
    parts = CELL.split(path.read_text("utf-8"))[1:]
    for head, body in zip(parts[::2], parts[1::2], strict=True):
        text = body.strip("\n")
        if "[markdown]" not in head:
            yield "code", text
        elif text.startswith('"""'):
            yield "markdown", text.strip().removeprefix('"""').removesuffix('"""').strip()
        else:
            yield "markdown", "\n".join(line.removeprefix("#").removeprefix(" ") for line in text.splitlines())


def tutorial_page(path: Path) -> str:
    """A tutorial as a page: its cells, each with what it printed when the site was built.

    Raises:
        PluginError: a cell failed or warned.
    """
    space: dict[str, Any] = {"__name__": "__main__"}
    parts = []
    for kind, text in cells(path):
        if kind == "markdown":
            parts.append(text)
            continue
        printed = ran(text, space, path)
        parts.append(f"```python\n{text}\n```")
        parts += [f"```text\n{printed}\n```"] if printed else []
    return "\n\n".join([*parts, f"The script: `docs/tutorials/{path.name}`"]) + "\n"


def ran(code: str, space: dict[str, Any], path: Path) -> str:
    """What a cell prints; it runs in the folder of the checkout."""
    printed = io.StringIO()
    try:
        with at_root(), contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(compile(code, str(path), "exec", dont_inherit=True), space)
    except Exception as error:
        raise PluginError(f"{path.name}: {type(error).__name__}: {error}") from error
    return printed.getvalue().rstrip()


@contextlib.contextmanager
def at_root() -> Iterator[None]:
    """With the checkout as working directory."""
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        yield
    finally:
        os.chdir(before)
