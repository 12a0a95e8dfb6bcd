"""A PulseNetlist as the image of a test-bench controller with the pulse engine behind it: firmware_stubs/sfq/runner.c.

Nominal conditions: bias currents as they are meant, without jitter or spread. Delays, thresholds and what a soma loses
when it fires are computed here from the cells' tables; the device only adds, compares, and takes exponentials.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.hil.image import DeviceImage, Field, elements, pack
from hwsdk.ir.cells import CellType, SomaModel
from hwsdk.ir.soma import losses, threshold
from hwsdk.programs.sfq import Layer, PulseNetlist
from hwsdk.programs.sfq_form import require_form

LAYOUT = 1
HEAD, COUNTERS = 56, {"stray": 16, "deliveries": 24, "absorbed": 32, "timing": 40, "queued": 48}
"""Bytes of the controller's own state, and where its counts lie; behind it what each neuron holds, 8 bytes each."""
MOST_LATE, MOST_INPUTS, MOST_BITS = 16, 255, 62
"""Limits of the runner: frames between a frame and its reading, inputs of a cell, bits of a counter."""
LONGEST_BITS, KEY_BITS = 54, 62
"""Of a time in fs, and of a time beside the number of a net."""
PULSE_FS = 1000
"""No net of the library carries pulses closer than this for long (a JTL passes them 5.2 ps apart): if it does, the
circuit does not come to rest.
"""
NO_NET = 0xFFFFFFFF
NOTHING, COUNTER, LOOP = range(3)

ENTRY = np.dtype([("next", "u1"), ("fires", "u1")])
CELL = np.dtype([("type", "<u4"), ("pin", "<u4"), ("out", "<u4"), ("soma", "<u4"), ("delay", "<i4")])
SOMA = np.dtype([("theta", "<f8"), ("fold", "<f8"), ("branch", "<u4"), ("branches", "<u4"), ("late", "<u4"),
                 ("lates", "<u4")])
HELD = np.dtype([("zero", "<i8"), ("kind", "<u4"), ("first", "<u4"), ("n", "<u4"), ("unused", "<u4")])
"""Rows of the sections, as firmware_stubs/sfq/engine.h has them."""

Rows = NDArray[Any]


def image_of(program: PulseNetlist, *, queue: int | None = None) -> DeviceImage:
    """The image of a program.

    Spikes come ``late`` frames behind their own (1, or more if neurons are read late): a host sends so many DRAIN
    steps more. States are not late: after step t they are those at the end of frame t, ``v`` of counters int64, ``i``
    of loops float64 in A, as the simulator's probes give them. Under ("", name) the state has the counts of the run,
    int64 (1,): "absorbed", "timing", "stray" and "deliveries" as the simulator counts them, complete after the first
    DRAIN step, and "queued", the most pulses that were under way at a time.

    Args:
        queue: room for pulses that are under way; default one a net and those of one frame's sources. A run that needs
            more ends with a fault, which says so.

    Raises:
        ProgramError: the program does not hold together. UnsupportedError: the device cannot run it.
    """
    require_form(program)
    for problem, where, code, fix in _refusals(program):
        raise UnsupportedError(problem, where=where, code=code, fix=fix)
    a = program.arrays
    room = program.n_nets + len(a.frame_source) + len(a.init_source) + len(a.input_source) if queue is None else queue
    sections = [*_controller(program, room), *_tables(program.types), *_wiring(program), *_somas(program),
                *_helds(program)]
    inputs = elements([(p.name, p.shape, 0, True) for p in program.inputs])
    populations = elements([(x.name, x.shape, x.lag, True) for x in program.layers])
    data = pack("sfq", LAYOUT, program.digest(), sum(e.n for e in inputs), len(a.spike_net), ("ones", "i32"), sections)
    states = {("", name): Field(at, "<i8", 1) for name, at in COUNTERS.items()}
    for own, layer in zip(populations, program.layers, strict=True):
        if layer.keeps and (name := _state(program, layer)):
            states[layer.name, name] = Field(HEAD + 8 * own.first, "<i8" if name == "v" else "<f8", own.n)
    return DeviceImage("sfq", LAYOUT, data, inputs, populations, dict(program.outputs), late_of(program), states)


