"""The pytest plugin in a project of somebody else: the documented example, and everything that can go wrong."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import time
import types
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from hwsdk.errors import LinkError, MissingDependencyError, UnsupportedError
from hwsdk.hil import devices, discovery, golden, locks, pytest_bench
from hwsdk.hil.device import Capabilities
from hwsdk.hil.locks import PortLock
from hwsdk.hil.sim_device import SimDevice
from hwsdk.ir.data import Events
from hwsdk.ir.trace import Trace

pytest_plugins = ["pytester"]
Project = Callable[..., pytest.RunResult]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "hil_pytest.md"
LOADED = any(p.name == "hwsdk" for p in metadata.entry_points(group="pytest11"))
STRICT = ("-W", "error", "--strict-markers", "--strict-config", "-p", "no:cacheprovider", "-p", "no:hypothesispytest",
          "-ra")
"""hypothesis would be imported anew for every run."""
DOCUMENTED = dict(re.findall(r"^```\w+\n# (\S+\.\w+)\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL))
RUN = """
import numpy as np
import pytest

@pytest.mark.hw(kind="loihi")
def test_run(hw_run, program):
    hw_run(program, np.random.default_rng(3).random((2, 20, 8)) < 0.4)
"""


class Device(SimDevice):
    """A simulator under another URL. lose: an event that it does not send. says: its capabilities."""

    opened: list[Device] = []  # noqa: RUF012

    def __init__(self, url: str, lose: int | None = None, slow: bool = False, **says: object) -> None:
        super().__init__()
        self.name, self.lose, self.slow, self.says, self.closed = url, lose, slow, says, 0
        self.opened.append(self)

    @property
    def url(self) -> str:
        return self.name

    def capabilities(self) -> Capabilities:
        own = {"name": "board", "kinds": ("loihi",), "chip": "RP2350", "build": "b1d", "probes": True}
        return Capabilities(**{**own, **self.says})  # type: ignore[arg-type]

    def run(self, stimulus, *, probes=(), progress=None) -> Trace:
        if self.slow and progress is not None:
            time.sleep(0.02)
            progress(1, 2)
        trace = super().run(stimulus, probes=probes, progress=progress)
        trace = replace(trace, counts={"instructions": np.full((trace.n_samples, trace.n_steps), 9)})
        if self.lose is None:
            return trace
        e = trace.spikes["hidden"]
        kept = np.arange(len(e)) != self.lose
        less = Events(e.shape, e.n_samples, e.n_steps, e.sample[kept], e.step[kept], e.index[kept])
        return Trace(trace.n_samples, trace.n_steps, {**trace.spikes, "hidden": less}, trace.states, trace.counts,
                     trace.lag)

    def counters(self):
        return {"frames": 12, "retries": 1}

    def close(self) -> None:
        self.closed += 1


class Mute(Device):
    """Its line fails."""

    def run(self, stimulus, *, probes=(), progress=None) -> Trace:
        raise LinkError("no answer to STEP", where=self.url, fix="look at the cable", log=("I am hot",))


class Full(Device):
    """Has no room."""

    def load(self, program) -> None:
        raise UnsupportedError("too many axons", where=self.url, fix="use fewer")


def open_device(url: str, *, timeout: float | None = None) -> SimDevice:
    """What stands for hwsdk.hil.devices.open_device."""
    inner = url.rsplit(";", 1)[-1]
    made: dict[str, Callable[[], SimDevice]] = {
        "sim:": SimDevice, "broken:": lambda: Device(url, lose=8), "slow:": lambda: Device(url, slow=True),
        "mute:": lambda: Mute(url), "full:": lambda: Full(url), "dumb:": lambda: Device(url, probes=False),
        "sfq:": lambda: Device(url, kinds=("sfq",), chip="SFQ chip")}
    if inner in ("gone:", "tcp:gone:1"):
        raise MissingDependencyError("unicorn is not installed", fix="pip install unicorn")
    return made.get(inner, lambda: Device(url))()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The documented model."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "make_model.py").write_text(DOCUMENTED["make_model.py"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        runpy.run_path("make_model.py")
    return (folder / "model.hwx").read_bytes()


@pytest.fixture
def project(pytester: pytest.Pytester, model: bytes, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A folder with the documented model and configuration; project(*options, files) runs pytest in it."""
    monkeypatch.setattr(pytest_bench, "open_device", open_device)
    monkeypatch.setattr(locks, "folder", lambda: pytester.path)
    Device.opened.clear()
    (pytester.path / "model.hwx").write_bytes(model)
    (pytester.path / "pyproject.toml").write_text(DOCUMENTED["pyproject.toml"])

    def run(*options: str, **files: str) -> pytest.RunResult:
        for name, text in files.items():
            (pytester.path / f"{name}.py").write_text(text)
        return pytester.runpytest_inprocess(*([] if LOADED else ["-p", "hwsdk.hil.pytest_plugin"]), *STRICT, *options)

    return run


