"""The benchmark network: N LIF neurons, random recurrent fan-out, integer Loihi semantics, no input.

The same network, bit for bit, that runners of other tools build; ``digest`` proves it. Every delay is one step, every
weight a small even integer. With a = summed weights of the spikes of the step before, each step computes

    u = a << 6                                               (du = 4095: the current keeps nothing)
    v = sign(v) * ((|v| * (4096 - 100)) >> 12) + u + bias     clipped to +-(2^23 - 1)
    spike when v > 1000 << 6, then v = 0

and about 3 % of the neurons fire. Run as a script it prints sizes and digests.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.data import Stimulus
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import Synapses
from hwsdk.ir.semantics import Semantics

DU, DV, VTH, BIAS_EXP = 4095, 100, 1000, 2
SLICE = 1 << 20


@dataclass(frozen=True)
class Edges:
    """Synapses by ascending (pre, post), pre and post int32 (k,), weight int16 (k,); bias_mant, v0 int64 (n,)."""

    n: int
    pre: NDArray[np.int32]
    post: NDArray[np.int32]
    weight: NDArray[np.int16]
    bias_mant: NDArray[np.int64]
    v0: NDArray[np.int64]

    @property
    def bias(self) -> NDArray[np.int64]:
        return self.bias_mant << BIAS_EXP

    def digest(self) -> str:
        """Twelve hex digits over pre, post, weight, bias and v0, each as int64."""
        h = hashlib.sha256()
        for column in (self.pre, self.post, self.weight, self.bias, self.v0):
            for first in range(0, len(column), SLICE):
                h.update(column[first : first + SLICE].astype(np.int64).tobytes())
        return h.hexdigest()[:12]


def make(n: int, k: int, seed: int = 1) -> Edges:
    """n neurons, k draws of a target for each, duplicates dropped."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, n, n * k, dtype=np.int64).reshape(n, k)
    drawn.sort(axis=1)
    keep = np.ones((n, k), bool)
    keep[:, 1:] = drawn[:, 1:] != drawn[:, :-1]
    post = drawn[keep].astype(np.int32)
    del drawn
    pre = np.repeat(np.arange(n, dtype=np.int32), keep.sum(axis=1))
    weight = (rng.integers(-2, 3, len(post)) * 2).astype(np.int16)
    weight[weight == 0] = 2
    return Edges(n, pre, post, weight, rng.integers(425, 1000, n), rng.integers(0, VTH << 6, n))


def network(edges: Edges) -> Network:
    """The edges as an integer network of one population ``lif`` without inputs."""
    n = edges.n

    def each(value: int) -> NDArray[np.int64]:
        return np.full(n, value, np.int64)

    cell = FixedLIF(
        du=each(DU), dv=each(DV), vth=each(VTH), bias_mant=edges.bias_mant, bias_exp=each(BIAS_EXP),
        reset_by=each(0), u_init=each(0), v_init=edges.v0, scale=np.ones(n), v_offset=np.zeros(n))
    one_step = np.broadcast_to(np.int64(1), len(edges.post))
    projection = Synapses((n,), (n,), edges.pre, edges.post, edges.weight, one_step)
    return Network(f"netgen{n}", {"lif": cell, "recurrent": projection},
                   (Edge("lif", "recurrent"), Edge("recurrent", "lif")), Semantics(dt=1e-3))


def silence(steps: int) -> Stimulus:
    """The stimulus of a network without inputs."""
    return Stimulus.silent(steps)


def reference(edges: Edges, steps: int) -> list[NDArray[np.int64]]:
    """Plain NumPy: the neurons that spike in each step."""
    ptr = np.searchsorted(edges.pre, np.arange(edges.n + 1))
    v, current, raster = edges.v0.copy(), np.zeros(edges.n, np.int64), []
    for _ in range(steps):
        v = np.sign(v) * ((np.abs(v) * (4096 - DV)) >> 12) + (current << 6) + edges.bias
        np.clip(v, -(2**23) + 1, 2**23 - 1, out=v)
        fired = np.flatnonzero(v > VTH << 6)
        v[fired] = 0
        used = np.concatenate([np.arange(ptr[i], ptr[i + 1]) for i in fired] or [np.zeros(0, np.int64)])
        current = np.bincount(edges.post[used], weights=edges.weight[used], minlength=edges.n).astype(np.int64)
        raster.append(fired)
    return raster


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n", type=int, nargs="?", default=1024, help="neurons")
    parser.add_argument("k", type=int, nargs="?", default=100, help="fan-out before duplicates are dropped")
    args = parser.parse_args()
    made = make(args.n, args.k)
    print({"N": args.n, "K": args.k, "synapses": len(made.post), "digest": made.digest()})
