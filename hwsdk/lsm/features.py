"""What a readout sees: spike counts in equal windows of the model's own steps, of a liquid or of the inputs alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.data import Stimulus
from hwsdk.ir.windows import counts, features, window_of

__all__ = ["counts", "features", "input_features", "window_of"]


def input_features(stimulus: Stimulus, windows: int) -> NDArray[np.float64]:
    """Spike counts of the inputs themselves, (samples, windows * n), all inputs side by side: what a readout sees
    without a liquid.
    """
    return np.concatenate([counts(e, windows) for e in stimulus.inputs.values()], axis=1)