def test_the_documented_example(project: Project, pytester: pytest.Pytester) -> None:
    files = {"test_board": DOCUMENTED["test_board.py"]}
    assert set(DOCUMENTED) == {"pyproject.toml", "make_model.py", "test_board.py", "bench.toml"}
    project("--hw-port", "sim:", "--hw-update-golden", **files).assert_outcomes(passed=3)
    made = sorted((pytester.path / "golden").iterdir())
    assert [p.name for p in made] == [f"test_board-test_random_spikes-{k}.npz" for k in (1, 2)]
    assert golden.load(made[1]).seed == 2
    before = [p.read_bytes() for p in made]
    result = project("--hw-port", "sim:", "--hw-port", "tcp:bench:1", "--hw-golden", "golden", "--junitxml", "r.xml")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["hwsdk devices: sim:, tcp:bench:1"])
    assert [p.read_bytes() for p in made] == before
    assert [(d.url, d.closed) for d in Device.opened] == [("tcp:bench:1", 1)]
    case = next(c for c in ElementTree.parse(pytester.path / "r.xml").iter("testcase")
                if c.get("name") == "test_random_spikes[tcp:bench:1-1]")
    found = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert found["hw.build"] == "b1d" and found["hw.line.retries"] == "1" and found["hw.steps"] == "80"
    assert found["hw.program"] == golden.load(made[0]).program
    assert any(name.endswith(".mean") for name in found)


