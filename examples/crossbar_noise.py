"""A trained network on memristor crossbars: accuracy against write noise, read noise and the bits of the converters.

    python examples/crossbar_noise.py --plot noise.png
    python examples/crossbar_noise.py --model cnn_sinabs.nir --dt 1 --data nmnist_test_0_49.npz --steps 314 \\
        --calibration nmnist_train300.npz --calibration-limit 10 --dies 3 --off wires --plot nmnist.png

The model is compiled once for each resolution of the converters. Noise is a share of the window of conductances, g_max
- g_min, as a standard deviation; it changes the made array and not the program. Every point is a mean over dies, its
bar goes from the worst die to the best. Results are kept with --keep FOLDER, so that a long run can go on later.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import hwsdk
from hwsdk.backends.memristor_yield import YieldReport
from hwsdk.compiler import load_data
from hwsdk.ir.crossbar import STAGES, Law
from hwsdk.ir.data import Stimulus
from hwsdk.programs.crossbar import CrossbarProgram
from hwsdk.simulators import reference

HERE = Path(__file__).parent
WRITE = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2)
READ = (0.0, 0.01, 0.02, 0.05, 0.1)
BITS = (10, 8, 6, 5, 4, 3, 2)
QUIET = Law("range", {"a": 0.0})


@dataclass(frozen=True)
class Curve:
    """Accuracy over one thing that varies. reports: of the dies, a point each."""

    label: str
    at: tuple[float, ...]
    reports: tuple[YieldReport, ...]

    def rows(self) -> list[str]:
        """A line a point."""
        return [f"  {x:8g} {r.values.mean():8.2%} {r.values.min():8.2%} {r.values.max():8.2%}"
                for x, r in zip(self.at, self.reports, strict=True)]


def noisy(program: CrossbarProgram, write: float = 0.0, read: float = 0.0) -> CrossbarProgram:
    """The same array with other noise, as shares of the window."""
    physics = program.physics
    device = replace(physics.device, write=replace(QUIET, constants={"a": write}),
                     read=replace(QUIET, constants={"a": read}))
    return replace(program, physics=replace(physics, device=device))


def curves(compiled: Callable[[int | None], CrossbarProgram], measure: Callable[[CrossbarProgram, str], YieldReport],
           ) -> list[Curve]:
    """All three. compiled: a program for converters of so many bits, None for the target's own. measure: a program and
    what to call it.
    """
    own = compiled(None)
    write = tuple(measure(noisy(own, write=x), f"write {x:g}") for x in WRITE)
    read = tuple(measure(noisy(own, read=x), f"read {x:g}") for x in READ)
    bits = tuple(measure(noisy(compiled(b)), f"bits {b}") for b in BITS)
    return [Curve("write noise (% of the window)", tuple(100 * x for x in WRITE), write),
            Curve("read noise (% of the window)", tuple(100 * x for x in READ), read),
            Curve("bits of the converters", tuple(map(float, BITS)), bits)]


def plot(found: Sequence[Curve], floats: float | None, title: str, path: str) -> None:
    """One panel a curve."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), dpi=150, layout="constrained")
    for axes, curve in zip(figure.subplots(1, len(found), sharey=True), found, strict=True):
        y = np.array([[r.values.mean(), r.values.min(), r.values.max()] for r in curve.reports]).T * 100
        axes.errorbar(curve.at, y[0], yerr=np.maximum((y[0] - y[1], y[2] - y[0]), 0), fmt="o-", capsize=3, markersize=4,
                      color="#2f6db5")
        if floats is not None:
            axes.axhline(100 * floats, color="#8a8f98", linestyle="--", linewidth=1)
        axes.set_xlabel(curve.label, fontsize=8)
        axes.grid(color="#e3e6ea", linewidth=0.6)
        axes.tick_params(labelsize=8)
    figure.axes[0].set_ylabel(f"{found[0].reports[0].measure} (%)", fontsize=8)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(HERE / "digits.nir"))
    parser.add_argument("--data", default=str(HERE / "digits_test.npz"), help="test data with labels")
    parser.add_argument("--calibration", default=None, help="data that set the ranges of the converters")
    parser.add_argument("--calibration-limit", type=int, default=50, metavar="N", help="samples of them (default 50)")
    parser.add_argument("--dt", type=float, default=1e-3, help="step of the model (default 1e-3)")
    parser.add_argument("--reset", default="value", choices=("value", "subtract"))
    parser.add_argument("--steps", type=int, default=None, help="of every sample; default: as long as it is")
    parser.add_argument("--limit", type=int, default=None, metavar="N", help="only the first N samples")
    parser.add_argument("--target", default="memristor")
    parser.add_argument("--off", default="", help=f"stages that are switched off, of {','.join(STAGES)}")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="more of the target's")
    parser.add_argument("--dies", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", default=None, metavar="FOLDER", help="keep results here, and go on from them")
    parser.add_argument("--plot", default=None, metavar="FILE.png")
    return parser


def options_of(a: argparse.Namespace) -> dict[str, Any]:
    """The target's own."""
    return ({"off": a.off} if a.off else {}) | dict(o.split("=", 1) for o in a.option)


def calibration(a: argparse.Namespace, network: Any) -> Stimulus:
    """Data for the ranges; of the test data where nothing else is given."""
    usual = str(HERE / "digits_calibration.npz") if a.model == str(HERE / "digits.nir") else a.data
    return load_data(a.calibration or usual, network, limit=a.calibration_limit, **length(a))


def length(a: argparse.Namespace) -> dict[str, int]:
    """Steps of the data, where they were given."""
    return {} if a.steps is None else {"n_steps": a.steps}


def main(words: Sequence[str] | None = None) -> list[Curve]:
    """Print the curves, and draw them."""
    a = arguments().parse_args(words)
    network = hwsdk.load(a.model, dt=a.dt, reset=a.reset)
    data, given = load_data(a.data, network, limit=a.limit, **length(a)), calibration(a, network)
    if a.keep:
        Path(a.keep).mkdir(parents=True, exist_ok=True)

    def compiled(bits: int | None) -> CrossbarProgram:
        own = options_of(a) | ({} if bits is None else {"adc_bits": bits})
        return hwsdk.compile(network, a.target, data=given, target_options=own)  # type: ignore[return-value]

    def measure(program: CrossbarProgram, name: str) -> YieldReport:
        kept = Path(a.keep) / f"{name.replace(' ', '_')}.jsonl" if a.keep else None
        return hwsdk.yields(program, data, dies=a.dies, threads=a.threads, resume=kept)

    floats = None
    if data.labels is not None and len(network.outputs) == 1:
        counts = reference.run(network, data).counts_of(next(iter(network.outputs)), data.n_steps)
        floats = float(np.mean(counts.argmax(1) == data.labels))
    found = curves(compiled, measure)
    title = f"{network.name} on {a.target}, {data.n_samples} samples, {a.dies} dies a point"
    print(title if floats is None else f"{title}; in floats {floats:.2%}")
    for curve in found:
        print("\n".join([f"{curve.label}: {curve.reports[0].measure}, mean, worst and best die", *curve.rows()]))
    if a.plot:
        plot(found, floats, title, a.plot)
        print(f"wrote {a.plot}")
    return found


if __name__ == "__main__":
    main()
