"""The command line in this process: exit code and what it prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hwsdk.cli import main


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    """(exit code, standard output, standard error)"""
    capsys.readouterr()
    code = main([str(w) for w in words])
    got = capsys.readouterr()
    return code, got.out, got.err


def run_json(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any]]:
    """(exit code, the one JSON object)"""
    code, out, _ = run(capsys, *words, "--json", "--quiet")
    return code, json.loads(out)
