"""Faults between a model and a chip, injected on purpose, with what a diagnosis has to name.

A case is what a user would have: a model as it was loaded, data, a target, perhaps a program and what is expected. The
truth follows from the injection: where a single layer was changed, that layer; where the whole model was, the layer in
which right and wrong rasters first differ, found here by looking at the rasters step by step. A draw that changes
nothing on the data is no fault and is drawn again.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from fault_chips import (
    LOIHIS,
    crossbar,
    few_bits,
    late_processor,
    outlier,
    quiet_calibration,
    short_frame,
    slow_leak,
    tampered_weight,
    wrong_route,
)
from fault_imports import (
    cut_delays,
    late_layer,
    lost_bias,
    scaled_weights,
    wrong_comparison,
    wrong_dt,
    wrong_reset,
    wrong_threshold,
)
from fault_networks import Case, NoFaultError

KINDS: tuple[tuple[Callable[[np.random.Generator], Case], int], ...] = (
    (wrong_dt, 4), (wrong_reset, 3), (wrong_comparison, 2), (lambda r: scaled_weights(r, True), 3),
    (lambda r: scaled_weights(r, False), 4), (wrong_threshold, 3), (lost_bias, 3), (cut_delays, 2), (late_layer, 2),
    (few_bits, 3), (outlier, 3), (quiet_calibration, 2), (slow_leak, 2), (late_processor, 2),
    (lambda r: tampered_weight(r, LOIHIS), 3), (lambda r: tampered_weight(r, ("memristor",)), 1), (wrong_route, 2),
    (short_frame, 1), (lambda r: crossbar(r, "write"), 1), (lambda r: crossbar(r, "read"), 1),
    (lambda r: crossbar(r, "adc"), 1), (lambda r: crossbar(r, "faults"), 1), (lambda r: crossbar(r, "levels"), 1))
"""Kinds of faults, and how many of each: 50."""
TRIES = 60


def jobs(seed: int) -> list[tuple[int, int, int]]:
    """(seed, kind, number) of all 50."""
    return [(seed, k, i) for k, (_, many) in enumerate(KINDS) for i in range(many)]


def made(job: tuple[int, int, int]) -> Case:
    """A fault; a draw that changes nothing is drawn again."""
    seed, kind, number = job
    rng = np.random.default_rng((seed, kind, number))
    for _ in range(TRIES):
        try:
            return KINDS[kind][0](rng)
        except NoFaultError:
            continue
    raise AssertionError(f"no fault of kind {kind} in {TRIES} draws")
