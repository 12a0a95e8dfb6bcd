"""Networks of lava-dl: .net files (HDF5) as integer networks, the way netx builds them in Lava.

Written from lava-dl 0.6.0: lava/lib/dl/netx/hdf5.py (Network: which layers there are, how they follow each other, when
they are reset), its utils.py and blocks/process.py, and the exporters of lava/lib/dl/slayer/block. Shapes are
(channels, height, width), as the file stores them; netx turns them round for Lava and back at a flatten. Every
connection takes one step, a graph input's too: a value of step t reaches an input layer's neurons in step t + 1.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hwsdk.errors import ModelError, SemanticsError
from hwsdk.ir.fixed import FixedATRLIF, FixedLIF, FixedNeuron, FixedRF, FixedSigmaDelta
from hwsdk.ir.formats import lava_dl_synapses as connect
from hwsdk.ir.formats.convert import placed
from hwsdk.ir.formats.hdf5 import Tree, open_hdf5, survey
from hwsdk.ir.formats.lava_dl_fields import Group
from hwsdk.ir.formats.lava_dl_neurons import Wish, population
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import ConvSynapses, Input, Node, Output, Shape, Synapses, frozen, size
from hwsdk.ir.semantics import preset

LAYERS = ("input", "dense", "dense_rec", "conv", "pool", "flatten")
KNOWN_TO_SLAYER = ("average", "convT", "unpool", "concat")
V_MAX = (1 << 23) - 1


@dataclass(frozen=True, slots=True)
class LavaDlOptions:
    """Arguments of netx's Network that a caller may give to ``hwsdk.load``.

    num_layers: only the first so many layers of the file. skip_layers: leave out the first so many of them.
    input_shape: (channels, height, width) of the input, where the file does not say it.
    reset_interval, reset_offset: u = v = 0 of the first layer's neurons before the steps t = 1, 2, ... with
    t % interval == (offset + 1) % interval, one step later for every further layer. spike_exp: of sigma-delta neurons.
    """

    num_layers: int | None = None
    skip_layers: int = 0
    input_shape: Shape | None = None
    reset_interval: int | None = None
    reset_offset: int = 0
    spike_exp: int = 6


def is_lava_dl(source: object) -> bool:
    """True for the path of an HDF5 file with a group ``layer`` and no ``node``."""
    if not isinstance(source, str | os.PathLike):
        return False
    try:
        with h5py.File(Path(os.fspath(source)), "r") as file:
            return "layer" in file and "node" not in file
    except (OSError, ValueError, RuntimeError, KeyError, TypeError):
        return False


def read_lava_dl(path: Path, name: str, given: Mapping[str, Any]) -> Network:
    """The integer network of a .net file; ``given``: fields of LavaDlOptions, None means not given.

    Raises:
        ModelError: the file cannot be read, or holds a layer, neuron or field that is not known; ``where`` names it.
        SemanticsError: UNKNOWN_OPTION, BAD_OPTION.
    """
    try:
        options = _options(given)
        network: Network = open_hdf5(path, lambda file: _Builder(options, _layers(file)).network(name, file))
    except ModelError as error:
        raise placed(error, path.name) from None
    return network


def _options(given: Mapping[str, Any]) -> LavaDlOptions:
    """Checked options."""
    wanted = {k: v for k, v in given.items() if v is not None}
    known = [f.name for f in fields(LavaDlOptions)]
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise SemanticsError(f"a lava-dl network states its own semantics and takes no {', '.join(unknown)}",
                             code="UNKNOWN_OPTION", fix=f"leave it out; it takes {', '.join(known)}")
    least = {"num_layers": 1, "reset_interval": 1, "reset_offset": -(1 << 31)}
    for key, value in wanted.items():
        values = value if key == "input_shape" and isinstance(value, list | tuple) else (value,)
        low, high = (1, 1 << 24) if key == "input_shape" else (least.get(key, 0), 7 if key == "spike_exp" else 1 << 31)
        if not values or not all(isinstance(v, int | np.integer) and low <= v <= high for v in values):
            raise SemanticsError(f"{key} is {value!r}", code="BAD_OPTION", fix=f"give integers from {low} to {high}")
    if "input_shape" in wanted:
        wanted["input_shape"] = tuple(int(v) for v in np.atleast_1d(wanted["input_shape"]))
    return LavaDlOptions(**wanted)


def _layers(file: h5py.File) -> list[Tree]:
    """The layers' groups, in order."""
    layers = survey(file).get("layer")
    if not isinstance(layers, dict) or not layers:
        raise ModelError("the group /layer holds no layers", where="/layer", code="EMPTY_MODEL",
                         fix="export the network again with lava-dl")
    if set(layers) != {str(i) for i in range(len(layers))}:
        raise ModelError(f"its groups are {', '.join(sorted(layers))[:80]}, wanted are 0 to {len(layers) - 1}",
                         where="/layer", code="MISSING_GROUP", fix="export the network again with lava-dl")
    for key, layer in layers.items():
        if not isinstance(layer, dict):
            raise ModelError("it is a dataset, not a group", where=f"/layer/{key}", code="MISSING_GROUP",
                             fix="export the network again with lava-dl")
    return [layers[str(i)] for i in range(len(layers))]


