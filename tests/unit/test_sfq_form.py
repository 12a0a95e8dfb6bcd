"""A saved SFQ netlist whose parts do not hold together is refused when it is read, whatever its digest says."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hwsdk
from hwsdk.errors import HwsdkError, ProgramError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.neurons import IF, Threshold
from hwsdk.ir.semantics import Semantics
from hwsdk.programs import container
from hwsdk.programs.sfq import PulseNetlist, SfqArrays
from hwsdk.programs.sfq_form import require_form


def program() -> PulseNetlist:
    b = NetworkBuilder("two").input("in", 2).population("h", neuron(Threshold, 2, threshold=0.5))
    b.population("o", neuron(IF, 1, v_threshold=1.5)).connect("in", "h", weight=[[1, -1], [2, 1]])
    b.connect("h", "o", weight=[[1, 1]]).output("out", "o")
    made = hwsdk.compile(b.build(Semantics()), "sfq")
    assert isinstance(made, PulseNetlist)
    return made


WHOLE = program()
DATA = Stimulus.dense({"in": np.array([[[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]])}, WHOLE.input_shapes)
NAMES = [f.name for f in dataclasses.fields(SfqArrays)]


def changed(name: str, array: Any) -> PulseNetlist:
    return dataclasses.replace(WHOLE, arrays=dataclasses.replace(WHOLE.arrays, **{name: array}))


def saved(path: Path, body: dict[str, Any] | None = None, arrays: dict[str, Any] | None = None) -> Path:
    """A file with a digest that fits, as somebody could make it who edits one by hand."""
    manifest, own = container.read(WHOLE.save(path))
    body, own = manifest.body if body is None else body, own | (arrays or {})
    return container.write(path, manifest.model_copy(update={
        "body": body, "digest": container.content_digest(body, own)}), own)


def use(path: Path) -> None:
    """Everything that reads a netlist."""
    p = hwsdk.load_program(path)
    trace = hwsdk.simulate(p, DATA, probes="all")
    hwsdk.estimate(p, trace)
    p.to_text()
    for form in ("verilog", "sdf", "graphml"):
        hwsdk.emit(p, form, data=DATA)


def test_a_whole_netlist_is_in_form(tmp_path: Path) -> None:
    assert require_form(WHOLE) is WHOLE
    use(saved(tmp_path / "p.hwx"))


@pytest.mark.parametrize(("name", "value", "why"), [
    ("cell_type", 99, "cell_type has an entry outside"), ("cell_group", -1, "cell_group"),
    ("cell_part", 99, "cell_part"), ("to_cell", 10**6, "to_cell"), ("to_pin", 7, "pin that its cell does not have"),
    ("bit_ptr", 99, "bit_ptr"), ("input_source", 40, "no source"), ("spike_net", 0, "the same spike net"),
    ("frame_offset_fs", -1, "below 0"),
    ("bit_cell", int(WHOLE.arrays.from_cell[WHOLE.arrays.from_pin.argmax()]), "two states")])
def test_numbers_out_of_range(name: str, value: int, why: str) -> None:
    array = getattr(WHOLE.arrays, name).copy()
    array[1 if name == "bit_ptr" else slice(2)] = value
    with pytest.raises(ProgramError, match=rf"^\[INCONSISTENT\].*{why}"):
        require_form(changed(name, array))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change", [lambda x: np.r_[x, x[:1], 0].astype(x.dtype), lambda x: x.astype(np.float32),
                                    lambda x: x[None], lambda x: x[:0] if x.size > 1 else np.ones(3, x.dtype)])
def test_arrays_of_other_forms_are_refused_by_name(name: str, change: Any) -> None:
    with pytest.raises(ProgramError, match=r"^\[INCONSISTENT\]"):
        require_form(changed(name, change(getattr(WHOLE.arrays, name))))


def test_a_cell_of_another_library_is_refused(tmp_path: Path) -> None:
    body = copy.deepcopy(WHOLE._body())
    body["types"][1]["delay_fs"][0] += 1
    with pytest.raises(ProgramError, match=r"^\[INCONSISTENT\].*is not that of sfq"):
        hwsdk.load_program(saved(tmp_path / "p.hwx", body))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a tree of dictionaries and lists."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [p for k, v in inside for p in places(v, (*path, k))]


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False),
       st.sampled_from([None, -1, 0, 7, 2.5, 1 << 70, float("nan"), "", "other", [], {}, [[1]], True]))
def test_an_edited_manifest_is_refused_or_harmless(tmp_path: Path, random: Any, value: Any) -> None:
    """No edit ends in anything but an error of hwsdk."""
    body = copy.deepcopy(WHOLE._body())
    *way, last = random.choice(places(body))
    at = body
    for k in way:
        at = at[k]
    at[last] = value
    try:
        use(saved(tmp_path / "p.hwx", body))
    except HwsdkError as error:
        assert str(error).startswith("["), "a code, and what to do"


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(NAMES), st.integers(0, 10**6), st.sampled_from([-1, 0, 1, 3, 100, 1 << 30]))
def test_an_edited_array_is_refused_or_harmless(tmp_path: Path, name: str, at: int, value: int) -> None:
    array = getattr(WHOLE.arrays, name).copy()
    if not array.size:
        array = np.zeros(1, array.dtype)
    limits = np.iinfo(array.dtype) if array.dtype.kind in "iu" else np.finfo(array.dtype)
    array[at % array.size] = min(max(value, limits.min), limits.max)
    try:
        use(saved(tmp_path / "p.hwx", arrays={name: array}))
    except HwsdkError as error:
        assert str(error).startswith("["), "a code, and what to do"
