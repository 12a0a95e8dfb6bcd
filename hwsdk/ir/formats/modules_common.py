"""What the readers of torch modules share: traced steps, fragments of a graph, parameters as full-shape arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ModelError
from hwsdk.ir.formats.raw import RawNode
from hwsdk.ir.nodes import Shape

Floats = NDArray[np.float64]
NEVER = 2.0**60  # a time constant in steps so long that nothing leaks in float64: 1 - 2^-60 and exp(-2^-60) are 1
FRAMEWORKS = ("snntorch", "sinabs", "norse")


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One node of the traced forward pass: the calls of a module, or a reshape between modules.

    kind: "input", "layer" or "reshape". module: the user's own module of a layer. sources: names of the steps whose
    outputs add up to the input. in_shape, out_shape: the tensors of the first call, leading batch or time axes too.
    """

    name: str
    kind: str
    module: Any
    sources: tuple[str, ...]
    in_shape: Shape
    out_shape: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A layer for its reader: ``shape`` and ``before`` are what goes out and in, without batch or time.

    tensor: out-shape of the traced call, which parameters broadcast against. readout: only its membrane is used.
    """

    name: str
    module: Any
    shape: Shape
    before: Shape
    tensor: Shape
    readout: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Fragment:
    """A layer as raw nodes. Edges into the layer go to ``entry``, those out of it leave ``exit``.

    settings: fields of ir.Semantics that the layer fixes; an error in place of a value means that only the user can
    settle the field. note: one line for the ledger.
    """

    nodes: Mapping[str, RawNode]
    entry: str
    exit: str
    edges: tuple[tuple[str, str], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Reader:
    """How one framework's populations are read.

    is_population: module -> bool. rank: (module, ndim of its input) -> rank of its features, None where any will do.
    read: (layer, dt) -> Fragment. dt: the populations -> dt. base: fields of ir.Semantics that the framework fixes.
    """

    name: str
    is_population: Callable[[Any], bool]
    rank: Callable[[Any, int], int | None]
    read: Callable[[Layer, float], Fragment]
    dt: Callable[[list[tuple[str, Any]]], float]
    base: Mapping[str, Any]


def forward_class(module: object) -> tuple[str, str]:
    """(root package, name) of the class whose ``forward`` the module runs."""
    for cls in type(module).__mro__:
        if "forward" in vars(cls):
            return cls.__module__.split(".")[0], cls.__name__
    return type(module).__module__.split(".")[0], type(module).__name__


def kind_of(module: object) -> str:
    """The name that people know the module by, for example ``snntorch.Leaky``."""
    return f"{type(module).__module__.split('.')[0]}.{type(module).__name__}"


def array(value: Any) -> Floats:
    """A parameter (tensor or number) as float64, on the host."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().double().numpy()
    return np.asarray(value, np.float64)


def full(value: Any, layer: Layer, name: str) -> Floats:
    """A parameter at the population's shape, broadcast as torch broadcasts it in the forward pass.

    Raises:
        ModelError: SHAPE_MISMATCH for a parameter that differs along the batch axis or does not broadcast.
    """
    stored = array(value)
    lead = len(layer.tensor) - len(layer.shape)
    try:
        wide = np.broadcast_to(stored, layer.tensor)
    except ValueError:
        wide = None
    if wide is None or any(n != 1 for n in stored.shape[: max(stored.ndim - len(layer.shape), 0)]):
        raise ModelError(f"{name} has shape {stored.shape}, the population has {layer.shape}", where=layer.name,
                         code="SHAPE_MISMATCH", fix="give one value for each neuron, or one for all")
    return np.array(wide[(0,) * lead])


def uniform(value: Floats) -> bool:
    """True if all elements are the same."""
    return bool((value == value.flat[0]).all())


def shown(value: Floats) -> str:
    """One number, or the range of several."""
    return f"{value.flat[0]:g}" if uniform(value) else f"{value.min():g}..{value.max():g}"


def refuse(layer: Layer, what: str, code: str, fix: str) -> ModelError:
    """A refusal that names the layer."""
    return ModelError(f"{kind_of(layer.module)} with {what}", where=layer.name, code=code, fix=fix)
