"""The trained language model as an hwsdk network: check it against its own float model, and let it write.

    python -m examples.egru_lm.deploy

Embedding and decoder stay on the host, as in the SpiNNaker 2 deployment of arXiv:2312.09084: embedding vectors go in as
values, events come out.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from examples.egru_lm.model import Array, Params, forward, fresh, layers
from examples.egru_lm.text import HELD_OUT_SEED, choices, decode, encode, write
from hwsdk.ir.build import NetworkBuilder
from hwsdk.ir.build_egru import egru_layer
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.trace import Trace
from hwsdk.simulators import reference

WEIGHTS = Path(__file__).with_name("weights.npz")
PUBLISHED = (750, 1350, 1350, 750)
"""Embedding and layers of the WikiText-2 model of EvNN's benchmarks/lm, which arXiv:2312.09084 puts on SpiNNaker 2."""


def load(path: Path = WEIGHTS) -> tuple[Params, dict[str, Any]]:
    """(parameters of the pruned model in float64, figures that training noted)."""
    with np.load(path) as file:
        params = {name: file[name].astype(np.float64) for name in file.files if name != "figures"}
        return params, json.loads(str(file["figures"]))


def network(params: Params, precision: str = "float64") -> Network:
    """All layers; input "embedding" (n,), output "events" (n,)."""
    builder, source = NetworkBuilder("egru_lm").input("embedding", params["w0"].shape[1]), "embedding"
    for i in range(layers(params)):
        egru_layer(builder, f"egru{i}", source, w=params[f"w{i}"], r=params[f"r{i}"], bx=params[f"bx{i}"],
                   br=params[f"br{i}"], theta=params[f"theta{i}"])
        source = f"egru{i}"
    return builder.output("events", source).build(Semantics(precision=precision))


def published(sparsity: float = 0.95, seed: int = 0) -> Network:
    """A network of the published size with random weights: 24.165 million weights, of which 1 - sparsity are not 0."""
    rng = np.random.default_rng(seed)

    def weights(rows: int, columns: int) -> sparse.coo_matrix:
        kept = round((1 - sparsity) * rows * columns)
        row, column = np.divmod(rng.choice(rows * columns, kept, replace=False, shuffle=False), columns)
        values = rng.normal(0, np.sqrt(1 / ((1 - sparsity) * columns)), kept).astype(np.float32)
        return sparse.coo_matrix((values, (row, column)), shape=(rows, columns))

    builder, source = NetworkBuilder("egru_wikitext2").input("embedding", PUBLISHED[0]), "embedding"
    for i, (n_in, n) in enumerate(pairwise(PUBLISHED)):
        bx, br = rng.normal(0, 0.1, (2, 3 * n)).astype(np.float32)
        egru_layer(builder, f"egru{i}", source, w=weights(3 * n, n_in), r=weights(3 * n, n), bx=bx, br=br,
                   theta=rng.beta(9 / 7, 3, n).astype(np.float32))
        source = f"egru{i}"
    return builder.output("events", source).build(Semantics(precision="float32"))


def stimulus(params: Params, text: NDArray[np.int64]) -> Stimulus:
    """The embedding of each character of one text (steps,)."""
    return Stimulus.dense(params["embedding"][text], {"embedding": (params["embedding"].shape[1],)})


def scores(params: Params, events: Array) -> Array:
    """What the host's decoder makes of events (..., n): scores of the next character."""
    return events @ params["embedding"].T + params["decoder_bias"]


def perplexity(params: Params, trace: Trace, text: NDArray[np.int64]) -> float:
    """Perplexity a character of a run over text[:-1]."""
    given = scores(params, trace.spikes["events"].dense(0))
    logs = given - np.log(np.exp(given).sum(-1, keepdims=True))
    return float(np.exp(-logs[np.arange(len(text) - 1), text[1:]].mean()))


def generate(params: Params, net: Network, prompt: str, characters: int, *, temperature: float = 0.5,
             seed: int = 0) -> str:
    """The prompt and what the network writes after it, character by character through the reference simulator."""
    rng, step = np.random.default_rng(seed), reference.walk(net)
    text = list(encode(prompt))
    for t in range(len(text) + characters - 1):
        given = scores(params, step({"embedding": params["embedding"][text[t]]})["events"][0].astype(np.float64))
        if t == len(text) - 1:
            share = np.exp((given - given.max()) / temperature)
            text.append(rng.choice(len(share), p=share / share.sum()))
    return decode(np.array(text))


def activity(net: Network, trace: Trace, sent: Stimulus) -> tuple[dict[str, float], float]:
    """(share of units with an event a step, population by population; weights that events touch in a step)."""
    spikes = {**sent.inputs, **trace.spikes}
    share = {n: len(spikes[n]) / (spikes[n].n * trace.n_steps * trace.n_samples) for n in net.populations}
    touched = 0.0
    for name, node in net.of(Synapses).items():
        (edge,) = net.sources(name)
        rows = np.bincount(node.source, minlength=spikes[edge.source].n)  # type: ignore[attr-defined]
        touched += rows[spikes[edge.source].index].sum() / (trace.n_steps * trace.n_samples)
    return share, touched


def main() -> None:
    """Equality with the float model, figures, and a text."""
    params, figures = load()
    text = encode(write(2000, HELD_OUT_SEED))
    _, own, _ = forward(params, text[:-1, None], fresh(params, 1))
    weights = sum(params[f"{k}{i}"].size for i in range(layers(params)) for k in "wr")
    for precision in ("float64", "float32"):
        net, sent = network(params, precision), stimulus(params, text[:-1])
        trace = reference.run(net, sent)
        worst = np.abs(scores(params, trace.spikes["events"].dense(0)) - own[:, 0]).max()
        print(f"{precision}: perplexity {perplexity(params, trace, text):.4f}; scores differ from those of the float64 "
              f"model by {worst:.1e} at most")
    share, touched = activity(net, trace, sent)
    print(f"trained: {json.dumps(figures)}")
    print(f"the text's own perplexity is {choices() ** (write(10**5, 0).count('took') / len(write(10**5, 0))):.4f}")
    print(f"{weights} weights, {sum(n.parameters() for n in net.of(Synapses).values())} after pruning, {touched:.0f} "
          f"touched a character; units active: " + ", ".join(f"{n} {a:.1%}" for n, a in share.items()))
    print(generate(params, net, "on friday ", 500))


if __name__ == "__main__":
    main()
