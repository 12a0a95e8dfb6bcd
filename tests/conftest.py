"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CORPUS = Path(os.environ.get("HWSDK_CORPUS", Path(__file__).resolve().parents[2] / "shared" / "corpus"))


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of public models, traces and data sets."""
    if not CORPUS.is_dir():
        pytest.skip("the corpus is missing: set HWSDK_CORPUS to its folder")
    return CORPUS
