"""Who measures points: this process, processes of this computer (joblib), or a Dask cluster; the results are equal."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hwsdk.errors import HwsdkError, MissingDependencyError
from hwsdk.explore.bench import Bench, nominal
from hwsdk.explore.job import Job, code_digest
from hwsdk.explore.points import Point
from hwsdk.explore.result import Result

Chunk = tuple[Point, ...]
Results = Generator[Sequence[Result], None, None]
ENGINES = ("joblib", "dask", "serial")
MOST = 16
"""Points of a chunk; what is lost at a kill is at most a chunk a worker."""
INSTALL = 'pip install "hwsdk[explore]"'
POLL_S, CONNECT_S, PATIENCE_S = 5.0, 10.0, 60.0
"""How often a cluster is looked at, how long it may take to answer, and how long it may be without a worker."""
LARGE = "1 GiB"
"""Of a job that Dask warns of."""


@dataclass(frozen=True, slots=True)
class Crew:
    """engine: one of ENGINES. workers: processes, None for as many as there are processors. scheduler: address of a
    Dask scheduler, None for a cluster on this computer. keep: remember what points share.
    """

    engine: str = "joblib"
    workers: int | None = None
    scheduler: str | None = None
    keep: bool = True

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise HwsdkError(f"engine {self.engine!r}", code="UNKNOWN_ENGINE", fix=f"use one of {', '.join(ENGINES)}")
        if self.workers is not None and self.workers < 1:
            raise HwsdkError(f"{self.workers} workers", code="BAD_WORKERS", fix="give 1 or more")
        if self.scheduler is not None and self.engine != "dask":
            raise HwsdkError(f"a scheduler for the engine {self.engine}", code="NO_SCHEDULER", fix="use --engine dask")

    def measure(self, job: Job, points: Sequence[Point]) -> Results:
        """The results of all points, chunk by chunk as they get done.

        Raises:
            MissingDependencyError; HwsdkError: WORKER_DIED, NO_SCHEDULER, NO_WORKERS, OTHER_CODE.
        """
        if cut := chunks(points):
            go: Callable[..., Results] = {"serial": _serial, "joblib": _joblib, "dask": _dask}[self.engine]
            yield from go(self, job, cut)


def chunks(points: Sequence[Point]) -> list[Chunk]:
    """Points in pieces that one worker measures: those of one program after each other, those of one run together."""
    programs: dict[Point, dict[Point, list[Point]]] = {}
    for p in points:
        run = p.without(*(n for n, _ in p.settings if n in ("boundary", "proxy") or n.startswith("estimate.")))
        programs.setdefault(nominal(p).without("steps"), {}).setdefault(run, []).append(p)
    return [tuple(run[k : k + MOST]) for runs in programs.values() for run in runs.values()
            for k in range(0, len(run), MOST)]


def _measured(bench: Bench, chunk: Chunk) -> list[Result]:
    """By one thread, so that sums of floats have one order."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        return [bench.measure(p) for p in chunk]


def _serial(crew: Crew, job: Job, cut: list[Chunk]) -> Results:
    bench = Bench(job, crew.keep)
    for chunk in cut:
        yield _measured(bench, chunk)


def _joblib(crew: Crew, job: Job, cut: list[Chunk]) -> Results:
    """Each process reads the job once, from a file."""
    try:
        from joblib import Parallel, delayed
        from joblib.externals.loky.process_executor import TerminatedWorkerError
    except ImportError:
        raise MissingDependencyError("joblib is not installed", fix=f"{INSTALL}, or --engine serial") from None
    with tempfile.TemporaryDirectory(prefix="hwsdk-explore-") as folder:
        path = Path(folder) / "job"
        path.write_bytes(job.to_bytes())
        workers = min(crew.workers or os.cpu_count() or 1, len(cut))
        pool = Parallel(n_jobs=max(workers, 1), backend="loky", batch_size=1, pre_dispatch="3*n_jobs",
                        return_as="generator_unordered")
        done = pool(delayed(_from_file)(str(path), code_digest(), crew.keep, os.getpid(), chunk) for chunk in cut)
        try:
            yield from done
        except TerminatedWorkerError as error:
            raise _died(str(error).split(".")[0]) from None
        finally:
            done.close()


def _from_file(path: str, code: str, keep: bool, parent: int, chunk: Chunk) -> list[Result]:
    """In a process of this computer, which ends with the one that started it."""
    _watch(parent)
    return _measured(_bench_of_file(path, code, keep), chunk)


@lru_cache(maxsize=1)
def _bench_of_file(path: str, code: str, keep: bool) -> Bench:
    return _bench(Path(path).read_bytes(), code, keep)


