"""What lava-dl's netx and Lava make of the layers of lava_dl_files, in plain NumPy and written apart from the reader.

Lava's fixed_pt models (lava-nc 0.10.0, lava/proc: dense, conv, lif, sdn, rf), one object a process, stepped as Lava
steps them: a connection sends what it gathered in the step before. Checked once against netx 0.6.0 itself: every layer
of every example equal in 50 steps.
"""

from __future__ import annotations

import numpy as np

V_MAX = (1 << 23) - 1


def tz(x, bits):
    """Toward zero."""
    return np.sign(x) * (np.abs(x) >> bits)


def correlate(x, weight, stride, padding, dilation, groups):
    """Convolution of (C, H, W) the way torch defines it, with loops."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    c_out, c_in, kh, kw = weight.shape
    height, width = ((n - dilation * (k - 1) - 1) // stride + 1 for n, k in zip(x.shape[1:], (kh, kw), strict=True))
    out = np.zeros((c_out, height, width), np.int64)
    for o in range(c_out):
        first = (o // (c_out // groups)) * c_in
        for c in range(c_in):
            for i in range(kh):
                for j in range(kw):
                    part = x[first + c, i * dilation :: stride, j * dilation :: stride][:height, :width]
                    out[o] += weight[o, c, i, j] * part
    return out


class Layer:
    """One block of netx: synapse and neuron."""

    def __init__(self, fields, interval, offset, spike_exp=6):
        self.f, self.neuron = fields, fields.get("neuron", {"type": "CUBA", "iDecay": 0, "vDecay": 4096,
                                                            "vThMant": 1 << 17})
        self.interval, self.offset, self.scale = interval, offset, spike_exp + 6
        self.state, self.t, self.waiting, self.out = {}, 0, {}, None

    def s(self, name, shape):
        """A state that starts at 0."""
        return self.state.setdefault(name, np.zeros(shape, np.int64))

    def arrive(self, x):
        """Put what this step's spikes bring into the steps in which it arrives."""
        self.put(1, self.weigh(x))
        if "weight_rec" in self.f and self.out is not None:
            self.put(1, self.f["weight_rec"].astype(np.int64) @ self.out)

    def put(self, ticks, a):
        self.waiting[self.t + ticks] = self.waiting.get(self.t + ticks, 0) + a

    def weigh(self, x):
        f = self.f
        if "weight/real" in f:
            return np.stack([f[k].astype(np.int64) @ x.ravel() for k in ("weight/real", "weight/imag")])
        weight = f["weight"].astype(np.int64)
        if f["type"] == "conv":
            return correlate(x, weight, int(f["stride"][0]), int(f["padding"][0]), int(f["dilation"][0]), f["groups"])
        if f["type"] == "pool":
            return np.stack([correlate(c[None], weight, int(f["stride"][0]), 0, 1, 1)[0] for c in x])
        delay = np.asarray(f.get("delay", 0))
        ticks = np.broadcast_to(delay[:, None] if delay.ndim == 1 else delay, weight.shape)
        for d in np.unique(ticks[ticks > 0]):
            self.put(1 + int(d), np.where(ticks == d, weight, 0) @ x.ravel())
        return np.where(ticks == 0, weight, 0) @ x.ravel()

    def step(self, x):
        """Send, then receive."""
        self.t += 1
        kind, bias = self.neuron["type"], np.asarray(self.f.get("bias", 0), np.int64)
        if self.f["type"] == "input":
            a, bias = x, np.int64(0)
        else:
            shape = tuple(self.f["shape"]) if self.f["type"] in ("conv", "pool") else (int(np.prod(self.f["shape"])),)
            a = self.waiting.pop(self.t, np.zeros((2, *shape) if "weight/real" in self.f else shape, np.int64))
            bias = bias.reshape(-1, 1, 1) if len(shape) == 3 and bias.ndim else bias
        out = self.lif(a, bias) if kind == "CUBA" else self.sdnn(a, bias) if kind == "SDNN" else self.rf(a)
        self.out = out
        return out

    def lif(self, a, bias):
        n, shape = self.neuron, a.shape
        u, v = self.s("u", shape), self.s("v", shape)
        if self.interval and self.t % self.interval == self.offset % self.interval:
            u, v = 0 * u, 0 * v
        u = tz(u * (4096 - n["iDecay"]), 12) + a * 64
        v = np.clip(tz(v * (4096 - n["vDecay"]), 12) + u + bias * 64, -V_MAX, V_MAX)
        spike = v > n["vThMant"] * 64
        self.state["u"], self.state["v"] = u, np.where(spike, 0, v)
        return spike.astype(np.int64)

    def sdnn(self, a, bias):
        n, shape = self.neuron, a.shape
        sigma, act, residue = (self.s(k, shape) for k in ("sigma", "act", "residue"))
        if self.f["type"] == "input":
            new = a << self.scale
        else:
            sigma = sigma + a
            if "sigma_output" in n:
                self.state["sigma"] = sigma
                return sigma
            new = np.maximum(sigma + (bias << self.scale), 0)
        delta = new - act + residue
        spike = np.where(np.abs(delta) >= n["vThMant"] << self.scale, delta, 0)
        self.state.update(sigma=sigma, act=new, residue=delta - spike)
        return spike >> 6

    def rf(self, a):
        n, shape = self.neuron, a.shape[1:]
        re, im = self.s("re", shape), self.s("im", shape)
        s, c = n["sinDecay"] / 4096, n["cosDecay"] / 4096
        alpha, period = 1 - np.sqrt(s**2 + c**2), 1 / (np.arctan2(s, c) / 2 / np.pi)
        sin = int((1 - alpha) * np.sin(np.pi * 2 * 1 / period) * 4096)
        cos = int((1 - alpha) * np.cos(np.pi * 2 * 1 / period) * 4096)
        new_re = np.clip(tz(cos * re, 12) - tz(sin * im, 12) + a[0] * 64, -V_MAX, V_MAX)
        new_im = np.clip(tz(sin * re, 12) + tz(cos * im, 12) + a[1] * 64, -V_MAX, V_MAX)
        vth = n["vThMant"] * 64
        if n["type"] == "RF_PHASE":
            spike = (new_re >= vth) & (new_im >= 0) & (im < 0)
        else:
            spike = new_im >= vth
            new_re, new_im = np.where(spike, 0, new_re), np.where(spike, vth - 1, new_im)
        self.state["re"], self.state["im"] = new_re, new_im
        return spike.astype(np.int64)


def run(layers, x, interval=0, offset=0):
    """Output (steps, n) of every layer that has neurons, for x (steps, *shape)."""
    blocks = [Layer(f, interval, offset, ) for f in layers if f["type"] != "flatten" and
              (f["type"] != "input" or "neuron" in f)]
    for k, block in enumerate(blocks):
        block.offset += 1 + k
    outs = [[] for _ in blocks]
    for row in x.astype(np.int64):
        sent = row
        for block, out in zip(blocks, outs, strict=True):
            spikes = block.step(sent)
            if block.f["type"] != "input":
                block.arrive(sent)
            out.append(spikes.ravel())
            sent = spikes
    return [np.stack(out) for out in outs]
