"""The pytest plugin: tests of programs on devices, in anybody's project. Documented in docs/hil_pytest.md.

pytest loads this file at every start, so at the top it imports nothing but pytest and the standard library; what does
the work is in hwsdk.hil.pytest_bench. PYTEST_DONT_REWRITE (there are no assertions here).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hwsdk.backends.base import Program
    from hwsdk.hil.device import Device
    from hwsdk.hil.pytest_bench import Bench, GoldenCase, Run

BENCH: pytest.StashKey[Bench] = pytest.StashKey()
MARKER = ("hw(kind=None, chip=None, probes=False, program=None): a test on a device that runs programs of this kind "
          "(loihi, spinnaker, sfq, crossbar), whose chip has this in its name, and whose states can be read if probes "
          "is true; program: a .hwx file for the fixture of that name")
KNOWN = ("kind", "chip", "probes", "program")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options --hw-..., and hw_program for pytest's configuration file."""
    group = parser.getgroup("hwsdk", "hardware in the loop (hwsdk)")
    group.addoption("--hw-port", action="append", default=[], metavar="URL",
                    help="device to test on: sim:, exec:, serial:/dev/ttyACM0?baud=1000000, ..., or the name of a "
                    "board in the hardware map; give it again for more devices")
    group.addoption("--hw-map", metavar="FILE", help="hardware map (TOML): the boards of this bench. Without --hw-port "
                    "the tests run on all of them")
    group.addoption("--hw-golden", metavar="DIR", help="hold every run against its golden trace in this folder; a "
                    "missing one is a failure (default: golden/ beside the test, where there are any)")
    group.addoption("--hw-update-golden", action="store_true", help="write the golden traces anew, of runs that equal "
                    "the simulator")
    group.addoption("--hw-record", metavar="DIR", help="keep all bytes between host and device in this folder; "
                    "--hw-port replay:FILE plays them as the device")
    group.addoption("--hw-timeout", type=float, metavar="SECONDS", help="most time for one run on a device")
    group.addoption("--hw-require", action="store_true", help="a test that finds no device fails, it does not skip")
    parser.addini("hw_program", "the .hwx file of the fixture program, from the root folder", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close all devices, also after an interrupt."""
    if (bench := config.stash.get(BENCH, None)) is not None:
        bench.close()


def pytest_report_header(config: pytest.Config) -> list[str]:
    """The devices, if any were asked for."""
    asked = [*config.getoption("--hw-port"), *filter(None, [config.getoption("--hw-map")])]
    return [f"hwsdk devices: {', '.join(asked)}"] if asked else []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test that uses a device runs once on each; without one it stays, to say why it is skipped."""
    if "hw_url" in metafunc.fixturenames:
        config = metafunc.config
        asked = config.getoption("--hw-port") or config.getoption("--hw-map")
        urls: list[str | None] = [*bench_of(config).urls()] if asked else []
        ids = [url or "no-device" for url in urls or [None]]
        metafunc.parametrize("hw_url", urls or [None], indirect=True, ids=ids, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture is made: is there a device, and does it suit the marker?"""
    marker = item.get_closest_marker("hw")
    if marker is not None and (marker.args or set(marker.kwargs) - set(KNOWN)):
        pytest.fail(f"the marker hw takes {', '.join(f'{name}=' for name in KNOWN)}, here it is "
                    f"hw{marker.args or ''}{marker.kwargs or ''}", pytrace=False)
    spec = getattr(item, "callspec", None)
    if "hw_url" in getattr(item, "fixturenames", ()):
        url = spec.params.get("hw_url") if spec is not None else None
        if why := bench_of(item.config).unsuitable(url, marker.kwargs if marker is not None else {}):
            skip(item.config, why)
    elif marker is not None and not (item.config.getoption("--hw-port") or item.config.getoption("--hw-map")):
        skip(item.config, bench_of(item.config).unsuitable(None, {}))


def skip(config: pytest.Config, why: str) -> None:
    """Skip a test, or let it fail with --hw-require."""
    if config.getoption("--hw-require"):
        pytest.fail(f"{why} (--hw-require)", pytrace=False)
    pytest.skip(why)


def bench_of(config: pytest.Config) -> Bench:
    """The devices of this session; nothing is opened yet."""
    if BENCH not in config.stash:
        from hwsdk.hil.pytest_bench import Bench

        config.stash[BENCH] = Bench(config)
    return config.stash[BENCH]


@pytest.fixture(scope="session")
def hw_url(request: pytest.FixtureRequest) -> str:
    """The URL of the device."""
    return str(request.param)


@pytest.fixture(scope="session")
def device(hw_url: str, pytestconfig: pytest.Config) -> Device:
    """The device (hwsdk.hil.device.Device): opened once a session, locked against other programs, closed at the end."""
    return bench_of(pytestconfig).device(hw_url)


@pytest.fixture
def program(request: pytest.FixtureRequest) -> Program:
    """The program of the marker, of an indirect parameter (a Program or the path of a .hwx file), or of hw_program."""
    from hwsdk.hil.pytest_bench import program_of

    return program_of(request)


@pytest.fixture
def hw_golden(request: pytest.FixtureRequest) -> GoldenCase:
    """hw_golden(trace, program, stimulus): hold any trace against this test's golden trace, or make that."""
    from hwsdk.hil.pytest_bench import GoldenCase

    return GoldenCase(request)


@pytest.fixture
def hw_run(device: Device, hw_golden: GoldenCase, request: pytest.FixtureRequest) -> Run:
    """hw_run(program, stimulus) -> Trace of the device, after it was found equal to the simulator's and the golden one.
    """
    from hwsdk.hil.pytest_bench import Run

    return Run(device, hw_golden, request)
