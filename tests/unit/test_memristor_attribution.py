"""What each stage of a crossbar costs: alone, after those before it, and layer by layer."""

from __future__ import annotations

import json
from dataclasses import replace

import memristor_small as small
import numpy as np
import pytest

from hwsdk.backends.memristor_attribution import Attribution, attribute
from hwsdk.backends.memristor_layers import driven_with, inputs_of, layer_alone, relative
from hwsdk.errors import DataError, UnsupportedError
from hwsdk.ir.crossbar import STAGES, Law
from hwsdk.ir.data import Events, Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.crossbar import CrossbarProgram
from hwsdk.simulators import memristor

LOUD = {"write": Law("range", {"a": 0.3}), "read": Law("range", {"a": 0.02})}


def loud(stages: tuple[str, ...] = STAGES) -> CrossbarProgram:
    """Its writes are far worse than all else."""
    return small.program(small.physics(stages, **LOUD))


@pytest.fixture(scope="module")
def found() -> Attribution:
    """All stages, with a program without levels."""
    bare = loud(tuple(s for s in STAGES if s != "levels"))
    return attribute(loud(), small.stimulus(), bare=bare)


def test_it_names_the_stage_that_hurts_most(found: Attribution) -> None:
    assert found.worst == "write"
    assert found.lost("write") == max(found.lost(s) for s in STAGES if s in [x.stage for x in found.stages]) > 0.1
    assert "hurts most: write, which alone takes accuracy from " in found.to_text()


def test_every_stage_alone_and_after_those_before(found: Attribution) -> None:
    assert [s.stage for s in found.stages] == list(STAGES)
    assert [s.alone.stages for s in found.stages] == [(s,) for s in STAGES]
    assert [s.so_far.stages for s in found.stages] == [STAGES[: k + 1] for k in range(len(STAGES))]
    assert found.stages[0].alone is found.stages[0].so_far, "run once"
    total = sum(found.added(s) for s in STAGES)
    assert total == pytest.approx(found.bare.score - found.stages[-1].so_far.score)


def test_scores_are_those_of_the_runs(found: Attribution) -> None:
    data = small.stimulus()
    for on in ((), ("write",), ("levels", "write", "faults"), STAGES):
        made = loud() if "levels" in on else loud(STAGES[1:])
        counts = memristor.run(made.with_stages(*on), data).counts_of("output", data.n_steps)
        score = float(np.mean(counts.argmax(1) == data.labels))
        mine = found.bare if not on else found.stage(on[0]).alone if len(on) == 1 else found.stage(on[-1]).so_far
        assert mine.score == score


def test_errors_of_layers_are_as_computed_by_hand(found: Attribution) -> None:
    data = small.stimulus()
    first = memristor.run(loud(STAGES[1:]).with_stages(), data)
    got = memristor.run(loud(STAGES[1:]).with_stages("write"), data)
    for name in ("hidden", "out"):
        a, b = (t.aligned(name, data.n_steps).dense() for t in (first, got))
        x = found.stage("write").alone.layer(name)
        assert (x.spikes, x.changed, x.cells) == (b.sum(), (a != b).sum(), a.size)
        rms = np.sqrt(np.mean((a.sum(1) - b.sum(1)) ** 2)) / np.sqrt(np.mean(a.sum(1) ** 2))
        assert x.count_error == pytest.approx(rms)
    bare = found.bare.layer("out")
    assert (bare.changed, bare.similarity, bare.input_error, bare.count_error) == (0, 1.0, 0.0, 0.0)


