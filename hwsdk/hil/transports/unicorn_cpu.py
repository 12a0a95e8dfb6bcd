"""EmulatedBoard: an MPS2-AN386 board with a Cortex-M4F in this process, run by Unicorn, for firmware whose port is
semihosting. Only what that firmware uses is there: memory, timer 0, watchdog, reset, and entry into two exceptions.
"""

from __future__ import annotations

import io
import math
import struct
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from hwsdk.errors import LinkError, MissingDependencyError

CODE, DATA, PSRAM, SYSTEM = (0x00000000, 4 << 20), (0x20000000, 4 << 20), (0x21000000, 16 << 20), (0xE0000000, 0xE000)
PERIPHERALS, CONTROL = (0x40000000, 0x9000), (0xE000E000, 0x1000)
NOTE_AT, NOTE = 0x003FFFF0, 0x48570100
"""Where the host says what a tick is worth, and NOTE | shift: firmware_stubs/m4/board.h."""
SHIFT = 8
"""The emulated clock advances 2^SHIFT ns with each instruction, as QEMU's with icount=8."""
TICK = 40
"""ns: timer and watchdog count at 25 MHz."""
RESET, NMI, FAULT = 1, 2, 3
BREAKPOINT = 7
"""Of QEMU's exceptions in Unicorn: `bkpt`, which is semihosting."""
NOWHERE = 0xFFFFFFFE
ALARM = 0.01
"""Seconds between two looks of the thread that stops the emulator in time."""
PATIENCE = 2.0
"""Seconds of this process' own time after which firmware whose watchdog is not armed counts as hung."""


def packages() -> Any:
    """(unicorn, unicorn.arm_const, elftools' ELFFile).

    Raises:
        MissingDependencyError: a package is not installed.
    """
    try:
        import unicorn
        import unicorn.arm_const
        from elftools.elf.elffile import ELFFile
    except ImportError as error:
        raise MissingDependencyError(f"emulation in this process needs {error.name}",
                                     fix="pip install unicorn pyelftools") from error
    return unicorn, unicorn.arm_const, ELFFile


def segments(elf: bytes, name: str) -> list[tuple[int, bytes]]:
    """(physical address, bytes) of what an ARM ELF file loads.

    Raises:
        LinkError: BAD_FIRMWARE. MissingDependencyError: pyelftools.
    """
    from_file = packages()[2]
    try:
        file = from_file(io.BytesIO(elf))
        found = [(s["p_paddr"], s.data()) for s in file.iter_segments() if s["p_type"] == "PT_LOAD" and s["p_filesz"]]
        if file["e_machine"] != "EM_ARM" or not found:
            raise ValueError(f"it is for {file['e_machine']}, in {len(found)} segments")
    except Exception as error:  # pyelftools raises whatever a damaged file leads it into
        raise LinkError(f"no firmware for a Cortex-M: {error or type(error).__name__}", where=name, code="BAD_FIRMWARE",
                        fix="give the ELF file that `make -C firmware_stubs m4` makes") from None
    return found


def instructions(code: bytes | bytearray) -> int:
    """Thumb-2 instructions in a straight piece of code: those whose first halfword begins with 11101, 11110 or 11111
    have four bytes (ARM DDI 0403, A5.1), others two.
    """
    at = n = 0
    while at < len(code):
        at += 4 if code[at + 1] >> 3 in (0x1D, 0x1E, 0x1F) else 2
        n += 1
    return n


Price = Callable[[int, bytes], tuple[int, int]]


def one_each(_: int, code: bytes) -> tuple[int, int]:
    """Instructions count one each."""
    return instructions(code), 0


