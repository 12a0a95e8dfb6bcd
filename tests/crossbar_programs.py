"""CrossbarPrograms made by hand, at random: every option of blocks, converters, inputs and neurons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwsdk.ir.crossbar import Cell, Converter, Device, Law, Physics, Timing, Wires
from hwsdk.ir.data import Stimulus
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.semantics import Semantics
from hwsdk.programs.crossbar import CrossbarProgram, Population, Segment, block
from hwsdk.programs.stored import Port
from hwsdk.simulators import memristor

CELL = Cell(1e-6, 50e-6)
TIMING = Timing(10e-9, 50e-9, 10e-9)
NOISE = Law("range", {"a": 0.05})


def cell(rng, n, *, fires=True):
    """A DiscreteLIF with any options."""
    def u(low, high):
        return rng.uniform(low, high, n)

    rests = rng.integers(0, 4, n) if rng.random() < 0.3 and fires else None
    zero = np.zeros(n)
    return DiscreteLIF(
        u(0, 0.8) if rng.random() < 0.5 else zero, u(0.3, 1.0), u(-0.1, 0.3) if rng.random() < 0.5 else zero,
        u(0.2, 1.5), u(0.2, 1.5), u(-0.2, 0.2) if rng.random() < 0.3 else zero,
        u(-0.2, 0.2) if rng.random() < 0.3 else zero, zero, zero, zero,
        reset=str(rng.choice(["value", "subtract"])), comparison=str(rng.choice([">", ">="])), fires=fires,
        refractory=rests)


def physics(rng, **changes):
    """An array with every stage off but the converters."""
    found = Physics(
        rows=64, columns=64, mux=int(rng.choice([1, 2, 4])), volts=float(rng.choice([0.2, 1.0])), cell=CELL,
        device=Device(), wires=Wires(), adc=Converter(), timing=TIMING, dac_bits=1, stages=("adc",),
        die=int(rng.integers(1000)))
    return replace(found, **changes)


def some_block(rng, p, name, target, n_target, senders, macro, *, uses=1, offset_codes=False):
    """Rows of a few senders, channels of one column or several, entries anywhere."""
    segments, sources = [], []
    for sender, n, least in senders:
        rows = int(rng.integers(1, min(n, 6) + 1))
        segments.append(Segment(sender, int(rng.integers(least, 4)), rows))
        sources.append(np.where(rng.random((uses, rows)) < 0.9, rng.integers(0, n, (uses, rows)), -1))
    r, k = sum(s.rows for s in segments), int(rng.integers(1, 7))
    c = k + int(rng.integers(0, 5))
    e = int(rng.integers(1, 2 * k + 2))
    channel = rng.permutation(np.r_[np.arange(k), rng.integers(0, k, c - k)])
    real = rng.random(k) < rng.choice([0.0, 0.5, 1.0])
    full = p.volts * CELL.g_max * r * rng.uniform(0.1, 1.0)
    bits = int(rng.integers(3, 9))
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if rng.random() < 0.5 else (-3 * offset_codes, 2**bits - 1)
    return block(
        name=name, target=target, macro=macro, kind="written", segments=tuple(segments), code_min=low, code_max=high,
        target_s=rng.uniform(CELL.g_min, CELL.g_max, (r, c)), mask=np.ones((r, c)),
        row_at=rng.permutation(p.rows)[:r], col_at=rng.permutation(p.columns)[:c],
        row_source=np.concatenate(sources, axis=1), channel=channel, sign=rng.choice([-1, 1], c),
        phase=rng.integers(0, p.mux, k), step_a=np.where(real, full / 2**bits, 0.0),
        entry_channel=rng.integers(0, k, e), entry_coef=rng.normal(0, 1.5, e) / (p.volts * CELL.g_max),
        entry_out=np.where(rng.random((uses, e)) < 0.9, rng.integers(0, n_target, (uses, e)), -1),
        write_order=np.arange(r * c))


def random_program(seed, **changes):
    """Inputs, populations that spike and one that may not, loops, several blocks a target, im2col-like uses."""
    rng = np.random.default_rng(seed)
    p = physics(rng, **changes)
    inputs = tuple(Port(f"in{k}", (int(rng.integers(1, 9)),)) for k in range(rng.integers(1, 3)))
    populations = [Population(f"p{k}", cell(rng, int(rng.integers(1, 9))), k) for k in range(rng.integers(1, 4))]
    if rng.random() < 0.5:
        populations.append(Population("v", cell(rng, int(rng.integers(1, 5)), fires=False), 1))
    firing = [(x.name, x.n, 1) for x in populations if x.cell.fires]
    senders = [(x.name, x.n, 0) for x in inputs] + firing
    macros, blocks = int(rng.integers(1, 4)), []
    for x in populations:
        for k in range(rng.integers(1, 3)):
            chosen = [senders[i] for i in rng.integers(0, len(senders), rng.integers(1, 4))]
            blocks.append(some_block(rng, p, f"{x.name}.{k}", x.name, x.n, chosen, int(rng.integers(macros)),
                                     uses=int(rng.choice([1, 1, 2, 5])), offset_codes=bool(p.adc.offset)))
    outputs = {f"out_{x.name}": (x.name,) for x in populations}
    return CrossbarProgram("random", "test", "1", "d", "m", inputs, tuple(populations), outputs, macros, 1, p,
                           tuple(blocks), Semantics())


def random_data(program, seed, *, steps=12, samples=2, graded=0, rate=None):
    """Spikes, or integers up to ``graded`` of both signs."""
    rng = np.random.default_rng(seed)
    rate = float(rng.choice([0.05, 0.3, 0.7])) if rate is None else rate
    found = {}
    for x in program.inputs:
        on = rng.random((samples, steps, x.n)) < rate
        found[x.name] = on * (rng.integers(-graded, graded + 1, on.shape) if graded else 1)
    return Stimulus.dense(found, program.input_shapes)


def liquid(n_in=64, n=256, *, bits=6, seed=0, rows=None, columns=None, step=None, **changes):
    """One block: inputs and a recurrent population, a pair of columns a neuron, subtracted after the conversion."""
    rng = np.random.default_rng(seed)
    r, c = n_in + n, 2 * n
    p = physics(rng, **({"rows": rows or r, "columns": columns or c, "mux": 8, "volts": 0.2,
                         "adc": Converter(bits)} | changes))
    zero = np.zeros(n)
    neuron = DiscreteLIF(zero, zero + 0.9, zero, zero + 1, zero + 1, zero, zero, zero, zero, zero)
    channel, step = np.arange(c), (0.2 * 50e-6 * 0.3 * r / 2**bits if step is None else step)
    b = block(
        name="liquid", target="liquid", macro=0, kind="written",
        segments=(Segment("in", 0, n_in), Segment("liquid", 1, n)), code_min=0, code_max=2**bits - 1,
        target_s=rng.uniform(CELL.g_min, CELL.g_max, (r, c)), mask=np.ones((r, c)), row_at=np.arange(r),
        col_at=np.arange(c), row_source=np.r_[np.arange(n_in), np.arange(n)][None], channel=channel, sign=np.ones(c),
        phase=channel % p.mux, step_a=np.full(c, step if bits else 0.0), entry_channel=channel,
        entry_coef=np.tile([1.0, -1.0], n) * 3e4 / np.sqrt(r / 320), entry_out=(channel // 2)[None],
        write_order=np.arange(r * c))
    return CrossbarProgram("liquid", "test", "1", "d", "m", (Port("in", (n_in,)),), (Population("liquid", neuron),),
                           {"out": ("liquid",)}, 1, 1, p, (b,), Semantics())


def readout(g, *, mux=1, step=0.0, codes=(0, 255), volts=0.2, delay=0, **changes):
    """One block from an input to sums without memory, one column a sum: v is what the converters give."""
    g = np.asarray(g, np.float64)
    r, c = g.shape
    p = physics(np.random.default_rng(0), rows=r, columns=c, mux=mux, volts=volts, **changes)
    zero = np.zeros(c)
    cell = DiscreteLIF(zero, zero, zero, zero + 1, zero, zero, zero, zero, zero, zero, fires=False)
    b = block(name="b", target="sum", macro=0, kind="written", segments=(Segment("in", delay, r),), code_min=codes[0],
              code_max=codes[1], target_s=g, mask=np.ones((r, c)), row_at=np.arange(r), col_at=np.arange(c),
              row_source=np.arange(r)[None], channel=np.arange(c), sign=np.ones(c), phase=np.arange(c) % mux,
              step_a=np.full(c, step), entry_channel=np.arange(c), entry_coef=np.ones(c), entry_out=np.arange(c)[None],
              write_order=np.arange(r * c))
    return CrossbarProgram("readout", "test", "1", "d", "m", (Port("in", (r,)),), (Population("sum", cell),),
                           {"out": ("sum",)}, 1, 1, p, (b,), Semantics())


def sums(program, x, **options):
    """(steps, sums) of one sample."""
    data = Stimulus.dense(np.asarray(x, np.float64)[None], program.input_shapes)
    return memristor.run(program, data, probes="all", **options).states["sum", "v"][0]


def random_cells(rows, columns, seed=0):
    return np.random.default_rng(seed).uniform(CELL.g_min, CELL.g_max, (rows, columns))
