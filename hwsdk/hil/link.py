"""Link: a session with a device, from which comes a result that was checked, or an exception that names the cause."""

from __future__ import annotations

import hashlib
import struct
import time
import zlib
from collections.abc import Callable, Iterator

from hwsdk.errors import DeviceReset, LinkError, NoReply
from hwsdk.hil.events import Events
from hwsdk.hil.link_session import DEADLINE, TIMEOUT, Session
from hwsdk.hil.link_steps import FEW, Loaded, Results, StepRun
from hwsdk.hil.transports.base import ByteTransport
from hwsdk.hil.wire import Op, numbers, parse_status

Progress = Callable[[int, int], None]


class Link(Session):
    """A session over a transport. It is used by one thread; leaving it as a context manager closes the transport.

    Every request is repeated until it is answered, for ``timeout`` seconds of silence and ``deadline`` seconds in all,
    beyond what the operation and the line take: that bounds every call. A call of several requests is bounded by their
    number times the deadline. After an exception the next call opens a new session by itself; DeviceReset says once
    that the device has started again.

    Args:
        transport: the line.
        timeout: seconds of silence after which the device counts as gone.
        deadline: seconds that one request may take with all that is repeated.
        log: called with each message of the device.
        most_frame: bytes of a frame that are not exceeded even if the device takes more, for a line that damages long
            ones; else the transport's own, if it has such an attribute.
        nonce: what names the first session, the next ones count up; else the transport's, else a random number.
    """

    def __init__(self, transport: ByteTransport, *, timeout: float = TIMEOUT, deadline: float = DEADLINE,
                 log: Callable[[str], None] | None = None, nonce: int | None = None,
                 most_frame: int | None = None) -> None:
        super().__init__(transport, timeout=timeout, deadline=deadline, log=log, nonce=nonce, most_frame=most_frame)
        self.loaded: Loaded | None = None
        self.next_step = self.digest = 0
        self._run: StepRun | None = None

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load(self, image: bytes, image_id: bytes | None = None, progress: Progress | None = None) -> Loaded:
        """Put an image on the device, in its initial state. After a DeviceReset call it again: it goes on where it was.

        Args:
            image: the bytes.
            image_id: SHA-256 of them, 32 bytes; computed if not given.
            progress: called with bytes done and all.

        Raises:
            RemoteError: E_NOMEM, E_IMAGE, E_CRC_IMAGE, E_UNSUPPORTED. DeviceReset, NoReply, LinkError.
        """
        self._ensure(reset_matters=False)
        self.loaded, self._run, self._had_image = None, None, False
        self.window.forget(Op.STEP, Op.BENCH)
        start, crc = time.monotonic(), zlib.crc32(image)
        body = self._ask(Op.LOAD_BEGIN, struct.pack(
            "<II32s", len(image), crc, image_id or hashlib.sha256(image).digest()))
        (at,) = numbers("<I", body, 0, "LOAD_BEGIN")
        if at > len(image):
            raise LinkError(f"the device wants byte {at} of an image of {len(image)}", code="BAD_REPLY")
        resumed, chunk = at, self.room - 4

        def parts() -> Iterator[tuple[Op, bytes]]:
            for first in range(resumed, len(image), chunk):
                yield Op.LOAD_DATA, first.to_bytes(4, "little") + image[first:first + chunk]

        for body in self._each(parts()):
            (at,) = numbers("<I", body, 0, "LOAD_DATA")
            if progress:
                progress(at, len(image))
        sizes = numbers("<IIII", self._ask(Op.LOAD_END, work=max(1, len(image))), 0, "LOAD_END")
        n_in, n_out, value_in, value_out = numbers("<IIBB", image, 16, "the image")
        state, step, results, feed = sizes
        self.loaded = Loaded(len(image), crc, resumed, state, step, results, feed, n_in, n_out, value_in, value_out,
                             time.monotonic() - start)
        self.next_step = self.digest = 0
        self._had_image = True
        return self.loaded

    def reset(self) -> None:
        """Set the program back to its initial state."""
        (self.next_step,) = numbers("<I", self._ask(Op.RESET_STATE), 0, "RESET_STATE")
        self.digest, self._run = 0, None

    def run_steps(self, t0: int, inputs: Events, *, drain: bool = False, progress: Progress | None = None) -> Results:
        """Run steps t0, t0 + 1, ...; what comes back was checked against the device's digest, batch by batch.

        Args:
            t0: the device's next step.
            inputs: of all steps.
            drain: see STEP in docs/wire.md.
            progress: called with steps done and all.

        Raises:
            DataError: BAD_EVENTS. LinkError: DIGEST_MISMATCH, BAD_EVENTS, BAD_REPLY; after a NoReply or GONE ``resume``
            goes on. RemoteError: E_ORDER where t0 is not the next step.
        """
        self._ensure()
        if self.loaded is None or not self._had_image:
            raise LinkError("nothing is loaded over this link", where=self.transport.describe(), code="NOT_LOADED",
                            fix="load a program first")
        # how much a FETCH brings is the device's choice: where the line asks for short frames it is the last resort
        few = FEW if self.window.mtu == self.session_hello.mtu else 1
        self._run = StepRun(self.loaded, self.room, t0, inputs, drain, self.digest, progress, few)
        return self._go_on(self._run)

    def _go_on(self, run: StepRun) -> Results:
        """Run to the end."""
        try:
            while not run.is_done:
                while (coming := run.coming()) is not None and self.window.has_room(len(coming.payload)):
                    run.sent()
                    self.window.send(coming.op, coming.payload, work=coming.work, tag=coming)
                pending, body = self._receive()
                run.take(pending.tag, body)
        finally:
            self.next_step, self.digest = run.next_step, run.digest
        self._run = None
        return run.results()

    def resume(self, transport: ByteTransport | None = None) -> Results:
        """Go on with the run that an exception has ended, perhaps over another transport to the same device. Steps that
        were executed are not executed again: their replies are asked for again, or their results fetched.

        Raises:
            LinkError: NOTHING_TO_RESUME; RESULT_LOST, the device has gone on beyond what it still has results of.
            DeviceReset: it has started again.
        """
        run = self._run
        if run is None:
            raise LinkError("no run was broken off", where=self.transport.describe(), code="NOTHING_TO_RESUME",
                            fix="call run_steps")
        if transport is not None:
            self.reattach(transport)
        self.statistics["resumes"] += 1
        same = self._open and len(self.window.pending) == run.under_way
        if not same:
            self._nonce = self._fresh_nonce()
        known, hello = self.session_hello, self._greet()
        self._device = hello
        if self._has_started_again(hello) or not hello.loaded or hello.next_step < run.next_step:
            self._open, self._run, self.loaded = False, None, None
            raise self._started_again(hello)
        self._boots, self._had_image = hello.boots, True
        if same and hello.session == known.session:
            self.window.again()
        else:
            self._begin(hello)
            run.from_new_session(hello.next_step, hello.digest)
        return self._go_on(run)

    def read_state(self) -> bytes:
        """u32 next step, u32 digest, and the runner's state; checked by its CRC-32.

        Raises:
            LinkError: STATE_DAMAGED.
        """
        self._ensure()
        chunk = min(self.room - 9, 0xFFFF)
        body = self._ask(Op.READ_STATE, struct.pack("<IH", 0, chunk))
        total, crc = numbers("<II", body, 0, "READ_STATE")
        parts = [body[8:]]
        chunk = min(chunk, len(parts[0])) or 1  # a frame of the device may hold less
        rest = range(len(parts[0]), total, chunk)
        for body in self._each((Op.READ_STATE, struct.pack("<IH", at, min(chunk, total - at))) for at in rest):
            if numbers("<II", body, 0, "READ_STATE") != (total, crc):
                raise LinkError("the state changes while it is read", where=self.transport.describe(),
                                code="STATE_DAMAGED",
                                fix="let no other host use the device, or load the program again")
            parts.append(body[8:])
        state = b"".join(parts)
        if len(state) != total or zlib.crc32(state) != crc:
            raise LinkError(f"{len(state)} bytes of a state of {total} have come, or their CRC-32 is wrong",
                            code="STATE_DAMAGED",
                            where=self.transport.describe(),
                            fix="read it again; if it happens again the memory is at fault")
        return state

    def write_state(self, state: bytes) -> None:
        """Put back what ``read_state`` gave.

        Raises:
            RemoteError: E_RANGE, this is no state of the program that is loaded.
        """
        self._ensure()
        chunk, crc = self.room - 12, zlib.crc32(state)
        parts = ((Op.WRITE_STATE, struct.pack("<III", at, len(state), crc) + state[at:at + chunk])
                 for at in range(0, len(state), chunk))
        for _ in self._each(parts):
            pass
        self.next_step, self.digest = numbers("<II", state, 0, "the state")
        self._run = None

    def status(self) -> dict[str, int]:
        """The device's counters by name."""
        return parse_status(self._ask(Op.STATUS))

    def verify(self) -> int:
        """CRC-32 of the image as it lies in the device's memory now.

        Raises:
            LinkError: IMAGE_DAMAGED, it is not what was loaded over this link.
        """
        (crc,) = numbers("<I", self._ask(Op.VERIFY_IMAGE, work=self.loaded.size if self.loaded else 1.0), 0,
                         "VERIFY_IMAGE")
        if self.loaded is not None and crc != self.loaded.crc:
            raise LinkError(f"the image in the device has CRC-32 {crc:#010x}, loaded was {self.loaded.crc:#010x}",
                            where=self.transport.describe(), code="IMAGE_DAMAGED", fix="load the program again")
        return int(crc)

    def echo(self, data: bytes) -> bytes:
        """The same bytes, as they came back; they fit a frame.

        Raises:
            LinkError: BAD_REPLY, they are others.
        """
        back = self._ask(Op.ECHO, data)
        if back != data:
            raise LinkError("ECHO has brought other bytes than were sent", where=self.transport.describe(),
                            code="BAD_REPLY")
        return back

    def sink(self, size: int) -> float:
        """Send so many bytes to nowhere; the seconds that it took."""
        self._ensure()
        start, chunk = time.monotonic(), bytes(range(256)) * (self.room // 256 + 1)
        for body in self._each((Op.SINK, chunk[:min(self.room, size - at)]) for at in range(0, size, self.room)):
            numbers("<I", body, 0, "SINK")
        return time.monotonic() - start

    def source(self, size: int) -> float:
        """Get so many bytes, and check them; the seconds that it took."""
        self._ensure()
        start, most = time.monotonic(), min(self.room - 1, 0xFFFF)
        pattern = bytes(range(251)) * (most // 251 + 1)
        sizes = [min(most, size - at) for at in range(0, size, most)]
        for n, body in zip(sizes, self._each((Op.SOURCE, struct.pack("<H", n)) for n in sizes), strict=True):
            if body != pattern[:n]:
                raise LinkError(f"SOURCE has brought other bytes than {n} of its pattern",
                                where=self.transport.describe(),
                                code="BAD_REPLY")
        return time.monotonic() - start

    def bench(self, steps: int) -> int:
        """Ticks of the device's counter for so many steps without input; the program is in its initial state then."""
        k, ticks = numbers("<IQ", self._ask(Op.BENCH, struct.pack("<I", steps), work=max(1, steps)), 0, "BENCH")
        if k != steps:
            raise LinkError(f"BENCH was asked for {steps} steps and ran {k}", where=self.transport.describe(),
                            code="BAD_REPLY")
        self.next_step, self.digest, self._run = 0, 0, None
        return int(ticks)

    def reboot(self) -> None:
        """Restart the device; what is loaded is gone, unless its memory keeps it."""
        self._leave(Op.REBOOT)

    def exit(self, code: int = 0) -> None:
        """End the firmware, where a device can: an emulator or a process."""
        self._leave(Op.EXIT, bytes([code]))

    def hang(self) -> None:
        """Make the device hang (test builds): raises DeviceReset where a watchdog ends that, else NoReply."""
        self._ask(Op.HANG)

    def _leave(self, op: Op, payload: bytes = b"") -> None:
        """An operation after which there is no session."""
        try:
            self._ask(op, payload)
        except NoReply:
            raise
        except LinkError as error:  # its answer got lost, and it has done what it was asked for
            if not isinstance(error, DeviceReset) and error.code != "GONE":
                raise
        self._open, self._boots, self._had_image, self._run = False, -1, False, None
        self.window.pending.clear()
