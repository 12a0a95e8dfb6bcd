"""Every public .nir file loads, and says the same as nir.read where nir can read it."""

from __future__ import annotations

import warnings
from pathlib import Path

import nir
import numpy as np
import pytest

from hwsdk.ir.formats import load
from hwsdk.ir.ledger import SemanticsWarning
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import Conv, Linear

# file -> neurons, weights and biases, ledger entries, codes of the repairs, does nir 1.0.8 read it
FILES: dict[str, tuple[int, int, int, set[str], bool]] = {
    "exported/norse_li.nir": (4, 36, 8, set(), True),
    "exported/norse_mlp_lifbox.nir": (42, 2410, 11, set(), True),
    "exported/sinabs_conv1d_iaf.nir": (74, 678, 11, set(), True),
    "exported/sinabs_conv_iaf.nir": (1546, 5502, 14, set(), True),
    "exported/sinabs_mlp_if.nir": (42, 2410, 10, set(), True),
    "exported/snntorch_mlp_leaky.nir": (42, 2410, 10, set(), True),
    "exported/snntorch_mlp_synaptic.nir": (42, 2410, 10, set(), True),
    "exported/snntorch_rleaky.nir": (23, 599, 12, set(), True),
    "nir_paper/braille_noDelay_bias_zero.nir": (45, 2249, 14, set(), True),
    "nir_paper/cnn_sinabs.nir": (8970, 39890, 24, set(), True),
    "nir_paper/legacy/braille_2023-10-19b.nir": (45, 2249, 14, set(), True),
    "nir_paper/legacy/lif_norse_v0.1.1_scalar.nir": (1, 2, 10, {"PARAMETER_BROADCAST"}, False),
    "nir_paper/legacy/scnn_mnist_2023-10-16.nir": (8970, 39890, 24, set(), True),
    "nir_paper/legacy/scnn_mnist_2023-10-18_bad_flatten.nir": (8970, 39890, 25, {"FLATTEN_AXES"}, False),
    "nir_paper/legacy/scnn_mnist_batches_no_input_shape.nir": (
        8970, 39890, 36, {"BATCH_AXIS", "INPUT_SHAPE", "FLATTEN_AXES", "FLATTEN_TYPE"}, False),
    "nir_paper/lif_norse.nir": (1, 2, 9, set(), True),
    "other/snntorch_tests_lif.nir": (1, 2, 9, set(), True),
}


def weights(network: Network) -> int:
    return sum(n.parameters() for n in network.of(Linear, Conv).values())


def test_the_table_names_every_file(corpus: Path) -> None:
    found = {str(p.relative_to(corpus)) for p in corpus.rglob("*.nir")}
    assert set(FILES) <= found
    assert not {f for f in found if f.split("/")[0] in ("exported", "nir_paper", "other")} - set(FILES)


@pytest.mark.parametrize("file", FILES)
def test_loads(corpus: Path, file: str) -> None:
    neurons, parameters, entries, repairs, _ = FILES[file]
    with pytest.warns(SemanticsWarning) as caught:
        network = load(corpus / file)
    assert len(caught) == 1, "one warning for all guesses"
    assert network.n_neurons == neurons
    assert weights(network) == parameters
    assert len(network.ledger) == entries, network.ledger.to_text()
    assert {e.code for e in network.ledger.of("changed")} == repairs
    assert {e.node for e in network.ledger.entries} >= set(network.nodes), "every node is in the ledger"


@pytest.mark.parametrize("file", FILES)
def test_agrees_with_nir(corpus: Path, file: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = load(corpus / file)
        try:
            theirs = nir.read(corpus / file)
        except (ValueError, TypeError, AssertionError):
            theirs = None
    assert (theirs is not None) == FILES[file][4]
    if theirs is None:
        return
    assert {(e.source, e.target) for e in network.edges} == set(theirs.edges)
    assert set(network.nodes) == set(theirs.nodes)
    for name, node in network.nodes.items():
        _same_fields(node, theirs.nodes[name])
        expected = theirs.nodes[name].output_type["output"]
        assert network.shapes[name] == tuple(int(x) for x in expected)


def _same_fields(ours: object, theirs: nir.NIRNode) -> None:
    for field in ("weight", "bias", "tau", "tau_mem", "tau_syn", "r", "v_leak", "v_threshold", "v_reset", "w_in"):
        if getattr(theirs, field, None) is not None:
            mine = getattr(ours, field)
            assert mine.dtype == np.float64
            assert not mine.flags.writeable
            np.testing.assert_array_equal(mine, np.asarray(getattr(theirs, field), np.float64))


def test_the_dt_that_the_numbers_suggest(corpus: Path) -> None:
    with pytest.warns(SemanticsWarning, match=r"tau / r is 0\.0001"):
        assert load(corpus / "exported/snntorch_rleaky.nir").semantics.dt == 1e-4
    with pytest.warns(SemanticsWarning, match="only r \\* dt matters"):
        assert load(corpus / "nir_paper/cnn_sinabs.nir").semantics.dt == 1.0
    with pytest.warns(SemanticsWarning, match="--preset norse"):
        load(corpus / "exported/norse_mlp_lifbox.nir")


def test_norse_preset_mends_the_time_constants(corpus: Path) -> None:
    network = load(corpus / "exported/norse_mlp_lifbox.nir", preset="norse")
    np.testing.assert_allclose(network.nodes["1"].tau, 0.01, rtol=1e-6)  # type: ignore[attr-defined]
    assert [e.node for e in network.ledger.of("changed") if e.code == "TAU_RESCALED"] == ["1", "3"]


def test_a_loop_takes_one_step(corpus: Path) -> None:
    network = load(corpus / "nir_paper/braille_noDelay_bias_zero.nir", preset="snntorch")
    assert {(e.source, e.target): e.delay_ticks for e in network.edges if e.delay_ticks} == {
        ("lif1.lif", "lif1.w_rec"): 1}
    assert all(isinstance(p, Neuron) for p in network.populations.values())
