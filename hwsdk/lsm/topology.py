"""How the neurons of a liquid are wired: dense, random sparse, by distance in space, or as devices happen to form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ModelError
from hwsdk.ir.crossbar import Forming

Floats = NDArray[np.float64]
BLOCK = 256
"""Rows that are drawn together, to keep a liquid of thousands of neurons within memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """Weights before their scales. w_in (inputs, n), w_rec (n, n): from row to column, no neuron to itself.

    excitatory (n) bool: which neurons excite; None where each weight has a sign of its own.
    """

    w_in: Floats
    w_rec: Floats
    excitatory: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """Base of all wirings."""

    def wire(self, n_inputs: int, n: int, rng: np.random.Generator) -> Wiring:
        """Draw the weights."""
        raise NotImplementedError


def _no_loops(w: Floats) -> Floats:
    """Without connections from a neuron to itself."""
    np.fill_diagonal(w, 0.0)
    return w


@dataclass(frozen=True, slots=True)
class Dense(Topology):
    """Every weight is standard normal, the input's drawn first."""

    def wire(self, n_inputs: int, n: int, rng: np.random.Generator) -> Wiring:
        """Draw the weights."""
        w_in = rng.standard_normal((n_inputs, n))
        return Wiring(w_in, _no_loops(rng.standard_normal((n, n))))


@dataclass(frozen=True, slots=True)
class Gaussian(Topology):
    """Every weight is normal with a mean and a standard deviation (in any unit), each for input and recurrence."""

    mean_in: float
    std_in: float
    mean_rec: float
    std_rec: float

    def wire(self, n_inputs: int, n: int, rng: np.random.Generator) -> Wiring:
        """Draw the weights."""
        w_in = rng.normal(self.mean_in, self.std_in, (n_inputs, n))
        return Wiring(w_in, _no_loops(rng.normal(self.mean_rec, self.std_rec, (n, n))))


@dataclass(frozen=True, slots=True)
class Sparse(Topology):
    """Each pair is connected with probability ``density`` (inputs: ``input_density``), weights of normal magnitude.

    excitatory: share of the neurons whose weights are all positive, those of the others being negative; None gives
    each weight a sign of its own, as the weights from inputs always have.
    """

    density: float = 0.1
    input_density: float = 0.1
    excitatory: float | None = 0.8

    def wire(self, n_inputs: int, n: int, rng: np.random.Generator) -> Wiring:
        """Draw the weights."""
        _check_share(density=self.density, input_density=self.input_density, excitatory=self.excitatory)
        w_in = rng.standard_normal((n_inputs, n)) * (rng.random((n_inputs, n)) < self.input_density)
        w_rec = _no_loops(rng.standard_normal((n, n)) * (rng.random((n, n)) < self.density))
        if self.excitatory is None:
            return Wiring(w_in, w_rec)
        excites = kinds(n, self.excitatory, rng)
        return Wiring(w_in, np.abs(w_rec) * np.where(excites, 1.0, -1.0)[:, None], excites)


