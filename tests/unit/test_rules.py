"""What a target cannot run, and what it says about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwsdk.errors import UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.fixed import FixedATRLIF, FixedGraded, FixedLIF, FixedNeuron, FixedRF, FixedSigmaDelta
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import ConvSynapses, Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers import rules
from hwsdk.targets import load_target

LIF: dict[str, Any] = {"du": 4095, "dv": 0, "vth": 10}
ATRLIF: dict[str, Any] = {"du": 0, "dv": 0, "dtheta": 0, "dr": 0, "vth": 5, "theta_step": 1}
RF: dict[str, Any] = {"sin": 100, "cos": 4000, "vth": 50}


def network(cell: FixedNeuron) -> Network:
    builder = NetworkBuilder("n").input("in", 2).population("p", cell)
    weight = np.full((int(np.prod(cell.in_shape)), 2), 2)
    return builder.connect("in", "p", weight=weight).output("out", "p").build(Semantics())


def refusal(net: Network, target: str) -> str:
    with pytest.raises(UnsupportedError) as caught:
        rules.require(net, load_target(target))
    return str(caught.value)


@pytest.mark.parametrize(("cell", "name"), [
    (neuron(FixedATRLIF, 2, **ATRLIF), "FixedATRLIF neurons (atrlif)"),
    (neuron(FixedRF, 2, **RF), "FixedRF neurons (rf)"),
    (neuron(FixedRF, 2, izhikevich=True, **RF), "FixedRF neurons (rf_iz)"),
    (neuron(FixedSigmaDelta, 2, vth=1), "FixedSigmaDelta neurons (sigma_delta)"),
    (neuron(FixedSigmaDelta, 2, vth=1, encodes=True), "FixedSigmaDelta neurons (delta)"),
    (neuron(FixedGraded, 2, vth=1), "FixedGraded neurons (graded)"),
    (neuron(FixedGraded, 2, vth=1, relu=True), "FixedGraded neurons (graded_relu)")])
def test_only_loihi2_is_programmable(cell: FixedNeuron, name: str) -> None:
    rules.require(network(cell), load_target("loihi2"))
    assert refusal(network(cell), "loihi1") == (
        f"[NEURON_MODEL] p: {name}; loihi1 has lif only\n"
        "  fix: compile for loihi2, whose neurons are programmable, or use plain LIF")


def test_options_of_lif_on_loihi1() -> None:
    rules.require(network(neuron(FixedLIF, 2, refractory=63, **LIF)), load_target("loihi1"))
    assert refusal(network(neuron(FixedLIF, 2, refractory=[1, 64], **LIF)), "loihi1") == (
        "[REFRACTORY_RANGE] p: refractory for 64 steps, loihi1 takes 0 to 63\n"
        "  fix: shorten the refractory period, or use a longer step")
    rules.require(network(neuron(FixedLIF, 2, refractory=5000, **LIF)), load_target("loihi2"))
    assert refusal(network(neuron(FixedLIF, 2, refractory=-1, **LIF)), "loihi2").startswith(
        "[REFRACTORY_RANGE] p: a refractory period of -1 steps")
    assert refusal(network(neuron(FixedLIF, 2, reset_interval=8, **LIF)), "loihi1").startswith(
        "[PERIODIC_RESET] p: a reset every 8 steps, which loihi1 does not have")
    assert refusal(network(neuron(FixedLIF, 2, reset="subtract", reset_by=640, **LIF)), "loihi1").startswith(
        "[RESET_KIND] p: reset=subtract, loihi1 has only reset=value")


@pytest.mark.parametrize(("interval", "codes"), [(0, []), (16, []), (12, ["RESET_INTERVAL"])])
def test_a_reset_interval_that_the_hardware_does_not_like_is_a_warning(interval: int, codes: list[str]) -> None:
    net = network(neuron(FixedLIF, 2, reset_interval=interval, **LIF))
    rules.require(net, load_target("loihi2"))
    assert [e.code for e in rules.notes(net).entries] == codes


@pytest.mark.parametrize(("cell", "text"), [
    (neuron(FixedLIF, 2, **LIF | {"vth": 1 << 17}), "vth is 131072 to 131072, the register holds 0 to 131071"),
    (neuron(FixedLIF, 2, bias_exp=8, **LIF), "bias_exp is 8 to 8"),
    (neuron(FixedATRLIF, 2, **ATRLIF | {"dr": 4097}), "dr is 4097 to 4097, the register holds 0 to 4096"),
    (neuron(FixedATRLIF, 2, **ATRLIF | {"theta_step": -1}), "theta_step is -1 to -1"),
    (neuron(FixedRF, 2, **RF | {"cos": 4097}), "cos is 4097 to 4097, the register holds -4096 to 4096"),
    (neuron(FixedRF, 2, re_init=1 << 23, **RF), "re_init is 8388608"),
    (neuron(FixedSigmaDelta, 2, vth=1 << 20, spike_exp=4), "theta is 16777216 to 16777216"),
    (neuron(FixedSigmaDelta, 2, vth=1, bias=-(1 << 23)), "bias is -8388608")])
def test_registers_of_every_model(cell: FixedNeuron, text: str) -> None:
    assert refusal(network(cell), "loihi2").startswith(f"[REGISTER_RANGE] p: {text}")


def test_weights_and_delays_of_synapses_and_kernels() -> None:
    plain = network(neuron(FixedLIF, 2, **LIF))
    kernel = (NetworkBuilder("k").input("in", (2, 5)).population("p", neuron(FixedLIF, (3, 3), **LIF))
              .convolve("in", "p", np.full((3, 2, 3), 4)).output("out", "p").build(Semantics()))
    for net in (plain, kernel):
        node = net.nodes["in->p"]
        assert isinstance(node, Synapses | ConvSynapses)
        rules.require(net, load_target("loihi1"))
        for change, text in (({"weight": node.weight * 200}, "[WEIGHT_RANGE] in->p: excitatory weights of "),
                             ({"sign_mode": "mixed", "weight": node.weight - 1}, "[WEIGHT_RANGE] in->p: mixed weights"),
                             ({"delay_ticks": node.delay_ticks + 64}, "[DELAY_RANGE] in->p: synaptic delays of 65 to"),
                             ({"delay_ticks": node.delay_ticks - 1}, "[DELAY_RANGE] in->p: synaptic delays of 0 to 0")):
            broken = net.replace(nodes={**net.nodes, "in->p": replace(node, **change)})
            assert refusal(broken, "loihi2").startswith(text)


def test_values_of_graded_spikes_have_32_bits() -> None:
    (entry,) = rules.notes(network(neuron(FixedGraded, 2, vth=1))).entries
    assert (entry.kind, entry.node, entry.code) == ("assumed", "p", "GRADED_RANGE")


def test_every_violation_is_in_the_message() -> None:
    net = network(neuron(FixedLIF, 2, bias_exp=8, reset_interval=3, **LIF))
    text = refusal(net, "loihi1")
    assert "PERIODIC_RESET" in text
    assert "bias_exp is 8 to 8" in text
