"""benchmarks/silicon.py for tests: it is no part of the package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import netgen

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


def load(name: str, known_as: str = "") -> ModuleType:
    spec = importlib.util.spec_from_file_location(known_as or name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


sys.modules.setdefault("netgen_network", netgen.module)
silicon_networks = load("silicon_networks")
table = load("silicon", "silicon_table")
