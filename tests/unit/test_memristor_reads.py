"""Single reads of the crossbar simulator: wires, the energy they take, and read noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from crossbar_programs import CELL, NOISE, random_cells, random_data, random_program, readout, sums
from crossbar_twin import kirchhoff, philox

from hwsdk.errors import ProgramError, UnsupportedError
from hwsdk.ir.crossbar import Device, Law, Wires
from hwsdk.ir.data import Stimulus
from hwsdk.simulators import memristor
from hwsdk.simulators.kernels_philox import normals
from hwsdk.simulators.memristor_decode import network_of
from hwsdk.simulators.wires import grid_of, ladder_noise_variance

WIRES = Wires("driven", 5.0, 5.0, 20.0, 10.0)
GATED = replace(WIRES, topology="gated")
NOISY = {"device": Device(read=NOISE), "stages": ("adc", "read")}


def test_philox_gives_the_published_vectors():
    """kat_vectors of Random123, philox 4x32 with 10 rounds."""
    pi = ((0xA4093822, 0x299F31D0), (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344))
    assert philox((0, 0), (0, 0, 0, 0)) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    assert philox((2**32 - 1,) * 2, (2**32 - 1,) * 4) == (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)
    assert philox(*pi) == (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)


@pytest.mark.parametrize("key", [(0, 0), (2**32 - 1, 2**32 - 1), (0xA4093822, 0x299F31D0)])
@pytest.mark.parametrize("counter", [(0, 0, 0), (2**32 - 1, 2**32 - 1, 2**64 - 1), (7, 11, 0x0370734413198A2E)])
def test_compiled_normals_come_from_these_words(key, counter):
    sample, step, unit = counter
    a, b, c, d = philox(key, (sample, step, unit & (2**32 - 1), unit >> 32))
    u, v = ((a >> 5) * 2.0**26 + (b >> 6) + 0.5) / 2**53, ((c >> 5) * 2.0**26 + (d >> 6)) / 2**53
    expected = np.sqrt(-2 * np.log(u)) * np.array([np.cos(2 * np.pi * v), np.sin(2 * np.pi * v)])
    got = normals(np.uint64(key[0]), np.uint64(key[1]), sample, step, np.uint64(unit))
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_multiplexing_changes_what_wires_cost_and_nothing_else():
    g, x = random_cells(24, 16), np.ones((1, 24))
    ideal = [sums(readout(g, mux=k), x) for k in (1, 8)]
    wires = replace(WIRES, word=20.0)
    wired = [sums(readout(g, mux=k, wires=wires, stages=("wires",)), x) for k in (1, 8)]
    np.testing.assert_array_equal(*ideal)
    assert (wired[0] < wired[1]).all()
    assert (wired[1] < ideal[1]).all()
    loss = 1 - np.sum(wired, axis=(1, 2)) / ideal[0].sum()
    assert loss[0] > 1.5 * loss[1]


def test_all_columns_that_conduct_cost_the_same_with_any_multiplexer():
    g, x = random_cells(12, 8), np.ones((1, 12))
    wires = replace(WIRES, conducting="all")
    a, b = (sums(readout(g, mux=k, wires=wires, stages=("wires",)), x) for k in (1, 4))
    np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("conducting", ["selected", "all"])
def test_energy_is_volts_times_current_times_time(conducting):
    """Against all nodes of the array at once."""
    g, mux = random_cells(6, 8), 2
    wires = replace(WIRES, conducting=conducting)
    program = readout(g, mux=mux, wires=wires, stages=("wires",))
    x = (np.random.default_rng(3).random((9, 6)) < 0.5).astype(float)
    data = Stimulus.dense(x[None], program.input_shapes)
    trace = memristor.run(program, data, probes="all")
    for t in range(9):
        watts, current = 0.0, np.zeros(8)
        for phase in range(mux):
            own = np.flatnonzero(np.arange(8) % mux == phase)
            on = own if conducting == "selected" else np.arange(8)
            grid = grid_of(np.arange(6), on, wires, 6)
            out, taken = kirchhoff(g[:, on], grid.word, grid.bit, 0.2 * x[t])
            watts += 0.2 * x[t] @ taken
            current[own] = out[np.isin(on, own)]
        np.testing.assert_allclose(trace.counts["array_joules"][0, t], watts * 60e-9, rtol=1e-9, atol=1e-30)
        np.testing.assert_allclose(trace.states["sum", "v"][0, t], current, rtol=1e-9, atol=1e-20)


def test_energy_without_wires_is_that_of_the_cells():
    g, x = random_cells(5, 4), np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0]])
    program = readout(g, mux=4)
    trace = memristor.run(program, Stimulus.dense(x[None], program.input_shapes))
    np.testing.assert_allclose(trace.counts["array_joules"][0], [0.2**2 * g[[0, 2, 3]].sum() * 60e-9, 0], rtol=1e-12)


def test_where_a_block_lies_on_the_macro_counts_with_wires_only():
    program = random_program(5, wires=WIRES, stages=("wires",))
    moved = replace(program, blocks=tuple(replace(b, row_at=63 - b.row_at) for b in program.blocks))
    a, b = (memristor.effective_of(p, 0) for p in (program, moved))
    assert np.abs(a / b - 1).max() > 1e-3
    a, b = (memristor.effective_of(p.with_stages(), 0) for p in (program, moved))
    np.testing.assert_array_equal(a, b)


def test_gated_columns_are_not_linear_and_ideal_ones_are():
    program = readout(random_cells(10, 4), wires=GATED, stages=("wires",))
    x = np.zeros((3, 10))
    x[0, :5] = x[1, 5:] = x[2] = 1
    apart, beside, both = sums(program, x)
    assert (both < 0.999 * (apart + beside)).all()
    with pytest.raises(UnsupportedError, match="NOT_LINEAR"):
        network_of(program)
    apart, beside, both = sums(program.with_stages(), x)
    np.testing.assert_allclose(both, apart + beside, rtol=1e-12)
    assert network_of(program.with_stages()).populations


def test_gated_rows_take_one_bit():
    with pytest.raises(ProgramError, match="BAD_DRIVE"):
        memristor.chip_of(readout(random_cells(2, 2), wires=GATED, dac_bits=None))


def test_read_noise_of_ideal_wires_has_the_variance_of_its_cells():
    g, n = random_cells(8, 6), 4000
    program = readout(g, **NOISY)
    x = np.tile([1, 1, 0, 1, 0, 1, 1, 0], (n, 1))
    got = sums(program, x)
    sigma = 0.2 * 0.05 * CELL.window * np.sqrt(5)
    np.testing.assert_allclose(got.mean(0), 0.2 * (x[0] @ g), atol=4.5 * sigma / np.sqrt(n))
    np.testing.assert_allclose(got.var(0) / sigma**2, 1, atol=4.5 * np.sqrt(2 / n))
    cross = np.corrcoef(got.T) - np.eye(6)
    assert np.abs(cross).max() < 4.5 / np.sqrt(n)
    later = np.corrcoef(got[1:, 0], got[:-1, 0])[0, 1]
    assert abs(later) < 4.5 / np.sqrt(n)


def test_read_noise_through_wires_is_that_of_cells_drawn_one_by_one():
    """The fast way against solutions of the wires with disturbed cells."""
    g, n = random_cells(12, 8), 3000
    program = readout(g, mux=2, wires=Wires("driven", 60.0, 60.0, 100.0, 50.0),
                      **NOISY | {"stages": ("wires", "read")})
    chip = memristor.chip_of(program)
    x = (np.arange(12) % 3 > 0).astype(float)
    fast = np.array([chip.read(0, x, step=t) for t in range(n)])
    slow = chip.exact_reads(0, x, n, 5)
    ideal = 0.2 * 0.05 * CELL.window * np.sqrt(x.sum())
    assert (slow.std(0) < 0.9 * ideal).all()
    np.testing.assert_allclose(fast.var(0).mean() / slow.var(0).mean(), 1, atol=4 * np.sqrt(4 / n / 8) + 0.02)
    np.testing.assert_allclose(fast.var(0) / slow.var(0), 1, atol=4.5 * np.sqrt(4 / n))
    np.testing.assert_allclose(fast.mean(0), slow.mean(0), atol=4.5 * slow.std(0).max() * np.sqrt(2 / n))


@pytest.mark.parametrize(("wires", "stages"), [(Wires(), ("read",)), (WIRES, ("wires", "read")),
                                               (GATED, ("wires", "read"))])
def test_one_read_drawn_again_alone_is_that_of_the_run(wires, stages):
    program = readout(random_cells(6, 5), mux=2, wires=wires, **NOISY | {"stages": stages})
    chip = memristor.chip_of(program)
    x = (np.random.default_rng(3).random((3, 8, 6)) < 0.6).astype(float)
    got = chip.run(Stimulus.dense(x, program.input_shapes), probes="all").states["sum", "v"]
    for sample, step in ((0, 0), (2, 7), (1, 4)):
        alone = chip.read(0, x[sample, step], sample=sample, step=step)
        np.testing.assert_allclose(got[sample, step], alone, rtol=2e-6 if wires == WIRES else 1e-12)
    assert np.abs(chip.read(0, x[0, 0]) / chip.read(0, x[0, 0], step=1) - 1).max() > 1e-4


def test_dies_have_noise_of_their_own():
    program = readout(random_cells(6, 5), **NOISY)
    x = np.ones((4, 6))
    assert (sums(program, x) != sums(program.with_die(9999), x)).all()


@pytest.mark.parametrize(("wires", "stages"), [(Wires(), ("adc", "read")), (WIRES, ("adc", "wires", "read")),
                                               (GATED, ("adc", "wires", "read"))])
def test_threads_change_nothing(wires, stages):
    program = random_program(11, wires=wires, device=Device(read=NOISE), stages=stages)
    data = random_data(program, 4, samples=5)
    one, two = (memristor.chip_of(program, threads=k).run(data, probes="all", threads=k) for k in (1, 2))
    assert one.first_difference(two) is None
    for name in one.counts:
        np.testing.assert_array_equal(one.counts[name], two.counts[name])


def test_samples_do_not_touch_each_other_without_read_noise():
    program = random_program(12, wires=WIRES, stages=("adc", "wires"))
    data = random_data(program, 4, samples=4)
    together = memristor.run(program, data, probes="all")
    for k in range(4):
        alone = memristor.run(program, data.one(k), probes="all")
        for key, state in alone.states.items():
            np.testing.assert_array_equal(together.states[key][k], state[0])


def test_read_noise_of_gated_columns_is_what_a_ladder_lets_through():
    g, n = random_cells(10, 6), 3000
    program = readout(g, wires=Wires("gated", 0.0, 150.0, 100.0, 100.0), **NOISY | {"stages": ("wires", "read")})
    chip = memristor.chip_of(program)
    m, x = chip.models[0], np.arange(10) % 3 > 0
    got = np.array([chip.read(0, x, step=t) for t in range(n)])
    expected = ladder_noise_variance(g, x, m.ladder, 0.2, m.sigma)
    assert (expected < 0.8 * (0.2 * m.sigma[0, 0]) ** 2 * x.sum()).all()
    np.testing.assert_allclose(got.var(0) / expected, 1, atol=4.5 * np.sqrt(2 / n) + 0.02)


@pytest.mark.parametrize("wires", [replace(WIRES, word=1e-6, bit=1e-6, driver=0.0, sense=0.0),
                                   Wires("gated", 0.0, 0.0), Wires("gated", 1e-6, 1e-6)])
def test_noise_of_weak_cells_is_gaussian_on_every_way(wires):
    """A cut at 0 S would make them stronger on average and quieter; with a resistance of nothing nothing changes."""
    g = np.full((16, 1), 0.02 * CELL.window)
    program = readout(g, wires=wires, stages=("wires", "read"), device=Device(read=Law("range", {"a": 0.05})))
    data = Stimulus.dense(np.ones((1, 20_000, 16)), program.input_shapes)
    v = memristor.run(program, data, probes="all").states["sum", "v"][0, :, 0]
    deviation = 0.05 * CELL.window * program.physics.volts * 4
    assert abs(v.mean() - 16 * g[0, 0] * program.physics.volts) < 4 * deviation / np.sqrt(len(v))
    assert v.std() == pytest.approx(deviation, rel=0.02)
