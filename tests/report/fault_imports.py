"""Models that were read wrongly, and the spikes of the right ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from fault_networks import Case, NoFaultError, first_layer, layered, layers, linears, some_network

from hwsdk.backends.base import CompileOptions
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import IF
from hwsdk.ir.nodes import Linear
from hwsdk.ir.trace import Trace
from hwsdk.simulators import reference


def outputs_only(network: Network, trace: Trace) -> Trace:
    """What a framework recorded that shows only its last layer."""
    return replace(trace, spikes={layers(network)[-1]: trace.spikes[layers(network)[-1]]}, states={})


def imported(rng: np.random.Generator, name: str, right: Network, wrong: Network, data: Stimulus, stage: str,
             causes: tuple[str, ...], layer: str | None) -> Case:
    """A model that was read wrongly, and the spikes of the right one: all, or for some kinds the outputs alone."""
    good, bad = reference.run(right, data), reference.run(wrong, data)
    shown = first_layer(right, good, bad, data.n_steps)
    hidden = (rng.random() < 0.25 and stage == "dt") or (causes[0] in ("reset", "comparison") and rng.random() < 0.25)
    seen = outputs_only(right, good) if hidden else good
    if hidden and layers(right)[-1] in bad.spikes and seen.first_difference(bad, [layers(right)[-1]]) is None:
        raise NoFaultError
    target = str(rng.choice(["loihi2", "spinnaker2"]))
    if right.semantics.reset == "subtract" or wrong.semantics.reset == "subtract":
        target = "spinnaker2"
    return Case(name, wrong, target, data, CompileOptions(), (stage,), layer or shown, causes, replace(seen, states={}))


def wrong_dt(rng: np.random.Generator) -> Case:
    right, data = some_network(rng)
    factor = float(rng.choice([0.5, 2.0, 0.2, 5.0, 0.1]))
    wrong = right.replace(semantics=right.semantics.with_(dt=right.semantics.dt * factor))
    return imported(rng, f"dt x {factor}", right, wrong, data, "dt", ("dt",), None)


def wrong_reset(rng: np.random.Generator) -> Case:
    net, data = some_network(rng)
    pair = [net.replace(semantics=net.semantics.with_(reset=r)) for r in ("value", "subtract")]
    right, wrong = pair if rng.integers(2) else pair[::-1]
    return imported(rng, "reset", right, wrong, data, "import", ("reset",), None)


def wrong_comparison(rng: np.random.Generator) -> Case:
    """Whole weights and thresholds without leak, so that ties happen."""
    net, data = layered(rng, (12, 14, 5), kind=IF)
    nodes = {n: replace(x, weight=np.rint(x.weight * 3)) if isinstance(x, Linear) else replace(
        x, v_threshold=x.v_threshold * 3) if isinstance(x, IF) else x for n, x in net.nodes.items()}
    pair = [net.replace(nodes=nodes, semantics=net.semantics.with_(comparison=c)) for c in (">", ">=")]
    right, wrong = pair if rng.integers(2) else pair[::-1]
    return imported(rng, "comparison", right, wrong, data, "import", ("comparison",), None)


def scaled_weights(rng: np.random.Generator, everywhere: bool) -> Case:
    right, data = some_network(rng)
    own = layers(right) if everywhere else [str(rng.choice(layers(right)))]
    factor = float(np.exp(rng.uniform(np.log(1.2), np.log(4.0)) * rng.choice([-1, 1])))
    nodes = dict(right.nodes)
    for n in own:
        for f in linears(right, n):
            nodes[f] = replace(nodes[f], weight=nodes[f].weight * factor)
    wrong = right.replace(nodes=nodes)
    return imported(rng, f"weights of {'all' if everywhere else own[0]} x {factor:.2f}", right, wrong, data, "import",
                    ("weights", "threshold"), None if everywhere else own[0])


def wrong_threshold(rng: np.random.Generator) -> Case:
    right, data = some_network(rng)
    own = str(rng.choice(layers(right)))
    factor = float(np.exp(rng.uniform(np.log(1.2), np.log(3.0)) * rng.choice([-1, 1])))
    cell = right.nodes[own]
    wrong = right.replace(nodes=dict(right.nodes) | {own: replace(cell, v_threshold=cell.v_threshold * factor)})
    return imported(rng, f"threshold of {own} x {factor:.2f}", right, wrong, data, "import", ("threshold", "weights"),
                    own)


def lost_bias(rng: np.random.Generator) -> Case:
    right, data = some_network(rng, bias=True)
    own = str(rng.choice(layers(right)))
    (linear,) = (f for f in linears(right, own) if right.nodes[f].bias is not None)
    wrong = right.replace(nodes=dict(right.nodes) | {linear: replace(right.nodes[linear], bias=None)})
    return imported(rng, f"bias of {own} lost", right, wrong, data, "import", ("bias",), own)


def cut_delays(rng: np.random.Generator) -> Case:
    """Delays of one layer cut to the longest that something holds, or rounded to even steps."""
    right, data = layered(rng, (10, 10, 5), delays=6)
    own = str(rng.choice(layers(right)))
    (name,) = linears(right, own)
    node = right.nodes[name]
    ticks = np.minimum(node.delay_ticks, 3) if rng.integers(2) else node.delay_ticks // 2 * 2
    wrong = right.replace(nodes=dict(right.nodes) | {name: replace(node, delay_ticks=ticks.astype(np.int64))})
    return imported(rng, f"delays of {own} rounded or cut", right, wrong, data, "import", ("delays", "delay"), own)


def late_layer(rng: np.random.Generator) -> Case:
    """All connections into a layer take some steps more than they should, or fewer."""
    right, data = some_network(rng)
    own, more = str(rng.choice(layers(right))), int(rng.integers(1, 4))
    later = right.replace(edges=tuple(
        replace(e, delay_ticks=e.delay_ticks + more) if e.target == own else e for e in right.edges))
    right, wrong = (right, later) if rng.integers(2) else (later, right)
    return imported(rng, f"{own} {more} steps off", right, wrong, data, "import", ("delay",), own)
