"""Published laws with their constants, and programs of one block whose die is to be looked at."""

from __future__ import annotations

import numpy as np

from hwsdk.ir.crossbar import Cell, Converter, Device, Forming, Law, Physics, Timing, Wires
from hwsdk.ir.semantics import Semantics
from hwsdk.programs.crossbar import CrossbarProgram, Segment, block

US, DAY = 1e-6, 86400.0
WAN_1S = (0.348, 16.03, -43.853, 45.393, -16.815)
WAN_1D = (0.701, 22.086, -50.773, 47.095, -16.458)
WAN_2D = (0.782, 20.274, -43.507, 37.062, -11.934)
MILO = Law("milo", {"intercept_us": 4.782321, "slope": -0.009107, "limit_us": 225.0})
WAN = Law("wan", {"coefficients_us": (1.053, 0.2374, -1.167e-2, 1.536e-4), "limit_us": 39.26})
JOSHI = Law("pcm_joshi", {"coefficients_us": (0.28638599, 0.07585724, -0.00178767), "limit_us": 25.0})
QUARTIC = Law("wan_quartic", {"coefficients_us": WAN_1S, "reference_us": 40.0})
PCM = Law("pcm", {"coefficients_us": (0.26348, 1.965, -1.1731), "reference_us": 25.0})
CMO = Law("cmo", {"intercept_us": 0.0112185391, "slope": 0.01129027418})
PCM_1F = Law("pcm_1f", {"q": 0.0088, "exponent": 0.65, "q_max": 0.2, "t_read": 250e-9, "t_0": 20.0})
CMO_LOG = Law("cmo_log", {"k": 0.0277316483, "t_read": 1e-6})
PCM_DRIFT = Law("pcm", {"t_0": 20.0, "mean": (-0.0155, 0.0244, 0.049, 0.1), "spread": (-0.0125, -0.0059, 0.008, 0.045)})
CMO_DRIFT = Law("cmo", {"mean_us": -0.08900206, "spread_us": 0.04201137, "base_us": 0.41183342})
WAN_DRIFT = Law("wan", {"seconds": (1.0, DAY, 2 * DAY), "coefficients_us": WAN_1S + WAN_1D + WAN_2D,
                        "reference_us": 40.0})
RRAM40 = Forming(formed=0.503, median=12.14 * US, sigma=0.149)
RRAM40_CELL = Cell(g_min=0.1 * US, g_max=20 * US, g_off=0.1 * US)


def cell(g_max_us: float = 40.0, g_min_us: float = 0.0, **more) -> Cell:
    return Cell(g_min_us * US, g_max_us * US, **more)


def physics(the_cell: Cell, device: Device, *, stages: tuple[str, ...], die: int = 0, rows: int = 512,
            columns: int = 512, mux: int = 8, adc: Converter | None = None, seconds: float = 1.0) -> Physics:
    return Physics(rows, columns, mux, 0.2, the_cell, device, Wires(), adc or Converter(), Timing(1e-8, 5e-8, 1e-8),
                   stages=stages, die=die, seconds=seconds)


def one_block(target_s, mask=None, *, kind: str = "written", macro: int = 0, row_at=None, col_at=None):
    """A block of these targets, with a channel for every column."""
    rows, columns = target_s.shape
    return block(
        name="b", target="n", macro=macro, kind=kind, segments=(Segment("in", 0, rows),), code_min=-8, code_max=7,
        target_s=target_s, mask=np.ones(target_s.shape) if mask is None else mask,
        row_at=np.arange(rows) if row_at is None else row_at,
        col_at=np.arange(columns) if col_at is None else col_at,
        row_source=np.arange(rows)[None], channel=np.arange(columns), sign=np.ones(columns),
        phase=np.arange(columns) % 8, step_a=np.zeros(columns), entry_channel=np.arange(columns),
        entry_coef=np.ones(columns), entry_out=np.arange(columns)[None], write_order=np.arange(target_s.size))


def program(the_physics: Physics, *blocks) -> CrossbarProgram:
    return CrossbarProgram("p", "memristor", "1", "", "", (), (), {}, 1, 1, the_physics, blocks, Semantics())
