"""Loihi 2 by Lava: on a chip, for members of Intel's research community, or Lava's own fixed-point models on the CPU.

Open lava-nc 0.10.0 runs programs on the CPU (run configuration Loihi2SimCfg). A chip (Loihi2HwCfg) needs Intel's
private add-on for Lava as well, and a board or Intel's cloud, both for members only. Both run in a Python 3.10.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.backends import lava
from hwsdk.backends.base import Program, number_option
from hwsdk.backends.lava_process import KEPT, VERSION, end_group, find_python, lava_is_here
from hwsdk.backends.lava_script import READ_OUT
from hwsdk.errors import DataError, ExternalToolError, MissingDependencyError, UnsupportedError
from hwsdk.hil.device import Capabilities, Health, Probes
from hwsdk.hil.vendors.common import JobDevice, parts_of
from hwsdk.ir.data import Events, Stimulus, events_from_dense
from hwsdk.ir.trace import Trace
from hwsdk.programs.loihi import STATES, LoihiProgram

PROBE = "import sys; from lava.utils import loihi; sys.exit(not loihi.is_installed())"
"""lava.utils.loihi.is_installed looks for the compiler of neuro-cores, which only the private add-on brings."""
MEMBERS = ("a chip needs Intel's add-on for Lava, which members of the Intel Neuromorphic Research Community get "
           "(intel-nrc.org); install it in that Python, or open lava: to run on the CPU")
BOARDS = {"partition": "PARTITION", "board": "BOARD", "generation": "LOIHI_GEN"}
"""Option -> the environment variable that lava.utils.loihi.use_slurm_host sets for it."""
GENERATION = "N3B3"
"""Default of use_slurm_host in lava-nc 0.10.0."""
HOST = ("SLURM", "NOSLURM", "NXSDKHOST", "HOST_BINARY", *BOARDS.values())
"""Environment variables by which Lava finds a board; the child gets these beside those of other Lava children."""
TIMEOUT_S = 600.0
"""Of a job on a chip, with its wait for a board."""
MOST_S = 86_400.0
TAIL = 12
"""Lines of an error output that are shown."""


class LavaDevice(JobDevice):
    """``lava:`` (CPU) or ``lava:hardware`` (chip), with the options python (an interpreter that has Lava), timeout (s),
    and for a chip partition, board and generation as Lava's use_slurm_host takes them.

    Raises:
        MissingDependencyError: NO_LAVA, no such interpreter; NO_LOIHI, no add-on.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        place, options = parts_of(url, ("python", "timeout", *BOARDS))
        if place not in ("", "hardware"):
            raise UnsupportedError(f"{place!r} after lava:", where=url, code="BAD_OPTION",
                                   fix="write lava: for the CPU, or lava:hardware for a chip")
        self._chip = place == "hardware"
        self._timeout = number_option("timeout", options["timeout"], 0, MOST_S) if "timeout" in options else None
        self._variables = {BOARDS[name]: options[name] for name in BOARDS if name in options}
        named = options.get("python")
        self._python = Path(sys.executable) if not named and lava_is_here() else find_python(named)
        if self._chip and not has_add_on(self._python):
            raise MissingDependencyError("Lava is there, its add-on for Loihi 2 is not", where=str(self._python),
                                         code="NO_LOIHI", fix=MEMBERS)
        self._program: LoihiProgram | None = None

    def capabilities(self) -> Capabilities:
        """A chip, or the CPU."""
        if self._chip:
            return Capabilities("Loihi 2 by Lava", ("loihi",), "Loihi 2", "neuro-core", f"lava-nc {VERSION}",
                                probes=True, notes=("Loihi2HwCfg; hwsdk's Lava scripts have never been run on a chip: "
                                                    "adapters between CPU and neuro-cores may add steps",))
        return Capabilities("Lava's fixed-point models", ("loihi",), core="this CPU (Loihi2SimCfg)",
                            build=f"lava-nc {VERSION}", probes=True, notes=("no chip",))

    def health(self) -> Health:
        """Is the interpreter still one with Lava, and with the add-on if a chip is meant?"""
        good = has_add_on(self._python) if self._chip else self._python.exists()
        return Health(good, f"{self._python} {'answers' if good else 'has lost Lava'}", self.counters())

    def _take(self, program: Program) -> None:
        """Refuse what Lava lacks now, not at the first run."""
        if not isinstance(program, LoihiProgram) or (self._chip and program.target != "loihi2"):
            raise UnsupportedError(f"a program for {program.target}", where=self.url, code="WRONG_KIND",
                                   fix="compile the model for loihi2")
        lava.emit(program)
        self._program = program

    def _job(self, stimulus: Stimulus, probes: Probes) -> Trace:
        """In Lava."""
        assert self._program is not None  # noqa: S101  run asks
        if not self._chip:
            here = self._python == Path(sys.executable)
            return lava.run(self._program, stimulus, python=None if here else self._python, timeout=self._timeout,
                            probes=probes)
        return self._on_chip(self._program, stimulus, probes)

    def _on_chip(self, program: LoihiProgram, stimulus: Stimulus, probes: Probes) -> Trace:
        """The program as a Lava script with --hardware, in a process of its own."""
        stimulus.require(program.input_shapes, whole=True, graded=program.graded_input, chip=program.target)
        steps = stimulus.n_steps + max((s.lag for s in program.populations), default=0)
        wanted = _wanted(program, probes)
        with tempfile.TemporaryDirectory(prefix="hwsdk-loihi2-") as folder:
            root = Path(folder)
            lava.emit(program).save(root / "network.py")
            inputs: dict[str, Any] = {name: e.dense(None, np.int64) for name, e in stimulus.inputs.items()}
            np.savez(root / "input.npz", **inputs)
            self._child(root, steps, [f"{n}:{v}" for n, v in wanted])
            with np.load(root / "trace.npz") as file:
                found = {name: file[name] for name in file.files}
        return _trace(program, found, (stimulus.n_samples, steps), wanted)

    def _child(self, root: Path, steps: int, probes: list[str]) -> None:
        """Run the script; it leaves no process behind."""
        limit = TIMEOUT_S if self._timeout is None else self._timeout
        command: list[str | Path] = [
            self._python, root / "network.py", "--input", root / "input.npz", "--output", root / "trace.npz",
            "--steps", str(steps), "--hardware", "--probes", *probes]
        errors = root / "errors.txt"
        with errors.open("wb") as err:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=err, stderr=err, cwd=root,
                                       env=self._environment(), start_new_session=True)
            try:
                process.wait(limit)
            except subprocess.TimeoutExpired:
                raise ExternalToolError(f"no result from Loihi 2 within {limit:g} s", where=self.url, code="TIMEOUT",
                                        fix="add ?timeout=SECONDS; the wait for a free board counts") from None
            finally:
                end_group(process)
        if process.returncode or not (root / "trace.npz").is_file():
            tail = "\n    ".join(errors.read_text("utf-8", "replace").strip().splitlines()[-TAIL:])
            raise ExternalToolError(f"Lava ended with code {process.returncode}; its last lines:\n    {tail}",
                                    where=self.url, code="CRASHED", fix="see whether a board is free (sinfo), and "
                                    "whether Lava's own tutorials run there")

    def _environment(self) -> dict[str, str]:
        """Of the child."""
        kept = {name: os.environ[name] for name in (*KEPT, *HOST) if name in os.environ}
        if self._variables:
            kept.pop("NOSLURM", None)
            kept |= {"SLURM": "1", "LOIHI_GEN": GENERATION}
        return kept | self._variables


