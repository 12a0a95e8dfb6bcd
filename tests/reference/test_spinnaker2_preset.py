"""The SpiNNaker 2 preset against the published raster (NIR: paper/03_rnn/s2_activity_noDelay_bias_zero.npy)."""

from __future__ import annotations

import numpy as np

import hwsdk
from hwsdk.ir.data import Stimulus
from hwsdk.simulators import reference


def test_braille_raster_of_spinnaker2_is_replayed(corpus):
    network = hwsdk.load(corpus / "nir_paper" / "braille_noDelay_bias_zero.nir", preset="spinnaker2")
    with np.load(corpus / "nir_paper" / "braille" / "braille_test_sample0_recovered.npz") as z:
        data = Stimulus.dense(z["spikes"], {"input": (12,)})
    published = np.load(corpus / "nir_paper" / "braille" / "s2_activity_noDelay_bias_zero.npy")
    got = reference.run(network, data).spikes["lif1.lif"].dense(0)
    assert got.shape == published.shape == (256, 38)
    assert int((got != published).sum()) == 0
    assert any(e.code == "TRUNCATED" for e in network.ledger.entries)
