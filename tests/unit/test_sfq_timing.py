"""The static timing check: it finds what is too close, and says nothing of what is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sfq_networks import KINDS, layer, mapped, random_network

from hwsdk.errors import TimingViolation
from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.mappers.sfq_timing import critical_path, frame_timing, init_timing, timings
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators import sfq


@pytest.fixture(scope="module")
def program() -> PulseNetlist:
    rng = np.random.default_rng(2)
    return mapped(layer("subtract", rng.integers(1, 4, (6, 5)), 1000), weights="train")


def without(program: PulseNetlist, cells: np.ndarray) -> PulseNetlist:
    """With cells that take no time, as if they were not there."""
    a = program.arrays
    kind = program.types[a.cell_type[cells[0]]]
    fast = replace(kind, name=f"{kind.name}0", delay_fs=0 * kind.delay_fs)
    changed = a.cell_type.copy()
    changed[cells] = len(program.types)
    return replace(program, types=(*program.types, fast), arrays=replace(a, cell_type=changed))


def jtls(program: PulseNetlist, part: str) -> np.ndarray:
    kind = next(i for i, t in enumerate(program.types) if t.name == "JTL")
    return np.flatnonzero((program.arrays.cell_type == kind) & (program.arrays.cell_part == program.parts.index(part)))


def all_on(program: PulseNetlist, steps: int) -> Stimulus:
    return Stimulus({p.name: events_from_dense(np.ones((1, steps, *p.shape)), p.shape) for p in program.inputs})


def test_what_the_mapper_makes_has_slack_at_every_corner(program: PulseNetlist) -> None:
    found = timings(program, 0.05)
    assert {t.bias for t in found} == {1.0, 0.95, 1.05}
    assert all(not t.faults and t.least_fs >= 0 for t in found)
    assert program.timing["slack, TFF a>a"] == found[0].slack_fs["TFF a>a"] >= 1000


def test_a_pad_that_is_missing_is_found_by_the_check_and_in_the_simulator(program: PulseNetlist) -> None:
    broken = without(program, jtls(program, "train")[:4])
    faults = frame_timing(broken).faults
    assert faults
    assert all(f.slack_fs < 0 for f in faults)
    with pytest.raises(TimingViolation):
        sfq.run(broken, all_on(program, 3), steps=3, strict=True)


def test_a_slot_that_is_too_short_is_found(program: PulseNetlist) -> None:
    faults = frame_timing(without(program, jtls(program, "launch")[2:7])).faults
    assert any("merge" in f.cell or "tff" in f.cell for f in faults)
    assert "fails by" in str(faults[0])


def test_a_read_that_is_too_early_is_found(program: PulseNetlist) -> None:
    faults = frame_timing(without(program, jtls(program, "launch")[-12:])).faults
    assert any(f.check == "data before the read" for f in faults)


def test_a_frame_that_is_too_short_is_found(program: PulseNetlist) -> None:
    s = program.schedule
    short = replace(program, schedule=replace(s, frame_fs=s.frame_fs // 3))
    assert any(f.check in ("data before the read", "a before a") for f in frame_timing(short).faults)


def test_an_input_that_comes_before_its_launch_is_found(program: PulseNetlist) -> None:
    early = replace(program, schedule=replace(program.schedule, input_offset_fs=0))
    assert {f.check for f in frame_timing(early).faults} == {"data after the clock"}


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_over_before_the_first_frame(kind: str) -> None:
    program = mapped(layer(kind, [[1.0, -2.0]], [3, 5]))
    assert init_timing(program).last_fs <= program.schedule.start_fs


@pytest.mark.parametrize("seed", range(6))
def test_no_pulse_comes_later_than_the_check_says(seed: int) -> None:
    program = mapped(random_network(seed), 12)
    frame, start = frame_timing(program), program.schedule.start_fs
    quiet = Stimulus({p.name: events_from_dense(np.zeros((1, 1, *p.shape)), p.shape) for p in program.inputs})
    (sample,) = sfq.pulses(program, quiet, steps=1, watch="all").samples
    later = sample.time_fs >= start
    assert later.any()
    assert (sample.time_fs[later] - start <= frame.arrival_fs[sample.net[later]]).all()


def test_the_critical_path_leads_from_a_source_to_the_last_pulse(program: PulseNetlist) -> None:
    path = critical_path(program, frame_timing(program))
    assert path[0].startswith("port_src_")
    assert len(path) > 20
    assert path[-1].startswith("read_ndro_")
