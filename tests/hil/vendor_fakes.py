"""Stand-ins for vendors' packages, with the calls and attributes that their public examples use."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest

LIF = {"lif", "lif_no_delay", "lif_curr_exp", "lif_curr_exp_no_delay"}
KNOWN = {"threshold", "alpha_decay", "i_offset", "v_init", "v_reset", "reset", "exc_decay", "inh_decay", "t_refrac"}


class Population:
    """py-spinnaker2's snn.Population."""

    def __init__(self, size, neuron_model, params, name="", record=()):
        assert neuron_model in LIF | {"spike_list"}
        assert neuron_model == "spike_list" or not set(params) - KNOWN
        self.size, self.neuron_model, self.params, self.name, self.record = size, neuron_model, params, name, record
        self.spikes, self.voltages = {}, {}

    def get_spikes(self):
        assert "spikes" in self.record
        return self.spikes

    def get_voltages(self):
        assert "v" in self.record
        return self.voltages


class Projection:
    """py-spinnaker2's snn.Projection: connections are [pre, post, weight, delay]."""

    def __init__(self, pre, post, connections):
        plain = post.neuron_model.endswith("_no_delay")
        for i, j, weight, delay in connections:
            assert 0 <= i < pre.size and 0 <= j < post.size
            assert abs(weight) <= (127 if plain else 15) and 0 <= delay <= (0 if plain else 7)
        self.pre, self.post, self.connections = pre, post, connections


class Network:
    """py-spinnaker2's snn.Network."""

    def __init__(self, name=""):
        self.populations, self.projections = [], []

    def add(self, *parts):
        for part in parts:
            (self.projections if isinstance(part, Projection) else self.populations).append(part)


class SpiNNaker2Chip:
    """py-spinnaker2's hardware.SpiNNaker2Chip, which here computes: a packet acts a tick and its delay later."""

    made: list[SpiNNaker2Chip] = []  # noqa: RUF012

    def __init__(self, eth_ip="192.168.1.2"):
        self.eth_ip, self.used, self.tick = eth_ip, False, None
        self.made.append(self)

    def run(self, network, timesteps, sys_tick_in_s=1e-3, debug=True):
        assert not self.used, "a hardware object serves one run"
        self.used, self.tick = True, sys_tick_in_s
        raster = {p: np.zeros((timesteps, p.size), bool) for p in network.populations}
        arriving = {p: np.zeros((timesteps + 9, p.size), np.int64) for p in network.populations}
        state = {p: self.start(p) for p in network.populations}
        for t in range(timesteps):
            for p in network.populations:
                raster[p][t] = self.sources(p, t) if p.neuron_model == "spike_list" else self.step(
                    p, state[p], arriving[p][t])
            for x in network.projections:
                for i, j, weight, delay in x.connections:
                    if raster[x.pre][t, i]:
                        arriving[x.post][t + 1 + delay, j] += weight
        for p in network.populations:
            p.spikes = {i: np.flatnonzero(raster[p][:, i]).tolist() for i in range(p.size)}

    @staticmethod
    def start(p):
        first = np.float32(p.params.get("v_init", 0)) if p.neuron_model in LIF else 0
        p.voltages = {i: [] for i in range(p.size)}
        return {"v": np.zeros(p.size, np.float32) + first, "u": np.zeros(p.size, np.float32)}

    @staticmethod
    def sources(p, t):
        return [t in p.params.get(i, ()) for i in range(p.size)]

    @staticmethod
    def step(p, s, arriving):
        def f(name, default=0.0):
            return np.asarray(p.params.get(name, default), np.float32)

        a = arriving.astype(np.float32)
        s["u"] = f("exc_decay") * s["u"] + a if "exc_decay" in p.params else a
        s["v"] = (f("alpha_decay") * s["v"] + s["u"]) + f("i_offset")
        fired = s["v"] > f("threshold")
        after = s["v"] - f("threshold") if p.params["reset"] == "reset_by_subtraction" else f("v_reset")
        s["v"] = np.where(fired, after, s["v"]).astype(np.float32)
        for i, v in enumerate(s["v"].tolist()):
            p.voltages[i].append(v)
        return fired


def spinnaker2(monkeypatch: pytest.MonkeyPatch) -> type[SpiNNaker2Chip]:
    """Put py-spinnaker2 into place; returns the class of its chips."""
    package, snn, hardware = (types.ModuleType(n) for n in ("spinnaker2", "spinnaker2.snn", "spinnaker2.hardware"))
    snn.Population, snn.Projection, snn.Network = Population, Projection, Network
    hardware.SpiNNaker2Chip = SpiNNaker2Chip
    package.snn, package.hardware = snn, hardware
    SpiNNaker2Chip.made.clear()
    for module in (package, snn, hardware):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return SpiNNaker2Chip


