"""A whole PulseNetlist, driven with a sample, as a deck of an analog circuit simulator."""

from __future__ import annotations

from dataclasses import replace

from hwsdk.backends.sfq_decks import josim_deck, ngspice_deck
from hwsdk.backends.sfq_testbench import end_fs, stimulated
from hwsdk.ir.cells import FS
from hwsdk.ir.circuit import Circuit, Source
from hwsdk.ir.data import Stimulus
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators.sfq_analog import SETTLE_S, Expanded, expand, lead_s
from hwsdk.simulators.sfq_circuits import pulse_points

TOOLS = {"josim": josim_deck, "ngspice": ngspice_deck}


def analog_deck(program: PulseNetlist, stimulus: Stimulus, tool: str, frames: int, sample: int = 0) -> str:
    """A deck of TOOLS that shows the phases of the junctions at which the spikes of all neurons are seen. Its time 0
    lies SETTLE_S before that of the program, so that bias currents can rise.

    Raises:
        UnsupportedError: NO_CIRCUIT, a cell without a circuit; GRADED_INPUT.
    """
    made = expand(program)
    seen = list(dict.fromkeys(made.receivers[net] for net in program.arrays.spike_net.tolist()))
    circuit = driven(made, stimulus, frames, sample)
    return TOOLS[tool](circuit, end_fs(program, frames) * FS + SETTLE_S, junctions=seen)


def driven(made: Expanded, stimulus: Stimulus, frames: int, sample: int = 0) -> Circuit:
    """The circuit with a sample's pulses in its sources."""
    times, lead = stimulated(made.program, stimulus, sample, frames), SETTLE_S - lead_s()
    points = {name: tuple(pulse_points([t * FS + lead for t in times.get(cell, [])]))
              for cell, name in made.sources.items()}
    return replace(made.circuit, elements=tuple(
        replace(e, points=points[e.name]) if isinstance(e, Source) and e.name in points else e
        for e in made.circuit.elements))
