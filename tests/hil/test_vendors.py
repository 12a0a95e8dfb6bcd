"""Adapters of vendors' devices, against stand-ins for their packages."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import vendor_fakes
from spinnaker_small import SmallChip, small_backend

import hwsdk
from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.errors import ExternalToolError, LinkError, MissingDependencyError, TargetError, UnsupportedError
from hwsdk.hil import session, vendors
from hwsdk.hil.vendors.spinnaker2_network import describe
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.single import SingleLIF

CHIP = SmallChip(neurons=7)


def spinnaker(seed: int = 0, *, small: bool = False, delays: bool = False, out: dict | None = None, **hidden):
    """in[6] -> hidden[20], recurrent -> last[5], read out; small weights with delays of their own, or int8 ones."""
    rng = np.random.default_rng(seed)
    most = 16 if small or delays else 120

    def weight(post, pre):
        return rng.integers(-most + 1, most, (post, pre)) * (rng.random((post, pre)) < 0.6)

    def more(post, pre):
        return {"delay_ticks": rng.integers(1, 9, (post, pre))} if delays else {"delay_ticks": 1}

    cell = {"decay_u": 0.0, "decay_v": 0.75, "v_threshold": most * 1.25 + 0.5, "bias": 0.5, **hidden}
    b = NetworkBuilder("n").input("in", 6).population("hidden", neuron(SingleLIF, 20, **cell))
    last = {"decay_u": 0.0, "decay_v": 0.5, "v_threshold": 1.0, "fires": False, **(out or {})}
    b.population("last", neuron(SingleLIF, 5, **last))
    b.connect("in", "hidden", weight=weight(20, 6), **more(20, 6))
    b.connect("hidden", "hidden", weight=weight(20, 20), **more(20, 20))
    b.connect("hidden", "last", weight=weight(5, 20), **more(5, 20)).output("y", "last")
    return small_backend(CHIP).compile(b.build(Semantics()), CompileOptions(), lambda _: None)


def spikes(seed: int, samples: int = 2, steps: int = 30, n: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).random((samples, steps, n)) < 0.4


@pytest.mark.parametrize("case", [
    {"v_threshold": np.linspace(60.5, 250.5, 20)}, {"delays": True}, {"v_init": 3.25, "small": True},
    {"reset": "subtract", "reset_by": 150.5, "v_threshold": 150.5},
])
def test_spinnaker2_runs_what_the_program_says(monkeypatch: pytest.MonkeyPatch, case: dict) -> None:
    """A stand-in that computes as documented gives the simulator's spikes and read-out values, over several PEs."""
    chips = vendor_fakes.spinnaker2(monkeypatch)
    program = spinnaker(3, **case)
    assert program.n_pes > 4
    data = Stimulus.dense(spikes(4), program.input_shapes)
    with vendors.open_vendor("spinnaker2:10.0.0.7") as device:
        report = session.run(program, device, data)
        assert report.window is None, report.to_text()
        assert report.spikes > 100 and report.samples == 2
        trace = device.run(data, probes=[("hidden", "v")])
        expected = backends.get("spinnaker2").simulate(program, data, probes="all", strict=False, progress=None)
        np.testing.assert_array_equal(trace.states["hidden", "v"], expected.states["hidden", "v"])
        np.testing.assert_array_equal(device.read_state()["last", "v"], expected.states["last", "v"][-1, -1])
        assert device.counters()["runs"] == 2 and device.health().good
    assert {c.eth_ip for c in chips.made} == {"10.0.0.7"} and {c.tick for c in chips.made} == {program.tick_s}
    assert len(chips.made) == 5  # a new object for every sample


def test_spinnaker2_takes_the_model_that_holds_the_weights() -> None:
    models = {(case["small"], case["delays"]): {layer.model for layer in describe(spinnaker(1, **case)).layers}
              for case in ({"small": a, "delays": b} for a in (False, True) for b in (False, True))}
    assert models == {(False, False): {"lif_no_delay"}, (True, False): {"lif_no_delay"}, (False, True): {"lif"},
                      (True, True): {"lif"}}


