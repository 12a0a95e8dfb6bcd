"""The trained language model of examples/egru_lm: equality with its own float model, and what it is worth."""

from __future__ import annotations

import numpy as np
import pytest

from examples.egru_lm import deploy, model
from examples.egru_lm.text import HELD_OUT_SEED, choices, encode, write
from hwsdk.ir.nodes import Synapses
from hwsdk.simulators import reference


@pytest.fixture(scope="module")
def trained() -> tuple:
    return deploy.load()


@pytest.mark.parametrize(("precision", "close"), [("float64", 1e-11), ("float32", 1e-3)])
def test_the_language_model_equals_its_own_float_model(trained: tuple, precision: str, close: float):
    params, _ = trained
    text = encode(write(600, HELD_OUT_SEED))
    tapes, scores, _ = model.forward(params, text[:-1, None], model.fresh(params, 1))
    trace = reference.run(deploy.network(params, precision), deploy.stimulus(params, text[:-1]))
    for i, tape in enumerate(tapes):
        events = trace.spikes[f"egru{i}"].dense(0)
        assert ((events != 0) == (tape.y[1:, 0] != 0)).all()
        np.testing.assert_allclose(events, tape.y[1:, 0], atol=close)
    np.testing.assert_allclose(deploy.scores(params, trace.spikes["events"].dense(0)), scores[:, 0], atol=close)


def test_the_language_model_is_sparse_and_has_learned(trained: tuple):
    params, figures = trained
    text = encode(write(2000, HELD_OUT_SEED))
    network, sent = deploy.network(params), deploy.stimulus(params, text[:-1])
    trace = reference.run(network, sent)
    weights = sum(params[f"{k}{i}"].size for i in range(2) for k in "wr")
    stored = sum(n.parameters() for n in network.of(Synapses).values())
    assert stored == pytest.approx(weights / 10, rel=1e-3)
    share, touched = deploy.activity(network, trace, sent)
    assert max(share.values()) < 0.25
    assert touched < stored / 2
    assert choices() ** (1 / 148) < deploy.perplexity(params, trace, text) < 1.2
    assert figures["dense"]["perplexity"] < figures["pruned"]["perplexity"] < 1.05 * figures["dense"]["perplexity"]
    assert params["theta0"].min() >= 0


def test_the_language_model_writes_words(trained: tuple):
    params, _ = trained
    net = deploy.network(params, "float32")
    text = deploy.generate(params, deploy.on_reference(net), "on friday ", 300)
    assert text.startswith("on friday ")
    assert text == deploy.generate(params, deploy.on_reference(net), "on friday ", 300)
    known = set(write(20_000, 3).replace(".", "").split())
    words = text.replace(".", "").split()[:-1]
    assert np.mean([word in known for word in words]) > 0.9, text
