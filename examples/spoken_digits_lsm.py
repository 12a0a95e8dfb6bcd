"""Spoken digits on a liquid of memristors: what devices and wires cost, and which training of the readout survives.

    python -m examples.spoken_digits_lsm --corpus FOLDER [--neurons 1000] [--seeds 3] [--plot FILE.png] [--quick]

A liquid of 256 neurons listens to 64 channels of FSDD recordings (6 speakers, trained on recordings 5 to 44, tested on
0 to 4). Its random weights are written into crossbars of the target memristor with driven rows, with 15 steps a cell
and clipped at 2.5 standard deviations; those of inputs and those of the recurrence have blocks and scales of their own
(scale=source). Every cell misses its target by 10 % of the conductance window. Four ways to train the readout
(hwsdk.lsm.calibrate): on the chip; on the float model; on a twin, made of the conductances that were read back; over
other chips. Then the same chip with wires of 1 ohm a cell, where the twin has to model the wires. Each seed is another
liquid and another die.

Found with 3 seeds: float 93.4 %; without wires in situ 93.1, the float readout 40.7, twin read back within 0.5 % 92.4
and within 2 % 88.1, pool 47.1; with wires in situ 92.9, the float readout 40.2, twin 93.6, twin without wires 75.8.
1,000 neurons, one seed: float 98.0, in situ 97.3, the float readout 50.0.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from examples.lsm_data import Split, corpus, spoken
from hwsdk.backends.base import CompileOptions
from hwsdk.ir.network import Network
from hwsdk.lsm.calibrate import calibrate, compiled
from hwsdk.lsm.features import features
from hwsdk.lsm.liquid import liquid
from hwsdk.lsm.readout import accuracy, ridge
from hwsdk.lsm.states import states
from hwsdk.simulators.memristor import Chip, chip_of

TARGET = "memristor"
DEVICES = {"topology": "driven", "scale": "source", "clip": "sigmas", "clip_at": 2.5, "write": 0.1,
           "stages": "levels,write"}
ROW = "{:<44}{:>16}{:>12}{:>12}"


@dataclass(frozen=True)
class Case:
    """A way to train on one of the chips. known: neurons -> accuracy in per cent of an independent NumPy model of the
    same task (its readouts saw 900 recordings; wires there without write noise), where there is one.
    """

    name: str
    wired: bool
    how: str
    options: dict[str, Any] = field(default_factory=dict)
    known: dict[int, float] = field(default_factory=dict)


FLOAT = {256: 93.4, 1000: 97.0}
CASES = (
    Case("no wires, in situ", False, "in_situ", known={256: 93.9, 1000: 96.8}),
    Case("no wires, transfer of the float readout", False, "transfer", known={256: 44.3, 1000: 30.8}),
    Case("no wires, twin, read back within 0.5 %", False, "twin", {"read_error": 0.005}, known={256: 93.8}),
    Case("no wires, twin, read back within 2 %", False, "twin", {"read_error": 0.02}, known={256: 88.7}),
    Case("no wires, pool of 4 other chips", False, "pool", {"dies": 4}, known={256: 41.0}),
    Case("wires, in situ", True, "in_situ", known={256: 93.5}),
    Case("wires, transfer of the float readout", True, "transfer", known={256: 77.6}),
    Case("wires, twin that models them, 0.5 %", True, "twin", {"read_error": 0.005}),
    Case("wires, twin that does not, 0.5 %", True, "twin", {"read_error": 0.005, "wires": False}),
)


def built(network: Network, seed: int, wired: bool, args: argparse.Namespace) -> Chip:
    """A die."""
    changes = {**DEVICES, "die": seed, "word_ohm": args.ohm, "bit_ohm": args.ohm}
    if wired:
        changes["stages"] = f"{changes['stages']},wires"
    options = CompileOptions(bits=args.bits, chips=args.chips, target_options=changes)
    return chip_of(compiled(network, TARGET, options), threads=args.threads)


def one_seed(data: Split, seed: int, args: argparse.Namespace, cases: Sequence[Case] = CASES,
             ) -> Iterator[tuple[str, float]]:
    """(name, accuracy on the test set) of the float model and every case."""
    train, test = data
    network = liquid(64, args.neurons, seed=seed)
    readout = ridge(states(network, train, threads=args.threads), train.labels)
    yield "float", accuracy(readout, states(network, test, threads=args.threads), test.labels)
    for wired in sorted({c.wired for c in cases}):
        chip = built(network, seed, wired, args)
        seen = features(chip.run(test, threads=args.threads), "liquid", 1, test.n_steps)
        for case in (c for c in cases if c.wired == wired):
            found = calibrate(network, TARGET, train, how=case.how, chip=chip, threads=args.threads, **case.options)
            yield case.name, accuracy(found.readout, seen, test.labels)


def run(data: Split, args: argparse.Namespace, cases: Sequence[Case] = CASES) -> dict[str, list[float]]:
    """Name -> accuracies, seed by seed."""
    out: dict[str, list[float]] = {}
    for seed in range(args.seeds):
        for name, value in one_seed(data, seed, args, cases):
            out.setdefault(name, []).append(value)
            print(f"  seed {seed}: {name} {100 * value:.1f}", flush=True)
    return out


def table(found: dict[str, list[float]], args: argparse.Namespace) -> str:
    """Means and standard errors over seeds, beside the independent model."""
    lines = [ROW.format("readout trained", "accuracy, %", "NumPy model", "float -")]
    known = {"float": FLOAT} | {c.name: c.known for c in CASES}
    base = np.mean(found["float"])
    for name, values in found.items():
        error = f" +- {100 * np.std(values, ddof=1) / np.sqrt(len(values)):.1f}" if len(values) > 1 else ""
        other = known[name].get(args.neurons)
        lines.append(ROW.format(name, f"{100 * np.mean(values):.1f}{error}",
                                "" if other is None else f"{other:.1f}", f"{100 * (base - np.mean(values)):.1f}"))
    return "\n".join(lines)


def plot(found: dict[str, list[float]], path: Path) -> None:
    """Bars with standard errors."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot()
    names = list(found)[::-1]
    means = [100 * np.mean(found[n]) for n in names]
    errors = [100 * np.std(found[n], ddof=1) / np.sqrt(len(found[n])) if len(found[n]) > 1 else 0 for n in names]
    axes.barh(names, means, xerr=errors, color=["tab:orange" if n[:5] == "wires" else "tab:blue" for n in names])
    axes.axvline(10, color="gray", linestyle=":")
    axes.set_xlabel("spoken digits recognised, % (dotted: chance)")
    axes.set_xlim(0, 100)
    figure.savefig(path, dpi=150)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description="spoken digits on a liquid of memristors")
    p.add_argument("--corpus", help="folder with fsdd/; default HWSDK_CORPUS")
    p.add_argument("--neurons", type=int, default=256)
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--bits", type=int, default=5, help="of a signed weight; 5 are 15 steps in each cell of a pair")
    p.add_argument("--ohm", type=float, default=1.0, help="of a wire segment from cell to cell")
    p.add_argument("--last", type=int, default=44, help="last recording that is trained on; the first is 5")
    p.add_argument("--chips", type=int, default=1)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--plot", type=Path, help="write a picture")
    p.add_argument("--quick", action="store_true", help="one seed, 600 recordings")
    return p


def main() -> None:
    args = parser().parse_args()
    if args.quick:
        args.seeds, args.last = 1, 14
    start = time.perf_counter()
    data = spoken(corpus(args.corpus), args.last)
    print(f"{args.neurons} neurons, {data[0].n_samples} recordings to train, {data[1].n_samples} to test, "
          f"{args.bits}-bit weights, write error 10 % of the window, wires of {args.ohm:g} ohm a cell")
    found = run(data, args)
    print(table(found, args))
    if args.plot:
        plot(found, args.plot)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