def test_spinnaker2_convolutions_become_lists() -> None:
    b = NetworkBuilder("n").input("in", (1, 5, 5))
    b.population("conv", neuron(SingleLIF, (2, 3, 3), decay_u=0.0, decay_v=0.5, v_threshold=9.0))
    kernel = np.arange(18).reshape(2, 1, 3, 3) - 7
    b.convolve("in", "conv", kernel, stride=2, padding=1).output("y", "conv")
    program = backends.get("spinnaker2").compile(b.build(Semantics()), CompileOptions(), lambda _: None)
    (wiring,) = describe(program).wirings
    wanted = {(5 * y + x, 9 * c + 3 * (i // 3) + i % 3): kernel[c, 0, p, q] for c in range(2) for i in range(9)
              for p in range(3) for q in range(3)
              if 0 <= (y := 2 * (i // 3) + p - 1) < 5 and 0 <= (x := 2 * (i % 3) + q - 1) < 5 and kernel[c, 0, p, q]}
    assert {(i, j): w for i, j, w, _ in wiring.connections.tolist()} == wanted


@pytest.mark.parametrize(("case", "words"), [
    ({"comparison": ">="}, "spikes at the threshold already"),
    ({"refractory": 2}, "a refractory time without a synaptic current"),
    ({"reset": "subtract", "reset_by": 1.0}, "subtracts something else"),
    ({"out": {"decay_u": 0.5, "u_init": 1.0}}, "does not start at 0"),
])
def test_spinnaker2_names_what_it_cannot_express(case: dict, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words) as error:
        describe(spinnaker(2, **case))
    assert error.value.code == "NOT_IN_PY_SPINNAKER2"
    assert ("last:" if "out" in case else "hidden:") in str(error.value)


def test_spinnaker2_refuses_wide_words_and_phases() -> None:
    b = NetworkBuilder("n").input("in", 2).population("a", neuron(SingleLIF, 2, decay_u=0.0, decay_v=0.5,
                                                                  v_threshold=9.0))
    b.connect("in", "a", weight=np.full((2, 2), 300), delay_ticks=[[1, 2], [1, 2]]).output("y", "a")
    program = backends.get("spinnaker2").compile(b.build(Semantics()), CompileOptions(), lambda _: None)
    with pytest.raises(UnsupportedError, match="weights up to 300 and delays up to 2 steps; it has weights up to 127"):
        describe(program)


def test_spinnaker2_says_what_is_not_known_to_be_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    vendor_fakes.spinnaker2(monkeypatch)
    program = spinnaker(5, decay_u=0.5)
    with pytest.raises(UnsupportedError, match="hidden: how a synaptic current decays") as error:
        vendors.open_vendor("spinnaker2:").load(program)
    assert error.value.code == "NOT_EXACT" and "inexact=1" in error.value.fix
    device = vendors.open_vendor("spinnaker2:?inexact=1")
    device.load(program)
    assert device.run(Stimulus.dense(spikes(1), program.input_shapes)).n_spikes() > 0
    assert any("hidden" in note for note in device.capabilities().notes)


def test_spinnaker2_names_its_own_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingDependencyError, match="py-spinnaker2 cannot be imported") as missing:
        vendors.open_vendor("spinnaker2:")
    assert "gitlab.com/spinnaker2" in missing.value.fix
    chips = vendor_fakes.spinnaker2(monkeypatch)
    monkeypatch.setattr(chips, "run", lambda *_, **__: (_ for _ in ()).throw(OSError("no route to host")))
    device = vendors.open_vendor("spinnaker2:")
    program = spinnaker()
    with pytest.raises(UnsupportedError, match="no program is loaded"):
        device.run(Stimulus.dense(spikes(1), program.input_shapes))
    device.load(program)
    with pytest.raises(ExternalToolError, match="OSError: no route to host"):
        device.run(Stimulus.dense(spikes(1), program.input_shapes))
    with pytest.raises(UnsupportedError, match="a loihi program for loihi2; SpiNNaker 2"):
        device.load(loihi())


def loihi():
    b = NetworkBuilder("n").input("in", 4).population("a", neuron(FixedLIF, 6, du=4095, dv=300, vth=60))
    b.population("b", neuron(FixedLIF, 3, du=2000, dv=100, vth=40))
    weight = np.random.default_rng(0).integers(-20, 40, (9, 6))
    b.connect("in", "a", weight=2 * weight[:6, :4]).connect("a", "b", weight=2 * weight[6:]).output("y", "b")
    return hwsdk.compile(b.build(Semantics()), "loihi2")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory):
    """(program, stimulus, trace with all states, interpreter whose Lava plays them)."""
    program = loihi()
    data = Stimulus.dense(spikes(7, steps=12, n=4), program.input_shapes)
    trace = hwsdk.simulate(program, data, probes="all")
    kept = {f"spikes:{n}": trace.spikes[n].dense(None, np.int64) for n in ("a", "b")}
    kept |= {f"state:{n}:{s}": values for (n, s), values in trace.states.items()}
    return program, data, trace, vendor_fakes.lava(tmp_path_factory.mktemp("lava"), kept)


def test_lava_on_a_chip(recording, monkeypatch: pytest.MonkeyPatch) -> None:
    program, data, expected, python = recording
    monkeypatch.setenv("SECRET", "1")
    with vendors.open_vendor(f"lava:hardware?python={python}&partition=oheogulch") as device:
        assert device.capabilities().chip == "Loihi 2" and device.health().good
        device.load(program)
        trace = device.run(data, probes="all")
    assert expected.first_difference(trace) is None and trace.n_spikes() > 20
    assert set(trace.states) == set(expected.states)


def test_lava_on_a_chip_that_fails(recording) -> None:
    program, data, _, python = recording
    device = vendors.open_vendor(f"lava:hardware?python={python}&partition=elsewhere")
    device.load(program)
    with pytest.raises(ExternalToolError, match=r"Lava ended with code 1(.|\n)*AssertionError"):
        device.run(data)
    slow = vendors.open_vendor(f"lava:hardware?python={python}&timeout=0.01")
    slow.load(program)
    with pytest.raises(ExternalToolError, match=r"no result from Loihi 2 within 0\.01 s"):
        slow.run(data)


def test_lava_without_its_add_on(tmp_path: Path) -> None:
    python = vendor_fakes.lava(tmp_path, {}, add_on=False)
    with pytest.raises(MissingDependencyError, match="its add-on for Loihi 2 is not") as error:
        vendors.open_vendor(f"lava:hardware?python={python}")
    assert "Intel Neuromorphic Research Community" in error.value.fix
    with pytest.raises(UnsupportedError, match="no option speed"):
        vendors.open_vendor("lava:?speed=1")


def test_lava_on_the_cpu(recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Lava itself computes is the business of tests/reference/test_lava.py."""
    program, data, expected, python = recording
    asked = {}

    def run(given, stimulus, **options):
        asked.update(options)
        return hwsdk.simulate(given, stimulus, probes=options["probes"])

    monkeypatch.setattr("hwsdk.backends.lava.run", run)
    with vendors.open_vendor(f"lava:?python={python}&timeout=9") as device:
        device.load(program)
        assert expected.first_difference(device.run(data)) is None
        assert device.capabilities().chip == ""
        state = device.read_state()["a", "v"]
    assert (state == expected.states["a", "v"][-1, -1]).all()
    assert (asked["python"], asked["timeout"], asked["probes"]) == (python, 9, "all")


@pytest.mark.slow
def test_lava_itself(recording) -> None:
    program, data, expected, _ = recording
    try:
        device = vendors.open_vendor("lava:")
    except MissingDependencyError as error:
        pytest.skip(f"{error.what}: {error.fix}")
    device.load(program)
    assert expected.first_difference(device.run(data, probes="all")) is None


def test_speck_is_found_and_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "samna", None)
    with pytest.raises(MissingDependencyError, match="samna cannot be imported"):
        vendors.open_vendor("speck:")
    vendor_fakes.samna(monkeypatch, "Speck2fDevKit", "DynapcnnDevKit")
    device = vendors.open_vendor("speck:")
    assert device.capabilities().kinds == () and device.capabilities().name == "Speck2fDevKit"
    assert device.health().good
    with pytest.raises(UnsupportedError, match="no target for Speck 2f"):
        device.load(loihi())
    with pytest.raises(LinkError, match=r"1 Speck 2f board\(s\)"):
        vendors.open_vendor("speck:1")


def test_other_packages_join_by_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    def points(group: str) -> list[metadata.EntryPoint]:
        return [metadata.EntryPoint("mine", "hwsdk.hil.sim_device:SimDevice", group)] * (group == vendors.GROUP)

    monkeypatch.setattr(metadata, "entry_points", points)
    assert vendors.names() == ("lava", "mine", "speck", "spinnaker2")
    assert vendors.open_vendor("mine:").capabilities().name == "simulator"
    with pytest.raises(TargetError, match="no device 'other:'") as error:
        vendors.open_vendor("other:")
    assert "mine" in error.value.fix
    monkeypatch.setattr(vendors, "TABLE", {"mine": "elsewhere:Device"})
    with pytest.raises(TargetError, match="two packages bring devices mine"):
        vendors.names()