class EmulatedBoard:
    """Runs until the firmware wants input that is not there.

    Args:
        elf: of the firmware; ``name``: for messages.
        count: count instructions, exactly, and let timer 0 follow the count; eight times slower.
        price: what to count instead: (address, code) of a block -> (its price, what a jump at its end costs more).

    ended: code with which the firmware has ended itself, or None. executed: instructions, if they are counted.
    resets: how often it has started again by itself.
    """

    def __init__(self, elf: bytes, name: str = "unicorn:", *, count: bool = False, price: Price = one_each) -> None:
        self._unicorn, self._arm, _ = packages()
        self._segments, self._count = segments(elf, name), count
        self.ended: int | None = None
        self.executed = self.resets = 0
        self._closed = False
        self._input, self._output = bytearray(), bytearray()
        self._price, self._prices = price, dict[tuple[int, int], tuple[int, int]]()
        self._next = self._jump = 0
        self._timer_zero, self._began = 0, time.perf_counter()
        self._load, self._bites = 0, float("inf")
        self._halt, self._due, self._gives_up = "", False, float("inf")
        self.cpu = self._make()
        self._alarm: threading.Thread | None = None
        self._enter(RESET)

    def _make(self) -> Any:
        """The emulator with its memory and hooks."""
        unicorn = self._unicorn
        cpu = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        cpu.ctl_set_cpu_model(self._arm.UC_CPU_ARM_CORTEX_M4)
        for place in (CODE, DATA, PSRAM, SYSTEM):
            cpu.mem_map(*place)
        cpu.mmio_map(*PERIPHERALS, self._peripheral_read, None, self._peripheral_write, None)
        cpu.mmio_map(*CONTROL, lambda *_: 0, None, self._control_write, None)
        cpu.hook_add(unicorn.UC_HOOK_INTR, self._interrupted)
        if self._count:
            cpu.hook_add(unicorn.UC_HOOK_BLOCK, self._block)
        return cpu

    # --- what the host does ---

    def feed(self, data: bytes) -> None:
        """Bytes for the standard input of the firmware."""
        self._input += data

    def take(self) -> bytes:
        """What it has written since."""
        data = bytes(self._output)
        self._output.clear()
        return data

    def power(self) -> None:
        """Take the power away and give it back: memory is zero, what was under way is lost."""
        self.cpu = self._make()
        self._input.clear()
        self.ended = None
        self._enter(RESET)

    def run(self, until: float) -> None:
        """Go on until the firmware waits for input or has ended. It may take longer than to the time ``until`` of
        time.monotonic(): the emulator must not be stopped in the middle of something that is to go on, since it loses
        the state of conditional blocks then. Only what has hung is stopped, by the watchdog or after PATIENCE, both in
        the time that this process has had: a busy machine is no fault of the firmware.
        """
        self._watch()
        while self.ended is None:
            self._halt, self._due, self._gives_up = "", False, time.process_time() + PATIENCE
            try:
                self.cpu.emu_start(self.cpu.reg_read(self._arm.UC_ARM_REG_PC) | 1, NOWHERE)
            except self._unicorn.UcError:
                self._halt = "fault"
            self._gives_up = float("inf")
            if self._halt == "waits":
                return
            self._go_on()
            if time.monotonic() >= until:
                return

    def close(self) -> None:
        """Let go of it."""
        self._closed = True

    # --- what happens to the core ---

    def _go_on(self) -> None:
        """Serve what has stopped it."""
        if self._halt == "reset":
            self.resets += 1
            self._enter(RESET)
        elif self._halt != "exit":
            hung = not self._halt and time.process_time() >= self._bites
            self._enter(NMI if hung else FAULT)

    def _enter(self, exception: int) -> None:
        """Go to the handler of an exception. Those of this firmware never return: the frame is for them to read."""
        arm, cpu = self._arm, self.cpu
        self._bites = float("inf")
        if exception == RESET:
            for at, data in self._segments:
                cpu.mem_write(at, data)
            cpu.ctl_flush_tb()  # of code that was written over
            if self._count:
                cpu.mem_write(NOTE_AT, struct.pack("<I", NOTE | SHIFT))
            cpu.reg_write(arm.UC_ARM_REG_SP, self._word(0))
            cpu.reg_write(arm.UC_ARM_REG_PRIMASK, 0)
        else:
            names = ("R0", "R1", "R2", "R3", "R12", "LR", "PC", "XPSR")
            frame = struct.pack("<8I", *(cpu.reg_read(getattr(arm, f"UC_ARM_REG_{n}")) & 0xFFFFFFFF for n in names))
            at = (cpu.reg_read(arm.UC_ARM_REG_SP) - len(frame)) & ~7
            if not DATA[0] <= at < sum(DATA):
                at = sum(DATA) - len(frame)
            cpu.mem_write(at, frame)
            cpu.reg_write(arm.UC_ARM_REG_SP, at)
        cpu.reg_write(arm.UC_ARM_REG_PC, self._word(4 * exception) | 1)

    def _word(self, at: int) -> int:
        """Of memory."""
        return int.from_bytes(self.cpu.mem_read(at, 4), "little")

    def _stop(self, why: str) -> None:
        """Leave ``emu_start``."""
        self._halt = why
        self.cpu.emu_stop()

    def _block(self, cpu: Any, at: int, size: int, _: object) -> None:
        """Count the instructions of a block as it begins; if it is time to stop, stop before it."""
        if self._due:
            return self._stop("")
        found = self._prices.get((at, size))
        if found is None:
            found = self._prices[at, size] = self._price(at, bytes(cpu.mem_read(at, size)))
        self.executed += found[0] if at == self._next else found[0] + self._jump
        self._next, self._jump = at + size, found[1]
        return None

    # --- semihosting ---

    def _interrupted(self, cpu: Any, number: int, _: object) -> None:
        """A breakpoint asks for something of the host; all else is a fault."""
        if number != BREAKPOINT:
            return self._stop("fault")
        arm = self._arm
        operation, block = cpu.reg_read(arm.UC_ARM_REG_R0), cpu.reg_read(arm.UC_ARM_REG_R1)
        serve: Callable[[int, int, int], int | None] | None = {
            0x01: lambda name, mode, length: mode, 0x05: self._written, 0x06: self._asked, 0x20: self._exit,
        }.get(operation)
        try:
            words = struct.unpack("<3I", cpu.mem_read(block, 12))
            answer = serve(*words) if serve else -1
        except self._unicorn.UcError:
            return self._stop("fault")
        if answer is not None:
            cpu.reg_write(arm.UC_ARM_REG_R0, answer & 0xFFFFFFFF)
            cpu.reg_write(arm.UC_ARM_REG_PC, (cpu.reg_read(arm.UC_ARM_REG_PC) + 2) | 1)
        return None

    def _written(self, _: int, at: int, n: int) -> int:
        """SYS_WRITE; returns how many bytes were not taken."""
        self._output += self.cpu.mem_read(at, n)
        return 0

    def _asked(self, _: int, at: int, n: int) -> int | None:
        """SYS_READ; returns how many bytes were not given; None: stopped before the breakpoint, to come here again."""
        if not self._input:
            self._stop("waits")
            return None
        data = bytes(self._input[:n])
        del self._input[:n]
        self.cpu.mem_write(at, data)
        return n - len(data)

    def _exit(self, _: int, code: int, __: int) -> int:
        """SYS_EXIT_EXTENDED."""
        self.ended = code
        self._stop("exit")
        return 0

    # --- peripherals ---

    def _ticks(self) -> int:
        """Of a 25 MHz clock."""
        if self._count:
            return (self.executed << SHIFT) // TICK
        return int((time.perf_counter() - self._began) * 1e9) // TICK

    def _peripheral_read(self, _: object, at: int, __: int, ___: object) -> int:
        """The value of timer 0, which counts down from 2^32 - 1."""
        return 0xFFFFFFFF - (self._ticks() - self._timer_zero) & 0xFFFFFFFF if at == 4 else 0

    def _peripheral_write(self, _: object, at: int, __: int, value: int, ___: object) -> None:
        """Timer 0 begins again when its value is set; the watchdog: load, control, clear."""
        if at == 4:
            self._timer_zero = self._ticks()
        elif at == 0x8000:
            self._load = value
        elif at == 0x8008:
            self._bites = time.process_time() + self._load * TICK * 1e-9 if value & 1 else float("inf")

    def _control_write(self, _: object, at: int, __: int, value: int, ___: object) -> None:
        """SYSRESETREQ in AIRCR."""
        if at == 0xD0C and value == 0x05FA0004:
            self._stop("reset")

    # --- time ---

    def _watch(self) -> None:
        """Have a thread that stops what has hung, as long as the board is there."""
        if self._alarm is None:
            self._alarm = threading.Thread(target=_look, args=(weakref.ref(self),), name="hwsdk alarm", daemon=True)
            self._alarm.start()

    def due(self) -> bool:
        """Stop the emulator if its firmware has hung; returns whether the board is still in use."""
        if time.process_time() >= (self._gives_up if math.isinf(self._bites) else self._bites):
            self._due = True
            if not self._count:  # else a block could be counted and not executed
                self.cpu.emu_stop()
        return not self._closed


def _look(board: weakref.ReferenceType[EmulatedBoard]) -> None:
    """Body of the thread."""
    while (there := board()) is not None and there.due():
        del there
        time.sleep(ALARM)
