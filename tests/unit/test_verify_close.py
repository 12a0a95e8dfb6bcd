"""verify tells last bits that differ from equality."""

from __future__ import annotations

import numpy as np

import hwsdk
from hwsdk.ir.build import NetworkBuilder
from hwsdk.ir.build_egru import egru_layer
from hwsdk.ir.network import Network
from hwsdk.ir.semantics import Semantics

LAYERS = (("a", "in", 7, 4), ("b", "in", 6, 4))


def two_ways(seed: int) -> Network:
    """A layer that hears two others, whose floats go into the same sums."""
    rng, b = np.random.default_rng(seed), NetworkBuilder("two ways").input("in", 4)
    for name, source, n, m in LAYERS:
        egru_layer(b, name, source, w=rng.normal(0, 0.6, (3 * n, m)), r=rng.normal(0, 0.6, (3 * n, n)),
                   bx=np.zeros(3 * n), br=np.zeros(3 * n), theta=0.1)
    egru_layer(b, "c", "a", w=rng.normal(0, 0.6, (15, 7)), r=rng.normal(0, 0.6, (15, 5)), bx=np.zeros(15),
               br=np.zeros(15), theta=0.1)
    return b.connect("b", "c", weight=rng.normal(0, 0.6, (20, 6))).output("out", "c").build(Semantics())


def test_last_bits_are_told():
    data = {"in": np.random.default_rng(1).normal(0, 1, (2, 12, 4))}
    reports = [hwsdk.verify(two_ways(seed), "spinnaker2", data) for seed in range(4)]
    assert all(r.ok for r in reports)
    some = next(r for r in reports if not r.exact)
    assert "every value within 0.0001; the last bits of some differ" in some.to_text()
    assert some.to_dict()["ok"] is True and some.to_dict()["exact"] is False


def test_one_way_is_exact():
    rng, b = np.random.default_rng(0), NetworkBuilder("one way").input("in", 4)
    egru_layer(b, "a", "in", w=rng.normal(0, 0.6, (21, 4)), r=rng.normal(0, 0.6, (21, 7)), bx=np.zeros(21),
               br=np.zeros(21), theta=0.1)
    report = hwsdk.verify(b.output("out", "a").build(Semantics()), "spinnaker2",
                          {"in": rng.normal(0, 1, (2, 12, 4))})
    assert report.exact and "equal, every spike and every state" in report.to_text()
