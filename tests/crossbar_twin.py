"""The crossbar simulator once more, in plain NumPy: dense, one read after the other, and slow."""

from __future__ import annotations

import numpy as np
from kirchhoff import ladder_column

from hwsdk.simulators.wires import grid_of, ladder_of, solve

MULTIPLY = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
WORD = (1 << 32) - 1


def philox(key, counter):
    """Philox4x32-10 in Python's own integers."""
    (k0, k1), (c0, c1, c2, c3) = key, counter
    for _ in range(10):
        a, b = MULTIPLY[0] * c0, MULTIPLY[1] * c2
        c0, c1, c2, c3 = (b >> 32) ^ c1 ^ k0, b & WORD, (a >> 32) ^ c3 ^ k1, a & WORD
        k0, k1 = (k0 + WEYL[0]) & WORD, (k1 + WEYL[1]) & WORD
    return c0, c1, c2, c3


def gauss(die, sample, step, unit):
    """Two standard normal numbers."""
    key = np.random.SeedSequence(die, spawn_key=(6,)).generate_state(2, np.uint32).tolist()
    a, b, c, d = philox(key, (sample, step, unit & WORD, unit >> 32))
    u, v = ((a >> 5) * 2.0**26 + (b >> 6) + 0.5) / 2**53, ((c >> 5) * 2.0**26 + (d >> 6)) / 2**53
    return np.sqrt(-2 * np.log(u)) * np.array([np.cos(2 * np.pi * v), np.sin(2 * np.pi * v)])


def kirchhoff(g, word, bit, v):
    """Every node of a driven array at once: currents (N) out of the columns and (M) into the rows."""
    m, n = g.shape
    nodes, y, drive = 2 * m * n, np.zeros((2 * m * n, 2 * m * n)), np.zeros(2 * m * n)

    def join(i, j, siemens):
        for a, b in ((i, j), (j, i)):
            y[a, a] += siemens
            y[a, b] -= siemens

    for i in range(m):
        for j in range(n):
            own, below = i * n + j, m * n + i * n + j
            join(own, below, g[i, j])
            if j == 0:
                y[own, own] += 1 / word[0]
                drive[own] += v[i] / word[0]
            else:
                join(own, own - 1, 1 / word[j])
            if i == m - 1:
                y[below, below] += 1 / bit[-1]
            else:
                join(below, below + n, 1 / bit[i])
    volts = np.linalg.solve(y, drive)
    return volts[nodes - n :] / bit[-1], (v - volts[: m * n : n]) / word[0]


