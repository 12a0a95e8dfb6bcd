"""The crossbar simulator: converters, slices, schedule, dies, walks, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from crossbar_programs import NOISE, TIMING, liquid, random_cells, random_data, random_program, readout, sums

from hwsdk.errors import DataError, OverflowInStrictMode, ProgramError
from hwsdk.ir.crossbar import Converter, Device, Wires
from hwsdk.ir.data import Stimulus
from hwsdk.programs.crossbar import Segment
from hwsdk.simulators import memristor, reference
from hwsdk.simulators.memristor_decode import network_of

WIRES = Wires("driven", 5.0, 5.0, 20.0, 10.0)


# --- converters -------------------------------------------------------------------------------------------------------

def test_transfer_curve_is_a_staircase_of_equal_steps():
    """Codes rise one by one and are all equally wide: INL and DNL are 0; what lies beyond is clipped and counted."""
    bits, per_code = 5, 17
    program = readout([[1e-6]], volts=1.0, step=per_code * 1e-6, codes=(0, 2**bits - 1), dac_bits=None)
    x = np.arange(-20, per_code * (2**bits + 2))[:, None]
    data = Stimulus.dense(x[None], program.input_shapes)
    trace = memristor.run(program, data, probes="all")
    code = np.rint(trace.states["sum", "v"][0, :, 0] / (per_code * 1e-6)).astype(int)
    assert (np.diff(code) >= 0).all()
    edges = x[1:, 0][np.diff(code) > 0]
    assert len(edges) == 2**bits - 1
    np.testing.assert_array_less(np.abs(edges - (np.arange(2**bits - 1) + 0.5) * per_code), 1.01)
    below, above = (x < -per_code / 2).sum(), (x > per_code * (2**bits - 0.5)).sum()
    assert trace.counts["adc_clips"].sum() == below + above


@pytest.mark.parametrize("bits", [6, 8, 10, 12])
def test_signal_to_noise_of_a_full_sine_is_that_of_its_bits(bits):
    n, top = 4096, 2**24
    x = np.rint(top * np.sin(2 * np.pi * 67 * (np.arange(n) + 0.37) / n))[:, None]
    step = 2 * top * 1e-9 / 2**bits
    program = readout([[1e-9]], volts=1.0, step=step, codes=(-(2 ** (bits - 1)), 2 ** (bits - 1)), dac_bits=None)
    signal, got = x[:, 0] * 1e-9, sums(program, x)[:, 0]
    ratio = 10 * np.log10(np.mean(signal**2) / np.mean((got - signal) ** 2))
    assert abs(ratio - (6.0206 * bits + 1.76)) < 0.3


def test_gain_and_offset_move_the_codes_of_their_own_channel():
    g, step = random_cells(4, 6), 2e-7
    x = (np.random.default_rng(1).random((50, 4)) < 0.5).astype(float)
    off = readout(g, mux=1, step=step, codes=(-50, 300), adc=Converter(8, 3.0, 0.05))
    chip = memristor.chip_of(off)
    m = chip.models[0]
    assert np.ptp(m.gain) > 0.01
    assert np.ptp(m.offset) > 0.5
    expected = np.rint(0.2 * (x @ g) * m.gain / step + m.offset) * step
    np.testing.assert_allclose(sums(off, x), expected, rtol=1e-12)


def test_what_a_silent_step_gives_is_the_code_at_no_current():
    """It is skipped, and is not silent in its effect where a converter is more than half a step off."""
    program = readout(random_cells(4, 6), step=2e-7, codes=(-50, 300), adc=Converter(8, 3.0, 0.05))
    offset = memristor.chip_of(program).models[0].offset
    data = Stimulus.dense(np.zeros((1, 3, 4)), program.input_shapes)
    trace = memristor.run(program, data, probes="all")
    np.testing.assert_allclose(trace.states["sum", "v"][0], np.tile(np.rint(offset) * 2e-7, (3, 1)), rtol=1e-12)
    assert np.rint(offset).any()
    assert trace.counts["phases_skipped"].sum() == 3
    assert not trace.counts["conversions"].any()
    assert not trace.counts["array_joules"].any()


def test_strict_names_block_channel_step_and_sample():
    program = readout(np.full((3, 2), 40e-6), step=1e-6, codes=(0, 20))
    x = np.zeros((2, 5, 3))
    x[1, 3] = 1
    data = Stimulus.dense(x, program.input_shapes)
    assert memristor.run(program, data).counts["adc_clips"].sum() == 2
    with pytest.raises(OverflowInStrictMode, match="ADC_CLIP") as caught:
        memristor.run(program, data, strict=True)
    assert "24 steps" in str(caught.value)
    for part in ("sample 1", "block b", "channel 0", "step 3", "0 to 20"):
        assert part in str(caught.value)
    memristor.run(program, data.one(0), strict=True)


def test_graded_inputs_are_the_same_in_slices_and_at_once():
    g = np.round(random_cells(5, 4) / 1e-6) * 2.0**-20
    x = np.random.default_rng(2).integers(-40, 41, (30, 5))
    whole = sums(readout(g, volts=1.0, dac_bits=None), x)
    np.testing.assert_array_equal(whole, x @ g)
    for bits in (1, 2, 3, 8):
        np.testing.assert_array_equal(sums(readout(g, volts=1.0, dac_bits=bits), x), whole)


def test_every_slice_is_a_read_with_conversions_of_its_own():
    program = readout([[11.2e-6, 30.8e-6]], volts=1.0, step=4e-6, codes=(0, 255), dac_bits=2)
    data = Stimulus.dense(np.array([[[1], [9], [-9], [-16], [0]]]), program.input_shapes)
    trace = memristor.run(program, data, probes="all")
    np.testing.assert_array_equal(trace.counts["reads"], [[1, 2, 2, 1, 0]])
    np.testing.assert_array_equal(trace.counts["phases_skipped"], [[0, 0, 0, 2, 1]])
    np.testing.assert_array_equal(trace.counts["conversions"], [[2, 4, 4, 2, 0]])
    np.testing.assert_array_equal(trace.counts["adds"], [[2, 4, 4, 2, 0]])
    one, two = np.array([3, 8]) * 4e-6, np.array([6, 15]) * 4e-6
    expected = [one, one + 4 * two, -one - 4 * two, -16 * one, 0 * one]
    np.testing.assert_allclose(trace.states["sum", "v"][0], expected, rtol=1e-12)


# --- schedule ---------------------------------------------------------------------------------------------------------

def test_a_step_of_a_512_macro_takes_560_ns():
    """64 inputs and 256 neurons of two columns on 64 converters that read 8 columns one after the other."""
    program = liquid(64, 256)
    x = np.zeros((1, 3, 64))
    x[0, 1, 7] = 1
    trace = memristor.run(program, Stimulus.dense(x, program.input_shapes))
    np.testing.assert_allclose(trace.counts["step_seconds"][0], [0, 560e-9, 0], rtol=1e-12)
    np.testing.assert_array_equal(trace.counts["conversions"][0], [0, 512, 0])
    np.testing.assert_array_equal(trace.counts["row_drives"][0], [0, 8, 0])
    np.testing.assert_array_equal(trace.counts["shift_bits"][0], [256] * 3)
    np.testing.assert_array_equal(trace.counts["neuron_updates"][0], [256] * 3)


def test_macros_work_side_by_side_and_blocks_of_one_after_each_other():
    program = readout(random_cells(3, 4), mux=2)
    b = program.blocks[0]
    three = replace(program, macros=2, blocks=(b, replace(b, name="c", macro=1), replace(b, name="d", macro=1)))
    data = Stimulus.dense(np.ones((1, 2, 3)), program.input_shapes)
    trace = memristor.run(three, data)
    np.testing.assert_allclose(trace.counts["macro_seconds"], [[4 * 70e-9, 8 * 70e-9]], rtol=1e-12)
    np.testing.assert_allclose(trace.counts["step_seconds"], [[4 * 70e-9] * 2], rtol=1e-12)
    log = memristor.event_log(three, data)
    drives = log[(log["kind"] == "drive") & (log["step"] == 1)]
    np.testing.assert_allclose(drives["time_s"][drives["block"] == 2], (4 + np.array([2, 3])) * 70e-9, rtol=1e-12)
    np.testing.assert_allclose(drives["time_s"][drives["block"] == 0], (4 + np.array([0, 1])) * 70e-9, rtol=1e-12)
    converts = log[log["kind"] == "convert"]
    np.testing.assert_allclose(converts["time_s"][:2], [60e-9, 60e-9], rtol=1e-12)
    assert (np.diff(log["time_s"]) >= 0).all()


def test_conversions_that_overlap_shorten_a_phase():
    program = readout(random_cells(3, 4), mux=2, timing=replace(TIMING, overlap=True))
    trace = memristor.run(program, Stimulus.dense(np.ones((1, 1, 3)), program.input_shapes))
    np.testing.assert_allclose(trace.counts["step_seconds"], [[2 * 60e-9]], rtol=1e-12)


# --- dies, twins, walks -----------------------------------------------------------------------------------------------

def test_conductances_from_outside_are_a_chip_of_their_own():
    program = random_program(3, wires=WIRES, stages=("adc", "wires"))
    data = random_data(program, 3)
    other = [b.target_s * 0.9 for b in program.blocks]
    chip = memristor.chip_of(program, other)
    for got, expected in zip(chip.conductances, other, strict=True):
        np.testing.assert_array_equal(got, expected)
    same = reference.run(network_of(program, other), data, probes="all").first_difference(chip.run(data, probes="all"))
    assert same is None
    np.testing.assert_array_equal(memristor.effective_of(program, 0, other), chip.models[0].weight.T)
    assert memristor.run(program, data, probes="all").first_difference(chip.run(data, probes="all")) is not None
    for wrong in (other[:-1], [-g for g in other], [g[:, :-1] for g in other], [g * np.nan for g in other]):
        with pytest.raises(DataError, match="BAD_CONDUCTANCES"):
            memristor.chip_of(program, wrong)


def test_a_written_block_without_errors_has_its_targets():
    program = readout(random_cells(4, 3))
    np.testing.assert_array_equal(memristor.effective_of(program, 0), 0.2 * program.blocks[0].target_s.T)


def test_step_by_step_is_the_same_as_a_run_also_when_it_is_long():
    program = random_program(21, adc=Converter(8, 0.8), wires=WIRES, device=Device(read=NOISE),
                             stages=("adc", "wires", "read"))
    data = random_data(program, 1, steps=150, samples=1)
    expected, moving = memristor.run(program, data), memristor.walk(program)
    for _ in range(2):
        for t in range(expected.n_steps):
            given = {n: e.at_step(t)[0] if t < e.n_steps else np.zeros(e.n) for n, e in data.inputs.items()}
            out = moving.step(given)
            for name, events in expected.spikes.items():
                np.testing.assert_array_equal(out[name], events.at_step(t)[0])
        trace = moving.trace()
        assert expected.first_difference(trace) is None
        for name in expected.counts:
            np.testing.assert_array_equal(expected.counts[name], trace.counts[name])
        assert moving.steps == expected.n_steps
        moving.reset()
    with pytest.raises(DataError, match="NO_DATA"):
        moving.trace()
    with pytest.raises(DataError, match="WRONG_INPUTS"):
        moving.step({})
    with pytest.raises(DataError, match="SHAPE_MISMATCH"):
        moving.step({n: np.zeros((3, 99)) for n in program.input_shapes})


def test_an_output_of_two_populations_is_their_sum():
    program = random_program(7)
    one = program.populations[0]
    twice = replace(program, populations=(*program.populations, replace(one, name="again")),
                    blocks=(*program.blocks, *(replace(b, target="again", name=f"{b.name}x") for b in program.blocks
                                               if b.target == one.name)),
                    outputs={"both": (one.name, "again")})
    data = random_data(program, 2, rate=0.5)
    expected = reference.run(network_of(twice), data)
    got = memristor.run(twice, data)
    assert expected.first_difference(got) is None
    assert got.spikes["both"].values().max() == 2


def test_a_network_without_inputs_runs_by_its_biases():
    program = random_program(30)
    cell = replace(program.populations[0].cell, bias=program.populations[0].cell.bias + 0.5)
    first = replace(program.populations[0], cell=cell)
    own = [replace(b, target=first.name, segments=(Segment(first.name, 1, b.rows),),
                   row_source=np.zeros_like(b.row_source), entry_out=np.minimum(b.entry_out, first.n - 1))
           for b in program.blocks[:1]]
    alone = replace(program, inputs=(), populations=(first,), blocks=tuple(own), outputs={"out": (first.name,)})
    data = Stimulus.silent(20, 2)
    expected, got = reference.run(network_of(alone), data, probes="all"), memristor.run(alone, data, probes="all")
    assert expected.n_spikes() > 0
    assert expected.first_difference(got) is None


def test_progress_reaches_the_end():
    program, said = random_program(1), []
    data = random_data(program, 1, steps=2500, samples=2)
    trace = memristor.run(program, data, progress=lambda done, total: said.append((done, total)))
    assert said[-1] == (2 * trace.n_steps, 2 * trace.n_steps)
    assert len(said) == 6
    assert [d for d, _ in said] == sorted(d for d, _ in said)


def test_more_spikes_than_the_buffer_holds_are_all_there():
    program = liquid(8, 200, step=0.0)
    cell = replace(program.populations[0].cell, bias=np.full(200, 2.0))
    program = replace(program, populations=(replace(program.populations[0], cell=cell),))
    trace = memristor.run(program, Stimulus.dense(np.zeros((1, 1500, 8)), program.input_shapes))
    assert trace.counts["spikes"].sum() == len(trace.spikes["liquid"]) > 2**17


# --- refusals ---------------------------------------------------------------------------------------------------------

def test_data_that_do_not_suit_are_refused():
    program = readout(random_cells(3, 2))
    with pytest.raises(DataError, match="FRACTIONAL_INPUT"):
        sums(program, np.full((2, 3), 0.5))
    with pytest.raises(DataError, match="WRONG_INPUTS"):
        memristor.run(program, Stimulus.dense({"x": np.zeros((1, 2, 3))}, {"x": (3,)}))
    with pytest.raises(DataError, match="SHAPE_MISMATCH"):
        memristor.run(program, Stimulus.dense({"in": np.zeros((1, 2, 4))}, {"in": (4,)}))
    with pytest.raises(DataError, match="BAD_THREADS"):
        sums(program, np.zeros((2, 3)), threads=0)
    with pytest.raises(DataError, match="NO_SUCH_STATE"):
        memristor.run(program, Stimulus.dense(np.zeros((1, 2, 3)), program.input_shapes), probes=[("sum", "w")])


@pytest.mark.parametrize("changes", [
    {"target": "nobody"}, {"macro": 7}, {"segments": (Segment("in", 0, 2),)}, {"segments": (Segment("sum", 1, 3),)},
    {"segments": (Segment("in", -1, 3),)}, {"row_source": np.array([[0, 1, 3]])}, {"channel": np.array([0, 2])},
    {"entry_out": np.array([[0, 2]])}, {"entry_channel": np.array([0, -1])}, {"sign": np.ones(3)},
    {"target_s": np.ones((2, 3))}])
def test_programs_that_do_not_hold_together_are_refused(changes):
    program = readout(random_cells(3, 2))
    broken = replace(program, blocks=(replace(program.blocks[0], **changes),))
    for use in (memristor.chip_of, network_of):
        with pytest.raises(ProgramError, match="block b"):
            use(broken)
