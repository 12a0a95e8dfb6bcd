"""Networks of current-summing neurons as netlists, put together without the mapper."""

from __future__ import annotations

from sfq_cells_by_hand import cell

from hwsdk.ir.cells import CellType
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.mappers.loop_form import LoopForm, Soma
from hwsdk.mappers.quantize_pulse import PulseReport, QuantizePulse, choose_styles
from hwsdk.mappers.sfq_build import PARTS, Builder
from hwsdk.mappers.sfq_loop import Loop, add_loop
from hwsdk.programs.sfq import Layer, PulseNetlist, Schedule
from hwsdk.programs.stored import Port

NAMES = ("JTL", "SPLIT", "MERGE", "DFF", "NDRO", "NOT", "TFF", "SRC", "SINK")
LEAD = 3640
MOST = 40


class Somas:
    """As a target, with the somas made by hand."""

    def soma(self, fan_in: int) -> CellType:
        return cell(f"SOMA{fan_in}")


def soma(fan_in: int) -> Soma:
    model = Somas().soma(fan_in).soma
    assert model is not None
    return Soma(model, (20e-12, 120e-12), (0.2, 2.0), (80e-6, 160e-6))


FORM = LoopForm(soma, (1, MOST), LEAD)


def loops(network: Network, frame_fs: int) -> tuple[Network, PulseReport]:
    """All populations of a lowered network as loops."""
    return QuantizePulse(choose_styles(network, "loop"), form=FORM, frame_fs=frame_fs)(network)


def netlist(network: Network, report: PulseReport, frame_fs: int) -> tuple[PulseNetlist, dict[str, Loop]]:
    """The cells of a quantised network whose populations are all loops; every launch is at the start of a frame."""
    b = Builder({n: cell(n) for n in NAMES})
    b.enter("clock", "port")
    inputs = {n: [b.cell("SRC") for _ in range(x.shape[0])] for n, x in network.inputs.items()}
    made: dict[str, Loop] = {}
    frames = []
    for name in network.populations:
        sources = [network.sources(e.source)[0].source for e in network.sources(name)]
        made[name] = add_loop(b, Somas(), name, sources, report.designs[name])
        b.enter("clock", "launch")
        frames.append(b.cell("SRC"))
        b.net((frames[-1], 0), made[name].launch)
    spike_net = []
    b.enter("clock", "spike")
    for name in (*network.inputs, *network.populations):
        pins = [(c, 0) for c in inputs[name]] if name in inputs else made[name].spike
        for k, pin in enumerate(pins):
            ends = [s.entry for x in made.values() for line, s in zip(x.lines, x.stored, strict=True)
                    if (line.source, line.element) == (name, k)]
            first = len(b.from_cell)
            if not ends:
                b.sink(pin)
            for end, (leaf, _) in zip(ends, b.split_tree(pin, len(ends)) if ends else [], strict=True):
                b.net(leaf, end)
            spike_net += [first] if name in made else []
    n = len(spike_net)
    types, arrays = b.done(
        input_source=[c for own in inputs.values() for c in own], frame_source=frames,
        frame_offset_fs=[0] * len(frames), init_source=[], spike_net=spike_net, bits=[[]] * n, v_zero=[0] * n)
    late = max(x.spike_fs[2] for x in made.values())
    layers = tuple(Layer(k, c.shape, "loop", made[k].spike_fs[1], network.lag.get(k, 0))
                   for k, c in network.populations.items() if isinstance(c, DiscreteLIF))
    outputs = {k: tuple(e.source for e in network.sources(k)) for k in network.outputs}
    return PulseNetlist(
        network.name, "sfq", "1", "", "", tuple(Port(k, x.shape) for k, x in network.inputs.items()), layers, outputs,
        types, tuple(b.groups), PARTS, Schedule(frame_fs, 0, 0, late), arrays, network.semantics), made
