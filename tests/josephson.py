"""Small Josephson circuits for tests, in the values of a 10 kA/cm2 process: 250 uA, 0.7 fF/uA, IcRs 0.686 mV."""

from __future__ import annotations

from collections.abc import Sequence

from hwsdk.ir.circuit import PHI0, Circuit, Coupling, Element, Inductor, Junction, Resistor, Source

PS, UA, PH = 1e-12, 1e-6, 1e-12
IC, BIAS = 250 * UA, 175 * UA
HALF = PHI0 / (4 * IC)
"""Inductance between a stage's end and its junction."""


def shunted(name: str, node: str, ic: float = IC, ground: str = "0") -> tuple[Element, ...]:
    """A junction with shunt and parasitic inductances to ground."""
    rs = 0.6859904418e-3 / ic
    return (Junction(f"J{name}", node, f"g{name}", ic, 0.7e-9 * ic, 160 / (ic / 1e-4)),
            Resistor(f"R{name}", node, f"s{name}", rs),
            Inductor(f"LS{name}", f"s{name}", f"g{name}", rs / 2 * 1.13e-12 + 0.5 * PH),
            Inductor(f"LG{name}", f"g{name}", ground, 0.5 * PH))


def biased(name: str, node: str, amp: float = BIAS, group: str = "") -> Source:
    """A bias current with a ramp of 5 ps."""
    return Source(f"I{name}", node, ((0.0, 0.0), (5 * PS, amp)), group=group)


def stage(name: str, a: str, q: str, group: str = "") -> tuple[Element, ...]:
    """One junction of a transmission line."""
    m = f"m{name}"
    return (Inductor(f"LA{name}", a, m, HALF), Inductor(f"LB{name}", m, q, HALF), *shunted(name, m),
            biased(name, m, group=group))


def pulses(name: str, node: str, times_ps: Sequence[float]) -> Source:
    """Drive that launches one fluxon at each time."""
    points = [(0.0, 0.0)]
    for t in times_ps:
        points += [(t * PS, 0.0), ((t + 2) * PS, 450 * UA), ((t + 4) * PS, 0.0)]
    return Source(name, node, tuple(points), "input")


def line(n: int = 10, times_ps: Sequence[float] = (20, 70), prefix: str = "", ends: tuple[str, str] = ("in", "out"),
         load: bool = True, group: str = "") -> tuple[Element, ...]:
    """n stages from ends[0] to ends[1]; driven if there are times, loaded with 2 ohm."""
    nodes = [ends[0], *(f"n{prefix}{k}" for k in range(1, n)), ends[1]]
    made: list[Element] = []
    for k in range(n):
        made += stage(f"{prefix}{k + 1}", nodes[k], nodes[k + 1], group)
    made += [pulses(f"DRIVE{prefix}", ends[0], times_ps)] if len(times_ps) else []
    made += [Resistor(f"RLOAD{prefix}", ends[1], "0", 2.0)] if load else []
    return tuple(made)


def jtl(n: int = 10, times_ps: Sequence[float] = (20, 70)) -> Circuit:
    """A transmission line of n junctions."""
    return Circuit(f"jtl{n}", line(n, times_ps))


def splitter() -> Circuit:
    """A line of 3 into a junction of 1.4 times the size, that drives two lines of 3."""
    middle = (*shunted("X", "x", 1.4 * IC), biased("X", "x", 1.7 * BIAS), Inductor("LX0", "in2", "x", HALF / 2),
              Inductor("LXA", "x", "a", HALF / 2), Inductor("LXB", "x", "b", HALF / 2))
    return Circuit("splitter", (*line(3, (20, 70), "I", ("in", "in2"), load=False), *middle,
                                *line(3, (), "A", ("a", "qa")), *line(3, (), "B", ("b", "qb"))))


def merger(a_ps: Sequence[float] = (20,), b_ps: Sequence[float] = (60,)) -> Circuit:
    """A confluence: two lines, each over a junction in series, into one with an output line."""
    arms: list[Element] = []
    for side, times in (("A", a_ps), ("B", b_ps)):
        arms += line(2, times, side, (f"in{side}", f"e{side}"), load=False)
        arms += (Junction(f"JS{side}", f"e{side}", f"t{side}", 0.48 * IC, 0.7e-9 * 0.48 * IC, 160 / (0.48 * 2.5)),
                 Resistor(f"RS{side}", f"e{side}", f"u{side}", 0.6859904418e-3 / (0.48 * IC)),
                 Inductor(f"LSS{side}", f"u{side}", f"t{side}", 1.5 * PH), Inductor(f"LT{side}", f"t{side}", "x", PH))
    middle = (*shunted("X", "x", IC), biased("X", "x", 1.8 * BIAS), Inductor("LX", "x", "c", HALF / 2))
    return Circuit("merger", (*arms, *middle, *line(3, (), "Q", ("c", "q"))))


def transformer(k: float = 0.6) -> Circuit:
    """A line whose fourth stage drives, over a transformer and a resistor, a junction biased below its current."""
    primary = (Inductor("LP", "n4", "w", 6 * PH), Resistor("RP", "w", "0", 0.2))
    secondary = (Inductor("LM", "y", "0", 6 * PH), Inductor("LY", "y", "z", 4 * PH), Resistor("RY", "z", "v", 0.3),
                 *shunted("V", "v", 150 * UA), biased("V", "v", 130 * UA))
    return Circuit("transformer", (*line(8), *primary, *secondary, Coupling("K1", "LP", "LM", k)))
