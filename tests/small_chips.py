"""SpiNNaker 2 with fewer neurons a PE, so that small networks take many of them."""

from __future__ import annotations

import re
from collections import Counter

from hwsdk.backends.spinnaker import SpinnakerBackend
from hwsdk.ir.trace import Trace
from hwsdk.programs.spinnaker import SpinnakerProgram

LATE = ("late_ticks", "late_packets", "lost_ticks", "dropped_packets", "forgotten_posts")
"""Counts of what would make a run differ from the model."""


def small_chip(neurons: int) -> SpinnakerBackend:
    """The chip with PEs of at most so many neurons."""
    backend = SpinnakerBackend("spinnaker2")
    limits = {**backend.target.limits}
    for name in ("atoms_wide", "atoms_narrow"):
        limits[name] = limits[name].model_copy(update={"value": neurons})
    backend.target = backend.target.model_copy(update={"limits": limits})
    return backend


def pes_of(program: SpinnakerProgram) -> dict[str, int]:
    """Population or input -> on how many PEs it is, from the program's listing."""
    lines = [line for line in program.to_text().splitlines() if line.startswith("pe ")]
    return dict(Counter(name for line in lines for name in set(re.findall(r"([\w.]+)\[", line))))


def troubles(trace: Trace) -> dict[str, int]:
    """Counts of LATE that are not 0."""
    return {n: int(trace.counts[n].sum()) for n in LATE if trace.counts[n].sum()}
