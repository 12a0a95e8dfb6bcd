"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small products: threads only get in each other's way
CORPUS = Path(os.environ.get("HWSDK_CORPUS", Path(__file__).resolve().parents[2] / "shared" / "corpus"))


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of public models, traces and data sets."""
    if not CORPUS.is_dir():
        pytest.skip("the corpus is missing: set HWSDK_CORPUS to its folder")
    return CORPUS


def pytest_configure(config: pytest.Config) -> None:
    """Drop compiled kernels that are older than a kernel's source: Numba looks at a function's own file only."""
    for folder in ("mappers", "simulators"):
        here = Path(__file__).resolve().parents[1] / folder
        newest = max(p.stat().st_mtime for p in here.glob("*kernels*.py"))
        for compiled in (here / "__pycache__").glob("*.nb[ic]"):
            if compiled.stat().st_mtime < newest:
                compiled.unlink()


def pytest_addoption(parser: pytest.Parser) -> None:
    """--update-golden writes the files of tests/golden anew."""
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew; then read the diff")


@pytest.fixture
def golden(request: pytest.FixtureRequest):
    """golden(name, text): compare a text with tests/golden/name, or write it with --update-golden."""

    def check(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        assert path.is_file(), f"{path.name} is missing: run pytest --update-golden and read the result"
        assert text == path.read_text("utf-8"), f"{name} changed: if on purpose, run pytest --update-golden"

    return check
