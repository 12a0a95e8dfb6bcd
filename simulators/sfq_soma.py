"""Our Josephson circuit of a current-summing soma with its branches; hand-sized, and nobody's published neuron.

Every pin is a stage of a transmission line with a branch behind it (see hwsdk.ir.soma). The soma is a junction of
150 uA with its own bias current; its flip goes over an inductor into two further stages, which make a standard pulse.
"""

from __future__ import annotations

from collections.abc import Sequence

from hwsdk.ir.circuit import GROUND, Circuit, Element, Inductor, Junction, Resistor, Source
from hwsdk.ir.soma import FOOT_H, Branch
from hwsdk.simulators.sfq_circuits import CONTACT, HALF, PH, STANDARD, UA, CellCircuit, bias, junction

SOMA_IC = 150 * UA
OUT_H = 8 * PH
"""H from the soma to the next stage: less loads the soma with that stage, which raises its threshold."""


def soma_circuit(branches: Sequence[Branch], bias_a: float) -> CellCircuit:
    """A soma with a pin b0, b1, ... for each branch, output q; bias_a: the soma's own bias current in A."""
    made: list[Element] = [*junction("soma", "s", "foot", SOMA_IC), Inductor("lfoot", "foot", GROUND, FOOT_H),
                           bias("bsoma", "s", bias_a)]
    for j, branch in enumerate(branches):
        made += [*_stage(f"n{j}", f"b{j}", HALF), Inductor(f"lout{j}", f"n{j}", f"m{j}", HALF),
                 Inductor(f"ls{j}", f"m{j}", f"x{j}", branch.l_h),
                 Resistor(f"rs{j}", f"x{j}", "foot" if branch.k < 0 else "s", branch.r_ohm)]
    made += [*_stage("o0", "s", OUT_H), *_stage("o1", "o0", 2 * HALF), Inductor("lq", "o1", "q", HALF)]
    pins = [f"b{j}" for j in range(len(branches))]
    return CellCircuit(Circuit(f"SOMA{len(branches)}", tuple(made)), {p: p for p in pins}, {"q": "q"},
                       {p: f"jn{j}" for j, p in enumerate(pins)},
                       sum(e.points[-1][1] for e in made if isinstance(e, Source)),
                       sum(isinstance(e, Junction) for e in made), {"q": "jo1"})


def _stage(node: str, before: str, henry: float) -> tuple[Element, ...]:
    """A standard junction at a node, with its bias, behind an inductor."""
    foot = f"{node}g"
    return (Inductor(f"l{node}", before, node, henry), *junction(f"j{node}", node, foot, STANDARD),
            Inductor(f"lg{node}", foot, GROUND, CONTACT), bias(f"b{node}", node, 0.7 * STANDARD))
