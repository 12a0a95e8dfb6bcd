"""The pulse simulator: what each rule says, by numbers computed by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from sfq_cells_by_hand import DELAYS, SPECS, K, Layer, Net, PulseNetlist, Schedule, cell

from hwsdk.errors import DataError, ProgramError, TimingViolation
from hwsdk.ir.data import Stimulus
from hwsdk.simulators import sfq
from hwsdk.simulators.sfq import Conditions
from hwsdk.simulators.sfq_many import many

FAR_FS = 100_000_000


def one_cell(name: str, **more) -> tuple[PulseNetlist, dict[str, int], int]:
    """A cell between sources and sinks: (program, SRC of each input pin, net of its first output)."""
    net = Net()
    k = net.add(name, **more)
    pins = {}
    for i, pin in enumerate(net.types[name].inputs):
        pins[pin] = net.add("SRC")
        net.join(pins[pin], 0, k, i)
    out = net.join(k, 0, net.add("SINK"), 0)
    return net.program(), pins, out


def outputs(program: PulseNetlist, net: int, pulses, **more) -> list[int]:
    """Times of the pulses on a net."""
    return sfq.drive(program, pulses, FAR_FS, watch=[net], **more).samples[0].time_fs.tolist()


@pytest.mark.parametrize("first", ["a", "b"])
def test_merger_loses_a_pulse_below_5_ps(first) -> None:
    program, pins, out = one_cell("MERGE")
    a, b = pins[first], pins["ab".replace(first, "")]
    assert outputs(program, out, {a: [0], b: [4_900]}) == [7_530]
    assert outputs(program, out, {a: [0], b: [4_999]}) == [7_530]
    assert outputs(program, out, {a: [0], b: [0]}) == [7_530]
    assert outputs(program, out, {a: [0], b: [5_000]}) == [7_530, 12_530]
    run = sfq.drive(program, {a: [0], b: [5_100]}, FAR_FS, watch=[out])
    assert run.samples[0].time_fs.tolist() == [7_530, 12_630] and run.violations() == []
    run = sfq.drive(program, {a: [1_000], b: [4_000, 11_000]}, FAR_FS)
    second = "ab".replace(first, "")
    v, = run.violations()
    assert (v.cell, v.prev, v.pin, v.time_fs, v.slack_fs, v.kind) == ("cell_merge_0", first, second, 4_000, -2_000,
                                                                    "absorbed")
    assert run.violations_text() == (f"sample 0, cell_merge_0: {second} at 4.000 ps comes 2.000 ps too soon after "
                                     f"{first} [absorbed]\n")
    assert (run.samples[0].absorbed, run.samples[0].timing) == (1, 0)
    assert run.counts()[f"MERGE {second}|0"] == 1, "an absorbed pulse is none"


PREPARE = {0: (), 1: ("a",), 2: ("b",)}


def entries() -> list[tuple[str, int, str, str, int]]:
    """Every critical time: cell, state, prev, next, fs."""
    return [(n, s, p, x, round(ps * 1000)) for n, row in SPECS.items() for (s, p, x), ps in row[6].items()]


@pytest.mark.parametrize(("name", "state", "prev", "pin", "limit"), entries())
def test_critical_times_to_the_femtosecond(name, state, prev, pin, limit) -> None:
    program, pins, _ = one_cell(name)
    for gap, early in ((limit - 1, True), (limit, False)):
        pulses = {s: [] for s in pins.values()}
        for before in PREPARE[state]:
            pulses[pins[before]].append(0)
        pulses[pins[prev]].append(1_000_000)
        pulses[pins[pin]].append(1_000_000 + gap)
        run = sfq.drive(program, pulses, FAR_FS)
        absorbed = name == "MERGE" and prev != pin
        if not absorbed:
            assert [(v.prev, v.pin, v.slack_fs, v.kind) for v in run.violations()] == (
                [(prev, pin, -1, "timing")] if early else [])
        else:  # the published 2.2 and 2.3 ps lie within the measured 5 ps in which the pulse is lost
            assert [(v.slack_fs, v.kind) for v in run.violations()] == [(gap - 5_000, "absorbed")]


def test_policies() -> None:
    program, pins, out = one_cell("SPLIT")
    pulses = {pins["a"]: [0, 6_999, 20_000]}
    assert outputs(program, out, pulses) == [5_910, 12_909, 25_910]
    assert outputs(program, out, pulses, conditions=Conditions(policy="drop")) == [5_910, 25_910]
    with pytest.raises(TimingViolation, match=r"cell_split_0: timing: a at 6,999 fs comes 1 fs too soon after a"):
        sfq.drive(program, pulses, FAR_FS, conditions=Conditions(policy="raise"))
    merge, m, _ = one_cell("MERGE")
    run = sfq.drive(merge, {m["a"]: [0], m["b"]: [1]}, FAR_FS, conditions=Conditions(policy="raise"))
    assert run.samples[0].absorbed == 1, "what is absorbed is modelled, and no reason to stop"


def test_dropped_pulses_leave_no_trace() -> None:
    """Two pulses too soon after the first, but not after each other's true predecessor."""
    program, pins, out = one_cell("TFF")
    drop = Conditions(policy="drop")
    assert outputs(program, out, {pins["a"]: [0, 6_000, 12_000]}, conditions=drop) == [22_300]
    assert outputs(program, out, {pins["a"]: [0, 6_000, 12_000]}) == [16_300]


