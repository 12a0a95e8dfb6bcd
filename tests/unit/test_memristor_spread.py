"""Columns of blocks spread over the converters: how many phases that takes, and that it changes no result."""

from __future__ import annotations

import warnings
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from crossbar_arrays import IDEAL, currents, dense, physics, target

import hwsdk
from hwsdk.backends import get
from hwsdk.errors import UnsupportedError
from hwsdk.ir.crossbar import Converter, Wires
from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.ledger import SemanticsWarning
from hwsdk.ir.network import Network
from hwsdk.lsm.liquid import liquid
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.memristor import MapOptions, check, map_network
from hwsdk.mappers.memristor_place import Size, packed
from hwsdk.mappers.memristor_slots import slots_of, spreads
from hwsdk.programs.crossbar import Block, CrossbarProgram
from hwsdk.simulators.memristor_decode import network_of

RNG = np.random.default_rng(7)
EXAMPLES = Path(__file__).parents[2] / "examples"
PHASES = "phases a step (busiest macro)"


def one_block(n: int, spread: str = "yes", subtract: str = "digital", **changes: object) -> Block:
    """The block of n neurons with 12 inputs on 512 columns, 64 converters."""
    lowered = Lower()(dense(RNG.normal(0, 1, (n, 12))))
    options = MapOptions(spread=spread, subtract=subtract)
    (found,) = map_network(lowered, target(), physics(16, 512, **changes), options).blocks
    return found


def phases_of(network: Network, spread: str, **options: object) -> tuple[int, int]:
    """(phases of the busiest macro in a step, macros) on the target memristor."""
    program = hwsdk.compile(network, "memristor", target_options={"spread": spread, **options})
    return get("memristor").summary(program)[PHASES].used, program.macros


