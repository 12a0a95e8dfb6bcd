"""Link against a device in plain Python, with and without faults: what it returns is right, or it raises by name."""

from __future__ import annotations

import struct
import time
import zlib
from typing import Any

import numpy as np
import pytest
from fake_device import FakeDevice, lossy

from hwsdk.errors import DeviceReset, LinkError, NoReply, RemoteError, UnsupportedError
from hwsdk.hil.events import Events, no_events
from hwsdk.hil.image import KINDS, pack
from hwsdk.hil.link import Link


def image(n_in: int = 40, n_out: int = 30, values: tuple[str, str] = ("ones", "ones"), more: int = 3000) -> bytes:
    return pack(next(iter(KINDS)), 1, "00" * 32, n_in, n_out, values, [np.random.default_rng(1).bytes(more)])


def inputs(steps: int, n_in: int = 40, density: float = 0.2, typed: bool = False, seed: int = 0) -> tuple[Any, Events]:
    """((steps, n_in) values, the same as events)."""
    dice = np.random.default_rng(seed)
    dense = (dice.random((steps, n_in)) < density) * (dice.integers(1, 5, (steps, n_in)) if typed else 1)
    ptr = np.concatenate([[0], np.cumsum((dense != 0).sum(1))]).astype(np.int64)
    index = np.nonzero(dense)[1].astype(np.uint32)
    return dense, Events(ptr, index, dense[dense != 0].astype(np.int32) if typed else None)


def check(found: Any, dense: Any, n_out: int = 30) -> None:
    kept = dense[:, :n_out]
    assert np.diff(found.events.ptr).tolist() == (kept != 0).sum(1).tolist()
    assert found.events.index.tolist() == np.nonzero(kept)[1].tolist()
    assert found.events.values is None or found.events.values.tolist() == kept[kept != 0].tolist()
    assert found.ticks.tolist() == [7] * len(dense)


@pytest.mark.parametrize(("mtu", "results", "typed", "feed", "n_in"), [
    (512, 4000, False, 4000, 40),  # whole batches in a frame
    (512, 4000, True, 4000, 40),  # results are fetched
    (300, 900, True, 900, 2000),  # inputs are fed too
    (60000, 1 << 24, False, 1 << 24, 40),
])
def test_every_way_to_run_steps(mtu: int, results: int, typed: bool, feed: int, n_in: int) -> None:
    device = FakeDevice(mtu=mtu, results=results, feed=feed)
    with Link(device) as link:
        loaded = link.load(image(n_in, values=("i32", "i32") if typed else ("ones", "ones")))
        assert (loaded.n_in, loaded.n_out, loaded.resumed_at, loaded.results) == (n_in, 30, 0, results)
        dense, events = inputs(60, n_in, typed=typed, density=0.2 if n_in == 40 else 0.05)
        told: list[tuple[int, int]] = []
        first = link.run_steps(0, events.part(0, 41), progress=lambda *n: told.append(n))
        check(first, dense[:41])
        second = link.run_steps(41, events.part(41, 60))
        check(second, dense[41:])
        assert (first.next_step, second.next_step, link.next_step) == (41, 60, 60)
        assert second.digest == device.digest == link.digest
        assert told[-1] == (41, 41) and [t for t, _ in told] == sorted(t for t, _ in told)
        assert device.executed == list(range(60))
        assert link.statistics["retries"] == link.statistics["bad_crc"] == 0


def test_nothing_to_do_is_no_request() -> None:
    with Link(FakeDevice()) as link:
        link.load(image())
        sent = link.statistics["frames_out"]
        found = link.run_steps(0, no_events(0))
        assert (found.events.steps, len(found.ticks), link.statistics["frames_out"]) == (0, 0, sent)


