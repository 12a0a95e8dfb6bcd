"""The emitted Verilog in Icarus Verilog against the pulse simulator: the same pulses and violations to the fs."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from sfq_cells_by_hand import Layer, Net, Schedule
from sfq_random import random_netlist, random_stimulus, scaled

from hwsdk import compiler
from hwsdk.backends import sfq_testbench
from hwsdk.backends.sfq_emit import emit
from hwsdk.backends.sfq_sdf import sdf
from hwsdk.backends.sfq_verilog import models, verilog
from hwsdk.ir.data import Stimulus
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators import sfq_machine, sfq_run
from hwsdk.targets import load_target

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog: apt install iverilog")
FRAMES = 12
XOR = Path(__file__).resolve().parents[2] / "examples" / "xor.nir"


def icarus(folder: Path, *flags: str) -> str:
    """What the testbench of a folder prints."""
    files = [str(p) for p in sorted(folder.glob("*.v"))]
    built = subprocess.run(["iverilog", "-g2012", "-gspecify", "-Wall", "-o", str(folder / "run"), *flags, *files],
                           capture_output=True, text=True, check=False)
    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    return subprocess.run(["vvp", "-n", str(folder / "run")], capture_output=True, text=True, check=True).stdout


def written(folder: Path, program: PulseNetlist, stimulus: Stimulus, expected: sfq_testbench.Pulses | None) -> Path:
    (folder / "net.v").write_text(verilog(program))
    (folder / "net_cells.v").write_text(models(program))
    (folder / "net_tb.v").write_text(sfq_testbench.testbench(program, stimulus, FRAMES, expected=expected))
    return folder


def pulses(text: str, program: PulseNetlist) -> list[tuple[int, int]]:
    """(net, fs) as printed; the layer has one neuron a net."""
    found = re.findall(r"PULSE all (\d+) (\d+)", text)
    return sorted((int(program.arrays.spike_net[int(i)]), int(t)) for i, t in found)


def violations(text: str) -> list[tuple[str, str, str, str, int, int]]:
    found = re.findall(r"VIOLATION (\w+) tb\.dut\.(\w+)\.arrive prev= *(\w+) pin= *(\w+) time=(\d+) slack=(-\d+)", text)
    return sorted((kind, cell, prev, pin, int(t), int(slack)) for kind, cell, prev, pin, t, slack in found)


def run(program: PulseNetlist, stimulus: Stimulus) -> sfq_run.PulseSample:
    machine = sfq_machine.build(program)
    state = sfq_run.start(machine, sfq_machine.sources(machine, stimulus, FRAMES), np.uint64(0))
    return sfq_run.result(sfq_run.go(machine, machine.watching(program.arrays.spike_net),
                                     sfq_machine.params(machine, sfq_machine.Conditions()), state,
                                     sfq_testbench.end_fs(program, FRAMES)))


@pytest.mark.parametrize("grid", [False, True], ids=["any-times", "many-at-the-same-time"])
def test_random_netlists_give_the_same_pulses_and_violations(grid: bool, tmp_path: Path) -> None:
    """All cells and somas, with mergers that swallow and cells that are hit too soon."""
    kinds, seen, broken = set(), 0, {"absorbed": 0, "timing": 0}
    for seed in range(16):
        program = random_netlist(seed, 40, grid)
        stimulus = random_stimulus(seed, program, FRAMES)
        ours = run(program, stimulus)
        expected = sorted(zip(ours.net.tolist(), ours.time_fs.tolist(), strict=True))
        text = icarus(written(tmp_path, program, stimulus, expected))
        assert pulses(text, program) == expected, seed
        rows = sfq_run.rows(program, ours.violations, 0)
        assert violations(text) == sorted((v.kind, v.cell, v.prev, v.pin, v.time_fs, v.slack_fs) for v in rows), seed
        assert text.splitlines()[-1] == f"PASS {len(expected)}"
        kinds |= {t.name for t, n in zip(program.types, program.type_counts.values(), strict=True) if n}
        seen += len(expected)
        for row in rows:
            broken[row.kind] += 1
    assert seen > 500 and min(broken.values()) > 2
    assert kinds >= {"JTL", "SPLIT", "MERGE", "DFF", "NDRO", "AND2", "OR2", "XOR", "NOT", "XNOR", "TFF"}
    assert grid or kinds >= {"SOMA1", "SOMA2", "SOMA3"}


def only_somas(seed: int) -> PulseNetlist:
    """Somas of 1 to 8 branches with weights of 0, of one sign alone, decays of 1 fs to 1 us, and any bias currents; of
    the library, or by hand. Every branch has an input of its own behind some lines.
    """
    rng, net, inputs, spikes = np.random.default_rng(seed), Net(), [], []
    for _ in range(12):
        n = int(rng.integers(1, 9))
        weight = rng.uniform(-6e-5, 1.2e-4, n) * (rng.random(n) < 0.9)
        weight = -abs(weight) if rng.random() < 0.1 else weight
        tau = np.exp(rng.uniform(*np.log(rng.choice([[2e4, 2e5], [1.0, 1e9]])), n))
        soma = net.add(f"SOMA{n}", 0, list(zip(weight.tolist(), tau.tolist(), strict=True)),
                       float(rng.uniform(0, 2.2e-4)))
        for pin in range(n):
            line = net.chain(["SRC", *["JTL"] * int(rng.integers(0, 6))])
            inputs.append(line[0])
            net.join(line[-1], 0, soma, pin)
        spikes.append(net.join(soma, 0, net.add("SINK"), 0))
    program = net.program(inputs=[("x", inputs)], layers=[Layer("all", (len(spikes),), "loop", 25_000)], spikes=spikes,
                          schedule=Schedule(int(rng.integers(30_000, 90_000)), 10_000, 0, 3_000))
    target = load_target("sfq")
    types = tuple(target.soma(len(t.inputs)) if t.soma and seed % 2 else t for t in program.types)
    return dataclasses.replace(program, types=types)


def test_somas_of_all_kinds_give_the_same_pulses(tmp_path: Path) -> None:
    seen, dead, silent = 0, 0, 0
    for seed in range(12):
        program = only_somas(seed)
        stimulus = random_stimulus(seed, program, FRAMES)
        ours = run(program, stimulus)
        expected = sorted(zip(ours.net.tolist(), ours.time_fs.tolist(), strict=True))
        assert pulses(icarus(written(tmp_path, program, stimulus, expected)), program) == expected, seed
        seen += len(expected)
        silent += len(set(program.arrays.spike_net.tolist()) - {n for n, _ in expected})
        model = [program.types[k].soma for k in program.arrays.cell_type[program.arrays.soma_cell]]
        dead += sum(m.ic_eff_a <= m.alpha * b for m, b in zip(model, program.arrays.soma_bias_a, strict=True) if m)
    assert seen > 200 and dead > 5 and silent > dead


def test_a_wrong_expectation_fails(tmp_path: Path) -> None:
    program = random_netlist(0)
    stimulus = random_stimulus(0, program, FRAMES)
    expected = list(sfq_testbench.simulated(program, stimulus, FRAMES))
    net, time = expected[5]
    text = icarus(written(tmp_path, program, stimulus, [*expected[:5], (net, time + 1), *expected[6:]]))
    assert f"UNEXPECTED net {program.arrays.spike_net.tolist().index(net)} {time}\n" in text
    assert text.splitlines()[-1].startswith("FAIL ")
    text = icarus(written(tmp_path, program, stimulus, [*expected, (net, 10**9)]))
    assert text.splitlines()[-1] == "FAIL 1"


def test_a_program_in_the_form_verilog_checks_itself(tmp_path: Path) -> None:
    program = random_netlist(4)
    emit(program, "verilog", random_stimulus(4, program, FRAMES)).save(tmp_path / "net.v")
    text = icarus(tmp_path)
    assert re.fullmatch(r"PASS [1-9]\d+", text.splitlines()[-1])


@pytest.mark.parametrize("weights", ["train", "binary"])
def test_a_compiled_network_of_counters_checks_itself(weights: str, tmp_path: Path) -> None:
    """XOR: every spike of the pulse simulator at its femtosecond in Icarus, and no violation."""
    program = compiler.compile(XOR, "sfq", target_options={"neuron": "counter", "weights": weights})
    table = np.array([[[1, 0], [1, 1], [0, 1], [0, 0], [1, 0]]])
    emit(program, "verilog", Stimulus.dense(table, program.input_shapes)).save(tmp_path / "xor.v")
    text = icarus(tmp_path)
    lag, frame = program.lag["out"], program.schedule.frame_fs
    read = program.schedule.start_fs + program.layers[-1].read_fs
    spikes = [round((int(t) - read) / frame) - lag for t in re.findall(r"PULSE out 0 (\d+)", text)]
    assert spikes == [0, 2, 4]
    assert re.fullmatch(r"PASS [1-9]\d*", text.splitlines()[-1]) and "VIOLATION" not in text


def test_the_sdf_file_sets_the_delays_of_the_specify_blocks(tmp_path: Path) -> None:
    """Few pulses, so that none come close; the delays of other biases come out of the SDF file."""
    program = random_netlist(11, 12)
    quiet = random_stimulus(0, program, 1)
    scale = {"all": 0.9, "clock": 1.1}
    (tmp_path / "net.sdf").write_text(sdf(program, scale))
    one = scaled(program, frame_offset_fs=np.array([0, 80_000]))
    text = icarus(written(tmp_path, one, quiet, None), "-DHWSDK_SPECIFY", f'-DHWSDK_SDF="{tmp_path / "net.sdf"}"')
    biased = (tmp_path / "biased")
    biased.mkdir()
    (biased / "net.v").write_text(verilog(one, scale))
    for name in ("net_cells.v", "net_tb.v"):
        (biased / name).write_text((tmp_path / name).read_text())
    wanted = pulses(icarus(biased), one)
    nominal = pulses(icarus(tmp_path), one)
    assert pulses(text, one) == wanted
    assert wanted != nominal and len(wanted) > 10
