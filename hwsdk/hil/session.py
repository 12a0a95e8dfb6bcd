"""The hardware-in-the-loop test of a program: load, run, compare, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwsdk import backends
from hwsdk.backends.base import Program
from hwsdk.errors import HwsdkError
from hwsdk.hil.compare import Window, differences, window_of
from hwsdk.hil.device import Capabilities, Device, Progress
from hwsdk.hil.sim_device import SimDevice
from hwsdk.ir.data import Events, Stimulus
from hwsdk.ir.trace import Trace

Say = Callable[[str], None]
TICKS = ("instructions", "cycles", "nanoseconds")
"""Counts of a step by a device itself."""
TROUBLES = ("late_ticks", "lost_ticks", "late_packets", "dropped_packets")
"""Counts of a simulator that say that its time decided what came out."""


@dataclass(frozen=True, slots=True)
class Similarity:
    """Of the rasters of one population: spikes of the simulator and of the device, and the cosine, 1 for equal ones."""

    layer: str
    expected: int
    got: int
    cosine: float

    @classmethod
    def of(cls, layer: str, expected: Events, got: Events) -> Similarity:
        """Of two rasters on one grid."""
        size = float(np.sqrt(float(len(expected)) * len(got)))
        both = len(np.intersect1d(expected.cells(), got.cells()))
        return cls(layer, len(expected), len(got), both / size if size else float(len(expected) == len(got)))

    def __str__(self) -> str:
        return f"{self.layer:20} {self.expected:,} spikes expected, {self.got:,} got, raster cosine {self.cosine:.4f}"


@dataclass(frozen=True, slots=True, eq=False)
class HilReport:
    """What a run on a device gave, beside the simulator's.

    url, capabilities: of the device. spikes: of all populations, as the device sent them. window: the first mismatch,
    or None. differing: cells that differ. not_held: why a difference is none of the device's, where the simulator says
    so (noise of an analog part, PEs that are late); "" elsewhere. load_seconds, run_seconds: of the device. counters:
    what device and line have counted. counted: name -> (least, mean, most) in a step.
    """

    program: str
    digest: str
    target: str
    url: str
    capabilities: Capabilities
    samples: int
    steps: int
    spikes: int
    window: Window | None
    differing: int
    not_held: str
    load_seconds: float
    run_seconds: float
    counters: Mapping[str, float]
    counted: Mapping[str, tuple[float, float, float]]
    outputs: tuple[str, ...]
    trace: Trace
    expected: Trace = field(repr=False)

    @property
    def ok(self) -> bool:
        """Nothing differs, or the program cannot be held to it."""
        return self.window is None or bool(self.not_held)

    @property
    def steps_a_second(self) -> float:
        """Of the device with its line."""
        return self.samples * self.steps / max(self.run_seconds, 1e-9)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        m = None if self.window is None else self.window.mismatch
        c = self.capabilities
        return {
            "program": self.program, "digest": self.digest, "target": self.target, "ok": self.ok,
            "device": {"url": self.url, "name": c.name, "chip": c.chip, "core": c.core, "build": c.build},
            "samples": self.samples, "steps": self.steps, "spikes": self.spikes, "differing": self.differing,
            "mismatch": None if m is None else {f: getattr(m, f) for f in (
                "kind", "layer", "sample", "step", "neuron", "expected", "got")},
            "not_held": self.not_held, "load_seconds": self.load_seconds, "run_seconds": self.run_seconds,
            "steps_a_second": self.steps_a_second, "counters": dict(self.counters),
            "counted": {n: dict(zip(("least", "mean", "most"), v, strict=True)) for n, v in self.counted.items()},
        }

    def to_text(self) -> str:
        """As people read it."""
        c = self.capabilities
        line = ", ".join(f"{n} {v:,.0f}" for n, v in self.counters.items() if v)
        lines = [f"{self.program} ({self.target}) on {c.name}{', ' + c.core if c.core else ''}, {self.url}",
                 f"  build {c.build[:16]}" if c.build else "",
                 f"  loaded in {self.load_seconds:.3g} s; {self.samples} sample(s) of {self.steps} steps in "
                 f"{self.run_seconds:.3g} s, {self.steps_a_second:,.0f} steps/s",
                 *(f"  {name} a step: {low:,.0f} to {high:,.0f}, mean {mean:,.1f}"
                   for name, (low, mean, high) in self.counted.items()),
                 f"  line: {line}" if line else ""]
        return "\n".join([*filter(None, lines), self._verdict()]) + "\n"

    def _verdict(self) -> str:
        """Equal or not."""
        if self.window is None:
            return f"equal to the simulator: all {self.spikes:,} spikes and values, 0 mismatches"
        also = f"; this is not held against the device: {self.not_held}" if self.not_held else ""
        layers = "\n".join(f"  {d}" for d in self.layers())
        return f"{self.differing:,} cells differ from the simulator{also}\n{layers}\n{self.window.to_text()}"

    def layers(self) -> list[Similarity]:
        """How close each population that fires is."""
        found = []
        for name, e in self.trace.spikes.items():
            if name not in self.outputs and e.value is None and self.expected.spikes[name].value is None:
                found.append(Similarity.of(name, self.expected.spikes[name], e))
        return found


def run(program: Program, device: Device, stimulus: Stimulus, *, progress: Progress | None = None,
        say: Say | None = None) -> HilReport:
    """Load a program on a device, run a stimulus, and hold its trace against the simulator's.

    Args:
        progress: called with (steps done, steps of all samples) of the device. say: called with the name of each phase.

    Raises:
        UnsupportedError: the device cannot run the program. FitError: it does not fit. DataError: the stimulus does not
            suit it. LinkError: the line or the device failed.
    """
    tell = say or (lambda _: None)
    with SimDevice() as reference:
        tell("simulate")
        reference.load(program)
        expected = reference.run(stimulus)
        tell("load")
        begin = time.perf_counter()
        device.load(program)
        loaded = time.perf_counter()
        tell("run")
        trace = device.run(stimulus, progress=progress)
        done = time.perf_counter()
        tell("compare")
        mismatch = expected.first_difference(trace, _shared(expected, trace))
        window = None if mismatch is None else window_of(mismatch, stimulus, expected, trace, reference, device)
    known = device.capabilities()
    return HilReport(
        program.name, program.digest(), program.target, device.url, known, trace.n_samples,
        trace.n_steps, sum(len(e) for n, e in trace.spikes.items() if n not in program.outputs), window,
        0 if mismatch is None else differences(expected, trace), not_held(program, expected, known), loaded - begin,
        done - loaded, dict(device.counters()), {n: _range(trace.counts[n]) for n in TICKS if n in trace.counts},
        tuple(program.outputs), trace, expected)


def late(expected: Trace) -> str:
    """What of a simulated run was late, lost or dropped, in words; "" if all was in time."""
    counts = {name: int(expected.counts[name].sum()) for name in TROUBLES if name in expected.counts}
    return ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in counts.items() if n)


def not_held(program: Program, expected: Trace, capabilities: Capabilities) -> str:
    """Why a device need not equal this simulated run, or ""."""
    if troubles := late(expected):
        return (f"PEs of the simulator are not in time ({troubles}), which a device without their timing does not "
                "show; compile for a longer step")
    return "" if capabilities.exact else backends.get(program.target).noise(program)


def _shared(expected: Trace, got: Trace) -> list[str]:
    """The populations to compare, those of the device.

    Raises:
        HwsdkError: POPULATIONS, it has one that the program has not.
    """
    if unknown := sorted(set(got.spikes) - set(expected.spikes)):
        raise HwsdkError(f"the device tells of {unknown[0]}, which the program has not", where="device",
                         code="POPULATIONS", fix="load the program anew")
    return list(got.spikes)


def _range(counts: Any) -> tuple[float, float, float]:
    """(least, mean, most)."""
    values = np.asarray(counts, np.float64)
    return float(values.min()), float(values.mean()), float(values.max())
