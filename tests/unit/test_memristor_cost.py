"""What a crossbar program costs: the budget of one step of a liquid, added up by hand, and what is told beside it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from hwsdk.backends import memristor_cost
from hwsdk.backends.memristor_cost import estimate, operations
from hwsdk.cost import CostReport
from hwsdk.errors import DataError, TargetError
from hwsdk.ir.data import Events
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.trace import Trace
from hwsdk.programs.crossbar import Block, CrossbarProgram, Population, Segment, block
from hwsdk.programs.stored import Port
from hwsdk.targets import load_target
from hwsdk.targets.memristor import MemristorTarget

TARGET = load_target("memristor", MemristorTarget)
IDEAL = load_target("memristor_ideal", MemristorTarget)
SAMPLES, STEPS = 25, 1
ROWS = (41,) * 24 + (32,)
"""Active rows of each sample; their mean is 40.64 = 0.255 x 64 + 0.095 x 256."""
ACTIVE, COLUMNS, MUX, VOLTS = 40.64, 512, 8, 0.2
SIEMENS = 14.25e-6 * 0.5
OPS = 2 * ACTIVE * COLUMNS


def lif(n: int) -> DiscreteLIF:
    return DiscreteLIF(*(np.full(n, x) for x in (0.0, 0.9, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)))


def tile(rows: int, columns: int, *, per_channel: int = 1, mux: int = MUX, uses: int = 1, kind: str = "written",
         formed: float = 1.0) -> Block:
    channels = columns // per_channel
    mask = np.zeros(rows * columns)
    mask[: round(rows * columns * formed)] = 1
    return block(
        name="b", target="liquid", macro=0, kind=kind, segments=(Segment("in", 0, rows),), code_min=-32, code_max=31,
        target_s=np.zeros((rows, columns)), mask=mask.reshape(rows, columns), row_at=np.arange(rows),
        col_at=np.arange(columns), row_source=np.zeros((uses, rows)), channel=np.arange(columns) // per_channel,
        sign=np.ones(columns), phase=np.arange(channels) % mux, step_a=np.ones(channels),
        entry_channel=np.arange(channels), entry_coef=np.ones(channels), entry_out=np.zeros((uses, channels)),
        write_order=np.arange(rows * columns))


def program(*blocks: Block, target: MemristorTarget = TARGET, **changes) -> CrossbarProgram:
    return CrossbarProgram(
        "liquid", target.name, "1", target.digest(), "", (Port("in", (64,)),), (Population("liquid", lif(256)),),
        {"out": ("liquid",)}, 1, 1, target.physics(**changes), blocks or (tile(320, COLUMNS),), Semantics())


def trace(seconds: float = 60e-9, **changed) -> Trace:
    """One step of the liquid on every sample. seconds: that a cell conducts in all phases together."""
    rows = np.array(ROWS)[:, None]
    counts = {
        "row_drives": rows * MUX, "conversions": np.full_like(rows, COLUMNS), "phases": np.full_like(rows, MUX),
        "cell_reads": rows * COLUMNS, "column_reads": np.full_like(rows, COLUMNS),
        "array_joules": rows * COLUMNS * VOLTS**2 * SIEMENS * seconds, "neuron_updates": np.full_like(rows, 256),
        "step_seconds": np.full(rows.shape, MUX * 70e-9), "adds": np.zeros_like(rows),
        "shift_bits": np.zeros_like(rows)}
    none = np.zeros(0, np.int64)
    return Trace(SAMPLES, STEPS, {"liquid": Events((256,), SAMPLES, STEPS, none, none, none)},
                 counts={**counts, **changed})


def priced(counted: Trace | None = None, own: CrossbarProgram | None = None, **options) -> CostReport:
    return estimate(own or program(), counted or trace(), TARGET, options=options)


def extra(report: CostReport, name: str):
    return {e.name: e for e in report.extra}[name].amount


def text_of(report: CostReport, name: str) -> str:
    return {e.name: e for e in report.extra}[name].to_text()


def part(report: CostReport, name: str) -> float:
    return sum(i.amount().value or 0.0 for i in report.items if i.name == name)


def test_the_budget_of_a_step():
    """560 ns and 1.547 nJ: cells 0.356, ADC 0.829, word lines 0.101, bit lines 0.005, neurons 0.256."""
    report = priced()
    assert report.latency.value == pytest.approx(560e-9)
    found = {n: part(report, n) * 1e9 for n in ("cells and wires", "ADC, 6 bits", "word line", "bit line",
                                               "neuron update")}
    assert found == pytest.approx({"cells and wires": 0.356, "ADC, 6 bits": 0.829, "word line": 0.101,
                                   "bit line": 0.005, "neuron update": 0.256}, abs=6e-4)
    assert report.energy_dynamic.value == pytest.approx(1.547e-9, rel=1e-3)
    assert part(report, "ADC, 6 bits") / report.energy_dynamic.value == pytest.approx(0.54, abs=5e-3)
    assert extra(report, "operations").value == pytest.approx(41_615, abs=1)
    assert extra(report, "energy an operation").value == pytest.approx(37.2e-15, rel=1e-3)
    assert extra(report, "operations a joule").value == pytest.approx(1 / 37.2e-15, rel=1e-3)


@pytest.mark.parametrize(("bits", "nj", "fj"), [(4, 1.437, 34.5), (6, 1.547, 37.2), (8, 2.053, 49.3)])
def test_more_bits_take_more(bits, nj, fj):
    report = priced(own=program(adc_bits=bits), adc_model="murmann")
    assert report.energy_dynamic.value == pytest.approx(nj * 1e-9, rel=1e-3)
    assert report.energy_dynamic.low == report.energy_dynamic.high
    assert extra(report, "energy an operation").value == pytest.approx(fj * 1e-15, rel=2e-3)


def test_columns_that_are_not_gated_conduct_all_the_time():
    assert part(priced(trace(560e-9)), "cells and wires") == pytest.approx(3.32e-9, rel=2e-3)


def test_128_steps_of_an_utterance():
    """198 nJ and 71.7 us."""
    one = trace()
    steps = 128
    counts = {n: np.repeat(c, steps, axis=1) for n, c in one.counts.items()}
    long = dataclasses.replace(one, n_steps=steps, counts=counts)
    report = priced(long)
    assert report.latency.value == pytest.approx(71.7e-6, rel=1e-3)
    assert report.energy_dynamic.value == pytest.approx(198e-9, rel=1e-3)
    assert extra(report, "energy an operation").value == pytest.approx(37.2e-15, rel=1e-3)


def test_published_models_of_an_adc_make_a_band():
    band, high, low = priced(), priced(adc_model="murmann"), priced(adc_model="neurosim")
    assert band.energy_dynamic.value == band.energy_dynamic.high == high.energy_dynamic.value
    assert band.energy_dynamic.low == pytest.approx(low.energy_dynamic.value)
    assert low.energy_dynamic.value < 0.6 * high.energy_dynamic.value
    assert high.energy_dynamic.low == high.energy_dynamic.value
    op = extra(band, "energy an operation")
    assert op.low == pytest.approx(low.energy_dynamic.value / OPS)
    rate = extra(band, "operations a joule")
    assert (rate.low, rate.high) == (pytest.approx(1 / op.high), pytest.approx(1 / op.low))
    sources = " ".join(str(c["source"]) for c in band.constants)
    assert "Murmann" in sources and "NeuroSim in 45 nm" in sources


def test_anchors_are_told_beside():
    report = priced()
    assert extra(report, "beside it, silicon of 40 nm at its peak").value == 8.4e-15
    assert extra(report, "beside it, ESGNN on COLLAB").value == 13.5e-15
    assert extra(report, "beside it, ESGNN on MUTAG").value == 221e-15
    assert "8.4 fJ/op, 256 x 256 macro" in report.to_text()
    own = extra(report, "energy an operation")
    assert own.low > 8.4e-15 and 13.5e-15 < own.value < 221e-15


def test_area_of_cells_and_converters():
    """512 x 512 x 48 F2; 64 ADCs of 4,633 to 5,574 um2."""
    report = priced()
    cells, adcs, whole = (extra(report, n) for n in ("area of cells", "area of ADCs", "area"))
    assert cells.value == pytest.approx(512 * 512 * 48 * 1.6e-9)
    assert 64 * 4633e-6 < adcs.value < 64 * 5574e-6
    assert adcs.low < 0.7 * adcs.value and adcs.high == adcs.value
    assert whole.value == pytest.approx(cells.value + adcs.value)
    assert whole.missing == ("area of digital circuits",)
    assert "at least; not published: area of digital circuits" in text_of(report, "area")
    fewer = priced(own=program(mux=16))
    assert extra(fewer, "area of ADCs").value == pytest.approx(adcs.value / 2)


def test_what_nobody_published_makes_sums_lower_bounds():
    report = priced()
    assert report.energy_static.value is None
    assert report.energy_total.missing == ("leakage and clocks",)
    assert not report.energy_dynamic.is_lower_bound
    assert "(at most)" in text_of(report, "operations a joule")
    delayed = priced(trace(shift_bits=np.full((SAMPLES, 1), 64)))
    assert delayed.energy_dynamic.missing == ("shift register, bit",)
    assert delayed.energy_dynamic.value == report.energy_dynamic.value


def test_digital_additions():
    more = priced(trace(adds=np.full((SAMPLES, 1), 512)))
    assert more.energy_dynamic.value - priced().energy_dynamic.value == pytest.approx(512 * 0.1e-12)


def test_the_energy_of_a_neuron_can_be_given():
    report = priced(neuron_pj="2.5")
    assert part(report, "neuron update") == pytest.approx(256 * 2.5e-12)
    given = next(c for c in report.constants if c["name"] == "neuron update")
    assert (given["value"], given["source"]) == (2.5e-12, "as given")


def test_prices_are_those_of_the_physics_that_was_compiled():
    wide = priced(own=program(volts=0.4, columns=256))
    assert part(wide, "word line") == pytest.approx(part(priced(), "word line") / 2)
    assert part(wide, "bit line") == pytest.approx(part(priced(), "bit line") * 4)
    shown = {str(c["name"]) for c in priced(own=program(adc_bits=8)).constants}
    assert "ADC, 8 bits" in shown and "ADC, 6 bits" not in shown and "time settle" in shown


def test_an_ideal_array_has_no_energies():
    own = program(tile(320, COLUMNS, mux=1), target=IDEAL)
    report = estimate(own, trace(), IDEAL)
    assert report.energy_dynamic.value is None
    assert set(report.energy_dynamic.missing) >= {"cells and wires", "ideal ADC", "neuron update"}
    assert extra(report, "operations").value > 0
    assert extra(report, "operations a joule").value is None
    assert extra(report, "area").value is None
    assert all(i.price is None for i in report.items)
    assert "unknown" in report.to_text()


def test_a_pair_that_is_subtracted_before_conversion_charges_two_bit_lines():
    pair = program(tile(320, COLUMNS, per_channel=2))
    half = trace(conversions=np.full((SAMPLES, 1), 256))
    report = priced(half, pair)
    assert part(report, "bit line") == pytest.approx(part(priced(), "bit line"))
    assert part(report, "ADC, 6 bits") == pytest.approx(part(priced(), "ADC, 6 bits") / 2)


def test_operations_are_two_for_each_cell_that_is_read():
    assert operations(trace()).value == pytest.approx(OPS)
    fewer = trace(cell_reads=np.full((SAMPLES, 1), 1000))
    assert operations(fewer).value == 2000
    assert extra(priced(fewer), "operations").value == 2000



def test_cells_in_use_and_their_writing():
    report = priced(own=program(tile(320, COLUMNS), tile(10, 10, kind="native", formed=0.4)))
    assert extra(report, "cells in use").value == 320 * 512 + 40
    assert extra(report, "cells formed and left").value == 40
    assert "62.5%" in text_of(report, "cells in use")
    assert extra(report, "energy of writing, once").missing == ("write of a cell",)
    assert "inferences that take as much" not in {e.name for e in report.extra}
    only = priced(own=program(tile(10, 10, kind="native", formed=0.4)))
    assert "energy of writing, once" not in {e.name for e in only.extra}
    assert extra(priced(own=program(tile(320, COLUMNS, uses=9))), "reads of a block in a step, most").value == 9


def test_a_known_energy_of_writing_is_told_in_inferences():
    energy = [p.model_copy(update={"value": 1e-12}) if p.per == "cell_writes" else p for p in TARGET.energy]
    report = estimate(program(), trace(), TARGET.model_copy(update={"energy": energy}))
    assert extra(report, "energy of writing, once").value == pytest.approx(320 * 512 * 1e-12)
    assert extra(report, "inferences that take as much").value == pytest.approx(
        320 * 512 * 1e-12 / report.energy_total.value)
    assert report.energy_dynamic.value == priced().energy_dynamic.value, "writing is no part of an inference"


def test_steps_without_anything_to_read():
    idle = trace(step_seconds=np.array([[560e-9]] * 20 + [[0.0]] * 5))
    report = priced(idle)
    assert report.latency.value == pytest.approx(0.8 * 560e-9)
    assert report.slowest == pytest.approx({"reads of the busiest macro": 0.8, "nothing to read": 0.2})
    assert (report.latency_samples == [560e-9] * 20 + [0.0] * 5).all()


def test_what_is_in_and_what_is_out():
    report = priced()
    assert report.included and report.omitted
    assert memristor_cost.DIGITAL_TIME in report.omitted
    assert all(i.price is None or i.price.value > 0 for i in report.items)
    found = json.loads(json.dumps(report.to_dict()))
    assert found["energy_dynamic"]["low"] < found["energy_dynamic"]["value"]
    assert found["extra"]["energy an operation"]["unit"] == "J/op"
    assert report.to_text(sources=True).count("\n") > 60


@pytest.mark.parametrize(("options", "code"), [
    ({"adc": "murmann"}, "UNKNOWN_OPTION"), ({"adc_model": "best"}, "BAD_OPTION"), ({"neuron_pj": 0}, "BAD_OPTION"),
    ({"neuron_pj": "much"}, "BAD_OPTION"), ({"neuron_pj": float("nan")}, "BAD_OPTION")])
def test_options_that_are_refused(options, code):
    with pytest.raises(TargetError, match=rf"^\[{code}\]"):
        priced(**options)


def test_what_is_refused():
    own, counted = program(), trace()
    for more, code in (({"boundary": "host"}, "NO_HOST"), ({"proxy": "x"}, "NO_PROXY")):
        with pytest.raises(TargetError, match=rf"^\[{code}\]"):
            estimate(own, counted, TARGET, **more)
    with pytest.raises(DataError, match=r"^\[NO_COUNTS\]"):
        estimate(own, dataclasses.replace(counted, counts={}), TARGET)
    fewer = {k: v for k, v in counted.counts.items() if k != "array_joules"}
    with pytest.raises(DataError, match="it does not count array_joules"):
        estimate(own, dataclasses.replace(counted, counts=fewer), TARGET)
    with pytest.raises(DataError, match="it has no population liquid of 256 neurons"):
        estimate(own, dataclasses.replace(counted, spikes={}), TARGET)
