"""The answer of a diagnosis: stages with what each costs, hypotheses about the import, and a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hwsdk.ir.trace import Mismatch
from hwsdk.report.diagnose_import import Hypothesis
from hwsdk.report.diagnose_score import LayerChange


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the way from the model to the chip.

    alone, so_far: measure with this stage alone, and with all stages up to it; None where there is no such run.
    lost: what the measure loses by the stage alone, against the model; added: when it joins those before it.
    similarity, similarity_so_far: mean raster cosine of the layers to the model's run. first: where the run so
    far first differs from the one before it (of what a chip must not change states too); None: nowhere.
    layers: by how much each differs by its own doing, driven with the right spikes. note: what to know.
    """

    name: str
    alone: float | None = None
    so_far: float | None = None
    lost: float | None = None
    added: float | None = None
    similarity: float | None = None
    similarity_so_far: float | None = None
    first: Mismatch | None = None
    layers: tuple[LayerChange, ...] = ()
    note: str = ""

    @property
    def weight(self) -> float:
        """How much it changes: measure lost alone, and rasters."""
        alone = self.lost if self.lost is not None else self.added
        cosine = self.similarity if self.similarity is not None else self.similarity_so_far
        return max(alone or 0.0, 0.0) + (0.0 if cosine is None else 1.0 - cosine)

    @property
    def worst(self) -> str | None:
        """The layer that differs most by its own doing."""
        top = max(self.layers, key=lambda x: x.share, default=None)
        return None if top is None or not top.share else top.layer

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        plain = {n: getattr(self, n) for n in ("name", "alone", "so_far", "lost", "added", "similarity",
                                               "similarity_so_far", "note")}
        return plain | {"first": place(self.first), "layers": [x.to_dict() for x in self.layers]}


@dataclass(frozen=True, slots=True)
class Alternative:
    """The float model with one open choice the other way: its measure, and how similar its run is to the model's.
    significance: samples on which it alone is right, less those on which the model alone is, over the root of both; 0
    without labels.
    """

    text: str
    kind: str
    measure: float
    similarity: float
    significance: float
    assumed: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {n: getattr(self, n) for n in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Verdict:
    """stage: name of the stage that is to blame, None if nothing is. cause: what about it. layer: where: the layer
    that is wrong itself, or, with scope "model", the one in which it shows first. first: the first place that differs.
    text: a paragraph that says what is wrong and what to do.
    """

    stage: str | None
    cause: str
    layer: str | None
    scope: str
    first: Mismatch | None
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"stage": self.stage, "cause": self.cause, "layer": self.layer, "scope": self.scope,
                "first": place(self.first), "text": self.text}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Where the accuracy went. measure: "accuracy", "agreement" or "similarity"; model: of the float model as loaded;
    chip: of the chip's run. stages: in the order in which they act. hypotheses: other readings of the model against the
    expected trace, best first. alternatives: open choices the other way, where nothing was expected.
    """

    title: str
    target: str
    measure: str
    samples: int
    steps: int
    model: float
    chip: float
    stages: tuple[Stage, ...]
    hypotheses: tuple[Hypothesis, ...]
    alternatives: tuple[Alternative, ...]
    verdict: Verdict

    @property
    def ok(self) -> bool:
        """Is nothing to blame?"""
        return self.verdict.stage is None

    @property
    def wrong(self) -> bool:
        """Is a stage to blame that should change nothing: the import, the mapping, losses or timing?"""
        return self.verdict.stage in ("import", "dt", "mapping", "losses", "timing")

    def stage(self, name: str) -> Stage:
        """By its name."""
        return next(s for s in self.stages if s.name == name)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"title": self.title, "target": self.target, "measure": self.measure, "samples": self.samples,
                "steps": self.steps, "model": self.model, "chip": self.chip, "ok": self.ok, "wrong": self.wrong,
                "stages": [s.to_dict() for s in self.stages],
                "hypotheses": [h.to_dict() for h in self.hypotheses],
                "alternatives": [a.to_dict() for a in self.alternatives], "verdict": self.verdict.to_dict()}

    def to_text(self) -> str:
        """The verdict, then the stages, then what else was tried."""
        lines = [f"{self.title} on {self.target}: {self.measure} by stage, {self.samples:,} sample(s) of "
                 f"{self.steps:,} steps", "", *_wrapped(self.verdict.text), "",
                 f"  {'stage':11} {'alone':>7} {'loses':>7} {'so far':>7} {'adds':>7} {'cosine':>7}  first difference",
                 f"  {'model':11} {self.model:7.4f} {'':7} {self.model:7.4f} {'':7} {1.0:7.4f}"]
        for s in self.stages:
            lines.append(f"  {s.name:11} {_number(s.alone)} {_number(s.lost)} {_number(s.so_far)} {_number(s.added)} "
                         f"{_number(s.similarity_so_far)}  {_where(s.first)}")
            lines += [f"  {'':11} {s.note}"] if s.note else []
        lines += self._layer_rows() + self._other_rows()
        return "\n".join(lines) + "\n"

    def _layer_rows(self) -> list[str]:
        """By how much each layer differs by itself."""
        shown = [s for s in self.stages if any(x.share for x in s.layers)]
        if not shown:
            return []
        names = [x.layer for x in shown[0].layers]
        rows = ["", "  share of spikes that a layer changes by itself, when it gets the right ones",
                f"  {'':16}" + "".join(f"{s.name:>12}" for s in shown)]
        for name in names:
            found = [next((x.share for x in s.layers if x.layer == name), None) for s in shown]
            rows.append(f"  {name:16}" + "".join(f"{'-' if x is None else f'{x:.2%}':>12}" for x in found))
        return rows

    def _other_rows(self) -> list[str]:
        """Hypotheses and alternatives."""
        rows: list[str] = []
        if self.hypotheses:
            rows += ["", "  other readings of the model, and the share of expected spikes that they leave wrong"]
            rows += [f"  {h.after:8.2%} of {h.before:.2%}  {h.text}" for h in self.hypotheses]
        if self.alternatives:
            rows += ["", f"  open choices the other way, in floats: {self.measure}, cosine"]
            rows += [f"  {a.measure:8.4f} {a.similarity:8.4f}  {a.text}{' (assumed on import)' if a.assumed else ''}"
                     for a in self.alternatives]
        return rows


def place(m: Mismatch | None) -> dict[str, Any] | None:
    """A first difference as plain values."""
    return None if m is None else {f: getattr(m, f) for f in m.__dataclass_fields__}


def _where(m: Mismatch | None) -> str:
    """A first difference in short."""
    return "-" if m is None else f"{m.layer}, neuron {m.neuron}, step {m.step}, sample {m.sample} ({m.kind})"


def _number(value: float | None) -> str:
    return f"{'-':>7}" if value is None else f"{value:7.4f}"


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, 110, break_long_words=False, initial_indent="  ", subsequent_indent="  ")
