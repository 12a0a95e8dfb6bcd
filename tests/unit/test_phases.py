"""Lowering for chips that learn, and for chips that compute a step in phases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwsdk.errors import UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import LIF, CubaLIF, DiscreteLIF, Threshold
from hwsdk.ir.nodes import Scale
from hwsdk.ir.plastic import PairSTDP, Plasticity, PlasticSynapses
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.phases import Phases, phases_of, timed

RULE = PairSTDP(tau_plus=4.0, tau_minus=5.0, a_plus=2.0, a_minus=1.5, w_min=0.5, w_max=10.0)
SEM = Semantics(integrator="exponential")


def lif(n: int = 2, **more: Any) -> LIF:
    return neuron(LIF, n, **{"tau": 4.0, "v_threshold": 1.0, **more})


def chain(delay: int = 0, loop: int | None = 1) -> Network:
    """in -> a -> b -> c, and back from c to a."""
    b = NetworkBuilder().input("in", 2).population("a", lif()).population("b", lif()).population("c", lif())
    for source, target in (("in", "a"), ("a", "b"), ("b", "c")):
        b.connect(source, target, weight=np.ones((2, 2)), delay_ticks=delay)
    if loop is not None:
        b.connect("c", "a", weight=np.ones((2, 2)), delay_ticks=loop)
    return b.output("o", "c").build(SEM)


def learning(population: Any = None, sem: Semantics = SEM, delay: int = 0, output: bool = False,
             rule: Plasticity = RULE, plain: int | None = None) -> Network:
    """in -> a, and a projection that learns from a to b, which hears the input too."""
    b = NetworkBuilder().input("in", 2).population("a", lif()).population("b", population or lif())
    b.connect("in", "a", weight=np.ones((2, 2)), delay_ticks=delay)
    b.connect("in", "b", weight=np.ones((2, 2)), delay_ticks=delay)
    b.connect("a", "b", weight=np.full((2, 2), 2.0), delay_ticks=3, plasticity=rule)
    if plain is not None:
        b.connect("a", "b", weight=np.ones((2, 2)), delay_ticks=plain, name="plain")
    return b.output("o", "a->b" if output else "b").build(sem)


def refused(network: Network, timing: str = "pipelined") -> UnsupportedError:
    with pytest.raises(UnsupportedError) as caught:
        timed(network, timing)
    assert caught.value.fix
    return caught.value


def test_phases_follow_the_connections_without_delay() -> None:
    lowered, phases = timed(chain(), "phased")
    assert phases == Phases(4, {"in": 0, "a": 1, "b": 2, "c": 3})
    assert phases.to_text() == "4 phase(s) a step\n  0: in\n  1: a\n  2: b\n  3: c\n"
    assert not any(lowered.lag.values())
    assert [e.text for e in lowered.ledger.entries if e.code == "PHASED"] == ["4 phase(s) a step, as asked"]
    assert phases_of(Lower(min_delay=0)(chain(1))).count == 1
    mixed = chain(0, None).replace(edges=tuple(replace(e, delay_ticks=int(e.target == "a->b")) for e in
                                               chain(0, None).edges))
    assert phases_of(Lower(min_delay=0)(mixed)).of == {"in": 0, "a": 1, "b": 0, "c": 1}


def test_auto_is_a_pipeline_where_loops_allow_it() -> None:
    lowered, phases = timed(chain(loop=3))
    assert (phases.count, dict(phases.of)) == (1, {"in": 0, "a": 0, "b": 0, "c": 0})
    assert lowered.lag["c"] == 3
    lowered, phases = timed(chain(loop=2))
    assert (phases.count, lowered.lag["c"]) == (4, 0)
    (note,) = [e.text for e in lowered.ledger.entries if e.code == "PHASED"]
    assert note.startswith("4 phase(s) a step, since the loop")
    assert refused(chain(loop=2)).code == "LOOP_TOO_SHORT"
    assert refused(chain(), "soon").code == "BAD_TIMING"


def test_what_learns_takes_the_gain_and_keeps_its_delay() -> None:
    network = learning(lif(r=0.25))
    lowered = Lower(plastic=True)(network)
    gain = 0.25 * (1 - np.exp(-0.25))
    cell, node = lowered.nodes["b"], lowered.nodes["a->b"]
    assert isinstance(cell, DiscreteLIF)
    assert isinstance(node, PlasticSynapses)
    assert isinstance(node.rule, PairSTDP)
    assert cell.gain == pytest.approx(gain)
    assert node.weight == pytest.approx(2 * gain)
    assert node.delay_ticks.tolist() == [3] * 4
    assert node.rule == PairSTDP(4.0, 5.0, *(x * cell.gain[0] for x in (2.0, 1.5, 0.5, 10.0)))
    assert lowered.lag == {"a": 1, "b": 1, "o": 1}
    assert [e.node for e in lowered.ledger.entries if e.code == "LATE_LEARNING"] == ["a->b"]
    assert lowered.is_discrete
    assert not lowered.is_single


def test_gain_counts_dirac_pulses_and_says_nothing_about_size() -> None:
    cell = Lower()(chain(loop=3).replace(semantics=Semantics(dt=0.5, pulse="dirac"))).populations["a"]
    assert isinstance(cell, DiscreteLIF)
    assert cell.gain.tolist() == [0.125 / 0.5] * 2  # type: ignore[union-attr]
    assert cell.parameters() == replace(cell, gain=None).parameters()
    once = Lower()(chain(1, 3))
    assert Lower()(once).populations["a"].gain.tolist() == once.populations["a"].gain.tolist()  # type: ignore[attr-defined]


def test_a_connection_beside_one_that_learns_keeps_its_own_name() -> None:
    b = NetworkBuilder().input("in", 2).population("a", lif())
    b.connect("in", "a", weight=np.full((2, 2), 2.0), plasticity=RULE)
    network = b.connect("in", "a", weight=np.eye(2), delay_ticks=1, name="w").build(SEM)
    edges = [e for e in network.edges if "w" not in (e.source, e.target)]
    direct = network.replace(nodes={n: x for n, x in network.nodes.items() if n != "w"},
                             edges=(*edges, Edge("in", "a", 1)))
    assert {n for n in Lower(plastic=True)(direct).nodes if "->" in n} == {"in->a", "in->a_"}


def test_both_ends_must_be_late_by_the_same() -> None:
    error = refused(learning(plain=0))
    assert (error.code, error.where) == ("PLASTIC_LAG", "a->b")
    lowered, phases = timed(learning(plain=0))
    assert dict(phases.of) == {"in": 0, "a": 1, "b": 2}
    assert isinstance(lowered.nodes["a->b"], PlasticSynapses)
    b = NetworkBuilder().input("in", 2).population("a", lif()).population("b", lif())
    b.connect("in", "a", weight=np.ones((2, 2))).connect("a", "b", weight=np.ones((2, 2)))
    network = b.connect("in", "b", weight=np.ones((2, 2)), plasticity=RULE).build(SEM)
    assert refused(network).code == "PLASTIC_LAG"
    assert timed(network)[1].count == 3


REFUSALS = {
    "gains": (lambda: learning(lif(r=np.array([1.0, 2.0]))), "PLASTIC_GAIN"),
    "negative gain": (lambda: learning(lif(r=-1.0)), "PLASTIC_GAIN"),
    "no gain": (lambda: learning(lif(r=0.0)), "PLASTIC_GAIN"),
    "order": (lambda: learning(neuron(CubaLIF, 2, tau_syn=2.0, tau_mem=3.0, v_threshold=1.0),
                               SEM.with_(order="simultaneous")), "PLASTIC_ORDER"),
    "output": (lambda: learning(output=True), "PLASTIC_OUTPUT"),
    "another rule": (lambda: learning(rule=Other()), "PLASTICITY"),
}


class Other(Plasticity):
    """A rule that no chip has."""


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case: str) -> None:
    make, code = REFUSALS[case]
    error = refused(make())
    assert error.code == code, str(error)
    assert error.where == "a->b"


def test_a_threshold_learns_too() -> None:
    cell = Lower(plastic=True)(learning(neuron(Threshold, 2, threshold=1.0))).populations["b"]
    assert cell.gain.tolist() == [1.0, 1.0]  # type: ignore[attr-defined]


def test_a_factor_before_the_population_is_in_the_weights_not_in_the_gain() -> None:
    b = NetworkBuilder().input("in", 2).add("f", Scale(np.array([2.0, 3.0]))).population("a", lif(r=0.5))
    cell = Lower()(b.connect("in", "f").connect("f", "a").build(SEM)).populations["a"]
    assert cell.gain == pytest.approx(0.5 * (1 - np.exp(-0.25)))  # type: ignore[attr-defined]
