"""verify: where do the float model, the integer model and the chip part, and what does it cost in accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.backends.base import Backend, CompileOptions, Progress
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import is_spiking
from hwsdk.ir.trace import Mismatch, Trace
from hwsdk.simulators import reference


@dataclass(frozen=True, slots=True)
class LayerDrift:
    """One layer on the model's own steps: spikes in float and on the chip, and raster cells that differ of all."""

    layer: str
    spikes_float: int
    spikes_chip: int
    cells_differ: int
    cells: int

    @property
    def similarity(self) -> float:
        """Cosine of the two rasters, 1 for equal ones."""
        both = (self.spikes_float + self.spikes_chip - self.cells_differ) / 2
        size = float(np.sqrt(float(self.spikes_float) * self.spikes_chip))
        return both / size if size else float(self.spikes_float == self.spikes_chip)

    def __str__(self) -> str:
        return (f"{self.layer:20} {self.spikes_float} spikes in float, {self.spikes_chip} on chip, {self.cells_differ} "
                f"of {self.cells} cells differ, raster cosine {self.similarity:.4f}")


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """lowering: first spike that lowering alone moved (float against float); chip: first spike or state that differs
    between the reference in the chip's numbers and the chip's simulator by more than ``close`` (None: there is none);
    exact: they are equal bit for bit. drift: float against chip.
    accuracy: of float, integer and chip, where there are labels. losses: what quantisation cost, as text.
    whole: the model is an integer network, there is no float one; integer and chip are all there is to compare.
    loose: why the chip cannot be held to the reference, where it cannot: what in it is noise; "" elsewhere.
    """

    target: str
    samples: int
    steps: int
    lowering: Mismatch | None
    chip: Mismatch | None
    first_drift: Mismatch | None
    drift: tuple[LayerDrift, ...]
    accuracy: Mapping[str, float]
    losses: str
    whole: bool = False
    exact: bool = True
    close: float = 0.0
    loose: str = ""

    @property
    def ok(self) -> bool:
        """The chip's simulator equals the reference in the chip's numbers, spike for spike and state for state, or
        noise forbids that.
        """
        return self.chip is None or bool(self.loose)

    @property
    def _equal(self) -> str:
        """How equal chip and reference are, if nothing differs."""
        return "equal, every spike and every state" if self.exact else \
            f"every spike, and every value within {self.close:g}; the last bits of some differ"

    @property
    def _not_held(self) -> str:
        """Why a difference is none of the simulator's, in brackets."""
        return f" (not held to it: {self.loose})" if self.loose else ""

    def to_text(self) -> str:
        """The report as people read it."""
        lines = [f"verify on {self.target}: {self.samples} sample(s) of {self.steps} steps",
                 f"  chip against integer reference: {self.chip or self._equal}{self._not_held}",
                 f"  float lowered against model:    {self.lowering or 'equal, every spike'}",
                 f"  chip against model:             {self.first_drift or 'equal, every spike'}"]
        if self.whole:
            lines = [*lines[:2], "  the model is in the chip's integers already",
                     *(f"    {d.layer:20} {d.spikes_chip} spikes" for d in self.drift)]
        else:
            lines += [f"    {d}" for d in self.drift]
        lines += [f"  accuracy, {name:8} {value:.2%}" for name, value in self.accuracy.items()]
        return "\n".join(lines) + "\n" + self.losses

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        def where(m: Mismatch | None) -> dict[str, object] | None:
            return None if m is None else {f: getattr(m, f) for f in m.__dataclass_fields__}
        return {
            "target": self.target, "samples": self.samples, "steps": self.steps, "ok": self.ok, "whole": self.whole,
            "exact": self.exact and self.chip is None, "loose": self.loose,
            "chip": where(self.chip), "lowering": where(self.lowering), "first_drift": where(self.first_drift),
            "drift": [{"layer": d.layer, "spikes_float": d.spikes_float, "spikes_chip": d.spikes_chip,
                       "cells_differ": d.cells_differ, "cells": d.cells, "similarity": d.similarity}
                      for d in self.drift],
            "accuracy": dict(self.accuracy),
        }


def verify_network(network: Network, backend: Backend, data: Stimulus, options: CompileOptions,
                   progress: Progress | None = None) -> VerifyReport:
    """Run the model at every level on the same data and compare."""
    lowered, whole, losses = backend.discrete(network, options)
    program = backend.compile(network, options, lambda _: None)
    exact = network.is_integer
    integer = reference.run(whole, data, probes="all", progress=progress if exact else None)
    traces = {
        "float": integer if exact else reference.run(network, data, progress=progress),
        "lowered": integer if exact else reference.run(lowered, data),
        "integer": integer,
        "chip": backend.simulate(program, data, probes="all", strict=False, progress=None),
    }
    steps = data.n_steps
    layers = [n for n in network.populations if n in traces["chip"].spikes]
    spiking = [n for n in layers if n in lowered.populations and n in traces["float"].spikes]
    shared = _fires(network, spiking)
    close = backend.closeness(network)
    found = integer.first_difference(traces["chip"], close=close)
    same = not close or integer.first_difference(traces["chip"]) is None
    return VerifyReport(
        backend.name, data.n_samples, steps, traces["float"].first_difference(traces["lowered"], shared),
        found,
        traces["float"].first_difference(traces["chip"], shared),
        tuple(layer_drift(n, traces["float"], traces["chip"], steps) for n in shared),
        _accuracies(network, traces, data, steps), losses, exact, same, close,
        backend.noise(program))


def _fires(network: Network, layers: list[str]) -> list[str]:
    """Layers that put out spikes."""
    return [n for n in layers if is_spiking(network.populations[n])]


def layer_drift(layer: str, expected: Trace, got: Trace, steps: int) -> LayerDrift:
    """Rasters of one layer on the model's steps."""
    a, b = expected.aligned(layer, steps), got.aligned(layer, steps)
    keys = [(e.sample.astype(np.int64) * steps + e.step) * e.n + e.index for e in (a, b)]
    return LayerDrift(layer, len(a), len(b), len(np.setxor1d(keys[0], keys[1])), a.n_samples * steps * a.n)


def drift_text(network: Network, expected: Trace, got: Trace) -> str:
    """Float against integers on the same data, a line for each layer that spikes."""
    steps = got.n_steps - max(got.lag.values(), default=0)
    layers = [n for n, p in network.populations.items() if is_spiking(p)]
    rows = [f"  {layer_drift(n, expected, got, steps)}" for n in layers]
    return "\n".join(["spike drift on the calibration data, float against integers", *rows]) + "\n"


def decisions(trace: Trace, output: str, steps: int) -> NDArray[np.int64]:
    """Class of each sample: the output with the largest sum over the model's steps; ties go to the lowest index."""
    return np.asarray(trace.counts_of(output, steps).argmax(axis=1), np.int64)


def _accuracies(network: Network, traces: Mapping[str, Trace], data: Stimulus, steps: int) -> dict[str, float]:
    """Share of right decisions at every level; empty without labels or with several outputs."""
    outputs = list(network.outputs)
    if data.labels is None or len(outputs) != 1:
        return {}
    levels = ("integer", "chip") if network.is_integer else ("float", "integer", "chip")
    return {name: float((decisions(traces[name], outputs[0], steps) == data.labels).mean())
            for name in levels if outputs[0] in traces[name].spikes}
