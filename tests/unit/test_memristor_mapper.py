"""The memristor mapper: every weight in its cells, blocks on macros, converters, ranges, and what is refused."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from crossbar_arrays import FORMING, IDEAL, WINDOW, dense, lif, physics, target

from hwsdk.errors import FitError, InternalError, UnsupportedError
from hwsdk.ir.crossbar import STAGES, Cell, Device
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import Conv, Delay, Flatten, Input, Linear, Output, Pool2d
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers import memristor_codes
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.memristor import (
    MapOptions,
    check,
    legality,
    map_network,
    refuse_too_large,
    summary,
    with_full_scale,
    with_gains,
)
from hwsdk.mappers.memristor_check import weights_of
from hwsdk.mappers.memristor_options import code_of
from hwsdk.programs.crossbar import CrossbarProgram

RNG = np.random.default_rng(5)
SMALL = Lower()(dense(RNG.normal(0, 1, (6, 5)), RNG.normal(0, 0.3, (6, 6))))


def conv_network(groups: int = 1, stride: int = 1, padding: int = 1) -> Network:
    """A convolution with pooling and a dense layer after it."""
    rng = np.random.default_rng(groups)
    conv = Conv(rng.normal(0, 1, (4, 4 // groups, 3, 3)), None, (stride, stride), ((padding, padding),) * 2, (1, 1),
                groups)
    shape = conv.out_shape((4, 8, 8))
    p = lif(int(np.prod(shape)))
    one = dataclasses.replace(p, **{f: getattr(p, f).reshape(shape) for f in ("tau", "r", "v_leak", "v_threshold",
                                                                               "v_reset")})
    pool = Pool2d((2, 2), (2, 2))
    n = int(np.prod(pool.out_shape(shape)))
    nodes = {"in": Input((4, 8, 8)), "conv": conv, "a": one, "pool": pool, "flat": Flatten(0, -1),
             "w": Linear(rng.normal(0, 1, (3, n))), "b": lif(3), "out": Output((3,))}
    return Network("conv", nodes, tuple(Edge(a, b) for a, b in zip(nodes, list(nodes)[1:], strict=False)), Semantics())


def decoded(program: CrossbarProgram, name: str, shape: tuple[int, int]) -> np.ndarray:
    """(rows of the sources in order, n): all weights into a population, for blocks that are read once."""
    found, first = np.zeros(shape), {}
    for x in (b for b in program.blocks if b.target == name):
        weight, where = weights_of(program, x)
        at = 0
        for s in x.segments:
            sizes = {p.name: p.n for p in (*program.inputs, *program.populations)}
            first.setdefault((s.source, s.delay_ticks), sum(sizes[k[0]] for k in first))
            rows = first[s.source, s.delay_ticks] + x.row_source[0, at : at + s.rows]
            found[np.ix_(rows, x.entry_out[0][where])] += weight[at : at + s.rows]
            at += s.rows
    return found


def test_an_ideal_array_holds_the_very_weights() -> None:
    weight = RNG.normal(0, 1, (7, 9)) * 10.0 ** RNG.integers(-6, 6, (7, 9))
    for columns, rows in ((64, 64), (8, 4)):
        program = map_network(Lower()(dense(weight)), target(), physics(rows, columns, **IDEAL), MapOptions(bits=None))
        np.testing.assert_array_equal(decoded(program, "p", (9, 7)), weight.T)


def test_weights_of_any_size_and_none_at_all() -> None:
    for scale in (5e-324, 1e-300, 1e-20, 1e15):
        weight = np.array([[1.0, -2.0], [0.0, 1.0]]) * scale
        ideal = map_network(Lower()(dense(weight)), target(), physics(**IDEAL), MapOptions(bits=None))
        np.testing.assert_array_equal(decoded(ideal, "p", (2, 2)), weight.T)
        for options in (MapOptions(), MapOptions(clip="sigmas"), MapOptions(encoding="offset", clip="percentile")):
            map_network(Lower()(dense(weight)), target(), physics(), options)
    empty = map_network(Lower()(dense(np.zeros((2, 2)))), target(4), physics(), MapOptions())
    assert (empty.blocks, empty.macros, empty.chips) == ((), 0, 1)
    assert summary(empty, target(4))["macros"].used == 0


@pytest.mark.parametrize(("options", "quantum"), [
    ({}, 1 / 15), ({"bits": 4}, 1 / 7), ({"bits": 3}, 1 / 3), ({"encoding": "offset"}, 1 / 7),
    ({"encoding": "offset", "bits": 3}, 1 / 3), ({"encoding": "sliced"}, 1 / 255),
    ({"encoding": "sliced", "bits": 14}, 1 / 65535), ({"subtract": "analog"}, 1 / 15),
    ({"encoding": "sliced", "subtract": "analog"}, 1 / 255)])
def test_weights_are_held_to_half_a_step(options: dict, quantum: float) -> None:
    weight = np.random.default_rng(1).normal(0, 1, (9, 8))
    program = map_network(Lower()(dense(weight)), target(), physics(), MapOptions(**options))
    found, top = decoded(program, "p", (8, 9)), np.abs(weight).max()
    error = np.abs(found - weight.T)
    assert error.max() <= top * quantum / 2 * (1 + 1e-9)
    assert error.max() > top * quantum / 8  # and the step is no finer than said
    np.testing.assert_allclose(np.rint(found / top / quantum), found / top / quantum, atol=1e-6)


def test_cells_get_their_own_levels_only() -> None:
    grid = 5e-6 + 3e-6 * np.arange(16)
    for options in ({}, {"bits": 4}, {"bits": 3}, {"encoding": "offset"}, {"encoding": "sliced"}):
        program = map_network(SMALL, target(), physics(), MapOptions(**options))
        for x in program.blocks:
            assert np.abs(x.target_s[..., None] - grid).min(axis=-1).max() < 1e-12
            assert x.target_s.max() <= WINDOW.g_max


def test_without_levels_bits_make_them_and_without_the_stage_there_are_none() -> None:
    cell = Cell(5e-6, 50e-6)
    assert code_of(physics(cell=cell), MapOptions(bits=5)).steps == 15
    assert code_of(physics(cell=cell), MapOptions(bits=None)).steps is None
    off = tuple(s for s in STAGES if s != "levels")
    assert code_of(physics(stages=off), MapOptions()).steps is None
    program = map_network(SMALL, target(), physics(stages=off), MapOptions())
    assert len(np.unique(program.blocks[0].target_s)) > 60


def test_scales_by_neuron_and_clipping() -> None:
    weight = np.array([[1.0, 0.5, -0.25], [0.1, -0.05, 0.02]])
    network = Lower()(dense(weight))
    found = decoded(map_network(network, target(), physics(), MapOptions(scale="neuron")), "p", (3, 2))
    np.testing.assert_allclose(found[0], weight[:, 0])  # both at the end of the window
    many = np.random.default_rng(0).normal(0, 1, (20, 15))
    for options, top in ((MapOptions(clip="sigmas", clip_at=2.0), 2 * np.sqrt(np.mean(many**2))),
                         (MapOptions(clip="percentile", clip_at=90.0), np.sort(np.abs(many).ravel())[269])):
        program = map_network(Lower()(dense(many)), target(), physics(64, 64), options)
        assert np.abs(decoded(program, "p", (15, 20))).max() == pytest.approx(top)
        assert f"{(np.abs(many) > top).mean():.2%} of the weights clipped" in program.losses


def test_absent_synapses_stay_unformed_where_cells_can() -> None:
    weight = np.array([[1.0, 0.0], [0.0, -1.0]])
    off = map_network(Lower()(dense(weight)), target(), physics(cell=dataclasses.replace(WINDOW, g_off=1e-7)),
                      MapOptions()).blocks[0]
    np.testing.assert_array_equal(off.mask, [[1, 1, 0, 0], [0, 0, 1, 1]])
    np.testing.assert_array_equal(off.target_s, [[50e-6, 5e-6, 1e-7, 1e-7], [1e-7, 1e-7, 5e-6, 50e-6]])
    assert sorted(off.write_order.tolist()) == np.flatnonzero(off.mask).tolist()
    every = map_network(Lower()(dense(weight)), target(), physics(), MapOptions()).blocks[0]
    assert every.mask.all()
    np.testing.assert_array_equal(every.target_s[0], [50e-6, 5e-6, 5e-6, 5e-6])


def test_tiles_rows_and_columns() -> None:
    weight = RNG.normal(0, 1, (40, 70))
    program = map_network(Lower()(dense(weight)), target(), physics(), MapOptions())
    assert [(x.rows, x.columns) for x in program.blocks] == [(r, c) for c in (28, 26, 26) for r in (24, 23, 23)]
    assert program.macros == 9


def test_rows_that_nothing_needs_and_empty_tiles_are_left_out() -> None:
    weight = np.zeros((64, 64))
    weight[:16, :20] = 1
    weight[16:32, 40:] = 2
    program = map_network(Lower()(dense(weight)), target(), physics(), MapOptions())
    assert [(x.rows, x.columns) for x in program.blocks] == [(20, 32), (24, 32)]
    np.testing.assert_array_equal(program.blocks[1].row_source[0], np.arange(40, 64))
    np.testing.assert_array_equal(np.unique(program.blocks[1].entry_out), np.arange(16, 32))


def test_delays_are_segments_of_the_same_rows() -> None:
    nodes = {"in": Input((3,)), "d": Delay(np.array([0, 2, 2])), "w": Linear(RNG.normal(0, 1, (2, 3))), "p": lif(2),
             "out": Output((2,))}
    network = Network("late", nodes, (Edge("in", "d"), Edge("d", "w"), Edge("w", "p"), Edge("in", "w"),
                                      Edge("p", "out")), Semantics())
    x = map_network(Lower()(network), target(), physics(), MapOptions()).blocks[0]
    assert [(s.source, s.delay_ticks, s.rows) for s in x.segments] == [("in", 1, 3), ("in", 3, 2)]
    np.testing.assert_array_equal(x.row_source, [[0, 1, 2, 1, 2]])


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_kernel_is_read_for_every_position(groups: int, stride: int) -> None:
    lowered = Lower()(conv_network(groups, stride))
    kernel = map_network(lowered, target(), physics(64, 64), MapOptions(conv="im2col"))
    written = map_network(lowered, target(), physics(64, 64), MapOptions(conv="toeplitz"))
    conv = [x for x in kernel.blocks if x.target == "a"]
    assert {x.uses for x in conv} == {(8 // stride) ** 2}
    assert {x.uses for x in written.blocks} == {1}
    assert sum(x.target_s.size for x in conv) < sum(x.target_s.size for x in written.blocks if x.target == "a")
    assert (conv[0].row_source == -1).any()  # the padding
    check(lowered, kernel)
    check(lowered, written)


def test_kernels_are_taken_where_they_need_fewer_macros() -> None:
    lowered = Lower()(conv_network())
    small, large = (map_network(lowered, target(), physics(k, k), MapOptions()) for k in (64, 1024))
    assert max(x.uses for x in small.blocks) == 64
    assert max(x.uses for x in large.blocks) == 1
    assert small.macros <= map_network(lowered, target(), physics(64, 64), MapOptions(conv="toeplitz")).macros


def test_patches_of_a_convolution_need_fewer_rows() -> None:
    lowered = Lower()(conv_network())
    blocks = map_network(lowered, target(), physics(256, 64), MapOptions(conv="toeplitz")).blocks
    own = [x for x in blocks if x.target == "a"]
    plain = 8 * 256 * 64  # channel by channel: all inputs for each of 256 / 32 groups of neurons
    assert sum(x.target_s.size for x in own) < plain / 2


def test_phases_and_converters() -> None:
    for subtract, channels in (("digital", 40), ("analog", 20)):
        program = map_network(Lower()(dense(RNG.normal(0, 1, (20, 8)))), target(), physics(64, 64),
                              MapOptions(subtract=subtract))
        x = program.blocks[0]
        assert x.channels == channels
        for k in range(channels):
            own = np.flatnonzero(x.channel == k)
            assert len({int(c) // 8 for c in x.col_at[own]}) == 1  # a pair lies on one converter
            assert x.phase[k] == x.col_at[own].min() % 8 // len(own)
        slots = {(int(x.col_at[x.channel == k].min()) // 8, int(x.phase[k])) for k in range(channels)}
        assert len(slots) == channels
    assert x.code_min == -32 and x.code_max == 31
    assert {tuple(x.sign[x.channel == k]) for k in range(channels)} == {(1, -1)}


@pytest.mark.parametrize("mux", [1, 3, 8, 64])
def test_any_multiplexer_reads_one_channel_at_a_time(mux: int) -> None:
    for options in ({}, {"subtract": "analog"}, {"encoding": "offset"}, {"encoding": "sliced"}):
        program = map_network(SMALL, target(), physics(mux=mux), MapOptions(**options))
        check(SMALL, program, MapOptions(**options))


def test_ranges_of_converters() -> None:
    weight = np.abs(RNG.normal(0, 1, (4, 10)))
    lowered = Lower()(dense(weight))
    x = map_network(lowered, target(), physics(), MapOptions()).blocks[0]
    assert (x.code_min, x.code_max) == (0, 63)
    np.testing.assert_allclose(x.step_a, 0.2 * x.target_s.sum(axis=0).max() / 63)  # all rows on
    likely = map_network(lowered, target(), physics(), MapOptions(full_scale="calibrated", activity={"in": 0.1}))
    assert (likely.blocks[0].step_a < 0.6 * x.step_a).all()
    silent = map_network(lowered, target(), physics(stages=("levels",)), MapOptions()).blocks[0]
    assert (silent.code_min, silent.code_max) == (0, 0)
    assert not silent.step_a.any()
    program = map_network(lowered, target(), physics(dac_bits=None), MapOptions())
    assert program.blocks[0].code_min == -32  # whole inputs may be negative


def test_ranges_and_gains_in_a_second_pass() -> None:
    program = map_network(SMALL, target(), physics(), MapOptions())
    x = program.blocks[0]
    amps = np.linspace(1e-6, 12e-6, x.channels)
    np.testing.assert_allclose(with_full_scale(program, {x.name: amps}).blocks[0].step_a, 12e-6 / 63)
    np.testing.assert_allclose(with_full_scale(program, {x.name: amps}, "channel").blocks[0].step_a, amps / 63)
    gained = with_gains(program, {x.name: np.full(x.channels, 1.25)}).blocks[0]
    np.testing.assert_allclose(gained.entry_coef, x.entry_coef * 1.25)
    with pytest.raises(UnsupportedError, match="BAD_FULL_SCALE"):
        with_full_scale(program, {"nothing": amps})
    with pytest.raises(UnsupportedError, match="BAD_GAIN"):
        with_gains(program, {x.name: np.ones(3)})


def test_native_weights_have_the_deviation_of_the_models() -> None:
    rng = np.random.default_rng(2)
    weight = rng.normal(0, 0.7, (30, 40)) * (rng.random((30, 40)) < 0.5)
    p = physics(128, 128, cell=dataclasses.replace(WINDOW, g_off=1e-7))
    program = map_network(Lower()(dense(weight)), target(), p, MapOptions(native=("in->p",)))
    x = program.blocks[0]
    assert x.kind == "native" and not x.target_s.any()
    np.testing.assert_array_equal(x.mask[:, ::2], x.mask[:, 1::2])
    assert x.mask.sum() == 2 * np.count_nonzero(weight)
    made = np.where(rng.random((4000, 2)) < FORMING.formed, rng.lognormal(np.log(FORMING.median), FORMING.sigma,
                                                                          (4000, 2)), 1e-7)
    unit = float(np.abs(x.entry_coef[0])) * p.volts
    rms = np.sqrt(np.mean((weight[weight != 0]) ** 2))
    assert np.std((made[:, 0] - made[:, 1]) * unit) == pytest.approx(rms, rel=0.04)
    assert "NATIVE" in program.ledger.to_text()
    mixed = map_network(SMALL, target(), p, MapOptions(native=("p->p",)))
    assert [b.kind for b in mixed.blocks] == ["written", "native"]
    check(SMALL, mixed)
    with pytest.raises(UnsupportedError, match="NO_FORMING"):
        map_network(SMALL, target(), physics(device=Device()), MapOptions(native=("p",)))
    with pytest.raises(UnsupportedError, match="BAD_NATIVE"):
        map_network(SMALL, target(), p, MapOptions(native=("q",)))


def test_what_does_not_fit_names_need_and_limit() -> None:
    lowered = Lower()(dense(RNG.normal(0, 1, (64, 64))))
    with pytest.raises(FitError) as caught:
        map_network(lowered, target(7), physics(), MapOptions())
    v = caught.value.violations[0]
    assert (v.rule, v.need, v.limit) == ("macros", 8, 7)
    program = map_network(lowered, target(8), physics(), MapOptions())
    assert program.macros == 8 and not legality(program, target(8)) and program.chips == 1
    assert map_network(lowered, target(2), physics(), MapOptions(chips=4)).chips == 4
    assert legality(program, target(3))[0].rule == "macros"
    with pytest.raises(FitError, match="columns"):
        map_network(lowered, target(), physics(4, 1), MapOptions())


def test_huge_networks_are_refused_at_once() -> None:
    big = 200_000_000
    one = np.broadcast_to(np.float64(1), (big,))
    neuron = dataclasses.replace(lif(1), tau=one, r=one, v_leak=one, v_threshold=one, v_reset=one)
    network = Network("huge", {"in": Input((1,)), "w": Linear(np.broadcast_to(np.float64(1), (big, 1))), "p": neuron,
                               "out": Output((big,))}, (Edge("in", "w"), Edge("w", "p"), Edge("p", "out")), Semantics())
    start = time.monotonic()
    with pytest.raises(FitError, match="macros"):
        refuse_too_large(network, target(16), physics(512, 512), MapOptions())
    with pytest.raises(UnsupportedError, match="TOO_LARGE"):
        refuse_too_large(network, target(), physics(512, 512), MapOptions())
    assert time.monotonic() - start < 1


@pytest.mark.parametrize(("options", "code"), [
    ({"encoding": "odd"}, "BAD_ENCODING"), ({"conv": "fft"}, "BAD_CONV"), ({"bits": 1}, "BAD_BITS"),
    ({"encoding": "offset", "subtract": "analog"}, "BAD_SUBTRACT"), ({"chips": 0}, "BAD_CHIPS"),
    ({"clip": "percentile", "clip_at": 101.0}, "BAD_CLIP"), ({"clip_at": float("nan")}, "BAD_CLIP"),
    ({"activity": {"in": [1.0, 2.0]}}, "BAD_ACTIVITY"), ({"activity": {"x": 1.0}}, "BAD_ACTIVITY"),
    ({"full_scale": "calibrated"}, "NO_CALIBRATION")])
def test_options_that_make_no_sense(options: dict, code: str) -> None:
    with pytest.raises(UnsupportedError, match=code):
        map_network(SMALL, target(), physics(), MapOptions(**options))


def test_other_neurons_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="NEURON_MODEL") as caught:
        map_network(dense(np.ones((2, 2))), target(), physics(), MapOptions())
    assert caught.value.fix


def _broken(program: CrossbarProgram, **changes: object) -> CrossbarProgram:
    """Its first block changed."""
    first = dataclasses.replace(program.blocks[0], **changes)
    return dataclasses.replace(program, blocks=(first, *program.blocks[1:]))


def test_the_check_finds_what_is_wrong() -> None:
    program = map_network(SMALL, target(), physics(), MapOptions())
    x = program.blocks[0]
    check(SMALL, program)
    for options in (MapOptions(), None):
        other = x.target_s.copy()
        other[2, 3] += 6.1e-6
        with pytest.raises(InternalError, match="the weight of row 2"):
            check(SMALL, _broken(program, target_s=other), options)
        with pytest.raises(InternalError):
            check(SMALL, _broken(program, entry_out=x.entry_out[:, ::-1]), options)
        with pytest.raises(InternalError, match="twice"):
            check(SMALL, dataclasses.replace(program, blocks=(x, x)), options)
        with pytest.raises(InternalError, match="0 places"):
            check(SMALL, dataclasses.replace(program, blocks=()), options)
        with pytest.raises(InternalError, match="converter"):
            check(SMALL, _broken(program, phase=np.zeros_like(x.phase)), options)
        with pytest.raises(InternalError, match="outside"):
            check(SMALL, _broken(program, row_at=x.row_at + 40), options)
    lowered = Lower()(conv_network())
    kernel = map_network(lowered, target(), physics(64, 64), MapOptions(conv="im2col"))
    y = kernel.blocks[0]
    moved = y.row_source.copy()
    moved[5, 7] = moved[5, 8]
    with pytest.raises(InternalError):
        check(lowered, _broken(kernel, row_source=moved))
    lost = y.row_source.copy()
    lost[30, 4] = -1
    with pytest.raises(InternalError, match="meets"):
        check(lowered, _broken(kernel, row_source=lost))


def test_the_same_network_gives_the_same_program(golden) -> None:
    lowered = Lower()(dense(np.array([[0.5, -1.0, 0.0], [0.25, 0.75, 1.0]]), [[0.0, 0.3], [-0.2, 0.0]]))
    first, second = (map_network(lowered, target(), physics(8, 8), MapOptions()) for _ in range(2))
    assert first.digest() == second.digest()
    golden("memristor_small.txt", first.to_text())


def test_summary_counts() -> None:
    program = map_network(SMALL, target(4), physics(), MapOptions())
    used = {k: (u.used, u.available) for k, u in summary(program, target(4)).items()}
    assert used == {"macros": (1, 4), "cells": (132, 1024), "converters": (4, 4), "rows (fullest macro)": (11, 32),
                    "columns (fullest macro)": (12, 32), "reads a step": (1, None),
                    "phases a step (busiest macro)": (3, None)}


def test_pair_deviation_is_the_published_formula() -> None:
    mean, sigma = memristor_codes.formed(FORMING)
    assert mean == pytest.approx(12.135e-6, rel=1e-3)
    expected = np.sqrt(2 * (0.5 * sigma**2 + 0.25 * mean**2))
    assert memristor_codes.pair_deviation(FORMING, 0.0) == pytest.approx(expected)
    assert expected == pytest.approx(8.8e-6, rel=0.02)  # facts: 8.9 uS from the measured cells
