"""Budgets that keep the library readable: small files, small functions."""

from __future__ import annotations

import ast
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES, FUNCTION_LINES, MEDIAN_LINES = 400, 60, 10


def sources() -> dict[str, str]:
    """Path -> text of every file of the library."""
    paths = [p for top in ("hwsdk", "backends", "mappers", "simulators") for p in sorted((ROOT / top).rglob("*.py"))]
    return {str(p.relative_to(ROOT)): p.read_text(encoding="utf-8") for p in paths}


def functions() -> dict[str, int]:
    """Where each function is -> its lines, from def to end."""
    found = {}
    for path, text in sources().items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[f"{path}:{node.lineno} {node.name}"] = (node.end_lineno or node.lineno) - node.lineno + 1
    return found


def test_files_are_short() -> None:
    lines = {path: text.count("\n") for path, text in sources().items()}
    assert {path: n for path, n in lines.items() if n > FILE_LINES} == {}


def test_functions_are_short() -> None:
    lines = functions()
    assert {where: n for where, n in lines.items() if n > FUNCTION_LINES} == {}


def test_the_median_function_is_tiny() -> None:
    assert median(functions().values()) < MEDIAN_LINES
