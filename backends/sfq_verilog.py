"""A PulseNetlist as structural Verilog, each net with one driver and one sink, and the behaviour of its cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from hwsdk import __version__
from hwsdk.backends.sfq_names import Names, plain
from hwsdk.backends.sfq_verilog_cells import DEAD, module, number, order
from hwsdk.ir.soma import exciting, losses
from hwsdk.programs.sfq import PulseNetlist

TIMESCALE = "`timescale 1fs/1fs"


def verilog(program: PulseNetlist, bias: Mapping[str, float] | None = None) -> str:
    """The network as one module; ports are the input elements, clk, init and the spikes that leave the network.

    Args:
        bias: bias line -> factor on its currents, 1 where it is not named.

    Raises:
        UnsupportedError: NO_SUCH_GROUP.
    """
    names = Names(program, bias)
    return "\n".join([*_head(program, "structure"), *_top(names)]) + "\n"


def models(program: PulseNetlist) -> str:
    """A module for each cell type that has an instance."""
    names = Names(program)
    used = {int(program.arrays.cell_type[c]) for c in names.inside()}
    return "\n".join([*_head(program, "cells"), *(module(program.types[t]) for t in sorted(used))])


def _head(program: PulseNetlist, what: str) -> list[str]:
    """Comments that say what the file is."""
    return [f"// {what} of {plain(program.name)} for {program.target} version {program.target_version}, written by "
            f"hwsdk {__version__}", f"// program {program.digest()}",
            "// A pulse is a toggle of a wire; times are femtoseconds.", TIMESCALE, ""]


def _top(names: Names) -> Iterator[str]:
    """The module of the network."""
    inside = names.inside()
    ports = [f"input wire {p}" for p in names.sources.values()] + [f"output wire {p}" for p in names.sinks.values()]
    yield f"module {names.top} ("
    yield from (f"  {p}{',' if i + 1 < len(ports) else ''}" for i, p in enumerate(ports))
    yield ");"
    outside = {*names.sources.values(), *names.sinks.values()}
    yield from (f"  wire {n};" for n in names.nets if n not in outside)
    yield from (_instance(names, c) for c in inside)
    yield "endmodule"


def _instance(names: Names, cell: int) -> str:
    """A cell with its parameters, where they are not the type's, and its nets."""
    p = names.program
    kind = p.types[p.arrays.cell_type[cell]]
    fed = names.fed[p.input_base[cell] : p.input_base[cell + 1]].tolist()
    driven = p.driven[p.output_base[cell] : p.output_base[cell + 1]].tolist()
    pins = [f".{pin}({names.nets[net] if net >= 0 else ''})"
            for pin, net in zip((*kind.inputs, *kind.outputs), (*fed, *driven), strict=True)]
    given = ", ".join(_parameters(names, cell, fed))
    return f"  {plain(kind.name)} {f'#({given}) ' if given else ''}{names.cells[cell]} ({', '.join(pins)});"


def _parameters(names: Names, cell: int, fed: list[int]) -> Iterator[str]:
    """What is not the type's own."""
    p = names.program
    a, kind = p.arrays, p.types[p.arrays.cell_type[cell]]
    if kind.soma is not None:
        m = int(np.flatnonzero(a.soma_cell == cell)[0])
        own = slice(int(a.branch_ptr[m]), int(a.branch_ptr[m + 1]))
        weight, tau = a.branch_a[own], a.branch_tau_fs[own]
        yield f".BIAS({number(a.soma_bias_a[m] * float(names.k[a.cell_group[cell]]))})"
        yield f".EXCITING({number(exciting(weight))})"
        if len(kind.bias_k) and names.delays[cell] is None:
            yield f".LATE({number(DEAD)})"
        for j, row in enumerate(zip(weight, tau, losses(kind.soma, weight, tau), strict=True)):
            yield ", ".join(f".{what}{j}({number(x)})" for what, x in zip(("W", "TAU", "LOSS"), row, strict=True))
    elif kind.outputs and names.delays[cell] != kind.delay_at():
        yield f".DELAY({DEAD if names.delays[cell] is None else names.delays[cell]})"
    first = sorted(range(len(fed)), key=lambda pin: fed[pin])
    if first != list(range(len(fed))):
        yield f".ORDER({order(len(fed), first)})"
