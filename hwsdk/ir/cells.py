"""ir.CellType: what a pulse-logic cell does, as a table: states, transitions, delays, critical times, energies.

Times are integer femtoseconds. A cell is a Mealy machine: a pulse at an input changes the state and may give pulses at
outputs. The pulse simulator, the static timing check and the writers read the same table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FS = 1e-15
ROLES = ("logic", "storage", "neuron", "splitter", "merger", "wire", "port")
"""What a cell is there for, by which junctions and energy are told apart. "wire": JTL and PTL cells; "port": where
pulses come in from outside (SRC), or end (SINK).
"""


@dataclass(frozen=True, slots=True, eq=False)
class SomaModel:
    """A current-summing soma with ``fan_in`` branches. Each pin is a branch; weight and decay are the cell's own.

    A pulse at branch j adds its weight w_j to i_j, which decays with tau_j; w_j is below 0 if it inhibits. With
    sum = sum of i_j, rate = sum of i_j / tau_j and theta = ic_eff - alpha * (bias current) + (load - relief * (bias
    current)) * (sum of the weights above 0), the soma fires at a pulse if

        over = sum - theta - theta^(1/3) (critical * max(rate, 0))^(2/3) >= 0      (no power is needed if sum < theta)

    and every i_j whose weight is above 0 then loses reset * w_j * exp(min(flip / tau_j, 1)), as the flip takes it at
    flip_fs after the pulse. load: as the soma's phase rises to where it flips, it drains every branch; relief, 1/A: by
    its bias it is part of the way there already. The power:
    currents that decay must be that far above theta for the flip to be through in time; the exponent is that of a ramp
    through a fold, critical_fs the soma's own time. latency_fs (K,) over overdrive_a (K,): time from the pulse to the
    output pulse by ``over`` in A, linear in between, flat outside.
    For the weights see hwsdk.ir.soma: l_x_h: henry beside a branch's own inductor; l_soma_h: of the soma, as it slows
    the decay; inhibition: weight of a branch that inhibits, over that of a direct one.
    """

    fan_in: int
    ic_eff_a: float
    alpha: float
    reset: float
    l_x_h: float
    overdrive_a: NDArray[np.float64]
    latency_fs: NDArray[np.int64]
    load: float = 0.0
    relief: float = 0.0
    critical_fs: float = 0.0
    l_soma_h: float = 0.0
    inhibition: float = 1.0
    flip_fs: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class CellType:
    """S states, I inputs, O outputs.

    next int8 (S, I): state after. fires uint8 (S, I): bit o is set if output o pulses. bias_k, delay_fs (K,): delay
    from the input that fires to the output, by the factor on the bias current; no pulse comes out outside that range.
    critical_fs int64 (S, I, I): after a pulse at ``prev`` in a state (before its own transition), one at ``next`` must
    not come sooner than this; 0: no limit. absorb_fs int64 (I, I): sooner than this it is swallowed. energy_j float64
    (S, I): drawn from the bias by a pulse, nan where not known. sigma_fs: thermal jitter of a delay, nan where not
    known. jj: junctions. bias_a, area_m2: nan where not known. soma: set for a current-summing soma, which has no
    table; its two states tell apart the pulses that it is counted by: those below its threshold, and those at which it
    fires, with their energy but for that of its own bias current. A type without inputs (SRC) gives the pulses that
    come from outside, one without outputs (SINK) ends them.
    """

    name: str
    role: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    states: tuple[str, ...]
    next: NDArray[np.int8]
    fires: NDArray[np.uint8]
    bias_k: NDArray[np.float64]
    delay_fs: NDArray[np.int64]
    critical_fs: NDArray[np.int64]
    absorb_fs: NDArray[np.int64]
    energy_j: NDArray[np.float64]
    sigma_fs: float
    jj: int
    bias_a: float
    area_m2: float
    soma: SomaModel | None = None

    def delay_at(self, k: float = 1.0) -> int | None:
        """fs at a bias of k times the nominal one; None where the cell is dead."""
        if not len(self.bias_k) or not self.bias_k[0] <= k <= self.bias_k[-1]:
            return None
        return round(float(np.interp(k, self.bias_k, self.delay_fs)))

    def event(self, state: int, pin: int) -> str:
        """The name by which a pulse at an input in a state is counted and priced, such as "NDRO clk|1"."""
        return f"{self.name} {self.inputs[pin]}|{state}"

    def to_json(self) -> dict[str, Any]:
        """Plain values; ``from_json`` reads them."""
        row: dict[str, Any] = {f: getattr(self, f) for f in _PLAIN}
        row |= {f: list(getattr(self, f)) for f in _NAMES}
        row |= {f: _list(getattr(self, f)) for f in _TABLES}
        row["soma"] = None if self.soma is None else {
            f: _list(v) if isinstance(v := getattr(self.soma, f), np.ndarray) else v
            for f in self.soma.__dataclass_fields__}
        return row | {f: _known(row[f]) for f in _UNSURE}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> CellType:
        """The inverse of ``to_json``."""
        fields: dict[str, Any] = {f: row[f] for f in _PLAIN}
        fields |= {f: tuple(row[f]) for f in _NAMES}
        fields |= {f: np.nan if row[f] is None else row[f] for f in _UNSURE}
        shape = (len(row["states"]), len(row["inputs"]))
        shapes = {"next": shape, "fires": shape, "energy_j": shape, "critical_fs": (*shape, shape[1]),
                  "absorb_fs": (shape[1], shape[1])}
        for f, kind in _TABLES.items():
            fields[f] = np.array(row[f], dtype=np.float64 if kind is float else kind).reshape(shapes.get(f, (-1,)))
        if row["soma"] is not None:
            soma = dict(row["soma"])
            fields["soma"] = SomaModel(**{**soma, "overdrive_a": np.array(soma["overdrive_a"], np.float64),
                                          "latency_fs": np.array(soma["latency_fs"], np.int64)})
        return cls(**fields)


_PLAIN = ("name", "role", "sigma_fs", "jj", "bias_a", "area_m2")
_UNSURE = ("sigma_fs", "bias_a", "area_m2")
_NAMES = ("inputs", "outputs", "states")
_TABLES: dict[str, Any] = {"next": np.int8, "fires": np.uint8, "bias_k": float, "delay_fs": np.int64,
                           "critical_fs": np.int64, "absorb_fs": np.int64, "energy_j": float}


def _known(value: float) -> float | None:
    """JSON has no nan."""
    return None if np.isnan(value) else value


def _list(array: NDArray[Any]) -> list[Any]:
    """Nested lists, None for nan."""
    if array.dtype.kind == "f":
        return [_list(row) if isinstance(row, np.ndarray) else _known(float(row)) for row in array]
    return list(array.tolist())
