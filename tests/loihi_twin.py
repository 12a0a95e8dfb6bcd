"""A Loihi program in plain Python: dictionaries, and every message walks from router to router. Shares no code with the
simulator.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from hwsdk.ir.data import Stimulus
from hwsdk.programs.loihi import GRADED, MODELS, TWO_PORTS, LoihiProgram

TOP = (1 << 23) - 1


def toward_zero(x: int, keep: int, bits: int = 12) -> int:
    return (abs(x * keep) >> bits) * (1 if x * keep >= 0 else -1)


class Plain:
    """One sample; ``spikes``: per step the sorted (id, value)."""

    def __init__(self, program: LoihiProgram, sample: Stimulus, steps: int, names: tuple[str, ...]) -> None:
        self.program, self.a = program, program.arrays
        self.events = [(s.first + int(i), int(t), int(v)) for s in program.inputs
                       for e in [sample.inputs[s.name]] for t, i, v in zip(e.step, e.index, e.values(), strict=True)]
        owner = {s.first + k: s for s in program.populations for k in range(s.n)}
        self.model = [owner[int(i)].model for i in self.a.source_id]
        extra = self.a.extra if self.a.extra.shape[1] else np.zeros((4, len(self.model)), int)
        self.more = [dict(zip(MODELS[m], map(int, extra[:, i]), strict=False)) for i, m in enumerate(self.model)]
        vth = [int(x) << 6 for x in self.a.vth]
        self.s = [[int(u), int(v), *([th, 0] if m == "atrlif" else [0, 0])] if m not in GRADED else [0, 0, 0, 0]
                  for u, v, th, m in zip(self.a.u_init, self.a.v_init, vth, self.model, strict=True)]
        self.resting = [0] * len(self.s)
        self.arriving: Counter = Counter()
        self.counts = {name: [0] * steps for name in names}
        self.core_synops: Counter = Counter()
        self.core_messages: Counter = Counter()
        self.spikes = [sorted(self.step(t)) for t in range(steps)]

    def home(self, i: int) -> int:
        return int(np.searchsorted(self.a.neuron_ptr, i, "right")) - 1

    def step(self, t: int) -> list[tuple[int, int]]:
        values = {i: self.neuron(t, i) for i in range(len(self.s))}
        fired = [i for i in values if values[i]]
        core = [self.home(i) for i in fired]
        synops, messages, links = Counter(), Counter(), Counter()
        for source, when, value in self.events:
            if when == t:
                self.send(t, source, value, synops, messages)
        for i, home in zip(fired, core, strict=True):
            for to in self.send(t, int(self.a.source_id[i]), values[i], synops, messages):
                self.travel(t, home, to, links)
        self.core_synops += synops
        self.core_messages += messages
        for name, value in {"spikes": len(fired), "synaptic_operations": sum(synops.values()),
                            "peak_core_synops": max(synops.values(), default=0),
                            "peak_core_spikes": max(Counter(core).values(), default=0),
                            "peak_core_messages": max(messages.values(), default=0),
                            "peak_link": max(links.values(), default=0)}.items():
            self.counts[name][t] = value
        return [(int(self.a.source_id[i]), values[i]) for i in fired]

    def neuron(self, t: int, i: int) -> int:
        """What the neuron sends in this step, 0 for nothing."""
        kind = {"rf_iz": "rf", "delta": "sigma_delta", "graded_relu": "graded"}.get(self.model[i], self.model[i])
        core = self.home(i)
        local = i - int(self.a.neuron_ptr[core])
        return getattr(self, kind)(t, i, self.arriving.pop((t, core, local), 0))

    def clip(self, t: int, x: int) -> int:
        self.counts["clips"][t] += abs(x) > TOP
        return max(min(x, TOP), -TOP)

    def current(self, t: int, i: int, arriving: int) -> int:
        u = toward_zero(self.s[i][0], 4095 - int(self.a.du[i])) + (arriving << 6)
        wrapped = u - (1 << 24) if u > 1 << 23 else (u + (1 << 24) if u <= -(1 << 23) else u)
        self.counts["wraps"][t] += wrapped != u
        return wrapped

    def lif(self, t: int, i: int, arriving: int) -> int:
        a, s, more = self.a, self.s[i], self.more[i]
        if more["reset_interval"] and (t + 1 - more["reset_offset"]) % more["reset_interval"] == 0:
            s[0] = s[1] = 0
        s[0] = self.current(t, i, arriving)
        if self.resting[i]:
            self.resting[i] -= 1
            return 0
        s[1] = self.clip(t, toward_zero(s[1], 4096 - int(a.dv[i])) + s[0] + int(a.bias[i]))
        fires = bool(a.fires[i]) and s[1] > int(a.vth[i]) << 6
        if fires:
            s[1] = s[1] - int(a.reset_by[i]) if a.reset[i] else 0
            self.resting[i] = more["refractory"]
        return int(fires)

    def atrlif(self, t: int, i: int, arriving: int) -> int:
        a, s, more = self.a, self.s[i], self.more[i]
        s[0] = self.current(t, i, arriving)
        s[1] = self.clip(t, toward_zero(s[1], 4096 - int(a.dv[i])) + s[0] + int(a.bias[i]))
        start = int(a.vth[i]) << 6
        theta = toward_zero(s[2] - start, 4096 - more["dtheta"]) + start
        r = toward_zero(s[3], 4096 - more["dr"])
        fires = s[1] - r >= theta
        s[2], s[3] = (theta + (more["theta_step"] << 6), r + 2 * theta) if fires else (theta, r)
        return int(fires)

    def rf(self, t: int, i: int, arriving: int) -> int:
        s, more, vth = self.s[i], self.more[i], int(self.a.vth[i])
        core = self.home(i)
        first, after = (int(x) for x in self.a.neuron_ptr[core : core + 2])
        second = after - first + sum(self.model[k] in TWO_PORTS for k in range(first, i))
        other = self.arriving.pop((t, core, second), 0)
        sin, cos, bits, (re, im) = more["sin"], more["cos"], more["decay_bits"], s[:2]
        x = toward_zero(re, cos, bits) - toward_zero(im, sin, bits) + (arriving << more["state_exp"])
        y = toward_zero(re, sin, bits) + toward_zero(im, cos, bits) + (other << more["state_exp"])
        s[0], s[1] = self.clip(t, x), self.clip(t, y)
        if self.model[i] == "rf":
            return int(s[0] >= vth and s[1] >= 0 and im < 0)
        fires = s[1] >= vth
        if fires:
            s[0], s[1] = 0, vth - 1
        return int(fires)

    def sigma_delta(self, t: int, i: int, arriving: int) -> int:
        s, more = self.s[i], self.more[i]
        shift = more["spike_exp"] + more["state_exp"]
        if self.model[i] == "delta":
            x = arriving << shift
        else:
            s[0] += arriving
            x = s[0] + int(self.a.bias[i])
            x = max(x, 0) if more["relu"] else x
        d = x - s[1] + s[2]
        compared = s[3] + d if more["cum_error"] else d
        spike = d if self.a.fires[i] and abs(compared) >= int(self.a.vth[i]) << shift else 0
        s[1], s[2] = x, d - spike
        if more["cum_error"]:
            s[3] = 0 if spike else compared
        return spike >> more["state_exp"]

    def graded(self, t: int, i: int, arriving: int) -> int:
        size = arriving if self.model[i] == "graded_relu" else abs(arriving)
        return arriving if size > int(self.a.vth[i]) else 0

    def send(self, t: int, source: int, value: int, synops: Counter, messages: Counter) -> list[int]:
        a = self.a
        cores = [int(c) for c in a.out_core[a.out_ptr[source] : a.out_ptr[source + 1]]]
        for c in cores:
            (axon,) = [x for x in range(a.axon_ptr[c], a.axon_ptr[c + 1]) if a.axon_source[x] == source]
            messages[c] += 1
            for g in range(a.segment_ptr[axon], a.segment_ptr[axon + 1]):
                row, base = a.segment_row[g], a.segment_base[g]
                for s in range(a.row_ptr[row], a.row_ptr[row + 1]):
                    synops[c] += 1
                    at = t + int(a.delay[s]), c, int(base + a.target[s])
                    self.arriving[at] += (int(a.weight[s]) << int(a.row_exponent[row])) * value
        return cores

    def travel(self, t: int, home: int, to: int, links: Counter) -> None:
        a = self.a
        x, y, x1, y1 = (int(z) for z in (a.core_x[home], a.core_y[home], a.core_x[to], a.core_y[to]))
        self.counts["messages"][t] += 1
        self.counts["chip_crossings"][t] += abs(int(a.core_chip[home]) - int(a.core_chip[to]))
        while (x, y) != (x1, y1):
            along_x = x != x1
            step = (np.sign(x1 - x), 0) if along_x else (0, np.sign(y1 - y))
            links[x, y, x + step[0], y + step[1]] += 1
            x, y = x + step[0], y + step[1]
            self.counts["hops_ew" if along_x else "hops_ns"][t] += 1
