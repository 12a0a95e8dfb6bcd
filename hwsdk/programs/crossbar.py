"""CrossbarProgram: a network as blocks of cells on crossbar macros, converters behind them, and digital neurons."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError
from hwsdk.ir.crossbar import Physics
from hwsdk.ir.early_exit import ExitRule
from hwsdk.ir.ledger import Ledger, LedgerEntry
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.nodes import Shape, frozen
from hwsdk.ir.semantics import Semantics
from hwsdk.programs import container
from hwsdk.programs.stored import Port, StoredProgram, lags_of

Array = NDArray[Any]
KINDS = ("written", "native")
"""written: cells get the target conductances. native: cells that are marked are formed and then left as chance made
them; the weights are what the devices are.
"""


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive rows of a block, which take elements of one input or population ``delay_ticks`` steps later (by
    shift registers in front of the rows; at least 1 from a population, 0 or more from an input).
    """

    source: str
    delay_ticks: int
    rows: int


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A rectangle of weights that is read as one. R rows, C columns, K channels, E entries, U uses a step.

    target: the population to which its sums go. macro: where it lies. kind: one of KINDS. segments: of the rows, in
    order; sums run over rows in this order.

    target_s (R, C) float64: conductances to be written, in S; in a native block 0. mask (R, C) uint8: 1 for cells that
    are formed (and written), 0 for those that stay Cell.g_off (or g_min where all cells are formed).
    row_at (R), col_at (C) int32: physical rows and columns of the macro.
    row_source (U, R) int32: in each use, the element of the segment's source that drives the row, or -1.
    channel (C) int32, sign (C) int8: the channel to whose current a column's is added (+1) or from which it is taken
    (-1) before the conversion. phase (K) int32: of the multiplexer, in which the channel is converted.
    step_a (K) float64: A of one step of the converter, 0 for an ideal one. code_min, code_max: its range.
    entry_channel (E) int32, entry_coef (E) float64, entry_out (U, E) int32: what is added to the input of neuron
    ``entry_out`` (-1: nothing): coef x (current in A as converted).
    write_order (R * C) int32: flat cells in the order in which they are written, those of mask 0 left out.
    """

    name: str
    target: str
    macro: int
    kind: str
    segments: tuple[Segment, ...]
    code_min: int
    code_max: int
    target_s: Array
    mask: Array
    row_at: Array
    col_at: Array
    row_source: Array
    channel: Array
    sign: Array
    phase: Array
    step_a: Array
    entry_channel: Array
    entry_coef: Array
    entry_out: Array
    write_order: Array

    @property
    def rows(self) -> int:
        """R."""
        return len(self.row_at)

    @property
    def columns(self) -> int:
        """C."""
        return len(self.col_at)

    @property
    def channels(self) -> int:
        """K."""
        return len(self.phase)

    @property
    def uses(self) -> int:
        """U: how often it is read in a step, each time with other inputs."""
        return len(self.row_source)

    @property
    def converted(self) -> bool:
        """Are its currents converted by a real ADC?"""
        return bool((self.step_a > 0).any())


BLOCK_ARRAYS = tuple(f.name for f in dataclasses.fields(Block) if f.type == "Array")
CELL_ARRAYS = ("decay_u", "decay_v", "bias", "v_threshold", "reset_by", "u_init", "v_init", "u_start", "v_start",
               "v_offset", "refractory", "gain")


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Digital neurons: a DiscreteLIF in float64. lag: steps behind the model."""

    name: str
    cell: DiscreteLIF
    lag: int = 0

    @property
    def shape(self) -> Shape:
        """Of the population."""
        return self.cell.shape

    @property
    def n(self) -> int:
        """Neurons."""
        return self.cell.n


