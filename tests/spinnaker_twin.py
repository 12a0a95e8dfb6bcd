"""A SpiNNaker 2 machine in plain Python, with exact fractions for time: the twin of the kernels.

Written from the semantics of the program, not from the kernels: PEs are objects, a packet is a tuple in a list, and
what happens next comes off a heap.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from fractions import Fraction

import numpy as np

from hwsdk.programs.spinnaker_routes import walk

F = np.float32
END, ARRIVAL, INTERRUPT, START = range(4)
KINDS = {"narrow": "static", "byte": "static", "wide": "static", "plastic": "plastic", "conv": "conv", "csr": "csr"}


def unpack(block, number):
    """(target, weight, delay) of one word."""
    w = int(block.words[number])
    if block.kind == "narrow":
        return w % 256, (w >> 8) % 16 * (-1 if (w >> 12) % 2 else 1), block.delay + (w >> 13)
    if block.kind == "byte":
        return w % 256, (w >> 8) - (256 if w >> 15 else 0), block.delay
    return w % 1024, (w >> 16) - (65536 if w >> 31 else 0), block.delay + (w >> 10) % 8


class Learning:
    """One learner of a PE: what it knows of its neurons and of its rows."""

    def __init__(self, rule, history):
        self.rule, self.history = rule, history
        self.posts = defaultdict(list)
        self.pres = defaultdict(lambda: (0, F(0)))

    @staticmethod
    def decayed(table, steps):
        return F(table[steps]) if steps < len(table) else F(0)

    def spike(self, neuron, t, rows):
        """A post spike; returns whether it pushed out one that would have been used."""
        posts, forgot = self.posts[neuron], 0
        before, y = posts[-1] if posts else (0, F(0))
        posts.append((t, F(y * self.decayed(self.rule.minus, t - before)) + F(1)))
        if len(posts) >= self.history:
            old = posts[-self.history][0]
            for row, words in rows.items():
                last, x = self.pres[row]
                for target, _, delay in words:
                    if target == neuron and x > 0 and old > max(last - delay, 0):
                        forgot |= 0 < old + delay - last < len(self.rule.plus)
        return forgot

    def updated(self, row, target, delay, w, t):
        r, (last, x) = self.rule, self.pres[row]
        begin, end, w = max(last - delay, 0), max(t - delay, 0), F(w)
        known = [p for p in self.posts[target] if p[0] < t][1 - self.history :]
        for at, _ in known:
            if begin < at <= end:
                w = min(F(r.w_max), w + F(F(F(r.a_plus) * x) * self.decayed(r.plus, at + delay - last)))
        before = [(at, y) for at, y in known if at <= end]
        if before and before[-1][0]:
            at, y = before[-1]
            w = max(F(r.w_min), w - F(F(F(r.a_minus) * y) * self.decayed(r.minus, t - at - delay)))
        return int(np.rint(w))

    def pre(self, row, t):
        last, x = self.pres[row]
        self.pres[row] = (t, F(x * self.decayed(self.rule.plus, t - last)) + F(1))


class Pe:
    """One PE with its memory in motion."""

    def __init__(self, twin, number):
        self.twin, self.number = twin, number
        self.m = twin.program.memory(number)
        self.ring = defaultdict(int if self.m.model != "egru" else lambda: F(0))
        self.tick = 0
        self.learning = [Learning(x, self.m.history) for x in self.m.learners]
        self.rows = []  # of each block: row -> words as [target, weight, delay]
        for b in self.m.blocks:
            words = {} if b.kind in ("conv", "csr") else {
                r: [list(unpack(b, k)) for k in range(b.rows[r], b.rows[r + 1])] for r in range(len(b.rows) - 1)}
            self.rows.append({r: w for r, w in words.items() if w})
        self.neurons = [self.neuron(k) for k in range(self.m.n)] if self.m.model != "source" else []

    def neuron(self, k):
        names = {"lif": "decay_v bias v_threshold reset_by v control", "egru": "h theta bias_z bias_r bias_x bias_h",
                 "lif_curr": "decay_u u decay_v bias v_threshold reset_by v control"}[self.m.model].split()
        own = dict(zip(names, self.m.neurons[k], strict=True))
        found = {"u": F(0), "decay_u": F(0)} | {n: np.array([x], np.uint32).view(F)[0] for n, x in own.items()}
        c = int(own.get("control", 0))
        return found | {"rest": c % 4096, "left": (c >> 12) % 4096, "subtract": c >> 24 & 1, "at": c >> 25 & 1,
                        "fires": c >> 26 & 1}

    def add(self, slot_step, accumulator, amount):
        self.ring[slot_step % self.m.slots, accumulator] += amount

    def read(self, n, packets, count):
        """Work off packets (sending PE, slice, tick, atom, key, payload)."""
        t = (n - 1) // self.twin.program.phases
        for _, _, _, _, key, payload in sorted(packets, key=lambda p: p[:4]):
            for number, b in enumerate(self.m.blocks):
                if key & b.mask == b.key:
                    atom = key & ~b.mask
                    count[KINDS[b.kind]] += getattr(self, f"do_{KINDS[b.kind]}")(t, number, b, atom, payload)

    def do_static(self, t, number, b, atom, payload):
        words = self.rows[number].get(atom, [])
        for target, weight, delay in words:
            self.add(t + delay, target, weight)
        return len(words)

    def do_csr(self, t, number, b, atom, payload):
        for k in range(b.rows[atom], b.rows[atom + 1]):
            self.add(t + b.delay, int(b.targets[k]), F(F(b.words[k]) * payload))
        return b.rows[atom + 1] - b.rows[atom]

    def do_plastic(self, t, number, b, atom, payload):
        learning, words = self.learning[b.learner], self.rows[number].get(atom, [])
        for one in words:
            target, weight, delay = one
            one[1] = learning.updated((number, atom), target, delay, weight, t)
            self.add(t + delay, target, one[1])
        learning.pre((number, atom), t)
        return len(words)

    def do_conv(self, t, number, b, atom, payload):
        f, n = b.shape, 0
        c, y, x = np.unravel_index(atom, (f["in_channels"], f["in_height"], f["in_width"]))
        c, y, x = c + f["in_channel"], y + f["in_y"], x + f["in_x"]
        for co in range(f["out_channels"]):
            if (co + f["out_channel"]) // f["group_out"] != c // f["group_in"]:
                continue
            for ky in range(f["kernel_y"]):
                for kx in range(f["kernel_x"]):
                    oy, ry = divmod(y + f["pad_y"] - ky * f["dilation_y"], f["stride_y"])
                    ox, rx = divmod(x + f["pad_x"] - kx * f["dilation_x"], f["stride_x"])
                    oy, ox = oy - f["out_y"], ox - f["out_x"]
                    if ry or rx or not (0 <= oy < f["out_height"] and 0 <= ox < f["out_width"]):
                        continue
                    to = f["first"] + (co * f["out_height"] + oy) * f["out_width"] + ox
                    self.add(t + b.delay, to, int(b.kernel[co, c % f["group_in"], ky, kx]))
                    n += 1
        return n

    def update(self, n, count):
        """[(slice of the PE, atom, payload)] of what fires in tick n."""
        phases, first, fired = self.twin.program.phases, 0, []
        t, phase = n // phases, n % phases
        for s, own in enumerate(self.m.slices):
            if own.phase == phase and self.m.model == "source":
                fired += [(s, atom, value) for atom, value in self.twin.events(self.number, s, t)]
            elif own.phase == phase:
                count["neurons"] += own.n
                now = [(s, k - first, y) for k in range(first, first + own.n)
                       if (y := self.step(k, t % self.m.slots)) is not None]
                for _, atom, _ in now:
                    for one, learning in enumerate(self.learning):
                        rows = {(i, r): w for i, b in enumerate(self.m.blocks) if b.kind == "plastic" and
                                b.learner == one for r, w in self.rows[i].items()}
                        count["forgotten"] += learning.spike(first + atom, t, rows)
                count["recorded"] += len(now) * own.records
                self.twin.record(self.number, s, first, t, now)
                fired += now
            first += own.n
        return fired

    def step(self, k, slot):
        """What neuron k sends, or None."""
        p = self.neurons[k]
        if self.m.model == "egru":
            return self.step_egru(p, [self.ring.pop((slot, k + port * self.m.n), F(0)) for port in range(6)])
        p["u"] = F(p["decay_u"] * p["u"]) + F(self.ring.pop((slot, k), 0))
        v = F(F(p["decay_v"] * p["v"]) + p["u"]) + p["bias"]
        rests = p["left"] > 0
        p["left"] = max(p["left"] - 1, 0)
        if rests:
            return None
        p["v"] = v
        if not p["fires"] or not (v >= p["v_threshold"] if p["at"] else v > p["v_threshold"]):
            return None
        p["v"], p["left"] = (v - p["reset_by"] if p["subtract"] else F(0)), p["rest"]
        return F(1)

    @staticmethod
    def step_egru(p, a):
        def sigma(x):
            return F(1) / (F(1) + F(np.exp(-np.float64(x))))
        z, r = sigma(F(a[0] + a[2]) + p["bias_z"]), sigma(F(a[1] + a[3]) + p["bias_r"])
        g = F(np.tanh(np.float64(F(a[4] + p["bias_x"]) + F(r * F(a[5] + p["bias_h"])))))
        c = F(z * p["h"]) + F((F(1) - z) * g)
        p["h"] = c - p["theta"] if c > p["theta"] else c
        return c if c > p["theta"] else None


class Twin:
    """Runs one sample when it is made; see the fields that it sets."""

    def __init__(self, program, stimulus, steps):
        self.program, self.stimulus, self.steps = program, stimulus, steps
        a, self.ways, self.routes = program.arrays, walk(program), defaultdict(list)
        self.first_slice = a.slice_ptr
        for s, pe, links in zip(self.ways.slice_of, self.ways.pe, self.ways.links, strict=True):
            self.routes[int(s)].append((int(pe), int(links)))
        self.counts = defaultdict(lambda: [0] * steps)
        self.pe = defaultdict(lambda: [0] * program.n_pes)
        self.spikes, self.states = [], {}
        self.pes = [Pe(self, p) for p in range(program.n_pes)]
        with np.errstate(all="ignore"):
            (self.run_barrier if program.sync == "barrier" else self.run_timer)()

    # ---- what PEs ask for

    def events(self, pe, s, t):
        """[(atom, value)] of a slice of inputs in step t."""
        a, s = self.program.arrays, self.first_slice[pe] + s
        own = a.neuron[a.neuron_ptr[s] : a.neuron_ptr[s + 1]]
        name = self.program.inputs[a.slice_sender[s]].name
        now = self.stimulus.inputs[name].at_step(t)[0]
        return [(k, F(now[i])) for k, i in enumerate(own) if now[i]]

    def record(self, pe, s, first, t, fired):
        """Spikes and states of a slice after step t."""
        a, s = self.program.arrays, self.first_slice[pe] + s
        own = a.neuron[a.neuron_ptr[s] : a.neuron_ptr[s + 1]].tolist()
        sender = self.program.senders[a.slice_sender[s]]
        self.spikes += [(sender.name, t, own[atom], float(y)) for _, atom, y in fired]
        for state in {"lif": "uv", "egru": "h"}[sender.model]:
            table = self.states.setdefault((sender.name, state), np.zeros((self.steps, sender.n), F))
            table[t, own] = [self.pes[pe].neurons[k][state] for k in range(first, first + len(own))]

    # ---- one tick

    def tick(self, pe, packets, step):
        """(seconds of work, level, packets sent [(slice, number of packets, packet tuples)])."""
        me, c, program = self.pes[pe], self.program.machine.cycles, self.program
        n, count = me.tick, defaultdict(int)
        me.tick += 1
        self.pe["pe_fifo_peak"][pe] = max(self.pe["pe_fifo_peak"][pe], len(packets))
        late = sum(n > p[2] + 1 for p in packets)
        me.read(n, packets, count)
        fired, sent = me.update(n, count), []
        for s, own in enumerate(me.m.slices):
            mine = [(pe, s, n, atom, own.key + atom, y) for k, atom, y in fired if k == s]
            if own.sends:
                sent.append((self.first_slice[pe] + s, mine))
        n_sent = sum(len(mine) for _, mine in sent)
        per_neuron = {"source": "tick", "lif": "neuron_lif", "lif_curr": "neuron_curr", "egru": "neuron_egru"}
        cycles = c["tick"] + c["packet"] * len(packets) + c["spike_out"] * n_sent + c["recorded"] * count["recorded"]
        cycles += sum(c[f"event_{k}"] * count[k] for k in ("static", "conv", "plastic", "csr"))
        cycles += count["neurons"] * (c[per_neuron[me.m.model]] + c["neuron_stdp"] * bool(me.m.learners))
        level = program.level
        if level == "auto":
            level = "high" if program.sync == "barrier" or len(packets) >= me.m.high_from else "low"
        add = self.counts
        for k in ("static", "conv", "plastic", "csr"):
            add[f"{k}_events"][step] += int(count[k])
            self.pe["pe_events"][pe] += int(count[k])
        add["spikes"][step] += len(fired) * (me.m.model != "source")
        add["packets_sent"][step] += n_sent
        for s, mine in sent:
            hops = self.program.arrays.pe_hops
            add["packets"][step] += len(mine) * len(self.routes[s])
            add["hops"][step] += len(mine) * int(hops[pe] + sum(hops[p] for p, _ in self.routes[s]))
            add["chip_crossings"][step] += len(mine) * int(self.ways.crossings[s])
        add["neuron_updates"][step] += count["neurons"]
        add["late_packets"][step] += late
        add["forgotten_posts"][step] += count["forgotten"]
        add[f"cycles_{level}"][step] += cycles
        self.pe["pe_packets"][pe] += len(packets)
        self.pe["pe_cycles"][pe] += cycles
        hz = program.machine.high_hz if level == "high" else program.machine.low_hz
        return Fraction(cycles) / Fraction(hz), level, sent

    def flight(self, pe, to, links):
        m, hops = self.program.machine, self.program.arrays.pe_hops
        return (int(hops[pe] + hops[to]) * Fraction(m.hop_s) + Fraction(m.router_s)
                + links * (Fraction(m.link_s) + Fraction(m.router_s)))

    def admitted(self, pe, fifo, step):
        """Those that the FIFO held, which is emptied; [(arrival, sending PE, slice, packet)]."""
        fifo.sort(key=lambda x: (x[0], *x[1][:4]))
        room = self.program.machine.fifo if self.program.sync == "timer" else len(fifo)
        kept = [p for _, p in fifo[:room]]
        self.counts["dropped_packets"][step] += len(fifo) - len(kept)
        self.pe["pe_dropped"][pe] += len(fifo) - len(kept)
        fifo.clear()
        return kept

    # ---- time

    def longest(self):
        return max((self.flight(pe, to, links) for pe in range(len(self.pes))
                    for s in range(self.first_slice[pe], self.first_slice[pe + 1]) for to, links in self.routes[s]),
                   default=Fraction(0))

    def run_barrier(self):
        p, fifos = self.program, [[] for _ in self.pes]
        level = "low" if p.level == "low" else "high"
        for k in range(self.steps * p.phases):
            step, longest, mail = k // p.phases, Fraction(0), []
            for pe in range(len(self.pes)):
                work, _, sent = self.tick(pe, self.admitted(pe, fifos[pe], step), step)
                longest = max(longest, work)
                mail += [(to, work + self.flight(pe, to, links), packet) for s, mine in sent
                         for to, links in self.routes[s] for packet in mine]
            for to, arrival, packet in mail:
                fifos[to].append((arrival, packet))
            seconds = longest + self.longest()
            self.counts["busy_seconds"][step] += longest
            self.counts["step_seconds"][step] += seconds
            self.counts[f"pe_seconds_{level}"][step] += seconds * len(self.pes)

    def run_timer(self):
        p, n = self.program, len(self.pes)
        tick, windows = Fraction(p.tick_s), self.steps * p.phases
        busy, pending, fifos, work = [False] * n, [False] * n, [[] for _ in range(n)], []
        longest = [Fraction(0)] * windows
        heap, window, serial = [(Fraction(0), INTERRUPT, 0, 0, 0, None)], -1, 0

        def push(time, kind, *rest):
            nonlocal serial
            serial += 1
            heapq.heappush(heap, (time, kind, *rest[:2], serial, rest[2:]))

        while heap:
            time, kind, pe, s, _, rest = heapq.heappop(heap)
            if kind == INTERRUPT:
                window += 1
                if window == windows:
                    break
                push((window + 1) * tick, INTERRUPT, 0, 0)
                for one in range(n):
                    if not busy[one]:
                        busy[one] = True
                        push(time, START, one, 0, window)
                    else:
                        self.counts["lost_ticks"][window // p.phases] += pending[one]
                        pending[one] = True
            elif kind == END:
                busy[pe] = pending[pe]
                if pending[pe]:
                    pending[pe] = False
                    push(time, START, pe, 0, window)
            elif kind == ARRIVAL:
                fifos[s].append((time, rest[0]))
            else:
                self.start(pe, rest[0], time, fifos[pe], push, longest, work)
        for time, kind, pe, _, _, rest in sorted(heap, key=lambda x: x[:5]):
            if kind == START and time <= windows * tick:
                self.start(pe, rest[0], time, fifos[pe], lambda *x: None, longest, work)
        self.supplies(windows, tick, work, longest)

    def start(self, pe, window, time, fifo, push, longest, work):
        """A tick begins."""
        step, tick = window // self.program.phases, Fraction(self.program.tick_s)
        seconds, level, sent = self.tick(pe, self.admitted(pe, fifo, step), step)
        end = time + seconds
        late = end > (window + 1) * tick
        self.counts["late_ticks"][step] += late
        self.pe["pe_late_ticks"][pe] += late
        longest[window] = max(longest[window], seconds)
        work.append((time, end, level))
        push(end, END, pe, 0)
        for s, mine in sent:
            for to, links in self.routes[s]:
                for packet in mine:
                    push(end + self.flight(pe, to, links), ARRIVAL, pe, to, packet)

    def supplies(self, windows, tick, work, longest):
        """How long all PEs were at each level."""
        for k in range(windows):
            step, all_time = k // self.program.phases, tick * len(self.pes)
            high = sum(max(min(end, (k + 1) * tick) - max(begin, k * tick), 0)
                       for begin, end, level in work if level == "high")
            high = {"auto": high, "low": 0, "high": all_time}[self.program.level]
            self.counts["pe_seconds_high"][step] += high
            self.counts["pe_seconds_low"][step] += all_time - high
            self.counts["busy_seconds"][step] += longest[k]
            self.counts["step_seconds"][step] += tick


def is_close(a, b):
    """Of float64 sums."""
    return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-15)
