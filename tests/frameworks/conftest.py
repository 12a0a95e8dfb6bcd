"""These tests need PyTorch, snnTorch, Norse and sinabs (`make test-frameworks`); elsewhere they are not collected."""

from __future__ import annotations

import importlib.util

import pytest

NEEDED = ("torch", "snntorch", "norse", "sinabs", "nirtorch")
collect_ignore_glob = [] if all(importlib.util.find_spec(name) for name in NEEDED) else ["test_*.py"]


if not collect_ignore_glob:
    import torch

    torch.set_num_threads(1)  # small networks; threads only get in each other's way


def pytest_configure(config: pytest.Config) -> None:
    """Warnings that the frameworks themselves give; everything else stays an error."""
    for line in (
        "ignore:`torch.jit.*is deprecated:DeprecationWarning",
        "ignore:.*TorchScript.*:DeprecationWarning",
    ):
        config.addinivalue_line("filterwarnings", line)
