"""benchmarks/netgen_network.py for tests: it is no part of the package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load() -> ModuleType:
    path = Path(__file__).resolve().parents[1] / "benchmarks" / "netgen_network.py"
    spec = importlib.util.spec_from_file_location("netgen_network", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


module = load()
make, network, reference = module.make, module.network, module.reference