def test_the_own_error_of_a_layer_is_that_of_its_matrix(found: Attribution) -> None:
    """With the right spikes x at its rows, the inputs of out are x W; on the die with write noise, x W'."""
    from hwsdk.simulators.memristor_die import die_of

    data, made = small.stimulus(), loud(STAGES[1:]).with_stages("write")
    first = memristor.run(loud(STAGES[1:]).with_stages(), data)
    b = made.blocks[1]
    spikes = np.concatenate([np.zeros((30, 1, small.HIDDEN)), first.spikes["hidden"].dense()[:, :-1]], 1)
    factor = small.VOLTS * b.entry_coef
    wanted, got = ((spikes @ (g * factor)).reshape(*spikes.shape[:2], 3, 2).sum(-1)
                   for g in (b.target_s, die_of(made, 1)))
    own = found.stage("write").alone.layer("out").input_error
    assert own == pytest.approx(np.sqrt(np.mean((got - wanted) ** 2) / np.mean(wanted**2)), rel=1e-9)


def test_inputs_of_neurons_with_a_synaptic_current() -> None:
    """u = decay u + input gives the input back."""
    rng = np.random.default_rng(0)
    population = small.program().population("hidden")
    cell = replace(population.cell, decay_u=np.full(6, 0.5), u_init=np.arange(6.0))
    x, u = rng.normal(size=(2, 5, 6)), np.zeros((2, 5, 6))
    last = np.arange(6.0)
    for t in range(5):
        last = u[:, t] = 0.5 * last + x[:, t]
    trace = Trace(2, 5, {}, {("hidden", "u"): u})
    assert inputs_of(replace(population, cell=cell), trace) == pytest.approx(x)
    assert inputs_of(population, Trace(2, 5, {})) is None


def recurrent() -> CrossbarProgram:
    """hidden drives itself too."""
    made = small.program()
    b = made.blocks[0]
    loop = small.pairs("loop", "hidden", np.eye(6)[::-1] * 2 - 1, small.Segment("hidden", 2, 6), 0, made.physics, at=8)
    loop = replace(loop, row_at=loop.row_at.copy())
    return replace(made, blocks=(b, loop, made.blocks[1]))


def test_a_layer_alone_with_the_right_spikes_does_what_it_does_in_the_network() -> None:
    program, data = recurrent().with_stages("write", "faults", "wires", "adc"), small.stimulus(8)
    whole = memristor.run(program, data, probes=[("hidden", "u"), ("out", "u")])
    for name in ("hidden", "out"):
        alone = layer_alone(program, name)
        got = memristor.run(alone, driven_with(alone, name, data, whole), probes=[(name, "u")])
        assert np.array_equal(got.states[name, "u"], whole.states[name, "u"])
        assert np.array_equal(got.spikes[name].dense(), whole.spikes[name].dense())


def test_relative_errors() -> None:
    assert relative(np.array([1.0, 2.0]), np.array([1.0, 1.0])) == pytest.approx(np.sqrt(0.5))
    assert relative(np.ones(2), np.zeros(2)) is None


def test_without_a_program_before_levels_they_are_in_every_run() -> None:
    found = attribute(loud(("levels", "write")), small.stimulus())
    assert [s.stage for s in found.stages] == ["write"]
    assert "levels in every run" in found.notes[0] and "note: targets are on their levels" in found.to_text()


def test_a_function_that_compiles_for_any_stages() -> None:
    asked: list[tuple[str, ...]] = []

    def compiled(stages: tuple[str, ...]) -> CrossbarProgram:
        asked.append(stages)
        return loud(stages)

    found = attribute(loud(("levels", "write", "read")), small.stimulus(9), bare=compiled)
    assert set(asked) == {(), ("levels",), ("write",), ("read",), ("levels", "write"), ("levels", "write", "read")}
    assert found.stage("levels").alone.layer("hidden").input_error


def test_some_stages_only_and_another_die() -> None:
    data = small.stimulus()
    found = attribute(loud(), data, stages=["read", "write"], die=8)
    assert [s.stage for s in found.stages] == ["write", "read"] and found.die == 8
    counts = memristor.run(loud().with_die(8).with_stages("write"), data).counts_of("output", data.n_steps)
    assert found.stage("write").alone.score == np.mean(counts.argmax(1) == data.labels)