def samna(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Put samna into place, with these boards attached."""
    package = types.ModuleType("samna")
    found = [types.SimpleNamespace(serial_number="", usb_bus_number=2, usb_device_address=9 + k, logic_version=0,
                                   device_type_name=name) for k, name in enumerate(names)]
    package.device = types.SimpleNamespace(get_unopened_devices=lambda: found)
    monkeypatch.setitem(sys.modules, "samna", package)


LAVA = {
    "lava/recording.py": '''
import os, numpy as np
FOLDER = os.path.dirname(__file__)
RECORDED = dict(np.load(os.path.join(FOLDER, "recorded.npz")))
SAMPLE, PROCESSES, HEARD = [0], [], {}
class Port:
    def __init__(self, owner, shape=()): self.owner, self.shape = owner, shape
    def connect(self, other): other.owner.heard = self.owner
class Process:
    runtime = None
    def __init__(self): PROCESSES.append(self); self.name, self.heard = "", None
    def create_runtime(self, run_cfg):
        assert type(run_cfg).__name__ == "Loihi2HwCfg", run_cfg
        assert os.environ.get("PARTITION") == "oheogulch" and os.environ.get("SLURM") == "1"
        assert "SECRET" not in os.environ
        self.t = -1
        for p in PROCESSES: p.runtime = self
    def run(self, condition, run_cfg): self.t += condition.num_steps
    def stop(self): SAMPLE[0] += 1; PROCESSES.clear()
class Var:
    def __init__(self, get): self.get = get
''',
    "lava/proc/io/source.py": '''
from lava.recording import Port, Process
class RingBuffer(Process):
    def __init__(self, data): super().__init__(); self.s_out = Port(self, data.shape[:-1])
''',
    "lava/proc/io/sink.py": '''
from lava.recording import RECORDED, SAMPLE, Port, Process, Var
class RingBuffer(Process):
    def __init__(self, shape, buffer): super().__init__(); self.a_in, self.data = Port(self, shape), Var(self.get)
    def get(self):
        assert type(self.heard).__name__ == "NxToPyAdapter"
        return RECORDED["spikes:" + self.heard.heard.name][SAMPLE[0] - (self.runtime.t < 0)].T
''',
    "lava/proc/embedded_io/spike.py": '''
from lava.recording import Port, Process
class PyToNxAdapter(Process):
    def __init__(self, shape, num_message_bits):
        super().__init__(); self.inp, self.out = Port(self, shape), Port(self, shape)
class NxToPyAdapter(PyToNxAdapter): pass
''',
    "lava/proc/dense/process.py": '''
from lava.recording import Port, Process
class Dense(Process):
    def __init__(self, weights, weight_exp, num_weight_bits, sign_mode, num_message_bits):
        super().__init__(); self.s_in, self.a_out = Port(self), Port(self)
''',
    "lava/proc/lif/process.py": '''
from lava.recording import RECORDED, SAMPLE, Port, Process, Var
class LIF(Process):
    def __init__(self, shape, du, dv, vth, bias_mant, bias_exp, u, v):
        super().__init__(); self.a_in, self.s_out = Port(self, shape), Port(self, shape)
        self.u, self.v = (Var(lambda s=s: RECORDED[f"state:{self.name}:{s}"][SAMPLE[0], self.runtime.t]) for s in "uv")
''',
    "lava/utils/weightutils.py": "import enum\nSignMode = enum.Enum('SignMode', 'MIXED INHIBITORY EXCITATORY')\n",
    "lava/utils/loihi.py": "def is_installed(): return {add_on}\n",
    "lava/magma/core/run_configs.py": "class Loihi2HwCfg: pass\nclass Loihi2SimCfg: pass\n",
    "lava/magma/core/run_conditions.py": '''
class RunSteps:
    def __init__(self, num_steps): self.num_steps = num_steps
''',
    "lava_nc-0.10.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: lava-nc\nVersion: 0.10.0\n",
}


def lava(folder: Path, recorded: dict[str, np.ndarray], add_on: bool = True) -> Path:
    """An interpreter with a Lava that plays a recording of a chip; returns it."""
    for name, text in LAVA.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{add_on}", str(add_on)))
    np.savez(folder / "lava" / "recorded.npz", **recorded)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return python
