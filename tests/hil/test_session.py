"""What a hardware-in-the-loop test says: equal, or the first mismatch with what is around it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from command_line import run, run_json
from small_program import STEPS, small

from hwsdk.errors import LinkError
from hwsdk.hil import junit, session
from hwsdk.hil.devices import open_device
from hwsdk.hil.sim_device import SimDevice
from hwsdk.ir.data import Events

LOST = 100
"""Number of the spike that a bad device loses, and all after it of its neuron."""


class BadDevice(SimDevice):
    """A device that loses spikes of one neuron from a step on, and whose v is 1 off from there on."""

    def __init__(self) -> None:
        super().__init__()
        e = small().trace.spikes["p"].one(1)
        self.step, self.neuron = int(e.step[LOST]), int(e.index[LOST])

    def run(self, stimulus, *, probes=(), progress=None):
        trace = super().run(stimulus, probes=probes, progress=progress)
        e = trace.spikes["p"]
        last = e.n_samples - 1
        keep = ~((e.sample == last) & (e.step >= self.step) & (e.index == self.neuron))
        spikes = Events(e.shape, e.n_samples, e.n_steps, e.sample[keep], e.step[keep], e.index[keep])
        states = {k: v.copy() for k, v in trace.states.items()}
        if ("p", "v") in states:
            states["p", "v"][-1, self.step:, self.neuron] += 1
        return replace(trace, spikes=dict.fromkeys(trace.spikes, spikes), states=states)


@pytest.fixture(scope="module")
def bad():
    device = BadDevice()
    return device, session.run(small().program, device, small().stimulus)


def test_an_equal_run_says_so():
    said, steps = [], []
    with open_device("sim:") as device:
        report = session.run(small().program, device, small().stimulus, say=said.append,
                             progress=lambda done, total: steps.append((done, total)))
    assert report.ok
    assert "0 mismatches" in report.to_text()
    assert said == ["simulate", "load", "run", "compare"]
    assert steps[-1] == (2 * STEPS, 2 * STEPS)
    assert report.to_dict()["mismatch"] is None


def test_the_first_mismatch_is_shown_with_what_is_around_it(bad):
    device, report = bad
    assert not report.ok
    assert (report.window.mismatch.sample, report.window.mismatch.step, report.window.mismatch.neuron) == (
        1, device.step, device.neuron)
    lost = report.expected.n_spikes() - report.trace.n_spikes()
    assert report.differing == lost > 1
    text = report.to_text()
    assert f"spike differs first at step {device.step}, layer p, neuron {device.neuron}, sample 1" in text
    steps = [row.step for row in report.window.rows]
    assert steps == list(range(max(device.step - 5, 0), min(device.step + 5, STEPS - 1) + 1))
    at = next(row for row in report.window.rows if row.step == device.step)
    assert at.sent == (1, 0)
    assert dict(zip(report.window.states, at.states, strict=True))["v"][0] + 1 == at.states[-1][1]
    assert next(line for line in text.splitlines() if line.lstrip().startswith(">")).split()[1] == str(device.step)
    sent = small().stimulus.inputs["in"].one(1)
    assert f"in: {sent.index[sent.step == device.step][0]}" in at.inputs
    assert "raster cosine 0.9" in text


def test_states_of_a_device_that_cannot_be_read_are_not_shown():
    class Closed(BadDevice):
        def capabilities(self):
            return replace(super().capabilities(), probes=False)

    report = session.run(small().program, Closed(), small().stimulus)
    assert "states of the device are not shown: it cannot be read while it runs" in report.to_text()
    assert "| ?" in report.to_text()


def test_noise_is_held_against_a_digital_device_only(bad, monkeypatch):
    _, report = bad
    monkeypatch.setattr("hwsdk.backends.loihi.LoihiBackend.noise", lambda *_: "its reads are noisy")
    assert session.not_held(small().program, report.expected, report.capabilities) == ""
    analog = replace(report.capabilities, exact=False)
    assert session.not_held(small().program, report.expected, analog) == "its reads are noisy"
    late = replace(report.expected, counts={"late_ticks": np.array([[0, 3]])})
    assert "(3 late ticks), which a device" in session.not_held(small().program, late, report.capabilities)


def test_junit_has_a_case_a_sample(bad, tmp_path):
    suite = ElementTree.parse(junit.write(tmp_path / "r.xml", bad[1])).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    cases = suite.findall("testcase")
    assert cases[0].find("failure") is None
    assert "differs first at step" in cases[1].find("failure").get("message")
    names = {p.get("name") for p in suite.iter("property")}
    assert {"program", "device", "build", "steps_a_second"} <= names


@pytest.fixture
def files(tmp_path):
    data = {"in": small().stimulus.inputs["in"].dense()}
    np.savez(tmp_path / "d.npz", **data)
    return small().program.save(tmp_path / "p.hwx"), tmp_path / "d.npz", tmp_path


def test_the_command_line(capsys, files):
    program, data, folder = files
    record, junit_file, trace = folder / "r.hwlog", folder / "r.xml", folder / "t.npz"
    code, body = run_json(capsys, "hil", program, "--device", "exec:", "--input", data, "--record", record, "--junit",
                          junit_file, "-o", trace)
    assert (code, body["ok"], body["spikes"]) == (0, True, small().trace.n_spikes() // 2)
    assert body["written"] == [str(record), str(junit_file), str(trace)]
    assert ElementTree.parse(junit_file).getroot().get("failures") == "0"
    code, body = run_json(capsys, "hil", program, "--replay", record, "--input", data)
    assert (code, body["ok"]) == (0, True)


def test_what_the_command_line_refuses(capsys, files):
    program, data, folder = files
    code, body = run_json(capsys, "hil", program, "--input", data)
    assert (code, body["error"]["code"]) == (2, "NO_DEVICE")
    code, body = run_json(capsys, "hil", program, "--input", data, "--device", "usb:7")
    assert (code, body["error"]["code"]) == (2, "BAD_URL")
    code, body = run_json(capsys, "hil", program, "--input", data, "-d", "exec:/bin/true", "--junit", folder / "e.xml")
    assert (code, body["error"]["code"]) == (4, "GONE")
    assert ElementTree.parse(folder / "e.xml").getroot().find("testcase/error").get("type") == "GONE"


def test_devices_are_listed(capsys):
    code, text, _ = run(capsys, "devices")
    assert code == 0
    assert text.startswith("sim:")
    assert "exec:" in text
    code, body = run_json(capsys, "devices")
    assert code == 0
    assert {"url", "what", "kinds", "usable", "why", "fix"} <= set(body["devices"][0])
    assert json.dumps(body)


def test_an_unknown_device_is_refused_with_all_that_there_are():
    with pytest.raises(Exception, match=r"begin it with one of sim:, exec:, .*spinnaker2:; see docs/hil.md"):
        open_device("ttyUSB0")
    with pytest.raises(LinkError, match="GONE"):
        open_device("exec:/bin/true")
    assert Path("/bin/true").exists()
