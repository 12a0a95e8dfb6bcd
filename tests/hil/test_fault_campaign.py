"""No fault on the line gives a wrong result, and the campaign that says so can find one."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaign import FAULTS, run

from hwsdk.hil import firmware
from hwsdk.hil.transports.faulty import KINDS

WEAK_SEEDS = range(24)


def check(seeds: range) -> None:
    found = run(seeds)
    assert found.jobs == len(FAULTS) * len(seeds)
    assert not found.wrong and not found.late, found
    assert found.right >= 0.95 * found.jobs, found.named  # faults are outlived, not only reported
    rare = {kind for kind in KINDS if found.injected[kind] < 2 * len(seeds)}
    assert not rare, found.injected


def test_some_jobs_of_every_kind() -> None:
    check(range(3))


@pytest.mark.slow
def test_more_than_500_jobs() -> None:
    check(range(100, 145))


@pytest.mark.slow
def test_a_weakened_crc_lets_an_error_through(tmp_path: Path) -> None:
    weak = firmware.host_native(defines=("HW_CRC_BITS=1", "HW_NO_DIGEST"))
    found = run(WEAK_SEEDS, f"exec:{weak}", {"flips to the device": "flip=2e-3&only=out"})
    assert found.wrong, found
    sound = run(WEAK_SEEDS, "exec:", {"flips to the device": "flip=2e-3&only=out"})
    assert not sound.wrong and sound.right, sound
