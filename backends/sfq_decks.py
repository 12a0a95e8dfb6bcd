"""Analog circuits as decks of other simulators: ngspice and JoSIM, and a reader of our JoSIM decks.

Decks are flat and hold numbers only. Names become lower-case letters, digits and _; what kind and group a source has
stands in a comment before it, so that ``read_josim`` gives the circuit back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hwsdk.errors import DataError
from hwsdk.ir.circuit import GROUND, PHI0, Circuit, Coupling, Element, Inductor, Junction, Resistor, Source

PHASE_F = 1e-12
"""Farad on which ngspice integrates a junction's phase: 1 V is 1 rad."""
GAP_V, GAP_RATIO = 2.8e-3, 10
"""Gap voltage and subgap / normal resistance of JoSIM's piecewise linear junctions: RSFQlib v3p0 (MIT-LL SFQ5ee):
vg 2.8 mV, r0 160 and rn 16 ohm. Pulses stay below the gap (peak 0.9 mV), so both hardly matter.
"""
APART_S = 1e-18
"""Between two points of a source at one time, which these simulators do not take."""
NOISE_S = 0.1e-12
"""Between two values of a noise current in ngspice: noise up to 5 THz, far above the 0.3 THz of the junctions."""
K_B = 1.380649e-23
"""Boltzmann's constant in J/K (CODATA 2018, exact)."""
PHASES = "phases.txt"
"""File that an ngspice deck writes its phases to."""
SUFFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "meg": 1e6, "g": 1e9, "t": 1e12, "": 1.0}


@dataclass(slots=True)
class _Names:
    """Names as decks take them; different ones stay different."""

    given: dict[str, str]
    used: set[str]

    @classmethod
    def of(cls, names: Iterable[str]) -> _Names:
        """Names in order; ground stays 0."""
        made = cls({GROUND: GROUND}, {GROUND})
        for name in names:
            made[name]
        return made

    def __getitem__(self, name: str) -> str:
        if name not in self.given:
            plain = re.sub(r"[^a-z0-9_]", "_", name.lower()) or "_"
            free, k = plain, 2
            while free in self.used:
                free, k = f"{plain}_{k}", k + 1
            self.given[name] = free
            self.used.add(free)
        return self.given[name]


def _tables(circuit: Circuit) -> tuple[_Names, _Names, dict[tuple[float, float, float], str]]:
    """Names of nodes and elements; junction values -> their model's name."""
    models: dict[tuple[float, float, float], str] = {}
    for e in circuit.elements:
        if isinstance(e, Junction):
            models.setdefault((e.ic, e.c, e.r_sub), f"jj{len(models) + 1}")
    return _Names.of(circuit.nodes), _Names.of(e.name for e in circuit.elements), models


def _points(source: Source) -> str:
    """PWL points, from time 0 on and each later than the one before."""
    points = list(source.points)
    if points[0][0] > 0:
        points.insert(0, (0.0, points[0][1]))
    words, last = [], float("-inf")
    for t, amp in points:
        last = max(t, last + APART_S) if t <= last else t
        words.append(f"{last!r} {amp!r}")
    return " ".join(words)


def ngspice_deck(circuit: Circuit, stop_s: float, *, step_s: float = 0.05e-12, junctions: Sequence[str] = (),
                 reltol: float = 1e-4, temperature_k: float | None = None, seed: int = 1) -> str:
    """A deck that writes the phases of junctions (all where none is named) to the file ``phases.txt``.

    Gear integration from rest (uic). Junctions are behavioural: the phase is the voltage on a capacitor that a current
    2 pi / PHI0 times the junction's voltage charges. Columns: (time s, phase rad) of each junction. temperature_k: with
    Johnson noise of every resistor and r_sub, drawn anew every 0.1 ps from ``seed`` (above 0).

    Raises:
        DataError: NO_SUCH_JUNCTION.
    """
    nodes, names, models = _tables(circuit)
    lines = [f"* {circuit.name}", *(line for values, model in models.items() for line in _subcircuit(model, values))]
    lines += [_ngspice_line(e, nodes, names, models) for e in circuit.elements]
    if temperature_k is not None:
        lines += [line for e in circuit.elements for line in _noise(e, nodes, names, temperature_k)]
    start = [".control"] + ([] if temperature_k is None else [f"setseed {seed}"])
    shown = " ".join(f"v(x{names[j]}.ph)" for j in _chosen(circuit, junctions))
    return "\n".join([
        *lines, f".options method=gear reltol={reltol!r} abstol=1e-9 vntol=1e-8 trtol=1",
        f".tran {step_s!r} {stop_s!r} 0 {step_s!r} uic", *start, "run", "set numdgt=10", f"wrdata {PHASES} {shown}",
        "quit 0", ".endc", ".end", ""])


