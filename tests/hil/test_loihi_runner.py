"""The Loihi runner of the firmware against the simulator: every spike, every value and every state of every step."""

from __future__ import annotations

import shutil
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import loihi_programs
import numpy as np
import pytest
import random_integers
import random_networks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from integer_networks import random_integer_network
from shell import Refused, Shell, build

import hwsdk
from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.errors import FitError, UnsupportedError
from hwsdk.hil.image import DeviceImage
from hwsdk.hil.image_loihi import image_of
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.fixed import FixedATRLIF, FixedGraded, FixedLIF, FixedRF, FixedSigmaDelta
from hwsdk.ir.ledger import SemanticsWarning
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.loihi_cells import model_of
from hwsdk.programs.loihi import MODELS, LoihiProgram
from hwsdk.simulators import loihi, reference

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
E_RANGE, E_IMAGE, E_NOMEM = 0x23, 0x41, 0x26
WIDE = 2**31
SEEN: Counter[str] = Counter()


@pytest.fixture(scope="session")
def runner(tmp_path_factory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler `cc`; install one, e.g. apt install gcc")
    return build(tmp_path_factory.mktemp("loihi"), ("loihi",))


@pytest.fixture(scope="session")
def checked(tmp_path_factory) -> Path:
    """The same, ended by the first undefined behaviour."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler `cc`; install one, e.g. apt install gcc")
    return build(tmp_path_factory.mktemp("checked"), ("loihi",),
                 ("-fsanitize=undefined", "-fno-sanitize-recover=all", "-fsanitize-undefined-trap-on-error"))


def feed(image: DeviceImage, stimulus: Stimulus, sample: int) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """(elements, values) of each step."""
    columns = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0))]
    for e in image.inputs:
        own = stimulus.inputs[e.name].one(sample)
        columns.append((own.step, own.index + e.first, own.values()))
    step, index, value = map(np.concatenate, zip(*columns, strict=True))
    order = np.lexsort((index, step))
    cut = np.searchsorted(step[order], np.arange(1, stimulus.n_steps))
    parts = zip(np.split(index[order], cut), np.split(value[order], cut), strict=True)
    return [(i, None if (v == 1).all() else v) for i, v in parts]


def run(library: Path, image: DeviceImage, stimulus: Stimulus, steps: int, sample: int):
    """((step, element, value) of all that was sent, (steps, words) states)."""
    shell, inputs, found, states = Shell(library, image.data), feed(image, stimulus, sample), [], []
    for t in range(steps):
        index, value = shell.step(t, *(inputs[t] if t < len(inputs) else (np.zeros(0, int),)))
        found += [(t, int(i), int(v)) for i, v in zip(index, value, strict=True)]
        states.append(shell.state().view("<i4").copy())
    return found, np.array(states)


def expected_events(image: DeviceImage, trace, sample: int) -> list[tuple[int, int, int]]:
    rows = []
    for p in image.populations:
        e = trace.spikes[p.name].one(sample)
        rows += [(int(t), int(i) + p.first, int(v)) for t, i, v in zip(e.step, e.index, e.values(), strict=True)]
    return sorted(rows)


def beyond(trace, sample: int) -> bool:
    """Do states or what is sent need more than 32 bits?"""
    values = [e.one(sample).values() for e in trace.spikes.values()] + [s[sample] for s in trace.states.values()]
    return any(np.abs(x.astype(float)).max(initial=0) >= WIDE for x in values)


def assert_same(library: Path, program: LoihiProgram, stimulus: Stimulus, where: object = "") -> bool:
    """Simulator and runner, all samples; False if the runner refuses a step because 32 bits do not hold it."""
    trace = loihi.run(program, stimulus, probes="all")
    image = image_of(program)
    SEEN.update(s.model for s in program.populations)
    for sample in range(stimulus.n_samples):
        try:
            found, states = run(library, image, stimulus, trace.n_steps, sample)
        except Refused as refusal:
            assert refusal.status == E_RANGE, refusal
            assert beyond(trace, sample), where
            return False
        assert not beyond(trace, sample)
        assert found == expected_events(image, trace, sample), where
        assert set(image.states) == set(trace.states)
        for key, field in image.states.items():
            np.testing.assert_array_equal(states[:, field.place], trace.states[key][sample], f"{key} {where}")
    return True


def compiled(network, target="loihi2", **options) -> LoihiProgram:
    return backends.get(target).compile(network, CompileOptions(**options), lambda _: None)


def load(path: Path, **semantics):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SemanticsWarning)
        return hwsdk.load(path, **semantics)


@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
def test_digits(runner, target):
    network = load(EXAMPLES / "digits.nir")
    program = compiled(network, target)
    with np.load(EXAMPLES / "digits_test.npz") as z:
        data = Stimulus.dense(z["input"][:5], {"input": network.inputs["input"].shape})
    assert assert_same(runner, program, data)
    assert image_of(program).value_out == 0


@pytest.mark.parametrize("reset", ["value", "subtract"])
def test_braille(runner, corpus, reset):
    name = "nir_paper/braille_noDelay_bias_zero.nir"
    network = load(corpus / name, preset="snntorch", reset=reset)
    with np.load(corpus / "nir_paper" / "braille" / "braille_test_sample0_recovered.npz") as z:
        data = Stimulus.dense(z["spikes"], {"input": (12,)})
    assert assert_same(runner, compiled(network), data)


def test_cnn_sinabs_keeps_its_kernels(runner, corpus):
    network = load(corpus / "nir_paper/cnn_sinabs.nir", dt=1.0, reset="value")
    program = compiled(network)
    rng = np.random.default_rng(0)
    data = Stimulus({"input": events_from_dense(rng.random((1, 20, 2, 34, 34)) < 0.1, (2, 34, 34))})
    assert assert_same(runner, program, data)
    size = len(image_of(program).data)
    assert size < 1 << 20
    assert size < 4 * program.n_synapses / 4


def assert_random(library: Path, seed: int) -> bool | None:
    """A network of one of the four generators; None if the target refuses it."""
    kind, rng = seed % 4, np.random.default_rng(seed)
    try:
        if kind == 0:
            network = random_networks.random_network(seed)
            program = compiled(network, ["loihi1", "loihi2"][seed // 4 % 2], per_channel=seed % 8 == 0)
            data = random_networks.random_stimulus(network, seed, graded=program.graded_input)
        elif kind == 1:
            network = random_integers.random_integer_network(seed, [1, 8, 64][seed // 4 % 3])
            program, data = compiled(network), random_networks.random_stimulus(network, seed, steps=30, graded=True)
        elif kind == 2:
            drawn = random_integer_network(seed, lava=False)
            program, data = compiled(drawn.network), drawn.stimulus
        else:
            loud = [1, 100, 4000][seed // 4 % 3]
            network = loihi_programs.random_network(rng, loud)
            program = loihi_programs.random_program(rng, network)
            data = loihi_programs.random_stimulus(rng, network, loud)
    except (UnsupportedError, FitError):
        return None
    return assert_same(library, program, data, f"seed {seed}")


def test_random_networks_of_every_model(runner):
    outcomes = Counter(assert_random(runner, seed) for seed in range(48))
    assert outcomes[True] >= 36
    assert set(MODELS) <= set(SEEN)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(100, 2**31))
def test_random_networks_without_undefined_behaviour(checked, seed):
    assert_random(checked, seed)


@pytest.mark.slow
def test_a_thousand_random_networks(runner):
    outcomes, seed = Counter(), 1000
    while outcomes[True] < 1000:
        outcomes[assert_random(runner, seed)] += 1
        seed += 1
    assert outcomes[False] < 100


def one_to_one_network(cell, weight: int):
    b = NetworkBuilder().input("in", cell.n).population("p", cell)
    return b.connect("in", "p", weight=np.eye(cell.n, dtype=int) * weight).output("out", "p").build(Semantics())


def one_to_one(cell, weight: int = 1) -> LoihiProgram:
    """An input and a population of n neurons, one synapse each."""
    return compiled(one_to_one_network(cell, weight))


def graded(*rows) -> Stimulus:
    return Stimulus.dense(np.array(rows, np.int64), {"in": (len(rows[0]),)})


@pytest.mark.parametrize("refractory", [None, 1])
@pytest.mark.parametrize("vth", [[5] * 20, [5, 6] * 10], ids=["alike", "each"])
@pytest.mark.parametrize("reset", ["value", "subtract"])
def test_lif_at_the_ends_of_its_ranges(runner, vth, refractory, reset):
    """u = a << 6 and v = u + bias: at threshold, at +-2^23 and beside; u wraps from -2^23, v stops at -2^23 + 1."""
    cell = neuron(FixedLIF, 20, du=4095, dv=4096, vth=np.array(vth), bias_mant=np.array([0, 1, -1, 64, -64] * 4),
                  bias_exp=0, reset_by=320, reset=reset, refractory=refractory)
    values = [sign * a + d for a in (5, 6, 2**17, 2**18) for d in (-1, 0, 1) for sign in (1, -1)]
    assert assert_same(runner, one_to_one(cell), graded(*([v] * 20 for v in values)))


@pytest.mark.parametrize("cell", [
    neuron(FixedATRLIF, 2, du=4095, dv=4096, dtheta=4096, dr=4096, vth=5, theta_step=1, bias_mant=0, bias_exp=0),
    neuron(FixedRF, 2, sin=0, cos=0, vth=5), neuron(FixedRF, 2, sin=1, cos=4095, vth=5),
    neuron(FixedRF, 2, sin=0, cos=0, vth=5, izhikevich=True), neuron(FixedGraded, 2, vth=5),
    neuron(FixedGraded, 2, vth=5, relu=True), neuron(FixedSigmaDelta, 2, vth=5, bias=0)], ids=lambda c: model_of(c))
def test_other_neurons_at_their_thresholds(runner, cell):
    b = NetworkBuilder().input("in", 2).population("p", cell).output("out", "p")
    for port in ("real", "imag") if len(cell.in_shape) > 1 else (None,):
        b.connect("in", "p", weight=np.eye(2, dtype=int)[:: -1 if port == "imag" else 1], port=port, name=port)
    data = np.random.default_rng(0).integers(-7, 8, (200, 2))
    assert assert_same(runner, compiled(b.build(Semantics())), graded(*data))


def test_a_population_that_is_read_out_never_fires(runner):
    """The definition is the reference: there what is read out never sends, and the rest of it is kept in residue."""
    cell = neuron(FixedSigmaDelta, 2, vth=3, bias=1, activation="unit", fires=False)
    program, data = one_to_one(cell, 4), graded([1, 0], [0, -1], [3, 1], [0, 0])
    image, expected = image_of(program), reference.run(one_to_one_network(cell, 4), data, probes="all")
    found, states = run(runner, image, data, 4, 0)
    assert image.value_out == 1
    assert found == expected_events(image, expected, 0)
    for key, field in image.states.items():
        np.testing.assert_array_equal(states[:, field.place], expected.states[key][0], str(key))
        np.testing.assert_array_equal(field.read(states[-1].tobytes()), expected.states[key][0, -1])
    assert expected.first_difference(loihi.run(program, data, probes="all"), ["p"]) is None


def test_inputs_beyond_the_limit_are_added_with_care(runner):
    """u of 40 bits would be needed on the way only: |a| << 6 exceeds 32 bits, after one wrap the state does too."""
    cell = neuron(FixedLIF, 1, du=0, dv=0, vth=100, bias_mant=0, bias_exp=0, reset_by=0)
    program = one_to_one(cell, 64)
    assert assert_same(runner, program, graded([1], [2000], [-2000], [500_000], [0], [1]))
    image = image_of(program)
    shell = Shell(runner, image.data)
    shell.step(0, [0], [7])
    before = shell.state().copy()
    with pytest.raises(Refused, match="more than 32 bits") as caught:
        for t, value in enumerate([2**31 - 1, 1, 1], 1):
            shell.step(t, [0], [value])
    assert caught.value.status == E_RANGE
    with pytest.raises(Refused):
        shell.step(9, [])
    shell.reset()
    shell.step(0, [0], [7])
    np.testing.assert_array_equal(shell.state(), before)


def test_a_sigma_that_only_grows_is_refused_in_the_end(runner):
    program = one_to_one(neuron(FixedSigmaDelta, 1, vth=3, bias=0), 64)
    assert assert_same(runner, program, graded(*[[2**24]] * 1))
    assert not assert_same(runner, program, graded(*[[2**24]] * 3))


def test_a_state_that_is_written_back_goes_on(runner):
    network = load(EXAMPLES / "digits.nir")
    image = image_of(compiled(network))
    with np.load(EXAMPLES / "digits_test.npz") as z:
        data = Stimulus.dense(z["input"][:1], {"input": network.inputs["input"].shape})
    inputs, shell, kept, sent = feed(image, data, 0), Shell(runner, image.data), [], []
    for t, (index, value) in enumerate(inputs):
        kept.append(shell.state().copy())
        sent.append(shell.step(t, index, value)[0])
    half = len(inputs) // 2
    shell.state()[:] = kept[half]
    assert shell.check_state() == 0
    for t in range(half, len(inputs)):
        np.testing.assert_array_equal(shell.step(t, *inputs[t])[0], sent[t])
    for word, value in ((0, 4), (1, 2**29)):
        shell.reset()
        shell.state().view("<i4")[word] = value
        assert shell.check_state() == E_RANGE


def test_what_the_firmware_cannot_hold_is_refused_before_it_is_sent():
    program = one_to_one(neuron(FixedSigmaDelta, 2, vth=3, bias=1))
    for field, value, code in (("row_exponent", 17, "WIDE_WEIGHT"), ("extra", 16, "WIDE_STATE")):
        arrays = replace(program.arrays, **{field: np.full_like(getattr(program.arrays, field), value)})
        with pytest.raises(UnsupportedError) as caught:
            image_of(replace(program, arrays=arrays))
        assert caught.value.code == code
        assert caught.value.fix
    resonators = replace(program, populations=(replace(program.populations[0], model="rf", fires=False),))
    with pytest.raises(UnsupportedError, match="no state that is read out"):
        image_of(resonators)


def sections(image: bytes) -> np.ndarray:
    """(sections, 2): offset and bytes."""
    return np.frombuffer(image, "<u4", 22, 64).reshape(11, 2)


@pytest.fixture(scope="module")
def victim() -> bytes:
    """An image with blocks of one class and of many, every form of row, and an initial state."""
    for seed in range(3, 400, 4):
        rng = np.random.default_rng(seed)
        image = image_of(loihi_programs.random_program(rng, loihi_programs.random_network(rng, 100))).data
        at = sections(image)
        rows = np.frombuffer(image, "<u4", at[9, 1] // 4, at[9, 0]).reshape(-1, 5)
        if at[:, 1].all() and len(set(rows[:, 4] & 0xFF)) >= 4:
            return image
    raise AssertionError("no such image")


DAMAGE = {
    "accumulators": (0, 0, 1), "no delay": (0, 1, 0), "long delay": (0, 1, 65), "model": (1, 0, 8),
    "form": (1, 0, 1 << 10), "neurons": (1, 1, 1 << 30), "accumulator": (1, 2, 1 << 20), "class": (1, 4, 1 << 16),
    "element": (5, 0, 1 << 20),
    "first sender": (7, 0, 1), "sender": (7, 1, 1 << 30), "row": (8, 0, 1 << 20), "base": (8, 1, 0xFFFFFFFF),
    "at": (9, 0, 0xFFFFFFFF), "words": (9, 1, 1 << 29), "no words": (9, 1, 0), "scale": (9, 2, 1 << 17),
    "span": (9, 3, 1 << 20), "span too short": (9, 3, 0), "row form": (9, 4, 5 | 1 << 8), "row delay": (9, 4, 0)}
"""What -> section, word in it, value."""


@pytest.mark.parametrize("what", sorted(DAMAGE))
def test_a_damaged_image_is_refused(runner, victim, what):
    section, word, value = DAMAGE[what]
    image = bytearray(victim)
    at = int(sections(victim)[section, 0]) + 4 * word
    image[at : at + 4] = int(value).to_bytes(4, "little")
    with pytest.raises(Refused) as caught:
        Shell(runner, bytes(image))
    assert caught.value.status == E_IMAGE
    assert caught.value.text


@pytest.mark.parametrize("section", [0, 1, 2, 3, 4, 5, 7, 8, 9, 10])
def test_an_image_without_a_section_is_refused(runner, victim, section):
    for length in (0, int(sections(victim)[section, 1]) - 2):
        image = bytearray(victim)
        image[68 + 8 * section : 72 + 8 * section] = length.to_bytes(4, "little")
        with pytest.raises(Refused):
            Shell(runner, bytes(image))


def test_too_little_memory_is_said(runner, victim):
    with pytest.raises(Refused) as caught:
        Shell(runner, victim, arena=64)
    assert caught.value.status == E_NOMEM
    assert caught.value.value > caught.value.limit == 64


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.sampled_from([0, 1, 64, 127, 128, 255])), min_size=1, max_size=4))
def test_damage_anywhere_ends_in_a_refusal_or_in_steps(checked, victim, damage):
    image = bytearray(victim)
    for at, value in damage:
        image[at % (len(image) - 64) + 64] = value
    try:
        shell = Shell(checked, bytes(image), arena=1 << 20)
        for t in range(3):
            shell.step(t, np.arange(int.from_bytes(image[16:20], "little")))
    except Refused as refusal:
        assert refusal.status in (E_IMAGE, E_NOMEM, E_RANGE)
