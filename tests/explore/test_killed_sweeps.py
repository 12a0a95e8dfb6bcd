"""A kill at any moment loses no finished point and repeats none."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_designs import KILLED, KILLED_SWEEPS, ROOT, command, digits, found, space, start

from hwsdk.errors import HwsdkError
from hwsdk.explore import engines
from hwsdk.explore.engines import Crew
from hwsdk.explore.result import Result
from hwsdk.explore.run import Exploration, explore

PATIENCE_S = 90.0


@pytest.fixture(scope="module")
def plain() -> Exploration:
    """What an exploration gives that nobody kills."""
    return explore(*digits(), space(*KILLED_SWEEPS, targets=KILLED), crew=Crew("serial"))


def whole(path: Path) -> bytes:
    """All lines that are complete."""
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]


def results(path: Path) -> list[Result]:
    return [Result.from_dict(json.loads(line)) for line in whole(path).splitlines()[1:]]


def kill_after(words: list[str], path: Path, lines: int, seconds: float) -> bool:
    """Start, wait for so many more lines and then so long, and kill; False if it had ended before."""
    child, before = start(words), len(whole(path).splitlines())
    until = time.monotonic() + PATIENCE_S
    while child.poll() is None and len(whole(path).splitlines()) < before + lines:
        assert time.monotonic() < until, "the exploration stands still"
        time.sleep(0.005)
    time.sleep(seconds)
    running = child.poll() is None
    child.send_signal(signal.SIGKILL)
    _, said = child.communicate()
    assert running or child.returncode == 0, said.decode()
    return running


def killed_often(path: Path, plain: Exploration, kills: int, engine: str, *more: str) -> int:
    """Kill ``kills`` times at random moments, look at the file after each, and go on to the end; kills that met it."""
    rng, words, met = random.Random(kills), command("-o", path, "--resume", *more, engine=engine), 0
    for _ in range(kills):
        before = whole(path)
        met += kill_after(words, path, rng.randrange(4 if kills < 10 else 3), rng.random() * 0.2)
        after = whole(path)
        assert after.startswith(before)  # nothing is lost, nothing is written anew
        keys = [r.key for r in results(path)]
        assert len(set(keys)) == len(keys)
    last = explore(*digits(), space(*KILLED_SWEEPS, targets=KILLED), crew=Crew("serial"), store=path, resume=True)
    assert last.resumed == len(keys)
    rows = {r.key: r.found() for r in results(path)}
    assert len(rows) == len(results(path))
    assert rows == {r.key: r for r in found(plain.results)}
    return met


def test_three_kills(tmp_path: Path, plain: Exploration) -> None:
    assert killed_often(tmp_path / "p.jsonl", plain, 3, "serial") >= 2


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["serial", "joblib"])
def test_twenty_kills(tmp_path: Path, plain: Exploration, engine: str) -> None:
    assert killed_often(tmp_path / "p.jsonl", plain, 20, engine, "--workers", "2") >= 10


def children(pid: int) -> set[int]:
    """Processes that a process has started, and theirs."""
    psutil = pytest.importorskip("psutil", reason='psutil is missing: pip install "hwsdk[explore]"')
    return {p.pid for p in psutil.Process(pid).children(recursive=True)}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs the list of processes of Linux")
def test_killed_processes_leave_no_children(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    child = start(command("-o", path, "--workers", "2", engine="joblib"))
    while child.poll() is None and len(whole(path).splitlines()) < 2:
        time.sleep(0.01)
    own = children(child.pid)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert own
    until = time.monotonic() + 20
    while (left := [p for p in own if alive(p)]) and time.monotonic() < until:
        time.sleep(0.1)
    assert not left


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs the list of processes of Linux")
def test_a_killed_process_is_told_and_what_was_finished_is_kept(tmp_path: Path, plain: Exploration) -> None:
    path = tmp_path / "p.jsonl"
    child = start(command("-o", path, "--workers", "2", engine="joblib"))
    while child.poll() is None and len(whole(path).splitlines()) < 2:
        time.sleep(0.01)
    worker = next(p for p in children(child.pid) if b"popen_loky" in Path(f"/proc/{p}/cmdline").read_bytes())
    os.kill(worker, signal.SIGKILL)
    _, said = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 2 and b"WORKER_DIED" in said and b"--resume" in said
    kept = len(results(path))
    last = explore(*digits(), space(*KILLED_SWEEPS, targets=KILLED), crew=Crew("serial"), store=path, resume=True)
    assert last.resumed == kept >= 1 and found(last.results) == found(plain.results)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Cluster:
    """A scheduler and workers, each a process of its own on this computer."""

    def __init__(self, folder: Path) -> None:
        pytest.importorskip("distributed", reason='dask.distributed is missing: pip install "hwsdk[explore]"')
        self.address, self.folder = f"tcp://127.0.0.1:{free_port()}", folder
        self.processes = [self._run("dask_scheduler", "--host", "127.0.0.1", "--port", self.address.rsplit(":")[-1],
                                    "--no-dashboard")]

    def worker(self) -> subprocess.Popen[bytes]:
        """One more, without a nanny that would start it again."""
        child = self._run("dask_worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard",
                          "--local-directory", str(self.folder))
        self.processes.append(child)
        return child

    def _run(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        code = f"import sys; from distributed.cli.{name} import main; sys.exit(main())"
        return subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, *words], cwd=ROOT,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        for child in reversed(self.processes):
            child.kill()
            child.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Without workers at first."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.stop()


def test_no_scheduler_and_no_worker_are_told(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> None:
    monkeypatch.setattr(engines, "PATIENCE_S", 0.2)
    few = space("bits=8", targets=("loihi2",))
    with pytest.raises(HwsdkError, match=r"NO_WORKERS"):
        explore(*digits(), few, crew=Crew("dask", scheduler=cluster.address))
    monkeypatch.setattr(engines, "CONNECT_S", 0.5)
    with pytest.raises(HwsdkError, match=r"NO_SCHEDULER"):
        explore(*digits(), few, crew=Crew("dask", scheduler=f"tcp://127.0.0.1:{free_port()}"))


def test_a_killed_dask_worker_changes_nothing(tmp_path: Path, plain: Exploration, cluster: Cluster) -> None:
    path, workers = tmp_path / "p.jsonl", [cluster.worker(), cluster.worker()]
    child = start(command("-o", path, "--scheduler", cluster.address, engine="dask"))
    until = time.monotonic() + PATIENCE_S
    while child.poll() is None and len(whole(path).splitlines()) < 4:
        assert time.monotonic() < until, "the cluster stands still"
        time.sleep(0.01)
    os.kill(workers[0].pid, signal.SIGKILL)
    _, said = child.communicate(timeout=PATIENCE_S)
    workers[1].kill()
    assert child.returncode == 0, said.decode()
    rows = results(path)
    assert len({r.key for r in rows}) == len(rows)
    assert {r.key: r.found() for r in rows} == {r.key: r for r in found(plain.results)}


@pytest.mark.slow
def test_dask_workers_that_come_and_go(tmp_path: Path, plain: Exploration, cluster: Cluster) -> None:
    path, rng = tmp_path / "p.jsonl", random.Random(0)
    workers = [cluster.worker()]
    child = start(command("-o", path, "--scheduler", cluster.address, engine="dask"))
    for _ in range(4):
        lines = len(whole(path).splitlines())
        while child.poll() is None and len(whole(path).splitlines()) < lines + 4:
            time.sleep(0.01)
        time.sleep(rng.random() * 0.1)
        workers.append(cluster.worker())
        workers.pop(0).kill()
    _, said = child.communicate(timeout=300)
    assert child.returncode == 0, said.decode()
    assert {r.key: r.found() for r in results(path)} == {r.key: r for r in found(plain.results)}