def late_of(program: PulseNetlist) -> int:
    """Frames that a device's answers are late: until the latest reading of a frame, and half a frame, is over; at least
    the one for which the simulator runs on after the last.
    """
    return max([1, *(back for back, _ in map(_open, [program] * len(program.layers), program.layers))])


def _open(program: PulseNetlist, layer: Layer) -> tuple[int, int]:
    """How many frames before and after the present one a pulse can belong to."""
    frame = program.schedule.frame_fs
    middle = frame // 2 - layer.read_fs
    return -(middle // frame), (frame - 1 + middle) // frame


def _state(program: PulseNetlist, layer: Layer) -> str:
    """Name of the state of a layer; "" if its somas are not known."""
    if layer.style == "counter":
        return "v"
    return "i" if len(program.somas(layer.name)) == layer.n else ""


def _refusals(program: PulseNetlist) -> Iterator[tuple[str, str, str, str]]:
    """(what, where, code, fix) of what the device cannot do."""
    s, a = program.schedule, program.arrays
    bits = max(program.n_nets - 1, 1).bit_length()
    latest = max(s.init_fs, s.start_fs + 2 * s.frame_fs
                 + max(s.input_offset_fs, int(a.frame_offset_fs.max(initial=0))))
    if latest >= (most := 1 << min(KEY_BITS - bits, LONGEST_BITS)):
        yield f"a frame of {s.frame_fs:,} fs, times must be less than {most:,} fs", program.name, "FRAME_TOO_LONG", \
            "compile with a shorter frame"
    for x in program.layers:
        if max(_open(program, x)) > MOST_LATE:
            yield f"read at {x.read_fs:,} fs in frames of {s.frame_fs:,} fs, limit {MOST_LATE} frames", x.name, \
                "READ_LATE", "compile with longer frames"
    if len(a.bit_ptr) > 1 and (widest := int(np.diff(a.bit_ptr).max())) > MOST_BITS:
        yield f"a counter of {widest} bits, limit {MOST_BITS}", program.name, "COUNTER_WIDTH", "use smaller weights"
    for t in program.types:
        if len(t.inputs) > MOST_INPUTS:
            yield f"{len(t.inputs)} inputs, limit {MOST_INPUTS}", t.name, "CELL_INPUTS", "use cells with fewer inputs"
        if t.soma is not None and not _is_table(t.soma):
            yield "the soma's figures are not finite, or its overdrives do not rise", t.name, "SOMA_TABLE", \
                "give a table of latencies by rising overdrive"


def _is_table(model: SomaModel) -> bool:
    """Whether its figures are numbers, and its latency can be looked up."""
    figures = (model.ic_eff_a, model.alpha, model.load, model.relief, model.critical_fs, model.reset, model.flip_fs)
    return bool(np.isfinite([*figures, *model.overdrive_a]).all() and (np.diff(model.overdrive_a) > 0).all())


def _controller(program: PulseNetlist, room: int) -> list[Rows]:
    """Schedule, readings, and the lines of all sources."""
    s, a = program.schedule, program.arrays
    most = program.n_nets * (s.frame_fs // PULSE_FS + 1)
    schedule = np.array([s.frame_fs, s.start_fs, s.init_fs, s.input_offset_fs, s.max_steps or 0, room, most], "<i8")
    read = np.repeat([x.read_fs for x in program.layers], [x.n for x in program.layers]).astype("<i8")

    def lines(cells: NDArray[np.int32]) -> Rows:
        return program.driven[program.output_base[cells]].astype("<u4")

    return [schedule, read, lines(a.input_source), lines(a.frame_source), a.frame_offset_fs.astype("<i8"),
            lines(a.init_source)]


def _tables(types: tuple[CellType, ...]) -> list[Rows]:
    """Types, transitions, critical and absorb times."""
    rows = np.zeros((len(types), 8), "<u4")
    parts: tuple[list[Rows], ...] = ([np.zeros(0, ENTRY)], [np.zeros(0)], [np.zeros(0)])
    for k, t in enumerate(types):
        at = [sum(map(len, p)) for p in parts]
        window = max(int(t.critical_fs.max(initial=0)), int(t.absorb_fs.max(initial=0)))
        rows[k] = len(t.inputs), len(t.outputs), len(t.states), *at, window, t.soma is not None
        if t.soma is None:
            entry = np.zeros(t.next.size, ENTRY)
            entry["next"], entry["fires"] = t.next.ravel(), t.fires.ravel()
            for part, own in zip(parts, (entry, t.critical_fs.ravel(), t.absorb_fs.ravel()), strict=True):
                part.append(own)
    return [rows, np.concatenate(parts[0]), *(np.concatenate(p).astype("<u4") for p in parts[1:])]


def _wiring(program: PulseNetlist) -> list[Rows]:
    """Cells, nets, and what outputs drive."""
    a = program.arrays
    cell = np.zeros(program.n_cells, CELL)
    cell["type"], cell["pin"], cell["out"] = a.cell_type, program.input_base[:-1], program.output_base[:-1]
    cell["soma"][a.soma_cell] = np.arange(len(a.soma_cell))
    cell["delay"] = np.array([_delay(t) for t in program.types], np.int64)[a.cell_type]
    cell["delay"][a.soma_cell[_thetas(program)[1]]] = -1
    net = np.zeros((program.n_nets, 3), "<u4")
    net[:, 0], net[:, 1] = a.to_cell, a.to_pin
    net[a.spike_net, 2] = 1 + np.arange(len(a.spike_net))
    out = np.where(program.driven < 0, NO_NET, program.driven).astype("<u4")
    return [cell, net, out]


def _delay(t: CellType) -> int:
    """fs at the nominal bias, -1 where nothing comes out; of a soma that works 0, as its latency is its own."""
    if t.soma is not None:
        return -1 if len(t.bias_k) and t.delay_at() is None else 0
    found = t.delay_at()
    return -1 if found is None else found


def _thetas(program: PulseNetlist) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(M) A: threshold of each soma; whether its bias current alone makes it switch for ever, so that nothing comes."""
    a, found = program.arrays, []
    for m, (lo, hi) in enumerate(pairwise(a.branch_ptr.tolist())):
        if (model := program.types[a.cell_type[a.soma_cell[m]]].soma) is not None:
            bias = float(a.soma_bias_a[m])
            weights = a.branch_a[lo:hi] if hi > lo else np.zeros(1)
            found.append((threshold(model, weights, bias), model.ic_eff_a - model.alpha * bias <= 0))
    return np.array([x for x, _ in found], np.float64), np.array([x for _, x in found], np.bool_)


def _somas(program: PulseNetlist) -> list[Rows]:
    """Somas, their branches, and latencies by type."""
    a, first, points = program.arrays, {}, [np.zeros((0, 2))]
    for k, t in enumerate(program.types):
        if t.soma is not None:
            first[k] = sum(map(len, points)), len(t.soma.overdrive_a), t.soma
            points.append(np.stack([t.soma.overdrive_a, t.soma.latency_fs.astype(np.float64)], 1))
    soma = np.zeros(len(a.soma_cell), SOMA)
    soma["theta"] = _thetas(program)[0]
    loss = np.zeros(len(a.branch_a))
    for m, (lo, hi) in enumerate(pairwise(a.branch_ptr.tolist())):
        at, n, model = first[int(a.cell_type[a.soma_cell[m]])]
        soma[m] = soma["theta"][m], model.critical_fs, lo, hi - lo, at, n
        loss[lo:hi] = losses(model, a.branch_a[lo:hi], a.branch_tau_fs[lo:hi])
    branch = np.stack([a.branch_a, a.branch_tau_fs, loss], 1).astype("<f8")
    return [soma, branch, np.concatenate(points).astype("<f8")]


def _helds(program: PulseNetlist) -> list[Rows]:
    """What each neuron holds, and the cells of counters' bits."""
    a = program.arrays
    held = np.zeros(len(a.spike_net), HELD)
    for layer in program.layers:
        own = program.neurons(layer.name)
        if layer.style == "counter":
            held["kind"][own], held["zero"][own] = COUNTER, a.v_zero[own]
            held["first"][own], held["n"][own] = a.bit_ptr[:-1][own], np.diff(a.bit_ptr)[own]
        elif _state(program, layer):
            held["kind"][own], held["first"][own] = LOOP, program.somas(layer.name)
    return [held, a.bit_cell.astype("<u4")]
