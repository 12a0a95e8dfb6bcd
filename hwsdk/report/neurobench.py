"""NeuroBench's metrics of a model, and of a deployed, quantised program, as plain values for JSON.

The definitions are those of NeuroBench 2.3.0 (Yik et al., Nat. Commun. 16:1545, 2025; its pages docs/metrics and its
code neurobench/metrics), which looks at PyTorch modules: a program of integers, or one whose weights are in a netlist,
it cannot see, and a quantised module it misreports, since it adds up the parameters that PyTorch has. Where its pages
and its code disagree, the code is followed, so that a float model gives the same numbers:

footprint_bytes_deployed
    Page "model footprint": the bytes that represent a model, "which reflects quantization, parameters, and buffering".
    Here: what the program keeps in the chip's memories; None where it keeps nothing in memories (SFQ: the weights are
    wiring) or where it is not known.
footprint_bytes_torch
    Code footprint.py: parameters and buffers at their PyTorch size. Here: weights and biases in float32. The package
    adds the neurons' buffers, which no exchange format has: 20 bytes for a Leaky of snnTorch with scalar parameters,
    and the membrane, so that its figure depends on whether, and in what batches, the model has run.
parameter_count
    Code parameter_count.py: elements of all torch parameters. Here: weights and biases of the model.
connection_sparsity
    The page calls it "the proportion of non-zero synaptic weights ... a measure of the density"; the code returns zeros
    over all weights, and so does this. Its docstring says rounded to 3 decimals, it rounds to 4; nothing is rounded
    here. Of a program: connections of weight 0 over all that the layers could have, a kernel's weight as often as it is
    used.
activation_sparsity
    Zeros over all outputs of neurons, all steps and samples. Populations that do not spike are not counted, inputs
    neither.
synops_per_sample {dense, eff_macs, eff_acs}
    Page "synaptic operations": "average number ... per model execution"; the code divides by samples, so that a sample
    of T steps counts T executions. Both are given: synops_per_execution is of one step. Effective: neither input nor
    weight is 0; biases, pooling and normalisation are not counted. The page says that operations with binary activation
    are accumulates; the code takes -1 for binary too, and decides for each layer, step and batch at once, so that its
    split depends on the batch size. Here all samples are one batch.
membrane_updates
    The page says changes by a spike, "difference between pre- and post-spike membrane potentials"; the code compares
    the membrane before and after a whole step, and counts every neuron in a sample's first step. So does this.
neuron_ops {effective, dense}
    The page says "only the updates that occur when neurons spike"; the code multiplies all membrane updates with a
    number of operations a neuron, which is published for four neurons of snnTorch. LIF and IF neurons are its Leaky,
    those with a synaptic current its Synaptic. None where a population is another.
execution_rate_hz
    Declared by who submits, not measured; None unless given.
system
    The rules of the system track: idle power is that of a configured chip, dynamic = active - idle, energy = power x
    execution time, pre-processing by itself. hwsdk computes them from counted events: idle is the static energy over
    the latency. inference_j is the dynamic energy of an inference, total_j with the static one. A part without a
    published price makes a figure a lower bound, which ``uncertainty`` says; what is not known at all is None.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsdk import backends
from hwsdk.backends.base import CompileOptions, Program
from hwsdk.backends.verify import decisions
from hwsdk.cost import Amount, CostReport
from hwsdk.errors import DataError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import IF, LIF, CubaLIF, DiscreteLIF, Neuron
from hwsdk.ir.single import SingleLIF
from hwsdk.ir.trace import Trace
from hwsdk.programs.crossbar import CrossbarProgram
from hwsdk.programs.loihi import LoihiProgram
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.report import neurobench_counts as counts
from hwsdk.simulators import reference

SCHEMA = "hwsdk-neurobench/1"
FLOAT32, WORD = 4, 8
"""Bytes of a torch float, and of a memory word of Loihi."""
OPERATIONS = {("Leaky", "subtract"): 4, ("Leaky", "value"): 4, ("Synaptic", "subtract"): 6, ("Synaptic", "value"): 8}
"""Operations of a neuron's update: neuron_ops_reset_operations in NeuroBench's neuron_operations.py ("value" is its
"zero").
"""
NO_CURRENT_MEMORY = 4095
"""du of a Loihi neuron whose current is forgotten within the step: 4,096 - du - 1 is 0."""


def measure(network: Network, data: Stimulus, *, program: Program | None = None, trace: Trace | None = None,
            options: CompileOptions | None = None, cost: CostReport | None = None,
            execution_rate_hz: float | None = None) -> dict[str, Any]:
    """NeuroBench's metrics of a model, or of a program of it; see this module for every definition.

    Args:
        network: the model as it was loaded. data: what it is measured on, with labels for the accuracy. program: of
        the model; without one the float model is measured, on a run of the reference. trace: of the program on these
        data, with the states (probes="all") for the neurons' figures; default: it is run. options: with which the
        program was compiled; they decide its numbers. cost: an estimate of the trace; default: it is made.
        execution_rate_hz: as declared.

    Returns:
        {"schema", "network", "target", "samples", "steps", "algorithm": {...}, "system": {...} or None, "notes"}.

    Raises:
        DataError: the data do not suit the model, or the trace does not suit the data. HwsdkError: see
        Backend.discrete.
    """
    if program is None:
        run = reference.run(network, data, probes="all") if trace is None else trace
        body = _algorithm(network, network, network, data, _require(run, data), None)
        return _document(network, data, "float", body | {"execution_rate_hz": execution_rate_hz}, None, ())
    backend = backends.get(program.target)
    if trace is None:
        trace = backend.simulate(program, data, probes="all", strict=False, progress=None)
    lowered, whole = (network, network) if network.is_integer else \
        backend.discrete(network, options or CompileOptions())[:2]
    stored, told = deployed_bytes(program)
    body = _algorithm(network, lowered, whole, data, _require(trace, data), stored)
    report = cost or backend.estimate(program, trace, None, "chip", {})
    return _document(network, data, f"{program.target}@{backend.target.version}",
                     body | {"execution_rate_hz": execution_rate_hz}, system(report, backend.target.version), told)


def _document(network: Network, data: Stimulus, target: str, algorithm: dict[str, Any], own: dict[str, Any] | None,
              notes: tuple[str, ...]) -> dict[str, Any]:
    return {"schema": SCHEMA, "network": network.name, "target": target, "samples": data.n_samples,
            "steps": data.n_steps, "algorithm": algorithm, "system": own, "notes": list(notes)}


def _require(trace: Trace, data: Stimulus) -> Trace:
    """Raise DataError unless the trace can be of these data."""
    if trace.n_samples != data.n_samples or trace.n_steps < data.n_steps:
        raise DataError(f"a trace of {trace.n_samples} samples of {trace.n_steps} steps for data of {data.n_samples} "
                        f"of {data.n_steps}", code="WRONG_TRACE", fix="give the trace of these data")
    return trace


def _algorithm(model: Network, dense: Network, whole: Network, data: Stimulus, trace: Trace, stored: int | None,
               ) -> dict[str, Any]:
    """The algorithm track: parameters are the model's, dense operations those of ``dense``, all else of ``whole``."""
    steps, samples = data.n_steps, data.n_samples
    floating = counts.is_model(whole)
    done = (counts.model_operations if floating else counts.chip_operations)(whole, data, trace)
    each = {"dense": counts.dense_connections(dense) * steps, "eff_macs": done.macs / samples,
            "eff_acs": done.acs / samples}
    parameters = parameter_count(model)
    updates = counts.membrane_updates(whole, trace, steps)
    return {
        "correctness": correctness(model, data, trace),
        "footprint_bytes_deployed": stored, "footprint_bytes_torch": parameters * FLOAT32,
        "parameter_count": parameters,
        "connection_sparsity": _model_sparsity(whole) if floating else _chip_sparsity(dense, whole),
        "activation_sparsity": counts.activation_sparsity(whole, trace, steps),
        "synops_per_sample": each, "synops_per_execution": {n: v / steps for n, v in each.items()},
        "membrane_updates": None if updates is None else sum(updates.values()) / samples,
        "neuron_ops": _neuron_ops(model, updates, samples, steps),
    }