def test_the_program_before_levels_is_run_on_the_same_die() -> None:
    data, bare = small.stimulus(), loud(STAGES[1:])
    alone = [attribute(loud().with_die(8), data, bare=b, stages=["write"]).stage("write").alone
             for b in (bare, bare.with_die(8))]
    assert alone[0] == alone[1]
    assert alone[0] != attribute(loud(), data, bare=bare, stages=["write"]).stage("write").alone


def test_converters_without_steps_are_left_out() -> None:
    p = small.physics()
    made = small.program(replace(p, adc=replace(p.adc, bits=None)))
    found = attribute(made, small.stimulus(6), stages=["adc", "write"])
    assert [s.stage for s in found.stages] == ["write"] and "adc does nothing" in found.notes[1]


def test_nothing_hurts_an_array_without_errors() -> None:
    p = small.physics(("write", "drift"), write=Law())
    found = attribute(small.program(p), small.stimulus())
    assert found.worst is None
    assert "no stage changes anything" in found.to_text()
    assert {s.alone.layer("out").changed for s in found.stages} == {0}


def test_of_stages_that_cost_no_accuracy_it_names_the_one_that_changes_most() -> None:
    p = small.physics(("write", "read"), write=Law("range", {"a": 0.06}), read=Law("range", {"a": 0.0}))
    found = attribute(small.program(p), small.stimulus(4))
    assert [found.lost(s) for s in ("write", "read")] == [0.0, 0.0], "choose other noise"
    assert found.worst == "write"
    assert "no stage costs accuracy; write changes the outputs most" in found.to_text()


def test_the_model_stands_beside() -> None:
    data = small.stimulus()
    perfect = Trace(30, small.STEPS, {"output": Events((3,), 30, small.STEPS, np.arange(30, dtype=np.int32),
                                                       np.zeros(30, np.int32), data.labels.astype(np.int32))})
    found = attribute(loud(("write",)), data, expected=perfect)
    assert found.model == 1.0 and "the model 1.0000, the mapping without any stage" in found.to_text()


def test_without_labels_decisions_are_compared() -> None:
    found = attribute(loud(("write",)), Stimulus(small.stimulus().inputs))
    assert (found.measure, found.bare.score) == ("agreement", 1.0)
    assert found.lost("write") > 0


def test_inputs_that_would_take_too_much_room_are_not_looked_at(monkeypatch) -> None:
    from hwsdk.backends import memristor_attribution

    monkeypatch.setattr(memristor_attribution, "PROBED_BYTES", 1000)
    found = attribute(loud(("write",)), small.stimulus(4))
    assert found.stage("write").alone.layer("out").input_error is None
    assert found.stage("write").alone.layer("out").count_error
    assert " - " in found.to_text()


def test_json_and_text_hold_every_stage_and_layer(found: Attribution) -> None:
    body = found.to_dict()
    assert json.loads(json.dumps(body)) == body
    assert [r["stage"] for r in body["stages"]] == list(STAGES) and body["worst"] == "write"
    lines = found.to_text().splitlines()
    for layer in ("hidden", "out"):
        assert [x.split()[1] for x in lines if x.startswith(f"  {layer} ")] == list(STAGES)
    assert max(map(len, lines)) < 120


def test_refusals() -> None:
    program, data = loud(), small.stimulus(3)
    other = replace(program, populations=program.populations[::-1])
    for options, code in (({"stages": ["writes"]}, "NO_SUCH_STAGE"), ({"bare": other}, "WRONG_BARE")):
        with pytest.raises(DataError) as error:
            attribute(program, data, **options)
        assert error.value.code == code
    p = small.physics(("levels", "write"))
    with pytest.raises(DataError, match="WRONG_BARE"):
        attribute(program, data, bare=small.program(p), stages=["adc"])
    with pytest.raises(UnsupportedError, match="NO_ATTRIBUTION"):
        attribute(program, data, bare="p.hwx")  # type: ignore[arg-type]


def test_a_drawing(found: Attribution, tmp_path) -> None:
    assert found.plot(tmp_path / "a.png").stat().st_size > 3000
    with pytest.raises(DataError, match="CANNOT_WRITE"):
        found.plot(tmp_path / "a.gif")
