"""Writes wire_vectors.txt, the bytes that both sides of the wire protocol are held against.

Made with zlib, the cobs package and plain Python only: neither side's code is used. One vector a line, `#` begins a
comment, `-` stands for nothing, bytes and bit patterns are in hex, other numbers in decimal:

    crc <name> <bytes> <crc>
    cobs <name> <decoded> <encoded, without the zeros around it>
    frame <name> <op> <seq> <session> <payload> <wire>
    bad <name> <cobs|crc|long|short> <wire>               for an mtu of 2048
    list <name> <elements> <type> <indices,> <values,> <bytes>      values as bit patterns; - where all are 1
    notlist <name> <elements> <type> <bytes>              what a receiver has to refuse
    digest <name> <before> <step> <type> <indices,> <values,> <after>
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from cobs import cobs  # type: ignore[import-untyped]

FORMATS = {1: ("<i", "<I"), 2: ("<f", "<I"), 3: ("<d", "<Q")}


def text(data: bytes) -> str:
    return data.hex() or "-"


def body(op: int, seq: int, session: int, payload: bytes, version: int = 1) -> bytes:
    return struct.pack("<BBHI", version, op, seq, session) + payload


def wire(inside: bytes, flip: int = 0) -> bytes:
    return b"\0" + cobs.encode(inside + struct.pack("<I", zlib.crc32(inside) ^ flip)) + b"\0"


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def index_bytes(elements: int, indices: Sequence[int]) -> dict[int, bytes]:
    """Every encoding that can say it."""
    forms = {}
    if all(i < 65536 for i in indices):
        forms[0] = b"".join(struct.pack("<H", i) for i in indices)
    gaps = [i - before - 1 for before, i in zip([-1, *indices[:-1]], indices, strict=True)] if indices else []
    forms[1] = b"".join(varint(g) for g in gaps)
    bits = sum(1 << i for i in indices)
    forms[2] = bits.to_bytes((elements + 7) // 8, "little")
    return forms


def value_bytes(kind: int, values: Sequence[float]) -> bytes:
    return b"".join(struct.pack(FORMATS[kind][0], v) for v in values)


def event_list(elements: int, kind: int, indices: Sequence[int], values: Sequence[float] | None) -> bytes:
    forms = index_bytes(elements, indices)
    tag = min(forms, key=lambda t: (len(forms[t]), t))
    sent = kind if kind and values is not None and any(v != 1 for v in values) else 0
    found = bytes([tag | sent << 4]) + varint(len(indices)) + forms[tag]
    return found + (value_bytes(kind, values) if sent and values is not None else b"")


def patterns(kind: int, values: Sequence[float] | None) -> str:
    if not kind or not values:
        return "-"
    value, bits = FORMATS[kind]
    width = struct.calcsize(bits) * 2
    return ",".join(f"{struct.unpack(bits, struct.pack(value, v))[0]:0{width}x}" for v in values)


def numbers(indices: Sequence[int]) -> str:
    return ",".join(map(str, indices)) or "-"


def checks(dice: random.Random) -> Iterator[str]:
    for name, data in (("nothing", b""), ("check", b"123456789"), ("zero", b"\0"), ("long", dice.randbytes(1000)),
                       ("odd", dice.randbytes(13))):
        yield f"crc {name} {text(data)} {zlib.crc32(data):08x}"
    runs = [253, 254, 255, 508, 509]
    for name, data in (("one", b"\1"), ("zero", b"\0"), ("zeros", bytes(5)), ("ends", b"\0ab\0"),
                       *((f"run{n}", bytes(i % 255 + 1 for i in range(n))) for n in runs),
                       ("run254zero", bytes(range(1, 255)) + b"\0"), ("any", dice.randbytes(700))):
        yield f"cobs {name} {text(data)} {cobs.encode(data).hex()}"


def hello_reply() -> bytes:
    tlvs = {1: b"host", 2: b"0123abcd", 3: b"a process", 4: b"x86-64", 5: bytes([1, 1, 4, 1]),
            6: struct.pack("<I", 0x1BFFFE), 7: b"gcc 12.2.0", 8: struct.pack("<I", 2000)}
    fixed = struct.pack("<BQBBHHIIIIBBBBIIII32s", 0, 0x1122334455667788, 1, 1, 2048, 4, 0xA1B2C3D4, 8192, 1 << 20,
                        25000000, 2, 1, 6, 0, 3, 17, 0xDEADBEEF, 0x12345678, bytes(range(32)))
    return fixed + b"".join(bytes([kind, len(value)]) + value for kind, value in tlvs.items())


def refusal(status: int, value: int, limit: int, words: bytes) -> bytes:
    return struct.pack("<BII", status, value, limit) + words


def frames(dice: random.Random) -> Iterator[str]:
    session, image = 0xA1B2C3D4, bytes(range(32))
    listed = event_list(10, 0, [1, 3], None)
    found = [
        ("hello", 1, 9, 0, struct.pack("<QBB", 0x1122334455667788, 1, 1)), ("hello_reply", 129, 9, 0, hello_reply()),
        ("load_begin", 2, 0, session, struct.pack("<II32s", 132128, 0xCBF43926, image)),
        ("load_begin_reply", 130, 0, session, struct.pack("<BI", 0, 58560)),
        ("load_data", 3, 1, session, struct.pack("<I", 58560) + dice.randbytes(64)),
        ("load_data_order", 131, 1, session, refusal(0x25, 58560, 132128, b"in order")),
        ("load_end", 4, 2, session, b""),
        ("load_end_reply", 132, 2, session, struct.pack("<BIIII", 0, 520, 37, 4096, 8192)),
        ("reset_state", 5, 3, session, b""), ("step", 6, 4, session, struct.pack("<IHB", 5, 2, 0) + listed * 2),
        ("step_fed", 6, 5, session, struct.pack("<IHBII", 7, 2, 3, 8, zlib.crc32(listed * 2))),
        ("step_reply", 134, 4, session, struct.pack("<BIII", 0, 7, 0x01020304, 16) + (bytes(4) + listed) * 2),
        ("fetch", 7, 6, session, struct.pack("<II", 7, 0)), ("read_state", 8, 7, session, struct.pack("<IH", 0, 64)),
        ("write_state", 9, 8, session, struct.pack("<III", 0, 12, 0x55AA55AA) + bytes(12)),
        ("status", 10, 9, session, b""),
        ("status_reply", 138, 9, session, bytes([0, 16]) + struct.pack("<16I", *range(100, 116))),
        ("log", 139, 0, session, b"\0\2the watchdog has reset the device"), ("echo", 12, 10, session, b"\0\1\0"),
        ("source", 14, 11, session, struct.pack("<H", 251)), ("bench", 15, 12, session, struct.pack("<I", 1000)),
        ("exit", 17, 13, session, b"\7"), ("verify_image", 19, 65535, session, b""),
        ("feed", 20, 14, session, struct.pack("<I", 0) + listed),
        ("nak", 128, 14, session, struct.pack("<BH", 0x10, 14)),
        ("gap", 140, 15, session, struct.pack("<BH", 0x10, 14)),
        ("no_session", 134, 4, session, refusal(0x44, 3, 1, b"no such session"))]
    for name, op, seq, of, payload in found:
        yield f"frame {name} {op} {seq} {of} {text(payload)} {wire(body(op, seq, of, payload)).hex()}"


def bad_frames(dice: random.Random) -> Iterator[str]:
    good = body(12, 0, 1, b"abc")
    yield f"bad crc crc {wire(good, 1).hex()}"
    yield f"bad cut cobs {(wire(good)[:-4] + bytes(1)).hex()}"
    yield f"bad tiny short {wire(b'abc').hex()}"
    yield f"bad bytes11 short {(bytes(1) + cobs.encode(bytes(11)) + bytes(1)).hex()}"
    long = body(13, 0, 1, dice.randbytes(2048 - 11))
    yield f"bad long long {wire(long).hex()}"


def lists(dice: random.Random) -> Iterator[str]:
    cases: list[tuple[str, int, int, list[int], list[float] | None]] = [
        ("nothing", 10, 0, [], None), ("no_elements", 0, 0, [], None), ("one", 300, 0, [7], None),
        ("tie_u16", 16, 0, [9], None), ("varints", 100000, 0, [0, 1, 130, 70000], None),
        ("far", 1 << 20, 0, [(1 << 20) - 1], None), ("dense", 20, 0, [*range(0, 20, 2)], None),
        ("all", 17, 0, [*range(17)], None), ("wide", 70000, 0, [65535, 69999], None),
        ("u16", 65536, 0, [*range(200, 60000, 257)], None), ("ones_i32", 40, 1, [3, 9], [1, 1]),
        ("i32", 40, 1, [3, 9], [1, -5]), ("i32_ends", 9, 1, [0, 8], [-(1 << 31), (1 << 31) - 1]),
        ("f32", 64, 2, [0, 63], [0.5, -1.25]), ("f64", 200, 3, [5], [0.1]),
        ("f64_bitmap", 9, 3, [0, 1, 2, 8], [1, 2, 3, 4]), ("f32_none", 5, 2, [], None)]
    for n in (33, 1000, 3000):
        some = sorted(dice.sample(range(n), n // 5))
        cases.append((f"any{n}", n, 0, some, None))
        cases.append((f"any{n}_i32", n, 1, some[:9], [dice.choice([-3, 1, 7]) for _ in some[:9]]))
    for name, n, kind, indices, values in cases:
        found = event_list(n, kind, indices, values)
        yield f"list {name} {n} {kind} {numbers(indices)} {patterns(kind, values)} {found.hex()}"


def wrong_lists() -> Iterator[str]:
    def u16(*values: int) -> bytes:
        return struct.pack(f"<{len(values)}H", *values)

    two, minus = struct.pack("<f", 2), struct.pack("<f", -0.0)
    cases = [  # name, elements, type, bytes
        ("empty", 10, 0, b""), ("no_count", 10, 0, b"\0"), ("tag", 10, 0, b"\3\0"), ("value_type", 10, 1, b"\x40\0"),
        ("other_type", 10, 1, b"\x20\1" + u16(1) + two), ("unasked", 10, 0, b"\x10\1" + u16(1) + u16(2, 0)),
        ("descending", 10, 0, b"\0\2" + u16(3, 2)), ("equal", 10, 0, b"\0\2" + u16(3, 3)),
        ("beyond", 10, 0, b"\0\1" + u16(10)), ("too_many", 10, 0, b"\1\x0b" + bytes(11)),
        ("cut", 10, 0, b"\0\2" + u16(3)), ("varint_beyond", 10, 0, b"\1\1\x0a"),
        ("varint_sum", 10, 0, b"\1\2\5\4"), ("varint_wraps", 10, 0, b"\1\2\5\xff\xff\xff\xff\x0f"),
        ("varint_long", 10, 0, b"\1\1\x80\x80\x80\x80\x10"), ("varint_padded", 10, 0, b"\1\1\x81\0"),
        ("varint_cut", 300, 0, b"\1\1\x81"), ("bitmap_count", 10, 0, b"\2\2" + bytes([7, 0])),
        ("bitmap_few", 10, 0, b"\2\3" + bytes([3, 0])), ("bitmap_padding", 10, 0, b"\2\1" + bytes([0, 4])),
        ("bitmap_cut", 10, 0, b"\2\1" + bytes([1])), ("values_cut", 10, 1, b"\x10\1" + u16(1) + b"abc"),
        ("zero", 10, 1, b"\x10\1" + u16(1) + bytes(4)), ("minus_zero", 10, 2, b"\x20\1" + u16(1) + minus),
        ("huge_count", 10, 0, b"\0\xff\xff\xff\xff\x0f"), ("no_elements", 0, 0, b"\0\1" + u16(0))]
    for name, n, kind, data in cases:
        yield f"notlist {name} {n} {kind} {text(data)}"


def digests() -> Iterator[str]:
    now = 0
    cases: list[tuple[int, list[int], list[float] | None]] = [
        (0, [1, 5, 9], None), (0, [], None), (1, [2, 3], [1, -7]), (1, [4], None), (2, [0], [0.5]),
        (3, [0, 70000], [0.1, 1.0]), (0, [*range(0, 3000, 7)], None)]
    for step, (kind, indices, values) in enumerate(cases):
        data = struct.pack(f"<II{len(indices)}I", step, len(indices), *indices)
        if kind:
            data += value_bytes(kind, values or [1] * len(indices))
        after = zlib.crc32(data, now)
        yield f"digest step{step} {now:08x} {step} {kind} {numbers(indices)} {patterns(kind, values)} {after:08x}"
        now = after


def vectors() -> str:
    dice = random.Random(1)
    lines = [line.strip() for line in (__doc__ or "").split("\n\n")[-1].splitlines() if line.strip()]
    head = ["# Made by make_wire_vectors.py.", *(f"# {line}" for line in lines)]
    made = [*checks(dice), *frames(dice), *bad_frames(dice), *lists(dice), *wrong_lists(), *digests()]
    return "\n".join([*head, *made]) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("wire_vectors.txt").write_text(vectors(), encoding="utf-8")
