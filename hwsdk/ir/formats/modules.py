"""snnTorch, sinabs and Norse modules as networks: trace a sample, read every layer, settle the semantics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hwsdk.errors import ModelError
from hwsdk.ir.formats import modules_layers, modules_norse, modules_sinabs, modules_snntorch
from hwsdk.ir.formats.convert import convert
from hwsdk.ir.formats.modules_common import FRAMEWORKS, Fragment, Layer, Reader, kind_of
from hwsdk.ir.formats.modules_shapes import Features, features, flatten_axes
from hwsdk.ir.formats.modules_trace import Traced, import_torch, tensors_in, trace
from hwsdk.ir.formats.raw import RawGraph, RawNode
from hwsdk.ir.ledger import LedgerEntry, LedgerWriter
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import Shape

READERS = (modules_snntorch.READER, modules_sinabs.READER, modules_norse.READER)
STATES = ("v_mem", "i_syn", "mem", "syn", "spk")
PRECISIONS = {"torch.float32": "float32", "torch.float64": "float64"}


def is_module(source: object) -> bool:
    """True for a torch.nn.Module, without importing torch."""
    named = all(hasattr(source, name) for name in ("named_modules", "state_dict", "forward"))
    return named and callable(source) and not isinstance(source, type)


def from_module(module: Any, sample: Any, name: str = "network", given: Mapping[str, Any] | None = None) -> Network:
    """The network that a torch module computes, with the semantics of its framework.

    Args:
        module: built from snnTorch, sinabs or Norse layers; it is copied, not changed.
        sample: what module(sample) accepts: a tensor or array (a tuple for several inputs); values do not matter.
        given: fields of ir.Semantics that the user sets; they win over what the module says, with a ledger warning.

    Returns:
        A validated Network; its populations and layers have the module's own names ("0", "fc1", "lif1.w_rec").

    Raises:
        MissingDependencyError: PyTorch is not installed.
        ModelError: no sample, or something that has no equal in hwsdk; ``where`` names the layer.
    """
    torch, chosen = import_torch(), dict(given or {})
    if sample is None:
        raise ModelError("a torch module needs a sample of its input", where=name, code="SAMPLE_MISSING",
                         fix="load(module, sample=x), where module(x) works; the values of x do not matter")
    reader = _reader(module)
    traced = trace(module, _inputs(torch, module, sample),
                   lambda m: reader.is_population(m) or modules_layers.is_map(m))
    shapes = features(traced.steps, lambda m, ndim: _ranks(reader, m, ndim))
    ledger = LedgerWriter()
    populations = [(s.name, s.module) for s in traced.steps.values() if s.kind == "layer"
                   and reader.is_population(s.module)]
    _check_populations(populations, traced, module, reader, ledger)
    dt = float(chosen.get("dt", reader.dt(populations)))
    parts = {n: _fragment(n, traced, shapes, reader, dt) for n, s in traced.steps.items() if s.kind == "layer"}
    settled = {**reader.base, "dt": dt, "precision": _precision(module)}
    settled |= _settings({n: p for n, p in parts.items() if p.settings}, chosen, ledger)
    graph = _graph(traced, shapes, parts, f"none (a {reader.name} module)")
    _note(traced, shapes, parts, reader, settled, chosen, ledger)
    network = convert(graph, name, given={k: v for k, v in {**settled, **chosen}.items() if v is not None})
    _check_shapes(network, traced, shapes, parts)
    return network.replace(ledger=ledger.done() + network.ledger)


def _reader(module: Any) -> Reader:
    """The reader of the one framework that the module's layers come from."""
    roots = {type(m).__module__.split(".")[0] for m in module.modules()}
    found = [r for r in READERS if r.name in roots]
    spiking = [r for r in found if any(r.is_population(m) for m in module.modules())] or found
    if len(spiking) == 1:
        return spiking[0]
    if spiking:
        raise ModelError(f"layers of {' and '.join(r.name for r in spiking)} are mixed", code="MIXED_FRAMEWORKS",
                         fix="one network has one rule for its steps; use the layers of one framework")
    raise ModelError(f"a {kind_of(module)} without layers of {', '.join(FRAMEWORKS)}", code="NO_NEURONS",
                     fix="convert it to a spiking network first, for example with sinabs.from_torch.from_model")


