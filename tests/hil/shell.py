"""The runners of the firmware in this process: built as a shared library, without the link."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

STUBS = Path(__file__).resolve().parents[2] / "firmware_stubs"
KINDS = {1: "loihi", 2: "spinnaker", 3: "sfq", 4: "crossbar"}
TYPES: Mapping[int, Any] = {0: np.uint8, 1: np.int32, 2: np.float32, 3: np.float64}
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-common", "-ffp-contract=off",
         "-fno-tree-loop-distribute-patterns", "-fPIC", "-shared")


def build(folder: Path, kinds: tuple[str, ...], more: tuple[str, ...] = ()) -> Path:
    """The shared library with the runners of these kinds."""
    sources = [STUBS / "common/image.c", STUBS / "common/runners.c", STUBS / "host/shell.c"]
    sources += [path for kind in kinds for path in sorted((STUBS / kind).glob("*.c"))]
    sources += [path for path in (STUBS / "common/maths.c",) if path.exists()]
    made = folder / f"runners_{'_'.join(kinds)}.so"
    compiler = shutil.which("cc") or "gcc"
    subprocess.run([compiler, *FLAGS, *more, *(f"-DHW_WITH_{kind.upper()}" for kind in kinds), "-o", made, *sources],
                   check=True)
    return made


class Refused(Exception):
    """What a runner says of an image or a step."""

    def __init__(self, status: int, text: str, value: int = 0, limit: int = 0) -> None:
        self.status, self.text, self.value, self.limit = status, text, value, limit
        super().__init__(f"{status:#x} {text} ({value}, {limit})")


class Shell:
    """One image bound to its runner, in its initial state."""

    def __init__(self, library: Path, image: bytes, arena: int = 64 << 20) -> None:
        self._c = ctypes.CDLL(str(library))
        self._image = np.zeros(len(image) // 8 + 2, np.uint64)
        ctypes.memmove(self._image.ctypes.data, image, len(image))
        self._arena = np.zeros(arena // 8, np.uint64)
        words = np.frombuffer(image[:64].ljust(64, b"\0"), "<u4")
        self._n_out, self._in, self._out = int(words[5]), TYPES[image[24]], TYPES[image[25]]
        why, text = (ctypes.c_uint32 * 2)(), ctypes.c_char_p()
        status = self._c.shell_open(ctypes.c_void_p(self._image.ctypes.data), len(image),
                                    ctypes.c_void_p(self._arena.ctypes.data), arena, why, ctypes.byref(text))
        if status:
            raise Refused(status, (text.value or b"").decode(), *why)
        self._found, self._values = np.zeros(self._n_out + 1, np.uint32), np.zeros(self._n_out + 1, self._out)

    def reset(self) -> None:
        self._c.shell_reset()

    def step(self, t: int, index: Any, value: Any = None, drain: bool = False) -> tuple[NDArray[Any], NDArray[Any]]:
        """(elements that were sent, ascending; their values, ones where the image has none)."""
        own = np.ascontiguousarray(index, np.uint32)
        values = None if value is None else np.ascontiguousarray(value, self._in)
        n, text = ctypes.c_uint32(), ctypes.c_char_p()
        given = None if values is None else ctypes.c_void_p(values.ctypes.data)
        status = self._c.shell_step(
            t, len(own), ctypes.c_void_p(own.ctypes.data), given, int(drain), ctypes.byref(n),
            ctypes.c_void_p(self._found.ctypes.data),
            ctypes.c_void_p(self._values.ctypes.data), ctypes.byref(text))
        if status:
            raise Refused(status, (text.value or b"").decode())
        k = n.value
        return self._found[:k].copy(), np.ones(k, np.uint8) if self._out is np.uint8 else self._values[:k].copy()

    def state(self) -> NDArray[np.uint8]:
        """A view of the runner's state."""
        base, n = ctypes.c_void_p(), ctypes.c_uint32()
        self._c.shell_state(ctypes.byref(base), ctypes.byref(n))
        return np.ctypeslib.as_array(ctypes.cast(base, ctypes.POINTER(ctypes.c_uint8)), (n.value,))

    def check_state(self) -> int:
        return int(self._c.shell_check_state())