def _chosen(circuit: Circuit, junctions: Sequence[str]) -> list[str]:
    """Names of junctions, all by default."""
    known = [e.name for e in circuit.of(Junction)]
    unknown = sorted(set(junctions) - set(known))
    if unknown:
        raise DataError(f"no such junction: {', '.join(unknown)}", where=circuit.name, code="NO_SUCH_JUNCTION",
                        fix="name junctions of the circuit")
    return list(junctions) or known


def _subcircuit(model: str, values: tuple[float, float, float]) -> list[str]:
    """A junction for ngspice."""
    ic, c, r_sub = values
    rate = PHASE_F * 2 * 3.141592653589793 / PHI0
    lines = [f".subckt {model} p n", f"bph 0 ph i = {rate!r}*v(p,n)", f"cph ph 0 {PHASE_F!r} ic=0", "rph ph 0 1e15",
             f"bj p n i = {ic!r}*sin(v(ph))"]
    lines += [f"cj p n {c!r} ic=0"] if c else []
    lines += [f"rj p n {r_sub!r}"] if r_sub != float("inf") else []
    return [*lines, ".ends"]


def _ngspice_line(e: Element, nodes: _Names, names: _Names, models: dict[tuple[float, float, float], str]) -> str:
    """One element."""
    if isinstance(e, Junction):
        return f"x{names[e.name]} {nodes[e.p]} {nodes[e.m]} {models[e.ic, e.c, e.r_sub]}"
    return _common_line(e, nodes, names)


def _noise(e: Element, nodes: _Names, names: _Names, temperature_k: float) -> list[str]:
    """The noise current of a resistance: white up to half the rate at which it is drawn."""
    if not isinstance(e, Junction | Resistor):
        return []
    ohm = e.r_sub if isinstance(e, Junction) else e.ohm
    rms = (4 * K_B * temperature_k / ohm / (2 * NOISE_S)) ** 0.5
    return [f"inoise_{names[e.name]} {nodes[e.p]} {nodes[e.m]} dc 0 trnoise({rms!r} {NOISE_S!r} 0 0)"]


def _common_line(e: Element, nodes: _Names, names: _Names) -> str:
    """An element that both simulators write alike."""
    name = names[e.name]
    if isinstance(e, Coupling):
        return f"k{name} l{names[e.first]} l{names[e.second]} {e.k!r}"
    if isinstance(e, Source):
        return f"i{name} 0 {nodes[e.p]} pwl({_points(e)})"
    letter, value = ("r", e.ohm) if isinstance(e, Resistor) else ("l", e.henry if isinstance(e, Inductor) else 0.0)
    return f"{letter}{name} {nodes[e.p]} {nodes[e.m]} {value!r}"


def josim_deck(circuit: Circuit, stop_s: float, *, step_s: float = 0.05e-12, junctions: Sequence[str] = (),
               temperature_k: float | None = None) -> str:
    """A deck that prints the phases of junctions (all where none is named).

    Raises:
        DataError: NO_SUCH_JUNCTION.
    """
    nodes, names, models = _tables(circuit)
    lines = [f"* {circuit.name}"]
    for e in circuit.elements:
        if isinstance(e, Source):
            lines.append(f"* source {e.kind} {e.group}".rstrip())
        lines.append(f"b{names[e.name]} {nodes[e.p]} {nodes[e.m]} {models[e.ic, e.c, e.r_sub]}"
                     if isinstance(e, Junction) else _common_line(e, nodes, names))
    lines += [_model(model, values) for values, model in models.items()]
    lines += [] if temperature_k is None else [f".temp {temperature_k!r}", ".neb 1t"]
    lines.append(f".tran {step_s!r} {stop_s!r} 0 {step_s!r}")
    return "\n".join([*lines, *(f".print p(b{names[j]})" for j in _chosen(circuit, junctions)), ".end", ""])


