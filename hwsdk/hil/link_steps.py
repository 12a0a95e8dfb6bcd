"""Steps over a link: batches that fit the device's buffers, their results put together and held against its digest."""

from __future__ import annotations

import struct
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import LinkError, UnsupportedError
from hwsdk.hil.events import Events, decode, digest, encode, join, no_events
from hwsdk.hil.wire import Op, numbers

MOST_STEPS = 1024
"""Steps in a request: progress shows, and what a broken line costs is small."""
FEW = 4
"""With fewer steps than this in a reply, results of whole batches are fetched instead."""
FED, DRAIN = 1, 2
STEP_HEAD, RESULT_HEAD = 7, 13
"""Bytes before the lists in a STEP, and before the result in its reply, with the status."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a device says when a program is loaded: bytes of the state, most bytes of one step's result, bytes of the
    buffers for results and feeds. n_in, n_out, value_in, value_out: of the image. resumed_at: byte at which the upload
    went on; ``size`` if nothing had to be sent. seconds: of the upload.
    """

    size: int
    crc: int
    resumed_at: int
    state: int
    step: int
    results: int
    feed: int
    n_in: int
    n_out: int
    value_in: int
    value_out: int
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What came back of k steps.

    ticks: uint32 (k,), of the device's counter. events: of all populations. next_step, digest: after the last one.
    seconds: that it took, with the link.
    """

    ticks: NDArray[np.uint32]
    events: Events
    next_step: int
    digest: int
    seconds: float


@dataclass(slots=True)
class Batch:
    """Steps first .. last - 1 of the device. total: bytes of the result, -1 as long as nobody has said; digest: after
    it."""

    first: int
    last: int
    total: int = -1
    digest: int = 0
    result: bytes = b""
    fetching: int = 0


@dataclass(frozen=True, slots=True)
class Coming:
    """A request: at: offset of a FEED or FETCH."""

    op: Op
    payload: bytes
    work: float
    batch: Batch
    at: int = 0


@dataclass(slots=True)
class StepRun:
    """A run of steps, which can be gone on with after an exception.

    Args:
        sizes: of the device's buffers and the image.
        room: bytes of payload in a frame.
        t0: first step.
        inputs: of all steps.
        drain: the flag of STEP.
        digest: of the device before.
        progress: called with steps done and all.
        few: with fewer steps than this in a reply, results are fetched.
    """

    sizes: Loaded
    room: int
    t0: int
    inputs: Events
    drain: bool
    digest: int
    progress: Callable[[int, int], None] | None = None
    few: int = FEW
    next_step: int = 0
    under_way: int = 0
    _raw: bytes = b""
    _ends: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    _planned: int = 0
    _most: int = 0
    _alone: bool = False
    _queue: deque[Coming] = field(default_factory=deque)
    _batches: deque[Batch] = field(default_factory=deque)
    _ticks: list[NDArray[np.uint32]] = field(default_factory=list)
    _parts: list[Events] = field(default_factory=list)
    _start: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.next_step = self.t0
        self._raw, ends = encode(self.inputs, self.sizes.n_in, self.sizes.value_in)
        self._ends = np.concatenate([np.zeros(1, np.int64), ends])
        worst = max(1, self.sizes.step)
        inline, fetched = (self.room - RESULT_HEAD) // worst, self.sizes.results // worst
        self._alone = inline < self.few and fetched > inline
        whole = self._alone and self.few > 1
        self._most = min(fetched, MOST_STEPS, fetched if whole else max(1, inline))
        if self._most < 1 and self.inputs.steps:
            raise UnsupportedError(
                f"one step can send {self.sizes.step} bytes, the device holds {self.sizes.results}",
                code="RESULT_TOO_LARGE",
                fix="use a device with more memory, or a program with fewer neurons")

    @property
    def is_done(self) -> bool:
        """Whether every step has its result."""
        return self.next_step == self.t0 + self.inputs.steps

    def results(self) -> Results:
        """Of all steps."""
        none = no_events(0) if not self.sizes.value_out else Events(
            np.zeros(1, np.int64), np.zeros(0, np.uint32), np.zeros(0, np.float64))
        return Results(np.concatenate([np.zeros(0, np.uint32), *self._ticks]),
                       join(self._parts or [none], self.sizes.value_out), self.next_step, self.digest,
                       time.monotonic() - self._start)

    def coming(self) -> Coming | None:
        """The next request, None if replies have to come first."""
        if not self._queue and self._planned < self.inputs.steps and not (self._alone and self._batches):
            self._plan()
        return self._queue[0] if self._queue else None

    def sent(self) -> None:
        """It is under way."""
        self._queue.popleft()
        self.under_way += 1

    def _fitting(self, room: int) -> int:
        """How many of the next steps have lists that fit so many bytes."""
        end = int(self._ends[self._planned]) + room
        return min(int(np.searchsorted(self._ends, end, "right")) - 1 - self._planned, self._most)

    def _plan(self) -> None:
        """The requests of the next batch."""
        here, fed = self._fitting(self.room - STEP_HEAD), self._fitting(self.sizes.feed)
        use_feed = here < 1 or (self._alone and fed > here)
        k = fed if use_feed else here
        if k < 1:
            need = int(self._ends[self._planned + 1] - self._ends[self._planned])
            raise UnsupportedError(f"the events of step {self.t0 + self._planned} take {need} bytes, the device holds "
                                   f"{self.sizes.feed}", code="FEED_TOO_LARGE", fix="use a device with more memory")
        first = self.t0 + self._planned
        lists = self._raw[int(self._ends[self._planned]):int(self._ends[self._planned + k])]
        batch, chunk = Batch(first, first + k), self.room - 4
        flags = (FED if use_feed else 0) | (DRAIN if self.drain else 0)
        head = struct.pack("<IHB", first & 0xFFFFFFFF, k, flags)
        if use_feed:
            for at in range(0, len(lists), chunk):
                self._ask(Op.FEED, at.to_bytes(4, "little") + lists[at:at + chunk], batch, at)
            lists = struct.pack("<II", len(lists), zlib.crc32(lists))
        self._ask(Op.STEP, head + lists, batch, work=k)
        self._batches.append(batch)
        self._planned += k

    def _ask(self, op: Op, payload: bytes, batch: Batch, at: int = 0, work: float = 1.0) -> None:
        self._queue.append(Coming(op, payload, work, batch, at))

    def take(self, asked: Coming, body: bytes) -> None:
        """The reply to a request.

        Raises:
            LinkError: BAD_REPLY, BAD_EVENTS, DIGEST_MISMATCH.
        """
        self.under_way -= 1
        batch = asked.batch
        if asked.op == Op.FEED:
            (wanted,) = numbers("<I", body, 0, "FEED")
            if wanted != asked.at + len(asked.payload) - 4:
                raise self._wrong(f"it wants byte {wanted} of what is fed, {asked.at + len(asked.payload) - 4} is next")
            return
        if asked.op == Op.STEP:
            last, batch.digest, batch.total = numbers("<III", body, 0, "STEP")
            if last != batch.last & 0xFFFFFFFF:
                raise self._wrong(f"its next step is {last} after steps {batch.first} to {batch.last - 1}")
            batch.result = body[12:]
        else:
            batch.fetching -= 1
            if asked.at == len(batch.result):
                batch.result += body
                if batch.total < 0 and len(body) < self.room - 1:
                    batch.total = len(batch.result)
        self._fetch_or_accept(batch, body)

    def _fetch_or_accept(self, batch: Batch, body: bytes) -> None:
        """Ask for what is missing of a result, or take it."""
        have, most = len(batch.result), (batch.last - batch.first) * self.sizes.step
        if max(batch.total, have) > most or 0 <= batch.total < have:
            raise self._wrong(f"it has {max(batch.total, have)} bytes of a result of {most} at most")
        if have == batch.total:
            self._accept(batch)
        elif not batch.fetching:
            if len(self._batches) > 1 or not body:
                raise self._wrong(f"it has sent {have} of {batch.total} bytes of a result")
            self._fetch(batch)

    def _fetch(self, batch: Batch) -> None:
        """Ask for the rest of a result; as long as its size is not known, for the next part."""
        have, chunk = len(batch.result), self.room - 1
        for at in range(have, batch.total if batch.total >= 0 else have + 1, chunk):
            self._ask(Op.FETCH, struct.pack("<II", batch.last & 0xFFFFFFFF, at), batch, at)
            batch.fetching += 1

    def _accept(self, batch: Batch) -> None:
        """Decode a result, and keep it if the digest agrees."""
        k = batch.last - batch.first
        if batch is not self._batches[0]:
            raise self._wrong(f"results of steps {batch.first} to {batch.last - 1} came too soon")
        ticks, events = decode(batch.result, k, self.sizes.n_out, self.sizes.value_out, t0=batch.first)
        found = digest(self.digest, batch.first, events, self.sizes.value_out)
        if found != batch.digest:
            raise LinkError(f"the spikes that came have digest {found:#010x}, the device has {batch.digest:#010x}",
                            where=f"steps {batch.first} to {batch.last - 1}", code="DIGEST_MISMATCH",
                            fix="reset the state and run again; if it happens again report it")
        self._ticks.append(ticks)
        self._parts.append(events)
        self._batches.popleft()
        self.next_step, self.digest = batch.last, found
        if self.progress:
            self.progress(self.next_step - self.t0, self.inputs.steps)

    def from_new_session(self, next_step: int, digest_now: int) -> None:
        """Go on where the device is, after replies were lost for good.

        Raises:
            LinkError: RESULT_LOST, DIGEST_MISMATCH.
        """
        self._queue.clear()
        self.under_way = 0
        if next_step == self.next_step and digest_now == self.digest:
            self._batches.clear()
        elif self._batches and next_step == self._batches[0].last:
            batch = self._batches[0]
            self._batches = deque([Batch(batch.first, batch.last, digest=digest_now)])
            self._fetch(self._batches[0])
        else:
            raise LinkError(f"the device is at step {next_step}, results are known up to {self.next_step}, it keeps "
                            "only those of its last batch", code="RESULT_LOST",
                            fix="reset the state, and run it from the start")
        self._planned = next_step - self.t0

    def _wrong(self, what: str) -> LinkError:
        """The device does not keep to the protocol."""
        return LinkError(f"the device has answered what it cannot have: {what}", code="BAD_REPLY",
                         fix="use firmware and hwsdk of the same protocol version")