def _inputs(torch: Any, module: Any, sample: Any) -> tuple[Any, ...]:
    """Fresh tensors on the CPU, of the module's precision unless they are floats already."""
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    parts = sample if isinstance(sample, tuple) else (sample,)
    tensors = [x.detach().cpu() if tensors_in(x) else torch.as_tensor(np.asarray(x)) for x in parts]
    return tuple(x.to(dtype).clone() for x in tensors)


def _precision(module: Any) -> str:
    """The floating-point format of all weights."""
    found = sorted({str(p.dtype) for p in module.parameters() if p.is_floating_point()})
    strange = [d for d in found if d not in PRECISIONS]
    if strange:
        raise ModelError(f"parameters are {strange[0]}", code="PRECISION", fix="load module.float()")
    return "float64" if "torch.float64" in found else "float32"


def _ranks(reader: Reader, module: Any, ndim: int) -> tuple[int, int] | None:
    """Ranks of a layer's features in and out."""
    rank = reader.rank(module, ndim) if reader.is_population(module) else modules_layers.rank(module)
    return None if rank is None else (rank, rank)


def _check_populations(populations: list[tuple[str, Any]], traced: Traced, module: Any, reader: Reader,
                       ledger: LedgerWriter) -> None:
    """There must be some; those that the sample does not reach are noted."""
    if not populations:
        for step in traced.steps.values():
            if step.kind == "layer" and not modules_layers.is_map(step.module):
                modules_layers.read(Layer(step.name, step.module, (), (), ()))  # refuses it by name
        raise ModelError("the sample reaches no spiking layer", code="NO_NEURONS", fix="check the forward pass")
    reached = {id(m) for _, m in populations}
    for name, part in module.named_modules():
        if reader.is_population(part) and id(part) not in reached:
            ledger.warning(name, "UNREACHED", f"the sample does not reach this {kind_of(part)}; it was left out")
        if reader.is_population(part) and any(_nonzero(getattr(part, state, None)) for state in STATES):
            ledger.assumed(name, "STATE_RESET", "it holds the state of an earlier run; the network starts at rest")


def _nonzero(state: Any) -> bool:
    """True for a state tensor that is not at rest."""
    return hasattr(state, "detach") and bool((state.detach() != 0).any())


def _fragment(name: str, traced: Traced, shapes: Features, reader: Reader, dt: float) -> Fragment:
    """One layer as raw nodes."""
    step = traced.steps[name]
    fed, out = traced.fed.get(name, set()), traced.given.get(name, set())
    readout = "membrane" in fed | out and "" not in fed and getattr(step.module, "reset_mechanism", "") == "none"
    layer = Layer(name, step.module, shapes.after(name), shapes.before(name), step.out_shape, readout)
    if not reader.is_population(step.module):
        return modules_layers.read(layer)
    if "membrane" in fed and not readout:
        raise ModelError("its membrane goes into another layer", where=name, code="MEMBRANE_USED",
                         fix="a spiking layer passes on spikes; reset_mechanism='none' makes one that passes on v")
    return reader.read(layer, dt)


def _settings(parts: Mapping[str, Fragment], chosen: Mapping[str, Any], ledger: LedgerWriter) -> dict[str, Any]:
    """The settings that all populations share; what the user gave decides where they do not.

    Raises:
        ModelError: MIXED_SETTINGS, or the refusal of a reader.
    """
    fields = list(dict.fromkeys(f for p in parts.values() for f in p.settings))
    settled = {}
    for field in fields:
        values = {name: p.settings[field] for name, p in parts.items() if field in p.settings}
        error = next((v for v in values.values() if isinstance(v, ModelError)), None)
        if field in chosen:
            if error is not None:
                ledger.warning(error.where, error.code, f"{error.what}: run with {field}={chosen[field]}")
            continue
        if error is not None:
            raise error
        settled[field] = _shared(field, values)
    return settled


