"""The test-bench controller and its pulse engine, in this process, against the pulse simulator: every spike, violation,
stray pulse and state.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from property.test_random_sfq_loops import case
from property.test_sfq_kernel import framed
from reference import test_corpus_on_sfq as on_corpus
from sfq_cells_by_hand import Layer, Net, Schedule
from sfq_networks import mapped, random_network, spikes_for
from sfq_race import race, stimulus
from sfq_random import random_netlist, random_stimulus, scaled
from shell import Refused, Shell, build

import hwsdk
from hwsdk.compiler import load_data
from hwsdk.errors import UnsupportedError
from hwsdk.hil.image import DeviceImage
from hwsdk.hil.image_sfq import HEAD, image_of
from hwsdk.ir.data import Stimulus
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators import sfq

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
E_RANGE, E_STATE, E_ORDER, E_IMAGE, E_FAULT = 0x23, 0x24, 0x25, 0x41, 0x42
COUNTED = ("absorbed", "timing", "stray", "deliveries")
STYLES = ("counter", "loop", "hidden:loop,out:counter", "hidden:counter,out:loop")
WALK = np.array([[[0, 0], [0, 1], [1, 1], [1, 0], [0, 0], [1, 1], [0, 1], [1, 0], [1, 0], [0, 0], [1, 1], [1, 1]]])
CLOSE_A = 1e-19
"""Currents are some 1e-5 A; they differ by roundings of the exponential."""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("there is no C compiler `cc`; install one, e.g. apt install gcc")
    return build(tmp_path_factory.mktemp("sfq"), ("sfq",))


def compiled_xor(style: str) -> PulseNetlist:
    network = hwsdk.load(str(EXAMPLES / "xor.nir"), dt=1.0)
    return hwsdk.compile(network, "sfq", bits=3, target_options={"neuron": style})


def counts_in(shell: Shell, image: DeviceImage) -> dict[str, int]:
    """What the controller has counted."""
    return {name: int(at.read(shell.state().tobytes())[0]) for (x, name), at in image.states.items() if not x}


class Run:
    """One sample on the controller: got, (frames, neurons); states after every frame."""

    def __init__(self, shell: Shell, image: DeviceImage, data: Stimulus, sample: int, frames: int) -> None:
        shell.reset()
        self.got = np.zeros((frames + image.late, image.n_out))
        self.states: dict[tuple[str, str], list[Any]] = {key: [] for key in image.states if key[0]}
        dense = np.concatenate([data.inputs[e.name].dense(sample) for e in image.inputs], axis=1)
        for t in range(frames + image.late):
            index = np.flatnonzero(dense[t]) if t < min(len(dense), frames) else []
            found, value = shell.step(t, index, drain=t >= frames)
            self.got[t, found] = value
            if t < frames:
                state = shell.state().tobytes()
                for key in self.states:
                    self.states[key].append(image.states[key].read(state))
        self.got = self.got[image.late :]
        self.counts = counts_in(shell, image)


def agree(library: Path, program: PulseNetlist, data: Stimulus, steps: int | None = None) -> dict[str, int]:
    """Counts of the last sample, after everything of all has been compared."""
    image = image_of(program)
    probes = [key for key in image.states if key[0]]
    wanted, shell = sfq.run(program, data, steps=steps, probes=probes), Shell(library, image.data)
    for sample in range(data.n_samples):
        run = Run(shell, image, data, sample, wanted.n_steps)
        for e in image.populations:
            assert run.got[:, e.first : e.first + e.n].tolist() == wanted.spikes[e.name].dense(sample).tolist()
        for key in probes:
            off = np.abs(np.array(run.states[key]) - wanted.states[key][sample]).max(initial=0)
            assert off <= (CLOSE_A if key[1] == "i" else 0), key
        assert {n: run.counts[n] for n in COUNTED} == {n: int(wanted.counts[n][sample, 0]) for n in COUNTED}
    return run.counts


@pytest.mark.parametrize("style", STYLES)
def test_xor(library: Path, style: str) -> None:
    program = compiled_xor(style)
    agree(library, program, load_data(WALK, program))
    image = image_of(program)
    assert ("hidden", "i") in image.states or program.layers[0].style == "counter"
    assert len(image.data) + len(Shell(library, image.data).state()) < 16 * 1024  # fits a small core
    assert all(at.at + 8 <= HEAD + 8 * image.n_out for at in image.states.values())


def test_a_netlist_is_told_from_another_one(library: Path) -> None:
    """What is compared above can differ: the same netlist under another current is another function."""
    program = compiled_xor("loop")
    currents = program.arrays.soma_bias_a[program.somas("hidden")]
    image = image_of(program.tuned("hidden", currents * [0, 1]))
    got = Run(Shell(library, image.data), image, load_data(WALK, program), 0, 14).got[:, 2]
    pattern = WALK[0].T
    assert got[2:].tolist() == (pattern[0] | pattern[1]).tolist()
    assert sfq.run(program, load_data(WALK, program)).spikes["out"].dense(0)[:, 0].tolist() != got.tolist()


def test_digits(library: Path) -> None:
    network = hwsdk.load(str(EXAMPLES / "digits_sfq.nir"), dt=1.0, reset="subtract")
    program = hwsdk.compile(network, "sfq", bits=4, target_options={"steps": 8})
    counts = agree(library, program, load_data(EXAMPLES / "digits_sfq_test.npz", network, limit=4))
    assert counts["deliveries"] > 100_000
    with pytest.raises(Refused, match="wide enough for fewer frames") as refused:
        shell = Shell(library, image_of(program).data)
        for t in range(11):
            shell.step(t, [])
    assert (refused.value.status, t) == (E_RANGE, program.schedule.max_steps)


@pytest.mark.parametrize("seed", range(8))
def test_random_counters(library: Path, seed: int) -> None:
    network, wires = random_network(seed), "ptl" if seed % 7 == 0 else "abut"
    program = mapped(network, 20, weights=("auto", "train", "binary")[seed % 3], wires=wires)
    agree(library, program, spikes_for(network, 2, 20, seed), steps=20)


def test_random_loops(library: Path) -> None:
    found = [(c.program, data) for _, c, data in map(case, range(8)) if c is not None]
    assert len(found) > 4
    for program, data in found:
        agree(library, program, data)


def test_random_cells(library: Path) -> None:
    """Without meaning: pulses that come too soon, at the same time, and for no frame."""
    sums: dict[str, int] = dict.fromkeys(COUNTED, 0)
    for seed in range(8):
        program = random_netlist(seed, cells=60, grid=seed % 2 == 0)
        counts = agree(library, program, random_stimulus(seed, program, samples=2))
        sums = {n: sums[n] + counts[n] for n in COUNTED}
    assert all(sums.values())


def many_frames(seed: int) -> tuple[PulseNetlist, Stimulus]:
    """With feedback, inputs later than a frame, and neurons that are read some frames before or after theirs."""
    rng = np.random.default_rng(seed)
    program = framed(rng)
    data = Stimulus.dense(rng.random((2, 6, program.inputs[0].n)) < 0.4, program.input_shapes)
    layers = tuple(dataclasses.replace(x, read_fs=int(rng.integers(-700_000, 900_000))) for x in program.layers)
    schedule = dataclasses.replace(program.schedule, input_offset_fs=int(rng.integers(500_000)))
    return dataclasses.replace(program, layers=layers, schedule=schedule), data


def test_neurons_that_are_read_in_other_frames(library: Path) -> None:
    late = set()
    for seed in range(40):
        program, data = many_frames(seed)
        late.add(image_of(program).late)
        agree(library, program, data)
    assert late == {1, 2, 3, 4}
    agree(library, race(), stimulus())


def test_a_run_that_has_ended_takes_no_pulses(library: Path) -> None:
    shell = Shell(library, image_of(race()).data)
    shell.step(0, [0])
    for t, index, drain, status in ((0, [], False, E_ORDER), (2, [], False, E_ORDER), (1, [0], True, E_STATE)):
        with pytest.raises(Refused) as refused:
            shell.step(t, index, drain=drain)
        assert refused.value.status == status
    assert shell.step(1, [], drain=True)[0].tolist() == [0]
    with pytest.raises(Refused, match="a run that has ended") as refused:
        shell.step(2, [0])
    assert refused.value.status == E_STATE
    assert shell.step(2, [], drain=True)[0].tolist() == []
    shell.reset()
    shell.step(0, [])


def ring(oscillates: bool) -> PulseNetlist:
    """Two splitters behind an input; or a pulse that goes round, and one more with each input."""
    net = Net()
    source = net.add("SRC")
    if oscillates:
        merge, split = net.add("MERGE"), net.add("SPLIT")
        for nets in ((source, 0, merge, 0), (merge, 0, split, 0), (split, 0, merge, 1)):
            net.join(*nets)
    else:
        net.chain(["SPLIT", "JTL"])
        net.join(source, 0, 1, 0)
    net.close()
    return net.program(inputs=(("x", [source]),), layers=(Layer("y", (1,), "counter", 0),), spikes=[1],
                       schedule=Schedule(10**12 if oscillates else 10**6))


def test_a_full_queue_is_a_fault_with_numbers(library: Path) -> None:
    shell = Shell(library, image_of(ring(False), queue=1).data)
    shell.step(0, [])
    with pytest.raises(Refused, match="more pulses are under way than there is room for") as refused:
        shell.step(1, [0])
    assert refused.value.status == E_FAULT
    with pytest.raises(Refused, match="failed: reset"):
        shell.step(1, [])
    image = image_of(ring(False), queue=2)
    shell = Shell(library, image.data)
    shell.step(0, [0])
    assert counts_in(shell, image)["queued"] == 2


def test_a_circuit_that_never_rests_is_a_fault(library: Path) -> None:
    program = ring(True)
    data = image_of(program).data
    most = (program.n_nets * (10**9 + 1)).to_bytes(8, "little")
    assert data.count(most) == 1
    shell = Shell(library, data.replace(most, (1000).to_bytes(8, "little")))
    with pytest.raises(Refused, match="does not come to rest") as refused:
        shell.step(0, [0])
    assert refused.value.status == E_FAULT


def test_a_state_can_be_put_back(library: Path) -> None:
    program = compiled_xor("hidden:loop,out:counter")
    shell = Shell(library, image_of(program).data)

    def go(first: int, last: int) -> list[list[int]]:
        return [shell.step(t, np.flatnonzero(WALK[0, t % 12]))[0].tolist() for t in range(first, last)]

    go(0, 5)
    kept = shell.state().copy()
    wanted = go(5, 12)
    shell.state()[:] = kept
    assert shell.check_state() == 0
    assert go(5, 12) == wanted
    assert any(wanted)
    for at, value in ((0, 0), (8, 2), (len(kept) - 4, 200)):  # next frame, whether it has ended, a cell's state
        shell.state()[:] = kept
        shell.state()[at] = value
        assert shell.check_state() == E_RANGE


def test_what_a_device_cannot_do_is_refused(library: Path) -> None:
    program = race()
    far = dataclasses.replace(program.layers[0], read_fs=20 * program.schedule.frame_fs)
    long = dataclasses.replace(program.schedule, frame_fs=1 << 53)
    dff = next(c for c in range(program.n_cells) if len(program.types[program.arrays.cell_type[c]].states) == 2)
    wide = scaled(program, bit_cell=np.full(63, dff, np.int32), bit_ptr=np.array([0, 63]))
    cases = [("READ_LATE", dataclasses.replace(program, layers=(far,))), ("COUNTER_WIDTH", wide),
             ("FRAME_TOO_LONG", dataclasses.replace(program, schedule=long))]
    for code, other in cases:
        with pytest.raises(UnsupportedError) as error:
            image_of(other)
        assert (error.value.code, bool(error.value.fix), bool(error.value.where)) == (code, True, True)
    data = image_of(program).data
    for limit in range(64, len(data), 8):
        with pytest.raises(Refused) as refused:
            Shell(library, data[:8] + limit.to_bytes(4, "little") + data[12:limit])
        assert refused.value.status == E_IMAGE
    with pytest.raises(Refused, match="do not fit"):
        Shell(library, data, arena=64)


def test_times_are_right_to_the_femtosecond(library: Path) -> None:
    """Readings just so that a pulse is the first of a frame, or the last of the one before."""
    program = compiled_xor("loop")
    data, s = load_data(WALK, program), program.schedule
    times = sfq.pulses(program, data, watch=program.arrays.spike_net.tolist()).samples[0].time_fs[:8]
    for read in {int(t - s.start_fs + s.frame_fs // 2) % s.frame_fs + late for t in times for late in (0, 1)}:
        layers = tuple(dataclasses.replace(x, read_fs=read) for x in program.layers)
        agree(library, dataclasses.replace(program, layers=layers), data)


def test_a_pulse_breaks_critical_times_of_two_pins_once(library: Path) -> None:
    net = Net()
    a, b, xor = net.add("SRC"), net.add("SRC"), net.add("XOR")
    net.join(a, 0, xor, "a")
    net.join(b, 0, xor, "b")
    net.close()
    program = net.program(inputs=(("x", [a]),), frame=[(a, 0), (b, 1000), (a, 2000), (a, 3000), (b, 4000)], spikes=[0],
                          layers=(Layer("y", (1,), "counter", 0),), schedule=Schedule(10**6, 0, 0, 500_000))
    counts = agree(library, program, Stimulus.dense(np.zeros((1, 1, 1)), {"x": (1,)}))
    assert counts["timing"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4))
def test_many_random_networks(library: Path, block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        network = random_network(seed)
        program = mapped(network, 20, weights=("auto", "train", "binary")[seed % 3])
        agree(library, program, spikes_for(network, 2, 20, seed), steps=20)
        agree(library, *many_frames(seed))
        _, found, data = case(seed)
        if found is not None:
            agree(library, found.program, data)
        if seed % 4 == 0:  # slow to make
            program = random_netlist(seed, cells=10 + seed % 100, grid=seed % 8 == 0)
            agree(library, program, random_stimulus(seed, program, samples=2))


@pytest.mark.slow
def test_networks_of_the_corpus(library: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exact(network: Any, data: Stimulus, bits: int) -> PulseNetlist:
        program = compiled(network, data, bits)
        agree(library, program, data)
        return program

    compiled = on_corpus.exact
    monkeypatch.setattr(on_corpus, "exact", exact)
    on_corpus.test_a_dense_network_on_digits(corpus, 3)
    on_corpus.test_a_convolution_on_a_silicon_retina(corpus)
    on_corpus.test_the_recurrent_braille_network_without_its_leak(corpus, 5, "subtract")
