"""Watch one forward pass of a torch module: which layer's output reaches which layer. torch is imported on use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hwsdk.errors import MissingDependencyError, ModelError
from hwsdk.ir.formats.modules_common import FRAMEWORKS, Step, forward_class
from hwsdk.ir.nodes import Shape

PIP = ("pip install torch==2.13.0, then pip install nir==1.0.8 snntorch==1.0.0 norse and "
       "pip install --no-deps sinabs==3.1.3 (docs/frameworks.md)")
PASS = {"clone", "detach", "contiguous", "float", "double", "to", "cpu", "requires_grad_", "dropout", "dropout1d",
        "dropout2d", "feature_dropout", "alpha_dropout", "unbind", "__iter__"}
RESHAPE = {"flatten", "view", "reshape", "unflatten", "squeeze", "unsqueeze"}
ADD = {"add", "__add__", "__radd__", "__iadd__", "add_"}
TRANSPARENT = {"Identity", "Dropout", "Dropout1d", "Dropout2d", "Flatten", "Unflatten", "Merge", "FlattenTime",
               "UnflattenTime"}
HIDDEN = ("give a sample that module(sample) accepts; in a torch.nn.Sequential, snnTorch layers need init_hidden=True, "
          "Norse layers need norse.torch.SequentialState")
FIRST = ("input", "input_", "input_tensor", "input_data", "x")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a tensor comes from. ``via``: "" for outputs, "membrane", "state", or what stands between the layers."""

    sources: tuple[str, ...]
    via: str = ""


@dataclass(slots=True, eq=False)
class Traced:
    """The traced graph. fed, given: layer -> kinds of output ("" or "membrane") that reach layers, or come out."""

    steps: dict[str, Step] = field(default_factory=dict)
    outputs: list[tuple[str, ...]] = field(default_factory=list)
    fed: dict[str, set[str]] = field(default_factory=dict)
    given: dict[str, set[str]] = field(default_factory=dict)
    notes: list[tuple[str, str, str]] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)


def import_torch() -> Any:
    """torch.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import torch.overrides
    except ImportError:
        raise MissingDependencyError("reading a torch module needs PyTorch, which is not installed", code="NO_TORCH",
                                     fix=PIP) from None
    return torch


def copied(module: Any) -> Any:
    """A copy on the CPU in evaluation mode; hidden states that carry gradients are copied without them."""
    import copy

    memo: dict[int, Any] = {}
    for part in module.modules():
        values = [*vars(part).values(), *part._buffers.values()]
        tensors = [v for v in values if getattr(v, "grad_fn", None) is not None]
        memo.update({id(t): t.detach().clone() for t in tensors})
    _copy_recurrent_sinabs(module, memo)
    return copy.deepcopy(module, memo).cpu().eval()


def _copy_recurrent_sinabs(module: Any, memo: dict[int, Any]) -> None:
    """sinabs cannot deepcopy its recurrent layers (their connection is a module inside)."""
    import copy

    for part in module.modules():
        if forward_class(part) == ("sinabs", "LIFRecurrent"):
            memo[id(part)] = type(part)(**{**part.arg_dict, "rec_connect": copy.deepcopy(part.rec_connect)})


def trace(module: Any, inputs: tuple[Any, ...], is_layer: Callable[[Any], bool]) -> Traced:
    """The layers that the sample meets, and how they are joined.

    Raises:
        ModelError: SAMPLE_FAILS, or what the tracer refuses (see docs/frameworks.md).
    """
    torch, copy = import_torch(), copied(module)
    originals = dict(module.named_modules())
    tracer = _Tracer(originals)
    for i, x in enumerate(inputs):
        name = "input" if len(inputs) == 1 else f"input.{i}"
        tracer.mark(x, Origin((name,)))
        tracer.traced.steps[name] = Step(name, "input", None, (), tuple(x.shape), tuple(x.shape))
    handles = [h for name, part in _hooked("", copy, is_layer) for h in tracer.hook(name, part)]
    try:
        with torch.no_grad(), _watching(torch, tracer):
            out = copy(*inputs)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"the module does not run on the sample: {type(error).__name__}: {error}",
                         code="SAMPLE_FAILS", fix=HIDDEN) from error
    finally:
        for handle in handles:
            handle.remove()
    tracer.finish(out)
    return tracer.traced


def _watching(torch: Any, tracer: _Tracer) -> Any:
    """A context in which every torch function on tensors is reported to the tracer."""

    def call(self: Any, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tracer.function(getattr(func, "__name__", "?"), args, kwargs or {}, out)
        return out

    return type("Watch", (torch.overrides.TorchFunctionMode,), {"__torch_function__": call})()


def _hooked(prefix: str, module: Any, is_layer: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    """Layers, and leaves that no reader knows; plain containers and the user's own functions are looked through."""
    leaf = not any(True for _ in module.children())
    known = forward_class(module)[0] in ("torch", *FRAMEWORKS)
    if is_layer(module) or type(module).__name__ in TRANSPARENT or (leaf and known and prefix):
        yield prefix or "0", module
        return
    for name, child in module.named_children():
        yield from _hooked(f"{prefix}.{name}" if prefix else name, child, is_layer)


