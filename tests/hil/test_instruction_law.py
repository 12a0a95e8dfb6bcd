"""What the kernel takes on a Cortex-M4: measured again in two emulators, and held against a real network."""

from __future__ import annotations

import hashlib
import shutil

import numpy as np
import pytest

import hwsdk
from hwsdk.errors import InternalError, TargetError
from hwsdk.hil import transports
from hwsdk.hil.events import Events
from hwsdk.hil.firmware import prebuilt
from hwsdk.hil.instruction_images import Experiment, all_of, explicit, silent, units
from hwsdk.hil.instructions import run, solve, updates
from hwsdk.hil.link import Link
from hwsdk.hil.link_device import LinkDevice
from hwsdk.hil.m4_cycles import LEVELS, OBJDUMP, Instruction, bare, cost, disassemble, prices
from hwsdk.ir.formats import load_data
from hwsdk.targets.m4_law import load_law

HOW = "the emulator is missing: pip install unicorn pyelftools"
pytest.importorskip("unicorn", reason=HOW)
pytest.importorskip("elftools", reason=HOW)
AGAIN = "the image has changed: python -m hwsdk.hil.instructions > hwsdk/targets/measured/spinnaker2_m4.toml"


def test_the_law_is_that_of_the_image_and_exact():
    law, elf = load_law(), prebuilt("m4_semihosting")
    assert hashlib.sha256(elf.read_bytes()).hexdigest() == law.image.sha256, AGAIN
    experiments = all_of()
    found = solve(experiments, run(elf, experiments))
    assert found.residual == 0 and found.steps == law.law.steps > 1000
    assert found.terms == {name: term.instructions for name, term in law.terms.items()}
    single = units(n=3)
    least, mean, most = updates(found, single, run(elf, single))
    assert law.egru_update.instructions[0] <= least <= mean <= most <= law.egru_update.instructions[2]


def test_the_stored_law_is_a_bracket():
    law = load_law()
    assert law.law.residual_instructions == law.law.residual_cycles_nominal == 0
    for term in law.term:
        if term.instructions >= 8 and not term.name.startswith("some_heard"):  # a difference of two paths
            assert term.cycles("low") <= term.cycles("nominal") <= term.cycles("high") <= 3 * term.instructions, term
    with pytest.raises(TargetError):
        load_law("loihi2")


def test_the_law_holds_for_a_network():
    terms = {name: t.instructions for name, t in load_law().terms.items()}
    program = hwsdk.compile(hwsdk.load("examples/digits.nir", dt=1e-3, reset="value"), "spinnaker2")
    data = load_data("examples/digits_test.npz", program.input_shapes, limit=1)
    blocks = [b for pe in range(program.n_pes) for b in program.memory(pe).blocks]
    assert [b.kind for b in blocks] == ["byte", "byte"]
    with LinkDevice("unicorn:?count=1") as device:
        device.load(program)
        trace = device.run(data)
    ticks = trace.counts["instructions"][0]
    first, second = (trace.spikes[p.name].one(0) for p in program.populations)
    expected = np.full(len(ticks), float(terms["step"] + 2 * terms["pe_lif"] + program.n_neurons * terms["neuron_lif"]
                                         + 3 * terms["word"] + 2 * terms["heard"]))
    for block, sent in zip(blocks, (data.inputs["input"].one(0), first), strict=True):
        packets = np.bincount(sent.step, minlength=len(ticks))
        events = np.bincount(sent.step, weights=np.diff(block.rows)[sent.index], minlength=len(ticks))
        expected += events * terms["event_byte"] + packets * (terms["packet_byte"] + terms["gathered"])
        expected += (packets > 0) * (terms["entry_byte"] + terms["some_heard"])
    inputs = np.bincount(data.inputs["input"].one(0).step, minlength=len(ticks))
    halvings = np.array([int(n).bit_length() for n in inputs])
    expected += inputs * terms["input"] + (inputs > 0) * terms["some_input"] + halvings * terms["search"]
    expected += sum(np.bincount(s.step, minlength=len(ticks)) for s in (first, second)) * terms["spike"]
    # slices of more than 32 atoms take a little longer to read out
    assert (ticks - expected).min() >= 0 and (ticks - expected).max() < 40
    assert ticks.sum() < 1.01 * expected.sum()


