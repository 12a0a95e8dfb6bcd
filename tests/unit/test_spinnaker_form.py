"""Broken arrays of a saved SpiNNaker program are refused when it is read, whatever its digest says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwsdk
from hwsdk.errors import FitError, ProgramError, UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.build_egru import egru_layer
from hwsdk.ir.neurons import LIF
from hwsdk.ir.plastic import PairSTDP
from hwsdk.ir.semantics import Semantics
from hwsdk.programs.spinnaker import SpinnakerArrays, SpinnakerProgram
from hwsdk.programs.spinnaker_form import require_form


def program() -> SpinnakerProgram:
    b = NetworkBuilder("two").input("in", 3).population("p", neuron(LIF, 4, tau=5.0, v_threshold=0.4))
    b.connect("in", "p", weight=np.ones((4, 3))).output("out", "p")
    return hwsdk.compile(b.build(Semantics()), "spinnaker2", chips=2, packing="spread")


WHOLE = program()


def changed(name: str, array: np.ndarray) -> SpinnakerProgram:
    return dataclasses.replace(WHOLE, arrays=dataclasses.replace(WHOLE.arrays, **{name: array}))


def test_a_whole_program_is_in_form() -> None:
    assert require_form(WHOLE) is WHOLE


@pytest.mark.parametrize(("name", "value", "why"), [
    ("pe_chip", 9, "beyond"), ("pe_chip", -1, "beyond"), ("pe_core", 160, "beyond"), ("pe_hops", -1, "beyond"),
    ("router_links", 64, "links"), ("image_ptr", 1, "divide"), ("router_ptr", 99, "divide"),
    ("slice_ptr", -5, "divide")])
def test_numbers_out_of_range(name: str, value: int, why: str) -> None:
    array = getattr(WHOLE.arrays, name).copy()
    array[0] = value
    with pytest.raises(ProgramError, match=why):
        require_form(changed(name, array))


def test_two_pes_on_one_core() -> None:
    with pytest.raises(ProgramError, match="two PEs on one core"):
        require_form(changed("pe_core", np.full_like(WHOLE.arrays.pe_core, 5)))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from([f.name for f in dataclasses.fields(SpinnakerArrays)]),
       st.sampled_from([lambda x: x[:-1], lambda x: np.concatenate([x, x[-1:]]), lambda x: x.astype(np.float64),
                        lambda x: x[None], lambda x: x.ravel()[0] if x.size else x[None]]))
def test_arrays_of_other_forms_are_refused_by_name(name, change):
    array = getattr(WHOLE.arrays, name)
    if array.size:
        with pytest.raises(ProgramError, match="INCONSISTENT"):
            require_form(changed(name, np.asarray(change(array))))


def test_a_file_with_a_broken_array_is_not_loaded(tmp_path) -> None:
    path = changed("pe_chip", WHOLE.arrays.pe_chip + 7).save(tmp_path / "p.hwx")
    with pytest.raises(ProgramError, match="beyond"):
        hwsdk.load_program(path)


def test_egrus_do_not_mix_with_other_neurons() -> None:
    b = NetworkBuilder("mixed").input("in", 2)
    egru_layer(b, "h", "in", w=np.ones((9, 2)), r=np.ones((9, 3)), bx=np.zeros(9), br=np.zeros(9), theta=0.1)
    b.population("read", neuron(LIF, 2, tau=4.0, v_threshold=0.5))
    b.connect("h", "read", weight=np.ones((2, 3))).output("out", "read")
    with pytest.raises(UnsupportedError) as error:
        hwsdk.compile(b.build(Semantics()), "spinnaker2")
    assert error.value.code == "MIXED_NUMBERS" and error.value.where == "read"


@pytest.mark.parametrize("step", [0, -1e-3, float("nan"), float("inf"), "1e-3"])
def test_a_step_has_a_length(step: object) -> None:
    b = NetworkBuilder("one").input("in", 1).population("p", neuron(LIF, 1, tau=5.0, v_threshold=0.4))
    with pytest.raises(UnsupportedError, match="BAD_STEP_TIME"):
        hwsdk.compile(b.connect("in", "p", weight=1.0).output("out", "p").build(Semantics()), "spinnaker2",
                      step_time=step)


def test_long_time_constants_of_learning_are_named() -> None:
    rule = PairSTDP(tau_plus=2000.0, tau_minus=20.0, a_plus=0.1, a_minus=0.1, w_min=0.0, w_max=1.0)
    b = NetworkBuilder("slow").input("in", 1).population("p", neuron(LIF, 1, tau=5.0, v_threshold=0.4))
    b.connect("in", "p", weight=[[1.0]], delay_ticks=1, plasticity=rule).output("out", "p")
    with pytest.raises(FitError, match="shorter time constants of the learning rules"):
        hwsdk.compile(b.build(Semantics()), "spinnaker2")
