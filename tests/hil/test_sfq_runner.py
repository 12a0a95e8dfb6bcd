"""The test-bench controller and its pulse engine, in this process, against the pulse simulator: every spike, violation,
stray pulse and state.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
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
from shell import FLAGS, STUBS, Refused, Shell, build

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
COMPILER = shutil.which("cc") or shutil.which("gcc")
NO_COMPILER = "there is no C compiler `cc`; install one, e.g. apt install gcc"


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if COMPILER is None:
        pytest.skip(NO_COMPILER)
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


FUZZ = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int shell_open(const uint8_t *, uint32_t, uint8_t *, uint32_t, uint32_t *, const char **);
int shell_step(uint32_t, uint32_t, const uint32_t *, const void *, int, uint32_t *, uint32_t *, uint8_t *,
               const char **);
void shell_state(uint8_t **, uint32_t *);
int shell_check_state(void);

static uint64_t seed;
static uint32_t any(uint32_t n) { seed = seed * 6364136223846793005u + 1442695040888963407u; return (seed >> 33) % n; }
static uint32_t word(const uint8_t *p) { uint32_t x; memcpy(&x, p, 4); return x; }

static void damage(uint8_t *p, uint32_t from, uint32_t bytes) {
    for (uint32_t k = 1 + any(3); k && bytes > from + 4; k--) {
        uint32_t at = from + any((bytes - from) / 4) * 4, x = word(p + at);
        uint32_t odd[] = {0, 1, -1u, x + 1, x - 1, x ^ 1u << any(32), any(1u << 31), any(300), 1u << any(32)};
        memcpy(p + at, odd + any(9), 4);
    }
}

static uint32_t steps(uint32_t first, uint32_t n_in, uint32_t n_out) {
    uint32_t *found = malloc(4 * n_out + 4), *index = malloc(4 * n_in + 4), done = 0, n;
    uint8_t *values = malloc(4 * n_out + 4);
    const char *text;
    for (uint32_t t = first; t < first + 6; t++) {
        uint32_t k = 0, drain = t >= first + 4;
        for (uint32_t i = 0; i < n_in && !drain; i++) if (any(2)) index[k++] = i;
        done += !shell_step(t, k, index, NULL, drain, &n, found, values, &text);
    }
    free(found), free(index), free(values);
    return done;
}

int main(int argc, char **argv) {
    uint32_t bound = 0, done = 0, kept = 0, room = 1 << 20, rounds = strtoul(argv[1], NULL, 0), why[2], n;
    const char *text;
    seed = strtoul(argv[2], NULL, 0);
    for (uint32_t round = 0; round < rounds; round++) {
        FILE *f = fopen(argv[3 + round % (argc - 3)], "rb");
        static uint8_t whole[1 << 20];
        uint32_t bytes = fread(whole, 1, sizeof whole, f);
        fclose(f);
        damage(whole, any(8) ? 64 + 8 * word(whole + 12) : 12, bytes);
        uint8_t *image = malloc(bytes), *arena = malloc(room), *base;
        memcpy(image, whole, bytes);
        uint32_t at = word(image + 64); /* much that is damaged would run for long */
        if (at % 8 == 0 && at <= bytes - 56 && at >= 64) memcpy(image + at + 48, &(uint64_t){5000}, 8);
        if (!shell_open(image, bytes, arena, room, why, &text)) {
            shell_state(&base, &n); /* the state is the last that is taken: the arena ends there */
            uint32_t used = base - arena + n;
            free(arena), arena = malloc(used);
            if (shell_open(image, bytes, arena, used, why, &text)) abort();
            bound++;
            done += steps(0, word(image + 16), word(image + 20));
            shell_state(&base, &n);
            damage(base, any(2) ? 0 : 56, n);
            if (!shell_check_state()) { kept++; steps(word(base), word(image + 16), word(image + 20)); }
        }
        free(image), free(arena);
    }
    printf("%u %u %u\n", bound, done, kept);
}
"""


def fuzzed(folder: Path, rounds: int, seed: int) -> list[int]:
    """[images that were bound, steps that were done, states that were taken]."""
    if COMPILER is None:
        pytest.skip(NO_COMPILER)
    (folder / "fuzz.c").write_text(FUZZ)
    sources = [STUBS / "common/image.c", STUBS / "common/maths.c", STUBS / "host/shell.c", *(STUBS / "sfq").glob("*.c")]
    flags = [x for x in FLAGS if x not in ("-shared", "-ffreestanding", "-fPIC", "-Wextra", "-Werror", "-O2")]
    made = subprocess.run([COMPILER, *flags, "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
                           "-DHW_WITH_SFQ", "-o", folder / "fuzz", folder / "fuzz.c", *sources], capture_output=True,
                          text=True)
    if "asan" in made.stderr:
        pytest.skip("the compiler has no sanitizers: apt install libasan8 libubsan1")
    files = []
    for k, program in enumerate([*map(compiled_xor, STYLES[:3]), random_netlist(3), random_netlist(4, grid=True)]):
        files.append(folder / f"{k}.image")
        files[-1].write_bytes(image_of(program).data)
    run = subprocess.run([folder / "fuzz", str(rounds), str(seed), *files], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return [int(x) for x in run.stdout.split()]


def test_damaged_images_and_states_do_no_harm(tmp_path: Path) -> None:
    bound, done, kept = fuzzed(tmp_path, 2_000, 1)
    assert 200 < bound < 1_800
    assert done > bound
    assert 0 < kept < bound


@pytest.mark.slow
def test_many_damaged_images_and_states_do_no_harm(tmp_path: Path) -> None:
    assert fuzzed(tmp_path, 1_000_000, 2)[0] > 100_000


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
