"""quantize_pulse: DiscreteLIF floats -> DiscreteLIF in the numbers of pulse logic, with a report of what was lost.

A population of style "counter" comes out in whole numbers, one of style "loop" in A; see quantize_counter and
quantize_loop. All projections come out as Synapses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.ir.expand import explicit
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.nodes import ConvSynapses, Node, Synapses
from hwsdk.mappers import pulse_rules as rules
from hwsdk.mappers import quantize_counter as counter
from hwsdk.mappers import quantize_loop as loop
from hwsdk.mappers.loop_form import LoopForm, loop_taus
from hwsdk.mappers.maps import refuse_if_large
from hwsdk.mappers.pulse_margins import Margin, margins
from hwsdk.mappers.pulse_rules import choose_styles as choose_styles
from hwsdk.mappers.quantize_counter import Fan
from hwsdk.mappers.quantize_gap import EARLY, LATE
from hwsdk.mappers.quantize_loop import LoopDesign
from hwsdk.mappers.quantize_weights import n_synapses

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PulseLoss:
    """What quantisation cost one population.

    scale, bound (n): units of the chip per unit of the model; by how much, in units of the model, the sum of a step can
    be off, for any spikes. bits: with sign, of the largest weight; 0 for a loop. error: largest |w - w_chip / scale|.
    lost_weights: non-zero weights that became zero. reach: largest sum of |weights| into a neuron, in units of the
    chip. branches: of all somas; threshold_a, bias_a, tau_fs: smallest and largest; decay: what a neuron without memory
    keeps all the same.
    """

    layer: str
    style: str
    synapses: int
    scale: Array
    bound: Array
    bits: int
    error: float
    lost_weights: int
    reach: float
    branches: int = 0
    threshold_a: tuple[float, float] = (0.0, 0.0)
    bias_a: tuple[float, float] = (0.0, 0.0)
    tau_fs: tuple[float, float] = (0.0, 0.0)
    decay: float = 0.0

    @property
    def exact(self) -> bool:
        """True if no weight was rounded by more than what counts as whole."""
        return self.style == "counter" and bool((self.error * self.scale <= 2 * counter.ON_GRID).all())

    def to_text(self) -> str:
        """One line."""
        head = f"{self.layer:20} {self.style} scale {float(np.median(self.scale)):<10.4g}"
        if self.style == "counter":
            lost = "exact" if self.exact else f"weights off by at most {self.error:.3g}, sums by {self.bound.max():.3g}"
            return f"{head} weights {self.bits} bit, {lost}, {self.lost_weights} lost; sums up to {self.reach:g}"
        kept = f", {self.decay:.2%} kept by neurons without memory" if self.decay else ""
        return (f"{head} A a unit, {self.branches} branches for {self.synapses} synapses, weights off by at most "
                f"{self.error:.3g}, sums by {self.bound.max():.3g}; threshold {_span(self.threshold_a, 1e6)} uA, bias "
                f"{_span(self.bias_a, 1e6)} uA, tau {_span(self.tau_fs, 1e-3)} ps{kept}")


@dataclass(frozen=True, slots=True, eq=False)
class PulseReport:
    """One PulseLoss a population, in causal order; designs: the parts of each population of style "loop"; margins: on
    calibration data, see on_data.
    """

    bits: int
    per_neuron: bool
    layers: tuple[PulseLoss, ...] = ()
    designs: Mapping[str, LoopDesign] = field(default_factory=dict)
    margins: tuple[Margin, ...] = ()

    def on_data(self, before: Network, after: Network, spikes: Mapping[str, Array]) -> PulseReport:
        """The report with the margins of a run of ``before``; arguments as those of pulse_margins.margins."""
        return replace(self, margins=margins(before, after, spikes))

    def to_text(self) -> str:
        """A table, one line a layer."""
        unit = "neuron" if self.per_neuron else "layer"
        head = f"weights of counters rounded to {self.bits} bits, one scale a {unit}"
        rows = [f"  {text}" for text in (*(x.to_text() for x in self.layers), *(x.to_text() for x in self.margins))]
        return "\n".join([head, *rows]) + "\n"


@dataclass(frozen=True, slots=True)
class QuantizePulse:
    """The pass, for networks that ``Lower(min_delay=1)`` made.

    styles: population -> "counter" or "loop", see pulse_rules.choose_styles. bits: of a counter's weights, with their
    sign, 2 to 16. per_neuron: one scale for each neuron of a counter population, or one for all. form: what loops can
    be built with; frame_fs: time of a step, which their leak needs; tau_fs: decay time of loops without memory, None:
    the shortest that every branch can have.
    """

    styles: Mapping[str, str]
    bits: int = 5
    per_neuron: bool = True
    form: LoopForm | None = None
    frame_fs: int | None = None
    tau_fs: int | None = None
    name: str = "quantize_pulse"

    def __call__(self, network: Network) -> tuple[Network, PulseReport]:
        """Quantise a lowered network.

        Raises:
            UnsupportedError: BAD_BITS; what a style cannot do, see pulse_rules; LOOP_..., what no soma can be built
                for; VALUE_RANGE, a number too large for a counter; FRAME_NEEDED; TOO_LARGE, a convolution that would
                have too many synapses.
        """
        self._require(network)
        log, nodes = LedgerWriter(), dict(network.nodes)
        losses: list[PulseLoss] = []
        designs: dict[str, LoopDesign] = {}
        problems: list[rules.Problem] = []
        for name, cell in network.populations.items():
            if not isinstance(cell, DiscreteLIF):
                continue
            into = {e.source: _written_out(e.source, network.nodes[e.source]) for e in network.sources(name)}
            fan = counter.fan_of(list(into.values()), cell.n)
            if self.styles[name] == "counter":
                losses.append(self._counter(name, cell, fan, into, nodes, network.lag.get(name, 0), log))
                continue
            taus = loop_taus(cell, self._form, float(self.frame_fs or 0), self.tau_fs)
            design, wrong = loop.design_loops(name, cell, _without_zeros(fan), self._form, taus,
                                              float(self.frame_fs or 0))
            problems += wrong
            if design is not None:
                designs[name] = design
                losses.append(self._loop(name, cell, fan, into, nodes, design, log))
        rules.refuse(problems)
        done = network.replace(nodes=nodes, ledger=network.ledger + log.done())
        return done, PulseReport(self.bits, self.per_neuron, tuple(losses), designs)

    def _require(self, network: Network) -> None:
        """Options and rules, before anything is computed."""
        low, high = counter.BITS
        if not isinstance(self.bits, int) or not low <= self.bits <= high:
            raise UnsupportedError(f"{self.bits} weight bits; a counter takes {low} to {high}", code="BAD_BITS",
                                   fix=f"choose bits from {low} to {high}")
        rules.require(network, self.styles)
        loops = [n for n in network.populations if self.styles[n] == "loop"]
        if loops and (self.form is None or not self.frame_fs):
            raise UnsupportedError("current loops leak by time; without the time of a frame their resistors cannot be "
                                   "chosen", where=", ".join(loops), code="FRAME_NEEDED",
                                   fix="give the time of a frame")

    @property
    def _form(self) -> LoopForm:
        """What loops can be built with; _require has seen to it."""
        assert self.form is not None  # noqa: S101
        return self.form

    def _counter(self, name: str, cell: DiscreteLIF, fan: Fan, into: dict[str, Synapses], nodes: dict[str, Node],
                 lag: int, log: LedgerWriter) -> PulseLoss:
        """Quantise one counter population with everything that enters it."""
        scale = counter.counter_scales(cell, fan, self.bits, self.per_neuron)
        whole = counter.counter_cell(name, cell, scale, lag)
        nodes[name] = whole
        for source, s in into.items():
            nodes[source] = counter.counter_synapses(s, scale, self.bits)
        each = np.rint(fan.weight * scale[fan.target])
        off = _off(fan, each, scale)
        loss = PulseLoss(
            name, "counter", int((fan.weight != 0).sum()), scale, _bound(fan, off) + counter.ON_GRID / scale,
            int(np.abs(each).max(initial=0)).bit_length() + 1, float(np.abs(off).max(initial=0.0)),
            int(((each == 0) & (fan.weight != 0)).sum()), float(fan.sums(np.abs(each)).max(initial=0.0)))
        log.changed(name, "QUANTISED", "numbers to whole numbers, " + ("exactly" if loss.exact else (
            f"weights to {loss.bits} bits, off by at most {loss.error:.3g}; {loss.lost_weights} became 0")))
        _note_rounding(name, cell, whole, scale, log)
        return loss

    def _loop(self, name: str, cell: DiscreteLIF, fan: Fan, into: dict[str, Synapses], nodes: dict[str, Node],
              design: LoopDesign, log: LedgerWriter) -> PulseLoss:
        """Quantise one loop population with everything that enters it."""
        built = loop.loop_cell(cell, design, self._form, float(self.frame_fs or 0))
        nodes[name] = built
        for i, (source, s) in enumerate(into.items()):
            nodes[source] = _branches(s, design, i)
        used = _without_zeros(fan)
        made = np.zeros(len(used.weight))
        np.add.at(made, _owners(used, design), design.net_a)
        off = _off(used, made, design.scale)
        theta, at = built.v_threshold.ravel() / design.scale, cell.v_threshold.ravel() - loop.at_rest(cell)
        bound = _bound(used, off) + np.where(design.settled, 0.0, np.abs(theta - at))
        free = rules.memoryless(cell)
        loss = PulseLoss(
            name, "loop", len(used.weight), design.scale, bound, 0, float(np.abs(off).max(initial=0.0)), 0,
            float(used.sums(np.abs(made)).max(initial=0.0)), len(design.weight_a), _ends(built.v_threshold),
            _ends(design.bias_a), _ends(design.tau_fs), float(built.decay_v.max()) if free else 0.0)
        _note_loop(name, cell, built, loss, used.sums(np.maximum(made, 0)), log, design)
        return loss


def _written_out(name: str, node: Node) -> Synapses:
    """A projection as synapses."""
    if not isinstance(node, Synapses | ConvSynapses):
        raise UnsupportedError(f"{type(node).__name__} onto a population", where=name, code="NETWORK_FORM",
                               fix="lower the network first")
    if isinstance(node, ConvSynapses):
        refuse_if_large(n_synapses(node), "a convolution that is written out")
    return explicit(node)


def _without_zeros(fan: Fan) -> Fan:
    """Only the synapses that do something."""
    keep = fan.weight != 0
    n = len(fan.ptr) - 1
    ptr = np.r_[0, np.cumsum(np.bincount(fan.target[keep], minlength=n))].astype(np.int64)
    return Fan(fan.weight[keep], fan.target[keep], fan.source[keep], fan.delay_ticks[keep], fan.projection[keep], ptr)


def _branches(s: Synapses, design: LoopDesign, projection: int) -> Synapses:
    """The projection with one synapse a branch."""
    own = np.flatnonzero(design.projection == projection)
    own = own[np.lexsort((design.delay_ticks[own], design.target[own], design.source[own]))]
    return replace(s, source=design.source[own], target=design.target[own], weight=design.net_a[own], shared=None,
                   delay_ticks=design.delay_ticks[own])


def _owners(fan: Fan, design: LoopDesign) -> NDArray[np.int64]:
    """(B): the synapse of each branch."""
    return np.repeat(np.arange(len(fan.weight)), design.times)


def _off(fan: Fan, made: Array, scale: Array) -> Array:
    """By how much each weight is off, in units of the model."""
    return np.asarray(made / scale[fan.target] - fan.weight)


def _bound(fan: Fan, off: Array) -> Array:
    """(n): by how much a sum over any of the synapses can be off."""
    return np.maximum(fan.sums(np.maximum(off, 0)), fan.sums(np.maximum(-off, 0)))


def _ends(x: Array) -> tuple[float, float]:
    """Smallest and largest."""
    return float(x.min()), float(x.max())


def _span(ends: tuple[float, float], factor: float) -> str:
    """Both, or one if they are the same, as text."""
    low, high = (f"{x * factor:.4g}" for x in ends)
    return low if low == high else f"{low} to {high}"


def _note_rounding(name: str, cell: DiscreteLIF, whole: DiscreteLIF, scale: Array, log: LedgerWriter) -> None:
    """What of an IF neuron adds up from step to step."""
    if rules.memoryless(cell):
        return
    s = scale.reshape(cell.shape)
    fields = ["bias", "v_start"] + (["reset_by"] if cell.reset == "subtract" else [])
    off = {f: float(np.abs(getattr(whole, f) / s - getattr(cell, f)).max()) for f in fields}
    text = ", ".join(f"{f} by at most {x:.3g}" for f, x in off.items() if x * s.max() > 2 * counter.ON_GRID)
    if text:
        log.changed(name, "ROUNDED", f"off from the model, every time it acts: {text}")


def _note_loop(name: str, cell: DiscreteLIF, built: DiscreteLIF, loss: PulseLoss, exciting: Array,
               log: LedgerWriter, design: LoopDesign) -> None:
    """What differs from the model."""
    log.changed(name, "QUANTISED", f"weights to inductors, off by at most {loss.error:.3g}; thresholds to bias "
                "currents")
    if settled := int(design.settled.sum()):
        log.changed(name, "THRESHOLD_MOVED", f"{settled} thresholds lie elsewhere between the sums that they part; no "
                    "decision depends on it")
    if narrow := int((design.room < 1).sum()):
        log.warning(name, "NARROW_THRESHOLD", f"{narrow} thresholds are nearer than {EARLY:.0%} above a sum that must "
                    f"not fire, or {LATE:.0%} below one that must; there the circuit may decide otherwise than its "
                    "pulse model")
    if loss.decay:
        log.changed(name, "RESIDUE", f"a neuron without memory keeps up to {loss.decay:.2%} of its current for the "
                    "next frame, that of its reset too")
    else:
        low, high = _ends(built.reset_by.ravel() / loss.scale)
        log.changed(name, "RESET_BY_SUM", f"a spike takes {low:.4g} to {high:.4g} from v, from every branch its own, "
                    f"in place of a reset {'to 0' if cell.reset == 'value' else 'by reset_by'}")
    if (odd := loop.starts_elsewhere(cell)).any():
        log.changed(name, "START", f"{int(odd.sum())} neurons start at rest, not at v_init")
    if (twice := loop.can_fire_twice(built, exciting)).any():
        log.warning(name, "FIRES_TWICE", f"{int(twice.sum())} neurons can be at the threshold or above after a spike, "
                    "if all that excites them comes at once; the soma then fires again in the same frame")
