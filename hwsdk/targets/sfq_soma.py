"""The form of current-summing somas: the constants of the pulse model by fan-in, with their sources."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

import numpy as np
from pydantic import model_validator

from hwsdk.ir.cells import CellType, SomaModel
from hwsdk.ir.circuit import PHI0
from hwsdk.targets.description import Figure, Strict
from hwsdk.targets.sfq_cells import FS_A_PS, PS, Curve, Sourced

PREFIX, STATES = "SOMA", ("below", "fires")
CONSTANTS = ("ic_eff_a", "alpha", "reset", "l_x_h", "load", "relief", "critical_fs", "l_soma_h", "inhibition",
             "flip_fs")
"""Fields of SomaRow that are those of SomaModel."""


class Range(Sourced):
    """The (least, most) of what was characterised: the soma's own bias in A, a branch's inductor and resistor."""

    bias_a: list[float]
    branch_l_h: list[float]
    branch_r_ohm: list[float]


class SomaDrawn(Sourced):
    """jj: junctions of soma and output. ic_a: their critical currents in A. bias_a: bias of the output alone, in A."""

    jj: int
    ic_a: float
    bias_a: float


class SomaRow(Strict):
    """A soma of ``fan_in`` branches; the fields of SomaModel, latency_ps over overdrive_a. sigma_fs: thermal jitter."""

    fan_in: int
    ic_eff_a: float
    alpha: float
    reset: float
    l_x_h: float
    load: float = 0.0
    relief: float = 0.0
    critical_fs: float = 0.0
    l_soma_h: float = 0.0
    inhibition: float = 1.0
    flip_fs: float = 0.0
    fit: Sourced
    overdrive_a: list[float]
    latency_ps: list[float]
    latency: Sourced
    range: Range
    drawn: SomaDrawn
    sigma_fs: float | None = None

    @model_validator(mode="after")
    def _table(self) -> SomaRow:
        """As many latencies as overdrives, which rise."""
        if self.overdrive_a != sorted(set(self.overdrive_a)) or len(self.overdrive_a) != len(self.latency_ps):
            raise ValueError("latency_ps: as many as overdrive_a, which rise")
        if not self.overdrive_a:
            raise ValueError("latency_ps: at least one")
        return self

    def groups(self) -> tuple[Sourced, ...]:
        """All groups of figures."""
        return self.fit, self.latency, self.range, self.drawn


class SomaLibrary(Strict):
    """Somas by rising fan-in, and the sources that they name."""

    sources: dict[str, str]
    soma: list[SomaRow]

    @model_validator(mode="after")
    def _named(self) -> SomaLibrary:
        """Every source is there, fan-ins rise."""
        for row in self.soma:
            if wrong := {g.source for g in row.groups()} - set(self.sources):
                raise ValueError(f"{PREFIX}{row.fan_in}: no such source: {', '.join(sorted(wrong))}")
        if self.fan_ins != sorted(set(self.fan_ins)):
            raise ValueError("somas by rising fan-in, each once")
        return self

    @property
    def fan_ins(self) -> list[int]:
        """Fan-ins with constants of their own."""
        return [row.fan_in for row in self.soma]

    def row(self, fan_in: int) -> SomaRow | None:
        """The constants of a fan-in, interpolated between the next ones; None beyond the first and the last."""
        at = bisect_left(self.fan_ins, fan_in)
        if at == len(self.soma):
            return None
        if self.soma[at].fan_in == fan_in:
            return self.soma[at]
        return None if at == 0 else _between(self.soma[at - 1], self.soma[at], fan_in)

    def cell_type(self, row: SomaRow, window: Curve) -> CellType:
        """The soma as a cell; its delay by bias is its longest latency, in the window of a JTL's bias.

        Its two "states" only tell apart pulses that leave it below its threshold, and those at which it fires. These
        draw the bias of its output x PHI0; what its own bias gives comes on top.
        """
        n = row.fan_in
        model = SomaModel(n, overdrive_a=np.array(row.overdrive_a, np.float64),
                          latency_fs=np.rint(np.array(row.latency_ps) * FS_A_PS).astype(np.int64),
                          **{name: getattr(row, name) for name in CONSTANTS})
        longest = np.full(len(window.k), model.latency_fs.max(), np.int64)
        return CellType(
            f"{PREFIX}{n}", "neuron", tuple(f"b{j}" for j in range(n)), ("q",), STATES,
            np.zeros((2, n), np.int8), np.repeat(np.array([[0], [1]], np.uint8), n, axis=1), np.array(window.k),
            longest, np.zeros((2, n, n), np.int64), np.zeros((n, n), np.int64),
            np.repeat(np.array([[0.0], [row.drawn.bias_a * PHI0]]), n, axis=1),
            np.nan if row.sigma_fs is None else row.sigma_fs, row.drawn.jj, row.drawn.bias_a, np.nan, model)

    def figures(self) -> dict[str, Figure]:
        """Constants by fan-in."""
        return {f"{PREFIX}{row.fan_in} {n}": f for row in self.soma for n, f in _figures(row, self.sources).items()}

    def times(self) -> dict[str, Figure]:
        """Latencies by fan-in and overdrive."""
        return {f"{PREFIX}{row.fan_in} latency, {a * 1e6:g} uA over": Figure(
                    value=ps * PS, unit="s", source=self.sources[row.latency.source], calibrated=row.latency.calibrated)
                for row in self.soma for a, ps in zip(row.overdrive_a, row.latency_ps, strict=True)}


def _figures(row: SomaRow, sources: dict[str, str]) -> dict[str, Figure]:
    """What is known of one fan-in."""
    def one(group: Sourced, value: float, unit: str, ends: list[float] | None = None) -> Figure:
        low, high = ends or (None, None)
        return Figure(value=value, unit=unit, source=sources[group.source], calibrated=group.calibrated, low=low,
                      high=high)

    def ends(values: list[float], unit: str) -> Figure:
        return one(row.range, values[0], unit, values)
    found = {
        "effective critical current": one(row.fit, row.ic_eff_a, "A"),
        "alpha": one(row.fit, row.alpha, "A/A"), "reset": one(row.fit, row.reset, "x"),
        "extra inductance": one(row.fit, row.l_x_h, "H"), "load": one(row.fit, row.load, "A/A"),
        "relief of the load by bias": one(row.fit, row.relief, "1/A"),
        "critical time": one(row.fit, row.critical_fs * 1e-15, "s"),
        "time to the flip": one(row.fit, row.flip_fs * 1e-15, "s"),
        "inductance of the soma": one(row.fit, row.l_soma_h, "H"), "inhibition": one(row.fit, row.inhibition, "A/A"),
        "own bias, fitted range": ends(row.range.bias_a, "A"),
        "branch inductor, fitted range": ends(row.range.branch_l_h, "H"),
        "branch resistor, fitted range": ends(row.range.branch_r_ohm, "ohm"),
        "junctions": one(row.drawn, row.drawn.jj, "JJ"), "critical currents": one(row.drawn, row.drawn.ic_a, "A"),
        "bias current of its output": one(row.drawn, row.drawn.bias_a, "A")}
    if row.sigma_fs is not None:
        found["jitter"] = one(row.latency, row.sigma_fs * 1e-15, "s")
    return found


def _between(low: SomaRow, high: SomaRow, fan_in: int) -> SomaRow:
    """Constants half-way between two fan-ins: linear, and therefore calibrated; what both were characterised for."""
    share = (fan_in - low.fan_in) / (high.fan_in - low.fan_in)

    def mix(a: float, b: float) -> float:
        return a + share * (b - a)

    def both(pick: Callable[[SomaRow], list[float]]) -> list[float]:
        return [max(pick(low)[0], pick(high)[0]), min(pick(low)[1], pick(high)[1])]
    grid = sorted({*low.overdrive_a, *high.overdrive_a})
    ps = [[float(x) for x in np.interp(grid, r.overdrive_a, r.latency_ps)] for r in (low, high)]
    known = low.sigma_fs is not None and high.sigma_fs is not None
    return SomaRow(
        fan_in=fan_in, **{n: mix(getattr(low, n), getattr(high, n)) for n in CONSTANTS},
        fit=low.fit.model_copy(update={"calibrated": True}), overdrive_a=grid,
        latency_ps=[mix(a, b) for a, b in zip(*ps, strict=True)],
        latency=low.latency.model_copy(update={"calibrated": True}),
        range=low.range.model_copy(update={n: both(lambda r, n=n: getattr(r.range, n))  # type: ignore[misc]
                                           for n in ("bias_a", "branch_l_h", "branch_r_ohm")}),
        drawn=low.drawn, sigma_fs=mix(low.sigma_fs or 0.0, high.sigma_fs or 0.0) if known else None)
