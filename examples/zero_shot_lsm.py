"""Zero-shot recognition between spoken and written digits: two random liquids, two small projections.

    python -m examples.zero_shot_lsm --corpus FOLDER [--on float chip] [--images camera] [--pairs] [--seeds 3] [--quick]

One liquid hears FSDD recordings, one sees scikit-learn's digits (or N-MNIST events). Their spike counts go through one
linear projection each into a space of 64 dimensions, trained by a contrastive loss on digits 1 to 7. Digits 8 and 9 are
never trained: a spoken one is recognised by the nearest image class of the two. On the chip the liquids' weights are
what the devices of the target memristor are: cells that were formed once, half of which stay as they were.

After Lin et al., Nature Computational Science 5, 2025 (arXiv 2307.00771), whose figures are printed beside; its data
(N-TIDIGITS and N-MNIST) are others. --pairs shows what the choice of the unseen digits means: projections that were
aligned on some digits tell nothing for certain about two others, of which either may be taken for the other.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from examples.lsm_data import Split, camera, corpus, pictures, spoken
from hwsdk.backends.base import CompileOptions
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.lsm.calibrate import compiled, labels_of
from hwsdk.lsm.encode import chosen
from hwsdk.lsm.features import features
from hwsdk.lsm.liquid import liquid
from hwsdk.lsm.states import states
from hwsdk.lsm.topology import Native
from hwsdk.lsm.zeroshot import Aligned, Options, align, class_embeddings, recognise
from hwsdk.simulators.memristor import chip_of

TARGET = "memristor"
SEEN, UNSEEN = (1, 2, 3, 4, 5, 6, 7), (8, 9)
PAPER = {"float": (66.1, 88.0), "chip": (67.42, 87.5)}
"""Trained | unseen digits in per cent: of the paper's software, and of its chip."""
SCALE = 0.09
"""Of all weights: cells that were never written all have one spread."""
Features = NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """One modality: features and labels, to train and to test."""

    train: Features
    train_labels: NDArray[np.int64]
    test: Features
    test_labels: NDArray[np.int64]


def encoder(n_inputs: int, neurons: int, seed: int) -> Network:
    """A liquid of pairs of formed cells; on the chip, only the spread of its weights counts."""
    return liquid(n_inputs, neurons, seed=seed, c_in=SCALE, c_rec=SCALE, topology=Native())


def counts(network: Network, data: Stimulus, where: str, die: int, threads: int) -> Features:
    """Spike counts of the liquid, in float or of a die of the chip."""
    if where == "float":
        return states(network, data, threads=threads)
    options = CompileOptions(target_options={"native": "liquid", "die": die})
    chip = chip_of(compiled(network, TARGET, options), threads=threads)
    return features(chip.run(data, threads=threads), "liquid", 1, data.n_steps)


def side(data: Split, where: str, seed: int, neurons: int, threads: int) -> Side:
    """Both halves of a modality through one liquid."""
    train, test = data
    inputs = next(iter(train.inputs.values())).n
    network = encoder(inputs, neurons, seed)
    both = counts(network, _joined(train, test), where, seed, threads)
    first = train.n_samples
    return Side(both[:first], labels_of(train), both[first:], labels_of(test))


def _joined(a: Stimulus, b: Stimulus) -> Stimulus:
    """The samples of both."""
    dense = np.concatenate([x.inputs["in"].dense(dtype=np.uint8) for x in (a, b)])
    return Stimulus.dense(dense, {"in": (dense.shape[2],)})


def score(made: Aligned, heard: Side, looked: Side, classes: Sequence[int]) -> tuple[float, float]:
    """(spoken digits by the nearest image class, images by the nearest spoken class): share of test samples."""
    a = _one_way(made, heard, looked, classes, False)
    return a, _one_way(made, looked, heard, classes, True)


def _one_way(made: Aligned, query: Side, other: Side, classes: Sequence[int], swapped: bool) -> float:
    mine, theirs = (made.right, made.left) if swapped else (made.left, made.right)
    embedded = class_embeddings(theirs, other.train, other.train_labels, classes)
    asked = np.isin(query.test_labels, classes)
    said = recognise(mine, query.test[asked], embedded, classes)
    return float(np.mean(said == query.test_labels[asked]))


