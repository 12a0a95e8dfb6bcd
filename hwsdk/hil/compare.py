"""One program, two devices, two traces, one difference: shown with the steps around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwsdk.errors import HwsdkError
from hwsdk.hil.device import Device
from hwsdk.ir.data import Events, Stimulus
from hwsdk.ir.trace import Mismatch, Trace

AROUND = 5
"""Steps before and after a mismatch that are shown."""
NAMED = 6
"""Elements of an input that are named in a step."""


@dataclass(frozen=True, slots=True)
class Row:
    """One step of one neuron: what came in by name of the input or population, and (expected, got) of what it sent and
    of its states; None: not known.
    """

    step: int
    inputs: str
    sent: tuple[float, float]
    states: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True, slots=True)
class Window:
    """The steps around a mismatch. states: names of the columns. note: why states of the device are not shown."""

    mismatch: Mismatch
    states: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str = ""

    def to_text(self) -> str:
        """A table; the step of the mismatch has a > in front."""
        head = ["step", "sent", *self.states, "what came in"]
        table = [[f"{'>' if r.step == self.mismatch.step else ' '} {r.step}", _pair(*r.sent),
                  *(_pair(*s) for s in r.states), r.inputs] for r in self.rows]
        widths = [max(len(row[k]) for row in [head, *table]) for k in range(len(head) - 1)]
        lines = ["  ".join([*(cell.rjust(w) for cell, w in zip(row, widths, strict=False)), row[-1]]).rstrip()
                 for row in [head, *table]]
        return "\n".join([str(self.mismatch), "each cell: expected | got", *lines, *([self.note] if self.note else [])])


def _pair(expected: float, got: float | None) -> str:
    """Two numbers, or one where they are equal."""
    if got is None:
        return f"{expected:g} | ?"
    return f"{expected:g}" if expected == got else f"{expected:g} | {got:g}"


def window_of(mismatch: Mismatch, stimulus: Stimulus, expected: Trace, got: Trace, reference: Device,
              device: Device) -> Window:
    """Run the sample of the mismatch again, as far as is shown, and read the neuron's states on both sides."""
    first, last = max(mismatch.step - AROUND, 0), min(mismatch.step + AROUND, got.n_steps - 1)
    own = cut(stimulus.one(mismatch.sample), last + 1)
    reference_states = reference.run(own, probes="all").states
    names = tuple(state for layer, state in reference_states if layer == mismatch.layer)
    note, device_states = "", {}
    if not device.capabilities().probes:
        note = "states of the device are not shown: it cannot be read while it runs"
    else:
        try:
            device_states = dict(device.run(own, probes=[(mismatch.layer, s) for s in names]).states)
        except HwsdkError as error:
            note = f"states of the device are not shown: {error.what}"
    rows = []
    for t in range(first, last + 1):
        states = []
        for name in names:
            key, at = (mismatch.layer, name), (0, t, mismatch.neuron)
            states.append((float(reference_states[key][at]),
                           float(device_states[key][at]) if key in device_states else None))
        sent = (_sent(expected, mismatch, t), _sent(got, mismatch, t))
        rows.append(Row(t, _inputs(stimulus, expected, mismatch, t), sent, tuple(states)))
    return Window(mismatch, names, tuple(rows), note)


def cut(stimulus: Stimulus, steps: int) -> Stimulus:
    """The first steps of a stimulus."""
    steps = min(steps, stimulus.n_steps)
    return Stimulus({n: e.shifted(0, steps) for n, e in stimulus.inputs.items()}, stimulus.labels, stimulus.notes,
                    None if stimulus.grid is None else (stimulus.grid[0], steps))


def _sent(trace: Trace, m: Mismatch, step: int) -> float:
    """What the neuron sent in a step, or its value."""
    return _value(trace.spikes[m.layer], m.sample, step, m.neuron)


def _value(e: Events, sample: int, step: int, index: int) -> float:
    here = (e.sample == sample) & (e.step == step) & (e.index == index)
    return float(e.values()[here].sum())


def _inputs(stimulus: Stimulus, expected: Trace, m: Mismatch, step: int) -> str:
    """What the inputs sent in a step, and the other populations in the step before."""
    own = {id(e): name for name, e in reversed([*expected.spikes.items()]) if e.value is None}  # not outputs as well
    parts = [_listed(name, e, m.sample, step) for name, e in stimulus.inputs.items()]
    parts += [_listed(name, e, m.sample, step - 1) for name, e in expected.spikes.items() if own.get(id(e)) == name]
    return "; ".join(p for p in parts if p) or "nothing"


def _listed(name: str, e: Events, sample: int, step: int) -> str:
    """The elements that sent in a step."""
    found: Sequence[int] = e.index[(e.sample == sample) & (e.step == step)].tolist()
    if not found:
        return ""
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return f"{name}: {' '.join(map(str, found[:NAMED]))}{more}"


def differences(expected: Trace, got: Trace) -> int:
    """Cells of the rasters of all populations of ``got`` that differ."""
    total = 0
    for name, b in got.spikes.items():
        a = expected.spikes[name]
        _, in_a, in_b = np.intersect1d(a.cells(), b.cells(), return_indices=True)
        total += np.setxor1d(a.cells(), b.cells()).size + int((a.values()[in_a] != b.values()[in_b]).sum())
    return total