def _model(model: str, values: tuple[float, float, float]) -> str:
    """A junction's model line; one without resistance is of rtype 0."""
    ic, c, r_sub = values
    if r_sub == float("inf"):
        return f".model {model} jj(rtype=0, cap={c!r}, icrit={ic!r})"
    return (f".model {model} jj(rtype=1, vg={GAP_V!r}, cap={c!r}, r0={r_sub!r}, rn={r_sub / GAP_RATIO!r}, "
            f"icrit={ic!r})")


def read_josim(text: str, name: str = "") -> Circuit:
    """The circuit of a deck of ``josim_deck``, with the names of the deck. Of JoSIM it knows what that writes: flat
    decks of B, R, L, K lines, I lines from node 0 with pwl, and models by icrit, cap and r0.

    Raises:
        DataError: BAD_DECK.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    models = dict(_read_model(line) for line in lines if line.lower().startswith(".model"))
    made: list[Element] = []
    about = ("bias", "")
    for k, line in enumerate(lines):
        words = line.split()
        if words[:2] == ["*", "source"]:
            about = (words[2], words[3] if len(words) > 3 else "")
        elif line[0] not in "*.":
            try:
                made.append(_read_element(line, words, models, about))
            except (ValueError, KeyError, IndexError) as e:
                raise DataError(f"cannot read: {line}", where=name or f"line {k + 1}", code="BAD_DECK",
                                fix="only decks in the form that josim_deck writes can be read") from e
    title = lines[0][1:].strip() if lines and lines[0][0] == "*" else ""
    return Circuit(name or title, tuple(made))


def _number(word: str) -> float:
    """A number with SPICE's suffixes."""
    found = re.fullmatch(r"([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)(meg|[fpnumkgt]?)", word.lower())
    if found is None:
        raise ValueError(word)
    return float(found[1]) * SUFFIXES[found[2]]


def _read_model(line: str) -> tuple[str, tuple[float, float, float]]:
    """Model name and (ic, c, r_sub)."""
    found = re.fullmatch(r"\.model\s+(\w+)\s+jj\((.*)\)", line.lower())
    if found is None:
        raise DataError(f"cannot read: {line}", code="BAD_DECK", fix="write .model NAME jj(icrit=..., cap=..., r0=...)")
    fields = dict(re.findall(r"(\w+)\s*=\s*([^,\s]+)", found[2]))
    r_sub = float("inf") if fields.get("rtype") == "0" else _number(fields["r0"])
    return found[1], (_number(fields["icrit"]), _number(fields["cap"]), r_sub)


def _read_element(line: str, words: list[str], models: dict[str, tuple[float, float, float]],
                  about: tuple[str, str]) -> Element:
    """One element line."""
    letter, name = words[0][0].lower(), words[0][1:]
    if letter == "i":
        found = re.fullmatch(r"\S+\s+0\s+(\S+)\s+pwl\((.*)\)", line, re.IGNORECASE)
        if found is None:
            raise ValueError(line)
        values = [_number(word) for word in found[2].replace(",", " ").split()]
        return Source(name, found[1], tuple(zip(values[::2], values[1::2], strict=True)), *about)
    _, a, b, last = words
    if letter == "b":
        return Junction(name, a, b, *models[last.lower()])
    if letter == "k":
        return Coupling(name, a[1:], b[1:], _number(last))
    kinds: dict[str, type[Resistor | Inductor]] = {"r": Resistor, "l": Inductor}
    return kinds[letter](name, a, b, _number(last))
