"""Our Josephson circuits of the cells beside the library's figures: `python -m benchmarks.characterise_cells`.

usage: characterise_cells.py [CELL ...] [--full] [--seed 0]

Ours: transients of hwsdk's own solver. The library: what the target's description has, with its sources in
hwsdk/targets/cells/sfq.toml. The circuits are not the library's, so junctions, bias and delays differ; both follow the
same tables. --full: everything that was measured, as text.
"""

from __future__ import annotations

import argparse
import sys
import time

from hwsdk.ir.cells import CellType
from hwsdk.simulators.sfq_characterise import CellReport, characterise
from hwsdk.simulators.sfq_circuits import cells, circuit_of
from hwsdk.targets import load_target

HEAD = ("cell", "JJ", "library", "bias mA", "library", "delay ps", "library", "k=0.9", "library", "k=1.1", "library",
        "jitter fs", "library", "margin %", "all %", "table")


def row(ours: CellReport, library: CellType) -> tuple[str, ...]:
    delays = [(ours.delay_ps[k], (library.delay_at(k) or float("nan")) / 1e3) for k in (1.0, 0.9, 1.1)]
    pairs = [(ours.junctions, library.jj), *((f"{a:.3f}", f"{b:.3f}") for a, b in
             ((ours.bias_a * 1e3, library.bias_a * 1e3),)), *((f"{a:.2f}", f"{b:.2f}") for a, b in delays),
             (f"{ours.sigma_fs:.0f}", f"{library.sigma_fs:.0f}")]
    margins = [f"{(low - 1) * 100:+.0f}/{(high - 1) * 100:+.0f}" for low, high in (ours.margin, ours.margin_all)]
    return (ours.cell, *(str(x) for pair in pairs for x in pair), *margins, "wrong" if ours.wrong else "right")


def table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(r[c]) for r in rows) for c in range(len(rows[0]))]
    return "\n".join("  ".join(x.rjust(w) for x, w in zip(r, widths, strict=True)) for r in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", metavar="CELL", help="default: all that have a circuit")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    target = load_target("sfq")
    start, rows, texts = time.process_time(), [HEAD], []
    for name in args.cells or cells():
        report = characterise(circuit_of(name), target.cell(name), seed=args.seed)
        rows.append(row(report, target.cell(name)))
        texts.append(report.to_text())
    print(table(rows))
    print(f"{time.process_time() - start:.1f} s of processor time")
    if args.full:
        print("\n" + "\n".join(texts))
    return int(any(r[-1] == "wrong" for r in rows[1:]))


if __name__ == "__main__":
    sys.exit(main())
