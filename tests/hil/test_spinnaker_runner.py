"""The firmware's runner of SpiNNaker 2 programs against the simulator: every spike and, after every step, every state
and every weight that learns. Images that are damaged are refused.

On the device cnn_sinabs takes 556,368 bytes for its image, of which the PEs' memories are most, and less than 256 kB
for what the runner adds (125,580 of that is state); the language model on 129 PEs 197,528 and less than 128 kB.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
from pathlib import Path

import cam_memories as memories
import m4_programs
import numpy as np
import pytest
from random_networks import random_conv_network, random_network
from random_networks import random_stimulus as network_stimulus
from shell import Refused, Shell, build
from spinnaker_by_hand import Hand, everything, gated, phased
from spinnaker_programs import MACHINE, Chance, random_stimulus
from spinnaker_small import MEMORY, SmallChip, small_backend

import hwsdk
from examples import cam_memory as cam
from examples import l2mu_braille as l2mu
from examples.egru_lm import deploy
from examples.egru_lm.text import HELD_OUT_SEED, encode, write
from hwsdk.backends.base import CompileOptions
from hwsdk.errors import FitError, UnsupportedError
from hwsdk.hil.image import DeviceImage
from hwsdk.hil.image_spinnaker import image_of
from hwsdk.hil.session import late
from hwsdk.ir.data import Stimulus
from hwsdk.ir.formats import load_data
from hwsdk.ir.network import Network
from hwsdk.ir.trace import Trace
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.programs.spinnaker_image import HEADER_FIELDS
from hwsdk.simulators import spinnaker

sys.path.append(str(Path(__file__).resolve().parents[1] / "property"))
from test_random_single import random_learning, without_first_step

REFUSED = (UnsupportedError, FitError)


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler `cc`; install one, e.g. apt install gcc")
    return build(tmp_path_factory.mktemp("runner"), ("spinnaker",))


def events(image: DeviceImage, stimulus: Stimulus, t: int) -> tuple[np.ndarray, np.ndarray | None]:
    """(elements, values) of one step of a stimulus of one sample, as the wire has them."""
    index, value = [np.zeros(0, np.int64)], [np.zeros(0)]
    for port in image.inputs:
        e = stimulus.inputs[port.name]
        now = np.flatnonzero(e.step == t)
        now = now[np.argsort(e.index[now])]
        index.append(port.first + e.index[now])
        value.append(e.values()[now])
    return np.concatenate(index), np.concatenate(value) if image.value_in else None


def expected_step(image: DeviceImage, trace: Trace, t: int) -> np.ndarray:
    """(elements of all populations): what a trace of one sample has of a step."""
    dense = np.zeros(image.n_out)
    for port in image.populations:
        e = trace.spikes[port.name]
        now = e.step == t
        dense[port.first + e.index[now]] = e.values()[now]
    return dense


def run_beside(library: Path, program: SpinnakerProgram, stimulus: Stimulus, trace: Trace) -> tuple[int, int]:
    """(values sent, states compared), all equal."""
    image = image_of(program)
    shell, sent, compared = Shell(library, image.data), 0, 0
    assert set(image.states) == set(trace.states)
    for k in range(trace.n_samples):
        shell.reset()
        own, expected = stimulus.one(k), trace.sample(k)
        for t in range(trace.n_steps):
            index, value = shell.step(t, *events(image, own, t))
            got = np.zeros(image.n_out)
            got[index] = value
            np.testing.assert_array_equal(got, expected_step(image, expected, t), f"step {t} of sample {k}")
            state = shell.state().tobytes()
            for key, field in image.states.items():
                np.testing.assert_array_equal(field.read(state), expected.states[key][0, t], f"{key} in step {t}")
                compared += field.n
            sent += len(index)
    return sent, compared


def beside(library: Path, program: SpinnakerProgram, stimulus: Stimulus) -> tuple[int, int]:
    """The same with the simulator's trace, in which nothing may be late."""
    trace = spinnaker.run(program, stimulus, probes="all")
    assert late(trace) == ""
    return run_beside(library, program, stimulus, trace)


def test_digits(library):
    program = hwsdk.compile(hwsdk.load("examples/digits.nir", dt=1e-3, reset="value"), "spinnaker2")
    data = load_data(Path("examples/digits_test.npz"), program.input_shapes, limit=2)
    sent, compared = beside(library, program, data)
    assert sent > 200
    steps = data.n_steps + max(s.lag for s in program.populations)
    assert compared == 2 * steps * 2 * program.n_neurons


