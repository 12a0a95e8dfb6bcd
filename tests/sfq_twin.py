"""The rules of the pulse simulator in plain Python, with heapq: slow, and sharing no code with the kernels."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from hwsdk.programs.sfq import PulseNetlist

MASK = (1 << 64) - 1


def mixed(x: int) -> int:
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


class Noise:
    """Standard normal numbers from splitmix64, by Box and Muller."""

    def __init__(self, key: int) -> None:
        self.state = key

    def uniform(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        return mixed(self.state) >> 11

    def normal(self) -> float:
        u, v = (self.uniform() + 1) / 2**53, self.uniform() / 2**53
        return math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v)


@dataclass
class Twin:
    """A netlist and its state. pulses: (time, net) of all nets; violations: (cell, prev, pin, time, slack, kind)."""

    program: PulseNetlist
    conditions: object
    sample: int = 0
    pulses: list = field(default_factory=list)
    violations: list = field(default_factory=list)
    counts: dict = field(default_factory=dict)
    queue: list = field(default_factory=list)

    def __post_init__(self) -> None:
        p, c = self.program, self.conditions
        a, n = p.arrays, p.n_cells
        self.net_of = {(int(x), int(o)): k for k, (x, o) in enumerate(zip(a.from_cell, a.from_pin, strict=True))}
        self.state, self.last, self.delivered = [0] * n, [{} for _ in range(n)], 0
        self.noise = Noise(int(np.random.SeedSequence([c.seed, 3, self.sample]).generate_state(1, np.uint64)[0]))
        z = np.random.default_rng([c.seed, 1]).standard_normal(n)
        self.process = [max(1 + c.spread * x, 0.0) if c.spread else 1.0 for x in z]
        self.soma = {int(x): m for m, x in enumerate(a.soma_cell)}
        self.current = [0.0] * len(a.branch_a)
        self.moment = [0] * len(a.soma_cell)
        self.z_soma = np.random.default_rng([c.seed, 2]).standard_normal(len(a.soma_cell))

    def type_of(self, cell: int):
        return self.program.types[self.program.arrays.cell_type[cell]]

    def bias(self, cell: int) -> float:
        name = self.program.groups[self.program.arrays.cell_group[cell]]
        return self.conditions.bias * self.conditions.group_bias.get(name, 1.0)

    def source(self, cell: int, time: int) -> None:
        """A pulse from outside."""
        heapq.heappush(self.queue, (int(time), self.net_of[cell, 0]))

    def run(self, until: int) -> Twin:
        while self.queue and self.queue[0][0] < until:
            time, net = heapq.heappop(self.queue)
            self.pulses.append((time, net))
            self.delivered += 1
            a = self.program.arrays
            cell, pin = int(a.to_cell[net]), int(a.to_pin[net])
            if cell in self.soma:
                self.at_soma(time, cell, pin)
            else:
                self.at_table(time, cell, pin)
        return self

    def too_soon(self, time: int, cell: int, pin: int) -> bool:
        """Whether the pulse is lost."""
        t = self.type_of(cell)
        for kind in ("absorbed", "timing"):
            slacks = []
            for p, (when, state) in sorted(self.last[cell].items()):
                limit = t.absorb_fs[p, pin] if kind == "absorbed" else t.critical_fs[state, p, pin]
                slacks.append((time - when - int(limit), p))
            if slacks and min(slacks)[0] < 0:
                slack, p = min(slacks)
                self.violations.append((cell, p, pin, time, slack, kind))
                return kind == "absorbed" or self.conditions.policy == "drop"
        return False

    def at_table(self, time: int, cell: int, pin: int) -> None:
        if self.too_soon(time, cell, pin):
            return
        t, state = self.type_of(cell), self.state[cell]
        self.count(t, state, pin)
        self.last[cell][pin] = time, state
        self.state[cell] = int(t.next[state, pin])
        nominal = t.delay_at(self.bias(cell))
        if nominal is None:
            return
        delay = round(nominal * self.process[cell]) if self.conditions.spread else nominal
        for o in range(len(t.outputs)):
            if int(t.fires[state, pin]) >> o & 1:
                self.emit(time, cell, o, delay)

    def emit(self, time: int, cell: int, out: int, delay: float) -> None:
        c, t = self.conditions, self.type_of(cell)
        known = c.unknown_sigma_fs if np.isnan(t.sigma_fs) else t.sigma_fs
        sigma = float(known * np.sqrt(c.temperature_k / 4.2)) if c.jitter else 0.0
        if sigma > 0:
            delay = max(delay + sigma * self.noise.normal(), 0.0)
        heapq.heappush(self.queue, (time + math.floor(delay + 0.5), self.net_of[cell, out]))

    def at_soma(self, time: int, cell: int, pin: int) -> None:
        a, c, m, t = self.program.arrays, self.conditions, self.soma[cell], self.type_of(cell)
        own, model = range(a.branch_ptr[m], a.branch_ptr[m + 1]), t.soma
        for j in own:
            self.current[j] *= math.exp(-(time - self.moment[m]) / a.branch_tau_fs[j])
        self.current[own[pin]] += a.branch_a[own[pin]]
        self.moment[m] = time
        total = 0.0
        for j in own:
            total += self.current[j]
        layer = self.program.groups[a.cell_group[cell]]
        ic = model.ic_eff_a * (1 + c.threshold_spread * self.z_soma[m]) if c.threshold_spread else model.ic_eff_a
        bias = a.soma_bias_a[m] * self.bias(cell) * c.soma_bias.get(layer, 1.0)
        theta = ic - model.alpha * bias
        runs_away = theta <= 0
        exciting = 0.0
        for j in own:
            exciting += max(a.branch_a[j], 0.0)
        theta += (model.load - model.relief * bias) * exciting
        rate = 0.0
        for j in own:
            rate += self.current[j] / a.branch_tau_fs[j]
        over = total - theta
        if over >= 0 and rate > 0 and theta > 0:
            over -= math.pow(theta * (model.critical_fs * rate) * (model.critical_fs * rate), 1 / 3)
        fired = over >= 0
        self.count(t, min(int(fired), max(len(t.states), 1) - 1), pin)
        if not fired:
            return
        for j in own:
            late = math.exp(min(model.flip_fs / a.branch_tau_fs[j], 1.0))
            self.current[j] -= model.reset * max(a.branch_a[j], 0.0) * late
        if runs_away or (len(t.bias_k) and not t.bias_k[0] <= self.bias(cell) <= t.bias_k[-1]):
            return
        self.emit(time, cell, 0, latency(model, over) * self.process[cell])

    def count(self, t, state: int, pin: int) -> None:
        key = f"{t.name} {t.inputs[pin]}|{state}"
        self.counts[key] = self.counts.get(key, 0) + 1


def latency(model, over: float) -> float:
    """Linear between the points, flat outside."""
    points = list(zip(model.overdrive_a.tolist(), model.latency_fs.tolist(), strict=True))
    if over <= points[0][0]:
        return float(points[0][1])
    for (x0, y0), (x1, y1) in pairwise(points):
        if over <= x1:
            return y0 + (over - x0) / (x1 - x0) * (y1 - y0)
    return float(points[-1][1])