@pytest.mark.parametrize("name", list(DELAYS))
def test_delays_follow_the_bias(name) -> None:
    program, pins, out = one_cell(name)
    pulses = {pins[p]: [k * 50_000] for k, p in enumerate(x for x in ("a", "clk") if x in pins)}
    if name == "NOT":
        pulses = {pins["clk"]: [0]}
    last = max(t for times in pulses.values() for t in times)
    for k, ps in zip(K, DELAYS[name], strict=True):
        assert outputs(program, out, pulses, conditions=Conditions(bias=k)) == [last + round(ps * 1000)]
    half = Conditions(group_bias={"clock": 0.975})
    assert outputs(program, out, pulses, conditions=half) == [
        last + round(1000 * (DELAYS[name][2] + DELAYS[name][3]) / 2)]
    for dead in (Conditions(bias=0.8499), Conditions(bias=1.2, group_bias={"clock": 1.0001})):
        assert outputs(program, out, pulses, conditions=dead) == []


def test_a_group_has_its_own_bias() -> None:
    net = Net(("clock", "hidden"))
    first, second = net.add("JTL", 0), net.add("JTL", 1)
    net.join(first, 0, second, 0)
    out = net.join(second, 0, net.add("SINK"), 0)
    program = net.program()
    source = {int(program.arrays.from_cell[-1]): [0]}
    assert outputs(program, out, source, conditions=Conditions(group_bias={"hidden": 0.9})) == [3_640 + 4_210]
    with pytest.raises(DataError, match=r"no bias group 'out'.*\n.*clock, hidden"):
        outputs(program, out, source, conditions=Conditions(group_bias={"out": 0.9}))
    with pytest.raises(DataError, match="no layer 'hidden'"):
        outputs(program, out, source, conditions=Conditions(soma_bias={"hidden": 0.9}))


def chain(n: int) -> tuple[PulseNetlist, int, int]:
    """(n JTL cells, SRC, last net)."""
    net = Net()
    cells = net.chain(["SRC", *["JTL"] * n, "SINK"])
    return net.program(), cells[0], n


@pytest.mark.parametrize("n", [1, 10, 40])
def test_jitter_grows_with_the_root_of_the_cells(n) -> None:
    program, source, out = chain(n)
    sent = np.arange(4_000) * 1_000_000
    sigma = {}
    for kelvin in (4.2, 16.8):
        c = Conditions(jitter=True, temperature_k=kelvin, seed=5)
        run = sfq.drive(program, {source: sent}, 5_000_000_000, watch=[out], conditions=c)
        late = run.samples[0].time_fs - sent - n * 3_640
        sigma[kelvin] = late.std()
        assert abs(late.mean()) < 4 * 51 * math.sqrt(n * kelvin / 4.2 / 4_000)
        assert run.unknown_jitter == ()
    assert sigma[4.2] == pytest.approx(51 * math.sqrt(n), rel=0.05)
    assert sigma[16.8] == pytest.approx(2 * 51 * math.sqrt(n), rel=0.05)


