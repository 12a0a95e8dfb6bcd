"""What an SFQ model needs at the very least, before cells are made, and what would help where it does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import FitError, Violation
from hwsdk.ir.ledger import Ledger, LedgerWriter
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import Linear
from hwsdk.mappers import sfq as mapper
from hwsdk.mappers.maps import refuse_if_large
from hwsdk.mappers.sfq_counters import is_binary
from hwsdk.mappers.sfq_lines import Line, lines_of
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.targets.sfq import SfqTarget

TOLD = ("bias", "pins")
"""Limits that are told, as they have remedies outside of the netlist."""
SMALLER = "use a smaller network: fewer neurons, or weights pruned to zero"


def refuse_too_large(network: Network, target: SfqTarget) -> None:
    """Refuse what cannot fit by far: every neuron takes a soma or a counter of one bit.

    Raises:
        FitError: with the layer that takes most. UnsupportedError: TOO_LARGE, a matrix that would take all memory.
    """
    for node in network.of(Linear).values():
        if isinstance(node, Linear):
            refuse_if_large(int(np.count_nonzero(node.weight)), "a matrix of weights")
    _refuse(network.name, target, {n: target.cell("TFF").jj * p.n for n, p in network.populations.items()}, SMALLER)


def refuse_too_many_synapses(network: Network, target: SfqTarget, styles: Mapping[str, str], weights: str) -> None:
    """Refuse a network in whole numbers whose counters alone take more junctions than a chip has: see ``_least``.

    Raises:
        FitError: with the layer that takes most.
    """
    need = {n: _least(lines_of(network, n), p.n, weights, target)
            for n, p in network.populations.items() if styles[n] == "counter"}
    _refuse(network.name, target, need, "use fewer weight bits (--bits), weights pruned to zero, or a smaller network")


def _least(lines: Sequence[Line], neurons: int, weights: str, target: SfqTarget) -> int:
    """Junctions that counters cannot do without: a bit each, mergers for all that comes to a neuron, and splitters for
    all that leaves a line but the first copy of each pulse; the longest train of a line takes one of each a pulse.
    """
    binary = is_binary(lines, weights)
    arriving, split, train = np.zeros(neurons, np.int64), 0, 0
    for x in lines:
        size = np.abs(x.weight).astype(np.int64)
        own = _ones(size) if binary else np.ones_like(size)
        arriving[x.target] += own
        split += max(0, int(own.sum()) - 2 * (int(size.max()).bit_length() if binary else len(np.unique(size))))
        train += 0 if binary else int(size.max()) - 1
    merge, split = int(np.maximum(arriving - 1, 0).sum()) + train, split + train
    return neurons * target.cell("TFF").jj + merge * target.cell("MERGE").jj + split * target.cell("SPLIT").jj


def _ones(size: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many bits are 1."""
    return np.asarray(((size[:, None] >> np.arange(int(size.max()).bit_length())) & 1).sum(axis=1), np.int64)


def _refuse(name: str, target: SfqTarget, need: Mapping[str, int], hint: str) -> None:
    """If all together are more than a chip has."""
    limit, total = target.limit("junctions"), sum(need.values())
    if limit is not None and total > limit:
        most = max(need, key=lambda n: need[n])
        raise FitError(f"{name} cannot fit one chip of {target.name}", violations=(
            Violation("junctions", f"whole network, at the very least; {most} alone takes {need[most]:,}", total, limit,
                      "JJ"),), hint=hint)


def beyond(program: PulseNetlist, target: SfqTarget) -> Ledger:
    """What of a netlist is more than the description says that a chip has, but for what refuses it."""
    log, used = LedgerWriter(), mapper.summary(program, target)
    for name in TOLD:
        limit = target.limits[name]
        if limit.value is not None and used[name].used > limit.value:
            log.warning("", f"MANY_{name.upper()}", f"{name}: {used[name].used:,} {used[name].unit}, limit "
                        f"{limit.value:,} ({limit.source})")
    return log.done()


def hint(program: PulseNetlist, broken: Sequence[Violation]) -> str:
    """What takes most of the junctions, and what would make it less."""
    counts = program.type_counts
    by_role: dict[str, int] = {}
    for t in program.types:
        by_role[t.role] = by_role.get(t.role, 0) + t.jj * counts[t.name]
    role, junctions = max(by_role.items(), key=lambda pair: pair[1])
    rules = ", ".join(v.rule for v in broken)
    return (f"{rules} too many; {role} cells take {junctions:,} of {program.junctions:,} junctions: fewer weight bits "
            "(--bits), pruned weights, or a smaller network")
