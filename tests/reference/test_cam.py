"""The content-addressable memory against the spikes that SpiNNaker recorded (arXiv:2310.05868, corpus/cam), what single
parts of the learning rule are worth there, and other sequences of operations against a plain dictionary.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cam_memories as memories
import pytest
from cam_memories import BITS, CUES, dictionary, few, network_of
from hypothesis import given

import hwsdk
from examples import cam_memory as cam
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import Synapses, frozen
from hwsdk.ir.plastic import PlasticSynapses
from hwsdk.simulators import reference
from hwsdk.simulators.reference_plastic import PairLearner, PlasticLine


@pytest.fixture(scope="module")
def published(corpus) -> dict[int, dict[str, Any]]:
    """Experiment -> its published table."""
    return {k: memories.table_of(corpus, k) for k in memories.EXPERIMENTS}


def replay(network: Network, table: dict[str, Any]) -> tuple[int, int, int]:
    """(cells, cells that differ, spikes) of a run with the published stimulus."""
    stimulus = memories.stimulus_of(network, table)
    return memories.compared(table, stimulus, reference.run(network, stimulus))


@pytest.mark.parametrize(("experiment", "sizes"), [(1, (71, 295, 100)), (3, (95, 896, 192))])
def test_every_recorded_spike(published, experiment, sizes):
    cells, spikes = memories.EXPERIMENTS[experiment]
    network = network_of(published[experiment])
    learning = sum(network.nodes[n].parameters() for n in (cam.CUE_TO_CONTENT, cam.CONTENT_TO_CUE))
    assert (network.n_neurons, sum(len(n.weight) for n in network.nodes.values() if hasattr(n, "weight")),
            learning) == sizes
    assert replay(network, published[experiment]) == (cells, 0, spikes)


def with_rule(network: Network, **changes: Any) -> Network:
    """The network with other parameters of its rule."""
    nodes = {n: replace(x, rule=replace(x.rule, **changes)) if hasattr(x, "rule") else x
             for n, x in network.nodes.items()}
    return network.replace(nodes=nodes)


def amplitude_times_w_max(network: Network, patch: pytest.MonkeyPatch) -> Network:
    return with_rule(network, a_plus=36.0, a_minus=36.0)


def bound_once_at_the_end(network: Network, patch: pytest.MonkeyPatch) -> Network:
    exact = PairLearner.updated

    def updated(self: PairLearner, weight: float, *at: int) -> float:
        bounds, self.rule = self.rule, replace(self.rule, w_min=0.0, w_max=1e9)
        patch.setattr(PairLearner, "depressed", lambda self, w, y, d:
                      w - self.rule.a_minus * y * self.decay(d, self.rule.tau_minus))
        weight, self.rule = exact(self, weight, *at), bounds
        return min(bounds.w_max, max(bounds.w_min, weight))

    patch.setattr(PairLearner, "updated", updated)
    return network


def depression_after_a_step_only(network: Network, patch: pytest.MonkeyPatch) -> Network:
    exact = PairLearner.depressed
    patch.setattr(PairLearner, "depressed", lambda self, w, y, d: exact(self, w, y, d) if d > 0 else w)
    return network


def no_dendritic_shift(network: Network, patch: pytest.MonkeyPatch) -> Network:
    exact = PairLearner.updated
    patch.setattr(PairLearner, "updated", lambda self, w, i, j, delay, t: exact(self, w, i, j, 0, t))
    return network


def old_weight_delivered(network: Network, patch: pytest.MonkeyPatch) -> Network:
    def send(self: PlasticLine, sample: int, source: int, synapse: int) -> None:
        target, delay = int(self.node.target[synapse]), int(self.node.delay_ticks[synapse])
        old = float(self.weight[sample, synapse])
        self.coming[(self.t + delay) % len(self.coming), sample, target] += old
        self.weight[sample, synapse] = self.learners[sample].updated(old, source, target, delay, self.t)

    patch.setattr(PlasticLine, "_send", send)
    return network


def nearest_neighbours(network: Network, patch: pytest.MonkeyPatch) -> Network:
    patch.setattr(PairLearner, "trace", lambda self, last, t, tau: 1.0)
    return network


def strict_threshold(network: Network, patch: pytest.MonkeyPatch) -> Network:
    return network.replace(semantics=network.semantics.with_(comparison=">"))


@pytest.mark.parametrize(("change", "wrong"), [
    (amplitude_times_w_max, (13, 12)), (bound_once_at_the_end, (3, 0)), (depression_after_a_step_only, (14, 0)),
    (no_dendritic_shift, (22, 12)), (old_weight_delivered, (26, 12)), (nearest_neighbours, (0, 3)),
    (strict_threshold, (0, 0))])
def test_a_changed_rule_gives_other_spikes(published, monkeypatch, change, wrong):
    """The wrong cells of each variant are those that two earlier implementations of it gave."""
    found = tuple(replay(change(network_of(table), monkeypatch), table)[1] for table in published.values())
    assert found == wrong


def ask(operations: list[Any], slot: int) -> list[tuple[set[int], set[int]]]:
    """The answers of the spiking memory."""
    network = cam.cam_network(CUES, BITS)
    trace = reference.run(network, cam.stimulus(network, operations, slot))
    return cam.answers(trace, operations, slot)


@few
@given(memories.sequences)
def test_learning_anew_forgets_at_20_steps_an_operation(operations):
    assert ask(operations, 20) == dictionary(operations)


@few
@given(memories.sequences, memories.several)
def test_what_is_learned_once_is_recalled_at_10_steps_an_operation(operations, several):
    once = memories.learned_once(operations, several)
    assert ask(once, 10) == dictionary(once)


def test_a_chip_that_does_not_learn_recalls_what_was_learned():
    """The weights that the reference ended with, written to Loihi 2: the same spikes from the chip's integers."""
    taught = {0: {0, 1, 8, 9}, 4: {1, 5, 6}, 3: {4, 5, 6}}
    recalls = [cam.recall_cue(cue) for cue in taught]
    network = cam.cam_network(CUES, BITS)
    lessons = [cam.learn(cue, content) for cue, content in taught.items()]
    ended = reference.run(network, cam.stimulus(network, lessons + recalls, 20), probes="all").states
    fixed = {n: Synapses(x.pre_shape, x.post_shape, x.source, x.target, frozen(ended[n, "weight"][0, -1]),
                         x.delay_ticks) for n, x in network.nodes.items() if isinstance(x, PlasticSynapses)}
    frozen_network = network.replace(nodes={**network.nodes, **fixed})
    asked = cam.stimulus(frozen_network, recalls, 20)
    report = hwsdk.verify(frozen_network, "loihi2", asked)
    assert report.ok
    assert report.first_drift is None
    assert cam.answers(reference.run(frozen_network, asked), recalls, 20) == [({c}, x) for c, x in taught.items()]
    with pytest.raises(hwsdk.HwsdkError, match="PLASTICITY"):
        hwsdk.compile(network, "loihi2")


def test_the_story_of_the_example(capsys):
    cam.main()
    shown = capsys.readouterr().out
    for line in ("recall cue 0                     -> cue [0], content [0, 1, 8, 9]",
                 "recall content {0, 4}            -> cue [0, 3], content [0, 4]",
                 "80 ms  recall content {6}               -> cue [4], content [6]",
                 "packing layer  12 PEs, 270 updates of learned weights, every spike as in the model",
                 "packing dense   4 PEs, 270 updates of learned weights, every spike as in the model"):
        assert line in shown
