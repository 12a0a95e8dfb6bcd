"""Random crossbar programs: where a chip is deterministic, the simulator is the reference on ``network_of``, bit for
bit; where it is not, or not linear, it is the plain twin.
"""

from __future__ import annotations

import numpy as np
from crossbar_programs import NOISE, random_data, random_program
from crossbar_twin import Twin
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwsdk.ir.crossbar import Converter, Device, Wires
from hwsdk.simulators import memristor, reference
from hwsdk.simulators.memristor_decode import network_of
from hwsdk.simulators.memristor_log import KINDS

SEEN = {"spikes": 0, "clips": 0, "values": 0, "skipped": 0}
seeds = st.integers(0, 2**31)
converters = st.builds(Converter, st.just(8), st.sampled_from([0.0, 0.8]), st.sampled_from([0.0, 0.05]))
ohms = st.sampled_from([0.0, 0.5, 20.0])
wires = st.builds(Wires, st.just("driven"), ohms, ohms, st.sampled_from([0.0, 50.0]), st.sampled_from([0.0, 50.0]),
                  st.sampled_from(["selected", "all"]))
stages = st.lists(st.sampled_from(["adc", "wires"]), unique=True).map(tuple)
few = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
many = settings(few, max_examples=300)


@many
@given(seeds, converters, wires, stages, st.sampled_from([1, None]), st.integers(1, 2))
def test_simulator_is_the_reference_on_what_it_decodes_to(seed, adc, ohm, on, dac_bits, threads):
    program = random_program(seed, adc=adc, wires=ohm, stages=on, dac_bits=dac_bits)
    data = random_data(program, seed, graded=0 if dac_bits else 3)
    expected = reference.run(network_of(program), data, probes="all")
    got = memristor.run(program, data, probes="all", threads=threads)
    assert expected.states.keys() == got.states.keys()
    assert expected.spikes.keys() == got.spikes.keys()
    assert expected.first_difference(got) is None
    SEEN["spikes"] += expected.n_spikes()
    SEEN["clips"] += int(got.counts["adc_clips"].sum())
    SEEN["values"] += "v" in expected.spikes and len(expected.spikes["v"])
    SEEN["skipped"] += int(got.counts["phases_skipped"].sum())


def test_they_were_not_trivial():
    assert min(SEEN.values()) > 1000, SEEN


@few
@given(seeds, converters, st.sampled_from(["driven", "driven", "gated"]), st.sampled_from(["selected", "all"]),
       st.lists(st.sampled_from(["adc", "wires", "read"]), unique=True).map(tuple), st.sampled_from([1, 2, 3, None]))
def test_simulator_is_the_plain_twin(seed, adc, topology, conducting, on, dac_bits):
    dac_bits = 1 if topology == "gated" else dac_bits
    program = random_program(seed, adc=adc, wires=Wires(topology, 30.0, 20.0, 100.0, 50.0, conducting), stages=on,
                             dac_bits=dac_bits, device=Device(read=NOISE))
    data = random_data(program, seed, steps=5, graded=0 if topology == "gated" else 9)
    chip = memristor.chip_of(program)
    twin, got = Twin(chip, data), chip.run(data, probes="all")
    near = {"rtol": 1e-4, "atol": 1e-5} if chip.models[0].forms is not None else {"rtol": 1e-7, "atol": 1e-9}
    for p in program.populations:
        np.testing.assert_allclose(got.states[p.name, "u"], twin.u[p.name], **near)
        np.testing.assert_allclose(got.states[p.name, "v"], twin.v[p.name], **near)
        if p.cell.fires:
            np.testing.assert_array_equal(got.spikes[p.name].dense(), twin.spikes[p.name])
    for name, expected in twin.counts.items():
        np.testing.assert_allclose(got.counts[name], expected, rtol=1e-7, err_msg=name)
    np.testing.assert_allclose(got.counts["step_seconds"], twin.macros.max(2))
    np.testing.assert_allclose(got.counts["macro_seconds"], twin.macros.sum(1))
    same_log(program, data, got)


def same_log(program, data, trace):
    """The events add up to the counts."""
    for sample in range(trace.n_samples):
        log = memristor.event_log(program, data, sample)
        for kind, count in KINDS.items():
            by_step = np.bincount(log["step"], log["amount"] * (log["kind"] == kind), trace.n_steps)
            np.testing.assert_array_equal(by_step, trace.counts[count][sample], kind)
        driven = log["kind"] == "drive"
        np.testing.assert_array_equal(np.bincount(log["step"], driven, trace.n_steps), trace.counts["phases"][sample])
        np.testing.assert_allclose(np.bincount(log["step"], log["joules"], trace.n_steps),
                                   trace.counts["array_joules"][sample], rtol=1e-9)
