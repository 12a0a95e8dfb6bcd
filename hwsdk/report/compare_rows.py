"""One row of a comparison: a network compiled for a target, run and priced, or the reason why it is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hwsdk.backends.base import Backend, CompileOptions, Program, Progress
from hwsdk.backends.verify import decisions
from hwsdk.cost import Amount, CostReport, si
from hwsdk.errors import FitError, HwsdkError
from hwsdk.ir.data import Events, Stimulus
from hwsdk.ir.ledger import Ledger
from hwsdk.ir.mapping import Usage
from hwsdk.ir.network import Network
from hwsdk.ir.trace import Trace
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.report.neurobench import SCHEMA, measure

PERCENTILES = (50, 95, 99)
COMMON = ("bits", "chips", "packing", "seed", "effort", "step_time")
"""Fields of CompileOptions that may stand among the options of a target, and then are of this target alone."""
ESTIMATE = "estimate."
"""Options whose names begin so are those of the estimate."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a target does not run a network: ``fit`` True if it is too large, False if a part cannot be done at all."""

    code: str
    where: str
    what: str
    fix: str
    fit: bool

    @staticmethod
    def of(error: HwsdkError) -> Refusal:
        """An error as a reason; a FitError's limits are part of its text."""
        return Refusal(error.code, error.where, error.what, error.fix, isinstance(error, FitError))

    def to_text(self) -> str:
        """``[CODE] where: what``, without the remedy."""
        return f"[{self.code}] {self.where + ': ' if self.where else ''}{self.what}"


@dataclass(frozen=True, slots=True)
class Assumption:
    """Something that a row rests on, or all: ``kind`` is a key of hwsdk.report.compare_text.KINDS."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """A target.

    refusal: why not; then all below is empty. usage: resource -> used of available, the first the one that is counted
    in cores, PEs, junctions or macros. accuracy: share of right decisions, None without labels. same: share of samples
    with the reference's decision, None where there is none to take. cosine: of the outputs' rasters with the
    reference's, 1 for equal ones. latency: (p50, p95, p99) over the samples in s. cost: energies and latency with
    ranges. losses: what quantisation cost, as text. digest: of the program. neurobench: its document, if that was asked
    for.
    """

    target: str
    version: str
    title: str
    refusal: Refusal | None = None
    usage: Mapping[str, Usage] = field(default_factory=dict)
    accuracy: float | None = None
    same: float | None = None
    cosine: float | None = None
    latency: tuple[float, float, float] | None = None
    cost: CostReport | None = None
    losses: str = ""
    assumptions: tuple[Assumption, ...] = ()
    digest: str = ""
    neurobench: Mapping[str, Any] | None = None

    @property
    def fits(self) -> bool:
        """Did it run?"""
        return self.refusal is None

    @property
    def size(self) -> Usage | None:
        """What it takes, in the unit in which the chip is counted."""
        return next(iter(self.usage.values()), None)

    @property
    def fullest(self) -> tuple[str, Usage] | None:
        """The resource of which the largest share is taken, where shares are known."""
        known = [(n, u) for n, u in self.usage.items() if u.available]
        return max(known, key=lambda x: x[1].used / (x[1].available or 1), default=None)

    @property
    def boundary(self) -> tuple[str, frozenset[str], frozenset[str]] | None:
        """What energy and latency are of: name, what is included, what is left out."""
        return None if self.cost is None else (self.cost.boundary, frozenset(self.cost.included),
                                               frozenset(self.cost.omitted))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        head = {"target": self.target, "version": self.version, "title": self.title, "fits": self.fits}
        if self.refusal is not None:
            return head | {"reason": {n: getattr(self.refusal, n) for n in ("code", "where", "what", "fix", "fit")}}
        cost = None if self.cost is None else self.cost.to_dict()
        times = None if self.latency is None else dict(zip(("p50", "p95", "p99"), self.latency, strict=True))
        return head | {
            "usage": {n: {"used": u.used, "available": u.available, "unit": u.unit} for n, u in self.usage.items()},
            "accuracy": self.accuracy, "same_decision": self.same, "output_cosine": self.cosine, "latency_s": times,
            "cost": cost, "assumptions": [{"kind": a.kind, "text": a.text} for a in self.assumptions],
            "losses": self.losses, "digest": self.digest}


@dataclass(frozen=True, slots=True)
class Job:
    """What all rows have in common. expected: the run of the reference. proxies: use documented stand-in prices."""

    network: Network
    data: Stimulus
    expected: Trace
    common: CompileOptions
    proxies: bool
    neurobench: bool
    say: Callable[[str], None]
    progress: Progress | None


def row(job: Job, backend: Backend, options: Mapping[str, Any]) -> Row:
    """Compile, run and price for one target; an HwsdkError becomes the row's reason."""
    target = backend.target
    try:
        return _deployed(job, backend, options)
    except HwsdkError as error:
        return Row(target.name, target.version, target.title, Refusal.of(error))


