"""One suite for every backend of the table: a new target is covered without a line here."""

from __future__ import annotations

import shutil
from functools import cache

import numpy as np
import pytest
from pulse_networks import pulse_network
from random_networks import random_network, random_stimulus

import hwsdk
from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.errors import FitError, HwsdkError, UnsupportedError
from hwsdk.hil.devices import open_device
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import LIF
from hwsdk.ir.nodes import Input, Linear, Output
from hwsdk.ir.semantics import Semantics
from hwsdk.simulators import reference
from hwsdk.targets import load_target

pytestmark = pytest.mark.parametrize("name", backends.names())
SEEDS = (5, 8, 11, 21, 34)


@cache
def networks(name):
    """Random networks that a target takes: some have parts that it does not, which it says."""
    made = [random_network(seed, Semantics(), f"n{seed}") for seed in SEEDS] + [pulse_network(seed) for seed in SEEDS]
    taken = [n for n in made if takes(name, n)]
    assert len(taken) >= len(SEEDS) - 1
    return taken[: len(SEEDS)]


def exact(name):
    """Options with which the chip is held to the reference: an analog one without its noise."""
    return CompileOptions(target_options=backends.get(name).exact)


def built(network, name, **options):
    return hwsdk.compile(network, name, target_options=backends.get(name).exact, **options)


def takes(name, network):
    try:
        backends.get(name).discrete(network, exact(name))
    except UnsupportedError as error:
        assert error.fix
        return False
    return True


def test_description_has_a_source_for_every_number(name):
    target = load_target(name)
    figures = [*target.limits.values(), *target.energy, *target.power]
    assert all(f.source for f in figures)
    assert target.to_text() == load_target(name).to_text()


def test_simulator_equals_the_integer_reference(name):
    backend = backends.get(name)
    for network in networks(name):
        _, whole, _ = backend.discrete(network, exact(name))
        program = backend.compile(network, exact(name), lambda _: None)
        data = random_stimulus(network, 1)
        expected = reference.run(whole, data, probes="all")
        got = backend.simulate(program, data, probes="all", strict=False, progress=None)
        assert expected.first_difference(got) is None, network.name


def test_the_firmware_gives_every_spike_and_state_of_the_simulator(name):
    """Written in C from the documents; here as a process of this computer."""
    if shutil.which("cc") is None:
        pytest.skip("the firmware needs a C compiler: apt install gcc libc6-dev")
    with open_device("exec:") as device:
        for network in networks(name)[:3]:
            program, data = built(network, name), random_stimulus(network, 1)
            device.load(program)
            expected = hwsdk.simulate(program, data, probes="all")
            assert expected.first_difference(device.run(data, probes="all"), list(network.populations)) is None


def test_a_saved_program_runs_the_same(name, tmp_path):
    network = networks(name)[0]
    program = built(network, name)
    again = hwsdk.load_program(program.save(tmp_path / "p.hwx"))
    data = random_stimulus(network, 2)
    assert again.digest() == program.digest()
    assert hwsdk.simulate(program, data).first_difference(hwsdk.simulate(again, data)) is None


def test_programs_are_legal_and_used_is_within_available(name):
    backend = backends.get(name)
    for network in networks(name):
        program = built(network, name)
        assert backend.legality(program) == ()
        for resource, usage in backend.summary(program).items():
            assert usage.available is None or usage.used <= usage.available, resource


def test_compiling_is_deterministic_and_text_is_stable(name):
    network = networks(name)[1]
    a, b = built(network, name, seed=4), built(network, name, seed=4)
    assert (a.digest(), a.to_text()) == (b.digest(), b.to_text())


def test_cost_has_a_boundary_and_never_a_silent_zero(name):
    network = networks(name)[0]
    program = built(network, name)
    report = hwsdk.estimate(program, hwsdk.simulate(program, random_stimulus(network, 3)))
    assert report.latency.value > 0
    assert report.included
    assert report.omitted
    assert all(i.count == 0 or i.price is None or i.price.value > 0 for i in report.items)
    assert report.energy_dynamic.value != 0 or report.energy_dynamic.missing


def test_a_run_does_not_depend_on_the_run_before(name):
    network = networks(name)[2]
    program, data = built(network, name), random_stimulus(networks(name)[2], 4)
    first, second = hwsdk.simulate(program, data), hwsdk.simulate(program, data)
    assert first.first_difference(second) is None
    for count in first.counts:
        np.testing.assert_array_equal(first.counts[count], second.counts[count])


def test_step_by_step_is_the_same_as_a_run_or_is_refused(name):
    network = networks(name)[2]
    program, data = built(network, name), random_stimulus(networks(name)[2], 4).one(0)
    try:
        moving = hwsdk.walk(program)
    except UnsupportedError as error:
        assert error.code == "NO_WALK"
        return
    expected = hwsdk.simulate(program, data)
    for t in range(expected.n_steps):
        moving.step({n: (e.at_step(t) if t < e.n_steps else np.zeros(e.n)).ravel() for n, e in data.inputs.items()})
    assert expected.first_difference(moving.trace()) is None
    moving.reset()


def test_samples_do_not_touch_each_other(name):
    network = networks(name)[3]
    program, data = built(network, name), random_stimulus(networks(name)[3], 4, samples=3)
    together = hwsdk.simulate(program, data)
    for i in range(3):
        alone = hwsdk.simulate(program, data.one(i))
        for population in alone.spikes:
            np.testing.assert_array_equal(together.spikes[population].one(i).dense(), alone.spikes[population].dense())


def test_wrong_data_is_refused(name):
    program = built(networks(name)[0], name)
    shape = next(iter(program.input_shapes.values()))
    with pytest.raises(HwsdkError, match="SHAPE_MISMATCH"):
        hwsdk.simulate(program, np.zeros((1, 4, *(n + 1 for n in shape))))
    with pytest.raises(HwsdkError, match="FRACTIONAL_INPUT"):
        hwsdk.simulate(program, np.full((1, 4, *shape), 0.5))


def test_what_does_not_fit_is_refused_with_need_limit_layer_and_a_way_out(name):
    big = 200_000_000
    shape = (1,)
    theta = np.broadcast_to(np.float64(1), (big,))
    neuron = LIF(theta, theta, np.broadcast_to(np.float64(0), (big,)), theta, np.broadcast_to(np.float64(0), (big,)))
    network = Network("huge", {"in": Input(shape), "w": Linear(np.broadcast_to(np.float64(1), (big, 1))), "p": neuron,
                               "out": Output((big,))}, (Edge("in", "w"), Edge("w", "p"), Edge("p", "out")), Semantics())
    with pytest.raises(HwsdkError) as caught:
        built(network, name)
    assert caught.value.fix
    if isinstance(caught.value, FitError):
        assert caught.value.violations[0].need > caught.value.violations[0].limit
