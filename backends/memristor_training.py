"""What training costs: a liquid with a trained readout, beside the same network trained through time.

The paper of the resistive-memory liquid state machine (N. Lin et al., Nature Computational Science 5, 37, 2025) states
that training costs 152.83 and 393.07 times less than that of recurrent spiking networks in contrastive learning and in
prototypical networks. Here the same sizes are counted by the rules below. How the paper counts was not available, so
that equal factors are not to be expected.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

RULES = (
    "a layer of a inputs and b outputs takes a x b multiply-accumulates (MAC) a step; zeros among the inputs save none",
    "the gradient of a trained layer's weights takes as many again, and so does that of its inputs, which is "
    "left out where nothing in front of it is trained",
    "trained through time: every step counts forward, and backward for the weights and through the recurrence",
    "a liquid is never trained: its steps count forward only, and apart, since the crossbar takes them in memory",
    "contrastive: every sample of a batch is compared with all of the other modality; forward once, backward twice",
    "prototypical: a query pays for its share of the shots, which pass the trained encoder too, and for its distances "
    "to the prototypes of all ways; forward once, backward twice",
    "an optimiser's update of its parameters, biases, neurons and losses are left out",
)
"""How is counted; MAC a sample, or a pair of samples of two modalities."""
PAPER = "N. Lin et al., Nature Computational Science 5, 37 (2025), s43588-024-00751-z, abstract"
PUBLISHED = {
    "training cost, against recurrent spiking networks, contrastive": 152.83,
    "training cost, against prototypical networks": 393.07,
    "energy, against digital hardware (first of two)": 23.34,
    "energy, against digital hardware (second of two)": 160.0,
}
"""Factors of the paper's abstract."""
UNKNOWN = ("the paper's own counting is not known: whether the steps of the liquid are in its cost, whether a cost is "
           "a number of operations, of trained parameters or an energy, and for how many epochs, shots and queries")
WIDTH = 120
"""Of the report's texts."""
LIQUID, TIME, PROTOTYPES = "liquid, trained readout", "recurrent network through time", "prototypical network"


@dataclass(frozen=True, slots=True)
class Encoder:
    """Inputs, neurons with recurrence among all of them, and steps of a sample; steps None where not published."""

    name: str
    inputs: int
    neurons: int
    steps: int | None

    @property
    def weights(self) -> int:
        """Of inputs and recurrence."""
        return self.inputs * self.neurons + self.recurrent

    @property
    def recurrent(self) -> int:
        """Weights among the neurons."""
        return self.neurons**2


@dataclass(frozen=True, slots=True)
class Task:
    """Encoders, each with a trained layer of ``outputs`` on its mean spikes; sizes from ``source``.

    batch: samples that are compared with each other where there are two encoders. ways, shots, queries: of an episode
    of a prototypical network; queries and shots a way.
    """

    name: str
    encoders: tuple[Encoder, ...]
    outputs: int
    source: str
    batch: int = 1
    ways: int = 7
    shots: int = 5
    queries: int = 15

    @property
    def contrastive(self) -> bool:
        """Are two modalities brought together?"""
        return len(self.encoders) > 1

    @property
    def heads(self) -> int:
        """Weights of the trained layers on top of the encoders."""
        return sum(e.neurons * self.outputs for e in self.encoders)


REPOSITORY = "github.com/MrLinNing/MemristorLSM a28afca"
VISION, AUDIO = Encoder("N-MNIST", 256, 200, 50), Encoder("N-TIDIGITS", 64, 200, 129)
ZERO_SHOT = (f"{REPOSITORY}: projections of 64, batch 8; encoders of the sizes of the two tasks alone, and episodes of "
             "7 ways, 5 shots, 15 queries are assumed")
TASKS = (
    Task("N-MNIST", (VISION,), 10, f"{REPOSITORY}; episodes of 7 ways, 5 shots, 15 queries are assumed"),
    Task("N-TIDIGITS", (AUDIO,), 11, f"{REPOSITORY}; episodes of 7 ways, 5 shots, 15 queries are assumed"),
    Task("zero-shot, sounds to images", (AUDIO, VISION), 64, ZERO_SHOT, batch=8),
    Task("zero-shot, EEG to images", (Encoder("EEG", 192, 2048, None), Encoder("E-MNIST", 784, 2048, None)), 512,
         f"{REPOSITORY}: steps of a sample not published", batch=8, ways=22),
)
"""Of the paper."""


@dataclass(frozen=True, slots=True)
class Method:
    """What one way of training takes. trained, fixed: weights. forward, backward: MAC a sample of what is trained;
    in_memory: MAC a sample of the liquid. None where the steps of a sample are not known.
    """

    name: str
    trained: int
    fixed: int
    forward: int | None
    backward: int | None
    in_memory: int | None = 0

    @property
    def digital(self) -> int | None:
        """MAC a sample without those in memory."""
        return None if self.forward is None or self.backward is None else self.forward + self.backward

    @property
    def total(self) -> int | None:
        """All MAC a sample."""
        return None if self.digital is None or self.in_memory is None else self.digital + self.in_memory


