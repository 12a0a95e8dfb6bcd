"""What the chips' simulators share: samples side by side, progress over all of them, states that are probed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError

Probes = tuple[tuple[str, str], ...]
R_co = TypeVar("R_co", covariant=True)


class Progress:
    """Adds up the steps of samples that run beside each other."""

    def __init__(self, say: Callable[[int, int], None] | None, total: int) -> None:
        self._say, self._total, self._done, self._lock = say, total, 0, Lock()

    def add(self, steps: int) -> None:
        """So many more are done."""
        if self._say is not None:
            with self._lock:
                self._done += steps
                self._say(self._done, self._total)


class Sample(Protocol[R_co]):
    """One sample that can be run."""

    def go(self, progress: Progress) -> R_co:
        """Run it."""


def run_all(samples: Sequence[Sample[R_co]], progress: Progress, beside: int) -> list[R_co]:
    """The results of all samples, up to ``beside`` of which run at a time."""
    if beside <= 1:
        return [s.go(progress) for s in samples]
    with ThreadPoolExecutor(beside) as pool:
        waiting = [pool.submit(s.go, progress) for s in samples]
        try:
            return [w.result() for w in waiting]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def wanted(known: Mapping[str, tuple[str, ...]], readouts: Probes, probes: Iterable[tuple[str, str]] | str) -> Probes:
    """The states to record: those asked for, and what is read out.

    Args:
        known: population -> names of its states. readouts: (population, state) of what is read out.

    Raises:
        DataError: there is no such state.
    """
    if probes == "all":
        return tuple((name, state) for name, states in known.items() for state in states)
    if isinstance(probes, str):
        raise DataError(f"probes={probes!r}", code="NO_SUCH_STATE", fix='give (population, state) pairs, or "all"')
    found = tuple((str(name), str(state)) for name, state in probes)
    for name, state in found:
        if state not in known.get(name, ()):
            raise DataError(f"no state {state!r} of {name!r}", code="NO_SUCH_STATE", fix=_offer(name, known))
    return found + tuple(r for r in readouts if r not in found)


def _offer(name: str, known: Mapping[str, tuple[str, ...]]) -> str:
    """What can be probed instead."""
    if name in known:
        return f"probe {' or '.join(known[name])} of {name}" if known[name] else f"{name} has no states"
    return f"probe a state of {', '.join(sorted(known))}"


def one_step(name: str, values: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(1, *shape) of an input.

    Raises:
        DataError: SHAPE_MISMATCH.
    """
    found = np.asarray(values, np.float64)
    if found.shape not in (shape, (int(np.prod(shape)),)):
        raise DataError(f"values of shape {found.shape} for one step, the input has {shape}", where=name,
                        code="SHAPE_MISMATCH", fix="give the values of a single step")
    return found.reshape(1, *shape)
