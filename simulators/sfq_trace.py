"""What the runs of a pulse simulation recorded, as one Trace."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.data import Events, events_from_arrays
from hwsdk.ir.trace import Trace
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators import kernels_sfq_parts as parts
from hwsdk.simulators import samples
from hwsdk.simulators.sfq_machine import Machine
from hwsdk.simulators.sfq_run import PulseSample

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Probes = samples.Probes
STATES = {"counter": "v", "loop": "i"}
"""Style -> the state of its neurons: v as the reference has it; the current that is left when the frame ends, which has
decayed since.
"""


def wanted(program: PulseNetlist, probes: Iterable[tuple[str, str]] | str) -> Probes:
    """The states to record; see hwsdk.simulators.samples.wanted."""
    return samples.wanted({x.name: (STATES[x.style],) for x in program.layers if x.keeps}, (), probes)


def snapshot(machine: Machine, run: parts.Run, time_fs: int) -> Floats:
    """(neurons): what each holds at a time after its last pulse: a counter's v, a loop's current in A."""
    a = machine.program.arrays
    bits = np.diff(a.bit_ptr)
    place = np.arange(len(a.bit_cell)) - np.repeat(a.bit_ptr[:-1], bits)
    values = run.state[a.bit_cell].astype(np.int64) << place
    count = np.bincount(np.repeat(np.arange(len(bits)), bits), values, len(bits)).astype(np.int64)
    half = np.where(bits > 0, 1 << np.maximum(bits - 1, 0), 1)
    v: Floats = ((count - a.v_zero + half) % (2 * half) - half).astype(np.float64)
    neuron, soma = machine.loops
    if len(neuron):
        current = run.current * np.exp(-(time_fs - np.repeat(run.moment, np.diff(a.branch_ptr))) / a.branch_tau_fs)
        of_soma = np.bincount(np.repeat(np.arange(len(a.soma_cell)), np.diff(a.branch_ptr)), current, len(a.soma_cell))
        v[neuron] = of_soma[soma]
    return v


def trace(machine: Machine, runs: list[PulseSample], frames: int, probes: Probes) -> Trace:
    """All samples as one trace."""
    p = machine.program
    sample = np.repeat(np.arange(len(runs)), [len(r.net) for r in runs])
    neuron = machine.neuron_of[np.concatenate([r.net for r in runs])]
    frame = frame_of(p, neuron, np.concatenate([r.time_fs for r in runs]))
    inside = (frame >= 0) & (frame < frames)
    stray = np.bincount(sample[~inside], minlength=len(runs))
    spikes: dict[str, Events] = {}
    for layer in p.layers:
        own = p.neurons(layer.name)
        here = inside & (neuron >= own.start) & (neuron < own.stop)
        spikes[layer.name] = events_from_arrays(layer.shape, sample[here], frame[here], neuron[here] - own.start,
                                                n_samples=len(runs), n_steps=frames)
    spikes |= {n: spikes[x[0]] for n, x in p.outputs.items() if len(x) == 1}
    return Trace(len(runs), frames, spikes, _states(p, runs, probes), _counts(machine, runs, frames, stray), p.lag)


def frame_of(program: PulseNetlist, neuron: NDArray[np.int32], time_fs: Ints) -> Ints:
    """The frames that pulses of neurons belong to: those whose read time is nearest."""
    s = program.schedule
    read = np.repeat([x.read_fs for x in program.layers], [x.n for x in program.layers]).astype(np.int64)
    return (time_fs - s.start_fs - read[neuron] + s.frame_fs // 2) // s.frame_fs


def _states(program: PulseNetlist, runs: list[PulseSample], probes: Probes,
            ) -> dict[tuple[str, str], NDArray[np.generic]]:
    """(layer, "v") -> (samples, frames, n)."""
    if not probes:
        return {}
    whole = np.stack([np.stack(r.snapshots) for r in runs])
    style = {x.name: np.int64 if x.style == "counter" else np.float64 for x in program.layers}
    return {(n, v): whole[:, :, program.neurons(n)].astype(style[n]) for n, v in probes}


def _counts(machine: Machine, runs: list[PulseSample], frames: int, stray: Ints) -> dict[str, Ints]:
    """Everything counted, (samples, 1)."""
    table = np.stack([r.counts for r in runs])
    found = {n: table[:, k : k + 1] for k, n in enumerate(machine.labels)}
    found["frames"] = np.full((len(runs), 1), frames, np.int64)
    for name in ("deliveries", "absorbed", "timing"):
        found[name] = np.array([[getattr(r, name)] for r in runs], np.int64)
    return found | {"stray": stray[:, None].astype(np.int64)}
