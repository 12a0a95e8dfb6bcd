"""Random networks on SpiNNaker 2 chips, also on small ones: what the PEs do from their images, keys and routing tables is
what the reference does with the network in the chip's numbers, in every spike and every state.
"""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import random_conv_network, random_network, random_stimulus
from spinnaker_small import MEMORY, SmallChip, small_backend
from test_random_single import random_learning, without_first_step

from hwsdk.backends.base import CompileOptions
from hwsdk.errors import FitError, UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import IF, LIF
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.spinnaker import PACKINGS
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.simulators import reference

COUNTS = {"equal": 0, "many PEs": 0, "many chips": 0, "phased": 0, "refused": 0, "learned": 0, "full": 0}
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