def kinds(n: int, excitatory: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(n): which neurons excite, exactly round(excitatory * n) of them at random places."""
    return np.asarray(rng.permutation(n) < round(excitatory * n))


def _check_share(**shares: float | None) -> None:
    """Shares are 0 to 1."""
    for name, share in shares.items():
        if share is not None and not 0 <= share <= 1:
            raise ModelError(f"{name} is {share!r}", where="topology", code="OUT_OF_RANGE", fix="give 0 to 1")


@dataclass(frozen=True, slots=True)
class Distance(Topology):
    """Neurons on a grid in space; near ones are connected more often: P(j -> i) = C exp(-(D / length)^2).

    Ivanov and Michmizos, NeurIPS 2021 (arXiv 2111.01760), whose constants are the defaults. Input and liquid weights
    are +-1; the sign is that of the neuron, and at random for inputs.

    c: C of excitatory to excitatory, excitatory to inhibitory, inhibitory to excitatory, inhibitory to inhibitory.
    grid: positions along x, y, z; None takes the smallest cube that holds all neurons.
    """

    c: tuple[float, float, float, float] = (0.2, 0.1, 0.3, 0.05)
    length: float = 3.0
    input_density: float = 0.15
    excitatory: float = 0.8
    grid: tuple[int, int, int] | None = None

    def wire(self, n_inputs: int, n: int, rng: np.random.Generator) -> Wiring:
        """Draw the weights."""
        _check_share(input_density=self.input_density, excitatory=self.excitatory)
        w_in = rng.choice([-1.0, 1.0], (n_inputs, n)) * (rng.random((n_inputs, n)) < self.input_density)
        excites = kinds(n, self.excitatory, rng)
        sign, w_rec = np.where(excites, 1.0, -1.0), np.zeros((n, n))
        for first in range(0, n, BLOCK):
            rows = slice(first, first + BLOCK)
            connected = rng.random((len(sign[rows]), n)) < self.probability(excites, rows)
            w_rec[rows] = np.where(connected, sign[rows, None], 0.0)
        return Wiring(w_in, w_rec, excites)

    def positions(self, n: int) -> Floats:
        """(n, 3): places on the grid, x fastest.

        Raises:
            ModelError: OUT_OF_RANGE, the grid has fewer places than there are neurons.
        """
        side = next(k for k in range(1, n + 1) if k**3 >= n)
        grid = (side, side, side) if self.grid is None else self.grid
        if np.prod(grid) < n:
            raise ModelError(f"a grid of {grid} for {n} neurons", where="topology", code="OUT_OF_RANGE",
                             fix="give a larger grid, or None")
        at = np.arange(n)
        return np.stack([at % grid[0], at // grid[0] % grid[1], at // (grid[0] * grid[1])], axis=1).astype(np.float64)

    def probability(self, excites: NDArray[np.bool_], rows: slice = slice(None)) -> Floats:
        """(rows, n): of a connection from row to column; 0 from a neuron to itself."""
        at, kind = self.positions(len(excites)), 1 - excites.astype(np.int64)
        square = np.zeros((len(at[rows]), len(at)))
        for axis in at.T:
            square += (axis[rows, None] - axis) ** 2
        p = np.array(self.c).reshape(2, 2)[kind[rows, None], kind] * np.exp(-square / self.length**2)
        return np.where(np.arange(len(at))[rows, None] == np.arange(len(at)), 0.0, p)


MEASURED = Forming(0.503, 12.14e-6, 0.149)
"""1,450 cells of a 40 nm array after forming: 50.3 % formed, lognormal with a median of 12.14 uS and sigma 0.149 (our
fit to the data of Wang et al., Nature Machine Intelligence 5, 2023, 10.1038/s42256-023-00609-5)."""


@dataclass(frozen=True, slots=True)
class Native(Topology):
    """Each weight is the difference of two cells that were formed once and never written, in units of its deviation.

    So weights have mean 0 and deviation 1, as those of Dense; a share (1 - formed)^2 is exactly 0.
    """

    forming: Forming = field(default=MEASURED)

    def wire(self, n_inputs: int, n: int, rng: np.random.Generator) -> Wiring:
        """Draw the weights."""
        w_in = self.pairs((n_inputs, n), rng) / self.deviation
        return Wiring(w_in, _no_loops(self.pairs((n, n), rng) / self.deviation))

    def pairs(self, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
        """Differences of two cells in S."""
        formed, cells = rng.random((2, *shape)) < self.forming.formed, rng.standard_normal((2, *shape))
        plus, minus = formed * self.forming.median * np.exp(self.forming.sigma * cells)
        return np.asarray(plus - minus)

    @property
    def deviation(self) -> float:
        """Standard deviation of a pair in S: sqrt(2 (p sigma^2 + p (1 - p) mean^2)) of the formed cells."""
        f = self.forming
        mean = f.median * np.exp(f.sigma**2 / 2)
        variance = mean**2 * (np.exp(f.sigma**2) - 1)
        return float(np.sqrt(2 * (f.formed * variance + f.formed * (1 - f.formed) * mean**2)))


def wiring(n_inputs: int, n: int, seed: int, topology: Topology | None = None) -> Wiring:
    """The weights of a liquid: drawn from numpy's default_rng(100 + seed), the input's first."""
    if n_inputs < 1 or n < 1:
        raise ModelError(f"a liquid of {n} neurons with {n_inputs} inputs", where="liquid", code="BAD_SHAPE",
                         fix="give 1 or more of each")
    rng: Any = np.random.default_rng(100 + seed)
    return (topology or Dense()).wire(n_inputs, n, rng)