def has_add_on(python: Path) -> bool:
    """Has this interpreter Intel's add-on for Lava?"""
    kept = {name: os.environ[name] for name in (*KEPT, *HOST) if name in os.environ}
    try:
        return subprocess.run([python, "-c", PROBE], env=kept, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _wanted(program: LoihiProgram, probes: Probes) -> list[tuple[str, str]]:
    """The states to record.

    Raises:
        DataError: NO_SUCH_STATE.
    """
    known = [(s.name, state) for s in program.populations for state in STATES[s.model]]
    wanted = known if probes == "all" else [] if isinstance(probes, str) else [(str(n), str(v)) for n, v in probes]
    for name, state in wanted:
        if (name, state) not in known:
            raise DataError(f"no state {state!r} of {name!r}", code="NO_SUCH_STATE",
                            fix=f"probe one of {', '.join(f'{n}:{v}' for n, v in known[:12])}")
    return wanted


def _trace(program: LoihiProgram, found: dict[str, NDArray[Any]], grid: tuple[int, int], wanted: list[tuple[str, str]],
           ) -> Trace:
    """What the script wrote: (samples, steps, n) of spikes and states."""
    spikes: dict[str, Events] = {}
    lag = {s.name: s.lag for s in program.populations}
    for s in program.populations:
        sent = found[f"spikes:{s.name}" if s.fires else f"state:{s.name}:{READ_OUT[s.model]}"]
        spikes[s.name] = events_from_dense(sent.reshape(*grid, *s.shape), s.shape, s.name)
    for name, sources in program.outputs.items():
        if len(sources) == 1:
            spikes[name], lag[name] = spikes[sources[0]], lag[sources[0]]
    states = {(n, v): found[f"state:{n}:{v}"] for n, v in wanted}
    return Trace(*grid, spikes, states, {}, lag)
