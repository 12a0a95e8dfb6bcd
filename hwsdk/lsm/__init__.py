"""Liquid state machines: encoders, liquids with fixed random weights, features, readouts, and calibration on a chip.

The names below are loaded on first use, so that ``import hwsdk.lsm`` stays light. What is called as its module is comes
from there: ``from hwsdk.lsm.liquid import liquid``, and so features, states, report and calibrate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

_LAZY = {
    "Dense": "hwsdk.lsm.topology",
    "Distance": "hwsdk.lsm.topology",
    "Gaussian": "hwsdk.lsm.topology",
    "Native": "hwsdk.lsm.topology",
    "Sparse": "hwsdk.lsm.topology",
    "accuracy": "hwsdk.lsm.readout",
    "align": "hwsdk.lsm.zeroshot",
    "chosen": "hwsdk.lsm.encode",
    "cochlea": "hwsdk.lsm.encode",
    "decide": "hwsdk.lsm.readout",
    "dvs": "hwsdk.lsm.encode",
    "folded": "hwsdk.lsm.readout",
    "images": "hwsdk.lsm.encode",
    "input_features": "hwsdk.lsm.features",
    "logistic": "hwsdk.lsm.readout",
    "preset": "hwsdk.lsm.presets",
    "recognise": "hwsdk.lsm.zeroshot",
    "ridge": "hwsdk.lsm.readout",
    "score": "hwsdk.lsm.report",
    "send_on_delta": "hwsdk.lsm.encode",
    "tune": "hwsdk.lsm.edge_of_chaos",
}

__all__ = [
    "Dense", "Distance", "Gaussian", "Native", "Sparse", "accuracy", "align", "chosen", "cochlea", "decide", "dvs",
    "folded", "images", "input_features", "logistic", "preset", "recognise", "ridge", "score", "send_on_delta", "tune",
]

if TYPE_CHECKING:
    from hwsdk.lsm.edge_of_chaos import tune
    from hwsdk.lsm.encode import chosen, cochlea, dvs, images, send_on_delta
    from hwsdk.lsm.features import input_features
    from hwsdk.lsm.presets import preset
    from hwsdk.lsm.readout import accuracy, decide, folded, logistic, ridge
    from hwsdk.lsm.report import score
    from hwsdk.lsm.topology import Dense, Distance, Gaussian, Native, Sparse
    from hwsdk.lsm.zeroshot import align, recognise


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'hwsdk.lsm' has no attribute {name!r}")
