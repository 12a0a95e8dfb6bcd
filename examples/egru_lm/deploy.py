"""The trained language model on SpiNNaker 2: compile it, hold the simulated chip against the float32 reference and the
model's own float64, and let it write.

    python -m examples.egru_lm.deploy

Embedding and decoder stay on the host, as in the SpiNNaker 2 deployment of arXiv:2312.09084: embedding vectors go in as
values, events come out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

import hwsdk
from examples.egru_lm.model import Array, Params, forward, fresh, layers
from examples.egru_lm.text import HELD_OUT_SEED, choices, decode, encode, write
from hwsdk.backends.base import Program
from hwsdk.compiler import summary
from hwsdk.cost import Amount, si
from hwsdk.ir.build import NetworkBuilder
from hwsdk.ir.build_egru import egru_layer
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.trace import Trace
from hwsdk.simulators import reference

WEIGHTS = Path(__file__).with_name("weights.npz")
Step = Callable[[Mapping[str, Array]], Mapping[str, Array]]
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


def generate(params: Params, step: Step, prompt: str, characters: int, *, temperature: float = 0.5, seed: int = 0,
             ) -> str:
    """The prompt and what the model writes after it: a host that embeds, steps, decodes and draws.

    Args:
        step: one step of a network in its initial state, {"embedding": (n,)} -> {"events": (n,)}: that of
            ``hwsdk.walk(program)`` or of ``on_reference``.
    """
    rng, text = np.random.default_rng(seed), list(encode(prompt))
    for t in range(len(text) + characters - 1):
        given = scores(params, step({"embedding": params["embedding"][text[t]]})["events"].astype(np.float64))
        if t == len(text) - 1:
            share = np.exp((given - given.max()) / temperature)
            text.append(rng.choice(len(share), p=share / share.sum()))
    return decode(np.array(text))


def on_reference(net: Network) -> Step:
    """A step of the reference simulator."""
    step = reference.walk(net)
    return lambda inputs: {name: values[0] for name, values in step(inputs).items()}


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


@dataclass(frozen=True)
class Agreement:
    """Two runs of one network: events of the first, events that only one of them has, largest difference of a value."""

    events: int
    alone: int
    largest: float

    def __str__(self) -> str:
        what = "equal in every bit" if not self.largest else f"values within {self.largest:.1e}"
        return f"{self.events:,} events, " + (f"{self.alone} in one alone, " if self.alone else "") + what


def agreement(layers_of: Mapping[str, tuple[Array, Array]]) -> Agreement:
    """Compare the events of each layer, two arrays (steps, n)."""
    pairs = list(layers_of.values())
    alone = sum(int(((a != 0) != (b != 0)).sum()) for a, b in pairs)
    return Agreement(sum(int((a != 0).sum()) for a, _ in pairs), alone,
                     max(float(np.abs(a - b).max()) for a, b in pairs))


def beside_reference(expected: Trace, got: Trace, params: Params) -> Agreement:
    """The layers of two traces."""
    names = [f"egru{i}" for i in range(layers(params))]
    return agreement({n: (expected.spikes[n].dense(0), got.spikes[n].dense(0)) for n in names})


def beside_model(params: Params, text: NDArray[np.int64], got: Trace) -> Agreement:
    """The float64 model of model.py, and a trace of its layers."""
    tapes, _, _ = forward(params, text[:, None], fresh(params, 1))
    return agreement({f"egru{i}": (t.y[1:, 0], got.spikes[f"egru{i}"].dense(0)) for i, t in enumerate(tapes)})


def memory_text(program: Program) -> str:
    """PEs, and the bytes of those that hold units."""
    used = np.array([u["bytes"] for pe, u in enumerate(program.usage)  # type: ignore[attr-defined]
                     if program.application(pe) == "egru_csr"])  # type: ignore[attr-defined]
    pes, room = (summary(program)[name] for name in ("PEs", "memory (fullest PE)"))
    return f"{pes.used} of {pes.available} PEs, {len(used)} with units: {used.min():,} to {used.max():,} bytes of " \
           f"{room.available:,}"


def a_step(amount: Amount, steps: int, unit: str) -> str:
    """An amount of a whole run, for one of its steps."""
    value, low, high = (x or 0.0 for x in (amount.value, amount.low, amount.high))
    return f"{si(value / steps, unit)} [{si(low / steps, unit)} to {si(high / steps, unit)}]"


def main() -> None:
    """Onto the chip, equality with reference and model, figures, and a text."""
    parser = argparse.ArgumentParser(description="The trained EGRU language model on SpiNNaker 2, simulated.")
    parser.add_argument("--packing", choices=("spread", "layer", "dense"), default="spread")
    parser.add_argument("--level", choices=("low", "high"), default="low")
    parser.add_argument("--characters", type=int, default=2000, help="of held-out text that both simulators read")
    parser.add_argument("--write", type=int, default=300, help="characters that the chip writes")
    args = parser.parse_args()
    params, figures = load()
    net, text = network(params, "float32"), encode(write(args.characters, HELD_OUT_SEED))[: args.characters + 1]
    weights = sum(params[f"{k}{i}"].size for i in range(layers(params)) for k in "wr")
    print(f"trained: {json.dumps(figures)}\n{weights} weights, "
          f"{sum(n.parameters() for n in net.of(Synapses).values())} after pruning")
    started = time.perf_counter()
    program = hwsdk.compile(net, "spinnaker2", packing=args.packing, target_options={"level": args.level})
    print(f"compiled in {time.perf_counter() - started:.1f} s: {memory_text(program)}")
    sent = stimulus(params, text[:-1])
    trace, expected = hwsdk.simulate(program, sent), reference.run(net, sent)
    print(f"float32 reference and chip, {trace.n_steps} steps: {beside_reference(expected, trace, params)}")
    print(f"own float64 model and chip: {beside_model(params, text[:-1], trace)}")
    print(f"perplexity a character on the chip {perplexity(params, trace, text):.4f}; that of the text itself is "
          f"{choices() ** (write(10**5, 0).count('took') / len(write(10**5, 0))):.4f}")
    share, touched = activity(net, trace, sent)
    print("units active in a step: " + ", ".join(f"{n} {a:.1%}" for n, a in share.items()) + f"; {touched:.0f} weights "
          "touched")
    cost = hwsdk.estimate(program, trace)
    print(f"predicted a character: {a_step(cost.latency, trace.n_steps, 's')}, "
          f"{a_step(cost.energy_total, trace.n_steps, 'J')} with the whole chip, without packets (not published)")
    chip = hwsdk.walk(program)
    written = generate(params, chip.step, "on friday ", args.write)
    same = written == generate(params, on_reference(net), "on friday ", args.write)
    print(f"written on the simulated chip, {'the same' if same else 'NOT the same'} as by the reference:\n{written}")


if __name__ == "__main__":
    main()