@lru_cache(maxsize=1)
def _watch(parent: int) -> None:
    """A killed process cannot end its children, so they look whether it is there."""
    if os.getppid() != parent:
        return  # on another system, or started by a helper

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def _bench(content: bytes, code: str, keep: bool) -> Bench:
    """In a worker.

    Raises:
        HwsdkError: OTHER_CODE.
    """
    if code_digest() != code:
        raise HwsdkError("a worker has another version of hwsdk, or it was changed after the worker had started",
                         code="OTHER_CODE", fix="install the same version everywhere, and start the workers again")
    return Bench(Job.from_bytes(content), keep)


def _died(what: str) -> HwsdkError:
    return HwsdkError(f"a worker ended before its point was done: {what}", code="WORKER_DIED",
                      fix="give it more memory or take fewer workers, and go on with --resume; the finished is kept")


def _dask(crew: Crew, job: Job, cut: list[Chunk]) -> Results:
    """Each worker is given the job once; a chunk of a worker that dies goes to another one."""
    try:
        import dask
        import distributed
    except ImportError:
        raise MissingDependencyError("dask.distributed is not installed", fix=f"{INSTALL}, --engine joblib") from None
    tools: Any = distributed
    token, limit = uuid.uuid4().hex, {"distributed.admin.large-graph-warning-threshold": LARGE}
    with dask.config.set(limit), _client(crew) as client:
        # a task, and not scattered: it is made again where all its holders have died
        held = client.submit(_held, job.to_bytes(), key=f"hwsdk-job-{token}")
        waiting = {client.submit(_from_bytes, held, token, code_digest(), crew.keep, chunk,
                                 key=f"hwsdk-points-{token}-{k}") for k, chunk in enumerate(cut)}
        try:
            since = time.monotonic()
            while waiting:
                with contextlib.suppress(TimeoutError, tools.TimeoutError):  # two classes before Python 3.11
                    tools.wait(waiting, timeout=POLL_S, return_when="FIRST_COMPLETED")
                done = {f for f in waiting if f.done()}
                since = _patience(client, since) if not done else time.monotonic()
                waiting -= done
                for future in done:
                    yield future.result()
        except distributed.KilledWorker as error:
            raise _died(str(error).split("\n")[0]) from None
        finally:
            client.cancel([*waiting, held])


@contextlib.contextmanager
def _client(crew: Crew) -> Iterator[Any]:
    """Of the scheduler, or of a cluster on this computer.

    Raises:
        HwsdkError: NO_SCHEDULER, NO_WORKERS.
    """
    import distributed

    tools: Any = distributed
    with contextlib.ExitStack() as stack:
        if crew.scheduler is None:
            where: Any = stack.enter_context(tools.LocalCluster(n_workers=crew.workers or os.cpu_count() or 1,
                                                                threads_per_worker=1, dashboard_address=None))
        else:
            where = crew.scheduler
        try:
            client = stack.enter_context(tools.Client(where, timeout=CONNECT_S, set_as_default=False))
            stack.enter_context(client.as_current())
        except (OSError, TimeoutError, tools.TimeoutError, ValueError) as error:
            raise HwsdkError(f"no Dask scheduler answers: {str(error).splitlines()[0]}", where=str(crew.scheduler),
                             code="NO_SCHEDULER", fix="start one with: dask scheduler; and give its tcp:// address") \
                from None
        try:
            client.wait_for_workers(1, timeout=PATIENCE_S)
        except (TimeoutError, tools.TimeoutError):
            raise _nobody(crew.scheduler) from None
        yield client


def _patience(client: Any, since: float) -> float:
    """When there was a worker last.

    Raises:
        HwsdkError: NO_WORKERS.
    """
    if client.ncores():
        return time.monotonic()
    if time.monotonic() - since > PATIENCE_S:
        raise _nobody(None)
    return since


def _nobody(where: str | None) -> HwsdkError:
    return HwsdkError("the Dask cluster has no worker", where=where or "", code="NO_WORKERS",
                      fix="start one with: dask worker ADDRESS --nthreads 1; then go on with --resume")


def _held(content: bytes) -> bytes:
    return content


def _from_bytes(content: bytes, token: str, code: str, keep: bool, chunk: Chunk) -> list[Result]:
    """In a worker of a cluster."""
    with _BENCH_LOCK:
        if token not in _BENCHES:
            made = _bench(content, code, keep)
            _BENCHES.clear()
            _BENCHES[token] = made
        bench = _BENCHES[token]
    return _measured(bench, chunk)


_BENCHES: dict[str, Bench] = {}
_BENCH_LOCK = threading.Lock()
"""In a worker of a cluster: the bench of its last job."""

__all__ = ["Crew", "ENGINES", "chunks"]
