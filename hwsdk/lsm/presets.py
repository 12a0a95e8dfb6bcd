"""Published liquids by name, with the parameters that their authors' code has."""

from __future__ import annotations

from dataclasses import dataclass

from hwsdk.errors import ModelError
from hwsdk.ir.network import Network
from hwsdk.lsm.liquid import liquid
from hwsdk.lsm.topology import Gaussian, Topology

PAIRS = Gaussian(0.00156, 6.61329, 0.00606, 6.67268)
"""Mean and deviation in uS of the two measured arrays of differential pairs (MrLinNing/RMAdaptiveMachine, defaults)."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A published liquid. steps: of a sample; scale: of the weights of ``topology``; source: where it stands."""

    n_inputs: int
    n: int
    steps: int
    decay: float
    threshold: float
    scale: float
    seed: int
    topology: Topology
    source: str

    def network(self, *, seed: int | None = None, n: int | None = None) -> Network:
        """The liquid, with another seed or size where given."""
        return liquid(self.n_inputs, self.n if n is None else n, seed=self.seed if seed is None else seed,
                      c_in=self.scale, c_rec=self.scale, decay=self.decay, threshold=self.threshold,
                      topology=self.topology)


_PAPER = "Lin et al., Nature Computational Science 5, 2025, 10.1038/s43588-024-00751-z; MrLinNing/MemristorLSM"


def _paper(n_inputs: int, steps: int, decay: float, threshold: float, scale: float) -> Preset:
    """A liquid of 200 neurons of the zero-shot paper."""
    return Preset(n_inputs, 200, steps, decay, threshold, scale, 10, PAIRS, _PAPER)


PRESETS: dict[str, Preset] = {
    "nmnist": _paper(256, 50, 0.9, 5.0, 0.07),
    "ntidigits": _paper(64, 129, 0.97, 5.3, 0.08),
    "zero_shot_image": _paper(256, 50, 0.9, 5.0, 0.3),
    "zero_shot_audio": _paper(64, 129, 0.97, 5.3, 0.1),
}
"""The liquids of the zero-shot paper. Its weights are const * scale * Gaussian; a scale of 100 with a Gaussian in units
of 100 uS is taken to be PAIRS in uS, and both arrays to share the constant (our reading; the file with the update is
missing in its repository). Sizes and steps of the zero-shot encoders are those of the single tasks."""


def preset(name: str) -> Preset:
    """A published liquid.

    Raises:
        ModelError: NO_SUCH_PRESET.
    """
    if name not in PRESETS:
        raise ModelError(f"no liquid is called {name!r}", where="preset", code="NO_SUCH_PRESET",
                         fix=f"use one of {', '.join(PRESETS)}")
    return PRESETS[name]
