"""The command devices: its options, and what it does."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from hwsdk.cli.checks import BOARDS, require_input

if TYPE_CHECKING:
    from hwsdk.hil.discovery import Found

TEXT = "list what is attached or can be emulated here, and what each can run"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of devices."""
    parser.add_argument("--map", metavar="FILE.toml", help="boards of this laboratory, see docs/hil_pytest.md")


def run(a: argparse.Namespace) -> tuple[int, dict[str, Any], str]:
    """The command devices: (exit code, JSON, text)."""
    from hwsdk.hil.discovery import Found, attached

    require_input(a.map, BOARDS)
    found = attached(a.map)
    names = [f.name for f in dataclasses.fields(Found)]
    body = [{n: getattr(f, n) for n in names} for f in found]
    return 0, {"devices": body}, "".join(_described(f) for f in found) or "nothing is attached\n"


def _described(f: Found) -> str:
    """A device in one line, or two if it cannot be used."""
    runs = f"runs {', '.join(f.kinds)}" if f.kinds else "" if f.usable else "cannot be used"
    named = f" (board {f.board})" if f.board else ""
    why = "" if f.usable else f"\n{'':32} {f.why}; fix: {f.fix}"
    return f"{f.url:31} {f.what}{named}{'; ' + runs if runs else ''}{why}\n"
