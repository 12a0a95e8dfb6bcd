"""A single-precision network without plasticity, the other way round: every spike pushes its weights ahead in time, and
each neuron is three lines of float32. Kept apart from hwsdk's reference, which pulls from the past.
"""

from __future__ import annotations

import numpy as np

from hwsdk.ir.expand import explicit
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import ConvSynapses, Synapses
from hwsdk.ir.single import SingleLIF
from hwsdk.mappers.phases import phases_of

F = np.float32


class Twin:
    """One sample."""

    def __init__(self, network: Network, steps: int) -> None:
        self.phase, self.cells = phases_of(network).of, network.populations
        self.out: dict = {n: [] for n in self.phase}
        for name, node in network.of(Synapses, ConvSynapses).items():
            s = explicit(node)
            into, onto = network.sources(name)[0].source, network.targets(name)[0].target
            self.out[into].append((onto, s.source, s.target, s.weight, s.delay_ticks))
        longest = max((int(np.max(p[4], initial=0)) for ways in self.out.values() for p in ways), default=0)
        self.ring = {n: np.zeros((steps + longest + 1, c.n), np.int64) for n, c in self.cells.items()}
        self.u = {n: c.u_init.ravel().astype(F) for n, c in self.cells.items()}
        self.v = {n: c.v_init.ravel().astype(F) for n, c in self.cells.items()}
        self.left = {n: np.zeros(c.n, int) for n, c in self.cells.items()}

    def send(self, name: str, t: int, spikes: np.ndarray) -> None:
        for onto, source, target, weight, delay in self.out[name]:
            np.add.at(self.ring[onto], (t + delay, target), weight * spikes[source])

    def update(self, name: str, cell: SingleLIF, t: int) -> np.ndarray:
        par = {f: getattr(cell, f).ravel().astype(F) for f in ("decay_u", "decay_v", "bias", "v_threshold", "reset_by")}
        self.u[name] = par["decay_u"] * self.u[name] + self.ring[name][t].astype(F)
        v = par["decay_v"] * self.v[name] + self.u[name] + par["bias"]
        v = np.where(self.left[name] > 0, self.v[name], v)
        z = v >= par["v_threshold"] if cell.comparison == ">=" else v > par["v_threshold"]
        z = z & (self.left[name] == 0) & cell.fires
        rest = 0 if cell.refractory is None else cell.refractory.ravel()
        self.left[name] = np.where(z, rest, np.maximum(self.left[name] - 1, 0))
        self.v[name] = np.where(z, F(0) if cell.reset == "value" else v - par["reset_by"], v)
        assert self.v[name].dtype == self.u[name].dtype == F
        return z.astype(np.int64)


def run(network: Network, inputs: dict, steps: int) -> tuple[dict, dict]:
    """(spikes, v), each population -> (steps, n), of input -> (steps', n) whole values."""
    twin = Twin(network, steps)
    spikes = {n: np.zeros((steps, c.n), np.int64) for n, c in twin.cells.items()}
    v = {n: np.zeros((steps, c.n), F) for n, c in twin.cells.items()}
    for t in range(steps):
        for name in sorted(twin.phase, key=twin.phase.__getitem__):
            if name in inputs:
                z = inputs[name][t] if t < len(inputs[name]) else np.zeros(inputs[name].shape[1], np.int64)
            else:
                z = spikes[name][t] = twin.update(name, twin.cells[name], t)
                v[name][t] = twin.v[name]
            twin.send(name, t, z)
    return spikes, v
