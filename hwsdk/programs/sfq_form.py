"""Whether a PulseNetlist holds together, so that nobody reads beside its arrays: a file may be broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ProgramError
from hwsdk.ir.cells import ROLES, CellType
from hwsdk.programs.sfq import STYLES, PulseNetlist, SfqArrays

Column = NDArray[Any]
MOST_STATES, MOST_OUTPUTS, MOST_FS = 127, 8, 2**31 - 1
"""Of a type: states, outputs (bits of CellType.fires), and any of its times."""
LATEST_FS = 1 << 54
"""Of a layer's reading; simulators hold no times beyond this."""
TYPES = {"cell_type": "i2", "cell_group": "i2", "cell_part": "u1", "from_pin": "i2", "to_pin": "i2",
         "frame_offset_fs": "i8", "soma_bias_a": "f8", "branch_ptr": "i8", "branch_a": "f8", "branch_tau_fs": "f8",
         "branch_l_h": "f8", "branch_r_ohm": "f8", "branch_k": "f8", "bit_ptr": "i8", "v_zero": "i8"}
"""Arrays that are not int32."""


def require_form(program: PulseNetlist) -> PulseNetlist:
    """The program itself, if it holds together.

    Raises:
        ProgramError: INCONSISTENT, which part of it.
    """
    for part in PARTS:
        for problem in part(program):
            raise ProgramError(problem, where=program.name, code="INCONSISTENT", fix="compile the model again")
    return program


def _forms(program: PulseNetlist) -> Iterator[str]:
    """Arrays of another type, or of more dimensions than one."""
    for name in SfqArrays.__slots__:
        x: Column = getattr(program.arrays, name)
        if x.dtype != TYPES.get(name, "i4") or x.ndim != 1:
            yield f"{name} is an array {list(x.shape)} of {x.dtype}"


def _types(program: PulseNetlist) -> Iterator[str]:
    """Tables that do not fit their type."""
    for t in program.types:
        if t.role not in ROLES or len({*t.inputs, *t.outputs}) < len(t.inputs) + len(t.outputs):
            yield f"type {t.name} is a {t.role!r} with pins {', '.join((*t.inputs, *t.outputs))}"
        elif len(t.outputs) > MOST_OUTPUTS or len(t.states) > MOST_STATES:
            yield f"type {t.name} has {len(t.outputs)} outputs and {len(t.states)} states"
        elif len(t.bias_k) != len(t.delay_fs) or (np.diff(t.bias_k) <= 0).any() or not _times(t.delay_fs):
            yield f"the delays of type {t.name} are no table"
        elif t.soma is not None:
            if t.soma.fan_in != len(t.inputs) or not len(t.soma.overdrive_a) or len(t.outputs) != 1 or len(
                    t.soma.overdrive_a) != len(t.soma.latency_fs) or not _times(t.soma.latency_fs):
                yield f"the soma of type {t.name} does not fit its pins"
        elif not _fits(t):
            yield f"the tables of type {t.name} do not fit its pins and states"


def _times(fs: Column) -> bool:
    """Whether these are times."""
    return bool(((fs >= 0) & (fs <= MOST_FS)).all())


def _fits(t: CellType) -> bool:
    """Whether tables have the shape of pins and states, and lead to states and outputs that there are."""
    s, i = len(t.states), len(t.inputs)
    return (t.next.shape == t.fires.shape == (s, i) and t.critical_fs.shape == (s, i, i) and t.absorb_fs.shape == (i, i)
            and (s > 0 or i == 0) and bool(((t.next >= 0) & (t.next < s)).all()
                                           and (t.fires < 1 << len(t.outputs)).all())
            and _times(t.critical_fs) and _times(t.absorb_fs))


def _ranges(program: PulseNetlist) -> Iterator[str]:
    """Columns of different lengths, and indices out of range."""
    a, cells, nets = program.arrays, program.n_cells, program.n_nets
    lengths = {"cell_group": cells, "cell_part": cells, "from_pin": nets, "to_cell": nets, "to_pin": nets,
               "frame_offset_fs": len(a.frame_source), "soma_bias_a": len(a.soma_cell),
               "branch_ptr": len(a.soma_cell) + 1, **dict.fromkeys(
                   ("branch_tau_fs", "branch_l_h", "branch_r_ohm", "branch_k"), len(a.branch_a)),
               "input_source": sum(p.n for p in program.inputs), "bit_ptr": len(a.spike_net) + 1,
               "spike_net": sum(x.n for x in program.layers), "v_zero": len(a.spike_net)}
    yield from (f"{n} has {len(getattr(a, n))} entries, not {k}" for n, k in lengths.items() if len(getattr(a, n)) != k)
    limits = {"cell_type": len(program.types), "cell_group": len(program.groups), "cell_part": len(program.parts),
              "spike_net": nets}
    limits |= dict.fromkeys(("from_cell", "to_cell", "input_source", "frame_source", "init_source", "soma_cell",
                             "bit_cell"), cells)
    for name, limit in limits.items():
        column: Column = getattr(a, name)
        if len(column) and not 0 <= column.min() <= column.max() < limit:
            yield f"{name} has an entry outside 0 to {limit - 1}"


