"""No fault on the line gives a wrong result, and the campaign that says so can find one."""

from __future__ import annotations

from collections import Counter

import pytest
from campaign import FAULTS, FRAME, run
from small_program import small

from hwsdk.errors import HwsdkError
from hwsdk.hil import firmware
from hwsdk.hil.link_device import LinkDevice
from hwsdk.hil.transports.faulty import KINDS, Injector

FLIPS = {"flip": 3e-3}


def check(seeds: range) -> None:
    found = run(seeds)
    assert found.jobs == len(FAULTS) * len(seeds)
    assert not found.wrong and not found.late, found
    assert found.right >= 0.95 * found.jobs, found.named  # faults are outlived, not only reported
    rare = {kind for kind in KINDS if found.injected[kind] < len(seeds)}
    assert not rare, found.injected


def test_some_jobs_of_every_kind() -> None:
    check(range(2))


@pytest.mark.slow
def test_more_than_500_jobs() -> None:
    check(range(100, 145))


def flipped_inputs(path: str) -> Counter[str]:
    """Jobs whose requests are damaged once the program is loaded, where no CRC of an image and no digest sees it."""
    program, stimulus, expected = small(500, 0.015)
    found: Counter[str] = Counter()
    for seed in range(24):
        try:
            with LinkDevice(f"faulty:seed={seed}&frame={FRAME};exec:{path}", timeout=10) as device:
                device.load(program)
                line = device.link.transport
                line._out = Injector(seed, FLIPS, line.injected)  # type: ignore[attr-defined]
                equal = expected.first_difference(device.run(stimulus), ["p"]) is None
            found["right" if equal else "wrong"] += 1
        except HwsdkError as error:
            found[error.code] += 1
    return found


def test_a_weakened_crc_lets_errors_through() -> None:
    weak = flipped_inputs(str(firmware.host_native(defines=("HW_CRC_BITS=1",))))
    assert weak["wrong"] > 0, weak
    assert flipped_inputs("") == {"right": 24}
