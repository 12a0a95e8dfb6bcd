"""The pulse kernel against a plain twin that shares no code with it, event for event."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sfq_cells_by_hand import SPECS, Layer, Net, PulseNetlist, Schedule
from sfq_twin import Twin

from hwsdk.ir.data import Stimulus
from hwsdk.simulators import sfq
from hwsdk.simulators.sfq import Conditions
from hwsdk.simulators.sfq_many import many

SEEDS = st.integers(0, 2**32 - 1)
UNTIL_FS = 1_500_000
KINDS = (*SPECS, "SPLIT", "SPLIT", "SOMA1", "SOMA3", "SOMA7")
GROUPS = ("clock", "hidden")


def random_net(rng: np.random.Generator) -> tuple[Net, list[int]]:
    """Cells of all types joined at random, feedback among them; (net, its sources)."""
    net = Net(GROUPS)
    for name in rng.choice(KINDS, rng.integers(2, 60)):
        fan_in = int(name[4:]) if name.startswith("SOMA") else 0
        taus = rng.choice([2e4, 1e5, 1e9], 2)
        branches = [(float(rng.uniform(-3e-5, 1.2e-4)), float(rng.choice(taus))) for _ in range(fan_in)]
        net.add(str(name), int(rng.integers(2)), branches, float(rng.uniform(2e-5, 1.8e-4)))
    outs = [(k, o) for k, (n, _) in enumerate(net.cells) for o in range(len(net.types[n].outputs))]
    ins = [(k, i) for k, (n, _) in enumerate(net.cells) for i in range(len(net.types[n].inputs))]
    rng.shuffle(outs)
    rng.shuffle(ins)
    for (a, o), (b, i) in list(zip(outs, ins, strict=False))[: int(0.9 * min(len(outs), len(ins)))]:
        if a < b or rng.random() < 0.1:
            net.join(int(a), int(o), int(b), int(i))
    net.chain(["JTL"] * 6)
    net.close()
    return net, [k for k, (n, _) in enumerate(net.cells) if n == "SRC"]


def random_pulses(rng: np.random.Generator, sources: list[int]) -> dict[int, list[int]]:
    """Times with ties, near coincidences, and others that are far apart."""
    grid = int(rng.choice([1, 50, 1_000, 5_000]))
    at = np.sort(rng.integers(0, UNTIL_FS // grid, 40)) * grid
    pulses = {}
    for s in sources:
        own = rng.choice(at, rng.integers(0, 12)) + (rng.integers(-1, 2) if rng.random() < 0.3 else 0)
        pulses[s] = sorted(np.maximum(own, 0).tolist())
    return pulses


def random_conditions(rng: np.random.Generator) -> Conditions:
    """Of all kinds."""
    some = rng.random(6) < 0.5
    return Conditions(
        float(rng.choice([1.0, 0.9, 1.15, 0.8])) if some[0] else 1.0, {"hidden": 1.05} if some[1] else {},
        {"hidden": 0.8} if some[1] else {}, bool(some[2]), float(rng.choice([0, 60, 4_000])),
        float(rng.choice([4.2, 9])),
        float(rng.choice([0.05, 0.6])) if some[3] else 0.0, 0.1 if some[4] else 0.0, int(rng.integers(1 << 40)),
        "drop" if some[5] else "record")


def with_layer(net: Net) -> PulseNetlist:
    """A layer, so that soma biases can be scaled."""
    net.close()
    return net.program(layers=(Layer("hidden", (1,), "counter", 0),), spikes=(0,))


def assert_is_twin(run: sfq.PulseRun, twin: Twin, sample: int = 0) -> None:
    """Every pulse, count, violation and state."""
    s = run.samples[sample]
    assert list(zip(s.time_fs.tolist(), s.net.tolist(), strict=True)) == twin.pulses
    assert [(*v[:5], ("absorbed", "timing")[v[5]]) for v in s.violations.tolist()] == twin.violations
    assert run.counts(sample) == twin.counts
    assert (s.state.tolist(), s.deliveries) == (twin.state, twin.delivered)
    assert (s.current_a.tolist(), s.moment_fs.tolist()) == (twin.current, twin.moment)
    kinds = [v[5] for v in twin.violations]
    assert (s.absorbed, s.timing) == (kinds.count("absorbed"), kinds.count("timing"))


@settings(max_examples=300, deadline=None)
@given(SEEDS)
@example(3)
def test_kernel_is_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    net, sources = random_net(rng)
    pulses, conditions, program = random_pulses(rng, sources), random_conditions(rng), with_layer(net)
    twin = Twin(program, conditions)
    for cell, times in pulses.items():
        for time in times:
            twin.source(cell, time)
    twin.run(UNTIL_FS)
    assert_is_twin(sfq.drive(program, pulses, UNTIL_FS, conditions=conditions), twin)


def test_random_nets_do_it_all() -> None:
    """The generator above reaches what it is meant to reach."""
    found, fired, ties = set(), set(), 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        net, sources = random_net(rng)
        run = sfq.drive(with_layer(net), random_pulses(rng, sources), UNTIL_FS)
        found |= {(v.cell.split("_")[1], v.kind) for v in run.violations()}
        fired |= set(run.counts())
        ties += int((np.diff(run.samples[0].time_fs) == 0).sum())
    assert {n.lower() for n in SPECS} <= {n for n, kind in found if kind == "timing"}
    assert ("merge", "absorbed") in found and ties > 100
    assert {"SOMA3 a0|0", "SOMA3 a0|1", "SOMA7 a6|1", "XOR clk|2", "NDRO clk|1", "TFF a|1"} <= fired


def framed(rng: np.random.Generator) -> PulseNetlist:
    """A random net whose sources are inputs, a clock and an init; some of its nets are spikes of two layers."""
    net, sources = random_net(rng)
    spikes = rng.permutation(len(net.nets))[:6]
    lag = int(rng.integers(3))
    layers = (Layer("hidden", (2, 2), "counter", 30_000, lag), Layer("out", (2,), "counter", 150_000))
    frame = [(s, int(rng.integers(0, 40_000))) for s in sources[: len(sources) // 3]]
    init = sources[len(sources) // 3 : len(sources) // 2]
    return net.program(inputs=(("x", sources[len(sources) // 2 :]),), frame=frame, init=init, layers=layers,
                       spikes=spikes, schedule=Schedule(200_000, 50_000, 7_000, 110_000))


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_frames_are_those_of_the_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, c = framed(rng), random_conditions(rng)
    data = Stimulus.dense(rng.random((3, 4, p.inputs[0].n)) < 0.4, p.input_shapes)
    total, s = 4 + max(x.lag for x in p.layers), p.schedule
    trace, run = sfq.run(p, data, conditions=c, threads=2), sfq.pulses(p, data, conditions=c)
    runs = many(p, data, [c, Conditions(), c])
    place = {int(n): k for k, n in enumerate(p.arrays.spike_net)}
    for sample in range(3):
        twin = Twin(p, c, sample)
        for cell in p.arrays.init_source:
            twin.source(int(cell), s.init_fs)
        for f in range(total):
            for cell, offset in zip(p.arrays.frame_source, p.arrays.frame_offset_fs, strict=True):
                twin.source(int(cell), s.start_fs + f * s.frame_fs + int(offset))
        for step, index in np.argwhere(data.inputs["x"].dense(sample)):
            twin.source(int(p.arrays.input_source[index]), s.start_fs + step * s.frame_fs + s.input_offset_fs)
        twin.run(s.start_fs + (total + 1) * s.frame_fs)
        assert_is_twin(run, twin, sample)
        seen = {x.name: np.zeros((total, x.n)) for x in p.layers}
        for time, k in ((t, place[n]) for t, n in twin.pulses if n in place):
            layer = p.layers[0 if k < 4 else 1]
            frame = (time - s.start_fs - layer.read_fs + s.frame_fs // 2) // s.frame_fs
            if 0 <= frame < total:
                seen[layer.name][frame, k if k < 4 else k - 4] += 1
        for layer in p.layers:
            assert trace.spikes[layer.name].dense(sample).tolist() == seen[layer.name].tolist()
            counted = trace.counts_of(layer.name, 4)[sample]
            assert runs.spikes[layer.name][0, sample].tolist() == counted.tolist()
            assert runs.spikes[layer.name][2, sample].tolist() == counted.tolist()
        assert runs.deliveries[0, sample] == twin.delivered == trace.counts["deliveries"][sample, 0]


@pytest.mark.parametrize("seed", range(3))
def test_block_and_buffers_do_not_matter(seed: int, monkeypatch) -> None:
    """Frames one at a time and buffers that must grow give the same."""
    rng = np.random.default_rng(seed)
    p = framed(rng)
    data = Stimulus.dense(rng.random((2, 30, p.inputs[0].n)) < 0.5, p.input_shapes)
    c = Conditions(jitter=True, unknown_sigma_fs=500.0, seed=seed)
    a, many_a = sfq.pulses(p, data, conditions=c), many(p, data, 3, conditions=c)
    states = sfq.run(p, data, conditions=c, probes="all")
    monkeypatch.setattr("hwsdk.simulators.sfq_run.ROOM", 2)
    b, many_b = sfq.pulses(p, data, conditions=c), many(p, data, 3, conditions=c)
    for x, y in zip(a.samples, b.samples, strict=True):
        assert np.array_equal(x.net, y.net) and np.array_equal(x.time_fs, y.time_fs)
        assert np.array_equal(x.violations, y.violations) and np.array_equal(x.state, y.state)
    assert all(np.array_equal(many_a.spikes[n], many_b.spikes[n]) for n in many_a.spikes)
    assert states.first_difference(sfq.run(p, data, conditions=c)) is None
