"""A hardware-in-the-loop report as JUnit XML, for continuous integration."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from hwsdk.errors import DataError, HwsdkError
from hwsdk.hil.session import HilReport
from hwsdk.ir.files import atomic_file


def write(path: str | Path, report: HilReport) -> Path:
    """One test suite with one case a sample; a mismatch is the failure of its sample.

    Raises:
        DataError: the folder cannot be written.
    """
    suite = ElementTree.Element("testsuite", name=f"hwsdk hil {report.program}", tests=str(report.samples), errors="0",
                                skipped="0", time=f"{report.run_seconds:.6f}")
    _properties(suite, report)
    failed = 0
    for sample in range(report.samples):
        case = ElementTree.SubElement(suite, "testcase", classname=f"{report.target}.{report.program}",
                                      name=f"sample {sample}", time=f"{report.run_seconds / report.samples:.6f}")
        if (text := _failure(report, sample)) and report.not_held:
            ElementTree.SubElement(case, "system-out").text = f"{text}\nnot held against the device: {report.not_held}"
        elif text:
            failed += 1
            ElementTree.SubElement(case, "failure", message=text.splitlines()[0], type="mismatch").text = text
    suite.set("failures", str(failed))
    return _save(path, suite)


def write_error(path: str | Path, name: str, error: HwsdkError) -> Path:
    """A suite of one case that could not be run.

    Raises:
        DataError: the folder cannot be written.
    """
    suite = ElementTree.Element("testsuite", name=f"hwsdk hil {name}", tests="1", failures="0", errors="1", skipped="0")
    case = ElementTree.SubElement(suite, "testcase", classname="hwsdk.hil", name=name)
    ElementTree.SubElement(case, "error", message=error.what, type=error.code).text = str(error)
    return _save(path, suite)


def _properties(suite: ElementTree.Element, report: HilReport) -> None:
    """What it ran on."""
    c = report.capabilities
    found = {"program": report.digest, "device": report.url, "name": c.name, "chip": c.chip, "core": c.core,
             "build": c.build, "steps_a_second": f"{report.steps_a_second:.1f}"}
    found |= {f"line.{n}": f"{v:g}" for n, v in report.counters.items()}
    found |= {f"{n}.mean": f"{mean:g}" for n, (_, mean, _) in report.counted.items()}
    group = ElementTree.SubElement(suite, "properties")
    for name, value in found.items():
        ElementTree.SubElement(group, "property", name=name, value=value)


def _failure(report: HilReport, sample: int) -> str:
    """What differs in a sample, or ""; the first of all with the steps around it."""
    first = None if report.window is None else report.window
    if first is None:
        return ""
    if first.mismatch.sample == sample:
        return first.to_text()
    own = [report.expected.sample(sample), report.trace.sample(sample)]
    found = own[0].first_difference(own[1], list(report.trace.spikes))
    return "" if found is None else str(found)


def _save(path: str | Path, suite: ElementTree.Element) -> Path:
    """To a temporary name beside it, then moved into place."""
    ElementTree.indent(suite)
    with atomic_file(path, DataError) as stream:
        stream.write(ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))
    return Path(path)