def _steps(task: Task) -> list[int] | None:
    """Of all encoders, None if one of them is not known."""
    found = [e.steps for e in task.encoders if e.steps is not None]
    return found if len(found) == len(task.encoders) else None


def _compared(task: Task) -> int:
    """MAC of the comparison of one sample with the batch, in one direction of the pass."""
    return task.batch * task.outputs if task.contrastive else 0


def liquid(task: Task) -> Method:
    """Only the layers on top are trained: forward, gradient of their weights, comparison."""
    steps, compared = _steps(task), _compared(task)
    read = None if steps is None else sum(t * e.weights for t, e in zip(steps, task.encoders, strict=True))
    fixed = sum(e.weights for e in task.encoders)
    return Method(LIQUID, task.heads, fixed, task.heads + compared, task.heads + 2 * compared, read)


def _through_time(task: Task) -> tuple[int, int] | None:
    """MAC of one sample, forward and backward, of encoders and layers on top, all trained."""
    steps = _steps(task)
    if steps is None:
        return None
    pairs = list(zip(steps, task.encoders, strict=True))
    forward = sum(t * e.weights for t, e in pairs) + task.heads
    return forward, sum(t * (e.weights + e.recurrent) for t, e in pairs) + 2 * task.heads


def through_time(task: Task) -> Method:
    """The same network with all weights trained by backpropagation through time."""
    one, compared = _through_time(task), _compared(task)
    trained = task.heads + sum(e.weights for e in task.encoders)
    if one is None:
        return Method(TIME, trained, 0, None, None)
    return Method(TIME, trained, 0, one[0] + compared, one[1] + 2 * compared)


def prototypical(task: Task) -> Method:
    """The same network trained in episodes; MAC a query."""
    one, distances = _through_time(task), task.ways * task.outputs
    trained = task.heads + sum(e.weights for e in task.encoders)
    if one is None:
        return Method(PROTOTYPES, trained, 0, None, None)
    passes = 1 + task.shots / task.queries
    return Method(PROTOTYPES, trained, 0, round(passes * one[0]) + distances, round(passes * one[1]) + 2 * distances)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One task: the liquid first, then what it is compared with."""

    task: Task
    methods: tuple[Method, ...]

    def factor(self, method: Method, *, in_memory: bool = False) -> float | None:
        """MAC of a method over those of the liquid; in_memory: the liquid's own steps counted with it."""
        first = self.methods[0]
        own, other = (first.total, method.total) if in_memory else (first.digital, method.digital)
        return other / own if own and other is not None else None

    def weights(self, method: Method) -> float:
        """Trained weights of a method over those of the liquid."""
        return method.trained / self.methods[0].trained


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """Tasks with what training takes on each."""

    comparisons: tuple[Comparison, ...]

    def to_text(self) -> str:
        """Tables, rules, and the published factors with what is not known of them."""
        lines = ["cost of training: MAC a sample (a pair where there are two modalities)"]
        for c in self.comparisons:
            lines += _table(c)
        for n, rule in enumerate(RULES, 1):
            lines += _wrapped(f"  rule {n}: {rule}")
        lines.append(f"  published ({PAPER})")
        lines += [f"    {x:g} x lower {n}" if "training" in n else f"    {x:g} x better {n}"
                  for n, x in PUBLISHED.items()]
        return "\n".join([*lines, *_wrapped(f"  open: {UNKNOWN}")]) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"tasks": [_plain(c) for c in self.comparisons], "rules": list(RULES),
                "published": {"factors": dict(PUBLISHED), "source": PAPER}, "open": UNKNOWN}


def compare(tasks: Sequence[Task] = TASKS) -> TrainingReport:
    """What training takes on each task, for a liquid and for what it is compared with."""
    return TrainingReport(tuple(Comparison(t, (liquid(t), through_time(t), prototypical(t))) for t in tasks))


def _plain(c: Comparison) -> dict[str, Any]:
    methods = [{**asdict(m), "digital": m.digital, "total": m.total, "factor_weights": c.weights(m),
                "factor_digital": c.factor(m), "factor_with_liquid": c.factor(m, in_memory=True)} for m in c.methods]
    return {**asdict(c.task), "methods": methods}


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="    ")


def _table(c: Comparison) -> list[str]:
    """A task."""
    sizes = ", ".join(f"{e.name} {e.inputs}-{e.neurons}, {e.steps or 'unknown'} steps" for e in c.task.encoders)
    lines = [f"  {c.task.name}: {sizes}; {c.task.outputs} outputs", *_wrapped(f"    [{c.task.source}]"),
             f"    {'':31}{'weights':>12}{'forward':>14}{'backward':>14}{'in memory':>14}  x weights  x MAC"
             "  x MAC with the liquid's"]
    for m in c.methods:
        numbers = "".join(f"{_count(x):>14}" for x in (m.forward, m.backward, m.in_memory))
        factors = f"{c.weights(m):>11.4g}{_factor(c.factor(m)):>7}{_factor(c.factor(m, in_memory=True)):>25}"
        lines.append(f"    {m.name:31}{m.trained:>12,}{numbers}{factors}")
    return lines


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _factor(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"
