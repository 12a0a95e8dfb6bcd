"""A run goes on after its line was lost, wherever that was, and no step is executed twice."""

from __future__ import annotations

from typing import Any

import pytest
from fake_device import FakeDevice
from test_link import check, image, inputs

from hwsdk.errors import DeviceReset, LinkError, NoReply
from hwsdk.hil.events import Events
from hwsdk.hil.link import Link


def broken_off(device: FakeDevice, link: Link, events: Events, at: int) -> None:
    """A run whose line breaks when the device has executed that step."""
    link.load(image(values=("i32", "i32")))
    one = device.one

    def break_at(indices: list[int], values: list[Any]) -> None:
        one(indices, values)
        device.dumb |= device.next > at

    device.one = break_at  # type: ignore[method-assign]
    device.damage = lambda frame, way: [] if way == "in" and device.dumb else [frame]
    with pytest.raises(NoReply):
        link.run_steps(0, events)
    device.one, device.dumb, device.damage = one, False, lambda frame, _: [frame]  # type: ignore[method-assign]


@pytest.mark.parametrize("other_session", [False, True])
@pytest.mark.parametrize("mtu", [512, 300])
def test_a_run_goes_on_after_the_line_was_lost(other_session: bool, mtu: int) -> None:
    device, (dense, events) = FakeDevice(mtu=mtu, window=1 if other_session else 4), inputs(60, typed=True)
    with Link(device, timeout=0.05, deadline=0.1) as link:
        broken_off(device, link, events, 20)
        if other_session:
            device.session = 0
        check(link.resume(), dense)
        assert device.executed == list(range(60)) and link.digest == device.digest
        with pytest.raises(LinkError, match="NOTHING_TO_RESUME"):
            link.resume()


class Cable:
    """A line to a device that outlives it."""

    bytes_a_second = None

    def __init__(self, device: FakeDevice, reads: int = 1 << 30) -> None:
        self.device, self.reads, self.closed = device, reads, False

    def write(self, data: bytes) -> None:
        self.device.write(data)

    def read_some(self, timeout: float) -> bytes:
        self.reads -= 1
        if self.reads < 0:
            self.device.read_some(0)  # the device goes on with what has come
            raise LinkError("the line is closed", code="GONE")
        return self.device.read_some(timeout)

    def close(self) -> None:
        self.closed = True

    def reset_device(self) -> bool:
        return False

    def describe(self) -> str:
        return "cable"


@pytest.mark.parametrize("window", [1, 4])
def test_a_run_goes_on_over_another_cable_wherever_the_first_broke(window: int) -> None:
    dense, events = inputs(60, typed=True)
    for reads in range(2, 40):
        device = FakeDevice(mtu=300, window=window)
        first = Cable(device, reads)
        with Link(first) as link:
            try:
                link.load(image(values=("i32", "i32"), more=300))
            except LinkError as error:
                assert error.code == "GONE"
                link.reattach(Cable(device))
                link.load(image(values=("i32", "i32"), more=300))
            try:
                found = link.run_steps(0, events)
            except LinkError as error:
                assert error.code == "GONE"
                found = link.resume(Cable(device))
            check(found, dense)
            assert device.executed == list(range(60))
        assert first.closed


def test_results_that_are_lost_for_good_are_told() -> None:
    device, (_, events) = FakeDevice(window=1), inputs(60, typed=True)
    with Link(device, timeout=0.05, deadline=0.1) as link:
        broken_off(device, link, events, 20)
        device.session, device.next = 0, 50
        with pytest.raises(LinkError, match=r"RESULT_LOST.*step 50"):
            link.resume()


def test_a_device_that_restarted_is_not_gone_on_with() -> None:
    device, (_, events) = FakeDevice(), inputs(60, typed=True)
    with Link(device, timeout=0.05, deadline=0.1) as link:
        broken_off(device, link, events, 20)
        device.reset_device()
        with pytest.raises(DeviceReset):
            link.resume()
