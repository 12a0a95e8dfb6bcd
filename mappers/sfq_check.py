"""sfq_check: does a netlist do what its network says? Derived from its cells and nets alone, with none of the builder.

A pulse at input k of a counter is worth 2^k, so what a rail (the output of a line's last DFF, or of the NOT beside it)
is worth to a neuron is the sum over all its ways to the counter. From that and the times at which lines are clocked
come weights and delays; what frame, init and spike pulses are worth gives biases, thresholds and resets. Somas tell by
the parts of their branches.
"""

from __future__ import annotations

import numpy as np

from hwsdk.errors import InternalError
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import Output
from hwsdk.mappers.sfq_check_counters import check_counters
from hwsdk.mappers.sfq_check_lines import Lines, lines_of
from hwsdk.mappers.sfq_check_loops import check_loops
from hwsdk.mappers.sfq_check_wanted import wanted_of
from hwsdk.mappers.sfq_walk import require_pins, ways
from hwsdk.programs.sfq import PulseNetlist

CONVERTER = "SFQDC"
"""The cell that brings spikes out of the chip."""


def check(network: Network, netlist: PulseNetlist) -> None:
    """Hold a netlist against the quantised network that it was made of.

    Raises:
        InternalError: they differ; names the first cell and synapse.
    """
    _check_ports(network, netlist)
    require_pins(netlist)
    lines, wanted = lines_of(netlist, ways(netlist)), wanted_of(network)
    _check_read_out(network, lines)
    check_counters(network, lines, wanted)
    check_loops(network, lines, wanted)


def _check_read_out(network: Network, x: Lines) -> None:
    """Where there are converters at all, each neuron that an output reads leads to one."""
    names = [t.name for t in x.netlist.types]
    if CONVERTER not in names:
        return
    w = x.ways.where(x.netlist.arrays.cell_type[x.ways.cell] == names.index(CONVERTER))
    ends = np.bincount(w.origin, minlength=x.netlist.n_cells)
    read = {s for n in network.of(Output) for s in (e.source for e in network.sources(n)) if s in network.populations}
    due = np.zeros(x.netlist.n_cells, np.int64)
    due[x.starter] = np.concatenate([np.full(c.n, n in read) for n, c in network.populations.items()])
    if len(wrong := np.flatnonzero(ends != due)):
        raise InternalError(f"{x.name(wrong[0])} leads to {ends[wrong[0]]} {CONVERTER} cells, not {due[wrong[0]]}")


def _check_ports(network: Network, netlist: PulseNetlist) -> None:
    """Inputs, layers and outputs must be those of the network, in its order."""
    for what, got, due in (("input", netlist.inputs, network.inputs), ("layer", netlist.layers, network.populations)):
        found = [(x.name, x.shape) for x in got]
        if found != [(n, network.shapes[n]) for n in due]:
            raise InternalError(f"the netlist's {what}s are {found}, not those of the network: {', '.join(due)}")
    for layer in netlist.layers:
        if layer.lag != network.lag.get(layer.name, 0):
            raise InternalError(f"{layer.name} lags by {layer.lag} frames, not by {network.lag.get(layer.name, 0)}")
    for name in network.of(Output):
        read = {e.source for e in network.sources(name) if e.source in network.populations}
        if read != set(netlist.outputs.get(name, ())):
            raise InternalError(f"the output {name} reads {sorted(netlist.outputs.get(name, ()))}, not {sorted(read)}")
    a = netlist.arrays
    neurons, elements = sum(x.n for x in netlist.layers), sum(x.n for x in netlist.inputs)
    sizes = (len(a.spike_net), len(a.bit_ptr) - 1, len(a.v_zero), len(a.input_source))
    if sizes != (neurons, neurons, neurons, elements):
        raise InternalError(f"{sizes} spike nets, counters, zeros and input sources for {neurons} neurons and "
                            f"{elements} inputs")