def tensors_in(value: Any) -> list[Any]:
    """All tensors of nested tuples, lists and dicts."""
    if hasattr(value, "detach") and hasattr(value, "shape"):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in tensors_in(v)] if isinstance(value, list | tuple) else []


class _Tracer:
    """Follows tensors by identity; what it has seen is kept alive, so no identity is used twice."""

    def __init__(self, originals: dict[str, Any]) -> None:
        self.traced, self.originals = Traced(), originals
        self.origins: dict[int, Origin] = {}
        self.kept: list[Any] = []
        self.inside = 0
        self.here = ""
        self.pending: list[tuple[Origin, Shape]] = []

    def mark(self, tensor: Any, origin: Origin) -> None:
        """Remember where a tensor comes from."""
        self.origins[id(tensor)] = origin
        self.kept.append(tensor)

    def hook(self, name: str, part: Any) -> list[Any]:
        """Handles of the hooks of one module."""
        if type(part).__name__ in TRANSPARENT:
            return [part.register_forward_pre_hook(lambda m, a: setattr(self, "here", name)),
                    part.register_forward_hook(lambda m, a, o: setattr(self, "here", ""))]
        return [part.register_forward_pre_hook(lambda m, a, k: self.enter(name, a, k), with_kwargs=True),
                part.register_forward_hook(lambda m, a, o: self.leave(name, o))]

    def enter(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A layer is called: its first argument is its input, the others are states."""
        x = args[0] if args else next((kwargs[k] for k in FIRST if k in kwargs), None)
        self.inside += 1
        self.pending.append((self._input(name, x), tuple(getattr(x, "shape", ()))))

    def _input(self, name: str, x: Any) -> Origin:
        """Where the input of a layer comes from."""
        if not hasattr(x, "shape"):
            raise ModelError(f"its input is a {type(x).__name__}, not a tensor", where=name, code="SAMPLE_FAILS",
                             fix=HIDDEN)
        origin = self.origins.get(id(x))
        if origin is None:
            raise ModelError("its input does not come from the sample or from another layer", where=name,
                             code="UNTRACED_INPUT", fix="feed it with layers only; for loops use a recurrent layer "
                             "(RLeaky, RSynaptic, LIFRecurrent, LIFRecurrentCell)")
        if origin.via not in ("", "membrane"):
            raise ModelError(f"{origin.via} stands between {', '.join(origin.sources)} and this layer", where=name,
                             code="UNTRACED_OPERATION", fix="only layers, flattening and sums have a meaning in NIR; "
                             "use a layer that hwsdk reads (docs/frameworks.md)")
        for source in origin.sources:
            self.traced.fed.setdefault(source, set()).add(origin.via)
        return origin

    def leave(self, name: str, out: Any) -> None:
        """A layer returns its output, and perhaps its states after it."""
        self.inside -= 1
        origin, in_shape = self.pending.pop()
        results = tensors_in(out)
        for i, tensor in reversed(list(enumerate(results))):  # the output may be among the states too
            self.mark(tensor, Origin((name,), "" if i == 0 else "membrane" if i == len(results) - 1 else "state"))
        shape = tuple(results[0].shape) if results else ()
        self._add(Step(name, "layer", self.originals.get(name, self.originals[""]), origin.sources, in_shape, shape))

    def _add(self, step: Step) -> None:
        """Add a step; a later call must look like the first."""
        before = self.traced.steps.setdefault(step.name, step)
        self.traced.calls[step.name] = self.traced.calls.get(step.name, 0) + 1
        if (before.sources, before.in_shape) != (step.sources, step.in_shape):
            raise ModelError(f"it is called with the output of {', '.join(before.sources)} and of "
                             f"{', '.join(step.sources)}", where=step.name, code="SHARED_LAYER",
                             fix="use a layer of its own for each place in the network")

    def function(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        """A torch function was called between the layers."""
        if self.inside:
            return
        if name == "__setitem__" and id(args[-1]) in self.origins:
            self.mark(args[0], self.origins[id(args[-1])])
        found = [t for t in tensors_in([args, kwargs]) if id(t) in self.origins]
        for result in tensors_in(out) if found else []:
            self.mark(result, self._origin(name, args, kwargs, found, result))

    def _origin(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], found: list[Any],
                result: Any) -> Origin:
        """Where the result of a torch function comes from."""
        origins = [self.origins[id(t)] for t in found]
        first, same = origins[0], len(set(origins)) == 1
        if name in PASS or (name == "__getitem__" and self._is_step(args)) or (name == "stack" and same):
            return first
        if name in RESHAPE:
            return first if tuple(found[0].shape) == tuple(result.shape) else self._reshape(first, found[0], result)
        if name in ADD and not kwargs and not any(o.via for o in origins):
            if len(found) == 2 and all(t.shape == result.shape for t in found) and not same:
                return Origin(tuple(sorted({s for o in origins for s in o.sources})))
            if len(found) == 1 and any(isinstance(a, int | float) and a == 0 for a in args):
                return first
        return Origin(tuple(sorted({s for o in origins for s in o.sources})), f"torch's {name.strip('_')}")

    def _is_step(self, args: tuple[Any, ...]) -> bool:
        """x[t] and x[:, t] take one step out of a time axis; ``finish`` checks that there was a loop."""
        index = args[1] if isinstance(args[1], tuple) else (args[1],)
        if not isinstance(index[-1], int) or any(i != slice(None) for i in index[:-1]) or len(index) > 2:
            return False
        if args[0].shape[len(index) - 1] > 1:
            self.traced.notes.append(("", "INDEXED", ""))
        return True

    def _reshape(self, origin: Origin, before: Any, after: Any) -> Origin:
        """A reshape between two layers."""
        if origin.via:
            return origin
        name = self.here or f"{'+'.join(origin.sources)}.flatten"
        step = Step(name, "reshape", None, origin.sources, tuple(before.shape), tuple(after.shape))
        old = self.traced.steps.get(name)
        while old is not None and (old.kind, old.sources, old.in_shape, old.out_shape) != (
                "reshape", step.sources, step.in_shape, step.out_shape):
            name += "_"
            old = self.traced.steps.get(name)
        self.traced.steps[name] = Step(name, "reshape", None, step.sources, step.in_shape, step.out_shape)
        return Origin((name,))

    def finish(self, out: Any) -> None:
        """Take the outputs; what stands behind the last layer is noted and left out."""
        for tensor in tensors_in(out):
            origin = self.origins.get(id(tensor))
            if origin is None or origin.via == "state":
                continue
            self._output(origin)
        if not self.traced.outputs:
            raise ModelError("the module's result does not come from its layers", code="NO_OUTPUT",
                             fix="return the output of a layer")
        indexed = any(code == "INDEXED" for _, code, _ in self.traced.notes)
        self.traced.notes = [n for n in self.traced.notes if n[1] != "INDEXED"]
        if indexed and max(self.traced.calls.values(), default=0) == 1:
            raise ModelError("the forward pass picks parts of its input by index", code="INDEXED_INPUT",
                             fix="index the time axis in a loop only; split inputs with layers")

    def _output(self, origin: Origin) -> None:
        """One result of the forward pass."""
        for source in origin.sources:
            self.traced.given.setdefault(source, set()).add("membrane" if origin.via == "membrane" else "")
        if origin.via not in ("", "membrane"):
            self.traced.notes.append(("changed", "AFTER_OUTPUT", f"{origin.via} stands behind "
                                      f"{', '.join(origin.sources)}; it is not part of the network"))
        if origin.sources not in self.traced.outputs:
            self.traced.outputs.append(origin.sources)

