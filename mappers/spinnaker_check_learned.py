"""check of a SpiNNaker program: does each word that learns hold the synapse that the program says it does?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.network import Network
from hwsdk.ir.plastic import PlasticSynapses
from hwsdk.mappers import spinnaker_check_kernels as kernels
from hwsdk.mappers.spinnaker_check_tables import Tables
from hwsdk.mappers.spinnaker_check_wanted import Identities, learner_of, rules
from hwsdk.programs.spinnaker import Learned, SpinnakerProgram

IntArray = NDArray[np.int64]
FIELDS = ("sender", "neuron", "target", "weight", "delay", "learner")
"""Of a synapse: number of its sender, neuron there, identity of its target, and what its word says."""


def check_learned(network: Network, program: SpinnakerProgram, found: Tables, key: IntArray, identity: IntArray,
                  identities: Identities) -> None:
    """Hold the words that learn against the synapses that they are said to be.

    Args:
        key (slices): of atom 0. identity: of all accumulators of all PEs.

    Raises:
        InternalError: names the first word that is another synapse.
    """
    nodes: dict[str, Any] = network.of(PlasticSynapses)
    said = tuple(Learned(n, len(x.source), int(x.rule.w_max)) for n, x in nodes.items())
    if program.learned != said:
        raise InternalError(f"{', '.join(nodes) or 'nothing'} should learn, the program says {program.learned}")
    own = np.flatnonzero(found.entries[:, kernels.KIND] == kernels.PLASTIC)
    numbers, n = program.arrays.learned_synapse, sum(x.n for x in said)
    on_pe = np.bincount(np.searchsorted(found.ptr, own, "right") - 1, found.words[own], program.n_pes)
    ends = np.cumsum(np.r_[0, on_pe]).astype(np.int64) if said else np.zeros(0, np.int64)
    if not np.array_equal(program.arrays.learned_ptr, ends) or not np.array_equal(np.sort(numbers), np.arange(n)):
        raise InternalError("the program does not name every synapse that learns exactly once")
    if not said:
        return
    words = np.concatenate([_words(program, found, b, key, identity) for b in own.tolist()], axis=1)
    wanted = np.concatenate([_synapses(network, program, n, x, identities) for n, x in nodes.items()], axis=1)
    wrong = (words != wanted[:, numbers]).any(axis=0)
    if wrong.any():
        k = int(np.argmax(wrong))
        pe = int(np.searchsorted(ends, k, "right")) - 1
        raise InternalError(f"word {k - ends[pe]} that learns of PE {pe} should be {_named(said, int(numbers[k]))}: "
                            + ", ".join(f"{f} {a}, is {b}" for f, a, b in zip(FIELDS, wanted[:, numbers[k]],
                                                                              words[:, k], strict=True) if a != b))


def _words(program: SpinnakerProgram, found: Tables, b: int, key: IntArray, identity: IntArray) -> IntArray:
    """(FIELDS, words) of a table entry; -1 for the neuron where no packet comes."""
    a, entry = program.arrays, found.entries[b]
    counts = found.image[1][entry[kernels.ROWS_AT] :][: entry[kernels.N_ROWS] + 1].astype(np.int64)
    first = entry[kernels.WORDS_AT] // 4
    words = found.image[0][first + counts[0] : first + counts[-1]].astype(np.int64)
    packet = found.key[b] + np.repeat(np.arange(len(counts) - 1), np.diff(counts))
    order = np.argsort(key)
    s = order[np.maximum(np.searchsorted(key[order], packet, "right") - 1, 0)]
    atom, sizes = packet - key[s], np.diff(a.neuron_ptr)[s]
    inside = (atom >= 0) & (atom < sizes)
    neuron = np.where(inside, a.neuron[a.neuron_ptr[s] + np.where(inside, atom, 0)], -1)
    cells = identity[entry[kernels.FIRST] :][: entry[kernels.CELLS]]
    return np.stack([a.slice_sender[s], neuron, cells[np.minimum(words & 1023, len(cells) - 1)], words >> 16,
                     entry[kernels.DELAY] + (words >> 10 & 7), np.full(len(words), entry[kernels.TAG])])


def _synapses(network: Network, program: SpinnakerProgram, name: str, node: PlasticSynapses, identities: Identities,
              ) -> IntArray:
    """(FIELDS, synapses) of a projection of the network."""
    senders = [s.name for s in program.senders]
    (target,) = (e.target for e in network.targets(name) if e.target in network.populations)
    ends = np.full(len(node.source), senders.index(network.sources(name)[0].source))
    learner = np.full(len(node.source), 1 + rules(network).index(learner_of(node.rule)))
    return np.stack([ends, node.source, identities.first[senders.index(target)] + node.target,
                     node.weight.astype(np.int64), node.delay_ticks, learner])


def _named(learned: tuple[Learned, ...], number: int) -> str:
    """Synapse k of a projection."""
    for x in learned:
        if number < x.n:
            break
        number -= x.n
    return f"synapse {number} of {x.name}"
