"""Golden traces: kept, read back, equal to the byte, and refused where they belong to something else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import hwsdk
from hwsdk.errors import DataError
from hwsdk.hil import golden
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.semantics import Semantics


@pytest.fixture(scope="module")
def run():
    """(program, stimulus, trace)."""
    b = NetworkBuilder("model").input("in", 5).population("a", neuron(FixedLIF, (2, 4), du=4095, dv=300, vth=60))
    b.population("b", neuron(FixedLIF, 3, du=2000, dv=100, vth=40, fires=False))
    rng = np.random.default_rng(0)
    b.connect("in", "a", weight=2 * rng.integers(-20, 40, (8, 5)))
    b.connect("a", "b", weight=2 * rng.integers(-20, 40, (3, 8))).output("y", "b")
    program = hwsdk.compile(b.build(Semantics()), "loihi2")
    data = Stimulus.dense(rng.random((2, 15, 5)) < 0.5, program.input_shapes)
    return program, data, hwsdk.simulate(program, data)


def test_it_is_kept_as_it_was(run, tmp_path: Path) -> None:
    program, data, trace = run
    first = golden.Golden.of(program, data, trace, seed=7).save(tmp_path / "a.npz")
    found = golden.load(first)
    assert set(found.trace.spikes) == {"a", "b"}  # without y, another name of b
    assert found.trace.first_difference(trace, ["a", "b"]) is None and len(found.trace.spikes["b"]) > 5
    assert found.trace.spikes["a"].shape == (2, 4) and found.seed == 7
    assert found.stale(program, data) == "" and found.versions["hwsdk"] == hwsdk.__version__
    again = golden.Golden.of(program, data, trace, seed=7).save(tmp_path / "b.npz")
    assert first.read_bytes() == again.read_bytes()
    assert found.save(tmp_path / "c.npz").read_bytes() == first.read_bytes()


def test_it_belongs_to_one_program_and_one_stimulus(run) -> None:
    program, data, trace = run
    kept = golden.Golden.of(program, data, trace)
    other = Stimulus.dense(np.ones((2, 15, 5)), program.input_shapes)
    assert "another stimulus" in kept.stale(program, other)
    b = NetworkBuilder("model").input("in", 5).population("a", neuron(FixedLIF, 4, du=0, dv=0, vth=1))
    another = hwsdk.compile(b.connect("in", "a", weight=2 * np.ones((4, 5))).output("y", "a").build(Semantics()),
                            "loihi2")
    assert "another program" in kept.stale(another, data)
    assert "it is of the target loihi9" in dataclasses.replace(kept, target="loihi9").stale(program, data)


@pytest.mark.parametrize("change", ["value", "step", "samples", "name"])
def test_every_part_of_a_stimulus_counts(change: str) -> None:
    x = np.zeros((2, 4, 3))
    x[0, 1, 2] = 1
    y = x.copy()
    if change == "value":
        y[0, 1, 2] = 2
    if change == "step":
        y = np.roll(x, 1, axis=1)
    if change == "samples":
        y = np.concatenate([x, np.zeros((1, 4, 3))])
    name = "other" if change == "name" else "in"
    one, other = Stimulus.dense({"in": x}, {"in": (3,)}), Stimulus.dense({name: y}, {name: (3,)})
    assert golden.stimulus_digest(one) != golden.stimulus_digest(other)
    assert golden.stimulus_digest(one) == golden.stimulus_digest(Stimulus.dense({"in": x.copy()}, {"in": (3,)}))


def test_what_is_no_golden_trace(run, tmp_path: Path) -> None:
    program, data, trace = run
    path = golden.Golden.of(program, data, trace).save(tmp_path / "a.npz")
    raw = path.read_bytes()
    with pytest.raises(DataError, match="there is no golden trace") as error:
        golden.load(tmp_path / "none.npz")
    assert error.value.code == "NO_GOLDEN" and "--hw-update-golden" in error.value.fix
    np.savez(tmp_path / "other.npz", head=np.array('{"form": "something"}'))
    (tmp_path / "cut.npz").write_bytes(raw[: len(raw) // 2])
    (tmp_path / "text.npz").write_text("hello")
    for name in ("other", "cut", "text"):
        with pytest.raises(DataError, match="not a golden trace") as error:
            golden.load(tmp_path / f"{name}.npz")
        assert error.value.code == "BAD_GOLDEN"
