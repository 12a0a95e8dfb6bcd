"""Does the model as it was loaded do what is expected, and if not, which other reading of it would?

Where the expected trace has all layers, each layer is driven with the expected spikes of those before it, so that only
layers that are wrong themselves differ; every hypothesis is then tried on all layers at once. With outputs alone the
whole network runs for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import is_spiking
from hwsdk.ir.nodes import Synapses
from hwsdk.ir.trace import Trace
from hwsdk.report import diagnose_edits as edits
from hwsdk.report.diagnose_edits import Edit, tried
from hwsdk.report.diagnose_networks import can_force, forced_run
from hwsdk.report.diagnose_score import changes, differing, layers_of, spiking_of

Say = Callable[[str], None]
Shares = dict[str, float]
SLIGHT = 0.02
"""Share of a layer's spikes below which a difference may be float32 against float64."""
PRICE = {"weights": 0.004, "threshold": 0.005, "delay": 0.003, "bias": 0.03, "delays": 0.04}
"""What a hypothesis with a number of its own must explain more than one of the semantics, in shares of spikes."""
LIKELY = {"dt": 0, "reset": 1, "comparison": 2}
"""Which of several readings that explain as much is named first."""
GAIN = 0.6
"""A hypothesis counts if it leaves less than this of what differs."""
WIDEST, HALVINGS = 10.0, 14
"""A lost bias is looked for within so many usual weights, by halving the range so often."""
FINER = 8
"""Times that it is made finer then, each neuron by itself."""
SPAN, GRID = 20.0, 61
"""A dt is looked for up to so many times longer and shorter, on so many places."""
RANKED = 8
"""Hypotheses that are told."""
MOST_SENDERS = 64
"""Senders of a projection whose single delays are tried."""
ROUNDS = 3
MOVES = (1, -1, 2, -2, 3, -3)
"""Steps by which single delays may have been rounded or cut."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Another reading of the model. kind: what is changed, as in Edit, or "bias" (a constant input is missing) or
    "delays" (single delays differ). text: as people read it. layer: where, None for the whole model. before, after:
    share of spikes that differ from the expected ones without and with it, mean over the layers.
    """

    kind: str
    text: str
    layer: str | None
    before: float
    after: float

    @property
    def exact(self) -> bool:
        """Does it give every expected spike?"""
        return self.after == 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"kind": self.kind, "text": self.text, "layer": self.layer, "differs_before": self.before,
                "differs_after": self.after, "exact": self.exact}


@dataclass(frozen=True, slots=True, eq=False)
class ImportCheck:
    """What came of it. shares: layer -> share of its spikes that differ by its own doing (of the run as a whole, where
    only outputs are expected). ranked: the best hypotheses, best first. network: the model with the best, or as it was.
    explained: the hypotheses that together explain most; () where nothing does, or nothing is wrong. shown: the layer
    in which the run of the model as it was loaded first differs from that of ``network``.
    """

    shares: Mapping[str, float]
    own: bool
    explained: tuple[Hypothesis, ...]
    ranked: tuple[Hypothesis, ...]
    network: Network
    shown: str | None = None

    @property
    def alike(self) -> tuple[Hypothesis, ...]:
        """Other readings that explain as much as the best."""
        best = self.explained[0] if self.explained else None
        return tuple(h for h in self.ranked if best is not None and h is not best and h.after == best.after)

    @property
    def wrong(self) -> bool:
        """Is the import to blame for something?"""
        worst = max(self.shares.values(), default=0.0)
        exact = any(h.exact for h in self.explained)
        return worst > SLIGHT or (worst > 0 and exact)


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """Where hypotheses are tried."""

    data: Stimulus
    expected: Trace
    names: tuple[str, ...]
    own: bool

    def shares(self, network: Network, run: Trace | None = None) -> Shares:
        """Layer -> share of spikes that differ."""
        if run is None:
            run = self.run(network)
        return {c.layer: c.share for c in changes(network, self.expected, run, self.data.n_steps, self.names)}

    def run(self, network: Network, offsets: Mapping[str, NDArray[np.float64]] | None = None) -> Trace:
        """Layer by layer where all are expected, else the whole."""
        from hwsdk.simulators import reference

        return forced_run(network, self.data, self.expected, offsets) if self.own else reference.run(network, self.data)