@pytest.mark.parametrize(("window", "credit"), [(1, 1 << 20), (3, 1 << 20), (8, 1100), (8, 200)])
def test_window_and_credit_are_kept(window: int, credit: int) -> None:
    device = FakeDevice(window=window, credit=max(credit, 600))
    with Link(device) as link:
        link.load(image())
        link.sink(5000)
        assert device.most_seen == (window if credit > 2000 else max(1, max(credit, 600) // 520))


def test_the_small_operations() -> None:
    with Link(FakeDevice(), nonce=5) as link:
        hello = link.hello()
        assert (hello.nonce, hello.name, link.hello().session) == (5, "fake", hello.session)
        assert link.echo(b"\0abc\0") == b"\0abc\0"
        assert link.status()["steps"] == 10
        assert link.source(2000) > 0
        size = link.load(image()).size
        assert link.verify() == zlib.crc32(image())
        dense, events = inputs(8)
        check(link.run_steps(0, events), dense)
        state = link.read_state()
        assert len(state) == 72 and struct.unpack_from("<II", state) == (8, link.digest)
        link.reset()
        check(link.run_steps(0, events), dense)
        assert link.read_state() == state
        check(link.run_steps(8, events), dense)
        link.write_state(state)
        assert link.next_step == 8
        check(link.run_steps(8, events), dense)
        assert link.load(image()).resumed_at == size  # nothing had to be sent


@pytest.mark.parametrize("seed", range(8))
def test_a_bad_line_costs_time_only(seed: int) -> None:
    device = FakeDevice(results=4000 if seed % 2 else 1 << 20, mtu=300)
    device.damage = lossy(seed, 0.15)
    dense, events = inputs(80, seed=seed, typed=True)
    with Link(device) as link:
        link.load(image(values=("i32", "i32")))
        check(link.run_steps(0, events), dense)
        assert device.executed == list(range(80))
        assert struct.unpack_from("<I", link.read_state()) == (80,)
        assert link.statistics["retries"] > 0
    assert device.performed.count(6) == len(set(device.executed)) or device.performed.count(6) < 80


def test_more_requests_than_there_are_numbers() -> None:
    with Link(FakeDevice(window=8)) as link:
        link.hello()
        link.window._next = link.window.transport.wanted = 0xFFFD  # type: ignore[attr-defined]
        for n in range(6):
            assert link.echo(bytes([n])) == bytes([n])


def test_refusals_come_at_once_and_the_session_goes_on() -> None:
    device = FakeDevice()
    with Link(device) as link:
        link.load(image())
        dense, events = inputs(60)
        with pytest.raises(RemoteError, match=r"refuses STEP: E_ORDER.*value 0, limit 5") as error:
            link.run_steps(5, events)
        assert error.value.code == "E_ORDER" and device.executed == []
        with pytest.raises(RemoteError, match="E_OP"):
            link.bench(3)
        check(link.run_steps(0, events), dense)
        assert link.statistics["sessions"] == 1


def test_a_fault_of_the_device_brings_what_it_says_of_itself() -> None:
    device = FakeDevice()
    with Link(device) as link:
        begin = device.do_begin
        device.do_begin = lambda body: begin(body[:4] + bytes(4) + body[8:])  # type: ignore[method-assign]
        with pytest.raises(RemoteError, match=r"E_CRC_IMAGE(.|\n)*boot 1(.|\n)*its counters: .*gaps 7"):
            link.load(image())


def test_results_that_the_digest_does_not_confirm_are_not_returned() -> None:
    device = FakeDevice()
    with Link(device) as link:
        link.load(image())
        device.lie = lambda digest: digest ^ 1
        with pytest.raises(LinkError, match=r"DIGEST_MISMATCH.*steps 0 to"):
            link.run_steps(0, inputs(9)[1])


def test_replies_that_no_device_gives() -> None:
    device = FakeDevice()
    with Link(device) as link:
        link.load(image())
        for body in (b"", bytes(12), struct.pack("<III", 9, 0, 1 << 30), struct.pack("<III", 9, 0, 3) + b"abcd"):
            link.reset()
            device.do_step = lambda _, body=body: body  # type: ignore[method-assign,misc]
            with pytest.raises(LinkError, match="BAD_REPLY"):
                link.run_steps(0, inputs(9)[1])
        device.do_read = lambda _: struct.pack("<II", 9, 1) + b"123456789"  # type: ignore[method-assign]
        with pytest.raises(LinkError, match="STATE_DAMAGED"):
            link.read_state()
        device.do_verify = lambda _: bytes(4)  # type: ignore[method-assign]
        with pytest.raises(LinkError, match="IMAGE_DAMAGED"):
            link.verify()


def test_a_reset_is_noticed_and_an_upload_goes_on() -> None:
    device = FakeDevice(mtu=256)
    with Link(device) as link:
        count = iter(range(99))
        data = device.do_data

        def reset_at_six(body: bytes) -> bytes:
            if next(count) == 6:
                device.reset_device()
            return data(body)

        device.do_data = reset_at_six  # type: ignore[method-assign]
        with pytest.raises(DeviceReset, match=r"boot 2, last reset: software(.|\n)*upload goes on"):
            link.load(image())
        loaded = link.load(image())
        assert 0 < loaded.resumed_at < loaded.size
        dense, events = inputs(20)
        check(link.run_steps(0, events), dense)
        device.reset_device()
        for _ in range(2):
            with pytest.raises(LinkError, match=r"DEVICE_RESET|NOT_LOADED"):
                link.run_steps(20, events)
        assert link.statistics["resets"] == 2


def test_a_reset_between_two_sessions_is_told_once() -> None:
    device = FakeDevice()
    with Link(device, timeout=0.05, deadline=0.1) as link:
        link.load(image())
        device.dumb = True
        with pytest.raises(NoReply):
            link.echo(b"x")
        device.dumb = False
        device.reset_device()
        with pytest.raises(DeviceReset):
            link.status()
        assert link.status()["boots"] == 13


def test_a_reset_is_noticed_where_only_short_frames_come_through() -> None:
    device = FakeDevice()
    with Link(device, timeout=2) as link:
        link.hello()
        device.reset_device()
        device.damage = lambda frame, way: [frame] if len(frame) < 100 or way == "in" else []
        with pytest.raises(DeviceReset, match=r"another session(.|\n)*boot 2"):
            link.echo(bytes(400))


def test_a_message_that_comes_with_the_greeting_is_kept() -> None:
    device = FakeDevice()
    device.damage = lambda frame, way: [frame, device.reply(11, 0, 1, b"\0\1up")] if way == "in" else [frame]
    with Link(device) as link:
        link.hello()
        assert list(link.messages) == ["info: up"]


def test_another_host_takes_the_device_over() -> None:
    device = FakeDevice()
    one, two = Link(device, nonce=1), Link(device, nonce=100)
    one.echo(b"a")
    two.echo(b"b")
    with pytest.raises(DeviceReset, match="does not know this session"):
        one.echo(b"c")


def test_a_dead_device_is_told_within_the_deadline() -> None:
    device = FakeDevice()
    with Link(device, timeout=0.1, deadline=0.3) as link:
        link.load(image())
        device.dumb = True
        for call in (link.status, lambda: link.echo(b"x"), link.hello, lambda: link.load(image())):
            start = time.monotonic()
            with pytest.raises(NoReply, match=r"NO_REPLY|DEADLINE"):
                call()
            assert time.monotonic() - start < 3
    assert device.closed


def test_a_line_that_lets_nothing_whole_through_ends_too() -> None:
    device = FakeDevice()
    with Link(device, timeout=0.3, deadline=0.2) as link:
        link.hello()
        device.damage = lambda frame, way: [frame[:-1] + b"\1"] if way == "out" else [frame]
        start = time.monotonic()
        with pytest.raises(NoReply, match="DEADLINE"):
            link.echo(b"abc")
        assert time.monotonic() - start < 3 and link.statistics["naks"] > 0


def test_a_busy_device_is_asked_again() -> None:
    device = FakeDevice()
    with Link(device, timeout=0.8, deadline=5) as link:
        link.hello()
        busy = [device.reply(12, 0, device.session, b"\x11" + bytes(8)) for _ in range(2)]
        device.damage = lambda frame, way: [busy.pop()] if way == "in" and busy else [frame]
        assert link.echo(b"abc") == b"abc"
        assert (link.statistics["busy"], device.performed) == (2, [12])
        device.take = lambda _: [device.reply(12, 1, device.session, b"\x11" + bytes(8))]  # type: ignore[method-assign]
        with pytest.raises(NoReply):
            link.echo(b"abc")


def test_stale_replies_are_dropped_and_counted() -> None:
    device = FakeDevice()
    with Link(device) as link:
        link.hello()
        old = device.reply(12, 0, device.session ^ 4, b"\0old")
        device.damage = lambda frame, way: [old, frame] if way == "in" else [frame]
        assert link.echo(b"new") == b"new"
        assert link.statistics["stale"] == 1


def test_messages_of_the_device_are_kept() -> None:
    device, said = FakeDevice(), []
    with Link(device, log=said.append) as link:
        link.hello()
        message = device.reply(11, 0, device.session, b"\0\2hot")
        device.damage = lambda frame, way: [message, frame] if way == "in" else [frame]
        link.echo(b"x")
    assert said == list(link.messages) == ["warning: hot"]


def test_what_cannot_fit_is_refused_before_it_is_sent() -> None:
    with Link(FakeDevice(results=20, feed=100)) as link:
        with pytest.raises(LinkError, match="NOT_LOADED"):
            link.run_steps(0, inputs(3)[1])
        link.load(image(values=("i32", "i32")))
        with pytest.raises(UnsupportedError, match="one step can send 132 bytes, the device holds 20"):
            link.run_steps(0, inputs(3, typed=True)[1])
    with Link(FakeDevice(results=4000, feed=100)) as link:
        link.load(image(4000, 30))
        with pytest.raises(UnsupportedError, match=r"events of step 0 take .* bytes, the device holds 100"):
            link.run_steps(0, inputs(3, 4000)[1])


def test_a_device_of_another_version() -> None:
    device = FakeDevice()
    device.hello = lambda: struct.pack("<BII", 0x20, 7, 1) + b"another"  # type: ignore[method-assign]
    with pytest.raises(RemoteError, match="refuses HELLO: E_VER, another"):
        Link(device).hello()


def test_frames_can_be_kept_short() -> None:
    device = FakeDevice(mtu=2000)
    with Link(device, most_frame=400) as link:
        link.load(image())
        assert link.room == 388
        check(link.run_steps(0, inputs(30)[1]), inputs(30)[0])
        assert max(map(len, device.kept.values())) < 410
