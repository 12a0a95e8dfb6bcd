"""Dies: each non-ideality alone has its published distribution, draws belong to places, a seed is a chip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from device_laws import (
    DAY,
    PCM,
    PCM_1F,
    PCM_DRIFT,
    QUARTIC,
    RRAM40,
    RRAM40_CELL,
    US,
    WAN_1S,
    cell,
    one_block,
    physics,
    program,
)
from scipy import stats

from hwsdk.errors import TargetError
from hwsdk.ir.crossbar import Cell, Converter, Device, Forming, Law
from hwsdk.simulators import devices, devices_verify
from hwsdk.simulators.memristor_die import (
    converters,
    die_of,
    dies,
    first_columns,
    made,
    read_back,
    read_sigma_of,
    stream,
    writes_of,
)

DEVICE = Device(QUARTIC, Law("proportional", {"a": 0.02}), PCM_DRIFT, RRAM40, stuck_on=0.02, stuck_off=0.03)
ALL = ("levels", "write", "faults", "drift", "wires", "adc", "read")


def targets(rows=200, columns=160, g_max=40.0):
    """Eight conductances in turn, from 4 uS to nearly g_max."""
    return np.resize(np.linspace(0.1, 0.97, 8) * g_max * US, (rows, columns))


def made_of(stages, target=None, mask=None, device=DEVICE, the_cell=None, **more):
    target = targets() if target is None else target
    place = {n: more.pop(n) for n in ("kind", "macro", "row_at", "col_at") if n in more}
    return program(physics(the_cell or cell(40), device, stages=stages, **more), one_block(target, mask, **place))


def test_no_stage_leaves_the_targets_bit_for_bit():
    assert (die_of(made_of(()), 0) == targets()).all()
    assert (die_of(made_of(("levels", "wires", "adc", "read")), 0) == targets()).all()


def test_write_errors_alone_have_the_published_sigma_in_every_bin():
    target = targets()
    error = (die_of(made_of(("write",)), 0) - target) / US
    for k, g in enumerate(np.linspace(0.1, 0.97, 8)):
        sigma = sum(c * g ** i for i, c in enumerate(WAN_1S))
        z = error[target == target.ravel()[k]] / sigma
        assert len(z) == 4000
        assert 1e-4 < stats.chi2.cdf((z ** 2).sum(), len(z)) < 1 - 1e-4
        assert stats.kstest(z, "norm").pvalue > 1e-4


def test_write_errors_are_independent_from_cell_to_cell():
    z = (die_of(made_of(("write",)), 0) - targets()) / devices.write_sigma(QUARTIC, cell(40), targets())
    n = z.size
    for other in (np.roll(z, 1, 0), np.roll(z, 1, 1), np.roll(z, 8, 1)):
        assert abs((z * other).sum()) < 4 * np.sqrt(n)


def test_stuck_cells_alone_are_the_published_shares():
    g = die_of(made_of(("faults",), np.full((200, 160), 20 * US), the_cell=cell(40, 2)), 0)
    for value, share in ((40 * US, 0.02), (2 * US, 0.03), (20 * US, 0.95)):
        low, high = stats.binom.interval(1 - 1e-4, g.size, share)
        assert low <= (g == value).sum() <= high


def test_drift_alone_has_the_published_exponents():
    g = np.full((200, 160), 2.5 * US)
    later = die_of(made_of(("drift",), g, the_cell=cell(25), seconds=DAY), 0)
    nu = -np.log(later / g) / np.log((DAY + 20) / 20)
    m, s = -0.0155 * np.log(0.1) + 0.0244, -0.0125 * np.log(0.1) - 0.0059
    assert stats.kstest(nu.ravel(), stats.foldnorm(m / s, scale=s).cdf).pvalue > 1e-3


def test_converters_alone_have_the_spread_of_the_target_and_neighbours_share_one():
    p = made_of(("adc",), targets(2, 512), adc=Converter(8, offset=0.5, gain=0.02))
    gains, offsets = [], []
    for die in range(40):
        gain, offset = converters(p.with_die(die), 0)
        assert (gain.reshape(64, 8) == gain[::8, None]).all() and len(set(gain)) == 64
        gains.append(gain[::8])
        offsets.append(offset[::8])
    z = (np.array(gains).ravel() - 1) / 0.02
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert stats.kstest(np.array(offsets).ravel() / 0.5, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(z, np.array(offsets).ravel())[0, 1]) < 4 / np.sqrt(z.size)
    gain, offset = converters(p.with_stages("write"), 0)
    assert (gain == 1).all() and (offset == 0).all() and len(gain) == 512


def test_a_channel_of_two_columns_has_the_converter_of_the_first():
    b = one_block(targets(2, 6), col_at=np.array([9, 3, 17, 16, 8, 30]))
    b = replace(b, channel=np.array([0, 0, 1, 1, 2, 2]), phase=np.zeros(3))
    assert first_columns(b).tolist() == [3, 16, 8]


def test_read_noise_is_that_of_the_law_and_off_without_its_stage():
    p = made_of(ALL)
    g = die_of(p, 0)
    assert read_sigma_of(p, 0, g) == pytest.approx(0.02 * g, rel=1e-12)
    assert (read_sigma_of(p.with_stages("write"), 0, g) == 0).all()


def test_the_read_noise_of_pcm_takes_q_from_what_was_written():
    p = made_of(ALL, targets(40, 30, 25), device=Device(PCM, PCM_1F, PCM_DRIFT), the_cell=cell(25), seconds=DAY)
    g, start = die_of(p, 0), made(p, 0).g
    assert (g < start).any()
    assert (read_sigma_of(p, 0, g) == devices.read_sigma(PCM_1F, cell(25), g, DAY, start)).all()


def test_native_cells_are_formed_by_chance():
    mask = np.ones((200, 160), np.uint8)
    mask[:, ::4] = 0
    g = die_of(made_of((), np.zeros(mask.shape), mask, kind="native", the_cell=RRAM40_CELL), 0)
    formed = g != RRAM40_CELL.g_off
    assert not formed[mask == 0].any()
    assert stats.binomtest(int(formed.sum()), int(mask.sum()), 0.503).pvalue > 1e-3
    assert stats.kstest(np.log(g[formed] / (12.14 * US)) / 0.149, "norm").pvalue > 1e-3


def test_a_higher_forming_voltage_forms_more_cells_and_none_less():
    """The breakdown voltage belongs to the cell: those that form at 30 % form at 60 %, too, and to the same value."""
    weak, strong = (die_of(made_of((), np.zeros((60, 60)), kind="native", the_cell=RRAM40_CELL, device=Device(
        forming=Forming(share, 12 * US, 0.2))), 0) for share in (0.3, 0.6))
    formed = weak != RRAM40_CELL.g_off
    assert (strong[formed] == weak[formed]).all()
    assert 0.4 < formed.sum() / (strong != RRAM40_CELL.g_off).sum() < 0.6


def test_a_native_block_needs_a_forming():
    with pytest.raises(TargetError, match="nothing is known of their forming"):
        die_of(made_of((), kind="native", device=Device()), 0)


def test_cells_outside_the_mask_are_pristine_and_neither_written_nor_drifting():
    mask = np.ones((50, 40), np.uint8)
    mask[::2] = 0
    everything = made_of(("write", "drift"), targets(50, 40), mask, the_cell=cell(40, g_off=0.1 * US), seconds=DAY)
    assert (die_of(everything, 0)[::2] == 0.1 * US).all()
    without = made_of(("write",), targets(50, 40), mask, the_cell=cell(40, 2.0))
    assert (die_of(without, 0)[::2] == 2.0 * US).all()


def test_pristine_cells_can_be_stuck():
    mask = np.zeros((100, 100), np.uint8)
    g = die_of(made_of(("faults",), targets(100, 100), mask, the_cell=cell(40, 2, g_off=0.1 * US)), 0)
    assert set(np.unique(g)) == {0.1 * US, 2 * US, 40 * US}


def test_stuck_cells_drift_as_cells_of_what_they_are_stuck_at():
    """nu of a cell at G_max is N(0.049, 0.008), whatever was to be written and if anything was."""
    stuck = Device(drift=PCM_DRIFT, stuck_on=1.0)
    for mask in (np.zeros((60, 50)), np.ones((60, 50))):
        half = np.full((60, 50), 0.5 * US)
        p = made_of(("faults", "drift"), half, mask, device=stuck, the_cell=cell(25), seconds=DAY)
        nu = -np.log(die_of(p, 0) / (25 * US)) / np.log((DAY + 20) / 20)
        assert stats.kstest(nu.ravel(), stats.norm(0.049, 0.008).cdf).pvalue > 1e-3


def test_conductances_stay_physical():
    loud = Device(Law("range", {"a": 1.0}), drift=Law("cmo", {"mean_us": 0.0, "spread_us": 0.0, "base_us": 50.0}))
    for stages in (("write",), ("write", "drift")):
        g = die_of(made_of(stages, device=loud, the_cell=cell(40, ceiling=50 * US), seconds=DAY), 0)
        assert g.min() == 0 and g.max() == 50 * US
    assert die_of(made_of(("write",), device=loud), 0).max() > 60 * US  # no ceiling


def test_a_die_is_the_same_bytes_and_two_dies_differ():
    p = made_of(ALL, seconds=DAY)
    again = made_of(ALL, seconds=DAY)
    assert die_of(p, 0).tobytes() == die_of(again, 0).tobytes() == dies(p)[0].tobytes()
    other = die_of(p.with_die(1), 0)
    assert (other != die_of(p, 0)).mean() > 0.99
    z = [(die_of(made_of(("write",), die=d), 0) - targets()) / devices.write_sigma(QUARTIC, cell(40), targets())
         for d in (0, 1)]
    assert abs((z[0] * z[1]).sum()) < 4 * np.sqrt(z[0].size)


def test_a_stage_that_is_off_leaves_the_draws_of_the_others():
    """Write errors, stuck cells, drift exponents are the same with and without the other two."""
    p = made_of(ALL, seconds=DAY)
    full, plain = die_of(p, 0), targets()
    write, faults, drift = (die_of(p.with_stages(s), 0) for s in ("write", "faults", "drift"))
    stuck = faults != plain
    both = die_of(p.with_stages("write", "faults"), 0)
    assert (both == np.where(stuck, faults, write)).all()
    expected = np.clip(write * (drift / plain), 0, None)  # nu depends on the target, so the factor is the same
    assert full[~stuck] == pytest.approx(expected[~stuck], rel=1e-12)


def test_draws_belong_to_cells_of_the_macro():
    """A block elsewhere on the macro, or in another order of rows, sees the errors of its own cells."""
    whole = die_of(made_of(ALL, np.full((64, 48), 20 * US), seconds=DAY), 0)
    rows, columns = np.array([40, 3, 17]), np.array([30, 2, 47, 11])
    part = made_of(ALL, np.full((3, 4), 20 * US), row_at=rows, col_at=columns, seconds=DAY)
    assert (die_of(part, 0) == whole[np.ix_(rows, columns)]).all()
    elsewhere = made_of(ALL, np.full((64, 48), 20 * US), macro=1, seconds=DAY)
    assert (die_of(elsewhere, 0) != whole).mean() > 0.9


def test_verified_writes_count_their_pulses():
    law = Law("verified", {"a": 0.1, "tolerance": 0.04, "pulses": 6})
    mask = np.ones((100, 80), np.uint8)
    mask[0] = 0
    p = made_of(("write",), targets(100, 80), mask, device=Device(law))
    g, writes = die_of(p, 0), writes_of(p, 0)
    near = np.abs(g - targets(100, 80)) <= 0.04 * 40 * US
    assert (near | writes.missed)[1:].all() and not (near & writes.missed).any()
    assert (writes.pulses[0] == 0).all() and not writes.missed[0].any()
    assert writes.pulses.min(where=mask != 0, initial=9) == 1 and writes.pulses.max() == 6
    assert (writes.pulses[writes.missed] == 6).all()
    lost = (1 - devices_verify.hit(0.1, 0.04)) ** 6
    missed = sum(int(writes_of(p.with_die(d), 0).missed.sum()) for d in range(10))
    assert stats.binomtest(missed, 10 * int(mask.sum()), lost).pvalue > 1e-3
    off = writes_of(p.with_stages(), 0)
    assert (off.pulses == mask).all() and not off.missed.any()


def test_a_verified_write_of_a_part_gives_what_the_whole_gives():
    law = Device(Law("verified", {"a": 0.1, "tolerance": 0.02, "pulses": 5}))
    whole = die_of(made_of(("write",), np.full((30, 40), 20 * US), device=law), 0)
    part = made_of(("write",), np.full((5, 6), 20 * US), device=law, row_at=np.arange(5) + 7, col_at=np.arange(6))
    assert (die_of(part, 0) == whole[7:12, :6]).all()


def test_reading_back_errs_by_a_share_of_the_window():
    p = made_of(ALL, np.full((200, 160), 30 * US), the_cell=cell(40, 10), device=Device())
    g = die_of(p, 0)
    z = (read_back(p, 0, 0.02, 5) - g) / (0.02 * 30 * US)
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    many = (read_back(p, 0, 0.02, 5, reads=25) - g) / (0.02 * 30 * US)
    assert many.std() == pytest.approx(0.2, rel=0.02)
    assert (read_back(p, 0, 0.0, 5) == g).all()
    assert (read_back(p, 0, 0.02, 5) == read_back(p, 0, 0.02, 5)).all()
    assert (read_back(p, 0, 0.02, 6) != read_back(p, 0, 0.02, 5)).all()
    assert read_back(p, 0, 3.0, 5).min() == 0


def test_a_row_of_a_stage_can_be_drawn_again_alone():
    """The documented stream: PCG64 of SeedSequence(die, spawn_key=(STAGE_ID, macro, physical row, use))."""
    p = made_of(("write",), macro=3, die=11)
    z = stream(11, 2, 3, 70, 0).standard_normal(160)
    row = targets()[70]
    expected = row + devices.write_sigma(QUARTIC, cell(40), row) * z
    assert (die_of(p, 0)[70] == np.clip(expected, 0, None)).all()


def test_a_seed_below_0_is_refused():
    with pytest.raises(TargetError, match="a seed cannot be -1") as caught:
        die_of(made_of(("write",), die=-1), 0)
    assert caught.value.code == "BAD_DIE"


def test_a_cell_without_levels_or_g_off_is_a_plain_window():
    plain = Cell(1 * US, 5 * US)
    assert plain.window == 4 * US and plain.g_off is None
    g = die_of(made_of((), np.zeros((40, 40)), kind="native", the_cell=plain), 0)
    assert (g == 1 * US).any()  # an unformed cell of a target that knows no pristine state has g_min
