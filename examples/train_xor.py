"""Train a deep network of threshold neurons on XOR and write it as a NIR file.

    python examples/train_xor.py [--out examples]

The network is Input(2) - Linear - Threshold(2) - Linear - Threshold(1) - Output(1): a pulse at an input in a frame is
a one. It is trained with a sigmoid that becomes a step, with a price on sums that lie near a threshold, so that what
comes out has margins, and with excitatory hidden synapses, so that thresholds alone decide what the hidden neurons
are. It takes seconds. The case study of Krylov et al., arXiv 2311.10721, is a deep XOR network in SFQ logic; sizes and
values of that one are not known here.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Array = NDArray[np.float64]

PATTERNS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)
WANTED = np.array([0, 1, 1, 0], np.float64)
HIDDEN = 2
GRID = 1 / 4
"""Weights and thresholds end on multiples of this."""
LARGEST = 1.0
SHARPNESS = (2.0, 4.0, 8.0, 16.0, 32.0)
"""Slopes of the sigmoid, one after the other."""


def unpack(x: Array) -> list[Array]:
    """(hidden weights, hidden thresholds, output weights, output threshold)."""
    ends = np.cumsum([2 * HIDDEN, HIDDEN, HIDDEN])
    w1, t1, w2, t2 = np.split(x, ends)
    return [w1.reshape(HIDDEN, 2), t1, w2.reshape(1, HIDDEN), t2]


def loss(x: Array, sharpness: float) -> float:
    """Cross-entropy, a price on sums near a threshold, and on weights beyond the largest."""
    w1, t1, w2, t2 = unpack(x)
    over1 = PATTERNS @ w1.T - t1
    hidden = expit(sharpness * over1)
    over2 = (hidden @ w2.T - t2)[:, 0]
    wrong = np.logaddexp(0, -sharpness * over2 * (2 * WANTED - 1)).mean() / sharpness
    near = np.exp(-8 * np.abs(over1)).mean() + np.exp(-8 * np.abs(over2)).mean()
    large = np.maximum(np.abs(np.concatenate([w1.ravel(), w2.ravel()])) - LARGEST, 0).sum()
    low = np.maximum(0.25 - np.concatenate([t1, t2]), 0).sum() + np.maximum(-w1, 0).sum()
    return float(4 * wrong + near + large + 4 * low)


def decide(params: list[Array]) -> tuple[Array, float]:
    """(output of every pattern, the smallest distance of a sum from its threshold)."""
    w1, t1, w2, t2 = params
    over1 = PATTERNS @ w1.T - t1
    over2 = (over1 > 0) @ w2.T - t2
    return (over2[:, 0] > 0).astype(np.float64), float(min(np.abs(over1).min(), np.abs(over2).min()))


def train(seed: int, tries: int = 8) -> list[Array]:
    """The solution on the grid that has the widest margin of ``tries`` starts."""
    rng = np.random.default_rng(seed)
    best, widest = None, 0.0
    for _ in range(tries):
        x = rng.normal(0, 0.7, 3 * HIDDEN + HIDDEN + 1)
        for sharpness in SHARPNESS:
            x = minimize(loss, x, (sharpness,), method="L-BFGS-B").x
        w1, t1, w2, t2 = (np.rint(p / GRID) * GRID for p in unpack(x))
        params = [np.clip(w1, 0, LARGEST), t1, np.clip(w2, -LARGEST, LARGEST), t2]
        out, margin = decide(params)
        if (out == WANTED).all() and margin > widest:
            best, widest = params, margin
    if best is None:
        raise SystemExit("no start gave XOR; try another seed")
    return best


def to_nir(params: list[Array]) -> nir.NIRGraph:
    """The network as a NIR graph."""
    w1, t1, w2, t2 = (p.astype(np.float32) for p in params)
    nodes = {"input": nir.Input(np.array([2])), "fc1": nir.Linear(w1), "hidden": nir.Threshold(t1),
             "fc2": nir.Linear(w2), "out": nir.Threshold(t2), "output": nir.Output(np.array([1]))}
    return nir.NIRGraph(nodes, list(pairwise(nodes)))


def main() -> None:
    """Train, write the file, print the truth table."""
    parser = argparse.ArgumentParser(description="Train the XOR network and write it as NIR.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    params = train(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    nir.write(args.out / "xor.nir", to_nir(params))
    out, margin = decide(params)
    names = ("hidden weights", "hidden thresholds", "output weights", "output threshold")
    for name, p in zip(names, params, strict=True):
        print(f"{name:18} {p.tolist()}")
    print(f"XOR of 00 01 10 11: {out.astype(int).tolist()}; the nearest sum is {margin:g} from its threshold")


if __name__ == "__main__":
    main()
