"""The current-summing soma's pulse model, fitted to its circuit: `python -m benchmarks.characterise_soma`.

usage: characterise_soma.py [--count 150] [--tries 1200] [--threads 2] [--seed 1] [--held 3] [--toml FILE]

One set of constants for all fan-ins, and a table of latencies for each; fitted to settings of one seed and compared
with those of another. --toml: write the [[soma]] tables in the form of hwsdk/targets/cells/sfq_soma.toml.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from hwsdk.ir.cells import SomaModel
from hwsdk.simulators.sfq_soma import soma_circuit
from hwsdk.simulators.sfq_soma_fit import (
    FITTED,
    GRID,
    GUESS,
    WIDE,
    Agreement,
    Run,
    agreement,
    agreement_of,
    batch_of,
    fit,
    latency,
    off,
    run_analog,
    settings,
)

FAN_INS = tuple(range(1, 9))
HEAD = """\
# Current-summing somas by fan-in: constants of the pulse model, fitted to an analog simulation.
# Form: hwsdk/targets/sfq_soma.py. Written by `python -m benchmarks.characterise_soma --toml FILE`.
# One [[soma]] a fan-in, in rising order; between two of them the constants are interpolated.
# bias_a, jj, ic_a: the soma, its two output stages and a stage a branch; bias_a without the soma's own current.

[sources]
"""


def text(a: Agreement) -> str:
    return (f"{a.runs} settings: {a.exact:.1%} exact, {a.near:.1%} within one; of those that fire "
            f"{a.exact_firing:.1%} and {a.near_firing:.1%}; backwards in {a.backwards}")


def every(model: SomaModel, runs: dict[int, list[Run]]) -> Agreement:
    """All fan-ins together."""
    return agreement_of([off(model, batch_of(r)) for r in runs.values()], [r for x in runs.values() for r in x])


def table(model: SomaModel) -> str:
    """One [[soma]]."""
    cell = soma_circuit(settings(model.fan_in, 1, 0)[0].branches, 0.0)
    ic = sum(e.ic for e in cell.circuit.elements if hasattr(e, "ic"))
    rows = [f"fan_in = {model.fan_in}", *(f"{n} = {getattr(model, n):.4g}" for n in FITTED), f"reset = {model.reset}",
            'fit = { source = "fit", calibrated = true }',
            f"overdrive_a = [{', '.join(f'{x:.3g}' for x in model.overdrive_a)}]",
            f"latency_ps = [{', '.join(f'{x / 1000:.2f}' for x in model.latency_fs)}]",
            'latency = { source = "fit_latency", calibrated = true }',
            f"range = {{ bias_a = {list(WIDE.bias_a)}, branch_l_h = {list(WIDE.inductance_h)}, "
            f'branch_r_ohm = {list(WIDE.resistance_ohm)}, source = "fit" }}',
            f'drawn = {{ jj = {cell.junctions}, ic_a = {ic:.4g}, bias_a = {cell.bias_a:.4g}, source = "sized" }}']
    return "\n[[soma]]\n" + "\n".join(rows) + "\n"


def sources(count: int, grid: Agreement, wide: Agreement) -> str:
    """What the tables name."""
    what = ("our circuit (simulators/sfq_soma.py) in hwsdk's analog solver, by python -m benchmarks.characterise_soma: "
            f"{count} random settings a fan-in of 1 to 8 (10 to 120 pH, 0.2 to 2 ohm, soma bias 20 to 160 uA, "
            "16 pulses at 25 ps, up to half the branches inhibiting; inhibition 5 ps ahead unless phases are random)")
    return (f'fit = "{what}, one set of constants for all; on as many others spike count exact in {wide.exact:.1%}, '
            f'within one in {wide.near:.1%}; from 20 pH and to 120 uA in {grid.exact:.1%} and {grid.near:.1%}"\n'
            f'fit_latency = "{what}: medians by overdrive, from the branch\'s first junction to that of the cell '
            'behind the output"\n'
            'sized = "drawn by hand for hwsdk\'s analog solver, nobody\'s published neuron: a soma junction of 150 uA, '
            'two stages of 250 uA at its output and one at every branch"\n')


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("count", 150), ("tries", 1200), ("threads", 2), ("seed", 1), ("held", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--toml", type=Path)
    a = parser.parse_args()
    runs = {n: run_analog(settings(n, a.count, a.seed, WIDE), a.threads) for n in FAN_INS}
    batches = {n: batch_of(r) for n, r in runs.items()}
    model = fit(list(batches.values()), GUESS, tries=a.tries)
    print("\n".join(f"{n} {getattr(model, n):.4g}" for n in FITTED))
    print("fitted:", text(every(model, runs)))
    wide = {n: run_analog(settings(n, a.count, a.held, WIDE), a.threads) for n in FAN_INS}
    grid = {n: run_analog(settings(n, a.count, a.held, GRID), a.threads) for n in FAN_INS}
    print("held out, as fitted:", text(every(model, wide)))
    print("held out, from 20 pH and to 120 uA:", text(every(model, grid)))
    models = []
    for n in FAN_INS:
        over, late = latency(model, batches[n])
        models.append(replace(model, fan_in=n, overdrive_a=over, latency_fs=late))
        print(f"fan-in {n}:", text(agreement(model, grid[n])))
    if a.toml is not None:
        a.toml.write_text(HEAD + sources(a.count, every(model, grid), every(model, wide)) + "".join(map(table, models)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