@dataclass(frozen=True, slots=True, eq=False)
class Readout:
    """A digital linear readout over what a population did: the class of the largest of
    weight @ ((features - mean) / scale) + bias.

    features: spike counts of ``population`` in ``windows`` equal windows of the model's steps, window by window,
    (windows * n,). weight (classes, windows * n), bias (classes), mean, scale (windows * n), classes (classes): labels.
    how: what it was trained on.
    """

    population: str
    windows: int
    weight: Array
    bias: Array
    mean: Array
    scale: Array
    classes: Array
    how: str = ""

    def scores(self, features: object) -> NDArray[np.float64]:
        """(samples, classes) of features (samples, windows * n).

        Raises:
            DataError: SHAPE_MISMATCH.
        """
        x = np.asarray(features, np.float64)
        if x.ndim != 2 or x.shape[1] != self.weight.shape[1]:
            raise DataError(f"features of shape {x.shape}, the readout takes {self.weight.shape[1]}", where="readout",
                            code="SHAPE_MISMATCH", fix=f"count in {self.windows} windows of {self.population}")
        return np.asarray((x - self.mean) / self.scale @ self.weight.T + self.bias)

    def decide(self, features: object) -> Array:
        """(samples,): the class with the largest score; ties go to the first."""
        return np.asarray(self.classes[np.argmax(self.scores(features), axis=1)])


READOUT_ARRAYS = ("weight", "bias", "mean", "scale", "classes")


@dataclass(frozen=True, eq=False)
class CrossbarProgram(StoredProgram):
    """What is written into the cells, how rows and converters are driven, and what the neurons do with the sums.

    macros: how many are used. blocks: in the order in which their sums are added. outputs: output -> populations.
    losses: what the mapping cost, as text. A die is the program with physics.die; ``with_die`` gives another one.
    """

    name: str
    target: str
    target_version: str
    target_digest: str
    model_digest: str
    inputs: tuple[Port, ...]
    populations: tuple[Population, ...]
    outputs: Mapping[str, tuple[str, ...]]
    macros: int
    chips: int
    physics: Physics
    blocks: tuple[Block, ...]
    semantics: Semantics
    readout: Readout | None = None
    ledger: Ledger = field(default_factory=Ledger)
    losses: str = ""
    exit_rule: ExitRule | None = None

    kind = "crossbar"

    @property
    def input_shapes(self) -> dict[str, Shape]:
        """Input name -> shape."""
        return {p.name: p.shape for p in self.inputs}

    @property
    def lag(self) -> dict[str, int]:
        """Population, and output that reads one, -> steps that it runs behind the model."""
        return lags_of(self.populations, self.outputs)

    def population(self, name: str) -> Population:
        """By its name."""
        return next(p for p in self.populations if p.name == name)

    def with_die(self, die: int) -> CrossbarProgram:
        """The same program on another chip."""
        return replace(self, physics=replace(self.physics, die=die))

    def with_stages(self, *stages: str) -> CrossbarProgram:
        """The same with only these stages on; "levels" and "adc" were decided at compile time."""
        return replace(self, physics=replace(self.physics, stages=stages))

    def with_readout(self, readout: Readout | None) -> CrossbarProgram:
        """The same with a trained readout."""
        return replace(self, readout=readout)

    def _decide(self) -> tuple[Population, ...]:
        return self.populations

    @classmethod
    def _from(cls, manifest: container.Manifest, arrays: dict[str, Array]) -> CrossbarProgram:
        b = manifest.body
        blocks = tuple(
            Block(x["name"], x["target"], x["macro"], x["kind"], tuple(Segment(*s) for s in x["segments"]),
                  x["code_min"], x["code_max"], **{n: arrays[f"block{k}.{n}"] for n in BLOCK_ARRAYS})
            for k, x in enumerate(b["blocks"]))
        populations = tuple(
            Population(x["name"], DiscreteLIF(
                reset=x["reset"], comparison=x["comparison"], fires=x["fires"],
                **{n: arrays.get(f"population{k}.{n}") for n in CELL_ARRAYS}), x["lag"])  # type: ignore[arg-type]
            for k, x in enumerate(b["populations"]))
        r = b["readout"]
        readout = None if r is None else Readout(
            r["population"], r["windows"], **{n: arrays[f"readout.{n}"] for n in READOUT_ARRAYS}, how=r["how"])
        return cls(
            b["name"], manifest.target, manifest.target_version, manifest.target_digest, b["model_digest"],
            tuple(Port(n, tuple(s)) for n, s in b["inputs"]), populations,
            {k: tuple(v) for k, v in b["outputs"].items()}, b["macros"], b["chips"], Physics.from_json(b["physics"]),
            blocks, Semantics(**manifest.semantics), readout,
            Ledger(tuple(LedgerEntry(*row) for row in manifest.ledger)), b["losses"])

    def _body(self) -> dict[str, Any]:
        """The JSON part of the program."""
        r = self.readout
        return {
            "name": self.name, "model_digest": self.model_digest, "macros": self.macros, "chips": self.chips,
            "inputs": [[p.name, list(p.shape)] for p in self.inputs], "physics": self.physics.to_json(),
            "outputs": {k: list(v) for k, v in self.outputs.items()},
            "populations": [{"name": p.name, "lag": p.lag, "reset": p.cell.reset, "comparison": p.cell.comparison,
                             "fires": p.cell.fires} for p in self.populations],
            "blocks": [{"name": x.name, "target": x.target, "macro": x.macro, "kind": x.kind,
                        "segments": [[s.source, s.delay_ticks, s.rows] for s in x.segments],
                        "code_min": x.code_min, "code_max": x.code_max} for x in self.blocks],
            "readout": None if r is None else {"population": r.population, "windows": r.windows, "how": r.how},
            "losses": self.losses,
        }

    def _arrays(self) -> dict[str, Array]:
        found = {f"block{k}.{n}": getattr(x, n) for k, x in enumerate(self.blocks) for n in BLOCK_ARRAYS}
        found |= {f"population{k}.{n}": value for k, p in enumerate(self.populations) for n in CELL_ARRAYS
                  if (value := getattr(p.cell, n)) is not None}
        if self.readout is not None:
            found |= {f"readout.{n}": getattr(self.readout, n) for n in READOUT_ARRAYS}
        return found

    def to_text(self) -> str:
        """A stable, readable listing: array, populations, blocks, then one line a row with its targets in uS."""
        p = self.physics
        lines = [f"crossbars {self.name} for {self.target} version {self.target_version}",
                 f"semantics {self.semantics.to_text()}",
                 f"macros {self.macros} of {p.rows} x {p.columns}, mux {p.mux}, {p.wires.topology}, die {p.die}, "
                 f"stages {' '.join(p.stages) or 'none'}"]
        lines += [f"input {x.name} {list(x.shape)}" for x in self.inputs]
        lines += [f"population {x.name} {list(x.shape)} lag {x.lag}" for x in self.populations]
        lines += [f"output {n} from {', '.join(x)}" for n, x in self.outputs.items()]
        lines += self._exit_text()
        for x in self.blocks:
            lines += _block_text(x)
        if self.readout is not None:
            r = self.readout
            lines.append(f"readout of {r.population}, {r.windows} windows, {len(r.classes)} classes, {r.how}")
        return "\n".join(lines) + "\n"


