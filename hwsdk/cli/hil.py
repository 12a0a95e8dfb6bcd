"""The command hil: its options, and what it does."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from hwsdk.cli import data_arguments, positive_number
from hwsdk.cli.checks import DATA, PROGRAM, RECORDING, require_input, require_output
from hwsdk.cli.progress import bar
from hwsdk.errors import HwsdkError

if TYPE_CHECKING:
    from hwsdk.hil.session import HilReport

TEXT = "run a program on a device and compare it with the simulator, spike for spike"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of hil."""
    parser.add_argument("program", metavar="P.hwx", help="what `hwsdk compile` wrote")
    data_arguments(parser, required=True)
    parser.add_argument("--device", "-d", metavar="URL",
                        help="such as exec: (the firmware in a process), unicorn: or qemu: (a Cortex-M4F), "
                        "serial:/dev/ttyACM0?baud=1000000, tcp:HOST:PORT; see docs/hil.md and `hwsdk devices`")
    parser.add_argument("--record", metavar="FILE", help="keep every byte of the line here")
    parser.add_argument("--replay", metavar="FILE", help="instead of --device: what --record has kept")
    parser.add_argument("--timeout", type=positive_number, metavar="SECONDS", help="the longest an operation may take")
    parser.add_argument("--junit", metavar="FILE.xml", help="write the result as JUnit XML, one case a sample")
    parser.add_argument("-o", "--output", metavar="TRACE.npz", help="write the device's spikes and counts here")


def run(a: argparse.Namespace) -> tuple[int, dict[str, Any], str]:
    """The command hil: (exit code, JSON, text)."""
    require_input(a.program, PROGRAM)
    require_input(a.input, DATA)
    url = _url(a)
    for path, suffix in ((a.record, ".hwlog"), (a.junit, ".xml"), (a.output, ".npz")):
        require_output(path, suffix)
    from hwsdk.hil import junit

    try:
        report = _report(a, url)
    except HwsdkError as error:
        if a.junit:
            junit.write_error(a.junit, a.program, error)
        raise
    if a.junit:
        junit.write(a.junit, report)
    if a.output:
        from hwsdk.ir.trace_file import save_trace

        save_trace(report.trace, a.output, report.digest)
    written = [path for path in (a.record, a.junit, a.output) if path]
    return 0 if report.ok else 1, report.to_dict() | {"written": written}, report.to_text() + "".join(
        f"wrote {path}\n" for path in written)


def _url(a: argparse.Namespace) -> str:
    """Of the device.

    Raises:
        HwsdkError: NO_DEVICE.
    """
    if (a.device is None) == (a.replay is None):
        both = "both --device and --replay were given" if a.device else "no device was named"
        raise HwsdkError(both, where=a.program, code="NO_DEVICE",
                         fix="give --device URL (see: hwsdk devices) or --replay FILE")
    if a.replay:
        require_input(a.replay, RECORDING)
        return f"replay:{a.replay}"
    return f"record:{a.record};{a.device}" if a.record else str(a.device)


def _report(a: argparse.Namespace, url: str) -> HilReport:
    """Run it."""
    from hwsdk import compiler
    from hwsdk.cli.run import data_options
    from hwsdk.hil import devices, session
    from hwsdk.hil.locks import PortLock

    program = compiler.load_program(a.program)
    data = compiler.load_data(a.input, program, **data_options(a))
    with PortLock(url), bar("simulate", a.quiet) as say, devices.open_device(url, timeout=a.timeout) as device:
        return session.run(program, device, data, progress=say.step, say=say.phase)