def bench_of(network: Network, data: Stimulus, expected: Trace) -> Bench:
    """What of the expected trace can be compared."""
    names = layers_of(network, expected)
    spiking = spiking_of(network, tuple(network.populations))
    own = can_force(network) and set(spiking) <= set(names)
    if not names:  # only outputs, under their own names
        names = tuple(n for n in network.outputs if n in expected.spikes)
    return Bench(data, expected, names, own)


def check_import(network: Network, data: Stimulus, expected: Trace, say: Say) -> ImportCheck:
    """Compare, and look for what explains the difference."""
    bench = bench_of(network, data, expected)
    base = bench.shares(network)
    if not any(base.values()):
        return ImportCheck(base, bench.own, (), (), network)
    found: list[Hypothesis] = []
    ranked: list[Hypothesis] = []
    current, shares = network, base
    for _ in range(ROUNDS):
        tries = _all_tries(bench, current, shares, say)
        tries.sort(key=lambda t: (round(t[0].after + PRICE.get(t[0].kind, 0.0), 9), LIKELY.get(t[0].kind, len(LIKELY))))
        ranked = ranked or [h for h, _ in tries if h.after < h.before][:RANKED]
        if not tries or tries[0][0].after + PRICE.get(tries[0][0].kind, 0.0) / 4 > GAIN * _mean(shares):
            break
        best, changed = tries[0]
        found.append(best)
        if changed is None or best.exact:
            current = current if changed is None else changed
            break
        current, shares = changed, bench.shares(changed)
        if _mean(shares) < SLIGHT / 2:
            break
    return ImportCheck(base, bench.own, tuple(found), tuple(ranked), current)


def _mean(shares: Mapping[str, float]) -> float:
    return float(np.mean(list(shares.values()) or [0.0]))


Try = tuple[Hypothesis, "Network | None"]


def _all_tries(bench: Bench, network: Network, shares: Shares, say: Say) -> list[Try]:
    """Every hypothesis, cheap ones first; finer ones only if none of those is exact."""
    tries: list[Try] = []
    for edit in edits.semantic_edits(network):
        say(f"expected trace with {edit}")
        tries += _global(bench, network, shares, edit)
    if any(h.exact for h, _ in tries):
        return tries
    tries += _finer_steps(bench, network, shares)
    for kind, values in (("weights", edits.FACTORS), ("threshold", edits.FACTORS), ("delay", edits.SHIFTS)):
        say(f"expected trace with other {kind}")
        tries += _numbers(bench, network, shares, kind, values)
    if bench.own and not any(h.exact for h, _ in tries):
        say("expected trace with other biases and delays")
        for layer in [n for n, s in shares.items() if s > 0]:
            tries += _bias(bench, network, shares, layer)
        best = min((h.after for h, _ in tries), default=1.0)
        if best > GAIN / 4 * _mean(shares):
            tries += [t for layer, s in shares.items() if s > 0 for t in _delays(bench, network, shares, layer)]
    return tries


def _global(bench: Bench, network: Network, shares: Shares, edit: Edit) -> list[Try]:
    """An edit of the whole network."""
    changed = tried(network, edit)
    if changed is None:
        return []
    after = bench.shares(changed)
    return [(Hypothesis(edit.kind, str(edit), None, _mean(shares), _mean(after)), changed)]