@pytest.mark.parametrize("reset", ["value", "subtract"])
@pytest.mark.parametrize("timing", ["pipelined", "phased"])
def test_braille(library, corpus, reset, timing):
    network = hwsdk.load(corpus / "nir_paper/braille_noDelay_bias_zero.nir", preset="spinnaker2", reset=reset)
    with np.load(corpus / "nir_paper/braille/braille_test_sample0_recovered.npz") as z:
        data = Stimulus.dense(z["spikes"], {"input": (12,)})
    options = CompileOptions(target_options={"timing": timing})
    program = small_backend(SmallChip(8)).compile(network, options, lambda _: None)
    assert program.n_pes > 5
    assert beside(library, program, data)[0] > 100


@pytest.mark.parametrize("reset", ["value", "subtract"])
def test_cnn_sinabs(library, corpus, reset):
    network = hwsdk.load(corpus / "nir_paper/cnn_sinabs.nir", preset="spinnaker2", dt=1.0, reset=reset)
    data = load_data(corpus / "nmnist/nmnist_test_0_49.npz", {n: i.shape for n, i in network.inputs.items()}, dt_s=1e-3,
                     n_steps=60, limit=1)
    program = hwsdk.compile(network, "spinnaker2", step_time=2.5e-3)
    assert program.n_pes == 29
    assert beside(library, program, data)[0] > 5000


def test_a_memory_that_learns(library):
    network = cam.cam_network(3, 4)
    data = cam.stimulus(network, memories.long_sequence(3, 4), 20)
    program = small_backend(SmallChip(4)).compile(network, CompileOptions(packing="dense"), lambda _: None)
    learned = {name for name, state in image_of(program).states if state == "weight"}
    assert learned == {x.name for x in program.learned}
    assert len(learned) == 2
    assert beside(library, program, data)[0] > 100


def test_the_language_model_to_the_last_bit(library):
    trained = deploy.load()[0]
    data = deploy.stimulus(trained, encode(write(100, HELD_OUT_SEED))[:40])
    for packing in ("layer", "spread"):
        program = hwsdk.compile(deploy.network(trained, "float32"), "spinnaker2", packing=packing)
        assert beside(library, program, data)[0] > 500
    assert program.n_pes > 100


def test_the_legendre_memory(library, corpus):
    folder = corpus / "l2mu_braille"
    data = l2mu.samples(folder, 1)
    data = Stimulus({n: e.one(0).shifted(0, 80) for n, e in data.inputs.items()})
    program = hwsdk.compile(l2mu.network(*l2mu.load(folder)), "spinnaker2", bits=8)
    assert program.phases == 5
    assert beside(library, program, data)[0] > 500


def of_hand(hand: Hand) -> SpinnakerProgram:
    """With a barrier, and costs."""
    return dataclasses.replace(hand.program(), sync="barrier", machine=MACHINE)


@pytest.mark.parametrize("made", [everything, gated, phased])
def test_programs_by_hand_on_two_chips(library, made):
    program = of_hand(made())
    assert program.chips == (2 if made is everything else 1)
    graded = made is gated
    rng = np.random.default_rng(0)
    arrays = {n: (rng.random((1, 60, *s)) < 0.3) * (rng.normal(0, 1, (1, 60, *s)) if graded else 1)
              for n, s in program.input_shapes.items()}
    assert beside(library, program, Stimulus.dense(arrays, program.input_shapes))[0] > 20


@pytest.mark.parametrize("kind", m4_programs.KINDS)
def test_programs_of_one_kind_of_words_have_the_events_that_they_say(library, kind):
    for firing in (False, True):
        size = m4_programs.Size(24, 8, 3, firing)
        program = m4_programs.program_of(kind, size)
        data = m4_programs.packets(program, 5, m4_programs.WARM + 4)
        beside(library, program, data)
        load = {name: n[m4_programs.WARM :] for name, n in m4_programs.load(program, data).items()}
        name = {"narrow": "static", "byte": "static", "wide": "static"}.get(kind, kind) + "_events"
        neurons = program.populations[0].n
        expected = dict.fromkeys(load, 0) | {
            "packets": 5, name: 5 * 3 * (9 if kind == "conv" else 1), "neuron_updates": neurons, "deliveries": 1,
            "spikes": neurons * firing, "plastic_changes": 5 * 3 * (firing and kind == "plastic")}
        assert {name: n.tolist() for name, n in load.items()} == {name: [n] * 4 for name, n in expected.items()}