def parameter_count(network: Network) -> int:
    """Weights and biases of a model's layers; of a network of projections its weights."""
    found = [*counts.layers(network).values(), *counts.joins(network).values()]
    return sum(node.parameters() for node in found)


def correctness(network: Network, data: Stimulus, trace: Trace) -> dict[str, float] | None:
    """{"accuracy": share of right decisions}, or None without labels or with several outputs."""
    names = list(network.outputs)
    if data.labels is None or len(names) != 1 or names[0] not in trace.spikes:
        return None
    return {"accuracy": float((decisions(trace, names[0], data.n_steps) == data.labels).mean())}


def _model_sparsity(network: Network) -> float | None:
    """Zeros over all weights of the layers."""
    found = [counts.weights_of(node) for node in counts.layers(network).values()]
    total = sum(n for n, _ in found)
    return sum(zeros for _, zeros in found) / total if total else None


def _chip_sparsity(dense: Network, whole: Network) -> float | None:
    """Connections of weight 0 over all that there could be."""
    total = counts.dense_connections(dense)
    return 1.0 - counts.live_connections(whole) / total if total else None


def kind_of(neuron: Neuron) -> str | None:
    """The neuron of snnTorch that NeuroBench would count this one as, or None."""
    if isinstance(neuron, LIF | IF):
        return "Leaky"
    if isinstance(neuron, CubaLIF):
        return "Synaptic"
    if isinstance(neuron, DiscreteLIF | SingleLIF) and neuron.fires:
        return "Synaptic" if neuron.decay_u.any() else "Leaky"
    if isinstance(neuron, FixedLIF) and neuron.fires:
        return "Leaky" if (neuron.du == NO_CURRENT_MEMORY).all() else "Synaptic"
    return None


