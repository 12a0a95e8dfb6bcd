"""The floors: imports point down only, and the parts of one floor never import each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import hwsdk

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = ("backends", "firmware_stubs", "mappers", "simulators")  # folders of the root that install inside hwsdk

FLOORS: dict[str, int] = {
    "hwsdk.errors": 0,
    "hwsdk.firmware_stubs": 0,
    "hwsdk.quantity": 0,
    "hwsdk.ir": 1,
    "hwsdk.targets": 2,
    "hwsdk.programs": 2,
    "hwsdk.mappers": 3,
    "hwsdk.simulators": 3,
    "hwsdk.cost": 3,
    "hwsdk.backends": 4,
    "hwsdk.compiler": 5,
    "hwsdk.explore": 5,
    "hwsdk.hil": 5,
    "hwsdk.report": 5,
    "hwsdk.lsm": 5,
    "hwsdk.cli": 6,
}
FACADE = "hwsdk"  # hwsdk/__init__.py: loads names of the upper floors on first use, and is imported by nobody
ENTRY_POINTS = {"hwsdk.__main__": "hwsdk.cli"}  # counted as parts of these
LIGHT_NAMES = {"hwsdk.__version__"}  # what anybody may take from it


def modules() -> dict[str, Path]:
    """Every module of the library: dotted name -> file."""
    found = {}
    for folder in ("hwsdk", *OUTSIDE):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts if folder == "hwsdk" else ("hwsdk", *parts)
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def part_of(name: str) -> str | None:
    """The entry of FLOORS that a dotted name belongs to."""
    part = ".".join(name.split(".")[:2])
    part = ENTRY_POINTS.get(part, part)
    return part if part in FLOORS else None


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import, inside functions too, and of import_module("...")."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            yield from ((node.lineno, a.value) for a in node.args[:1] if isinstance(a, ast.Constant))


def complaint(module: str, imported: str) -> str | None:
    """What is wrong with one import, or None."""
    top = imported.split(".")[0]
    if imported.startswith("."):
        return "relative import; write the full name"
    if top in OUTSIDE:
        return f"write hwsdk.{imported}"
    if top != "hwsdk" or module == FACADE:
        return None
    mine, theirs = part_of(module), part_of(imported)
    if mine is None:
        return f"{module} has no floor; add it to FLOORS and to ARCHITECTURE.md"
    if theirs is None:
        return None if imported in LIGHT_NAMES else "the facade is for users; name the module, or hwsdk.__version__"
    if theirs == mine or FLOORS[theirs] < FLOORS[mine]:
        return None
    return f"floor {FLOORS[mine]} must not import {theirs} of floor {FLOORS[theirs]}"


def complaints(module: str, source: str) -> list[str]:
    """All broken rules of one module."""
    found = ((line, complaint(module, name), name) for line, name in imports(ast.parse(source)))
    return [f"{module}:{line}: {name}: {text}" for line, text, name in found if text]


def test_imports_point_down() -> None:
    broken = [c for name, path in modules().items() for c in complaints(name, path.read_text(encoding="utf-8"))]
    assert not broken, "\n".join(broken)


def test_every_module_has_a_floor() -> None:
    assert [name for name in modules() if name != FACADE and part_of(name) is None] == []


def test_every_floor_exists() -> None:
    assert {part_of(name) for name in modules() if name != FACADE} == set(FLOORS)


def test_no_module_hides_a_public_name() -> None:
    """Importing hwsdk.x sets the attribute x of hwsdk, in place of a public function of that name."""
    assert set(hwsdk.__all__) & {name.split(".")[1] for name in modules() if name != FACADE} == set()


def test_the_picture_in_architecture_is_this_table() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = text.split("```floors\n")[1].split("```")[0].splitlines()
    drawn = {part.strip(): int(row.split()[0]) for row in rows for part in row.split(maxsplit=1)[1].split("|")}
    assert drawn == FLOORS


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("hwsdk.ir.network", "from hwsdk.errors import ModelError", False),
        ("hwsdk.ir.network", "def f():\n    from hwsdk.mappers.lower import Lower", True),
        ("hwsdk.mappers.loihi", "import hwsdk.simulators.loihi", True),
        ("hwsdk.mappers.loihi", "from hwsdk import simulators", True),
        ("hwsdk.mappers.loihi", "import importlib\nimportlib.import_module('hwsdk.cli')", True),
        ("hwsdk.mappers.loihi", "from .quantize import Quantize", True),
        ("hwsdk.mappers.loihi", "import mappers.quantize", True),
        ("hwsdk.mappers.loihi", "from hwsdk.mappers.quantize import Quantize", False),
        ("hwsdk.simulators.loihi", "from hwsdk.cost import estimate", True),
        ("hwsdk.cli.main", "from hwsdk import __version__", False),
        ("hwsdk.cli.main", "from hwsdk import load", True),
    ],
)
def test_the_walk_sees_it(module: str, source: str, wrong: bool) -> None:
    assert bool(complaints(module, source)) is wrong