def any_program(seed: int) -> tuple[SpinnakerProgram, Stimulus]:
    """A program by chance: words of all kinds, 1 to 3 phases and chips, atoms in any order; one in three of EGRUs."""
    rng = np.random.default_rng(seed)
    program = dataclasses.replace(Chance(rng, seed % 3 == 0).program(), sync="barrier")
    return program, random_stimulus(rng, program)


def test_programs_by_chance(library):
    seen = set()
    for seed in range(24):
        program, data = any_program(seed)
        beside(library, program, data)
        for pe in range(program.n_pes):
            m = program.memory(pe)
            seen |= {m.model, *(b.kind for b in m.blocks), f"{len(m.learners)} rules"}
        seen |= {f"{program.phases} phases", f"{program.chips} chips"}
    assert {"source", "lif", "lif_curr", "egru", "narrow", "byte", "wide", "plastic", "conv", "csr", "2 rules",
            "3 phases", "3 chips"} <= seen


def compiled(seed: int) -> tuple[SpinnakerProgram, Stimulus] | None:
    """A random network on random chips; None if it is refused."""
    rng = np.random.default_rng(seed)
    kind = [random_network, random_network, random_conv_network, random_learning][seed % 4]
    network: Network = kind(seed)
    chip = SmallChip(int(rng.choice([3, 8, 1024])), int(rng.choice([4, 12, 148])), int(rng.choice([2500, MEMORY])),
                     int(rng.choice([1, 7])))
    options = CompileOptions(chips=chip.chips, effort="none", packing=str(rng.choice(["layer", "dense", "spread"])),
                             target_options={"timing": str(rng.choice(["auto", "phased"])), "sync": "barrier"})
    data = network_stimulus(network, seed, samples=1)
    try:
        program = small_backend(chip).compile(network, options, lambda _: None)
    except REFUSED:
        return None
    return program, without_first_step(data) if kind is random_learning else data


def compare_random(library: Path, seeds: range) -> dict[str, int]:
    found = {"equal": 0, "many chips": 0, "learned": 0, "phased": 0, "sent": 0}
    for seed in seeds:
        if made := compiled(seed):
            found["sent"] += beside(library, *made)[0]
            found["equal"] += 1
            found["many chips"] += made[0].chips > 1
            found["learned"] += bool(made[0].learned)
            found["phased"] += made[0].phases > 1
    return found


def test_random_networks(library):
    found = compare_random(library, range(20))
    assert found["equal"] >= 12, found
    assert min(found[n] for n in ("many chips", "learned", "phased")) >= 1, found


@pytest.mark.slow
def test_a_thousand_random_networks(library):
    found = compare_random(library, range(100, 1500))
    assert found["equal"] >= 1000, found
    assert min(found[n] for n in ("many chips", "learned", "phased")) >= 100, found


@pytest.mark.slow
def test_a_thousand_programs_by_chance(library):
    for seed in range(100, 1100):
        beside(library, *any_program(seed))


def test_a_state_is_all_that_changes(library):
    """A run goes on from a state that was read as it would have gone on from there."""
    for seed in (1, 3, 6, 8):
        program, data = any_program(seed)
        image, own = image_of(program), data.one(0)
        shell = Shell(library, image.data)
        for t in range(5):
            shell.step(t, *events(image, own, t))
        kept = shell.state().copy()
        rest = [shell.step(t, *events(image, own, t)) for t in range(5, 12)]
        end = shell.state().copy()
        shell.reset()
        shell.state()[:] = kept
        assert shell.check_state() == 0
        for t, (index, value) in enumerate(rest, 5):
            again = shell.step(t, *events(image, own, t))
            np.testing.assert_array_equal(again[0], index)
            np.testing.assert_array_equal(again[1], value)
        np.testing.assert_array_equal(shell.state(), end)


def test_a_state_that_cannot_be_is_refused(library):
    program = small_backend(SmallChip(4)).compile(cam.cam_network(3, 4), CompileOptions(), lambda _: None)
    image = image_of(program)
    shell = Shell(library, image.data)
    shell.state()[:] = 0xFF
    assert shell.check_state() == 0x23
    with pytest.raises(Refused, match="histories of what learns cannot hold"):
        shell.step(0x7FFF0000, [])