def test_on_firmware_and_on_its_recording(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("unicorn", reason="unicorn is not installed: pip install unicorn pyelftools")
    monkeypatch.setattr(pytest_bench, "open_device", devices.open_device)
    result = project("--hw-port", "unicorn:", "--hw-record", "logs", test_board=DOCUMENTED["test_board.py"])
    result.assert_outcomes(passed=3)
    project("--hw-port", "replay:logs/unicorn.hwlog").assert_outcomes(passed=3)


def test_the_documented_map(tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_text(DOCUMENTED["bench.toml"])
    assert [b.name for b in discovery.read_map(tmp_path / "bench.toml").boards] == ["left", "zynq"]


def test_without_a_device(project: Project) -> None:
    files = {"test_a": RUN, "test_b": "import pytest\n\n@pytest.mark.hw\ndef test_marked():\n    raise OSError\n"}
    result = project(**files)
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*no device was given; run pytest --hw-port URL*hwsdk devices lists*"])
    result = project("--hw-require")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*no device was given*(--hw-require)*"])


def test_a_device_that_differs(project: Project, pytester: pytest.Pytester) -> None:
    project("--hw-port", "sim:", "--hw-update-golden", test_a=RUN).assert_outcomes(passed=1)
    result = project("--hw-port", "broken:")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    row = re.search(r"spike differs first at step (\d+), layer hidden, neuron \d+, sample 0: expected 1, got 0", text)
    assert row is not None, text
    assert re.search(rf"> {row[1]}  +1 \| 0  ", text)  # the step, what was sent, then the states
    assert "each cell: expected | got" in text and "in: " in text
    assert f"the golden trace has 1 there ({pytester.path / 'golden'}" in text
    project("--hw-port", "broken:", "--hw-update-golden").assert_outcomes(failed=1)
    project("--hw-port", "sim:", "--hw-golden", "golden").assert_outcomes(passed=1)  # it was not overwritten


def test_golden_traces_that_differ(project: Project, pytester: pytest.Pytester) -> None:
    result = project("--hw-port", "sim:", "--hw-golden", "kept", test_a=RUN)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*NO_GOLDEN*test_a-test_run.npz: there is no golden trace*", "*--hw-update-golden*"])
    project("--hw-port", "sim:", "--hw-golden", "kept", "--hw-update-golden").assert_outcomes(passed=1)
    path = pytester.path / "kept" / "test_a-test_run.npz"
    one = golden.load(path)
    e = one.trace.spikes["out"]
    one.trace.spikes["out"] = Events(e.shape, e.n_samples, e.n_steps, e.sample[1:], e.step[1:], e.index[1:])
    one.save(path)
    result = project("--hw-port", "sim:", "--hw-golden", "kept")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*it differs from the golden trace*test_a-test_run.npz (made by hwsdk *",
                                 "spike differs first at step *, layer out, * expected 0, got 1", "*> *0 | 1*"])
    result = project("--hw-port", "sim:", "--hw-golden", "kept", test_a=RUN.replace("(3)", "(4)"))
    result.stdout.fnmatch_lines(["*does not belong to this run: it is of another stimulus*"])


def test_what_a_marker_asks_for(project: Project) -> None:
    text = """
        import pytest
        @pytest.mark.hw(kind="loihi")
        def test_kind(device): pass
        @pytest.mark.hw(chip="rp2350")
        def test_chip(device): assert device.capabilities().name == "board"
        @pytest.mark.hw(probes=True)
        def test_probes(device): pass
        @pytest.mark.hw(kind="loihi9")
        def test_no_kind(device): pass
        @pytest.mark.hw(speed=3)
        def test_no_word(device): pass
        """
    result = project("--hw-port", "sfq:", "--hw-port", "dumb:", "--hw-port", "gone:",
                     test_a="\n".join(line[8:] for line in text.splitlines()))
    result.assert_outcomes(passed=3, skipped=9, errors=3)
    result.stdout.fnmatch_lines_random([
        "*sfq: (board) runs sfq, the test needs loihi", "*sfq: is SFQ chip, the test needs rp2350",
        "*dumb: (board) cannot show its states while it runs*", "*there is no kind 'loihi9' of programs*",
        "*gone: cannot be used: *unicorn is not installed", "*the marker hw takes kind=*speed*"])
    assert [d.closed for d in Device.opened] == [1, 1]


@pytest.mark.parametrize(("url", "outcome", "words"), [
    ("slow:", "failed", "1 of 2 steps after 0.01 s"), ("full:", "skipped", "full: cannot run model: *too many axons*"),
    ("mute:", "failed", "mute: gave no result: *no answer to STEP*"),
])
def test_a_run_that_does_not_end_well(project: Project, url: str, outcome: str, words: str) -> None:
    result = project("--hw-port", url, "--hw-timeout", "0.01", test_a=RUN)
    result.assert_outcomes(**{outcome: 1})
    result.stdout.fnmatch_lines([f"*{words}*"])
    if url == "mute:":
        result.stdout.fnmatch_lines(["*fix: look at the cable", "*device: I am hot"])


def test_a_port_in_use(project: Project, pytester: pytest.Pytester) -> None:
    with PortLock("serial:/dev/ttyX", where=pytester.path):
        result = project("--hw-port", "serial:/dev/ttyX?baud=9600", test_a=RUN)
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*PORT_IN_USE*in use by process *"])
    project("--hw-port", "serial:/dev/ttyX?baud=9600").assert_outcomes(passed=1)
    PortLock("serial:/dev/ttyX", where=pytester.path).acquire().release()  # the session gave it back
    project("--hw-port", "tcp:gone:1").assert_outcomes(skipped=1)
    PortLock("tcp:gone:1", where=pytester.path).acquire().release()  # of what could not be opened too


def test_boards_of_a_map(project: Project, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    left = types.SimpleNamespace(device="/dev/ttyACM7", vid=0x2E8A, pid=0xA, serial_number="E6614103E7", description="")
    (pytester.path / "bench.toml").write_text(DOCUMENTED["bench.toml"])
    monkeypatch.setattr(discovery, "_ports", lambda: [left])
    project("--hw-map", "bench.toml", test_a=RUN).assert_outcomes(passed=2)
    assert {d.url for d in Device.opened} == {"serial:/dev/ttyACM7?baud=1000000", "tcp:192.168.7.2:5000"}
    project("--hw-map", "bench.toml", "--hw-port", "left").assert_outcomes(passed=1)
    monkeypatch.setattr(discovery, "_ports", lambda: [])
    result = project("--hw-map", "bench.toml", "--hw-port", "left")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*left: it is not plugged in*"])
    result = project("--hw-map", "bench.toml", "--hw-port", "middle")
    assert result.ret == pytest.ExitCode.INTERRUPTED and "'middle' is no URL" in result.stdout.str()
    (pytester.path / "bench.toml").write_text('[[device]]\nname = "left"\nvid_pid = "2e8a:000a"')
    result = project("--hw-map", "bench.toml")
    result.stdout.fnmatch_lines(["*no board of the hardware map can be used: left (it is not plugged in; *"])


def test_recordings(project: Project, pytester: pytest.Pytester) -> None:
    result = project("--hw-port", "tcp:bench:1", "--hw-port", "sim:", "--hw-record", "logs", test_a=RUN)
    result.assert_outcomes(passed=2)
    assert [d.url for d in Device.opened] == [f"record:{pytester.path / 'logs' / 'tcp-bench-1.hwlog'};tcp:bench:1"]


def test_where_a_program_comes_from(project: Project, pytester: pytest.Pytester) -> None:
    (pytester.path / "sub").mkdir()
    (pytester.path / "sub" / "other.hwx").write_bytes((pytester.path / "model.hwx").read_bytes())
    body = """
import numpy as np, pytest
@pytest.mark.hw(program="other.hwx")
def test_marker(program): assert program.name == "model"
@pytest.mark.parametrize("program", ["other.hwx"], indirect=True)
def test_indirect(program): assert program.name == "model"
def test_ini(program, hw_golden):
    assert program.name == "model"
def test_twice(hw_run, program):
    for seed in (1, 2):
        hw_run("model.hwx", np.random.default_rng(seed).random((9, 8)) < 0.5, seed=seed)
    assert hw_run.report.ok
    hw_run(program, {"in": np.zeros((9, 8))}, name="silence")
"""
    project("--hw-port", "sim:", "--hw-update-golden", **{"sub/test_a": body}).assert_outcomes(passed=4)
    assert {p.name for p in (pytester.path / "sub" / "golden").iterdir()} == {
        "test_a-test_twice.npz", "test_a-test_twice-2.npz", "silence.npz"}
    (pytester.path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    result = project("-k", "ini", "--hw-port", "sim:")
    assert "the fixture program has no program" in result.stdout.str()


def test_the_plugin_is_light() -> None:
    """pytest loads it in every project where hwsdk is installed."""
    code = ("import sys, pytest; before = set(sys.modules); import hwsdk.hil.pytest_plugin; "
            "print(*set(sys.modules) - before)")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {m for m in run.stdout.split() if not m.startswith("hwsdk")} == set()
    assert {m for m in run.stdout.split() if m.startswith("hwsdk.")} <= {"hwsdk.hil", "hwsdk.hil.pytest_plugin"}


def test_schemes_that_are_recorded_are_lines_of_bytes() -> None:
    transports = pytest.importorskip("hwsdk.hil.transports")
    assert set(pytest_bench.LINES) == set(transports.SCHEMES) - {"record", "replay"}