def trained(heard: Side, looked: Side, seen: Sequence[int], seed: int, epochs: int) -> Aligned:
    """The projections."""
    return align(heard.train, heard.train_labels, looked.train, looked.train_labels, classes=seen,
                 options=Options(seed=seed, epochs=epochs))


def run(heard: Split, looked: Split, where: str, args: argparse.Namespace) -> NDArray[np.float64]:
    """(seeds, 4): spoken to image and image to spoken, of trained digits, then of unseen ones."""
    rows = []
    for seed in range(args.seeds):
        sides = [side(heard, where, seed, args.neurons, args.threads),
                 side(looked, where, seed + 1000, args.neurons, args.threads)]
        made = trained(sides[0], sides[1], SEEN, seed, args.epochs)
        rows.append([*score(made, *sides, SEEN), *score(made, *sides, UNSEEN)])
        print(f"  {where}, seed {seed}: trained {rows[-1][0]:.1%} | unseen {rows[-1][2]:.1%}", flush=True)
    return np.array(rows)


def pairs(heard: Split, looked: Split, where: str, args: argparse.Namespace) -> dict[tuple[int, int], float]:
    """Two unseen digits -> share of spoken test digits recognised, the other eight being trained."""
    sides = [side(heard, where, 0, args.neurons, args.threads), side(looked, where, 1000, args.neurons, args.threads)]
    found = {}
    for unseen in combinations(range(10), 2):
        made = trained(sides[0], sides[1], [d for d in range(10) if d not in unseen], 0, args.epochs)
        found[unseen] = score(made, *sides, unseen)[0]
    return found


def table(found: dict[str, NDArray[np.float64]]) -> str:
    """Means and standard deviations over seeds, beside the paper's."""
    row = "{:<8}{:>24}{:>24}{:>24}"
    lines = [row.format("", "spoken -> image", "image -> spoken", "paper (other data)"),
             row.format("", *["trained | unseen"] * 3)]
    for where, values in found.items():
        mean, spread = 100 * values.mean(0), 100 * values.std(0)
        cells = [f"{mean[k]:.1f}+-{spread[k]:.1f} | {mean[k + 2]:.1f}+-{spread[k + 2]:.1f}" for k in (0, 1)]
        lines.append(row.format(where, *cells, "{:.1f} | {:.1f}".format(*PAPER[where])))
    return "\n".join([*lines, row.format("chance", "14.3 | 50.0", "14.3 | 50.0", "")])


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description="zero-shot recognition between spoken and written digits")
    p.add_argument("--corpus", help="folder with fsdd/ and, for camera, nmnist/; default HWSDK_CORPUS")
    p.add_argument("--on", nargs="+", choices=tuple(PAPER), default=list(PAPER))
    p.add_argument("--images", choices=("pictures", "camera"), default="pictures")
    p.add_argument("--neurons", type=int, default=200, help="of each liquid; the paper has 200")
    p.add_argument("--epochs", type=int, default=5)
    p.add_argument("--seeds", type=int, default=3, help="liquids and dies, each with its own projections")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--pairs", action="store_true", help="all 45 pairs of unseen digits, in float, one seed")
    p.add_argument("--quick", action="store_true", help="600 recordings, 600 images")
    return p


def data(args: argparse.Namespace) -> tuple[Split, Split]:
    """(spoken, written) digits."""
    folder = corpus(args.corpus)
    heard = spoken(folder, 14 if args.quick else 44)
    looked = camera(folder) if args.images == "camera" else pictures()
    if args.quick and args.images == "pictures":
        looked = chosen(looked[0], np.arange(600)), looked[1]
    return heard, looked


def main() -> None:
    args = parser().parse_args()
    start = time.perf_counter()
    heard, looked = data(args)
    if args.pairs:
        found = pairs(heard, looked, "float", args)
        values = np.array(list(found.values()))
        print("\n".join(f"unseen {a} and {b}: {100 * v:.1f}" for (a, b), v in found.items()))
        print(f"mean {100 * values.mean():.1f} +- {100 * values.std(ddof=1) / np.sqrt(len(values)):.1f}, "
              f"{(values > 0.5).mean():.0%} of the pairs above chance (50 %)")
    else:
        print(table({where: run(heard, looked, where, args) for where in args.on}))
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