def test_runs_that_are_late_are_known():
    network = hwsdk.load("examples/digits.nir", dt=1e-3, reset="value")
    program = dataclasses.replace(hwsdk.compile(network, "spinnaker2"), tick_s=1e-6)
    data = load_data(Path("examples/digits_test.npz"), program.input_shapes, limit=1)
    assert "late ticks, " in late(spinnaker.run(program, data))


def changed(program: SpinnakerProgram, pe: int, at: int, word: int) -> bytes:
    """The image with one 32-bit word of a PE's image changed."""
    data = bytearray(image_of(program).data)
    where = data.find(program.image(pe).tobytes())
    assert where > 0
    data[where + at : where + at + 4] = int(word & 0xFFFFFFFF).to_bytes(4, "little")
    return bytes(data)


def header_at(program: SpinnakerProgram, pe: int, name: str) -> tuple[int, int]:
    """(where a field of a PE's header lies, its value)."""
    at = 4 * HEADER_FIELDS.index(name)
    return at, int(program.image(pe)[at : at + 4].view("<u4")[0])


@pytest.mark.parametrize(("kind", "section", "offset", "word", "text"), [
    ("conv", "at_shapes", 24, 1 << 19, "beyond the neurons"), ("conv", "at_shapes", 4 * 13, 5000, "kernel"),
    ("conv", "at_shapes", 4 * 15, 0, "a number of a convolution"), ("wide", "at_words", 0, 1023, "a word's target"),
    ("wide", "at_rows", 0, 1 << 30, "more rows"), ("wide", "at_rows", 4, 1 << 20, "past the words"),
    ("wide", "at_rows", 8, 0x00050009, "ascend"), ("wide", "at_table", 8, 15, "words of a kind"),
    ("plastic", "slots", None, 3, "slots"), ("plastic", "history", None, 1, "history"),
    ("plastic", "neurons", None, 5000, "neurons of a PE"), ("plastic", "at_neurons", None, 1 << 30, "section of a PE"),
    ("plastic", "at_learners", 20, 1 << 20, "table of a learning rule"),
    ("plastic", "entries", None, 1 << 20, "entries"),
    ("plastic", "magic", None, 0, "no image of a PE"), ("plastic", "at_slices", 4, 0, "a slice's keys"),
    ("plastic", "at_slices", 8, 200, "a slice's keys"),
])
def test_damaged_images_of_pes_are_refused(library, kind, section, offset, word, text):
    hand = everything()
    program, pe = of_hand(hand), hand.find(kind)[0]
    at, value = header_at(program, pe, section)
    with pytest.raises(Refused, match=text) as error:
        Shell(library, changed(program, pe, at if offset is None else value + offset, word))
    assert error.value.status == 0x41


@pytest.mark.parametrize(("section", "offset", "word", "text"), [
    (0, 0, 17, "phases"), (0, 8, 3, "section"), (0, 16, 1, "values of a type"), (1, 0, 4, "lies outside"),
    (1, 4, 1 << 24, "lies outside"), (1, 8, 9, "place of a PE"), (3, 0, 77, "nowhere"), (4, 4, 99, "router entries"),
    (5, 8, 0xFFFFFFFF, "runs nothing"), (5, 28, 63, "nowhere"), (6, 0, 1 << 20, "elements of a slice"),
    (6, 68, 2, "a slice sends values"), (7, 0, 1 << 20, "an element of a slice"),
])
def test_damaged_sections_are_refused(library, section, offset, word, text):
    data = bytearray(image_of(of_hand(everything())).data)
    data[25] = 0 if text == "a slice sends values" else data[25]
    at = int.from_bytes(data[64 + 8 * section : 68 + 8 * section], "little") + offset
    data[at : at + 4] = word.to_bytes(4, "little")
    with pytest.raises(Refused, match=text) as error:
        Shell(library, bytes(data))
    assert error.value.status == 0x41


def test_too_little_memory_is_told(library):
    program = hwsdk.compile(hwsdk.load("examples/digits.nir", dt=1e-3, reset="value"), "spinnaker2")
    with pytest.raises(Refused, match="do not fit") as error:
        Shell(library, image_of(program).data, arena=512)
    assert error.value.status == 0x26
    assert error.value.value > 512 == error.value.limit


def test_events_of_0_are_refused():
    hand = gated()
    neurons = hand.memories[1].neurons.copy()
    neurons[0, 1] = np.array(-0.5, np.float32).view(np.uint32)
    with pytest.raises(UnsupportedError, match="EVENT_OF_0"):
        image_of(of_hand(hand.memory(1, neurons=neurons)))
