"""The example that draws accuracy against noise."""

from __future__ import annotations

from examples.crossbar_noise import BITS, READ, WRITE, main


def test_three_curves_are_printed_drawn_and_kept(tmp_path, capsys) -> None:
    words = ["--limit", "12", "--dies", "2", "--calibration-limit", "5", "--keep", str(tmp_path / "kept")]
    write, read, bits = main([*words, "--plot", str(tmp_path / "n.png")])
    out = capsys.readouterr().out
    assert out.startswith("digits on memristor, 12 samples, 2 dies a point; in floats ")
    assert (len(write.reports), len(read.reports), len(bits.reports)) == (len(WRITE), len(READ), len(BITS))
    assert write.reports[0].values.mean() > write.reports[-1].values.mean(), "20 % of the window is too much"
    assert all(len(set(r.values)) == 1 for r in (write.reports[0], read.reports[0], bits.reports[0]))
    assert (tmp_path / "n.png").stat().st_size > 10_000
    kept = sorted(p.name for p in (tmp_path / "kept").iterdir())
    assert len(kept) == len(WRITE) + len(READ) + len(BITS) and "write_0.05.jsonl" in kept
    assert len((tmp_path / "kept" / "bits_4.jsonl").read_text().splitlines()) == 2
