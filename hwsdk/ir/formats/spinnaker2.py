"""What py-spinnaker2's from_nir does to a NIR graph: 8-bit weights with one scale a target population, and its resets.

Source: the published NIR import of py-spinnaker2 (s2_nir, ConversionConfig), whose parameters this reproduces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hwsdk.errors import ModelError, SemanticsError
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import IF, LIF, CubaLIF, Neuron
from hwsdk.ir.nodes import Conv, Input, Linear, Node

LARGEST = 127
"""The largest weight of an 8-bit word; py-spinnaker2 scales to it."""
OPTIONS = ("scale_weights", "conn_delay")
ON_EDGES = ("input_delay", "connection_delay", "recurrent_delay")
LONGEST = 7
"""The largest conn_delay: 3 bits of a synaptic word."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What ConversionConfig says beyond Semantics.

    scale_weights: bring the largest weight onto each population to 127 before weights are truncated; otherwise they
    are truncated as they are. conn_delay: a spike acts conn_delay + 1 steps after it was sent, on every connection;
    None where the preset says how long connections take.
    """

    scale_weights: bool
    conn_delay: int | None = None


CONVERSIONS: dict[str, Conversion] = {
    "spinnaker2": Conversion(scale_weights=True),  # as the scripts of the NIR paper ran it
    "py-spinnaker2": Conversion(scale_weights=False, conn_delay=1),  # the defaults of ConversionConfig
}


def conversion(preset: str | None, overrides: Mapping[str, Any]) -> tuple[Conversion | None, dict[str, Any]]:
    """Split the options of a load.

    Returns:
        (what to do after loading, None unless the preset is one of CONVERSIONS; the options of Semantics, with the
        delays that a given conn_delay means).

    Raises:
        SemanticsError: UNKNOWN_OPTION, options of these presets without one of them; BAD_SEMANTICS, a value that is
            none; CONN_DELAY, a conn_delay beside other delays.
    """
    given = {k: overrides[k] for k in OPTIONS if overrides.get(k) is not None}
    rest = {k: v for k, v in overrides.items() if k not in OPTIONS}
    base = CONVERSIONS.get(preset or "")
    if base is None:
        if given:
            raise SemanticsError(f"{', '.join(given)} without a preset of py-spinnaker2", where="semantics",
                                 code="UNKNOWN_OPTION", fix=f"add preset={' or '.join(CONVERSIONS)}, or leave it out")
        return None, rest
    chosen = replace(base, **{k: _checked(k, v) for k, v in given.items()})
    if "conn_delay" in given:
        if also := [k for k in ON_EDGES if rest.get(k) is not None]:
            raise SemanticsError(f"conn_delay and {', '.join(also)}", where="semantics", code="CONN_DELAY",
                                 fix="give one or the other; conn_delay=d is d + 1 steps on every connection")
        steps = chosen.conn_delay + 1 if chosen.conn_delay is not None else 1
        rest |= {"input_delay": 0, "connection_delay": steps, "recurrent_delay": steps}
    return chosen, rest


def _checked(name: str, value: Any) -> Any:
    """A truth value, or a number of steps."""
    good = isinstance(value, bool) if name == "scale_weights" else \
        isinstance(value, int | np.integer) and not isinstance(value, bool) and 0 <= value <= LONGEST
    if good:
        return value
    raise SemanticsError(f"{name} is {value!r}", where="semantics", code="BAD_SEMANTICS",
                         fix="give True or False" if name == "scale_weights" else f"give 0 to {LONGEST} steps")


def as_py_spinnaker2(network: Network, chosen: Conversion) -> Network:
    """The network as the chip gets it from py-spinnaker2, still in floats.

    A v_reset is ignored; IF adds r times its input in a step, whatever dt is; weights W become trunc(W s) / s, where s
    is 127 / max |W| over all matrices that enter one population, or 1 without ``scale_weights``.

    The truncation replays the published SpiNNaker 2 raster of the Braille network with 0 mismatches of 9,728 cells;
    with rounding in its place 118 cells differ.

    Raises:
        ModelError: WEIGHT_RANGE, a weight beyond 127; WEIGHTS_LOST, all weights onto a population become 0;
            SUCCESSIVE_WEIGHTS, a matrix behind a matrix; CONN_DELAY, a convolution with another delay than one step.
    """
    log = LedgerWriter()
    nodes = {n: _cell(n, x, network, log) if isinstance(x, Neuron) else x for n, x in network.nodes.items()}
    if chosen.conn_delay is not None:
        _refuse_late_convolutions(network)
    done: set[str] = set()
    for population in network.populations:
        names = _weights_before(network, population)
        if shared := sorted(done & set(names)):
            log.warning(population, "SHARED_WEIGHTS", f"{', '.join(shared)} enter other populations too, and were "
                        "truncated with the scale of those")
        own = [n for n in names if n not in done]
        done.update(own)
        nodes |= _truncated(population, {n: nodes[n] for n in own}, chosen.scale_weights, log)
    return network.replace(nodes=nodes, ledger=network.ledger + log.done())


def _cell(name: str, cell: Neuron, network: Network, log: LedgerWriter) -> Neuron:
    """The population with the importer's reset, and its gain where it has no time constant."""
    if isinstance(cell, IF | LIF | CubaLIF) and cell.v_reset.any():
        log.warning(name, "V_RESET_IGNORED", "py-spinnaker2 resets to 0, or subtracts the whole threshold, whatever "
                    "v_reset is")
        cell = replace(cell, v_reset=np.zeros(cell.shape))
    semantics = network.semantics
    if isinstance(cell, IF) and semantics.dt != 1 and semantics.integrator != "exponential_unit_gain":
        log.changed(name, "R_PER_STEP", f"r became r / dt: py-spinnaker2 adds r times the input in every step of "
                    f"{semantics.dt:g}")
        cell = replace(cell, r=cell.r / semantics.dt)
    return cell


