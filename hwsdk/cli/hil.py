"""The commands hil and devices: their options, and what they do."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from hwsdk.cli.checks import BOARDS, DATA, PROGRAM, RECORDING, require_input, require_output
from hwsdk.cli.progress import bar
from hwsdk.errors import HwsdkError

if TYPE_CHECKING:
    from hwsdk.hil.discovery import Found
    from hwsdk.hil.session import HilReport

TEXT = "run a program on a device and compare it with the simulator, spike for spike"
DEVICES_TEXT = "list what is attached or can be emulated here, and what each can run"
DATA_OPTIONS = (("steps", "n_steps"), ("bin", "dt_s"), ("limit", "limit"))


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of hil; program and data are as in other commands."""
    parser.add_argument("--device", "-d", metavar="URL",
                        help="such as exec: (the firmware in a process), unicorn: or qemu: (a Cortex-M4F), "
                        "serial:/dev/ttyACM0?baud=1000000, tcp:HOST:PORT; see docs/hil.md and `hwsdk devices`")
    parser.add_argument("--record", metavar="FILE", help="keep every byte of the line here")
    parser.add_argument("--replay", metavar="FILE", help="instead of --device: what --record has kept")
    parser.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="the longest that one operation may take")
    parser.add_argument("--junit", metavar="FILE.xml", help="write the result as JUnit XML, one case a sample")
    parser.add_argument("-o", "--output", metavar="TRACE.npz", help="write the device's spikes and counts here")


def devices_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of devices."""
    parser.add_argument("--map", metavar="FILE.toml", help="boards of this laboratory, see docs/hil_pytest.md")


def _seconds(text: str) -> float:
    """Of a timeout."""
    from hwsdk.cli import positive_number

    return positive_number(text)


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
    from hwsdk.hil import devices, session
    from hwsdk.hil.locks import PortLock

    program = compiler.load_program(a.program)
    options = {name: value for given, name in DATA_OPTIONS if (value := getattr(a, given)) is not None}
    data = compiler.load_data(a.input, program, **options)
    with PortLock(url), bar("simulate", a.quiet) as say, devices.open_device(url, timeout=a.timeout) as device:
        return session.run(program, device, data, progress=say.step, say=say.phase)


def run_devices(a: argparse.Namespace) -> tuple[int, dict[str, Any], str]:
    """The command devices: (exit code, JSON, text)."""
    import dataclasses

    from hwsdk.hil.discovery import Found, attached

    require_input(a.map, BOARDS)
    found = attached(a.map)
    names = [f.name for f in dataclasses.fields(Found)]
    body = [{n: getattr(f, n) for n in names} for f in found]
    return 0, {"devices": body}, "".join(_described(f) for f in found) or "nothing is attached\n"


def _described(f: Found) -> str:
    """A device in one line, or two if it cannot be used."""
    runs = f"runs {', '.join(f.kinds)}" if f.kinds else "" if f.usable else "cannot be used"
    named = f" (board {f.board})" if f.board else ""
    why = "" if f.usable else f"\n{'':32} {f.why}; fix: {f.fix}"
    return f"{f.url:31} {f.what}{named}{'; ' + runs if runs else ''}{why}\n"
