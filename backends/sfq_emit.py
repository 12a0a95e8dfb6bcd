"""A PulseNetlist in the forms of other tools: Verilog with models and a testbench, SDF, graphs, analog decks, waves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwsdk.backends.sfq_graph import dot, graphml
from hwsdk.backends.sfq_names import plain
from hwsdk.backends.sfq_sdf import sdf
from hwsdk.backends.sfq_testbench import simulated, testbench
from hwsdk.backends.sfq_verilog import models, verilog
from hwsdk.errors import ProgramError, UnsupportedError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.files import atomic_file
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators.sfq_waves import csv_text, vcd_text

FORMS = ("verilog", "sdf", "graphml", "dot", "josim", "ngspice", "csv", "vcd")


@dataclass(frozen=True, slots=True)
class Files:
    """files: what stands at the end of a file's name -> its text; "" is the file that was asked for.

    The others lie beside it: "_cells.v" of network.v is network_cells.v.
    """

    files: Mapping[str, str]

    def save(self, path: str | Path) -> tuple[Path, ...]:
        """Write all files; returns their paths. Each is complete or not there.

        Raises:
            ProgramError: CANNOT_WRITE.
        """
        first = Path(path)
        paths = [first if not end else first.with_name(first.stem + end) for end in self.files]
        for place, text in zip(paths, self.files.values(), strict=True):
            with atomic_file(place, ProgramError) as stream:
                stream.write(text.encode("utf-8"))
        return tuple(paths)


def emit(program: PulseNetlist, form: str, stimulus: Stimulus | None = None) -> Files:
    """The program in a form of FORMS.

    Args:
        stimulus: for "verilog", its first sample becomes a testbench that knows the pulse simulator's spikes; for
        "josim" and "ngspice" it is what the deck is driven with, and "csv" and "vcd" are the pulses of all nets that
        the pulse simulator has for it; these need it.

    Raises:
        UnsupportedError: UNKNOWN_FORM, or NO_STIMULUS.
    """
    writers: dict[str, Callable[[], dict[str, str]]] = {
        "verilog": lambda: _verilog(program, stimulus), "sdf": lambda: {"": sdf(program)},
        "graphml": lambda: {"": graphml(program)}, "dot": lambda: {"": dot(program)},
        "josim": lambda: _deck(program, "josim", stimulus), "ngspice": lambda: _deck(program, "ngspice", stimulus),
        "csv": lambda: {"": csv_text(_trains(program, stimulus))},
        "vcd": lambda: {"": vcd_text(_trains(program, stimulus), plain(program.name))}}
    if form not in writers:
        raise UnsupportedError(f"form {form!r}", code="UNKNOWN_FORM", fix=f"use one of {', '.join(FORMS)}")
    return Files(writers[form]())


def _verilog(program: PulseNetlist, stimulus: Stimulus | None) -> dict[str, str]:
    """Network and cells, and what a simulation of a sample needs."""
    files = {"": verilog(program), "_cells.v": models(program)}
    if stimulus is None:
        return files
    frames = _frames(program, stimulus)
    return files | {"_tb.v": testbench(program, stimulus, frames, expected=simulated(program, stimulus, frames))}


def _frames(program: PulseNetlist, stimulus: Stimulus) -> int:
    """As many as the last spikes need to come out."""
    return stimulus.n_steps + max((layer.lag for layer in program.layers), default=0)


def _deck(program: PulseNetlist, tool: str, stimulus: Stimulus | None) -> dict[str, str]:
    """The whole program as an analog circuit."""
    from hwsdk.backends.sfq_analog_deck import analog_deck

    driven = _needed(program, stimulus)
    return {"": analog_deck(program, driven, tool, _frames(program, driven))}


def _trains(program: PulseNetlist, stimulus: Stimulus | None) -> dict[str, NDArray[np.int64]]:
    """The output pin that drives a net -> its pulses in fs, of the first sample."""
    from hwsdk.simulators import sfq

    first = _needed(program, stimulus)
    return sfq.pulses(program, first.one(0) if first.inputs else first).trains()


def _needed(program: PulseNetlist, stimulus: Stimulus | None) -> Stimulus:
    """What has to be there."""
    if stimulus is None:
        raise UnsupportedError("this form needs pulses to be driven with", where=program.name, code="NO_STIMULUS",
                               fix="give input data (--input)")
    return stimulus
