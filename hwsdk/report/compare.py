"""compare: one network on several chips, a row each: does it fit, how well does it work there, what does it cost.

Figures are compared only where they are of the same thing: latency and energy of two rows where what is included and
left out is the same, no price is missing, and their ranges lie apart. Where the best of a column is not marked, the
comparison says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hwsdk import backends
from hwsdk.backends.base import CompileOptions, Progress
from hwsdk.errors import HwsdkError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.semantics import Semantics
from hwsdk.report.compare_rows import Assumption, Job, Row, amounts, decisions_of, row
from hwsdk.simulators import reference

FAMILIES = ("loihi2", "spinnaker2", "sfq", "memristor")
"""One target of each family: what is compared if nobody names targets."""
ALL = "all"
SHARES = {"accuracy": "accuracy", "same": "same decision", "cosine": "output cosine"}
"""Columns of which more is better: field of a Row -> name."""
COSTS = {"latency": "latency", "energy_dynamic": "dynamic energy", "energy_total": "total energy"}
"""Columns of which less is better: name of hwsdk.report.compare_rows.amounts -> name."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Which targets are the best of a column, or why none is marked."""

    column: str
    best: tuple[str, ...]
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A network on several targets.

    reference: what the rows are held against, "float" or, for a model in a chip's integers, "integer".
    reference_accuracy: its share of right decisions, None without labels. assumptions: those that all rows share.
    """

    network: str
    samples: int
    steps: int
    semantics: Semantics
    reference: str
    reference_accuracy: float | None
    assumptions: tuple[Assumption, ...]
    rows: tuple[Row, ...]

    @property
    def marks(self) -> tuple[Mark, ...]:
        """For every column the best, or why none is marked."""
        return (*(_share_mark(name, text, self.rows) for name, text in SHARES.items()),
                *(_cost_mark(name, text, self.rows) for name, text in COSTS.items()))

    @property
    def any_fits(self) -> bool:
        """Does at least one target run the network?"""
        return any(r.fits for r in self.rows)

    def to_text(self, width: int = 118, colour: bool = False) -> str:
        """The table and what stands behind every row, as people read it; see hwsdk.report.compare_text.text."""
        from hwsdk.report.compare_text import text

        return text(self, width, colour)

    def to_html(self) -> str:
        """A page of its own that needs no network; see hwsdk.report.compare_html.html."""
        from hwsdk.report.compare_html import html

        return html(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "network": self.network, "samples": self.samples, "steps": self.steps,
            "semantics": self.semantics.to_dict(), "reference": self.reference,
            "reference_accuracy": self.reference_accuracy,
            "assumptions": [{"kind": a.kind, "text": a.text} for a in self.assumptions],
            "best": {m.column: {"targets": list(m.best), "why_not": m.why_not} for m in self.marks},
            "rows": [r.to_dict() for r in self.rows]}

    def neurobench(self) -> dict[str, Any]:
        """Target -> its document, of those that run the network; empty unless ``compare`` was asked for them."""
        return {r.target: dict(r.neurobench) for r in self.rows if r.neurobench is not None}


def compare(network: Network, data: Stimulus, *, targets: Sequence[str] | None = None,
            options: Mapping[str, Mapping[str, Any]] | None = None, common: CompileOptions | None = None,
            labels: Any = None, calibrate: bool = False, proxies: bool = False, neurobench: bool = False,
            progress: Progress | None = None, say: Callable[[str], None] | None = None) -> Comparison:
    """A network on several targets, with the same data.

    Args:
        targets: their names; default: one of each family; ("all",) for every one that there is. options: target ->
        what only it knows, by name; a name of hwsdk.report.compare_rows.COMMON, such as "bits", is of this target
        alone, "estimate.NAME" is an option of its estimate. common: bits, chips and so on of all targets. labels:
        (samples,), instead of those of the data. calibrate: let the data set the ranges of registers and converters.
        proxies: documented stand-in prices, where a target has them. neurobench: every row gets its document.
        progress: called with (steps done, steps of this run). say: called with the name of every phase.

    Raises:
        TargetError: no such target. HwsdkError: BAD_OPTION, options of a target that is not compared.
        DataError: the data do not suit the network. What a target refuses is in its row, and not raised.
    """
    chosen, given, tell = chosen_targets(targets), options or {}, say or (lambda _: None)
    if stray := sorted(set(given) - set(chosen)):
        raise HwsdkError(f"options for {', '.join(stray)}, which is not compared", code="BAD_OPTION",
                         fix=f"the targets are {', '.join(chosen)}")
    if labels is not None:
        data = Stimulus(data.inputs, np.asarray(labels, np.int64), data.notes, data.grid)
    tell("float reference")
    expected = reference.run(network, data, progress=progress)
    base = replace(common or CompileOptions(), data=data if calibrate else None)
    job = Job(network, data, expected, base, proxies, neurobench, tell, progress)
    rows = tuple(row(job, backends.get(t), given.get(t, {})) for t in chosen)
    decided = decisions_of(network, expected, data)
    right = None if decided is None or data.labels is None else float((decided == data.labels).mean())
    return Comparison(network.name, data.n_samples, data.n_steps, network.semantics,
                      "integer" if network.is_integer else "float", right, _shared(network, data, calibrate), rows)


def chosen_targets(targets: Sequence[str] | None) -> tuple[str, ...]:
    """The targets that were named, each once.

    Raises:
        TargetError: no such target.
    """
    named = backends.names() if targets is not None and ALL in targets else tuple(targets or FAMILIES)
    for name in named:
        backends.get(name)
    return tuple(dict.fromkeys(named))


def _shared(network: Network, data: Stimulus, calibrate: bool) -> tuple[Assumption, ...]:
    """What all rows rest on: what was guessed or filled in on import, where ranges come from, what was done to the
    data.
    """
    kinds = {"warning": "guessed", "assumed": "semantics"}
    ranges = "set by the same data that the rows are judged by" if calibrate else \
        "of registers and converters: from the worst case, not from data (see --calibrate)"
    return (*(Assumption(kinds[e.kind], f"{e.node + ': ' if e.node else ''}{e.text} [{e.code}]")
              for kind in kinds for e in network.ledger.of(kind)),
            *([] if network.is_integer else [Assumption("ranges", ranges)]),
            *(Assumption("data", n) for n in data.notes))


def _share_mark(name: str, column: str, rows: tuple[Row, ...]) -> Mark:
    """The best of a share: all rows have the same samples."""
    known = {r.target: v for r in rows if (v := getattr(r, name)) is not None}
    if len(known) < 2:
        return Mark(column, (), "fewer than two rows have it")
    top = max(known.values())
    if top == min(known.values()):
        return Mark(column, (), "all are the same")
    return Mark(column, tuple(t for t, v in known.items() if v == top))


def _cost_mark(name: str, column: str, rows: tuple[Row, ...]) -> Mark:
    """The best of a cost, where all of them are of the same boundary, complete, and apart."""
    known = {r.target: amounts(r.cost)[name] for r in rows if r.cost is not None}
    if len(known) < 2:
        return Mark(column, (), "fewer than two rows have it")
    if missing := [t for t, a in known.items() if a.value is None or a.missing]:
        return Mark(column, (), f"prices are not published for {', '.join(missing)}, so that sums are lower bounds")
    if proxied := [r.target for r in rows if r.cost is not None and r.cost.proxy]:
        return Mark(column, (), f"{', '.join(proxied)} stands on the prices of another chip")
    if len({r.boundary for r in rows if r.cost is not None}) > 1:
        return Mark(column, (), "the boundaries differ: each row includes and leaves out other parts, named below")
    best = min(known, key=lambda t: known[t].value or 0.0)
    reach = known[best].high or 0.0
    near = [t for t, a in known.items() if t != best and (a.low or 0.0) <= reach]
    if near:
        return Mark(column, (), f"the range of {best} overlaps that of {', '.join(near)}")
    return Mark(column, (best,))


__all__ = ["ALL", "FAMILIES", "Comparison", "Mark", "chosen_targets", "compare"]