def test_jitter_that_is_not_known_is_told() -> None:
    program, pins, out = one_cell("SPLIT")
    run = sfq.drive(program, {pins["a"]: [0]}, FAR_FS, watch=[out], conditions=Conditions(jitter=True))
    assert (run.samples[0].time_fs.tolist(), run.unknown_jitter) == ([5_910], ("SPLIT",))
    sent = np.arange(2_000) * 1_000_000
    run = sfq.drive(program, {pins["a"]: sent}, 3_000_000_000, watch=[out],
                    conditions=Conditions(jitter=True, unknown_sigma_fs=300.0))
    assert (run.samples[0].time_fs - sent).std() == pytest.approx(300, rel=0.06)


def test_spread_is_drawn_once_a_cell() -> None:
    program, source, out = chain(1)
    sent = (np.arange(20) * 1_000_000).tolist()
    late = []
    for seed in range(300):
        times = np.array(outputs(program, out, {source: sent}, conditions=Conditions(spread=0.05, seed=seed)))
        assert len(set((times - sent).tolist())) == 1
        late.append(times[0] / 3_640 - 1)
    assert np.std(late) == pytest.approx(0.05, rel=0.15)


def counter(jtls: int = 10) -> PulseNetlist:
    """Two inputs through TFF bits of a counter of 2 bits; spikes are its carries. Frames of 1 ns."""
    net = Net()
    x, y = net.add("SRC"), net.add("SRC")
    merge, low, high = net.add("MERGE"), net.add("TFF"), net.add("TFF")
    late = net.chain(["JTL"] * jtls)
    net.join(x, 0, merge, 0)
    net.join(y, 0, late[0], 0)
    net.join(late[-1], 0, merge, 1)
    net.join(merge, 0, low, 0)
    net.join(low, 0, high, 0)
    out = net.join(high, 0, net.add("SINK"), 0)
    return net.program(inputs=(("x", [x]), ("y", [y])), layers=(Layer("n", (1,), "counter", 500_000, 1),),
                       spikes=(out,), bits=[[low, high]], zero=[1], outputs={"out": ("n",)},
                       schedule=Schedule(1_000_000, 2_000, 0, 400_000, 64))


def spikes(x, y) -> Stimulus:
    """One sample."""
    return Stimulus.dense({"x": np.array(x)[:, None], "y": np.array(y)[:, None]}, {"x": (1,), "y": (1,)})


def test_run_counts_in_frames() -> None:
    trace = sfq.run(counter(), spikes([1, 0, 1, 1, 1], [1, 0, 1, 0, 0]), probes="all", strict=True)
    assert trace.spikes["n"].dense(0)[:, 0].tolist() == [0, 0, 1, 0, 0, 0]
    assert trace.spikes["out"] is trace.spikes["n"] and trace.lag == {"n": 1, "out": 1}
    # the count is 2, 2, 4 = 0, 1, 2, 2 in frames of 2 bits; v = count - 1
    assert trace.states["n", "v"][0, :, 0].tolist() == [1, 1, -1, 0, 1, 1]
    assert trace.states["n", "v"].dtype == np.int64
    counts = {n: int(c.sum()) for n, c in trace.counts.items() if c.sum()}
    assert counts == {"frames": 6, "deliveries": 36, "JTL a|0": 20, "MERGE a|0": 4, "MERGE b|0": 2, "TFF a|0": 5,
                      "TFF a|1": 4, "SINK a|0": 1}
    assert all(c.shape == (1, 1) for c in trace.counts.values())


def test_several_pulses_of_a_frame_are_its_value() -> None:
    program, source, out = chain(3)
    program = dataclasses.replace(
        program, layers=(Layer("n", (1,), "counter", 20_000),), outputs={"n": ("n",)}, schedule=Schedule(100_000),
        arrays=dataclasses.replace(program.arrays, frame_source=np.array([source] * 3, np.int32),
                                   frame_offset_fs=np.array([10_000, 20_000, 90_000]),
                                   spike_net=np.array([out], np.int32), bit_ptr=np.zeros(2, np.int64),
                                   v_zero=np.zeros(1, np.int64)))
    trace = sfq.run(program, Stimulus.silent(3))
    assert trace.spikes["n"].dense(0)[:, 0].tolist() == [2, 3, 3], "90 ps is nearer to 120 ps than to 20"
    assert trace.counts["stray"].tolist() == [[1]], "that of the last frame belongs to one that was not run"