def _refuse_late_convolutions(network: Network) -> None:
    """py-spinnaker2 has no delays in its convolutions."""
    found = [n for n, x in network.nodes.items() if isinstance(x, Conv)]
    steps = network.semantics.connection_delay
    if found and steps != 1:
        raise ModelError(f"connections take {steps} steps; a convolution of py-spinnaker2 takes 1",
                         where=", ".join(found), code="CONN_DELAY",
                         fix="give conn_delay=0 (connection_delay=1 and recurrent_delay=1)")


def _weights_before(network: Network, population: str) -> list[str]:
    """The Linear and Conv nodes between a population and the emitters that feed it.

    Raises:
        ModelError: SUCCESSIVE_WEIGHTS.
    """
    found: list[str] = []
    pending, seen = [(e.source, "") for e in network.sources(population)], set()
    while pending:
        name, behind = here = pending.pop()
        node = network.nodes[name]
        if here in seen or isinstance(node, Neuron | Input):
            continue
        seen.add(here)
        if isinstance(node, Linear | Conv):
            if behind:
                raise ModelError(f"its weights follow those of {name}", where=behind, code="SUCCESSIVE_WEIGHTS",
                                 fix="multiply the two matrices, or load without the preset of py-spinnaker2, which "
                                 "refuses them too")
            found.append(name)
            behind = name
        pending += [(e.source, behind) for e in network.sources(name)]
    return sorted(set(found))


def _truncated(population: str, nodes: Mapping[str, Node], scaled: bool, log: LedgerWriter) -> dict[str, Node]:
    """The nodes with their weights on the grid of 1/s."""
    matrices = {n: x for n, x in nodes.items() if isinstance(x, Linear | Conv)}
    peak = max((float(np.abs(x.weight).max(initial=0)) for x in matrices.values()), default=0.0)
    if peak == 0:
        return {}
    scale = LARGEST / peak if scaled else 1.0
    whole = {n: np.trunc(x.weight * scale) for n, x in matrices.items()}
    if not scaled:
        _refuse_range(population, whole, peak)
    lost = sum(int(((w == 0) & (matrices[n].weight != 0)).sum()) for n, w in whole.items())
    log.changed(population, "TRUNCATED", f"the weights of {', '.join(matrices)} became multiples of {1 / scale:g}, "
                f"truncated toward zero; {lost:,} of {sum(w.size for w in whole.values()):,} became 0")
    return {n: replace(x, weight=whole[n] / scale) for n, x in matrices.items()}


def _refuse_range(population: str, whole: Mapping[str, np.ndarray[Any, np.dtype[np.float64]]], peak: float) -> None:
    """Without a scale weights may be too large or too small for the words."""
    fix = "give scale_weights=True, or scale weights and thresholds of the model"
    if max(float(np.abs(w).max(initial=0)) for w in whole.values()) > LARGEST:
        raise ModelError(f"weights of {', '.join(whole)} reach {peak:g}; a word of 8 bits holds -{LARGEST} to "
                         f"{LARGEST}, and beyond it py-spinnaker2's convolutions wrap round", where=population,
                         code="WEIGHT_RANGE", fix=fix)
    if not any(w.any() for w in whole.values()):
        raise ModelError(f"all weights of {', '.join(whole)} are below 1 and become 0 when truncated",
                         where=population, code="WEIGHTS_LOST", fix=fix)