def test_qemu_counts_the_same():
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is missing: apt install qemu-system-arm")
    rng = np.random.default_rng(3)
    experiments = [*silent(rng)[::4], *explicit(rng, "narrow"), *explicit(rng, "csr")[:1]]
    with Link(transports.open("qemu:?icount=8")) as link:
        for e, expected in zip(experiments, run(prebuilt("m4_semihosting"), experiments), strict=True):
            link.load(e.image)
            ptr = np.cumsum([0, *map(len, e.inputs)]).astype(np.int64)
            assert np.array_equal(link.run_steps(0, Events(ptr, np.concatenate(e.inputs), None)).ticks, expected)


def test_terms_that_cannot_be_told_apart_are_an_error():
    both = Experiment(b"", [], [{"a": 1, "b": 2}, {"a": 2, "b": 4}])
    with pytest.raises(InternalError, match="tell 1 apart"):
        solve([both], [np.array([5, 10])])


def one(name: str, operands: str = "", size: int = 2) -> Instruction:
    return Instruction(name, operands, size)


def test_prices_of_instructions():
    load, add, store = one("ldr", "r0, [r1, #4]"), one("adds", "r1, r1, #4"), one("str", "r0, [r2, #0]")
    assert [cost(load, None, level) for level in LEVELS] == [2, 2, 2]
    assert [cost(load, add, level) for level in LEVELS] == [2, 3, 3]  # its address is fresh
    assert [cost(store, load, level) for level in LEVELS] == [1, 1, 2]
    assert [cost(store, add, level) for level in LEVELS] == [1, 1, 2]
    assert [cost(one("ldr", "r3, [r0, #0]"), load, level) for level in LEVELS] == [2, 2, 2]
    assert [cost(one("udiv", "r0, r1, r2", 4), add, level) for level in LEVELS] == [2, 7, 12]
    assert [cost(one("it", "ne"), add, level) for level in LEVELS] == [0, 0, 1]
    assert cost(one("push", "{r4, r5, lr}"), None, "low") == 4 == cost(one("ldmia", "r0!, {r1-r3}", 4), None, "high")
    assert cost(one("vdiv", "s0, s1, s2", 4), None, "low") == 14
    assert cost(one("vadd", "s0, s1, s2", 4), None, "high") == 1
    assert cost(one("vldr", "d0, [sp]", 4), None, "low") == 3 == cost(one("vpush", "{d8}", 4), None, "low")
    assert cost(one("vmov", "r0, r1, d7", 4), None, "low") == 2 and cost(one("vmov", "s0, r1", 4), None, "low") == 1


NAMES = {
    "bls.n": "b", "mls": "mls", "movs": "movs", "movvs": "mov", "addeq.w": "add", "it": "it", "ittet": "it",
    "vmovpl.f32": "vmov", "ldrbhi": "ldrb", "teqne": "teq", "lsls": "lsls", "stmdb": "stmdb", "sbcs.w": "sbcs",
    "popgt": "pop", "blx": "blx", "smull": "smull", "cbnz": "cbnz", "bl": "bl"}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_instructions(name):
    assert bare(name) == NAMES[name]


def test_a_disassembly_has_every_instruction():
    if shutil.which(OBJDUMP) is None:
        pytest.skip(f"{OBJDUMP} is missing: apt install binutils-arm-none-eabi")
    code = disassemble(prebuilt("m4_semihosting"))
    assert len(code) > 5000
    assert {i.size for i in code.values()} == {2, 4}
    known = {"ldr", "mov", "b", "vmul", "ldmia", "cbz", "bkpt", "umull", "it"}
    assert known <= {i.name for i in code.values()}


@pytest.mark.slow
def test_cycles_are_those_of_the_file():
    if shutil.which(OBJDUMP) is None:
        pytest.skip(f"{OBJDUMP} is missing: apt install binutils-arm-none-eabi")
    law, elf, experiments = load_law(), prebuilt("m4_semihosting"), all_of()
    for level in LEVELS:
        found = solve(experiments, run(elf, experiments, prices(elf, level)))
        assert found.residual == 0
        assert found.terms == {name: term.cycles(level) for name, term in law.terms.items()}
