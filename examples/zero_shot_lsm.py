"""Zero-shot recognition between spoken and written digits: two random liquids, two small projections.

    python -m examples.zero_shot_lsm --corpus FOLDER [--on float chip] [--images camera] [--pairs] [--seeds 5] [--quick]
    python -m examples.zero_shot_lsm --corpus FOLDER --select

One liquid hears FSDD recordings, one sees scikit-learn's digits (or N-MNIST events). Their spike counts go through one
linear projection each into a common space, trained by a contrastive loss on digits 1 to 7. Digits 8 and 9 are never
trained: a spoken one is recognised by the nearest image class of the two. On the chip the liquids' weights are what the
devices of the target memristor are: cells that were formed once, half of which stay as they were.

How strong the weights are and how the projections are trained (SELECTED) was chosen by --select without the unseen
digits, without test samples and on other liquids: pairs of the digits 1 to 7 take the part of the unseen ones.

After Lin et al., Nature Computational Science 5, 2025 (arXiv 2307.00771), whose figures are printed beside; its data
(N-TIDIGITS and N-MNIST) are others. --pairs shows what the choice of the unseen digits means: projections that were
aligned on some digits tell nothing for certain about two others, of which either may be taken for the other. Mean and
standard deviation of five liquids in per cent, trained | unseen digits, chance being 14.3 | 50:

             spoken -> image            image -> spoken            paper
    float    87.6+-2.5 | 64.0+-34.2     94.1+-0.8 | 60.0+-11.4     66.1 | 88.0
    chip     82.6+-1.1 | 52.3+-23.2     91.6+-1.5 | 49.2+-9.7      67.4 | 87.5

Over all 45 pairs of unseen digits spoken ones are recognised at 59 +- 2 % and images at 57 +- 2 %, in float and on the
chip alike. So what the paper has for its unseen digits is not found on these data.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from examples.lsm_data import Split, camera, corpus, pictures, spoken
from hwsdk import __version__
from hwsdk.backends.base import CompileOptions
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.lsm.calibrate import compiled, labels_of
from hwsdk.lsm.encode import chosen
from hwsdk.lsm.features import features
from hwsdk.lsm.liquid import liquid
from hwsdk.lsm.states import states
from hwsdk.lsm.topology import Dense, Native
from hwsdk.lsm.zeroshot import Aligned, Options, align, class_embeddings, recognise, training
from hwsdk.simulators.memristor import chip_of

TARGET = "memristor"
SEEN, UNSEEN = (1, 2, 3, 4, 5, 6, 7), (8, 9)
ALL_PAIRS = tuple(combinations(range(10), 2))
PAPER = {"float": (66.1, 88.0), "chip": (67.42, 87.5)}
"""Trained | unseen digits in per cent: of the paper's software, and of its chip."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """scale: of all weights, as cells that were never written all have one spread. native: pairs of formed cells, the
    only weights that the chip has without being written; else normal. options: of the projections.
    """

    scale: float
    native: bool = True
    options: Options = field(default=Options())


SELECTED = Setting(0.15, options=Options(dims=64, temperature=0.1, gelu=False, epochs=1, decay=0.01))
"""Of 80 settings: 60.1 +- 3.3 % of digits held out (chance 50), 89.2 % of trained ones (chance 20). All that differ
in more than decay are 3 or more behind, with standard errors of 1.4 to 3.6; see --select.
"""
LIQUIDS = (10, 11, 12, 13, 14)
"""Liquids that the setting is chosen on; those that are reported are 0, 1, 2 ..."""
SCALES, EPOCHS = (0.05, 0.09, 0.15, 0.3), (1, 2, 5, 10)
TEMPERATURES, DECAYS, DIMS = (1.0, 0.1), (0.0, 1e-2), (16, 64)
HELD_BACK = 5
"""Every fifth training sample is held back in a selection: the trained digits are tested on those."""


@dataclass(frozen=True)
class Side:
    """One modality: features and labels, to train and to test."""

    train: Floats
    train_labels: NDArray[np.int64]
    test: Floats
    test_labels: NDArray[np.int64]


def encoder(n_inputs: int, neurons: int, seed: int, setting: Setting = SELECTED) -> Network:
    """A liquid; on the chip, only the spread of its weights counts."""
    topology = Native() if setting.native else Dense()
    return liquid(n_inputs, neurons, seed=seed, c_in=setting.scale, c_rec=setting.scale, topology=topology)


def counts(network: Network, data: Stimulus, where: str, die: int, args: argparse.Namespace) -> Floats:
    """Spike counts of the liquid, in float or of a die of the chip."""

    def made() -> Floats:
        if where == "float":
            return states(network, data, threads=args.threads)
        options = CompileOptions(target_options={"native": "liquid", "die": die})
        chip = chip_of(compiled(network, TARGET, options), threads=args.threads)
        return features(chip.run(data, threads=args.threads), "liquid", 1, data.n_steps)

    weights = [np.asarray(network.nodes[name].weight) for name in ("w_in", "w_rec")]
    dense = data.inputs["in"].dense(dtype=np.uint8)
    return cached(args.cache, [f"{__version__} {TARGET} {where} {die} {dense.shape}", dense, *weights], made)


def cached(folder: str | None, key: Sequence[str | NDArray[np.generic]], made: Callable[[], Floats]) -> Floats:
    """Made once and kept in the folder, if one is given, under a digest of everything it depends on but the code."""
    if folder is None:
        return made()
    digest = hashlib.sha256()
    for part in key:
        digest.update(part.encode() if isinstance(part, str) else np.ascontiguousarray(part).tobytes())
    path = Path(folder) / f"{digest.hexdigest()[:32]}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, made())
    return np.asarray(np.load(path))


def side(data: Split, where: str, seed: int, args: argparse.Namespace) -> Side:
    """Both halves of a modality through one liquid."""
    train, test = data
    network = encoder(train.inputs["in"].n, args.neurons, seed)
    both = counts(network, _joined(train, test), where, seed, args)
    first = train.n_samples
    return Side(both[:first], labels_of(train), both[first:], labels_of(test))


def sides_of(heard: Split, looked: Split, where: str, seed: int, args: argparse.Namespace) -> tuple[Side, Side]:
    """Both modalities, each through a liquid of its own."""
    return side(heard, where, seed, args), side(looked, where, seed + 1000, args)


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


def trained(heard: Side, looked: Side, seen: Sequence[int], seed: int) -> Aligned:
    """The projections."""
    return align(heard.train, heard.train_labels, looked.train, looked.train_labels, classes=seen,
                 options=replace(SELECTED.options, seed=seed))


def run(heard: Split, looked: Split, where: str, args: argparse.Namespace) -> Floats:
    """(seeds, 4): spoken to image and image to spoken, of trained digits, then of unseen ones."""
    rows = []
    for seed in range(args.seeds):
        sides = sides_of(heard, looked, where, seed, args)
        made = trained(*sides, SEEN, seed)
        rows.append([*score(made, *sides, SEEN), *score(made, *sides, UNSEEN)])
        print("  {}, seed {}: spoken -> image {:.1%} | {:.1%}, image -> spoken {:.1%} | {:.1%}".format(
            where, seed, *(rows[-1][k] for k in (0, 2, 1, 3))), flush=True)
    return np.array(rows)


def pairs(heard: Split, looked: Split, where: str, args: argparse.Namespace) -> Floats:
    """(seeds, 45, 2): share of test digits of each pair of ALL_PAIRS that are recognised, spoken and written ones, the
    other eight digits being trained.
    """
    found = np.zeros((args.seeds, len(ALL_PAIRS), 2))
    for seed in range(args.seeds):
        sides = sides_of(heard, looked, where, seed, args)
        for k, unseen in enumerate(ALL_PAIRS):
            made = trained(*sides, [d for d in range(10) if d not in unseen], seed)
            found[seed, k] = score(made, *sides, unseen)
    return found


def pairs_table(found: Floats) -> str:
    """Of every pair the mean over liquids; of all and of those never selected on, the mean and its error."""
    values = 100 * found.mean(0)
    lines = ["unseen       spoken -> image  image -> spoken"]
    lines += [f"{a} and {b}      {v[0]:15.1f}  {v[1]:15.1f}" for (a, b), v in zip(ALL_PAIRS, values, strict=True)]
    fresh = np.array([not set(pair) <= set(SEEN) for pair in ALL_PAIRS])
    for name, mine in (("all pairs", fresh | True), ("with 0, 8 or 9", fresh)):
        mean, error = values[mine].mean(0), values[mine].std(0, ddof=1) / np.sqrt(mine.sum())
        lines.append(f"{name}, {mine.sum()}: spoken -> image {mean[0]:.1f} +- {error[0]:.1f}, image -> spoken "
                     f"{mean[1]:.1f} +- {error[1]:.1f}; {(values[mine] > 50).mean():.0%} above chance (50)")
    liquids = ", ".join(f"{100 * v:.1f}" for v in found.mean((1, 2)))
    return "\n".join([*lines, f"all pairs and both directions, liquid by liquid: {liquids}"])


@dataclass(frozen=True, eq=False)
class Tried:
    """A setting in a selection. scores (trials, 4): rows as of ``run``; a trial is a liquid and two digits held out."""

    setting: Setting
    scores: Floats

    @property
    def unseen(self) -> Floats:
        """(trials,): of digits held out, mean of both directions."""
        return np.asarray(self.scores[:, 2:].mean(1))

    @property
    def seen(self) -> float:
        """Of trained digits, mean of all."""
        return float(self.scores[:, :2].mean())


def select(heard: Split, looked: Split, args: argparse.Namespace) -> tuple[list[Tried], Tried]:
    """Every setting with its scores, and the one selected: first the liquid, then all projections on that liquid.

    Only training samples of SEEN and liquids of LIQUIDS take part. Each of the 21 pairs of SEEN is held out once, on
    the liquids in turn; its samples are recognised by projections of the other five digits.
    """
    tried = []
    plain = Options(dims=64, temperature=1.0, decay=0.0, gelu=True)  # as in the paper
    for scale, native in [*((s, True) for s in SCALES), (0.09, False)]:
        tried += _tried(heard, looked, [Setting(scale, native, plain)], args)
    liquid_of = best(tried).setting
    print(f"scale {liquid_of.scale}", flush=True)
    rest = [o for o in (Options(dims=n, temperature=t, decay=d, gelu=g)
            for g, t, d, n in product((True, False), TEMPERATURES, DECAYS, DIMS)) if o != plain]
    tried += _tried(heard, looked, [replace(liquid_of, options=o) for o in rest], args)
    return tried, best(tried)


def best(tried: Sequence[Tried]) -> Tried:
    """Of the settings that the chip can have: the best on unseen digits; of those that are within one standard error
    of it, by the differences in each trial, the one that knows the trained digits best.
    """
    native = [t for t in tried if t.setting.native]
    top = max(native, key=lambda t: float(t.unseen.mean()))
    return max((t for t in native if behind(t, top)[0] <= behind(t, top)[1]), key=lambda t: t.seen)


def behind(one: Tried, top: Tried) -> tuple[float, float]:
    """(how much worse on unseen digits, standard error over trials)."""
    difference = top.unseen - one.unseen
    return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference)))


def _tried(heard: Split, looked: Split, settings: Sequence[Setting], args: argparse.Namespace) -> list[Tried]:
    """Settings of one liquid, after every number of EPOCHS."""
    held = list(combinations(SEEN, 2))
    tasks = []
    for k, seed in enumerate(LIQUIDS):
        both = []
        for (train, _), number in ((heard, seed), (looked, seed + 1000)):
            network = encoder(train.inputs["in"].n, args.neurons, number, settings[0])
            both.append((counts(network, train, "float", number, args), labels_of(train)))
        tasks.append((both[0], both[1], held[k :: len(LIQUIDS)], [s.options for s in settings], seed))
    if args.threads == 1:
        found = [_trials(*t) for t in tasks]
    else:
        with ProcessPoolExecutor(args.threads) as pool:
            found = list(pool.map(_trials, *zip(*tasks, strict=True)))
    scores = np.concatenate(found, axis=2)
    return [Tried(replace(s, options=replace(s.options, epochs=e)), scores[i, j])
            for i, s in enumerate(settings) for j, e in enumerate(EPOCHS)]


def _trials(heard: tuple[Floats, NDArray[np.int64]], looked: tuple[Floats, NDArray[np.int64]],
            held: Sequence[tuple[int, ...]], options: Sequence[Options], seed: int) -> Floats:
    """(options, epochs, pairs held out, 4) of one liquid."""
    whole = [Side(x, y, x, y) for x, y in (heard, looked)]
    split = [Side(x[rest], y[rest], x[~rest], y[~rest])
             for x, y in (heard, looked) for rest in [np.arange(len(y)) % HELD_BACK > 0]]
    found = np.zeros((len(options), len(EPOCHS), len(held), 4))
    for (i, opt), (k, pair) in product(enumerate(options), enumerate(held)):
        seen = [d for d in SEEN if d not in pair]
        steps = training(split[0].train, split[0].train_labels, split[1].train, split[1].train_labels, classes=seen,
                         options=replace(opt, epochs=max(EPOCHS), seed=seed))
        for epoch, made in enumerate(steps):
            if epoch in EPOCHS:
                found[i, EPOCHS.index(epoch), k] = [*score(made, *split, seen), *score(made, *whole, pair)]
    return found


def selection_table(tried: Sequence[Tried], taken: Tried) -> str:
    """All settings, the best on digits held out first; * the one selected."""
    top = max(tried, key=lambda t: float(t.unseen.mean()))
    head = ["scale", "wiring", "layer", "temperature", "decay", "dims", "epochs", "trained", "unseen", "behind best"]
    row = "{:<2}{:>6}{:>8}{:>8}{:>12}{:>8}{:>6}{:>8}{:>9}{:>8}{:>14}"
    lines = [row.format("", *head)]
    for t in sorted(tried, key=lambda t: -float(t.unseen.mean())):
        o, (less, error) = t.setting.options, behind(t, top)
        lines.append(row.format(
            "*" if t is taken else "", t.setting.scale, "native" if t.setting.native else "dense",
            "GELU" if o.gelu else "linear", o.temperature, o.decay, o.dims, o.epochs, f"{100 * t.seen:.1f}",
            f"{100 * t.unseen.mean():.1f}", f"{100 * less:.1f}+-{100 * error:.1f}"))
    return "\n".join(lines)


def table(found: dict[str, Floats]) -> str:
    """Means and standard deviations over liquids, beside the paper's."""
    row = "{:<8}{:>24}{:>24}{:>24}"
    lines = [row.format("", "spoken -> image", "image -> spoken", "paper (other data)"),
             row.format("", *["trained | unseen"] * 3)]
    for where, values in found.items():
        mean, spread = 100 * values.mean(0), 100 * values.std(0, ddof=min(1, len(values) - 1))
        cells = [f"{mean[k]:.1f}+-{spread[k]:.1f} | {mean[k + 2]:.1f}+-{spread[k + 2]:.1f}" for k in (0, 1)]
        lines.append(row.format(where, *cells, "{:.1f} | {:.1f}".format(*PAPER[where])))
    return "\n".join([*lines, row.format("chance", "14.3 | 50.0", "14.3 | 50.0", "")])


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description="zero-shot recognition between spoken and written digits")
    p.add_argument("--corpus", help="folder with fsdd/ and, for camera, nmnist/; default HWSDK_CORPUS")
    p.add_argument("--on", nargs="+", choices=tuple(PAPER), default=list(PAPER))
    p.add_argument("--images", choices=("pictures", "camera"), default="pictures")
    p.add_argument("--neurons", type=int, default=200, help="of each liquid; the paper has 200")
    p.add_argument("--seeds", type=int, default=5, help="liquids and dies, each with its own projections")
    p.add_argument("--threads", type=int, default=1, help="no result depends on them; --select: processes")
    p.add_argument("--pairs", action="store_true", help="all 45 pairs of unseen digits, the other eight trained")
    p.add_argument("--select", action="store_true", help="choose the setting again, on trained digits alone")
    p.add_argument("--quick", action="store_true", help="600 recordings, 600 images")
    p.add_argument("--cache", help="folder that keeps spike counts; empty it when hwsdk itself was changed")
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
    if args.select:
        print(selection_table(*select(heard, looked, args)))
    elif args.pairs:
        for where in args.on:
            print(f"{where}\n{pairs_table(pairs(heard, looked, where, args))}", flush=True)
    else:
        print(table({where: run(heard, looked, where, args) for where in args.on}))
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
