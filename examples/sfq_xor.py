"""Deep XOR in superconducting logic, from a NIR file to pulses, in both neuron styles, checked by the analog solver.

    python examples/sfq_xor.py [--quick] [--plot FOLDER]

xor.nir comes from train_xor.py. For each style: what the netlist takes, its truth table as the pulse simulator and the
analog solver have it, the window of bias currents in which it holds by both, and how many of 1,000 chips with jitter
and spread work. Last, currents from outside alone make other functions of the netlist of loops.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import hwsdk
from hwsdk.backends.sfq_margins import compare, sweep
from hwsdk.backends.sfq_yield import monte_carlo
from hwsdk.compiler import load_data, summary
from hwsdk.simulators.sfq_analog import run_analog

HERE = Path(__file__).parent
PATTERNS = np.array([[[0, 0], [0, 1], [1, 0], [1, 1]]])
"""One sample of four frames."""
STYLES = {"counter": "counters of TFFs, exact integers",
          "loop": "currents summed in one junction, thresholds set by bias"}
RUNS, SPREAD = 1000, 0.05
FUNCTIONS = {"XOR": (1.0, 1.0), "OR": (0.0, 1.0), "AND": (0.0, 0.55), "never": (1.0, 0.0)}
"""Name -> factors on the currents into the hidden neurons (that fires at two pulses, that fires at one)."""


def table(trace: Any) -> str:
    """The output for 00, 01, 10 and 11."""
    return " ".join(str(int(x)) for x in trace.aligned("out", PATTERNS.shape[1]).dense(0)[:, 0])


def show_style(network: Any, style: str, quick: bool, plots: Path | None) -> Any:
    """Compile, run by pulses and as a circuit, sweep, and make many."""
    program = hwsdk.compile(network, "sfq", bits=3, target_options={"neuron": style})
    data = load_data(PATTERNS, program)
    trace = hwsdk.simulate(program, data, strict=True)
    print(f"\n=== {style}: {STYLES[style]}")
    used = ", ".join(f"{name} {usage.used:,} {usage.unit}" for name, usage in summary(program).items()
                     if name in ("junctions", "bias"))
    print(f"{used}, {program.n_cells} cells, a frame of {program.schedule.frame_fs / 1000:.0f} ps")
    print(f"XOR of 00 01 10 11: {table(trace)} by pulses, {table(run_analog(program, data).trace)} in the analog "
          "solver")
    lines = ["all"] if quick else ["all", *(layer.name for layer in program.layers)]
    k = np.linspace(0.8, 1.25, 10)
    by_pulses = sweep(program, data, k=k, groups=lines)
    analog = sweep(program, data, k=k, groups=lines, run=lambda c: run_analog(program, data, conditions=c).trace,
                   by="analog solver", expected=trace, tolerance=0.01)
    both = compare(by_pulses, analog)
    print(both.to_text(), end="")
    made = monte_carlo(program, data, runs=RUNS, jitter=True, spread=SPREAD, threshold_spread=SPREAD / 2)
    print(made.to_text(), end="")
    if plots is not None:
        print(f"wrote {both.plot(plots / f'xor_{style}.png')}")
    print(hwsdk.estimate(program, hwsdk.simulate(program, data)).to_text().split("\n    ")[0])
    return program


def show_functions(program: Any) -> None:
    """The same cells and nets under other currents."""
    currents = program.arrays.soma_bias_a[program.somas("hidden")]
    print("\nthe same netlist under other currents into its two hidden somas")
    for name, factors in FUNCTIONS.items():
        tuned = program.tuned("hidden", currents * factors)
        data = load_data(PATTERNS, tuned)
        amps = ", ".join(f"{a * 1e6:.0f} uA" for a in currents * factors)
        print(f"  {name:6} {amps:>16}: {table(hwsdk.simulate(tuned, data))} by pulses, "
              f"{table(run_analog(tuned, data).trace)} in the analog solver")


def main(words: list[str] | None = None) -> None:
    """Both styles, then other functions."""
    parser = argparse.ArgumentParser(description="Deep XOR in superconducting logic.")
    parser.add_argument("--quick", action="store_true", help="sweep all bias currents together only, not by layer")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="draw the windows here")
    args = parser.parse_args(words)
    network = hwsdk.load(str(HERE / "xor.nir"), dt=1.0)
    programs = {style: show_style(network, style, args.quick, args.plot) for style in STYLES}
    show_functions(programs["loop"])


if __name__ == "__main__":
    main()
