"""Crossbars whose wires have resistance: currents, effective matrices, ladders of gated columns, noise, power.

All arrays are in physical order: rows from the first on, the sense end below the last one; columns from the driver on.
A driven row is a voltage source at the left end of its word line. A gated column has its source line driven from the
end of row 0 and its bit line sensed below the last row, in virtual ground.
"""

from __future__ import annotations

from hwsdk.simulators.wires_effective import Effective, effective
from hwsdk.simulators.wires_noise import NoiseModel, ladder_noise_variance, noise_covariance, noise_variance
from hwsdk.simulators.wires_solve import (
    Grid,
    Ladder,
    PowerBalance,
    Solver,
    grid_of,
    ladder,
    ladder_of,
    perturbed,
    power,
    solve,
    uniform,
)

__all__ = [
    "Effective", "Grid", "Ladder", "NoiseModel", "PowerBalance", "Solver", "effective", "grid_of",
    "ladder", "ladder_noise_variance", "ladder_of", "noise_covariance", "noise_variance", "perturbed", "power", "solve",
    "uniform",
]