def _finer_steps(bench: Bench, network: Network, shares: Shares) -> list[Try]:
    """A dt between the usual ones."""
    def total(dt: float) -> float:
        """What differs with it."""
        changed = tried(network, Edit("dt", dt))
        return 1.0 if changed is None else _mean(bench.shares(changed))

    own = network.semantics.dt
    best = _refined(total, [own * float(f) for f in np.geomspace(1 / SPAN, SPAN, GRID)], "dt")
    return _global(bench, network, shares, Edit("dt", float(best)))


def _numbers(bench: Bench, network: Network, shares: Shares, kind: str, values: Iterable[Any]) -> list[Try]:
    """A number that belongs to all layers, or to one: the best of each, with finer factors round it."""
    seen: dict[float, Shares] = {}

    def look(value: Any) -> Shares:
        """Shares of every layer with the edit everywhere, once."""
        if value not in seen:
            changed = tried(network, Edit(kind, value))
            seen[value] = dict.fromkeys(shares, 1.0) if changed is None else bench.shares(changed)
        return seen[value]

    for value in values:
        look(value)
    found: list[Try] = []
    populations = [n for n in network.populations if n in shares]
    scopes: list[tuple[str, ...]] = [()] + [(n,) for n in populations if shares[n] > 0]
    if not bench.own:
        return _whole_runs(bench, network, shares, kind, values)
    for scope in scopes:
        def total(value: Any, scope: tuple[str, ...] = scope) -> float:
            """Of all layers, with the edit in the scope."""
            own = look(value)
            return float(np.mean([own[n] if not scope or n in scope else shares[n] for n in shares]))

        best = _refined(total, list(seen), kind)
        if len(populations) == 1 and not scope:
            continue
        found += _tried(network, Edit(kind, best, scope), _mean(shares), total(best))
    return found


def _tried(network: Network, edit: Edit, before: float, after: float) -> list[Try]:
    """An edit with the shares that differ before and after it; nothing where it cannot be made."""
    changed = tried(network, edit)
    scope = edit.layers[0] if edit.layers else None
    return [] if changed is None else [(Hypothesis(edit.kind, str(edit), scope, before, after), changed)]


def _whole_runs(bench: Bench, network: Network, shares: Shares, kind: str, values: Iterable[Any]) -> list[Try]:
    """With outputs alone: every scope by itself."""
    found: list[Try] = []
    layers = list(network.populations)
    values = list(values)[:: 1 if len(layers) <= 2 else 3]  # finer ones are looked for between them
    for scope in [(), *((n,) for n in layers)] if len(layers) > 1 else [(layers[0],)]:
        def total(value: Any, scope: tuple[str, ...] = scope) -> float:
            """Of the outputs."""
            changed = tried(network, Edit(kind, value, scope))
            return 1.0 if changed is None else _mean(bench.shares(changed))

        best = _refined(total, values, kind)
        found += _tried(network, Edit(kind, best, scope), _mean(shares), total(best))
    return found


def _refined(total: Callable[[Any], float], values: list[Any], kind: str) -> Any:
    """The value with the least difference; between two factors a finer one."""
    scores = {v: total(v) for v in values}
    best = min(scores, key=lambda v: (scores[v], abs(np.log(abs(v)))))
    if kind == "delay" or scores[best] == 0:
        return best
    ordered = sorted(values)
    at = ordered.index(best)
    low, high = ordered[max(at - 1, 0)], ordered[min(at + 1, len(ordered) - 1)]
    for _ in range(3):
        finer = np.geomspace(low, high, 7)[1:-1]
        scores |= {float(v): total(float(v)) for v in finer}
        best = min(scores, key=lambda v: scores[v])
        step = (high / low) ** (1 / 6)
        low, high = best / step, best * step
        if scores[best] == 0:
            break
    return best


