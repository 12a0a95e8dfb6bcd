"""Whole objects as text against stored files."""

from __future__ import annotations

import hashlib

import pytest
from pulse_networks import pulse_network
from random_networks import random_network, random_stimulus

import hwsdk
from hwsdk import backends
from hwsdk.errors import UnsupportedError
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.lower import Lower

SEEDS = (5, 21)
MOST_LINES = 400


def shortened(text):
    """A long text by its beginning and its digest."""
    lines = text.splitlines(keepends=True)
    rest = f"... {len(lines)} lines in all, sha256 {hashlib.sha256(text.encode()).hexdigest()}\n"
    return text if len(lines) <= MOST_LINES else "".join(lines[:MOST_LINES]) + rest


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
    try:
        program = hwsdk.compile(network, target)
    except UnsupportedError:  # this target takes no leak and no readouts, say
        network = pulse_network(seed)
        program = hwsdk.compile(network, target)
    trace = hwsdk.simulate(program, random_stimulus(network, seed))
    golden(f"{target}/program_{seed}.txt", shortened(program.to_text()) + program.losses)
    golden(f"{target}/trace_{seed}.txt", trace.to_text())
    golden(f"{target}/cost_{seed}.txt", hwsdk.estimate(program, trace).to_text())


@pytest.mark.parametrize("target", backends.names())
def test_description(target, golden):
    golden(f"{target}/target.txt", backends.get(target).target.to_text())
