"""SANA-FE's bundled DVS-gesture network on its Loihi architecture, with a given core for every neuron.

usage: mapping_sanafe_child.py STEPS OUT.npz [PLACEMENT.npz]      (with a Python that has SANA-FE 2.2.9, numpy, pyyaml)

PLACEMENT.npz holds ``core``: the index in arch.cores() of every neuron, layer by layer; without it the cores are those
of tutorial 5. OUT.npz gets the shapes, the kernels and the spikes of every neuron; printed is one JSON object.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import sanafe
import sanafe.layers as layers
import sanafe.tutorial

TUTORIAL = (1, 4, 16, 16, 4, 1)
"""Cores of each layer in tutorial 5."""


def main() -> None:
    steps, out = int(sys.argv[1]), sys.argv[2]
    with sanafe.tutorial.get_dvs_data() as file:
        data = dict(np.load(file).items())
    arch, snn = sanafe.load_loihi(), sanafe.Network()
    theta = data["thresholds"]
    chain = [layers.Input2D(snn, 32, 32, threshold=theta[0])]
    chain.append(layers.Conv2D(snn, chain[0], data["conv1"], stride_width=2, stride_height=2, threshold=theta[1]))
    for k in (2, 3, 4):
        chain.append(layers.Conv2D(snn, chain[-1], data[f"conv{k}"], threshold=theta[k]))
    chain.append(layers.Dense(snn, chain[-1], 11, data["dense1"], threshold=theta[5]))
    for neuron, bias in zip(chain[0], data["inputs"], strict=True):
        neuron.set_attributes(model_attributes={"bias": bias})
    for layer in chain:
        for neuron in layer:
            neuron.set_attributes(log_spikes=True)
    sizes = [len(x) for x in chain]
    core = np.load(sys.argv[3])["core"] if len(sys.argv) > 3 else tutorial(sizes)
    cores = arch.cores()
    order = iter(core)
    for layer in chain:
        for neuron in layer:
            neuron.map_to_core(cores[int(next(order))])
    chip = sanafe.SpikingChip(arch)
    chip.load(snn)
    result = chip.sim(steps, timing_model="detailed", spike_trace=True)
    names = [x.group.get_name() if hasattr(x.group, "get_name") else x.group.name for x in chain]
    first = dict(zip(names, np.r_[0, np.cumsum(sizes)[:-1]], strict=True))
    spikes = np.zeros(sum(sizes), np.int64)
    for fired in result["spike_trace"]:
        for neuron in fired:
            spikes[first[neuron.group_name] + neuron.neuron_offset] += 1
    shapes = [(x.height, x.width, x.channels) for x in chain[:-1]]
    np.savez(out, sizes=sizes, shapes=shapes, spikes=spikes, core=core, **{k: data[k] for k in data if "conv" in k})
    keys = ("spikes", "packets_sent", "neurons_updated", "neurons_fired", "energy", "sim_time")
    print(json.dumps({k: result[k] for k in keys} | {"cores": len(set(map(int, core)))}))


def tutorial(sizes: list[int]) -> np.ndarray:
    """The cores of tutorial 5: every layer in equal parts, one after the other."""
    core, first = [], 0
    for n, parts in zip(sizes, TUTORIAL, strict=True):
        core.append(first + np.minimum(np.arange(n) // (n // parts), parts - 1))
        first += parts
    return np.concatenate(core)


if __name__ == "__main__":
    main()
