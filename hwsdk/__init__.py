"""hwsdk: deploy spiking neural networks on neuromorphic hardware.

The names below are loaded on first use, so that ``import hwsdk`` stays light.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# In a source checkout backends/, mappers/ and simulators/ lie beside this folder, not in it.
_here = os.path.dirname(os.path.abspath(__file__))
if not os.path.isdir(os.path.join(_here, "backends")):
    __path__.append(os.path.dirname(_here))

_LAZY = {
    "attribute": "hwsdk.compiler",
    "compile": "hwsdk.compiler",
    "emit": "hwsdk.compiler",
    "estimate": "hwsdk.compiler",
    "load": "hwsdk.compiler",
    "load_program": "hwsdk.compiler",
    "margins": "hwsdk.compiler",
    "simulate": "hwsdk.compiler",
    "verify": "hwsdk.compiler",
    "walk": "hwsdk.compiler",
    "yields": "hwsdk.compiler",
    "HwsdkError": "hwsdk.errors",
}

__all__ = ["HwsdkError", "__version__", "attribute", "compile", "emit", "estimate", "load", "load_program", "margins",
           "simulate", "verify", "walk", "yields"]

if TYPE_CHECKING:
    from hwsdk.compiler import (
        attribute,
        compile,
        emit,
        estimate,
        load,
        load_program,
        margins,
        simulate,
        verify,
        walk,
        yields,
    )
    from hwsdk.errors import HwsdkError


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'hwsdk' has no attribute {name!r}")