def _bias(bench: Bench, network: Network, shares: Shares, layer: str) -> list[Try]:
    """A constant input of each neuron of one layer, as if its bias had been lost."""
    cell = network.populations[layer]
    if not is_spiking(cell) or layer not in bench.names:
        return []
    steps, size = bench.data.n_steps, _drive(network, layer)
    wanted = bench.expected.aligned(layer, steps)
    many = wanted.counts().sum(axis=0)
    least = differing(wanted, bench.run(network).aligned(layer, steps))
    chosen, low = np.zeros(cell.n), np.full(cell.n, -WIDEST * size)
    high = -low
    for _ in range(HALVINGS):  # more input, more spikes
        middle = (low + high) / 2
        got = bench.run(network, {layer: middle}).aligned(layer, steps)
        off, few = differing(wanted, got), got.counts().sum(axis=0) < many
        chosen, least = np.where(off < least, middle, chosen), np.minimum(off, least)
        low, high = np.where(few, middle, low), np.where(few, high, middle)
    step = np.maximum(np.abs(chosen) * 0.25, size / 64)
    for k in range(FINER):
        for sign in (1, -1):
            other = chosen + sign * step / 2 ** (k // 2)
            off = differing(wanted, bench.run(network, {layer: other}).aligned(layer, steps))
            chosen, least = np.where(off < least, other, chosen), np.minimum(off, least)
    if not chosen.any():
        return []
    after = bench.shares(network, bench.run(network, {layer: chosen}))
    text = f"a bias of {layer} that is missing or wrong ({int((chosen != 0).sum())} of {cell.n} neurons)"
    return [(Hypothesis("bias", text, layer, _mean(shares), _mean(after)), None)]


def _drive(network: Network, layer: str) -> float:
    """A usual size of what one spike adds to a neuron's input."""
    weights = [np.asarray(network.nodes[f].weight, np.float64) for f in edits.feeders(network, layer)]  # type: ignore[attr-defined]
    values = np.concatenate([np.zeros(0), *(w[w != 0].ravel() for w in weights)])
    return float(np.sqrt(np.mean(values**2))) if len(values) else 1.0


def _delays(bench: Bench, network: Network, shares: Shares, layer: str) -> list[Try]:
    """Other delays of single synapses: those that were cut or rounded. One sender after another, each neuron by itself,
    twice, as the first pass still has the errors of the senders that it has not come to.
    """
    steps = bench.data.n_steps
    wanted = bench.expected.aligned(layer, steps)
    least = differing(wanted, bench.run(network).aligned(layer, steps))
    start = float(least.sum())
    for name in edits.timed_nodes(network, layer) * 2:
        node = network.nodes[name]
        if isinstance(node, Synapses) and network.targets(name)[0].target == layer and least.any() and \
                len(np.unique(node.source)) <= MOST_SENDERS:
            network, least = _retimed(bench, network, layer, name, least)
    if float(least.sum()) >= start:
        return []
    after = bench.shares(network)
    return [(Hypothesis("delays", f"delays of single synapses into {layer} that were rounded or cut", layer,
                        _mean(shares), _mean(after)), network)]


def _retimed(bench: Bench, network: Network, layer: str, name: str, least: NDArray[np.float64],
             ) -> tuple[Network, NDArray[np.float64]]:
    """One pass over the senders of a projection: (the network with the better delays, what still differs)."""
    steps, node = bench.data.n_steps, network.nodes[name]
    assert isinstance(node, Synapses)  # noqa: S101
    wanted = bench.expected.aligned(layer, steps)
    for source in np.unique(node.source):
        for k in MOVES:
            ticks = np.maximum(node.delay_ticks + k * (node.source == source), 0)
            moved = network.replace(nodes=dict(network.nodes) | {name: edits.with_ticks(node, ticks)})
            off = differing(wanted, bench.run(moved).aligned(layer, steps))
            better = off < least
            if better.any():
                least = np.minimum(off, least)
                node = replace(node, delay_ticks=np.where(better[node.target], ticks, node.delay_ticks))
                network = network.replace(nodes=dict(network.nodes) | {name: node})
    return network, least
