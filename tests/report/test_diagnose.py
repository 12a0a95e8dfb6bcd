"""diagnose names the stage, the layer and the place, on injected faults and on models that are right."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from fault_networks import EXAMPLES, Case, digits, layered
from faults import jobs, made

import hwsdk
from hwsdk.backends.base import CompileOptions
from hwsdk.compiler import load_data
from hwsdk.errors import DataError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.neurons import LIF
from hwsdk.ir.semantics import Semantics
from hwsdk.report.diagnose import DiagnoseOptions, Diagnosis, diagnose
from hwsdk.simulators import reference

SEED = 1
FEW = ((0, 0), (1, 0), (4, 0), (6, 1), (9, 0), (11, 0), (14, 0), (16, 0), (17, 0), (19, 0))
"""(kind, number) of the faults that every run looks at."""


def found(case: Case) -> Diagnosis:
    return diagnose(case.network, case.target, case.data, case.expected, DiagnoseOptions(case.options),
                    program=case.program)


def right_stage(case: Case, d: Diagnosis) -> bool:
    return d.verdict.stage in case.stages and (not case.causes or d.verdict.cause in case.causes)


@pytest.mark.parametrize("number", FEW)
def test_a_fault_is_named(number):
    case = made((SEED, *number))
    d = found(case)
    assert right_stage(case, d), f"{case.name}: {d.verdict}"
    assert d.verdict.layer == case.layer, f"{case.name}: {d.verdict}"
    assert d.verdict.first is not None


@pytest.mark.slow
@pytest.mark.parametrize("seed", [SEED, 2])
def test_fifty_faults(seed):
    """The stage of at least 95 %, the layer of at least 90 %."""
    cases = [made(job) for job in jobs(seed)]
    assert len(cases) == 50
    all_found = [found(c) for c in cases]
    stages = [right_stage(c, d) for c, d in zip(cases, all_found, strict=True)]
    layers = [d.verdict.layer == c.layer for c, d in zip(cases, all_found, strict=True)]
    missed = [f"{c.name}: {d.verdict}" for c, d, *good in zip(cases, all_found, stages, layers, strict=True)
              if not all(good)]
    assert sum(stages) >= 0.95 * 50, missed
    assert sum(layers) >= 0.90 * 50, missed


def test_a_model_that_is_right_is_not_blamed():
    network, data, calibration = digits()
    d = diagnose(network, "loihi2", data, reference.run(network, data),
                 DiagnoseOptions(CompileOptions(data=calibration)))
    assert not d.wrong
    assert d.verdict.stage in (None, "weights")
    assert d.stage("import").first is None
    assert d.stage("mapping").first is None
    assert d.hypotheses == ()


def test_nothing_is_blamed_where_nothing_is_lost():
    """Weights of one size, thresholds and leaks that the chip holds exactly."""
    b = NetworkBuilder("exact").input("in", 6).population("out", neuron(LIF, 3, tau=4e-3, r=4.0, v_threshold=2.0))
    network = b.connect("in", "out", weight=np.full((3, 6), 1.0)).output("o", "out").build(Semantics(dt=1e-3))
    _, data = layered(np.random.default_rng(0), (6, 4, 3))
    for target in ("loihi2", "spinnaker2"):
        d = diagnose(network, target, data)
        assert d.ok, d.to_text()
        assert d.stages[-1].similarity_so_far == 1.0
    assert "No stage costs anything" in d.to_text()


def test_a_wrong_reset_is_named_from_the_output_alone():
    network, data = layered(np.random.default_rng(3), (12, 16, 5))
    right = network.replace(semantics=network.semantics.with_(reset="subtract"))
    trace = reference.run(right, data)
    d = diagnose(network, "spinnaker2", data, replace(trace, spikes={"l1": trace.spikes["l1"]}))
    assert (d.verdict.stage, d.verdict.cause) == ("import", "reset")
    assert d.hypotheses[0].exact
    assert "is reproduced, every spike, with reset=subtract" in d.verdict.text


def test_a_dt_that_nobody_uses_is_found():
    network, data = layered(np.random.default_rng(8), (12, 16, 5))
    right = network.replace(semantics=network.semantics.with_(dt=7.3e-4))
    d = diagnose(right.replace(semantics=right.semantics.with_(dt=2e-3)), "spinnaker2", data,
                 reference.run(right, data))
    assert d.verdict.stage == "dt"
    assert float(d.hypotheses[0].text.removeprefix("dt=")) == pytest.approx(7.3e-4, rel=0.01)


def test_reference_semantics_say_what_is_right():
    network, data = layered(np.random.default_rng(4), (12, 16, 5))
    other = network.replace(semantics=network.semantics.with_(integrator="exponential"))
    d = diagnose(network, "loihi2", data, reference_network=other)
    assert (d.verdict.cause, d.wrong) == ("integrator", True)


def test_two_wrong_things_are_both_named():
    network, data = layered(np.random.default_rng(5), (12, 16, 5))
    nodes = dict(network.nodes) | {"w1": replace(network.nodes["w1"], weight=network.nodes["w1"].weight * 2)}
    wrong = network.replace(nodes=nodes, semantics=network.semantics.with_(reset="subtract"))
    d = diagnose(wrong, "spinnaker2", data, reference.run(network, data))
    assert "reset=value" in d.verdict.text
    assert "of l1 x" in d.verdict.text


def test_labels_alone_can_show_a_wrong_dt():
    wrong = hwsdk.load(str(EXAMPLES / "digits.nir"), dt=1e-4, reset="value")
    data = load_data(EXAMPLES / "digits_test.npz", wrong, limit=20)
    d = diagnose(wrong, "loihi2", data)
    assert d.verdict.stage == "dt"
    assert "dt=" in d.verdict.text


def test_a_program_of_other_semantics_or_options_is_named():
    network, data, _ = digits()
    other = network.replace(semantics=network.semantics.with_(dt=2e-3))
    d = diagnose(network, "loihi2", data, program=hwsdk.compile(other, "loihi2"))
    assert (d.verdict.stage, d.verdict.cause) == ("dt", "dt")
    d = diagnose(network, "loihi2", data, program=hwsdk.compile(network, "loihi2", bits=4))
    assert d.verdict.stage == "mapping"
    assert "other options" in d.verdict.text


def test_what_was_guessed_and_what_never_spikes_is_told():
    with pytest.warns(Warning, match="reset"):
        network = hwsdk.load(str(EXAMPLES / "digits.nir"), dt=1e-3)
    d = diagnose(network, "spinnaker2", digits()[1])
    assert "The reset was guessed on import" in d.verdict.text
    network, data = layered(np.random.default_rng(7), (6, 4, 3))
    high = replace(network.nodes["l0"], v_threshold=np.full(4, 1e3))
    d = diagnose(network.replace(nodes=dict(network.nodes) | {"l0": high}), "spinnaker2", data)
    assert "l0, l1 never spike" in d.verdict.text


def test_rounded_delays_get_a_row():
    network, data = layered(np.random.default_rng(6), (6, 4, 3))
    b = NetworkBuilder("delays").input("in", 6).population("l0", network.nodes["l0"])
    b.connect("in", "l0", weight=network.nodes["w0"].weight, delay_ticks=np.full((4, 6), 1.4), rounding="nearest")
    d = diagnose(b.output("out", "l0").build(network.semantics), "loihi2", data)
    assert "one step longer" in d.stage("delays").note
    assert d.stage("delays").similarity < 1


def test_text_and_plain_values_say_the_same():
    case = made((SEED, 14, 0))
    d = found(case)
    plain = json.loads(json.dumps(d.to_dict()))
    assert plain["verdict"]["layer"] == case.layer
    assert plain["verdict"]["first"]["step"] == d.verdict.first.step
    assert [s["name"] for s in plain["stages"]] == [s.name for s in d.stages]
    assert " ".join(d.verdict.text.split()) in " ".join(d.to_text().split())


def test_what_cannot_be_compared_is_refused():
    network, data, _ = digits()
    trace = reference.run(network, data)
    with pytest.raises(DataError, match="name its layers as the model does"):
        diagnose(network, "loihi2", data, replace(trace, spikes={"other": trace.spikes["lif1"]}))
    with pytest.raises(DataError, match="cut with --limit"):
        diagnose(network, "loihi2", data, trace.sample(0))
    with pytest.raises(DataError, match="cut the data with --steps"):
        diagnose(network, "loihi2", data, replace(trace, n_steps=31))
    with pytest.raises(DataError, match="neurons"):
        diagnose(network, "loihi2", data, replace(trace, spikes={"lif1": trace.spikes["lif2"]}))