@pytest.mark.parametrize("n", [1, 10, 32, 33, 48, 64, 65, 100, 128, 250, 256])
def test_a_block_is_read_in_as_few_phases_as_its_columns_allow(n: int) -> None:
    for subtract, channels in (("digital", 2 * n), ("analog", n)):
        x = one_block(n, subtract=subtract)
        assert len(np.unique(x.phase)) == -(-channels // 64)
        assert len(np.unique(one_block(n, "no", subtract).phase)) == min(channels, 8 if subtract == "digital" else 4)
        for k in range(x.channels):
            assert len(set((x.col_at[x.channel == k] // 8).tolist())) == 1  # one converter for a pair


@pytest.mark.parametrize("off", [{}, {"stages": ("levels",)}])
def test_pairs_stay_on_one_converter_where_converters_differ(off: dict) -> None:
    x = one_block(48, adc=Converter(6, offset=0.3), **off)
    apart = x.col_at[::2] // 8 != x.col_at[1::2] // 8
    if off:  # without the stage all are alike
        assert apart.any()
    else:
        assert not apart.any()
        assert len(np.unique(one_block(100, adc=Converter(6, gain=0.1)).phase)) == 4
    assert len(np.unique(x.phase)) == 2


@pytest.mark.parametrize("mux", [1, 2, 3, 8, 50])
@pytest.mark.parametrize("columns", [16, 50, 51])
def test_runs_of_columns_and_their_phases(mux: int, columns: int) -> None:
    for spread, subtract, offset in (("yes", "digital", 0.0), ("yes", "analog", 0.0), ("yes", "digital", 0.1),
                                     ("no", "digital", 0.0), ("no", "analog", 0.0)):
        p = physics(8, columns, mux=min(mux, columns), adc=Converter(6, offset))
        slots = slots_of(p, MapOptions(spread=spread, subtract=subtract))
        np.testing.assert_array_equal(np.sort(slots.at), np.arange(columns))
        for width in range(1, columns + 1):
            runs = range(columns - width + 1)
            expected = [len(set(slots.phase[k : k + width].tolist())) for k in runs]
            np.testing.assert_array_equal(slots.reads(width), expected)
        if slots.step == 2:
            pairs = slots.at[: columns // 2 * 2].reshape(-1, 2)
            np.testing.assert_array_equal(pairs[:, 1], pairs[:, 0] + 1)
            assert (pairs[:, 0] % 2 == 0).all()


def test_blocks_begin_where_no_phase_is_lost() -> None:
    slots = slots_of(physics(32, 512), MapOptions(spread="yes"))
    sizes = [Size(32, 40, 5)] * 8  # side by side, every second one would take two phases
    places = packed(sizes, 32, slots, True)
    assert {m for m, _, _ in places} == {0}
    assert sum(5 * len(np.unique(slots.phase[left : left + 40])) for _, _, left in places) == 40


def test_no_more_macros_than_without() -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        sizes = [Size(int(r), 2 * int(c), int(u)) for r, c, u in zip(
            rng.integers(4, 65, 50), rng.integers(1, 33, 50), rng.choice([1, 1, 9], 50), strict=True)]
        found = {}
        for spread in ("no", "yes"):
            slots = slots_of(physics(64, 64), MapOptions(spread=spread))
            places = packed(sizes, 64, slots, True)
            loads = [s.uses * slots.reads(s.columns)[p[2]] for s, p in zip(sizes, places, strict=True)]
            found[spread] = np.bincount([p[0] for p in places], loads)
        assert len(found["yes"]) <= len(found["no"])
        assert found["yes"].max() < found["no"].max()
        assert found["yes"].max() <= 1.75 * max(found["yes"].mean(), max(loads))


@pytest.mark.parametrize(("wires", "stages", "expected"), [
    (Wires("gated", word=2.0, bit=1.0), ("wires",), True), (Wires("driven", word=2.0), ("wires",), False),
    (Wires("driven", word=2.0), ("adc",), True), (Wires("driven", bit=2.0, sense=1.0), ("wires",), True),
    (Wires("driven", driver=9.0), ("wires",), False),
    (Wires("driven", driver=9.0, conducting="all"), ("wires",), True)])
def test_automatic_choice(wires: Wires, stages: tuple[str, ...], expected: bool) -> None:
    p = physics(wires=wires, stages=stages)
    assert spreads(p, MapOptions()) is expected
    assert spreads(p, MapOptions(spread="yes")) and not spreads(p, MapOptions(spread="no"))


def test_driven_rows_lose_more_where_blocks_are_spread() -> None:
    weight, wires = RNG.normal(0, 1, (32, 12)), Wires(word=5.0, bit=1.0)
    p = physics(16, 512, wires=wires)
    lost = {}
    for spread in ("no", "yes", "auto"):
        (x,) = map_network(Lower()(dense(weight)), target(), p, MapOptions(spread=spread)).blocks
        lost[spread] = 1 - currents(x, p, np.ones(12), wires).sum() / currents(x, p, np.ones(12), Wires()).sum()
    assert lost["yes"] > 3 * lost["no"]
    assert lost["auto"] == lost["no"]


def same_but_for_places(a: CrossbarProgram, b: CrossbarProgram) -> None:
    """Blocks that differ in nothing but columns, their phases and the order of writing."""
    for x, y in zip(a.blocks, b.blocks, strict=True):
        for f in fields(Block):
            if f.name not in ("col_at", "phase", "write_order"):
                np.testing.assert_array_equal(getattr(x, f.name), getattr(y, f.name))
        assert (x.col_at != y.col_at).any()


@pytest.mark.parametrize("subtract", ["digital", "analog"])
def test_an_ideal_array_computes_the_same(subtract: str) -> None:
    lowered = Lower()(dense(RNG.normal(0, 1, (20, 30)), RNG.normal(0, 0.2, (20, 20))))
    a, b = (map_network(lowered, target(), physics(64, 128, **IDEAL), MapOptions(
        bits=None, spread=spread, subtract=subtract)) for spread in ("no", "yes"))
    same_but_for_places(a, b)
    check(lowered, b)
    assert network_of(a).digest() == network_of(b).digest()


def test_columns_of_gated_rows_do_not_care_where_they_lie() -> None:
    """What their wires lose depends on where the rows lie on the bit lines, and these lie where they lay."""
    network = liquid(16, 40, seed=3)
    data = Stimulus({"in": events_from_dense(RNG.random((2, 30, 16)) < 0.3, (16,))})
    traces, programs = [], []
    for spread in ("no", "yes"):
        programs.append(hwsdk.compile(network, "memristor", target_options={
            "spread": spread, "bit_ohm": 20.0, "stages": "levels,wires,adc"}))
        traces.append(hwsdk.simulate(programs[-1], data, probes="all"))
    same_but_for_places(*programs)
    assert traces[0].first_difference(traces[1]) is None
    for name in ("conversions", "spikes", "adds"):
        np.testing.assert_array_equal(traces[0].counts[name], traces[1].counts[name])
    np.testing.assert_allclose(traces[0].counts["array_joules"], traces[1].counts["array_joules"], rtol=1e-9)
    np.testing.assert_array_equal(traces[0].counts["step_seconds"], 4 * traces[1].counts["step_seconds"])


def test_phases_of_the_digits_example() -> None:
    network = hwsdk.load(EXAMPLES / "digits.nir", dt=1e-3, reset="value")
    assert [phases_of(network, spread) for spread in ("no", "yes", "auto")] == [(16, 1), (3, 1), (3, 1)]
    assert phases_of(network, "auto", topology="driven") == (16, 1)
    assert phases_of(network, "auto", topology="driven", wires="off") == (3, 1)


@pytest.mark.parametrize(("n", "before", "after"), [(32, 8, 1), (100, 8, 4), (256, 8, 8)])
def test_phases_of_liquids(n: int, before: int, after: int) -> None:
    """256 neurons of two columns fill a macro, and keep all converters busy either way."""
    network = liquid(64, n)
    assert (phases_of(network, "no"), phases_of(network, "auto")) == ((before, 1), (after, 1))


def test_phases_of_kernels(corpus) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SemanticsWarning)
        network = hwsdk.load(corpus / "nir_paper" / "cnn_sinabs.nir", dt=1.0, reset="value")
    assert phases_of(network, "no", conv="im2col") == (5128, 2)
    assert phases_of(network, "auto", conv="im2col") == (641, 2)


def test_what_the_option_takes() -> None:
    with pytest.raises(UnsupportedError, match="BAD_SPREAD"):
        MapOptions(spread="perhaps")
    with pytest.raises(UnsupportedError, match="BAD_OPTION"):
        phases_of(dense(np.ones((2, 2))), "perhaps")
