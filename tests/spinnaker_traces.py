"""What the tests of SpiNNaker 2 read off programs and traces."""

from __future__ import annotations

import re
from collections import Counter

from hwsdk.ir.trace import Trace
from hwsdk.programs.spinnaker import SpinnakerProgram

LATE = ("late_ticks", "late_packets", "lost_ticks", "dropped_packets", "forgotten_posts")
"""Counts of what would make a run differ from the model."""


def pes_of(program: SpinnakerProgram) -> dict[str, int]:
    """Population or input -> on how many PEs it is, from the program's listing."""
    lines = [line for line in program.to_text().splitlines() if line.startswith("pe ")]
    return dict(Counter(name for line in lines for name in set(re.findall(r"([\w.]+)\[", line))))


def troubles(trace: Trace) -> dict[str, int]:
    """Counts of LATE that are not 0."""
    return {n: int(trace.counts[n].sum()) for n in LATE if trace.counts[n].sum()}
