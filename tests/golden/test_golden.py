"""Whole objects as text against stored files."""

from __future__ import annotations

import pytest
from random_networks import random_network, random_stimulus

import hwsdk
from hwsdk import backends
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.lower import Lower

SEEDS = (5, 21)


@pytest.mark.parametrize("seed", SEEDS)
def test_network_and_lowering(seed, golden):
    network = random_network(seed, Semantics(), f"n{seed}")
    lowered = Lower()(network)
    golden(f"network_{seed}.txt", network.to_text())
    golden(f"lowered_{seed}.txt", f"{lowered.to_text()}{lowered.ledger.to_text()}\n")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("target", backends.names())
def test_program_trace_and_cost(seed, target, golden):
    network = random_network(seed, Semantics(), f"n{seed}")
    program = hwsdk.compile(network, target)
    trace = hwsdk.simulate(program, random_stimulus(network, seed))
    golden(f"{target}/program_{seed}.txt", program.to_text() + program.losses)
    golden(f"{target}/trace_{seed}.txt", trace.to_text())
    golden(f"{target}/cost_{seed}.txt", hwsdk.estimate(program, trace).to_text())


@pytest.mark.parametrize("target", backends.names())
def test_description(target, golden):
    golden(f"{target}/target.txt", backends.get(target).target.to_text())