def _pointers(program: PulseNetlist) -> Iterator[str]:
    """Arrays that do not divide others."""
    a = program.arrays
    for name, end in (("bit_ptr", len(a.bit_cell)), ("branch_ptr", len(a.branch_a))):
        if not _pointer(getattr(a, name), end):
            yield f"{name} does not point into its array"


def _schedule(program: PulseNetlist) -> Iterator[str]:
    """Times before the beginning."""
    s, offsets = program.schedule, program.arrays.frame_offset_fs
    if s.frame_fs < 1 or min(s.start_fs, s.init_fs, s.input_offset_fs) < 0 or (offsets < 0).any():
        yield "the schedule has a time below 0"


def _layers(program: PulseNetlist) -> Iterator[str]:
    """Inputs, layers and outputs that there cannot be."""
    ports, layers = program.inputs, program.layers
    names = [p.name for p in ports] + [x.name for x in layers]
    if len(set(names)) < len(names) or len(set(program.groups)) < len(program.groups):
        yield "two parts have the same name"
    for x in layers:
        if x.style not in STYLES or x.lag < 0 or not -LATEST_FS < x.read_fs < LATEST_FS:
            yield f"layer {x.name} has style {x.style!r}, lag {x.lag!r} and is read at {x.read_fs!r} fs"
    if {n for sources in program.outputs.values() for n in sources} - {x.name for x in layers}:
        yield "an output names a layer that there is not"


def _pins(program: PulseNetlist) -> Iterator[str]:
    """Pins without a net, or with several; sources that are none."""
    a = program.arrays
    for side, cell, pin, base in (("output", a.from_cell, a.from_pin, program.output_base),
                                  ("input", a.to_cell, a.to_pin, program.input_base)):
        if ((pin < 0) | (pin >= np.diff(base)[cell])).any():
            yield f"a net ends at an {side} pin that its cell does not have"
            continue
        used = np.bincount(base[cell] + pin, minlength=int(base[-1]))
        if (used != 1).any():
            k = int(np.flatnonzero(used != 1)[0])
            yield f"{program.cell_name(int(np.searchsorted(base, k, 'right')) - 1)} has {used[k]} nets at an {side} pin"
    source = np.array([not t.inputs and len(t.outputs) == 1 for t in program.types], bool)
    for name in ("input_source", "frame_source", "init_source"):
        if not source[a.cell_type[getattr(a, name)]].all():
            yield f"{name} names a cell that is no source"


def _somas(program: PulseNetlist) -> Iterator[str]:
    """Somas without a model, or branches that are not those of their cell."""
    a = program.arrays
    kind = np.array([t.soma is not None for t in program.types], bool)
    if not np.array_equal(np.sort(a.soma_cell), np.flatnonzero(kind[a.cell_type])):
        yield "soma_cell does not name the soma cells"
    elif not np.array_equal(
            np.diff(a.branch_ptr), np.diff(program.input_base)[a.soma_cell]):
        yield "the somas' branches are not those of their cells"
    elif not (a.branch_tau_fs > 0).all():
        yield "a branch has no decay time"
    elif not (np.isfinite(a.branch_a).all() and np.isfinite(a.soma_bias_a).all()):
        yield "a current is no number"


def _neurons(program: PulseNetlist) -> Iterator[str]:
    """Counters whose bits are none."""
    a: SfqArrays = program.arrays
    two = np.array([len(t.states) == 2 for t in program.types], bool)
    if not two[a.cell_type[a.bit_cell]].all():
        yield "a bit of a counter is a cell that does not have two states"
    elif len(np.unique(a.spike_net)) != len(a.spike_net):
        yield "two neurons have the same spike net"


def _pointer(ptr: Column, n: int) -> bool:
    """Whether an array of places begins at 0, never falls, and ends at n."""
    return len(ptr) > 0 and ptr[0] == 0 and ptr[-1] == n and bool((np.diff(ptr) >= 0).all())


PARTS: tuple[Callable[[PulseNetlist], Iterator[str]], ...] = (
    _forms, _types, _layers, _ranges, _pointers, _schedule, _pins, _somas, _neurons)
"""In this order, as the later ones rest on the earlier."""
