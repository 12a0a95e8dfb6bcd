"""A PulseNetlist as a directed graph in GraphML and DOT: a node a cell, an edge a net."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from hwsdk.backends.sfq_names import Names
from hwsdk.programs.sfq import PulseNetlist

KEYS = {"node": (("name", "string"), ("type", "string"), ("role", "string"), ("part", "string"), ("group", "string"),
                 ("jj", "int"), ("delay_fs", "long")),
        "edge": (("net", "string"), ("from_pin", "string"), ("to_pin", "string"), ("spike", "string"))}
"""Attributes, and their types in GraphML."""
COLOURS = {"logic": "#cfe3ff", "storage": "#d8d3f5", "neuron": "#ffd6cc", "splitter": "#e6f2d9", "merger": "#fff0c2",
           "wire": "#eeeeee", "port": "#ffffff"}
"""Of DOT's nodes, by role."""


def rows(names: Names) -> Iterator[dict[str, str | int]]:
    """The attributes of every cell; what is not known is left out."""
    p, a = names.program, names.program.arrays
    for c in range(p.n_cells):
        kind, delay = p.types[a.cell_type[c]], names.delays[c]
        row: dict[str, str | int] = {
            "name": names.sources.get(c) or names.sinks.get(c) or names.cells[c], "type": kind.name,
            "role": kind.role, "part": p.parts[a.cell_part[c]], "group": p.groups[a.cell_group[c]], "jj": kind.jj}
        yield row if delay is None or kind.soma is not None or not kind.outputs else row | {"delay_fs": delay}


def links(names: Names) -> Iterator[tuple[int, int, dict[str, str | int]]]:
    """(driving cell, driven cell, attributes) of every net; ``spike`` says whose spikes it carries."""
    p, a = names.program, names.program.arrays
    spikes: dict[int, str] = {}
    for layer, i, net in names.spikes:
        spikes[net] = f"{spikes[net]} {layer}[{i}]" if net in spikes else f"{layer}[{i}]"
    for net in range(p.n_nets):
        start, end = int(a.from_cell[net]), int(a.to_cell[net])
        row: dict[str, str | int] = {
            "net": names.nets[net], "from_pin": p.types[a.cell_type[start]].outputs[a.from_pin[net]],
            "to_pin": p.types[a.cell_type[end]].inputs[a.to_pin[net]]}
        yield start, end, row | ({"spike": spikes[net]} if net in spikes else {})


def graphml(program: PulseNetlist) -> str:
    """GraphML 1.0; cells are n0, n1, ... in the program's order, nets e0, e1, ..."""
    names = Names(program)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">']
    lines += [f'  <key id="{kind}_{n}" for="{kind}" attr.name="{n}" attr.type="{t}"/>'
              for kind, own in KEYS.items() for n, t in own]
    lines += [f'  <graph id={quoteattr(_legal(program.name))} edgedefault="directed">']
    lines += [f'    <node id="n{c}">{_data("node", row)}</node>' for c, row in enumerate(rows(names))]
    lines += [f'    <edge id="e{n}" source="n{start}" target="n{end}">{_data("edge", row)}</edge>'
              for n, (start, end, row) in enumerate(links(names))]
    return "\n".join([*lines, "  </graph>", "</graphml>"]) + "\n"


def _data(kind: str, row: dict[str, str | int]) -> str:
    """The data elements of a node or edge."""
    return "".join(f'<data key="{kind}_{n}">{escape(_legal(str(v)))}</data>' for n, v in row.items())


def _legal(text: str) -> str:
    """XML 1.0 knows no control characters and no surrogates, not even escaped."""
    return "".join(c if c in "\t\n\r" or " " <= c < "\ud800" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "\ufffd"
                   for c in text)


def dot(program: PulseNetlist) -> str:
    """DOT of Graphviz."""
    names = Names(program)
    lines = [f"digraph {_quoted(program.name)} {{", "  rankdir=LR;",
             '  node [shape=box, style=filled, fontname="Helvetica", fontsize=9];',
             '  edge [fontname="Helvetica", fontsize=7, arrowsize=0.5];']
    for c, row in enumerate(rows(names)):
        more: dict[str, str | int] = {"label": f"{row['name']}\n{row['type']}", "fillcolor": COLOURS[str(row["role"])]}
        lines.append(f"  n{c} [{_attributes(row | more)}];")
    for start, end, row in links(names):
        ends: dict[str, str | int] = {"taillabel": row["from_pin"], "headlabel": row["to_pin"]}
        if "spike" in row:
            ends |= {"label": row["spike"], "color": "#c0392b"}
        lines.append(f"  n{start} -> n{end} [{_attributes(row | ends)}];")
    return "\n".join([*lines, "}"]) + "\n"


def _attributes(row: dict[str, str | int]) -> str:
    """A list of attributes."""
    return ", ".join(f"{n}={_quoted(v)}" for n, v in row.items())


def _quoted(value: object) -> str:
    """A string of DOT; Graphviz reads a backslash before n, l and others as more than itself."""
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace("\n", "\\n").replace("\r", "").replace("\0", "") + '"'
