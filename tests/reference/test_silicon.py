"""Predictions against published measurements of Loihi and Loihi 2, row by row (benchmarks/silicon.py).

The bands hold what the model says today, good and bad, so that a change of it is noticed. Why a row is off is told in
docs/loihi_silicon.md. Nothing was fitted to the core energies; the host's fixed time was fitted to two of the rows.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import silicon

from hwsdk.errors import TargetError
from hwsdk.targets import load_target
from hwsdk.targets.silicon import load_rows

PAGE = Path(__file__).resolve().parents[2] / "docs" / "loihi_silicon.md"
ELEVEN, EIGHTEEN = "quartz_mnist_T2^", "quartz_mnist18_T2^"
BANDS = {
    # energy of the neuro-cores: within 15 % where the steps dominate; short runs lack triggers and bias delays
    (ELEVEN + "3", "core energy"): (0.75, 0.95), (ELEVEN + "4", "core energy"): (0.90, 1.10),
    (ELEVEN + "6", "core energy"): (0.95, 1.10), (EIGHTEEN + "3", "core energy"): (0.65, 0.90),
    (EIGHTEEN + "4", "core energy"): (0.75, 0.95), (EIGHTEEN + "5", "core energy"): (0.90, 1.05),
    (EIGHTEEN + "6", "core energy"): (0.95, 1.10), (EIGHTEEN + "7", "core energy"): (0.90, 1.05),
    # time without the x86: a fixed part an inference is missing, which weighs in short runs
    (ELEVEN + "3", "chip time"): (0.30, 0.50), (ELEVEN + "4", "chip time"): (0.40, 0.65),
    (ELEVEN + "6", "chip time"): (0.70, 0.95), (EIGHTEEN + "3", "chip time"): (0.45, 0.75),
    (EIGHTEEN + "4", "chip time"): (0.55, 0.80), (EIGHTEEN + "5", "chip time"): (0.65, 0.90),
    (EIGHTEEN + "6", "chip time"): (0.70, 0.95), (EIGHTEEN + "7", "chip time"): (0.70, 0.95),
    # with the host: fitted to the first and the last, held out the others
    (ELEVEN + "3", "latency"): (0.80, 1.00), (ELEVEN + "4", "latency"): (0.85, 1.05),
    (ELEVEN + "6", "latency"): (1.00, 1.20), (EIGHTEEN + "3", "latency"): (0.65, 0.75),
    (EIGHTEEN + "7", "latency"): (0.70, 0.85), ("pilotnet_sdnn", "latency"): (0.99, 1.02),
    (ELEVEN + "4", "x86 energy"): (0.85, 1.05), (EIGHTEEN + "4", "x86 energy"): (0.65, 0.80),
    # static power of the cores in use: one figure for all rows; the many-chip board draws more
    (ELEVEN + "4", "core static power"): (0.90, 1.05), (EIGHTEEN + "4", "core static power"): (0.85, 1.00),
    ("quartz_cifar_T2^7", "core static power"): (0.60, 0.65), ("quartz_cifar_T2^7", "x86 clock power"): (0.999, 1.001),
    # the host terms of one chip say nothing about a board of 16
    ("quartz_cifar_T2^7", "latency"): (0.01, 0.03), ("nxtf_mnist", "latency"): (0.5, 0.7),
    # inside the published range
    ("sanafe_dvs_silicon", "step time"): (1.0, 1.0), ("sanafe_dvs_silicon", "step energy"): (1.0, 1.0),
    # another tool's model of the same chip
    ("sanafe_dvs_model", "step time"): (0.5, 1.25), ("sanafe_dvs_model", "step energy"): (0.90, 1.02),
    ("sanafe_random_model", "step time"): (0.90, 1.0), ("sanafe_random_model", "step energy"): (0.999, 1.001),
    ("pilotnet_sdnn", "total energy"): (0.98, 1.06),
}
"""(row, quantity) -> the band of predicted over measured."""


@pytest.fixture(scope="module")
def compared():
    return {row.id: silicon.table.compare(row) for row in load_rows()}


def line(compared, row: str, quantity: str):
    return next(x for x in compared[row].lines if x.measured.quantity == quantity)


@pytest.mark.parametrize(("row", "quantity"), BANDS)
def test_the_ratio_stays_in_its_band(compared, row, quantity):
    low, high = BANDS[row, quantity]
    assert low <= line(compared, row, quantity).ratio <= high


@pytest.mark.parametrize("row", [ELEVEN + x for x in "346"] + [EIGHTEEN + x for x in "34567"])
def test_the_stated_range_of_latency_holds_the_measured_one(compared, row):
    found = line(compared, row, "latency")
    assert found.predicted.low <= found.measured.value <= found.predicted.high


def test_one_more_step_takes_what_the_chip_model_says(compared):
    """Differences between runs of one network: fixed times fall out, so this is the model of the step alone."""
    for group, time, energy in ((ELEVEN, (0.85, 1.15), (0.98, 1.15)), (EIGHTEEN, (0.70, 1.0), (0.90, 1.05))):
        rows = [c for name, c in compared.items() if name.startswith(group)]
        for quantity, (low, high) in (("chip time", time), ("core energy", energy)):
            measured, predicted = silicon.table.slope(rows, quantity)
            assert low <= predicted / measured <= high


def test_the_hosts_fixed_time_is_the_fit_that_its_source_describes(compared):
    """Two rows fitted, the third predicted: 7 % too short; the five rows of the other version 20 to 31 %."""
    figure = next(h.value for h in load_target("loihi1").host if h.per == "inference")
    fit = silicon.table.host_fit(list(compared.values()), (ELEVEN + "3", ELEVEN + "6"))
    assert figure == pytest.approx(fit, rel=0.05)
    assert abs(line(compared, ELEVEN + "4", "latency").ratio - 1) < 0.10
    assert all(0.68 < line(compared, EIGHTEEN + x, "latency").ratio < 0.82 for x in "34567")


def test_x86_power_follows_from_the_probes(compared):
    """Dynamic x86 power = 18 mW clock + 6 mW x active ratio, the same in every row (NxSDK's attribution)."""
    clock, code = (next(h.value for h in load_target("loihi1").host if h.per == per) for per in ("whole", "active"))
    for name, c in compared.items():
        if name.startswith((ELEVEN, EIGHTEEN)):
            by = {x.measured.quantity: x.measured.value for x in c.lines}
            active = 1 - by["chip time"] / by["latency"]
            assert by["x86 energy"] / by["latency"] == pytest.approx(clock + code * active, rel=1e-3)


def test_no_loihi2_energy_is_priced_with_loihi1(compared):
    for c in compared.values():
        if c.row.chip == "loihi2":
            assert all(x.predicted is None or x.predicted.value is None or x.predicted.missing or
                       x.measured.unit == "s" for x in c.lines)


def test_published_loihi2_rows_bound_power_and_set_no_price(compared):
    bounds = {name: silicon.table.bounds(c.row) for name, c in compared.items() if c.row.chip == "loihi2"}
    assert {name for name, found in bounds.items() if found} == {"forcecontrol_loihi2", "meszaros_shd", "clp_snn"}
    assert "at most 48.61 uJ of it is dynamic" in bounds["meszaros_shd"][0]
    assert "does not hold a whole chip's static energy" in bounds["clp_snn"][0]
    assert all(p.value is None for p in load_target("loihi2").energy)


def test_a_row_that_is_not_rebuilt_says_why(compared):
    for c in compared.values():
        assert c.row.source
        if c.row.build in ("none", "counts"):
            assert len(c.row.reason) > 20
        else:
            assert c.row.activity
            assert c.row.build in silicon.silicon_networks.BUILDERS


def test_the_page_shows_the_table_as_it_is_printed(compared):
    text = PAGE.read_text("utf-8")
    assert silicon.table.table(list(compared.values())) == silicon.table.shown(text)[1], \
        "run: python benchmarks/silicon.py --write docs/loihi_silicon.md"


def test_unknown_families_are_refused():
    with pytest.raises(TargetError, match=r"^\[UNKNOWN_TARGET\]"):
        load_rows("abacus")
