"""Numba kernels of the Loihi mapper: counts over all synapses without temporaries."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def longest_run(values: Any) -> int:
    """Length of the longest run of equal values, 0 if there are none."""
    longest = run = 0
    for k in range(len(values)):
        run = run + 1 if k and values[k] == values[k - 1] else 1
        longest = max(longest, run)
    return longest


@njit(cache=True, nogil=True)
def count_axons(source: Any, target: Any, part: Any, words_of: Any, axons: Any, words: Any) -> None:
    """Axons and synapse words of each of k parts.

    Args:
        source, target: of each synapse, by ascending source. part: of each neuron. words_of: words of a list of n.
        axons, words: int64 (k,), added to: one axon for each (source, part) with a synapse.
    """
    here = np.zeros(len(axons), np.int64)
    touched = np.empty(len(axons), np.int64)
    n = 0
    for s in range(len(source)):
        p = part[target[s]]
        if here[p] == 0:
            touched[n] = p
            n += 1
        here[p] += 1
        if s + 1 == len(source) or source[s + 1] != source[s]:
            for k in range(n):
                axons[touched[k]] += 1
                words[touched[k]] += words_of[here[touched[k]]]
                here[touched[k]] = 0
            n = 0