def _shared(field: str, values: Mapping[str, Any]) -> Any:
    """The one value of a setting."""
    first = next(iter(values.values()))
    if all(v == first or (isinstance(v, float) and isinstance(first, float) and abs(v - first) <= 1e-6 * abs(first))
           for v in values.values()):
        return first
    groups: dict[str, list[str]] = {}
    for name, value in values.items():
        groups.setdefault(str(value), []).append(name)
    told = "; ".join(f"{value}: {', '.join(names)}" for value, names in groups.items())
    raise ModelError(f"the layers differ in {field} ({told})", code="MIXED_SETTINGS",
                     fix=f"hwsdk runs one rule for the whole network: train all layers with the same, or load with "
                     f"{field}=... and compare the spikes")


def _graph(traced: Traced, shapes: Features, parts: Mapping[str, Fragment], version: str) -> RawGraph:
    """All fragments, joined."""
    nodes: dict[str, RawNode] = {n: node for p in parts.values() for n, node in p.nodes.items()}
    edges: list[tuple[str, str]] = [e for p in parts.values() for e in p.edges]
    exits: dict[str, tuple[str, ...]] = {n: (p.exit,) for n, p in parts.items()}
    for name, step in traced.steps.items():
        if step.kind == "input":
            exits[name] = (_free(name, nodes),)
            nodes[exits[name][0]] = RawNode("Input", {"shape": np.asarray(shapes.after(name))})
        elif step.kind == "reshape":
            _add_reshape(name, step.sources, shapes, nodes, edges, exits)
    for name, part in parts.items():
        edges += [(e, part.entry) for s in traced.steps[name].sources for e in exits[s]]
    for k, sources in enumerate(traced.outputs):
        name = _free("output" if len(traced.outputs) == 1 else f"output.{k}", nodes)
        nodes[name] = RawNode("Output", {"shape": np.asarray(shapes.after(sources[0]))})
        edges += [(e, name) for s in sources for e in exits[s]]
    return RawGraph(nodes, tuple(edges), version)


def _add_reshape(name: str, sources: tuple[str, ...], shapes: Features, nodes: dict[str, RawNode],
                 edges: list[tuple[str, str]], exits: dict[str, tuple[str, ...]]) -> None:
    """A Flatten, or nothing where only batch and time axes change."""
    ends = tuple(e for s in sources for e in exits[s])
    axes = flatten_axes(name, shapes.before(name), shapes.after(name))
    exits[name] = ends if axes is None else (name,)
    if axes is not None:
        nodes[name] = RawNode("Flatten", {"start_dim": np.asarray(axes[0]), "end_dim": np.asarray(axes[1])})
        edges += [(e, name) for e in ends]


def _free(name: str, nodes: Mapping[str, RawNode]) -> str:
    """A name that is not taken."""
    while name in nodes:
        name += "_"
    return name


def _note(traced: Traced, shapes: Features, parts: Mapping[str, Fragment], reader: Reader, settled: Mapping[str, Any],
          chosen: Mapping[str, Any], ledger: LedgerWriter) -> None:
    """What was read off the module, assumed, and set by the user against it."""
    told = ", ".join(f"{k}={v}" for k, v in settled.items() if v is not None)
    ledger.read("", "MODULE", f"semantics of {reader.name}, read off the module: {told}")
    for name, part in parts.items():
        if part.note:
            ledger.read(name, "LAYER", f"{kind_of(traced.steps[name].module)}: {part.note}")
        if "membrane" in traced.given.get(name, set()) and part.settings:
            ledger.read(name, "MEMBRANE", "the forward pass also returns the membrane; record it with a probe")
    for name in shapes.assumed:
        ledger.assumed(name, "BATCH_AXIS", f"no layer settles the shape; {shapes.after(name)} was taken")
    for kind, code, text in traced.notes:
        ledger.entries.append(LedgerEntry(kind, "", code, text))
    for field, value in chosen.items():
        if field in settled and settled[field] != value:
            told = f"the module says {field}={settled[field]}, {field}={value} was given"
            ledger.warning("", "SETTING_CHANGED", told)


def _check_shapes(network: Network, traced: Traced, shapes: Features, parts: Mapping[str, Fragment]) -> None:
    """The network's shapes must be those that torch computed."""
    for name, part in parts.items():
        expected: Shape = shapes.after(name)
        if network.shapes[part.exit] != expected:
            raise ModelError(f"torch computes {expected}, the network {network.shapes[part.exit]}", where=name,
                             code="SHAPE_MISMATCH", fix="please report this module")
