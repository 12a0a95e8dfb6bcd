"""retime: steps by which each population runs behind the model, so that every connection takes a step or more."""

from __future__ import annotations

from dataclasses import dataclass

from hwsdk.errors import UnsupportedError


@dataclass(frozen=True, slots=True)
class Link:
    """A connection of the model: ``delay`` is its shortest delay, ``extra`` what the target's own order adds.

    tie: not a connection, but a demand that ``target`` runs no less late than ``source``; the plastic projection whose
    rule demands it.
    """

    source: str
    target: str
    delay: int
    extra: int = 0
    tie: str = ""

    def need(self, lag: int, min_delay: int) -> int:
        """The smallest lag of the target for a lag of the source."""
        return lag if self.tie else lag + min_delay - self.delay - self.extra


def lags(names: list[str], links: list[Link], min_delay: int) -> dict[str, int]:
    """The smallest lags with  delay + extra + lag(target) - lag(source) >= min_delay  on every link; inputs stay at 0
    unless a tie moves them.

    Bellman-Ford on the longest path: a lag that still grows after len(names) rounds stands on a loop that is
    shorter in the model than the chip can make it.

    Raises:
        UnsupportedError: LOOP_TOO_SHORT, naming the loop, its delay and the delay that it needs; PLASTIC_LAG for a loop
            with a tie in it.
    """
    lag = dict.fromkeys(names, 0)
    cause: dict[str, Link] = {}
    for _ in range(len(names) + 1):
        grew = False
        for link in links:
            need = link.need(lag[link.source], min_delay)
            if need > lag[link.target]:
                lag[link.target], cause[link.target], grew = need, link, True
        if not grew:
            return lag
    raise _too_short(lag, cause, min_delay)


def _too_short(lag: dict[str, int], cause: dict[str, Link], min_delay: int) -> UnsupportedError:
    """The error that names a loop whose total delay is below one step a connection."""
    name = max(cause, key=lambda n: lag[n])
    seen: list[str] = []
    while name not in seen:
        seen.append(name)
        name = cause[name].source if name in cause else name
    loop = seen[seen.index(name) :][::-1]
    if ties := sorted({cause[n].tie for n in loop} - {""}):
        return refused_tie(ties[0], f"its two ends are also joined by {' -> '.join([*loop, loop[0]])}, where a "
                           f"connection takes {min_delay} step(s) on the chip and less in the model")
    delay = sum(cause[n].delay + cause[n].extra for n in loop)
    return UnsupportedError(
        f"the loop {' -> '.join([*loop, loop[0]])} takes {delay} step(s) in the model and needs "
        f"{min_delay * len(loop)}, one for each of its connections", where=loop[0], code="LOOP_TOO_SHORT",
        fix=f"raise recurrent_delay by {min_delay * len(loop) - delay} when the model is loaded (--recurrent-delay; it "
        "is 1 unless you set it) and check the accuracy with hwsdk verify, or give the loop more delay in the model")


def refused_tie(projection: str, why: str) -> UnsupportedError:
    """A plastic projection whose ends cannot run equally late."""
    return UnsupportedError(f"both ends of a plastic projection must run equally late: {why}", where=projection,
                            code="PLASTIC_LAG", fix="give the connections onto both ends a delay of 1 step or more, or "
                            "compute each step in phases (timing=phased) on a target that can")