def _neuron_ops(model: Network, updates: dict[str, float] | None, samples: int, steps: int,
                ) -> dict[str, float] | None:
    """Membrane updates, and all that there could be, times the operations of each; None where a neuron has none."""
    price = {n: OPERATIONS.get((kind_of(p) or "", getattr(p, "reset", model.semantics.reset)))
             for n, p in model.populations.items()}
    if updates is None or None in price.values() or not set(price) <= set(updates):
        return None
    return {"effective": sum(updates[n] * (k or 0) for n, k in price.items()) / samples,
            "dense": float(sum(model.populations[n].n * steps * (k or 0) for n, k in price.items()))}


def deployed_bytes(program: Program) -> tuple[int | None, tuple[str, ...]]:
    """(bytes that the program keeps in the chip's memories, or None; what is counted, in words)."""
    if isinstance(program, LoihiProgram):
        words = sum(int(u["total_words"]) for u in program.usage)
        return words * WORD, ("footprint_bytes_deployed: the words of synapses and axons of all cores",)
    if isinstance(program, SpinnakerProgram):
        return int(program.arrays.image.nbytes), ("footprint_bytes_deployed: the memory images of all PEs, no code",)
    if isinstance(program, CrossbarProgram):
        cells = sum(int(b.mask.sum()) for b in program.blocks)
        return None, (f"footprint_bytes_deployed: not in bytes; {cells:,} cells hold a conductance each, and how many "
                      "bits each can hold is not published",)
    if isinstance(program, PulseNetlist):
        return None, ("footprint_bytes_deployed: there is no memory; weights are pulses through the wiring of "
                      f"{program.n_cells:,} cells",)
    return None, ("footprint_bytes_deployed: not known for this target",)


def system(cost: CostReport, version: str) -> dict[str, Any]:
    """The system track from an estimate; J, W and s of one inference."""
    seconds = np.asarray(cost.latency_samples, np.float64)
    idle, dynamic = _idle(cost.energy_static, cost.latency), _dynamic(cost.energy_dynamic, cost.latency)
    figures = {"idle_w": idle, "active_w": idle + dynamic, "dynamic_w": dynamic, "exec_time_s": cost.latency,
               "inference_j": cost.energy_dynamic, "total_j": cost.energy_total}
    complete = not (cost.energy_static.missing or cost.energy_total.missing) and cost.energy_total.value
    error = float(seconds.std(ddof=1) / np.sqrt(len(seconds))) if len(seconds) > 1 else None
    return {
        "target": f"{cost.target}@{version}",
        "idle_w": figures["idle_w"].value, "active_w": figures["active_w"].value,
        "dynamic_w": figures["dynamic_w"].value,
        "static_share": (cost.energy_static.value or 0.0) / (cost.energy_total.value or 1.0) if complete else None,
        "exec_time_s": {"mean": cost.latency.value, "se": error, "p95": float(np.percentile(seconds, 95))},
        "preproc": None, "inference_j": cost.energy_dynamic.value, "total_j": cost.energy_total.value,
        "boundary": {"included": list(cost.included), "omitted": list(cost.omitted)}, "method": "simulated-cycle",
        "constants": [dict(c) for c in cost.constants], "proxy": cost.proxy or None,
        "uncertainty": {n: {"low": a.low, "high": a.high, "at_least": a.is_lower_bound,
                            "missing": list(dict.fromkeys(a.missing))} for n, a in figures.items()},
    }


def _idle(energy: Amount, time: Amount) -> Amount:
    """Static energy over time. It is a power times this time, so that the ends of their ranges belong together."""
    return _ratio(energy, time, time.low, time.high)


def _dynamic(energy: Amount, time: Amount) -> Amount:
    """Dynamic energy over time, which do not hang together: the widest range."""
    return _ratio(energy, time, time.high, time.low)


def _ratio(energy: Amount, time: Amount, under_low: float | None, under_high: float | None) -> Amount:
    """Energy over time, with what the low and the high energy are divided by."""
    if energy.value is None or not (time.value and under_low and under_high):
        return Amount(None, None, None, "W", energy.missing)
    return Amount(energy.value / time.value, (energy.low or 0.0) / under_low, (energy.high or 0.0) / under_high, "W",
                  energy.missing)