def _block_text(x: Block) -> list[str]:
    """A block and its rows."""
    head = (f"block {x.name} -> {x.target} on macro {x.macro}, {x.kind}, {x.rows} x {x.columns}, {x.uses} uses, "
            f"codes {x.code_min} to {x.code_max}")
    rows = [f"  from {s.source} delay {s.delay_ticks}: {s.rows} rows" for s in x.segments]
    rows += [f"  phase {int(p)}: channel {k}, step {s:.6g} A" for k, (p, s) in
             enumerate(zip(x.phase, x.step_a, strict=True))]
    for r in range(x.rows):
        cells = " ".join(f"{g * 1e6:.4f}" if m else "-" for g, m in zip(x.target_s[r], x.mask[r], strict=True))
        rows.append(f"  row {int(x.row_at[r])} source {' '.join(map(str, x.row_source[:4, r]))}: {cells}")
    return [head, *rows]


def block(**fields: Any) -> Block:
    """A Block whose arrays are read-only and of their types."""
    types = {"target_s": np.float64, "mask": np.uint8, "sign": np.int8, "step_a": np.float64,
             "entry_coef": np.float64}
    made: dict[str, Any] = {n: frozen(v, types.get(n, np.int32)) if n in BLOCK_ARRAYS else v for n, v in fields.items()}
    return Block(**made)
