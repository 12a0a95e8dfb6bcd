"""Runs in an environment with the package neurobench: what it measures on a model of snnTorch.

neurobench_package.py IN.npz ...: "layers" is JSON, a list of ["linear", name], ["conv", name, stride, padding],
["flatten"], ["leaky", beta, reset] and ["synaptic", alpha, beta, reset]; "name.w" and "name.b" are weights and biases,
"x" the data, (samples, steps, ...), "y" the labels. Prints one line of JSON, a list.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import snntorch
import torch
from neurobench.benchmarks import Benchmark
from neurobench.metrics.static import ConnectionSparsity, Footprint, ParameterCount
from neurobench.metrics.workload import (
    ActivationSparsity,
    ClassificationAccuracy,
    MembraneUpdates,
    NeuronOperations,
    SynapticOperations,
)
from neurobench.models import SNNTorchModel
from torch.utils.data import DataLoader, TensorDataset


def module(layer, arrays, last):
    kind, *rest = layer
    if kind == "flatten":
        return torch.nn.Flatten()
    if kind in ("leaky", "synaptic"):
        *decays, reset = rest
        names = ("beta",) if kind == "leaky" else ("alpha", "beta")
        make = snntorch.Leaky if kind == "leaky" else snntorch.Synaptic
        own = {"reset_delay": False} if reset == "zero" else {}  # as hwsdk's reset_timing: see test_neurobench.py
        return make(**dict(zip(names, decays, strict=True)), threshold=1.0, init_hidden=True, output=last,
                    reset_mechanism=reset, **own)
    w, b = (torch.tensor(arrays[f"{rest[0]}.{n}"]) for n in "wb")
    made = torch.nn.Linear(w.shape[1], w.shape[0]) if kind == "linear" else \
        torch.nn.Conv2d(w.shape[1], w.shape[0], tuple(w.shape[2:]), stride=rest[1], padding=rest[2])
    with torch.no_grad():
        made.weight.copy_(w)
        made.bias.copy_(b)
    return made


def measured(path):
    arrays = np.load(path)
    layers = json.loads(str(arrays["layers"]))
    net = torch.nn.Sequential(*(module(m, arrays, k == len(layers) - 1) for k, m in enumerate(layers)))
    data = TensorDataset(torch.tensor(arrays["x"]), torch.tensor(arrays["y"]))
    buffers = sum(b.numel() * b.element_size() for b in net.buffers())
    found = Benchmark(
        SNNTorchModel(net), DataLoader(data, batch_size=len(data)), [], [lambda spikes: spikes.sum(1).argmax(1)],
        [[Footprint, ConnectionSparsity, ParameterCount],
         [ClassificationAccuracy, ActivationSparsity, SynapticOperations, MembraneUpdates, NeuronOperations]],
    ).run(quiet=True)
    return {**found, "buffers": buffers}


if __name__ == "__main__":
    print(json.dumps([measured(path) for path in sys.argv[1:]]))
