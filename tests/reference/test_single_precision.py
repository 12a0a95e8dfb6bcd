"""Networks in the numbers of SpiNNaker 2 against published material: integer weights, float32 neurons and learning.

arXiv:2310.05868 (hardware spikes of the content-addressable memory, corpus/cam); the SpiNNaker 2 raster of the NIR
paper (corpus/nir_paper); the accuracies of the L2MU at each width of its weights (corpus/l2mu_braille/README.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cam_memories as memories
import numpy as np
import pytest

import hwsdk
from examples import l2mu_braille as l2mu
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import ConvSynapses, Linear, Synapses
from hwsdk.mappers.phases import timed
from hwsdk.mappers.quantize_single import QuantizeSingle
from hwsdk.simulators import reference


def single(network: Network, **options: Any) -> Network:
    """Lowered and quantised."""
    whole, _ = QuantizeSingle(**options)(timed(network)[0])
    assert whole.is_single
    return whole


def wrong_cells(network: Network, table: dict[str, Any]) -> tuple[int, int, int]:
    """(cells, cells that differ, spikes) of a run with the published stimulus."""
    data = memories.stimulus_of(network, table)
    return memories.compared(table, data, reference.run(network, data))


@pytest.mark.parametrize("options", [{}, {"plastic_bits": 8}, {"per_neuron": True}, {"bits": 16}],
                         ids=["default", "int8 words", "a scale a neuron", "16 bits"])
@pytest.mark.parametrize("experiment", memories.EXPERIMENTS)
def test_every_recorded_spike_of_the_memory(corpus: Path, experiment: int, options: dict[str, Any]) -> None:
    cells, spikes = memories.EXPERIMENTS[experiment]
    table = memories.table_of(corpus, experiment)
    lowered, phases = timed(memories.network_of(table))
    assert (phases.count, set(lowered.lag.values())) == (1, {0})
    assert wrong_cells(lowered, table) == (cells, 0, spikes)
    assert wrong_cells(QuantizeSingle(**options)(lowered)[0], table) == (cells, 0, spikes)


def test_the_braille_raster_of_spinnaker2_from_its_own_integers(corpus: Path) -> None:
    model = hwsdk.load(corpus / "nir_paper" / "braille_noDelay_bias_zero.nir", preset="spinnaker2")
    published = np.load(corpus / "nir_paper" / "braille" / "s2_activity_noDelay_bias_zero.npy")
    with np.load(corpus / "nir_paper" / "braille" / "braille_test_sample0_recovered.npz") as z:
        data = Stimulus.dense(z["spikes"], {"input": (12,)})
    for timing in ("pipelined", "phased"):
        whole, report = QuantizeSingle()(timed(model, timing)[0])
        got = reference.run(whole, data).aligned("lif1.lif", 256).dense(0)
        assert got.shape == published.shape == (256, 38)
        assert int((got != published).sum()) == 0
        assert all(layer.weight_error < 1e-12 for layer in report.layers)
    weights = {n: x.weight for n, x in model.of(Linear).items() if isinstance(x, Linear)}
    onto_first = [np.abs(w).max() for n, w in weights.items() if w.shape[0] == 38]
    static = [x for n, x in whole.of(Synapses).items() if isinstance(x, Synapses) and x.post_shape == (38,)]
    assert max(int(np.abs(x.weight).max()) for x in static) == 127
    expected = sorted(round(abs(v) * 127 / max(onto_first)) for w in weights.values() if w.shape[0] == 38
                      for v in w.ravel() if v)
    assert sorted(int(abs(v)) for x in static for v in x.weight) == expected


@pytest.mark.parametrize(("bits", "right"), [(4, 227), (8, 278)])
def test_the_legendre_memory_reads_as_many_letters(corpus: Path, bits: int, right: int) -> None:
    weights, params = l2mu.load(corpus / "l2mu_braille")
    data = l2mu.samples(corpus / "l2mu_braille")
    whole = single(l2mu.network(weights, params), bits=bits)
    assert round(l2mu.accuracy(reference.run(whole, data), data) * data.n_samples) == right
    for group in l2mu.GROUPS:
        scale = (2 ** (bits - 1) - 1) / max(float(np.abs(weights[n]).max()) for n in group)
        expected = sorted(np.rint(np.concatenate([weights[n].ravel() for n in group]).astype(np.float64) * scale))
        onto = {"e_x": "u", "A": "m", "W_x": "h", "W_out": "out"}[group[0]]
        got = np.concatenate([np.ravel(whole.nodes[e.source].weight) for e in whole.sources(onto)  # type: ignore[attr-defined]
                              if isinstance(whole.nodes[e.source], Synapses | ConvSynapses)])
        assert sorted(got[got != 0].tolist()) == [x for x in expected if x]


def test_the_legendre_memory_takes_five_phases_and_keeps_every_spike(corpus: Path) -> None:
    model = l2mu.network(*l2mu.load(corpus / "l2mu_braille"))
    lowered, phases = timed(model)
    assert dict(phases.of) == {"input": 0, "u": 1, "m": 2, "h": 3, "out": 4}
    assert not any(lowered.lag.values())
    data = l2mu.samples(corpus / "l2mu_braille", 3)
    stages = ["u", "m", "h", "out"]
    assert reference.run(model, data).first_difference(reference.run(lowered, data), stages) is None
