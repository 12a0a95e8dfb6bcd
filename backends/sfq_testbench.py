"""A Verilog testbench of a PulseNetlist: a sample as toggles at its schedule, all spikes printed and checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from hwsdk.backends.sfq_names import Names
from hwsdk.backends.sfq_verilog import TIMESCALE
from hwsdk.errors import UnsupportedError
from hwsdk.ir.data import Stimulus
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators import sfq_machine, sfq_run

Pulses = Sequence[tuple[int, int]]
"""(net, fs) of pulses that are expected."""


def stimulated(program: PulseNetlist, stimulus: Stimulus, sample: int, frames: int) -> dict[int, list[int]]:
    """SRC cell -> times in fs of its pulses, ascending, for a number of frames.

    Raises:
        UnsupportedError: GRADED_INPUT: a value other than 0 and 1.
    """
    s, a = program.schedule, program.arrays
    times: dict[int, list[int]] = {int(c): [s.init_fs] for c in a.init_source}
    for cell, offset in zip(a.frame_source.tolist(), a.frame_offset_fs.tolist(), strict=True):
        times[cell] = [s.start_fs + f * s.frame_fs + offset for f in range(frames)]
    first = 0
    for port in program.inputs:
        events = stimulus.inputs[port.name].one(sample)
        if (events.values() != 1).any():
            raise UnsupportedError("a pulse has no value", where=port.name, code="GRADED_INPUT",
                                   fix="give inputs of zeros and ones")
        for step, i in zip(events.step.tolist(), events.index.tolist(), strict=True):
            if step < frames:
                at = s.start_fs + step * s.frame_fs + s.input_offset_fs
                times.setdefault(int(a.input_source[first + i]), []).append(at)
        first += port.n
    return {cell: sorted(own) for cell, own in times.items()}


def simulated(program: PulseNetlist, stimulus: Stimulus, frames: int, sample: int = 0) -> Pulses:
    """All pulses of the spike nets that the pulse simulator gives under nominal conditions, in the order of time."""
    machine = sfq_machine.build(program)
    run = sfq_run.start(machine, sfq_machine.sources(machine, stimulus.one(sample), frames), np.uint64(0))
    wires, nominal = machine.watching(program.arrays.spike_net), sfq_machine.params(machine, sfq_machine.Conditions())
    found = sfq_run.result(sfq_run.go(machine, wires, nominal, run, end_fs(program, frames)))
    return list(zip(found.net.tolist(), found.time_fs.tolist(), strict=True))


def end_fs(program: PulseNetlist, frames: int) -> int:
    """When a testbench ends: a frame after the last one, so that all has come out."""
    return program.schedule.start_fs + (frames + 1) * program.schedule.frame_fs


def testbench(program: PulseNetlist, stimulus: Stimulus, frames: int, *, sample: int = 0,
              expected: Pulses | None = None) -> str:
    """A module tb, for the network and its cells in other files. It prints ``PULSE layer neuron fs`` for every spike
    and, where pulses are expected, ends with ``PASS`` or ``FAIL`` and a number: their count, or that of differences.

    Args:
        expected: all pulses of the spike nets, in the order of time.
    """
    names = Names(program)
    times = stimulated(program, stimulus, sample, frames)
    lines = [f"// testbench of {names.top}, sample {sample}, {frames} frames of {program.schedule.frame_fs} fs",
             TIMESCALE, "module tb;", *(f"  reg {p} = 1'b0;" for p in names.sources.values()),
             *(f"  wire {p};" for p in names.sinks.values())]
    ports = [f".{p}({p})" for p in (*names.sources.values(), *names.sinks.values())]
    lines += [f"  {names.top} dut ({', '.join(ports)});"]
    lines += [line for cell, own in sorted(times.items()) for line in _drive(names.sources[cell], own)]
    lines += [*_watch(names, expected), "`ifdef HWSDK_SDF", "  initial $sdf_annotate(`HWSDK_SDF, dut);", "`endif",
              "`ifdef HWSDK_VCD", "  initial begin $dumpfile(`HWSDK_VCD); $dumpvars(0, tb); end", "`endif",
              "  initial begin", f"    #{end_fs(program, frames)};", *_verdict(expected), "    $finish(0);", "  end",
              "endmodule"]
    return "\n".join(lines) + "\n"


def _drive(port: str, times: list[int]) -> Iterator[str]:
    """A block that toggles a port; equal gaps are a loop."""
    gaps = np.diff([0, *times]).tolist()
    yield "  initial begin"
    for gap, same in groupby(gaps):
        n = len(list(same))
        yield f"    {f'repeat ({n}) ' if n > 1 else ''}#{gap} {port} = ~{port};"
    yield "  end"


def _watch(names: Names, expected: Pulses | None) -> Iterator[str]:
    """Print every spike, and compare it with the list."""
    watched = {net: k for k, net in enumerate(dict.fromkeys(net for _, _, net in names.spikes))}
    if expected is not None:
        yield from _wanted(watched, expected)
    yield f"  reg [{max(len(watched), 1) - 1}:0] level = 0;"
    for layer, i, net in names.spikes:
        check = f" check({watched[net]});" if expected is not None else ""
        where = names.nets[net] if names.nets[net] in names.sinks.values() else f"dut.{names.nets[net]}"
        level = f"level[{watched[net]}]"
        yield (f"  always @({where}) if ({where} === ~{level}) begin {level} = {where}; "
               f'$display("PULSE {_printed(layer)} {i} %0d", $time);{check} end')


def _printed(text: str) -> str:
    """As a part of a format string, without spaces."""
    return "".join(c if c.isalnum() or c in "_.-[]" else "_" for c in text)


def _wanted(watched: dict[int, int], expected: Pulses) -> Iterator[str]:
    """The list of expected times, net by net, and the task that compares."""
    by_net = sorted((watched[net], t) for net, t in expected)
    starts = np.searchsorted([k for k, _ in by_net], np.arange(len(watched) + 1)).tolist()
    n = max(len(by_net), 1)
    yield f"  longint wanted [0:{n - 1}]; integer next [0:{len(watched)}], last [0:{len(watched)}], bad, k;"
    yield "  initial begin"
    yield "    bad = 0;"
    yield from (f"    wanted[{i}] = {t};" for i, (_, t) in enumerate(by_net))
    yield from (f"    next[{k}] = {starts[k]}; last[{k}] = {starts[k + 1]};" for k in range(len(watched)))
    yield "  end"
    yield "  task check(input integer net);"
    yield "    if (next[net] < last[net] && wanted[next[net]] == $time) next[net] = next[net] + 1;"
    yield '    else begin bad = bad + 1; $display("UNEXPECTED net %0d %0d", net, $time); end'
    yield "  endtask"
    yield f"  localparam WATCHED = {len(watched)}, PULSES = {len(by_net)};"


def _verdict(expected: Pulses | None) -> list[str]:
    """Count what did not come, and say what came of it."""
    if expected is None:
        return []
    return ["    for (k = 0; k < WATCHED; k = k + 1) bad = bad + last[k] - next[k];",
            '    if (bad == 0) $display("PASS %0d", PULSES);', '    else $display("FAIL %0d", bad);']
