"""Fixtures of the tests that talk to the firmware's core, byte by byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from firmware_client import Client, image

from hwsdk.errors import MissingDependencyError
from hwsdk.hil import firmware


@pytest.fixture(scope="module", params=["plain", pytest.param("sanitized", marks=pytest.mark.slow)])
def built(request: pytest.FixtureRequest) -> Path:
    """A test build without other runners."""
    try:
        return firmware.host_native(defines=["HW_TEST_BUILD"], runners=(), sanitize=request.param == "sanitized")
    except MissingDependencyError as error:
        pytest.skip(str(error))


@pytest.fixture
def device(built: Path) -> Iterator[Client]:
    with Client([str(built), "--watchdog", "300"]) as client:
        client.hello()
        yield client


@pytest.fixture
def loaded(device: Client) -> Client:
    assert device.load(image()).status == 0
    return device
