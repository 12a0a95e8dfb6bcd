"""What an instruction costs on a Cortex-M4, low, nominal and high: prices for code that an emulator runs.

From the table of instructions of Arm's Cortex-M4 Technical Reference Manual (Arm 100166_0001, section 3.3, FPU: 7.2),
which assumes memory without wait states. What depends on the instructions around it is bracketed:

- a jump costs 1 to 3 cycles for the pipeline (P): low 1, nominal 2, high 3;
- a load or store right after a load overlaps it by a cycle, unless it needs its result: low and nominal;
- a store waits for memory in high alone: there is a write buffer;
- an address from the result of the instruction before waits a cycle: nominal and high;
- a divide takes 2 to 12: low 2, nominal 7, high 12;
- IT is folded into a 16-bit instruction before it: low and nominal.

The table was read in part, as quoted; the rules of overlap and stall are those of the Cortex-M3 (ARM DDI 0337I), whose
pipeline it shares. Not modelled: wait states and contention of memories and buses, interrupts, what an accelerator
would do.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hwsdk.errors import ExternalToolError, MissingDependencyError
from hwsdk.hil.transports.unicorn_cpu import Price

LEVELS = ("low", "nominal", "high")
OBJDUMP = "arm-none-eabi-objdump"
REFILL = {"low": 1, "nominal": 2, "high": 3}
DIVIDE = {"low": 2, "nominal": 7, "high": 12}
FLOATS = {"vdiv": 14, "vsqrt": 14, "vmla": 3, "vmls": 3, "vfma": 3, "vfms": 3, "vnmla": 3, "vnmls": 3}
"""Single precision; all that are not listed take 1. The 1 and the 3 were seen quoted from the manual, the 14 was not
checked: only an EGRU's update has it."""
_LINE = re.compile(r"^\s*([0-9a-f]+):\t((?:[0-9a-f]{4} ?)+)\s*\t(\S+)[ \t]*([^;@\n]*)", re.MULTILINE)
_SINGLE = re.compile(r"^v?(ldr|str)(s?[bh]|d)?$")
_CONDITIONS = ("eq", "ne", "cs", "hs", "cc", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le")
_WHOLE = frozenset(("mls", "vmls", "vfms", "vnmls", "teq", "svc", "lsls", "adcs", "sbcs", "bics", "muls", "movs"))
"""Words that end as a condition does."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One of a disassembly: ``name`` without condition, width and type."""

    name: str
    operands: str
    size: int

    @property
    def registers(self) -> list[str]:
        """That are named, in order."""
        return re.findall(r"\b(?:r\d+|s\d+|d\d+|sp|lr|pc|ip|fp|sl|sb)\b", self.operands)

    @property
    def is_load(self) -> bool:
        """One register, or two of a VLDR, from memory."""
        return bool(_SINGLE.match(self.name)) and "ldr" in self.name and self.name != "ldrd"

    @property
    def is_store(self) -> bool:
        """One register to memory."""
        return bool(_SINGLE.match(self.name)) and "str" in self.name and self.name != "strd"

    @property
    def address(self) -> list[str]:
        """Registers of the address of a load or store."""
        return re.findall(r"\b(?:r\d+|sp|lr|pc|ip|fp|sl|sb)\b", self.operands.partition("[")[2])

    @property
    def many(self) -> int:
        """Registers of a load or store of several."""
        inside, found = re.search(r"\{(.*)\}", self.operands), 0
        for part in inside.group(1).split(",") if inside else ():
            first, _, last = part.strip().partition("-")
            found += 1 if not last else int(last[1:]) - int(first[1:]) + 1
        return found


def disassemble(elf: Path) -> dict[int, Instruction]:
    """Address -> instruction, of all code.

    Raises:
        MissingDependencyError: there is no objdump for ARM. ExternalToolError: it fails.
    """
    tool = shutil.which(OBJDUMP)
    if tool is None:
        raise MissingDependencyError(f"prices of instructions need {OBJDUMP}", fix="apt install binutils-arm-none-eabi")
    run = subprocess.run([tool, "-d", str(elf)], capture_output=True, text=True, check=False, timeout=60)
    if run.returncode:
        raise ExternalToolError(f"{OBJDUMP} fails: {run.stderr.strip()}", where=str(elf),
                                fix="give an ELF file for ARM")
    return {int(at, 16): Instruction(bare(name), operands.strip(), 2 * len(raw.split()))
            for at, raw, name, operands in _LINE.findall(run.stdout) if not name.startswith(".")}


def bare(name: str) -> str:
    """A mnemonic without .w, .f32 and the like, and without a condition, where it has one.

    Which letters are a condition depends on the word before: "bls" is a branch on ls, "mls" a multiplication.
    """
    name = name.partition(".")[0]
    if name in _WHOLE:
        return name
    if name.startswith("it") and set(name[2:]) <= {"t", "e"}:
        return "it"
    if len(name) > 2 and name.endswith(_CONDITIONS):
        return name[:-2]
    return name


def cost(one: Instruction, before: Instruction | None, level: str) -> int:
    """Cycles of an instruction that does not jump.

    Args:
        one: the instruction.
        before: what was executed before it, None if that is not known.
        level: one of LEVELS.
    """
    if one.name in ("udiv", "sdiv"):
        return DIVIDE[level]
    if one.name == "it":
        return 0 if before is not None and before.size == 2 and level != "high" else 1
    if one.name in ("ldrd", "strd"):
        return 3
    if one.name[0] == "v":
        return _float(one, before, level)
    if one.name.startswith(("ldm", "stm", "push", "pop")):
        return 1 + one.many
    return _memory(one, before, level) if one.is_load or one.is_store else 1


def _float(one: Instruction, before: Instruction | None, level: str) -> int:
    """Of the FPU's instructions."""
    if one.name in ("vldr", "vstr"):
        double = re.match(r"d\d", one.operands) is not None
        return 3 if double else _memory(one, before, level)
    if one.name.startswith(("vldm", "vstm", "vpush", "vpop")):
        wide = 2 if "{d" in one.operands else 1
        return 1 + wide * one.many
    if one.name == "vmov" and len(one.registers) == 3:
        return 2
    return FLOATS.get(one.name, 1)


def _memory(one: Instruction, before: Instruction | None, level: str) -> int:
    """Of a load or store of one register."""
    made = before.registers[:1] if before is not None else []
    needs = bool(made) and made[0] in one.address
    if before is not None and before.is_load and not needs and level != "high":
        return 1
    cycles = 2 if one.is_load or level == "high" else 1
    late = before is not None and needs and not before.is_load and not before.is_store and level != "low"
    return cycles + late


def prices(elf: Path, level: str) -> Price:
    """Cycles of the blocks of a firmware, for EmulatedBoard.

    Args:
        elf: the firmware.
        level: one of LEVELS.

    Raises:
        MissingDependencyError, ExternalToolError: see ``disassemble``.
    """
    code = disassemble(elf)

    def price(at: int, block: bytes) -> tuple[int, int]:
        cycles, before, end = 0, None, at + len(block)
        while at < end:
            one = code[at]
            cycles += cost(one, before, level)
            at, before = at + one.size, one
        blocking = {"tbb": 2, "tbh": 2}.get(before.name, 0) if before is not None else 0
        return cycles + blocking, REFILL[level]

    return price
