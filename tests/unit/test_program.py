"""LoihiProgram and its .hwx file."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from random_networks import random_network, random_stimulus

import hwsdk
from hwsdk.errors import ProgramError
from hwsdk.ir.semantics import Semantics
from hwsdk.programs import container
from hwsdk.programs.loihi import LoihiProgram


@pytest.fixture
def program():
    return hwsdk.compile(random_network(5, Semantics()), "loihi2")


def test_a_saved_program_is_the_same_program(program, tmp_path):
    path = program.save(tmp_path / "p.hwx")
    again = hwsdk.load_program(path)
    assert again.digest() == program.digest()
    assert again.to_text() == program.to_text()
    assert again.ledger == program.ledger
    assert again.semantics == program.semantics


def test_the_same_program_gives_the_same_bytes(program, tmp_path):
    first, second = (program.save(tmp_path / name).read_bytes() for name in ("a.hwx", "b.hwx"))
    assert first == second


def test_compiling_twice_gives_the_same_digest():
    a, b = (hwsdk.compile(random_network(8, Semantics()), "loihi2", seed=3) for _ in range(2))
    assert a.digest() == b.digest()


def test_nothing_but_the_file_is_left_behind(program, tmp_path):
    program.save(tmp_path / "p.hwx")
    assert [f.name for f in tmp_path.iterdir()] == ["p.hwx"]


def test_a_missing_folder_is_refused(program, tmp_path):
    with pytest.raises(ProgramError, match=r"^\[CANNOT_WRITE\].*choose another folder"):
        try:
            program.save(tmp_path / "none" / "p.hwx")
        except ProgramError as error:
            raise ProgramError(str(error).replace("\n", " ").removeprefix("[CANNOT_WRITE] "),
                               code="CANNOT_WRITE") from None


def rewrite(path, change):
    """Copy a .hwx file with one entry changed."""
    with zipfile.ZipFile(path) as z:
        entries = {n: z.read(n) for n in z.namelist()}
    change(entries)
    with zipfile.ZipFile(path, "w") as z:
        for name, data in entries.items():
            z.writestr(name, data)


def test_a_changed_weight_is_noticed(program, tmp_path):
    path = program.save(tmp_path / "p.hwx")

    def flip(entries):
        data = bytearray(entries["arrays/vth.npy"])
        data[-1] ^= 1
        entries["arrays/vth.npy"] = bytes(data)

    rewrite(path, flip)
    with pytest.raises(ProgramError, match=r"^\[DIGEST_MISMATCH\]"):
        hwsdk.load_program(path)


def test_another_schema_is_named(program, tmp_path):
    path = program.save(tmp_path / "p.hwx")

    def change(entries):
        manifest = json.loads(entries["manifest.json"])
        manifest["schema_version"] = 99
        entries["manifest.json"] = json.dumps(manifest).encode()

    rewrite(path, change)
    with pytest.raises(ProgramError, match=r"^\[SCHEMA_VERSION\].*schema version 99, this hwsdk reads 2"):
        hwsdk.load_program(path)


@pytest.mark.parametrize("cut", [0, 10, 200, 1000, -1, -30])
def test_a_truncated_file_is_refused(program, tmp_path, cut):
    path = program.save(tmp_path / "p.hwx")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ProgramError):
        hwsdk.load_program(path)


def test_every_flipped_byte_is_refused_or_harmless(program, tmp_path):
    """A flip is noticed, or lies where it changes nothing (time stamps, names of the zip's second directory)."""
    path = program.save(tmp_path / "p.hwx")
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    noticed = 0
    for at in rng.integers(0, len(good), 60):
        damaged = bytearray(good)
        damaged[at] ^= 0x55
        path.write_bytes(bytes(damaged))
        try:
            assert hwsdk.load_program(path).digest() == program.digest()
        except hwsdk.HwsdkError:
            noticed += 1
    assert noticed > 30


def test_inconsistent_arrays_are_refused_before_they_run(program):
    import dataclasses

    from hwsdk.simulators import loihi

    arrays = dataclasses.replace(program.arrays, target=program.arrays.target + 10**6)
    broken = dataclasses.replace(program, arrays=arrays)
    with pytest.raises(ProgramError, match=r"^\[INCONSISTENT\]"):
        loihi.build(broken)


def test_axons_that_do_not_match_are_refused(program):
    import dataclasses

    from hwsdk.simulators import loihi

    lost = dataclasses.replace(program.arrays, out_core=(program.arrays.out_core + 1) % program.n_cores)
    with pytest.raises(ProgramError, match=r"^\[ROUTING_MISMATCH\]"):
        loihi.build(dataclasses.replace(program, arrays=lost))


def test_text_is_stable_and_names_every_core(program):
    text = program.to_text()
    assert text == program.to_text()
    assert all(f"core {c} chip" in text for c in range(program.n_cores))


def test_container_digest_depends_on_type_and_shape():
    a = container.content_digest({}, {"x": np.zeros(4, np.int32)})
    assert a != container.content_digest({}, {"x": np.zeros(4, np.int64)})
    assert a != container.content_digest({}, {"x": np.zeros((2, 2), np.int32)})


def test_programs_of_another_kind_are_refused(program, tmp_path):
    path = program.save(tmp_path / "p.hwx")
    rewrite(path, lambda e: e.update({"manifest.json": e["manifest.json"].replace(b'"loihi"', b'"other"')}))
    with pytest.raises(ProgramError, match=r"^\[WRONG_KIND\]"):
        LoihiProgram.load(path)


def test_loaded_programs_simulate_the_same(program, tmp_path):
    data = random_stimulus(random_network(5, Semantics()), 1)
    path = program.save(tmp_path / "p.hwx")
    assert hwsdk.simulate(program, data).first_difference(hwsdk.simulate(path, data)) is None
