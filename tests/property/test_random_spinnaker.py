"""Random networks on SpiNNaker 2 chips, also on small ones: what the PEs do from their images, keys and routing tables
is what the reference does with the network in the chip's numbers, in every spike and every state. And no tick is late
while no more neurons spike than the mapper allows.
"""

from __future__ import annotations

import re

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import random_conv_network, random_network, random_stimulus
from spinnaker_small import MEMORY, SmallChip, small_backend
from test_random_single import random_learning, without_first_step

from hwsdk.backends.base import CompileOptions
from hwsdk.errors import FitError, UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import LIF
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.spinnaker import PACKINGS
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.simulators import reference

COUNTS = {"equal": 0, "many PEs": 0, "many chips": 0, "phased": 0, "refused": 0, "learned": 0, "held": 0,
          "shared": 0}
REFUSALS = {"LOOP_TOO_SHORT", "UNSTABLE_DECAY", "BIAS_DIVERGES", "LATE_RESET", "PLASTIC_LAG", "VALUE_RANGE",
            "DELAY_RANGE"}
seeds = st.integers(0, 2**31)
kinds = st.sampled_from(["any", "any", "any", "conv", "learning"])
timings = st.sampled_from(["auto", "pipelined", "phased"])
packings = st.sampled_from(PACKINGS)
chips = st.builds(SmallChip, neurons=st.sampled_from([3, 5, 8, 40, 1024]), pes=st.sampled_from([4, 12, 148]),
                  data=st.sampled_from([1200, 2500, MEMORY, MEMORY]), chips=st.sampled_from([1, 2, 7, 48]))
few = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
many = settings(few, max_examples=220)


def network_of(kind: str, seed: int) -> Network:
    return {"any": random_network, "conv": random_conv_network, "learning": random_learning}[kind](seed)


def equal_or_refused(kind: str, seed: int, timing: str, packing: str, chip: SmallChip) -> SpinnakerProgram | None:
    """Compile and compare; None if it does not fit so small a chip."""
    network, backend = network_of(kind, seed), small_backend(chip)
    options = CompileOptions(chips=chip.chips, packing=packing, target_options={"timing": timing, "record": "all"})
    try:
        _, whole, _ = backend.discrete(network, options)
        program = backend.compile(network, options, lambda _: None)
    except UnsupportedError as error:
        assert error.code in REFUSALS, error
        return None
    except FitError as error:
        assert error.violations
        assert all(v.need > v.limit for v in error.violations), error
        return None
    data = random_stimulus(network, seed, steps=30 if kind == "learning" else 14)
    data = without_first_step(data) if kind == "learning" else data
    expected = reference.run(whole, data, probes="all")
    got = backend.simulate(program, data, probes="all", strict=True)
    assert expected.states.keys() == got.states.keys()
    assert expected.first_difference(got) is None
    return program


@many
@given(kinds, seeds, timings, packings, chips)
def test_chips_compute_what_the_reference_computes(kind, seed, timing, packing, chip):
    program = equal_or_refused(kind, seed, timing, packing, chip)
    COUNTS["refused"] += program is None
    if program is not None:
        COUNTS["equal"] += 1
        COUNTS["learned"] += kind == "learning"
        COUNTS["many PEs"] += program.n_pes > 6
        COUNTS["many chips"] += program.chips > 1
        COUNTS["phased"] += program.phases > 1


def test_the_random_networks_were_of_every_kind():
    assert COUNTS["equal"] >= 150, COUNTS
    for name, least in (("many PEs", 50), ("many chips", 20), ("phased", 25), ("learned", 8)):
        assert COUNTS[name] >= least, COUNTS


def restless(seed: int, awake: dict[str, np.ndarray] | None = None) -> Network:
    """Dense populations. Those that are awake spike in every step whatever comes in; the others never do, since all
    weights are below 0.
    """
    rng = np.random.default_rng(seed)
    sizes = {"in": int(rng.integers(1, 30))} | {f"p{k}": int(rng.integers(40, 260)) for k in range(rng.integers(1, 4))}
    b = NetworkBuilder("restless").input("in", sizes["in"])
    for name in list(sizes)[1:]:
        leak = np.where(np.ones(sizes[name], bool) if awake is None else awake[name], 1e6, 0.0)
        b.population(name, neuron(LIF, sizes[name], tau=20.0, v_threshold=1.0, v_leak=leak))
    for target in list(sizes)[1:]:
        for source in sizes:
            if (source, target) == ("in", "p0") or rng.random() < 0.7:
                weight = -rng.uniform(0.5, 1.0, (sizes[target], sizes[source]))
                b.connect(source, target, weight=weight, delay_ticks=int(rng.integers(1, 9)))
    return b.build(Semantics())


def told_share(program: SpinnakerProgram) -> float:
    """Up to which share of spiking neurons no PE overruns its tick."""
    (entry,) = [e for e in program.ledger.entries if e.code in ("TICK_HELD", "TICK_SHARE")]
    share = re.search(r"at most ([\d.]+)%", entry.text)
    return float(share[1]) / 100 if share else 1.0


def evenly(program: SpinnakerProgram, share: float) -> dict[str, np.ndarray]:
    """Of every slice of a sender that share, rounded down."""
    a, found = program.arrays, {s.name: np.zeros(s.n, bool) for s in program.senders}
    for s, sender in enumerate(a.slice_sender):
        own = a.neuron[a.neuron_ptr[s] : a.neuron_ptr[s + 1]]
        found[program.senders[sender].name][own[: int(share * len(own))]] = True
    return found


@few
@given(seeds, st.sampled_from([5, 20, 148]), st.sampled_from([1e-4, 3e-4, 1e-3]), st.sampled_from(["layer", "dense"]))
def test_no_tick_is_late_while_no_more_neurons_spike_than_is_told(seed, pes, step_time, packing):
    backend, options = small_backend(SmallChip(pes=pes)), CompileOptions(step_time=step_time, packing=packing)
    try:
        program = backend.compile(restless(seed), options, lambda _: None)
    except FitError:
        return
    share = told_share(program)
    awake = evenly(program, share)
    quiet = backend.compile(restless(seed, awake), options, lambda _: None)
    for name in ("slice_sender", "neuron_ptr", "pe_core", "router_key"):
        np.testing.assert_array_equal(getattr(quiet.arrays, name), getattr(program.arrays, name))
    inputs = np.broadcast_to(awake["in"], (1, 12, len(awake["in"]))).astype(int)
    trace = backend.simulate(quiet, Stimulus.dense({"in": inputs}, {"in": (len(awake["in"]),)}))
    assert trace.counts["spikes"].sum() >= sum(awake[n].sum() for n in awake if n != "in") * 8
    for name in ("late_ticks", "lost_ticks", "late_packets", "dropped_packets"):
        assert not trace.counts[name].sum(), name
    COUNTS["held" if share == 1 else "shared"] += 1


def test_shares_were_told_of_both_kinds():
    assert COUNTS["held"] >= 5, COUNTS
    assert COUNTS["shared"] >= 5, COUNTS
