"""The crossbar runner of the firmware against the simulator: every spike and every state, bit for bit.

Damaged images and states are refused, and never reach outside their memory.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import memristor_small as small
import numpy as np
import pytest
from crossbar_programs import NOISE, liquid, random_data, random_program, readout
from shell import STUBS, Refused, Shell, build

import hwsdk
from hwsdk.backends.memristor_emit import emit_measured
from hwsdk.backends.memristor_import import import_conductances
from hwsdk.compiler import load_data
from hwsdk.errors import DataError, UnsupportedError
from hwsdk.hil.image_crossbar import image_of, readings_of, report_of
from hwsdk.ir.crossbar import Converter, Device, Law, Wires
from hwsdk.ir.data import Stimulus
from hwsdk.lsm.liquid import liquid as liquid_of
from hwsdk.programs.crossbar import Segment
from hwsdk.simulators import memristor
from hwsdk.simulators.memristor_die import writes_of

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SANITIZED = ("-std=c11", "-O0", "-g", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-D_POSIX_C_SOURCE=200809L",
             "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
E_IMAGE, E_RANGE, E_NOMEM = 0x41, 0x23, 0x26
ARRAYS = ("memristor", "memristor_128", "memristor_ideal", "memristor_isaac", "memristor_neurram", "memristor_pcm")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("there is no C compiler: apt install gcc")
    return build(tmp_path_factory.mktemp("crossbar"), ("crossbar",))


def fed(image, one):
    """Step -> (elements, values) of one sample, all inputs together, ascending."""
    step = np.concatenate([np.zeros(0, int), *(one.inputs[e.name].step for e in image.inputs)])
    index = np.concatenate([np.zeros(0, int), *(one.inputs[e.name].index + e.first for e in image.inputs)])
    value = np.concatenate([np.zeros(0), *(one.inputs[e.name].values() for e in image.inputs)])
    order = np.lexsort((index, step))
    ends = np.searchsorted(step[order], np.arange(one.n_steps + 1))
    parts = [order[a:b] for a, b in pairwise(ends)]
    return [(index[p], None if (value[p] == 1).all() else value[p]) for p in parts]


def same(library, program, data, samples=1, conductances=None, **options):
    """Run it on the device and in the simulator -> values that were sent; fails at the first difference."""
    image = image_of(program, conductances, **options)
    device, trace = Shell(library, image.data), memristor.chip_of(program, conductances).run(data, probes="all")
    silent, sent = (np.zeros(0, int), None), 0
    state = device.state()
    for k in range(samples):
        device.reset()
        given = fed(image, data.one(k))
        wanted = {p.name: trace.spikes[p.name].one(k).dense()[0].reshape(trace.n_steps, -1) for p in image.populations}
        for t in range(trace.n_steps):
            found, values = device.step(t, *(given[t] if t < len(given) else silent))
            got, raw = np.zeros(image.n_out), state.tobytes()
            got[found] = values
            sent += len(found)
            for p in image.populations:
                where = f"sample {k}, step {t}, population {p.name}"
                np.testing.assert_array_equal(got[p.first : p.first + p.n], wanted[p.name][t], where)
                for s in ("u", "v"):
                    assert image.states[p.name, s].read(raw).tobytes() == trace.states[p.name, s][k, t].tobytes(), where
    return sent


def quiet(program):
    """Without read noise."""
    return program.with_stages(*(s for s in program.physics.stages if s != "read"))


def any_program(seed):
    """A random program with any array, and data that suit it."""
    rng = np.random.default_rng(seed)
    gated = bool(rng.random() < 0.4)
    wires = Wires("gated" if gated else "driven", *rng.choice([0.0, 0.5, 20.0], 2), *rng.choice([0.0, 50.0], 2),
                  str(rng.choice(["selected", "all"])))
    program = random_program(
        seed, adc=Converter(8, float(rng.choice([0, 0.8])), float(rng.choice([0, 0.05]))), wires=wires,
        stages=tuple(s for s in ("adc", "wires") if rng.random() < 0.7),
        dac_bits=1 if gated else [1, 2, 3, 24, None][rng.integers(5)])
    return program, random_data(program, seed, graded=int(rng.choice([0, 3, 1 << 30])))


@pytest.mark.parametrize("name", ARRAYS)
def test_digits_on_every_array(library, name):
    network = hwsdk.load(EXAMPLES / "digits.nir", dt=1e-3, reset="value")
    calibration = load_data(EXAMPLES / "digits_calibration.npz", network, limit=50)
    program = quiet(hwsdk.compile(network, name, data=calibration))
    assert same(library, program, load_data(EXAMPLES / "digits_test.npz", network, limit=4), 4) > 200


def test_random_programs(library):
    assert sum(same(library, *any_program(seed), 2) for seed in range(40)) > 2000


@pytest.mark.slow
def test_many_random_programs(library):
    assert sum(same(library, *any_program(seed), 2) for seed in range(100, 1100)) > 50_000


def test_every_stage_of_a_die(library):
    """Errors of writing, stuck cells, wires and converters of a program written by hand, and of its twin."""
    program = quiet(small.program())
    assert same(library, program, small.stimulus(6), 6) > 20
    measured = memristor.chip_of(program.with_die(9)).conductances
    assert same(library, program, small.stimulus(3), 3, measured) > 10
    assert image_of(program).data != image_of(program, measured).data


def test_cells_that_forming_made(library):
    """A native block, and a liquid of native cells as for spoken digits."""
    assert same(library, quiet(small.native()), small.stimulus(3), 3) > 10
    program = hwsdk.compile(liquid_of(16, 48), "memristor", target_options={"native": "liquid", "scale": "source"})
    assert any(b.kind == "native" for b in program.blocks)
    assert same(library, program, random_data(program, 1, steps=30, samples=2, rate=0.3), 2) > 100


def test_a_recurrent_liquid(library):
    program = liquid(24, 64)
    assert same(library, program, random_data(program, 2, steps=40, samples=1, rate=0.2)) > 100


@pytest.mark.parametrize("bits", [1, 3, 24, None])
def test_graded_inputs_of_both_signs_are_read_slice_by_slice(library, bits):
    program = readout(np.random.default_rng(0).uniform(1e-6, 5e-5, (6, 4)), mux=2, step=2e-7, codes=(-128, 127),
                      dac_bits=bits, adc=Converter(8, 0.8, 0.05), die=3)
    x = np.array([[[1, 1, 1, 0, 0, 1], [3, -3, 0, 0, 7, 1], [-(2**31 - 1), 2**31 - 1, 0, 1, 5, -1], [0] * 6]])
    assert same(library, program, Stimulus.dense(x, program.input_shapes)) > 8


def test_long_delays_and_inputs_that_are_late(library):
    """Segments that hear one sender at several delays, beyond a word of the shift register."""
    program = liquid(4, 40)
    b = program.blocks[0]
    late = replace(b, segments=(Segment("in", 0, 2), Segment("in", 37, 2), Segment("liquid", 1, 20),
                                Segment("liquid", 50, 20)))
    data = random_data(program, 4, steps=130, samples=2, rate=0.5)
    assert same(library, replace(program, blocks=(late,)), data, 2) > 1000


def alone(**cell):
    """Eight neurons that hear only each other."""
    program = liquid(4, 8)
    b, p = program.blocks[0], program.populations[0]
    own = replace(b, segments=(Segment("liquid", 1, 8), Segment("liquid", 2, 4)),
                  row_source=np.r_[np.arange(8), np.arange(4)][None].astype(np.int32))
    return replace(program, inputs=(), blocks=(own,), populations=(replace(p, cell=replace(p.cell, **cell)),))


def test_a_network_without_inputs_runs_by_its_biases(library):
    assert same(library, alone(bias=np.linspace(0.1, 0.6, 8)), Stimulus.silent(20)) > 20


def test_a_neuron_exactly_at_its_threshold(library):
    """decay_v 0 and a bias of 1, the threshold: it spikes at once, or never."""
    one = {"bias": np.ones(8), "decay_v": np.zeros(8)}
    assert same(library, alone(comparison=">=", **one), Stimulus.silent(1)) == 8
    assert same(library, alone(comparison=">", **one), Stimulus.silent(9)) == 0


@pytest.mark.slow
def test_cnn_sinabs(library, corpus):
    """Kernels read position by position, on two macros of gated columns with resistance, and without wires."""
    network = hwsdk.load(corpus / "nir_paper" / "cnn_sinabs.nir", dt=1.0, reset="value")
    calibration = load_data(corpus / "nmnist" / "nmnist_train300.npz", network, limit=4)
    data = load_data(corpus / "nmnist" / "nmnist_test_0_49.npz", network, limit=2)
    for options in ({}, {"wires": "off"}):
        program = hwsdk.compile(network, "memristor", data=calibration, target_options=options)
        assert same(library, program, data, 2) > 10_000


def test_read_noise_is_refused():
    program = random_program(5, device=Device(read=NOISE), stages=("adc", "read"))
    with pytest.raises(UnsupportedError, match=r"(?s)READ_NOISE.*emulated.*with_stages\('adc'\)"):
        image_of(program)


def test_the_controller_writes_and_reads_back_every_cell(library, tmp_path):
    """Its readings are a twin of the die, as arrays and as a file."""
    program = quiet(small.program())
    image = image_of(program, readings=True)
    device = Shell(library, image.data)
    state = device.state().tobytes()
    written, missed = report_of(state)
    made, aims = memristor.chip_of(program).conductances, [b.target_s for b in program.blocks]
    half = 0.5 * small.CELL.window / (small.LEVELS - 1)
    assert written == sum(int(b.mask.sum()) for b in program.blocks)
    assert missed == sum(int((np.abs(g - a) > half).sum()) for g, a in zip(made, aims, strict=True)) > 10
    found = readings_of(program, image, state)
    assert all(np.array_equal(a, b) for a, b in zip(found, made, strict=True))
    emit_measured(program, "csv", found).save(tmp_path / "board.csv")
    again = import_conductances(program, tmp_path / "board.csv")
    assert all(np.array_equal(a, b) for a, b in zip(again, made, strict=True))
    assert same(library, program, small.stimulus(1), readings=True) > 0


def test_writing_without_errors_misses_nothing(library):
    program = small.program(small.physics(("levels",)))
    plain = image_of(program)
    device = Shell(library, plain.data)
    assert report_of(device.state().tobytes()) == (sum(b.mask.size for b in program.blocks), 0)
    with pytest.raises(DataError, match="NO_READINGS"):
        readings_of(program, plain, bytes(10_000))


def test_a_verified_write_is_held_against_its_own_tolerance(library):
    law = Law("verified", {"a": 0.1, "tolerance": 0.04, "pulses": 3})
    program = small.program(small.physics(("levels", "write"), write=law))
    device = Shell(library, image_of(program).data)
    missed = sum(int(writes_of(program, k).missed.sum()) for k in range(len(program.blocks)))
    assert report_of(device.state().tobytes())[1] == missed > 0


def test_a_state_can_be_taken_and_put_back(library):
    program, data = any_program(8)
    image = image_of(program)
    device, given = Shell(library, image.data), fed(image, data.one(0))

    def go(first, last):
        return [device.step(t, *given[t]) for t in range(first, last)]

    go(0, 5)
    held = device.state().copy()
    expected = go(5, len(given))
    device.reset()
    device.state()[:] = held
    assert device.check_state() == 0
    for (a, x), (b, y) in zip(expected, go(5, len(given)), strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(x, y)


def test_a_state_that_cannot_be_is_refused(library):
    program = liquid(4, 8)
    device = Shell(library, image_of(program).data)
    own = device.state().view("<u4")
    n = len(program.populations[0].cell.bias)
    for word in (2 + 4 * n, len(own) - 1):  # steps that a neuron rests; a shift register
        held = own.copy()
        own[word] ^= 1
        assert device.check_state() == E_RANGE
        own[:] = held
        assert device.check_state() == 0


def damaged(image, section, byte, value, form="<I"):
    """The image with one number changed."""
    data = bytearray(image.data)
    at, size = struct.unpack_from("<II", data, 64 + 8 * section)
    assert byte < size
    struct.pack_into(form, data, at + byte, value)
    return bytes(data)


DAMAGE = {
    "settings: bits": (0, 12, 25, "too many bits"), "settings: flags": (0, 24, 4, "unknown flag"),
    "settings: inputs": (0, 0, 1 << 31, "not there"), "settings: blocks": (0, 8, 99, "not there"),
    "sender: elements": (2, 0, 5, "those of the header"), "sender: depth": (2, 4, 0, "held for so long"),
    "population: fires": (3, 8, 0, "do not fire"), "block: rows": (6, 0, 1 << 30, "less than its blocks need"),
    "block: columns": (6, 4, 0, "without rows, columns"), "block: target": (6, 24, 1, "or target"),
    "block: fewer uses": (6, 12, 0, "without rows"), "block: written": (6, 48, 0, "more than it should"),
    "segment: sender": (7, 0, 2, "no such sender"), "segment: rows": (7, 8, 0, "no such sender"),
    "segment: delay": (7, 4, 9, "no such sender"), "segment: no delay": (7, 16, 0, "no such sender"),
    "source": (8, 0, 4, "element"), "source: negative": (8, 0, -2, "element"), "row": (9, 0, 99, "outside its macro"),
    "column": (10, 0, 99, "outside its macro"), "phase": (13, 0, 8, "phase"),
    "channel of a column": (14, 0, 16, "channel"),
    "sign": (14, 4, 0, "channel"), "channel of an entry": (16, 0, 16, "channel"), "neuron": (17, 0, 8, "neuron"),
    "cell": (18, 0, 12 * 16, "cell"), "cell twice": (18, 0, 1, "written twice"),
    "weight": (11, 0, float("nan"), "number"), "step": (12, 0, float("inf"), "number"),
    "coefficient": (15, 0, float("nan"), "number"), "conductance": (20, 8, float("inf"), "number"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_image_is_refused(library, what):
    section, byte, value, text = DAMAGE[what]
    form = "<d" if isinstance(value, float) else "<i" if value < 0 else "<I"
    with pytest.raises(Refused, match=text) as caught:
        Shell(library, damaged(image_of(liquid(4, 8)), section, byte, value, form))
    assert caught.value.status == E_IMAGE


def test_ranks_and_memory_are_checked(library):
    program = liquid(4, 8, wires=Wires("gated", 1.0, 1.0), stages=("wires", "adc"))
    image = image_of(program)
    for rank in (12, 1):
        with pytest.raises(Refused, match="rank"):
            Shell(library, damaged(image, 22, 0, rank))
    with pytest.raises(Refused) as caught:
        Shell(library, image.data, arena=1024)
    assert caught.value.status == E_NOMEM
    assert 1024 < caught.value.value < 16384


def fuzz_build(folder, stubs=STUBS):
    """The fuzzer under sanitizers; skips where the compiler has none."""
    if not shutil.which("gcc"):
        pytest.skip("there is no gcc with sanitizers: apt install gcc")
    (folder / "probe.c").write_text("int main(void) { return 0; }\n")
    if subprocess.run(["gcc", *SANITIZED, folder / "probe.c", "-o", folder / "probe"], capture_output=True).returncode:
        pytest.skip("gcc has no libasan or libubsan: apt install libgcc-12-dev, or that of your gcc")
    renamed = ("-Dhw_take=plain_take", "-Dhw_section=plain_section")
    subprocess.run(["gcc", *SANITIZED, *renamed, "-I", STUBS / "common", "-c", STUBS / "common/image.c",
                    "-o", folder / "image.o"], check=True)
    subprocess.run(["gcc", *SANITIZED, Path(__file__).with_name("crossbar_fuzz.c"), folder / "image.o",
                    *sorted((stubs / "crossbar").glob("*.c")), "-o", folder / "fuzz"], check=True)
    files = []
    for seed in range(24):
        program, _ = any_program(seed)
        files.append(folder / f"{seed}.bin")
        files[-1].write_bytes(image_of(program, readings=seed % 5 == 0).data)
    return [folder / "fuzz"], files


def fuzz(folder, seed, rounds, stubs=STUBS):
    program, files = fuzz_build(folder, stubs)
    return subprocess.run([*program, str(seed), str(rounds), *files], capture_output=True, text=True, check=False)


def test_damaged_images_and_states_stay_within_their_memory(tmp_path):
    found = fuzz(tmp_path, 1, 10_000)
    assert found.returncode == 0, found.stderr
    refused, ran = (int(x) for x in found.stdout.split() if x.isdigit())
    assert min(refused, ran) > 2000


@pytest.mark.slow
def test_many_damaged_images(tmp_path):
    found = fuzz(tmp_path, 2, 1_000_000)
    assert found.returncode == 0, found.stderr


@pytest.mark.slow
@pytest.mark.parametrize("check", ["s->sender >= c->senders || ", " || s->delay >= c->sender[s->sender].depth",
                                   "b->rank[r] >= b->rows || "])
def test_the_fuzzer_finds_a_check_that_is_missing(tmp_path, check):
    stubs = tmp_path / "stubs"
    shutil.copytree(STUBS / "common", stubs / "common")
    shutil.copytree(STUBS / "crossbar", stubs / "crossbar")
    text = (stubs / "crossbar/blocks.c").read_text()
    assert text.count(check) == 1
    (stubs / "crossbar/blocks.c").write_text(text.replace(check, ""))
    assert "Sanitizer" in fuzz(tmp_path, 1, 100_000, stubs).stderr