def test_stimuli_that_do_not_suit() -> None:
    p = counter()
    with pytest.raises(DataError, match="GRADED_INPUT"):
        sfq.run(p, spikes([2], [0]))
    with pytest.raises(DataError, match="FRACTIONAL_INPUT"):
        sfq.run(p, spikes([0.5], [0]))
    with pytest.raises(DataError, match="GRADED_INPUT"):
        sfq.run(p, spikes([-1], [0]))
    with pytest.raises(DataError, match="WRONG_INPUTS"):
        sfq.run(p, Stimulus.silent(3))
    with pytest.raises(DataError, match=r"TOO_MANY_STEPS\] 65 frames \(64 steps and a lag of 1\).*for 64"):
        sfq.run(p, spikes([0] * 64, [0] * 64))
    assert sfq.run(p, spikes([0] * 63, [0] * 63)).n_steps == 64
    with pytest.raises(DataError, match="NO_SUCH_STATE"):
        sfq.run(p, spikes([1], [0]), probes=[("n", "u")])
    with pytest.raises(DataError, match="BAD_THREADS"):
        sfq.run(p, spikes([1], [0]), threads=0)
    with pytest.raises(DataError, match="NO_DATA"):
        sfq.run(p, spikes([1], [0]), steps=0)
    for frame in (1 << 53, 1 << 58, 1 << 70):
        long = dataclasses.replace(p, schedule=Schedule(frame, 0, 0, 0))
        for door in (sfq.run, sfq.pulses, lambda *x: many(*x, 2)):
            with pytest.raises(DataError, match="TOO_MANY_STEPS"):
                door(long, spikes([1], [0]))
    with pytest.raises(DataError, match="NO_SUCH_NET"):
        sfq.pulses(p, spikes([1], [0]), watch=[99])
    with pytest.raises(DataError, match="WRONG_INPUTS"):
        sfq.drive(p, {2: [0]}, 1)
    with pytest.raises(DataError, match="OUT_OF_RANGE"):
        sfq.drive(p, {0: [-1]}, 1)


@pytest.mark.parametrize("bad", [{"bias": -1.0}, {"bias": math.nan}, {"spread": -0.1}, {"temperature_k": math.inf},
                                 {"spread": 1.5},
                                 {"unknown_sigma_fs": 1e7}, {"policy": "ignore"}, {"group_bias": {"clock": -1.0}},
                                 {"seed": -1}])
def test_conditions_that_there_are_not(bad) -> None:
    with pytest.raises(DataError, match="BAD_CONDITIONS"):
        Conditions(**bad)


def test_strict_names_the_first_violation() -> None:
    p = dataclasses.replace(counter(), schedule=Schedule(11_000, 2_000, 0, 1_000))
    data = spikes([1, 1, 1], [0, 0, 0])
    assert sfq.run(p, data).counts["timing"].tolist() == [[2]]
    with pytest.raises(TimingViolation) as caught:
        sfq.run(p, data, strict=True)
    assert caught.value.render() == (
        "[TIMING_VIOLATION] cell_tff_3: timing: a at 21,530 fs comes 1,000 fs too soon after a\n"
        "  fix: a longer frame or more time between the two; without strict it is only recorded")
    collide, pins, _ = one_cell("MERGE")
    collide = dataclasses.replace(collide, arrays=dataclasses.replace(
        collide.arrays, frame_source=np.array(list(pins.values()), np.int32), frame_offset_fs=np.array([0, 2_000])))
    with pytest.raises(TimingViolation, match="absorbed: b at 2,000 fs comes 3,000 fs too soon after a"):
        sfq.run(collide, Stimulus.silent(1), strict=True)


