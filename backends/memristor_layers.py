"""Layers of a crossbar program one by one: what their neurons get, and what one layer does with given spikes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.backends.verify import layer_drift
from hwsdk.ir.data import Events, Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.crossbar import Block, CrossbarProgram, Population
from hwsdk.programs.stored import Port

BEFORE = " before"
"""What is added to the name of a population that is an input of itself."""


@dataclass(frozen=True, slots=True)
class LayerError:
    """A layer of a run against the run without stages.

    input_error: rms of the change of the neurons' inputs, relative to the rms of the inputs, when the layer is driven
    with the spikes of the run without stages, so that it is the layer's own; None where it was not looked at, or where
    the inputs are all 0. The others have the errors of the layers before in them: spikes: how many. changed: of
    ``cells`` (sample, step, neuron), those that spike in one of both runs alone. similarity: cosine of both rasters.
    count_error: as input_error, of the sums over the steps.
    """

    layer: str
    spikes: int
    changed: int
    cells: int
    similarity: float
    input_error: float | None
    count_error: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {n: getattr(self, n) for n in self.__dataclass_fields__}


def layer_error(p: Population, got: Trace, first: Trace, steps: int, input_error: float | None) -> LayerError:
    """Of one layer of two runs."""
    drift = layer_drift(p.name, first, got, steps)
    return LayerError(p.name, drift.spikes_chip, drift.cells_differ, drift.cells, drift.similarity, input_error,
                      relative(got.counts_of(p.name, steps), first.counts_of(p.name, steps)))


def relative(got: NDArray[np.float64], wanted: NDArray[np.float64]) -> float | None:
    """rms of the difference over the rms of what is wanted; None where that is 0."""
    size = math.sqrt(float(np.mean(np.square(wanted))))
    return math.sqrt(float(np.mean(np.square(got - wanted)))) / size if size else None


def inputs_of(population: Population, trace: Trace) -> NDArray[np.float64] | None:
    """What the neurons got in each step, (samples, steps, n): u = decay_u u + input; None where u was not probed."""
    u = trace.states.get((population.name, "u"))
    if u is None:
        return None
    states = np.asarray(u, np.float64).reshape(trace.n_samples, -1, population.n)
    start = np.broadcast_to(population.cell.u_init.ravel(), (trace.n_samples, 1, population.n))
    found: NDArray[np.float64] = states - population.cell.decay_u.ravel() * np.concatenate([start, states[:, :-1]], 1)
    return found


def layer_alone(program: CrossbarProgram, name: str) -> CrossbarProgram:
    """A program of one population on the same cells of the same die; populations that drive it are inputs."""
    shapes = program.input_shapes | {p.name: p.cell.shape for p in program.populations}
    blocks = tuple(_driven(b, name) for b in program.blocks if b.target == name)
    sources = dict.fromkeys(s.source for b in blocks for s in b.segments)
    own = replace(program.population(name), lag=0)
    return replace(program, inputs=tuple(Port(s, shapes[_plain(s, name)]) for s in sources), populations=(own,),
                   outputs={}, blocks=blocks, readout=None)


def _driven(b: Block, name: str) -> Block:
    """A block whose population is no source of it."""
    return replace(b, segments=tuple(replace(s, source=name + BEFORE) if s.source == name else s for s in b.segments))


def _plain(source: str, name: str) -> str:
    """The population or input that an input of ``layer_alone`` stands for."""
    return name if source == name + BEFORE else source


def driven_with(alone: CrossbarProgram, name: str, stimulus: Stimulus, run: Trace) -> Stimulus:
    """The inputs of ``layer_alone``, with the spikes of a run on the chip's own steps."""
    steps = run.n_steps
    given: Mapping[str, Events] = {n: e.shifted(0, steps) for n, e in stimulus.inputs.items()} | dict(run.spikes)
    inputs = {p.name: given[_plain(p.name, name)] for p in alone.inputs}
    return Stimulus(inputs, None, (), None if inputs else (run.n_samples, steps))