class Twin:
    """A run of all samples: spikes, u and v of every population, (samples, steps, n), and counts."""

    def __init__(self, chip, stimulus):
        self.program, self.models = chip.program, chip.models
        self.lag = max(p.lag for p in self.program.populations)
        self.steps, self.samples = stimulus.n_steps + self.lag, stimulus.n_samples
        self.inputs = {n: np.pad(e.dense(), ((0, 0), (0, self.lag), (0, 0))) for n, e in stimulus.inputs.items()}
        shape = {p.name: (self.samples, self.steps, p.n) for p in self.program.populations}
        self.spikes, self.u, self.v = ({n: np.zeros(s) for n, s in shape.items()} for _ in range(3))
        names = ("row_drives", "conversions", "adc_clips", "phases", "phases_skipped", "adds", "reads", "array_joules",
                 "cell_reads", "column_reads")
        self.counts = {n: np.zeros((self.samples, self.steps)) for n in names}
        self.macros = np.zeros((self.samples, self.steps, self.program.macros))
        for sample in range(self.samples):
            self.left = {p.name: np.zeros(p.n, int) for p in self.program.populations}
            for t in range(self.steps):
                self.step(sample, t)

    def step(self, sample, t):
        sums = {p.name: np.zeros(p.n) for p in self.program.populations}
        unit = 0
        for b, block in enumerate(self.program.blocks):
            own = np.zeros(len(sums[block.target]))
            for use in range(block.uses):
                total = self.use(sample, t, b, use, unit + use * 64 * block.channels)
                for e, k in enumerate(block.entry_channel):
                    if (o := block.entry_out[use, e]) >= 0:
                        own[o] += block.entry_coef[e] * total[k]
            sums[block.target] += own
            unit += block.uses * 64 * block.channels
        for p in self.program.populations:
            self.neurons(p, sample, t, sums[p.name])

    def count(self, sample, t, **amounts):
        for name, amount in amounts.items():
            self.counts[name][sample, t] += amount

    def use(self, sample, t, b, use, unit):
        block, m = self.program.blocks[b], self.models[b]
        total, reads, phases = np.zeros(block.channels), 0, len(set(block.phase.tolist()))
        for number, factor, x in self.slices(self.rows(sample, t, block, use)):
            if not x.any():
                total += factor * self.convert(block, m, np.zeros(block.channels))[0]
                self.count(sample, t, phases_skipped=phases)
                continue
            current = self.currents(m, x, sample, t, unit + number * block.channels)
            converted, clips = self.convert(block, m, current)
            total += factor * converted
            reads += 1
            self.count(sample, t, reads=1, phases=phases, row_drives=phases * (x != 0).sum(), conversions=len(current),
                       adc_clips=clips, cell_reads=(x != 0).sum() * block.columns, column_reads=block.columns)
            self.macros[sample, t, block.macro] += phases * self.program.physics.timing.phase
        if reads:
            self.count(sample, t, adds=(block.entry_out[use] >= 0).sum() + (reads - 1) * block.channels)
        return total

    def rows(self, sample, t, block, use):
        """Inputs of the rows."""
        x, row = np.zeros(block.rows), 0
        for s in block.segments:
            sent = self.inputs.get(s.source, self.spikes.get(s.source))[sample]
            for r in range(row, row + s.rows):
                if block.row_source[use, r] >= 0 and t >= s.delay_ticks:
                    x[r] = sent[t - s.delay_ticks, block.row_source[use, r]]
            row += s.rows
        return x

    def slices(self, x):
        """(number, factor, inputs) of every slice."""
        bits = self.program.physics.dac_bits
        if bits is None or set(x.tolist()) <= {0.0, 1.0}:
            return [(0, 1.0, x)]
        found = []
        for start, sign in ((0, 1), (32, -1)):
            size, k = np.maximum(sign * x, 0).astype(np.int64), 0
            while size.max() >> (bits * k):
                found.append((start + k, sign * 2.0 ** (bits * k), ((size >> (bits * k)) % 2**bits).astype(float)))
                k += 1
        return found

    def currents(self, m, x, sample, t, unit):
        """Currents of the channels, by a solution of the wires, with noise; energy from dense arithmetic."""
        p, b = self.program.physics, m.block
        current, joules = self.through(m, m.siemens, x)
        self.count(sample, t, array_joules=joules)
        if m.noisy:
            var = self.variance(m, x)
            z = [gauss(p.die, sample, t, unit + k - k % 2)[k % 2] for k in range(b.channels)]
            current = current + np.sqrt(var) * np.array(z)
        return current

    def variance(self, m, x):
        if m.ladder is not None:
            found = np.zeros(m.block.channels)
            np.add.at(found, m.block.channel, self.by_difference(m, x))
            return found * m.gain**2
        if m.forms is None:
            found = np.zeros(m.block.channels)
            np.add.at(found, m.block.channel, x**2 @ (self.program.physics.volts * m.sigma) ** 2)
            return found * m.gain**2
        form, sign = (a.astype(float) for a in m.forms)
        own = x**2 @ form[:, -1] + sum(s * (x @ form[:, q]) ** 2 for q, s in enumerate(sign))
        found = np.zeros(m.block.channels)
        np.add.at(found, m.block.channel, np.maximum(own, 0))
        return found

    def by_difference(self, m, x):
        """(C) A^2 of gated columns: every cell is moved up and down a little."""
        b, p = m.block, self.program.physics
        lines, rows, found = ladder_of(np.sort(b.row_at), p.wires, p.rows), np.argsort(b.row_at), np.zeros(b.columns)
        on = np.flatnonzero(x[rows])
        for c in range(b.columns):
            for r in rows[on]:
                moved = []
                for h in (1e-4, -1e-4):
                    g = m.siemens[:, c].copy()
                    g[r] *= 1 + h
                    moved.append(ladder_column(g[rows], on, len(on), lines.source, lines.bit, p.volts))
                found[c] += (m.sigma[r, c] * (moved[0] - moved[1]) / (2e-4 * m.siemens[r, c])) ** 2
        return found

    def through(self, m, g, x):
        """(K) A, and J of all phases."""
        p, b = self.program.physics, m.block
        by_column, joules = np.zeros(b.columns), 0.0
        rows, order = np.argsort(b.row_at), np.argsort(b.col_at)
        for phase in sorted(set(b.phase.tolist())):
            mine = b.phase[b.channel] == phase
            on = order[mine[order]] if p.wires.conducting == "selected" else order
            current, watts = self.phase(g[np.ix_(rows, on)], x[rows], b.row_at[rows], b.col_at[on])
            by_column[on] = np.where(mine[on], current, by_column[on])
            joules += watts * (p.timing.settle + p.timing.integrate)
        found = np.zeros(b.channels)
        for c in range(b.columns):
            found[b.channel[c]] += b.sign[c] * by_column[c]
        return found * m.gain, joules

    def phase(self, g, x, row_at, col_at):
        """(N) A and W of columns that conduct together."""
        p = self.program.physics
        if not p.has("wires"):
            return p.volts * (x @ g), float(p.volts**2 * (x**2 @ g).sum())
        if p.wires.topology == "gated":
            lines = ladder_of(row_at, p.wires, p.rows)
            on = np.flatnonzero(x)
            current = np.array([ladder_column(np.ascontiguousarray(column), on, len(on), lines.source, lines.bit,
                                              p.volts) for column in g.T])
            return current, float(p.volts * current.sum())
        grid = grid_of(row_at, col_at, p.wires, p.rows)
        return solve(g, p.volts * x, grid), float(
            p.volts * x @ kirchhoff(g, grid.word, grid.bit, p.volts * x)[1])

    def convert(self, block, m, current):
        real = (block.step_a > 0) & self.program.physics.has("adc")
        step = np.where(real, block.step_a, 1.0)
        code = np.rint(current / step + m.offset)
        held = np.clip(code, block.code_min, block.code_max)
        return np.where(real, held * step, current), int((real & (held != code)).sum())

    def neurons(self, p, sample, t, x):
        c, left = p.cell, self.left[p.name]
        u, v = ((self.u[p.name][sample, t - 1], self.v[p.name][sample, t - 1]) if t else (c.u_init, c.v_init))
        u = c.decay_u * u + x
        new = c.decay_v * v + u + c.bias
        z = np.zeros(p.n, bool)
        if c.fires:
            z = (new >= c.v_threshold if c.comparison == ">=" else new > c.v_threshold) & (left == 0)
            reset = np.where(new >= c.v_threshold if c.comparison == ">=" else new > c.v_threshold,
                             0.0 if c.reset == "value" else new - c.reset_by, new)
            new = np.where(left > 0, v, reset)
            rests = np.zeros(p.n, int) if c.refractory is None else c.refractory
            self.left[p.name] = np.where(z, rests, np.maximum(left - 1, 0))
        self.u[p.name][sample, t], self.v[p.name][sample, t], self.spikes[p.name][sample, t] = u, new, z
