"""A small crossbar program written by hand: prototypes of three classes, read by pairs of cells on two macros."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hwsdk.ir.crossbar import STAGES, Cell, Converter, Device, Law, Physics, Timing, Wires
from hwsdk.ir.data import Stimulus
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.semantics import Semantics
from hwsdk.programs.crossbar import Block, CrossbarProgram, Population, Readout, Segment, block
from hwsdk.programs.stored import Port

INPUTS, HIDDEN, CLASSES, STEPS = 8, 6, 3, 12
LEVELS, US, VOLTS = 17, 1e-6, 0.25
CELL = Cell(g_min=2 * US, g_max=34 * US, g_off=0.125 * US, ceiling=51 * US, levels=LEVELS)
W_MAX = 4.0
"""The weight of a full window."""


def physics(stages: tuple[str, ...] = STAGES, die: int = 3, **device: Any) -> Physics:
    """With every stage on; write noise of 10 % of the window, read noise of 2 %."""
    made = Device(write=Law("range", {"a": 0.1}), read=Law("range", {"a": 0.02}), stuck_on=0.01, stuck_off=0.01)
    return Physics(rows=16, columns=16, mux=4, volts=VOLTS, cell=CELL, device=replace(made, **device),
                   wires=Wires(word=2.0, bit=2.0), adc=Converter(bits=7, offset=0.2, gain=0.01),
                   timing=Timing(1e-8, 5e-8, 1e-8), dac_bits=1, stages=stages, die=die)


def lif(n: int, threshold: float, fires: bool = True) -> DiscreteLIF:
    """Leaky neurons, v <- 0.75 v + input."""
    zero = np.zeros(n)
    return DiscreteLIF(decay_u=zero, decay_v=zero + 0.75, bias=zero, v_threshold=zero + threshold, reset_by=zero,
                       u_init=zero, v_init=zero, u_start=zero, v_start=zero, v_offset=zero, fires=fires)


def pairs(name: str, target: str, weight: np.ndarray, segment: Segment, macro: int, p: Physics, at: int = 0) -> Block:
    """(out, in) weights as differential pairs in neighbouring columns, each with a converter of its own."""
    n_out, n_in = weight.shape
    share = np.clip(np.stack([weight, -weight], 1), 0, None).reshape(2 * n_out, n_in).T / W_MAX
    g = CELL.g_min + CELL.window * (np.rint(share * (LEVELS - 1)) / (LEVELS - 1) if p.has("levels") else share)
    coef = W_MAX / (CELL.window * VOLTS)
    columns = np.arange(2 * n_out)
    bits = p.adc.bits or 0
    step = VOLTS * CELL.g_max * n_in / 2 / (2**bits - 1) if bits and p.has("adc") else 0.0
    return block(
        name=name, target=target, macro=macro, kind="written", segments=(segment,), code_min=0,
        code_max=2**bits - 1 if step else 0, target_s=g, mask=np.ones(g.shape), row_at=at + np.arange(n_in),
        col_at=columns, row_source=np.arange(n_in)[None], channel=columns, sign=np.ones(2 * n_out),
        phase=columns % p.mux, step_a=np.full(2 * n_out, step), entry_channel=columns,
        entry_coef=np.tile([coef, -coef], n_out), entry_out=np.repeat(np.arange(n_out), 2)[None],
        write_order=np.arange(g.size)[::-1])


def prototypes() -> np.ndarray:
    """(classes, inputs) firing probabilities."""
    rng = np.random.default_rng(5)
    return 0.15 + 0.7 * (rng.random((CLASSES, INPUTS)) < 0.4)


def program(p: Physics | None = None, readout: bool = False) -> CrossbarProgram:
    """in -> hidden (two neurons a class) -> out."""
    p = physics() if p is None else p
    first = np.repeat(4 * (prototypes() - prototypes().mean(0)), HIDDEN // CLASSES, 0).clip(-W_MAX, W_MAX)
    second = np.kron(np.eye(CLASSES), np.ones(HIDDEN // CLASSES)) * 3 - 1.0
    blocks = (pairs("in.hidden", "hidden", first, Segment("in", 0, INPUTS), 0, p),
              pairs("hidden.out", "out", second, Segment("hidden", 1, HIDDEN), 1, p, at=4))
    made = CrossbarProgram(
        name="prototypes", target="memristor", target_version="0", target_digest="0", model_digest="0",
        inputs=(Port("in", (INPUTS,)),), populations=(Population("hidden", lif(HIDDEN, 1.0)),
                                                      Population("out", lif(CLASSES, 1.0), 1)),
        outputs={"output": ("out",)}, macros=2, chips=1, physics=p, blocks=blocks, semantics=Semantics())
    if not readout:
        return made
    n = 2 * HIDDEN
    return made.with_readout(Readout("hidden", 2, np.tile(second, (1, 2)), np.zeros(CLASSES), np.zeros(n),
                                     np.ones(n), np.arange(CLASSES), "by hand"))


def native() -> CrossbarProgram:
    """The first block left to chance: formed where (row + column) is even."""
    made = program()
    b = made.blocks[0]
    mask = (np.add.outer(np.arange(b.rows), np.arange(b.columns)) % 2 == 0).astype(np.uint8)
    from hwsdk.ir.crossbar import Forming

    device = replace(made.physics.device, forming=Forming(0.9, 12 * US, 0.15))
    own = replace(b, kind="native", target_s=np.zeros(b.target_s.shape), mask=mask,
                  write_order=np.flatnonzero(mask.ravel()).astype(np.int32))
    return replace(made, blocks=(own, made.blocks[1]), physics=replace(made.physics, device=device))


def stimulus(samples: int = 30, seed: int = 1) -> Stimulus:
    """Noisy prototypes with their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(samples) % CLASSES
    spikes = rng.random((samples, STEPS, INPUTS)) < prototypes()[labels][:, None]
    return Stimulus.dense(spikes.astype(np.uint8), {"in": (INPUTS,)}, labels)