def _deployed(job: Job, backend: Backend, options: Mapping[str, Any]) -> Row:
    """The row of a target that takes the network.

    Raises:
        HwsdkError: it does not.
    """
    name = backend.name
    chosen = compile_options(job.common, options)
    program = backend.compile(job.network, chosen, lambda phase: job.say(f"{name}: {phase}"))
    job.say(f"{name}: simulate")
    probes: str | tuple[tuple[str, str], ...] = "all" if job.neurobench else ()
    trace = backend.simulate(program, job.data, probes=probes, strict=False, progress=job.progress)
    proxy = backend.target.proxy.name if job.proxies and backend.target.proxy else None
    own = {n.removeprefix(ESTIMATE): v for n, v in options.items() if n.startswith(ESTIMATE)}
    cost = backend.estimate(program, trace, proxy, "chip", own)
    document = None
    if job.neurobench:
        job.say(f"{name}: NeuroBench's figures")
        document = _document(job, program, trace, chosen, cost)
    p50, p95, p99 = (float(x) for x in np.percentile(cost.latency_samples, PERCENTILES))
    decided = decisions_of(job.network, trace, job.data)
    wanted = decisions_of(job.network, job.expected, job.data)
    labels = job.data.labels
    return Row(
        backend.target.name, backend.target.version, backend.target.title, None, backend.summary(program),
        None if decided is None or labels is None else float((decided == labels).mean()),
        None if decided is None or wanted is None else float((decided == wanted).mean()),
        output_cosine(job.network, job.expected, trace, job.data.n_steps), (p50, p95, p99), cost, program.losses,
        assumptions(job.network.ledger, program, backend, cost), program.digest(), document)


def _document(job: Job, program: Program, trace: Trace, options: CompileOptions, cost: CostReport) -> dict[str, Any]:
    """NeuroBench's figures, or why there are none: that is no reason against the chip."""
    try:
        return measure(job.network, job.data, program=program, trace=trace, options=options, cost=cost)
    except HwsdkError as error:
        return {"schema": SCHEMA, "network": job.network.name, "target": program.target, "algorithm": None,
                "system": None, "notes": [Refusal.of(error).to_text()]}


def compile_options(common: CompileOptions, options: Mapping[str, Any]) -> CompileOptions:
    """The options of a target: those that every target has, with its own over them."""
    own = {n: v for n, v in options.items() if n not in COMMON and not n.startswith(ESTIMATE)}
    return replace(common, target_options=own, **{n: v for n, v in options.items() if n in COMMON})


def decisions_of(network: Network, trace: Trace, data: Stimulus) -> Any:
    """(samples,) int64, the class of each sample; None with several outputs, or with one of a single element."""
    names = list(network.outputs)
    if len(names) != 1 or names[0] not in trace.spikes or trace.spikes[names[0]].n < 2:
        return None
    return decisions(trace, names[0], data.n_steps)


def output_cosine(network: Network, expected: Trace, got: Trace, steps: int) -> float | None:
    """Cosine of what all outputs put out in every step of every sample, on the model's own steps; of spikes it is the
    cosine of the rasters, and 1 for two silent ones. None where a trace lacks an output.
    """
    if not all(n in t.spikes for n in network.outputs for t in (expected, got)):
        return None
    dot = size_a = size_b = 0.0
    for name in network.outputs:
        a, b = expected.aligned(name, steps), got.aligned(name, steps)
        dot += _dot(a, b)
        size_a, size_b = size_a + float((a.values() ** 2).sum()), size_b + float((b.values() ** 2).sum())
    if not (size_a and size_b):
        return float(size_a == size_b)
    return min(1.0, dot / float(np.sqrt(size_a) * np.sqrt(size_b)))


def _dot(a: Events, b: Events) -> float:
    """Sum of the products of two rasters of one form."""
    _, at_a, at_b = np.intersect1d(a.cells(), b.cells(), assume_unique=True, return_indices=True)
    return float((a.values()[at_a] * b.values()[at_b]).sum())


def assumptions(ledger: Ledger, program: Program, backend: Backend, cost: CostReport) -> tuple[Assumption, ...]:
    """What the row rests on beyond what all rows share, which is the network's own ledger."""
    shared = set(ledger.entries)
    found = [Assumption("program", f"{e.node + ': ' if e.node else ''}{e.text} [{e.code}]")
             for e in program.ledger.of("assumed", "warning") if e not in shared]
    if isinstance(program, SpinnakerProgram) and program.sync == "timer":
        found.append(Assumption("program", f"a step takes a tick of {si(program.tick_s, 's')}, whatever there is to "
                                           "do; --step-time sets another"))
    if noise := backend.noise(program):
        found.append(Assumption("noise", noise))
    if cost.proxy:
        found.append(Assumption("proxy", cost.proxy))
    return (*found, *_constants(cost))


def _constants(cost: CostReport) -> list[Assumption]:
    """How the numbers that went in are known; those without a value are named where an event needed them."""
    known = [c for c in cost.constants if c["value"] is not None]
    calibrated = sum(bool(c["calibrated"]) for c in known)
    measured = sum(bool(c["measured"]) and not c["calibrated"] for c in known)
    text = (f"{len(known)} numbers: {measured} measured on silicon, {calibrated} calibrated or assumed, "
            f"{len(known) - measured - calibrated} published but not measured")
    found = [Assumption("constants", text)]
    missing = dict.fromkeys(m for amount in amounts(cost).values() for m in amount.missing)
    if missing:
        found.append(Assumption("unpublished", "; ".join(missing)))
    return found


def amounts(cost: CostReport) -> dict[str, Amount]:
    """The figures of a cost report that a row shows, by name."""
    return {"latency": cost.latency, "energy_dynamic": cost.energy_dynamic, "energy_total": cost.energy_total}
