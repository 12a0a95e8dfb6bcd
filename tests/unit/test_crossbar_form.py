"""A saved crossbar program whose parts do not hold together is refused when it is read, whatever its digest says."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crossbar_arrays import dense, physics, target
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwsdk.errors import HwsdkError, ProgramError
from hwsdk.ir.crossbar import Law
from hwsdk.ir.nodes import frozen
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.memristor import MapOptions, map_network
from hwsdk.programs import container
from hwsdk.programs.crossbar import BLOCK_ARRAYS, CELL_ARRAYS, CrossbarProgram, Readout
from hwsdk.programs.crossbar_form import require_form


def program() -> CrossbarProgram:
    rng = np.random.default_rng(0)
    lowered = Lower()(dense(rng.normal(0, 1, (5, 20)), rng.normal(0, 0.3, (5, 5))))
    made = map_network(lowered, target(), physics(16, 16), MapOptions(native=("p->p",), activity={"in": 0.2}))
    return made.with_readout(Readout("p", 2, *(frozen(x) for x in (
        rng.normal(0, 1, (3, 10)), np.zeros(3), np.zeros(10), np.ones(10))), np.arange(3), "in a test"))


WHOLE = program()


def changed(name: str, array: Any, block: int = 0) -> CrossbarProgram:
    blocks = list(WHOLE.blocks)
    blocks[block] = dataclasses.replace(blocks[block], **{name: array})
    return dataclasses.replace(WHOLE, blocks=tuple(blocks))


def saved(path: Path, body: dict[str, Any] | None = None, arrays: dict[str, Any] | None = None) -> Path:
    """A file with a digest that fits, as somebody could make it who edits one by hand."""
    manifest, own = container.read(WHOLE.save(path))
    body, own = manifest.body if body is None else body, own | (arrays or {})
    return container.write(path, manifest.model_copy(update={
        "body": body, "digest": container.content_digest(body, own)}), own)


def read(path: Path) -> CrossbarProgram:
    """As the backend reads it."""
    return require_form(CrossbarProgram.load(path))


def test_a_whole_program_is_in_form(tmp_path: Path) -> None:
    assert require_form(WHOLE) is WHOLE
    assert {b.kind for b in WHOLE.blocks} == {"written", "native"}
    assert read(saved(tmp_path / "p.hwx")).digest() == WHOLE.digest()


@pytest.mark.parametrize(("name", "value", "why"), [
    ("row_at", 99, "row_at"), ("row_at", -1, "row_at"), ("col_at", 16, "col_at"), ("col_at", 3, "two"),
    ("row_source", 20, "does not have"), ("channel", 99, "channel"), ("channel", 1, "no column"), ("sign", 0, "sign"),
    ("phase", 8, "phase"), ("phase", 0, "two channels"), ("step_a", np.nan, "no number"), ("step_a", -1.0, "no number"),
    ("entry_channel", 99, "entry_channel"), ("entry_coef", np.inf, "no number"), ("entry_out", 5, "entry_out"),
    ("entry_out", -2, "entry_out"), ("mask", 2, "mask"), ("target_s", -1e-6, "below 0"),
    ("target_s", np.nan, "below 0"), ("row_at", 3, "two rows, columns"),
    ("write_order", 0, "write_order"), ("write_order", -1, "write_order"), ("write_order", 10**6, "write_order")])
def test_numbers_out_of_range(name: str, value: float, why: str) -> None:
    array = getattr(WHOLE.blocks[0], name).copy()
    array[:] = value
    with pytest.raises(ProgramError, match=rf"^\[INCONSISTENT\].*{why}"):
        require_form(changed(name, array))


@pytest.mark.parametrize("name", BLOCK_ARRAYS)
@pytest.mark.parametrize("change", [lambda x: x[:-1], lambda x: x.astype(np.float32), lambda x: x[None],
                                    lambda x: x[:0], lambda x: np.zeros(()), lambda x: x.astype("U8")])
def test_arrays_of_another_form(name: str, change: Any) -> None:
    with pytest.raises(ProgramError, match=r"^\[INCONSISTENT\]"):
        require_form(changed(name, change(getattr(WHOLE.blocks[0], name))))


@pytest.mark.parametrize("name", CELL_ARRAYS)
def test_neurons_of_another_form(name: str) -> None:
    p = WHOLE.populations[0]
    wrong: list[Any] = [np.full(5, np.nan), np.zeros(4), np.zeros(5, np.float32)]
    if name not in ("refractory", "gain"):
        wrong.append(None)
    for array in wrong:
        other = dataclasses.replace(p, cell=dataclasses.replace(p.cell, **{name: array}))
        with pytest.raises(ProgramError, match=r"^\[INCONSISTENT\].*population p.*"):
            require_form(dataclasses.replace(WHOLE, populations=(other,)))


BODY: list[tuple[tuple[str | int, ...], Any, str]] = [
    (("macros",), 1, "lies on macro"), (("macros",), "2", "macros"), (("chips",), 0, "chips"),
    (("inputs", 0, 1), [4], "does not have"), (("inputs", 0, 1), [1 << 20, 1 << 20], "shape"),
    (("inputs", 0, 0), "p", "same name"), (("outputs", "out"), ["q"], "no population"),
    (("blocks", 0, "target"), "q", "no population"), (("blocks", 0, "name"), "p:native/0.0", "same name"),
    (("blocks", 0, "kind"), "odd", "kind"), (("blocks", 0, "macro"), -1, "macro"),
    (("blocks", 0, "segments", 0, 0), "q", "hears q"), (("blocks", 0, "segments", 0, 1), -1, "delay"),
    (("blocks", 0, "segments", 0, 1), 1 << 40, "delay"), (("blocks", 0, "segments", 0, 2), 3, "rows"),
    (("blocks", 0, "code_max"), 0, "codes"), (("blocks", 0, "code_min"), 3, "code_min"),
    (("populations", 0, "lag"), -1, "lag"), (("populations", 0, "reset"), "odd", "reset"),
    (("populations", 0, "comparison"), "<", "comparison"), (("readout", "population"), "q", "no population"),
    (("readout", "windows"), 3, "readout"), (("readout", "windows"), 0, "windows"),
    (("physics", "rows"), 4, "row_at"), (("physics", "rows"), 1 << 40, "rows"), (("physics", "mux"), 0, "mux"),
    (("physics", "volts"), 0.0, "volts"), (("physics", "cell", "g_max"), 1e-6, "window"),
    (("physics", "cell", "levels"), 1, "levels"), (("physics", "stages"), ["odd"], "stages"),
    (("physics", "stages"), ["adc", "adc"], "stages"), (("physics", "wires", "topology"), "mesh", "topology"),
    (("physics", "wires", "word"), -1.0, "word"), (("physics", "device", "stuck_on"), 1.5, "stuck_on"),
    (("physics", "device", "write", "constants"), {"sigma": "1"}, "sigma"),
    (("physics", "timing", "settle"), -1.0, "settle"), (("physics", "adc", "bits"), 99, "bits"),
    (("physics", "die"), -1, "die"), (("losses",), None, "losses")]


@pytest.mark.parametrize(("path", "value", "why"), BODY)
def test_a_manifest_with_other_fields(path: tuple[str | int, ...], value: Any, why: str, tmp_path: Path) -> None:
    body = copy.deepcopy(container.read(WHOLE.save(tmp_path / "a.hwx"))[0].body)
    at: Any = body
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    with pytest.raises(ProgramError, match=f"(?s){why}"):
        read(saved(tmp_path / "b.hwx", body))


def test_ohms_and_constants_are_numbers() -> None:
    p = WHOLE.physics
    for other in (dataclasses.replace(p, wires=dataclasses.replace(p.wires, word=float("nan"))),
                  dataclasses.replace(p, device=dataclasses.replace(p.device, read=Law("range", {"sigma": np.inf})))):
        with pytest.raises(ProgramError, match=r"\[INCONSISTENT\].*physics"):
            require_form(dataclasses.replace(WHOLE, physics=other))


def test_a_gated_array_takes_one_bit_at_once() -> None:
    p = dataclasses.replace(WHOLE.physics, dac_bits=2, wires=dataclasses.replace(WHOLE.physics.wires, topology="gated"))
    with pytest.raises(ProgramError, match="inputs of 2 bits"):
        require_form(dataclasses.replace(WHOLE, physics=p))


LEAVES: list[tuple[str | int, ...]] = []


def _walk(x: Any, path: tuple[str | int, ...]) -> None:
    """All places in a JSON value."""
    if path:
        LEAVES.append(path)
    for key, value in x.items() if isinstance(x, dict) else enumerate(x) if isinstance(x, list) else ():
        _walk(value, (*path, key))


@settings(max_examples=40, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_written_over_is_read_or_refused(data: st.DataObject, tmp_path: Path) -> None:
    body = copy.deepcopy(container.read(WHOLE.save(tmp_path / "a.hwx"))[0].body)
    if not LEAVES:
        _walk(body, ())
    path = data.draw(st.sampled_from(LEAVES))
    at: Any = body
    for key in path[:-1]:
        at = at[key]
    value = data.draw(st.one_of(st.none(), st.integers(-3, 1 << 65), st.floats(), st.text(max_size=3), st.just([]),
                                st.just({}), st.just([[1]]), st.booleans()))
    if data.draw(st.booleans()):
        at[path[-1]] = value
    else:
        del at[path[-1]]
    try:
        made = read(saved(tmp_path / "b.hwx", body))
    except HwsdkError:
        return
    made.to_text()
    made.digest()