def test_threads_and_progress_change_nothing() -> None:
    rng = np.random.default_rng(0)
    p = counter()
    data = Stimulus.dense({n: rng.random((9, 40, 1)) < 0.5 for n in "xy"}, p.input_shapes)
    c, said = Conditions(jitter=True, unknown_sigma_fs=2_000.0, spread=0.1, seed=7), []
    one = sfq.run(p, data, conditions=c, probes="all")
    four = sfq.run(p, data, conditions=c, probes="all", threads=4, progress=lambda *x: said.append(x))
    assert one.first_difference(four) is None and said[-1] == (9 * 41, 9 * 41)
    assert all(np.array_equal(one.counts[n], four.counts[n]) for n in one.counts)
    a, b = (sfq.pulses(p, data, conditions=c, threads=n) for n in (1, 3))
    assert all(np.array_equal(x.time_fs, y.time_fs) for x, y in zip(a.samples, b.samples, strict=True))
    other = sfq.pulses(p, data, conditions=dataclasses.replace(c, seed=8))
    assert not np.array_equal(a.samples[0].time_fs[:50], other.samples[0].time_fs[:50])
    alone = sfq.pulses(p, data.one(0), conditions=c)
    assert np.array_equal(alone.samples[0].time_fs, a.samples[0].time_fs)


def test_many_runs_are_those_of_their_seeds() -> None:
    rng = np.random.default_rng(1)
    p = counter(1)
    data = Stimulus.dense({n: rng.random((3, 40, 1)) < 0.5 for n in "xy"}, p.input_shapes)
    c = Conditions(jitter=True, unknown_sigma_fs=40_000.0, spread=0.6, seed=7)
    found = many(p, data, 5, conditions=c)
    assert found.spikes["out"].shape == (5, 3, 1)
    for k, own in enumerate(found.conditions):
        trace = sfq.run(p, data, conditions=own)
        assert own.seed == 7 + k
        assert found.spikes["out"][k].tolist() == trace.counts_of("out", 40).tolist()
        assert found.timing[k].tolist() == trace.counts["timing"][:, 0].tolist()
        assert found.absorbed[k].tolist() == trace.counts["absorbed"][:, 0].tolist()
    assert len({found.spikes["out"][k].tobytes() for k in range(5)}) > 1
    mixed = many(p, data, [Conditions(), c, Conditions(policy="drop"), Conditions(bias=0.5)])
    assert mixed.spikes["n"][1].tolist() == found.spikes["n"][0].tolist() and not mixed.spikes["n"][3].any()
    with pytest.raises(DataError, match="BAD_CONDITIONS"):
        many(p, data, [Conditions(policy="raise")])


def broken() -> list[tuple[str, PulseNetlist]]:
    """Programs that do not hold together, and what is said of them."""
    p = counter()
    a = p.arrays
    put = lambda **x: dataclasses.replace(p, arrays=dataclasses.replace(a, **x))  # noqa: E731
    wide = dataclasses.replace(cell("TFF"), next=np.array([[1], [2]], np.int8))
    return [("cell_merge_2 has 15 nets at an input pin",
             put(to_cell=np.full_like(a.to_cell, 2), to_pin=np.zeros_like(a.to_pin))),
            ("nets at an output pin", put(from_cell=np.zeros_like(a.from_cell), from_pin=np.zeros_like(a.from_pin))),
            ("a net ends at an input pin", put(to_pin=a.to_pin + 5)),
            ("spike_net has an entry", put(spike_net=a.spike_net + 99)),
            ("cell_group has 3 entries", put(cell_group=a.cell_group[:3])),
            ("input_source names a cell", put(input_source=a.input_source + 2)),
            ("soma_cell does not name", put(soma_cell=np.array([2], np.int32), soma_bias_a=np.zeros(1),
                                            branch_ptr=np.zeros(2, np.int64))),
            ("bit_ptr does not point", put(bit_ptr=np.array([0, 9]))),
            ("type TFF do not fit", dataclasses.replace(p, types=tuple(
                wide if t.name == "TFF" else t for t in p.types))),
            ("an output names a layer", dataclasses.replace(p, outputs={"o": ("m",)})),
            ("below 0", dataclasses.replace(p, schedule=Schedule(0)))]


@pytest.mark.parametrize(("what", "program"), broken())
def test_programs_that_do_not_hold_together(what, program) -> None:
    with pytest.raises(ProgramError, match=what):
        sfq.build(program)
