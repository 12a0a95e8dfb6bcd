"""Our mappings against simple ones: cores filled in neuron order, and the layer split of SANA-FE's tutorial 5."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import hwsdk
from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.errors import HwsdkError
from hwsdk.mappers.loihi import MapOptions, legality, map_network
from hwsdk.mappers.objective import Times
from hwsdk.targets import load_target

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MODELS = ("nir_paper/*.nir", "exported/*.nir", "loihi/*.net")


def benchmark(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
def test_no_corpus_network_has_more_packets_or_hops_than_filling_in_order(corpus, target):
    tool, backend, seen = benchmark("mapping_corpus"), backends.get(target), 0
    for path in sorted(p for pattern in MODELS for p in corpus.glob(pattern)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _, whole, _ = backend.discrete(hwsdk.load(path), CompileOptions())
        except HwsdkError:
            continue
        cores = tool.in_order(whole, backend.target)
        grid = tool.slots(backend.target, 1)
        places = [tool.Place(int(c), int(x), int(y)) for x, y, c in grid.place[grid.snake[: len(cores)]]]
        base = tool.score(whole, cores, places)
        found, _ = tool.ours(whole, backend.target, MapOptions(packing="dense", effort="normal"))
        assert found.packets <= base.packets and found.hops <= base.hops, path.name
        seen += 1
    assert seen >= 8


def test_the_dvs_network_of_sanafe_spreads_over_loihi1():
    """Shapes and mean activity of SANA-FE 2.2.9's DVS example; its tutorial puts up to 1,024 neurons on a core.

    Inside SANA-FE (benchmarks/mapping_sanafe_dvs.py, 1,000 steps) energy times time falls from 89.1 to 44.7 uJ s.
    """
    shapes = np.array([(32, 32, 1), (15, 15, 16), (13, 13, 32), (11, 11, 64), (9, 9, 11)])
    sizes = np.array([1024, 3600, 5408, 7744, 891, 11])
    kernels = {f"conv{k}": np.zeros((3, 3, int(shapes[k - 1][2]), int(shapes[k][2]))) for k in (1, 2, 3, 4)}
    network = benchmark("mapping_sanafe_dvs").network_of({"shapes": shapes, "sizes": sizes, **kernels})
    assert [c.n for c in network.populations.values()] == sizes.tolist()
    target = load_target("loihi1")
    activity = dict(zip((f"p{k}" for k in range(6)), (0.025, 0.008, 0.013, 0.025, 0.056, 0.022), strict=True))
    program = map_network(network, target, MapOptions(packing="spread", activity=activity))
    assert legality(program, target) == ()
    assert 100 < program.n_cores <= 128
    assert np.diff(program.arrays.neuron_ptr).max() * Times.of(target).update < 1024 * Times.of(target).update / 3
