"""The documents name files that exist and commands that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from hwsdk.cli import build_parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", *PAGES]
MADE = (".venv", ".venv-aihwkit", ".venv-frameworks", ".venv-lava", ".venv-neurobench", "build")
"""Folders that exist only after make."""
FILE = re.compile(r"[\w.*/-]*(/|\.(md|py|toml))")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def named_files(text: str) -> set[str]:
    """Paths in backticks and in links."""
    prose = BLOCK.sub("", text)
    ticked = {t for t in re.findall(r"`([^`\s]+)`", prose) if FILE.fullmatch(t) or is_path(t)}
    links = {t.split("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", prose) if "://" not in t}
    return {t for t in ticked | links if t and t.split("/")[0] not in MADE}


def is_path(token: str) -> bool:
    """True for a token whose first part is a folder here."""
    first, slash, _ = token.partition("/")
    return bool(slash) and (ROOT / first).is_dir() and re.fullmatch(r"[\w./*-]+", token) is not None


def exists(path: str) -> bool:
    """True if something matches the path; a bare file name may lie anywhere in the library."""
    if list(ROOT.glob(path.rstrip("/"))):
        return True
    tops = ("hwsdk", "backends", "mappers", "simulators", "tests", "examples", "benchmarks", "docs")
    return "/" not in path and any(list((ROOT / top).rglob(path)) for top in tops)


def shown_commands(text: str) -> list[str]:
    """Lines of code blocks that start with hwsdk, continued lines joined."""
    blocks = "\n".join(body for _, body in BLOCK.findall(text)).replace("\\\n", " ")
    lines = [line.strip().removeprefix("$ ") for line in blocks.splitlines()]
    return [line for line in lines if re.match(r"hwsdk [a-z-]", line)]


def arguments(command: str) -> list[str]:
    """What the program would get: no comment, no pipe or redirection."""
    words = shlex.split(re.split(r"\s(?:\||>|&&|;)\s?", command)[0], comments=True)
    return [w for w in words[1:] if w not in ("[", "]", "...")]


def accepted(words: list[str]) -> bool:
    """True if the parser takes the words, or ends with success, as --help does."""
    try:
        build_parser().parse_args(words)
    except SystemExit as end:
        return not end.code
    return True


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_files_exist(document: str) -> None:
    assert [path for path in sorted(named_files(text_of(document))) if not exists(path)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_shown_commands_parse(document: str, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [c for c in shown_commands(text_of(document)) if not accepted(arguments(c))]
    assert wrong == [], capsys.readouterr().err


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_subcommands_exist(document: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = set(re.findall(r"`hwsdk ([a-z][\w-]*)", BLOCK.sub("", text_of(document))))
    assert [w for w in sorted(words) if not accepted([w, "--help"])] == [], capsys.readouterr().err


def test_the_readme_shows_commands() -> None:
    assert len(shown_commands(text_of("README.md"))) >= 3


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_named_make_targets_exist(document: str) -> None:
    makefile = text_of("Makefile")
    named = set(re.findall(r"(?:`|^|\$ )make ([a-z][a-z-]*)", text_of(document), re.MULTILINE))
    assert [t for t in sorted(named) if not re.search(rf"^{t}:", makefile, re.MULTILINE)] == []