@dataclass(slots=True)
class _Builder:
    """The network while the layers are walked. shape: what the next layer hears; last: who sends it, "" for nobody.

    first: step, counted from 1, before which the next layer is reset, less options.reset_offset. late: steps that the
    network runs behind its input.
    """

    options: LavaDlOptions
    layers: list[Tree]
    log: LedgerWriter = field(default_factory=LedgerWriter)
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    shape: Shape | None = None
    last: str = ""
    first: int = 1
    late: int = 0
    is_last: bool = False

    def network(self, name: str, file: h5py.File) -> Network:
        """Walk all layers."""
        self.shape = self.options.input_shape
        count = min(len(self.layers), self.options.num_layers or len(self.layers))
        for i in range(count):
            self.is_last = i == count - 1
            self._layer(i)
        if not any(isinstance(n, FixedNeuron) for n in self.nodes.values()):
            raise ModelError(f"no layer with neurons is left of {len(self.layers)}", where="/layer", code="EMPTY_MODEL",
                             fix="choose num_layers and skip_layers so that one is")
        last = self.nodes[self.last]
        self._add("output", Output(last.shape) if isinstance(last, FixedNeuron) else last)
        self._say_simulation(file, count)
        lag = {n: self.late for n, node in self.nodes.items() if isinstance(node, FixedNeuron | Output)}
        return Network(name, self.nodes, tuple(self.edges), preset("lava-dl"), self.log.done(),
                       lag if self.late else {})

    def _say_simulation(self, file: h5py.File, count: int) -> None:
        """What holds for the whole file."""
        if count < len(self.layers) or self.options.skip_layers:
            self.log.changed("", "LAYERS_CHOSEN", f"layers {self.options.skip_layers} to {count - 1} of "
                             f"{len(self.layers)}, as asked")
        if "simulation" in file:
            inside = Group(survey(file)["simulation"], "/simulation", "", self.log)
            told = [f"{k}={','.join(f'{v:g}' for v in inside.numbers(k).flat[:3])}" for k in ("Ts", "tSample")
                    if k in inside]
            self.log.read("", "SIMULATION", f"{', '.join(told)}: not used, the data decide the number of steps")
        self.log.read("", "INPUT_VALUES", "input values act as they are, as in netx with input_message_bits > 0; a "
                      "spike is 1")

    def _layer(self, i: int) -> None:
        """One layer of the file."""
        plain = Group(self.layers[i], f"/layer/{i}", f"layer{i}", self.log)
        kind = plain.text("type")
        if kind not in LAYERS:
            why = "netx cannot run it, nor can hwsdk" if kind in KNOWN_TO_SLAYER else "it is not known"
            raise plain.error(f"a layer of type {kind!r}: {why}", "type", "UNKNOWN_LAYER",
                              f"use layers of type {', '.join(LAYERS)}")
        layer = replace(plain, name=f"{kind}{i}")
        if i < self.options.skip_layers:
            self.shape = self._skipped(layer, kind)
        elif kind == "input":
            self._input(layer)
        elif kind == "flatten":
            self.shape = None if self.shape is None else (size(self.shape),)
        elif kind in ("conv", "pool"):
            self._conv(layer, kind == "pool")
        else:
            self._dense(layer, kind == "dense_rec")

    def _skipped(self, layer: Group, kind: str) -> Shape:
        """What a skipped layer would have sent."""
        shape = layer.shape()
        return shape if kind in ("input", "conv", "pool") else (size(shape),)

    def _input(self, layer: Group) -> None:
        """Neurons that encode what comes in, or only a shape."""
        if self.last:
            raise layer.error("an input layer behind other layers", "type", "UNKNOWN_LAYER", "put it first")
        self.shape = layer.shape()
        if "neuron" not in layer:
            return
        self.late = 1
        self.first += 1
        scale = {k: float(layer.numbers(k).flat[0]) for k in ("weight", "bias") if k in layer and
                 layer.numbers(k).size == 1}
        if scale:
            told = ", ".join(f"{k} {v:g}" for k, v in scale.items())
            self.log.warning(layer.name, "INPUT_TRANSFORM", f"{told}: not applied, as in netx; give the integers that "
                             "weight * x + bias makes of the data x, or its spikes with skip_layers=1")
        source = self._source(self.shape)
        self._join(layer.name + ".weight", connect.one_to_one(self.shape), source, layer.name)
        self._one_port(layer, self._population(layer, self.shape, is_input=True))

    def _conv(self, layer: Group, pooled: bool) -> None:
        """A convolution and its neurons."""
        if self.shape is None:
            raise layer.error("the input's height and width are not in the file", "", "NO_INPUT_SHAPE",
                              "give input_shape=(channels, height, width)")
        post = layer.shape()
        source = self._source(self.shape)
        self._join(layer.name + ".weight", connect.convolution(layer, self.shape, post, pooled), source, layer.name)
        self._one_port(layer, self._population(layer, post))

    def _dense(self, layer: Group, recurrent: bool) -> None:
        """All to all, with real or complex weights, and back to itself."""
        post: Shape = (size(layer.shape()),)
        if isinstance(layer.tree.get("weight"), dict):
            self._complex(layer, post)
            return
        weights = [connect.matrix(layer, "weight", post[0])]
        weights += [connect.matrix(layer, "weight_rec", post[0])] if recurrent else []
        found = connect.as_netx(tuple(weights), layer)
        delays = connect.dense_delays(layer, found[0])
        if recurrent and (delays is not None or found[1].shape[1] != post[0]):
            raise layer.error("a recurrent layer with delays, or with weight_rec that is not square; netx computes "
                              "neither rightly", "delay" if delays is not None else "weight_rec", "UNSUPPORTED_FIELD",
                              "train it without delays")
        pre = self._heard(layer, found[0].shape[1])
        self._join(layer.name + ".weight", connect.dense(found[0], pre, post, delays), self._source(pre), layer.name)
        if recurrent:
            self._join(layer.name + ".weight_rec", connect.dense(found[1], post, post), layer.name, layer.name)
        self._one_port(layer, self._population(layer, post))

    def _complex(self, layer: Group, post: Shape) -> None:
        """weight/real drives the real part, weight/imag the imaginary one (netx's ComplexDense, without delays)."""
        weights, shape, n = layer.group("weight"), (2, *post), post[0]
        if "delay" in layer and layer.numbers("delay").any():
            raise layer.error("delays of complex weights, which netx drops", "delay", "UNSUPPORTED_FIELD",
                              "train the layer without delays")
        parts = {key: connect.as_netx((connect.matrix(weights, key, n),), layer)[0] for key in ("real", "imag")}
        if parts["real"].shape != parts["imag"].shape:
            raise layer.error(f"weight/real has shape {parts['real'].shape}, weight/imag {parts['imag'].shape}",
                              "weight", "SHAPE_MISMATCH")
        for first, (key, weight) in enumerate(parts.items()):
            pre = self._heard(layer, weight.shape[1])
            self._join(f"{layer.name}.weight_{key}", connect.dense(weight, pre, shape, first=first * n),
                       self._source(pre), layer.name)
        if self._population(layer, post).in_shape != shape:
            raise layer.error("complex weights in front of neurons that have one input", "weight", "UNSUPPORTED_FIELD",
                              "use RF_PHASE or RF_IZHIKEVICH neurons")

    def _heard(self, layer: Group, n_in: int) -> Shape:
        """The shape that a dense layer hears, which must have as many values as its weights have columns."""
        pre = self.shape or (n_in,)
        if size(pre) != n_in:
            raise layer.error(f"the weights take {n_in} values, {self.last or 'the input'} gives {pre}", "weight",
                              "SHAPE_MISMATCH")
        if len(pre) > 1:
            self.log.assumed(layer.name, "FLATTEN_INSERTED", f"there is no flatten in front; {pre} is read in order")
        return pre

    def _source(self, shape: Shape) -> str:
        """Who sends to the next layer: the last population, or a graph input of this shape."""
        if not self.last:
            self.nodes["input"] = Input(shape)
            self.last = "input"
        return self.last

    def _join(self, name: str, node: Synapses | ConvSynapses, source: str, target: str) -> None:
        """A connection between two nodes; what leaves (C, H, W) may be read flat."""
        sent = self.nodes[source].shape if source in self.nodes else node.pre_shape  # type: ignore[attr-defined]
        parts = connect.by_sign(node)
        if len(parts) > 1:
            self.log.changed(target, "WEIGHTS_BY_SIGN", "odd weights of both signs: stored as an excitatory and an "
                             "inhibitory part, since mixed weights of 8 bits are even")
        for part in parts:
            full = name if len(parts) == 1 else f"{name}.{part.sign_mode}"
            self.nodes[full] = part if sent == part.pre_shape else replace(part, pre_shape=sent)
            self.edges += [Edge(source, full), Edge(full, target)]

    def _population(self, layer: Group, shape: Shape, is_input: bool = False) -> FixedNeuron:
        """The layer's neurons."""
        wish = Wish(self.options.reset_interval or 0, self.options.reset_offset + self.first, self.options.spike_exp,
                    is_input, self.is_last)
        bias = layer.whole("bias") if "bias" in layer and not is_input else None
        cell = population(layer, shape, bias, wish)
        self.nodes[layer.name] = _rested(cell, layer) if self.late else cell
        if isinstance(self.nodes.get(self.last), FixedSigmaDelta) and not _sends(self.nodes[self.last]):
            raise layer.error("a layer behind a sigma output", "type", "UNKNOWN_LAYER", "a sigma output must be last")
        self.shape, self.last = shape, layer.name
        self.first += 1
        return cell

    def _one_port(self, layer: Group, cell: FixedNeuron) -> None:
        """Refuse neurons with two inputs where one comes."""
        if cell.in_shape != cell.shape:
            raise layer.error("a resonator behind real weights; netx drives it through complex ones", "weight",
                              "UNSUPPORTED_FIELD", "train the layer with slayer's dense rf blocks")

    def _add(self, name: str, node: Node) -> None:
        """A node behind the last one."""
        self.nodes[name] = node
        self.edges.append(Edge(self.last, name))


def _sends(node: Node) -> bool:
    """Does a population send spikes?"""
    return bool(getattr(node, "fires", True))


def _rested(cell: FixedNeuron, layer: Group) -> FixedNeuron:
    """The population with an initial state that the one step before the first input brings to rest."""
    if isinstance(cell, FixedRF) or not cell.bias.any():  # type: ignore[attr-defined]
        return cell
    early = "the chip runs this layer one step before the first input, and no first state makes up for its bias"
    if not isinstance(cell, FixedLIF | FixedATRLIF):
        layer.log.warning(layer.name, "EARLY_BIAS", early)
        return cell
    keep = 4096 - cell.dv
    before = -np.sign(cell.bias) * (-((-np.abs(cell.bias) << 12) // np.maximum(keep, 1)))
    forgets = keep == 0
    if (np.abs(before[~forgets]) > V_MAX).any() or (forgets & (cell.bias > cell.vth << 6)).any():
        layer.log.warning(layer.name, "EARLY_BIAS", early)
        return cell
    layer.log.changed(layer.name, "WARMED", "the initial v makes up for the bias of the step before the first input")
    return replace(cell, v_init=frozen(np.where(forgets, 0, before), np.int64))
