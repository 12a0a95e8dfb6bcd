"""Names of a PulseNetlist's cells, nets and ports in files of other tools, and what its cells take at a given bias."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.programs.sfq import PulseNetlist

VERILOG_WORDS = re.compile(
    "accept_on|alias|always|always_comb|always_ff|always_latch|and|assert|assign|assume|automatic|before|begin|bind|"
    "bins|binsof|bit|break|buf|bufif0|bufif1|byte|case|casex|casez|cell|chandle|checker|class|clocking|cmos|config|"
    "const|constraint|context|continue|cover|covergroup|coverpoint|cross|deassign|default|defparam|design|disable|"
    "dist|do|edge|else|end|endcase|endchecker|endclass|endclocking|endconfig|endfunction|endgenerate|endgroup|"
    "endinterface|endmodule|endpackage|endprimitive|endprogram|endproperty|endspecify|endsequence|endtable|endtask|"
    "enum|event|eventually|expect|export|extends|extern|final|first_match|for|force|foreach|forever|fork|forkjoin|"
    "function|generate|genvar|global|highz0|highz1|if|iff|ifnone|ignore_bins|illegal_bins|implements|implies|import|"
    "incdir|include|initial|inout|input|inside|instance|int|integer|interconnect|interface|intersect|join|join_any|"
    "join_none|large|let|liblist|library|local|localparam|logic|longint|macromodule|matches|medium|modport|module|"
    "nand|negedge|nettype|new|nexttime|nmos|nor|noshowcancelled|not|notif0|notif1|null|or|output|package|packed|"
    "parameter|pmos|posedge|primitive|priority|program|property|protected|pull0|pull1|pulldown|pullup|"
    "pulsestyle_ondetect|pulsestyle_onevent|pure|rand|randc|randcase|randsequence|rcmos|real|realtime|ref|reg|"
    "reject_on|release|repeat|restrict|return|rnmos|rpmos|rtran|rtranif0|rtranif1|s_always|s_eventually|s_nexttime|"
    "s_until|s_until_with|scalared|sequence|shortint|shortreal|showcancelled|signed|small|soft|solve|specify|"
    "specparam|static|string|strong|strong0|strong1|struct|super|supply0|supply1|sync_accept_on|sync_reject_on|"
    "table|tagged|task|this|throughout|time|timeprecision|timeunit|tran|tranif0|tranif1|tri|tri0|tri1|triand|trior|"
    "trireg|type|typedef|union|unique|unique0|unsigned|until|until_with|untyped|use|uwire|var|vectored|virtual|void|"
    "wait|wait_order|wand|weak|weak0|weak1|while|wildcard|wire|with|within|wor|xnor|xor")
"""Words of SystemVerilog (IEEE 1800-2017, annex B)."""


def plain(text: str) -> str:
    """Letters, digits and underscores, not beginning with a digit, and no word of Verilog."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    return f"n_{name}" if not name or name[0].isdigit() or VERILOG_WORDS.fullmatch(name) else name


def distinct(texts: Iterable[str]) -> dict[str, str]:
    """Text -> a plain name that no other one has."""
    found: dict[str, str] = {}
    for text in texts:
        name, k = plain(text), 2
        while name in found.values():
            name, k = f"{plain(text)}_{k}", k + 1
        found[text] = name
    return found


def scales(program: PulseNetlist, bias: Mapping[str, float] | None) -> NDArray[np.float64]:
    """(groups): the factor on the bias current of each group; 1 where ``bias`` does not name it.

    Raises:
        UnsupportedError: NO_SUCH_GROUP.
    """
    for name in bias or {}:
        if name not in program.groups:
            raise UnsupportedError(f"there is no bias line {name!r}", where=program.name, code="NO_SUCH_GROUP",
                                   fix=f"use one of {', '.join(program.groups)}")
    return np.array([(bias or {}).get(g, 1.0) for g in program.groups])


