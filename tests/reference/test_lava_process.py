"""The child that runs Lava always ends, leaves nothing behind, and says what went wrong. Without Lava itself."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from hwsdk.backends import lava_process
from hwsdk.backends.lava_process import find_python, run_child, run_here
from hwsdk.errors import ExternalToolError, MissingDependencyError

PYTHON = Path(sys.executable)
FAMILY = """
import multiprocessing, pathlib, time
from multiprocessing import shared_memory

def sleep():
    time.sleep(1000)

def run_samples(*_):
    memory = shared_memory.SharedMemory(create=True, size=100)
    children = [multiprocessing.get_context("fork").Process(target=sleep) for _ in range(3)]
    for child in children:
        child.start()
    pathlib.Path(__file__).with_name("pids").write_text(" ".join(str(c.pid) for c in children) + " " + memory.name)
    {then}

network = None
"""


def jobs(root: Path, *texts: str) -> list[str]:
    """A folder of jobs whose scripts are these; the names of the programs."""
    for k, text in enumerate(texts):
        folder = root / str(k)
        folder.mkdir()
        (folder / "network.py").write_text(text)
        (folder / "job.json").write_text('{"samples": 1, "steps": 1, "probes": []}')
        (folder / "input.npz").write_bytes(b"PK\x05\x06" + bytes(18))  # an empty zip
    return [f"program{k}" for k in range(len(texts))]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z" if Path("/proc").is_dir() else True


def left_behind(folder: Path) -> list[str]:
    """Processes and shared memory of FAMILY that are still there."""
    *pids, memory = (folder / "pids").read_text().split()
    return [p for p in pids if alive(int(p))] + [m for m in [memory] if (Path("/dev/shm") / m).exists()]


def test_a_run_that_never_ends_is_stopped_with_all_its_processes(tmp_path: Path) -> None:
    names = jobs(tmp_path, "def run_samples(*_):\n    return {}\nnetwork = None", FAMILY.format(then="sleep()"))
    start = time.monotonic()
    with pytest.raises(ExternalToolError, match=r"\[TIMEOUT\] program1: Lava did not end within 3 s") as caught:
        run_child(PYTHON, tmp_path, names, 3)
    assert time.monotonic() - start < 20
    assert "longer time limit" in caught.value.fix
    assert left_behind(tmp_path / "1") == []


def test_a_crash_shows_its_last_lines_and_leaves_nothing(tmp_path: Path) -> None:
    names = jobs(tmp_path, FAMILY.format(then="raise ValueError('a bad shape')"))
    with pytest.raises(ExternalToolError, match=r"\[CRASHED\] program0: (?s:.*)ValueError: a bad shape"):
        run_child(PYTHON, tmp_path, names, 60)
    assert left_behind(tmp_path / "0") == []


def test_a_child_that_is_killed_is_a_crash(tmp_path: Path) -> None:
    names = jobs(tmp_path, FAMILY.format(then="import os; os.kill(os.getpid(), 9)"))
    with pytest.raises(ExternalToolError, match="code -9"):
        run_child(PYTHON, tmp_path, names, 60)
    assert left_behind(tmp_path / "0") == []


def test_the_environment_of_the_child_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONHASHSEED", "VIRTUAL_ENV", "OMP_NUM_THREADS", "HWSDK_SECRET"):
        monkeypatch.setenv(name, "7")
    text = "import os\nnetwork = None\ndef run_samples(*_):\n    raise ValueError(sorted(os.environ.items()))"
    with pytest.raises(ExternalToolError) as caught:
        run_child(PYTHON, tmp_path, jobs(tmp_path, text), 60)
    assert "('OMP_NUM_THREADS', '1')" in caught.value.what
    assert not any(n in caught.value.what for n in ("PYTHONPATH", "PYTHONHASHSEED", "VIRTUAL_ENV", "HWSDK_SECRET"))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_run_in_this_process_is_stopped_too(tmp_path: Path) -> None:
    names = jobs(tmp_path, FAMILY.format(then="sleep()"))
    with pytest.raises(ExternalToolError, match=r"\[TIMEOUT\] program0"):
        run_here(tmp_path, names, 2)
    *pids, _ = (tmp_path / "0" / "pids").read_text().split()
    assert [p for p in pids if alive(int(p))] == []


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_crash_in_this_process_names_the_program(tmp_path: Path) -> None:
    names = jobs(tmp_path, FAMILY.format(then="raise ValueError('a bad shape')"))
    with pytest.raises(ExternalToolError, match=r"\[CRASHED\] program0: Lava stopped with ValueError: a bad shape"):
        run_here(tmp_path, names, 60)
    *pids, _ = (tmp_path / "0" / "pids").read_text().split()
    assert [p for p in pids if alive(int(p))] == []


def test_a_named_python_without_lava_is_refused_and_no_other_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWSDK_LAVA_PYTHON", "/nowhere/python")
    with pytest.raises(MissingDependencyError, match=r"\[NO_LAVA\] /nowhere/python"):
        find_python()
    with pytest.raises(MissingDependencyError, match="NO_LAVA"):
        find_python("/also/nowhere")


def test_without_any_python_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HWSDK_LAVA_PYTHON", raising=False)
    monkeypatch.setattr(lava_process, "_candidates", lambda: iter([Path("/nowhere/python3.10")]))
    with pytest.raises(MissingDependencyError, match=r"no Python with lava-nc 0\.10\.0") as caught:
        find_python()
    assert "pip install lava-nc==0.10.0" in caught.value.fix
