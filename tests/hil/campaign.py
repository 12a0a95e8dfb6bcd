"""The fault campaign: many jobs over damaged lines; each ends right or with an exception that names why."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from small_program import small

from hwsdk.errors import HwsdkError
from hwsdk.hil.link_device import LinkDevice

FAULTS = {
    "clean": "", "flip 1e-4": "flip=1e-4", "flip 1e-3": "flip=1e-3", "flip 5e-3": "flip=5e-3", "drop": "drop=1e-3",
    "duplicate": "dup=1e-3", "insert": "insert=1e-3", "burst": "burst=5e-4", "frames again": "again=2e-3",
    "stall": "stall=1e-3&stall_ms=15", "reset": "reset=2e-4",
    "all": "flip=3e-4&drop=3e-4&dup=3e-4&insert=3e-4&burst=1e-4&again=5e-4&stall=2e-4&stall_ms=15&reset=2e-5",
}
FRAME = 512
"""Bytes of a frame, so that some come through at high rates."""
ROUNDS = 4
"""Runs of a job, each from the initial state, and a look at the states at the end."""
TIMEOUT, LONGEST = 10.0, 60.0
"""Seconds of silence that end an operation, and that a whole job may take."""


@dataclass
class Outcomes:
    """right: results that equal the simulator's; named: exceptions by code; wrong: results that do not; late: jobs
    beyond LONGEST; injected: faults.
    """

    right: int = 0
    named: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    injected: Counter[str] = field(default_factory=Counter)

    @property
    def jobs(self) -> int:
        return self.right + sum(self.named.values()) + len(self.wrong)


def rounds(device: LinkDevice) -> bool:
    """Load, run and read: is all of it what the simulator gives?"""
    program, stimulus, expected = small()
    device.load(program)
    for _ in range(ROUNDS):
        if expected.first_difference(device.run(stimulus), ["p"]) is not None:
            return False
    states = device.read_state()
    return all((states[key] == values[-1, -1]).all() for key, values in expected.states.items())


def job(faults: str, seed: int, outcomes: Outcomes, inner: str = "exec:") -> None:
    """One device over one damaged line."""
    name, begin = f"{faults} seed {seed}", time.monotonic()
    query = f"seed={seed}&frame={FRAME}" + (f"&{faults}" if faults else "")
    device = None
    try:
        device = LinkDevice(f"faulty:{query};{inner}", timeout=TIMEOUT)
        right = rounds(device)
    except HwsdkError as error:
        outcomes.named[error.code] += 1
    else:
        if right:
            outcomes.right += 1
        else:
            outcomes.wrong.append(name)
    finally:
        if device is not None:
            outcomes.injected.update(device.link.transport.injected)  # type: ignore[attr-defined]
            device.close()
    if time.monotonic() - begin > LONGEST:
        outcomes.late.append(name)


def run(seeds: range, inner: str = "exec:", faults: dict[str, str] | None = None) -> Outcomes:
    """All kinds of faults with all seeds."""
    outcomes = Outcomes()
    for query in (FAULTS if faults is None else faults).values():
        for seed in seeds:
            job(query, seed, outcomes, inner)
    return outcomes