class Names:
    """How the parts of one program are called. Nets that come from a SRC cell or end, as spikes, in a SINK cell are
    ports; the SRC cell, or the SINK cell, then stands outside and has no instance.
    """

    def __init__(self, program: PulseNetlist, bias: Mapping[str, float] | None = None) -> None:
        self.program, self.k = program, scales(program, bias)

    @cached_property
    def cells(self) -> list[str]:
        """Of each cell."""
        return [plain(self.program.cell_name(c)) for c in range(self.program.n_cells)]

    @cached_property
    def top(self) -> str:
        """Of the network as a module."""
        name = plain(self.program.name)
        return f"{name}_network" if name in {t.name for t in self.program.types} | {"tb"} else name

    @cached_property
    def sources(self) -> dict[int, str]:
        """SRC cell -> port."""
        p, a = self.program, self.program.arrays
        found: dict[int, str] = {}
        elements, called = iter(a.input_source.tolist()), distinct(port.name for port in p.inputs)
        for port in p.inputs:
            found |= {next(elements): f"in_{called[port.name]}_{i}" for i in range(port.n)}
        for word, cells in (("clk", a.frame_source.tolist()), ("init", a.init_source.tolist())):
            found |= {c: word if len(cells) == 1 else f"{word}_{i}" for i, c in enumerate(cells)}
        others = {c for c in range(p.n_cells) if not p.types[a.cell_type[c]].inputs} - set(found)
        return found | {c: self.cells[c] for c in sorted(others)}

    @cached_property
    def spikes(self) -> list[tuple[str, int, int]]:
        """(layer, neuron, spike net) of every neuron of every layer, in order."""
        nets = iter(self.program.arrays.spike_net.tolist())
        return [(layer.name, i, next(nets)) for layer in self.program.layers for i in range(layer.n)]

    @cached_property
    def sinks(self) -> dict[int, str]:
        """SINK cell -> port, where a spike net ends in one."""
        a, types = self.program.arrays, self.program.types
        ends = {net: int(a.to_cell[net]) for _, _, net in self.spikes}
        called = distinct(layer.name for layer in self.program.layers)
        return {ends[net]: f"spike_{called[layer]}_{i}" for layer, i, net in self.spikes
                if not types[a.cell_type[ends[net]]].outputs and int(a.from_cell[net]) not in self.sources}

    @cached_property
    def nets(self) -> list[str]:
        """Of each net: its port, else the pin that drives it."""
        p, a = self.program, self.program.arrays
        rows = zip(a.from_cell.tolist(), a.from_pin.tolist(), a.to_cell.tolist(), strict=True)
        kind = a.cell_type.tolist()
        return [self.sources.get(c) or self.sinks.get(to) or f"{self.cells[c]}_{p.types[kind[c]].outputs[pin]}"
                for c, pin, to in rows]

    @cached_property
    def fed(self) -> NDArray[np.int64]:
        """(input pins): the net of each, -1 for none; pins are numbered as in PulseNetlist.input_base."""
        p, a = self.program, self.program.arrays
        net = np.full(int(p.input_base[-1]), -1, np.int64)
        net[p.input_base[a.to_cell] + a.to_pin] = np.arange(p.n_nets)
        return net

    def inside(self) -> list[int]:
        """Cells that are no ports, in order."""
        outside = self.sources.keys() | self.sinks.keys()
        return [c for c in range(self.program.n_cells) if c not in outside]

    @cached_property
    def delays(self) -> list[int | None]:
        """(cells): fs from the input that fires to the output at the given bias; None: dead."""
        p, a = self.program, self.program.arrays
        table = {(t, g): p.types[t].delay_at(float(self.k[g])) for t, g in
                 set(zip(a.cell_type.tolist(), a.cell_group.tolist(), strict=True))}
        return [table[t, g] for t, g in zip(a.cell_type.tolist(), a.cell_group.tolist(), strict=True)]
