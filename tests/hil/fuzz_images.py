"""Small images of all four kinds, with every word, neuron, cell and stage that the generators of the tests make."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import struct
import zlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import spinnaker_by_hand
from crossbar_programs import random_program as random_crossbar
from firmware_client import image as of_the_test_runner
from fuzz_python import some_lists
from integer_networks import random_integer_network
from sfq_random import random_netlist
from small_program import small
from spinnaker_programs import MACHINE, Chance

import hwsdk
from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.errors import FitError, UnsupportedError
from hwsdk.hil.images import image_of
from hwsdk.hil.wire import Op
from hwsdk.programs.stored import StoredProgram

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MOST = 1 << 16
"""Bytes of an image: small ones are loaded often."""


def loihi(seed: int) -> StoredProgram:
    if not seed:
        return small().program
    return backends.get("loihi2").compile(random_integer_network(seed, lava=False).network, CompileOptions(),
                                          lambda _: None)


def spinnaker(seed: int) -> StoredProgram:
    by_hand = (spinnaker_by_hand.everything, spinnaker_by_hand.gated, spinnaker_by_hand.phased)
    if seed < len(by_hand):
        return dataclasses.replace(by_hand[seed]().program(), sync="barrier", machine=MACHINE)
    return dataclasses.replace(Chance(np.random.default_rng(seed), seed % 3 == 0).program(), sync="barrier")


def sfq(seed: int) -> StoredProgram:
    if not seed:
        xor = hwsdk.load(str(EXAMPLES / "xor.nir"), dt=1.0)
        return hwsdk.compile(xor, "sfq", bits=3, target_options={"neuron": "counter"})
    return random_netlist(seed, grid=seed % 2 == 0)


def crossbar(seed: int) -> StoredProgram:
    return random_crossbar(seed, stages=("adc", "wires")[:seed % 3])


def images(each: int) -> dict[str, list[bytes]]:
    """Kind -> so many images, and some of the test runner with values of every type."""
    found: dict[str, list[bytes]] = {}
    for make in (loihi, spinnaker, sfq, crossbar):
        found[make.__name__] = kept = []
        for seed in count():
            if len(kept) == each:
                break
            with contextlib.suppress(UnsupportedError, FitError):
                made = image_of(make(seed)).data
                kept += [made] if len(made) <= MOST else []
    found["test"] = [of_the_test_runner(40, 50, kind, kind, fails=90) for kind in range(4)]
    return found


PIECE = 2000
"""Bytes of an image in a LOAD_DATA."""
ENDS = (0, 1, 7, 8, 127, 128, 255, 65535, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
"""Numbers at which something ends."""


def record(op: Op, payload: bytes = b"") -> bytes:
    """For ``hwsdk_fuzz frames``, which fills in session and number."""
    return struct.pack("<HBBHI", 8 + len(payload), 1, op, 65535, 0) + payload


def changed(image: bytes, dice: np.random.Generator) -> bytes:
    """An image with up to three other words, most of them close to what they were."""
    data = bytearray(image)
    for place, how, end, by in dice.integers(0, [len(data) // 4, 4, len(ENDS), 32], (dice.integers(1, 4), 4)).tolist():
        (old,) = struct.unpack_from("<I", data, 4 * place)
        new = (ENDS[end], old + by % 5 - 2, old ^ 1 << by, by)[how]
        struct.pack_into("<I", data, 4 * place, new & 0xFFFFFFFF)
    return bytes(data)


def sessions(some: list[bytes], n: int, seed: int) -> Iterator[bytes]:
    """Records of n uploads of changed images, each with steps after it, some of whose event lists are damaged."""
    dice = np.random.default_rng(seed)
    lists = {image: [some_lists(*struct.unpack_from("<I4xB", image, 16), dice) for _ in range(20)] for image in some}
    yield record(Op.HELLO, struct.pack("<QBB", 1, 1, 1))
    for pick in dice.integers(0, len(some), n).tolist():
        image = changed(some[pick], dice)
        yield record(Op.LOAD_BEGIN, struct.pack("<II", len(image), zlib.crc32(image)) + hashlib.sha256(image).digest())
        for at in range(0, len(image), PIECE):
            yield record(Op.LOAD_DATA, struct.pack("<I", at) + image[at:at + PIECE])
        yield record(Op.LOAD_END)
        first = 0
        for which, damage in dice.integers(0, [20, 8], (4, 2)).tolist():
            raw, k = lists[some[pick]][which]
            if not damage and raw:
                place = int(dice.integers(len(raw)))
                raw = raw[:place] + bytes([int(dice.integers(256))]) + raw[place + 1:]
            yield record(Op.STEP, struct.pack("<IHB", first, k, 0) + raw)
            first += k
