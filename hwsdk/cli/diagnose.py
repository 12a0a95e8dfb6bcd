"""The command diagnose: its options, and what it does."""

from __future__ import annotations

import argparse
from typing import Any

from hwsdk.cli import ANSWER_IS_NO, data_arguments, model_arguments, quantisation_arguments
from hwsdk.cli.checks import DATA, MODEL, PROGRAM, TRACE, require_input, require_target
from hwsdk.cli.progress import bar
from hwsdk.ir.semantics import PRESETS

TEXT = "where did my accuracy go: the first stage, layer, neuron and step that diverge, and what each stage costs"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of diagnose."""
    model_arguments(parser)
    parser.add_argument("--target", "-t", required=True, metavar="NAME", help="name of a chip; see `hwsdk targets`")
    data_arguments(parser, required=True)
    group = parser.add_argument_group("what is right", "without either, open choices of the model are turned round")
    group.add_argument("--expected", metavar="TRACE.npz",
                       help="spikes of the original framework, of all layers or of the output alone: a trace file, or "
                       "an .npz with an array (samples, steps, neurons) for each layer; see docs/diagnose.md")
    group.add_argument("--reference-preset", choices=sorted(PRESETS), metavar="NAME",
                       help="the model's run with this framework's semantics is what is expected")
    parser.add_argument("--program", metavar="P.hwx", help="look at this program, not at one compiled here; give the "
                        "options with which it was compiled")
    parser.add_argument("--calibrate", metavar="DATA", help="data that set register ranges, as for compile")
    parser.add_argument("--no-alternatives", action="store_true",
                        help="do not run the model with each open choice the other way")
    quantisation_arguments(parser)


def run(a: argparse.Namespace) -> tuple[int, dict[str, Any], str]:
    """(exit code, JSON, text); 1 where something is wrong, rather than only costly.

    Raises:
        HwsdkError: TWO_TRUTHS, and whatever loading, compiling and simulating raise.
    """
    require_target(a.target)
    for path, what in ((a.model, MODEL), (a.input, DATA), (a.expected, TRACE), (a.program, PROGRAM),
                       (a.calibrate, DATA)):
        require_input(path, what)
    from hwsdk import compiler
    from hwsdk.cli.run import data_options, semantics_of
    from hwsdk.errors import HwsdkError
    from hwsdk.report.diagnose import DiagnoseOptions, diagnose

    if a.expected and a.reference_preset:
        raise HwsdkError("--expected and --reference-preset both say what is right", code="TWO_TRUTHS",
                         fix="give one of them")
    network = compiler.load(a.model, **semantics_of(a))
    data = compiler.load_data(a.input, network, **data_options(a))
    other = compiler.load(a.model, preset=a.reference_preset) if a.reference_preset else None
    program = compiler.load_program(a.program) if a.program else None
    options = DiagnoseOptions(_compile_options(a, network), not a.no_alternatives)
    with bar("diagnose", a.quiet) as say:
        report = diagnose(network, a.target, data, _expected(a, network, data), options, program=program,
                          reference_network=other, say=say.phase)
    return ANSWER_IS_NO if report.wrong else 0, report.to_dict(), report.to_text()


def _compile_options(a: argparse.Namespace, network: Any) -> Any:
    """As for a compilation."""
    from hwsdk import compiler
    from hwsdk.backends.base import CompileOptions

    calibration = compiler.load_data(a.calibrate, network) if a.calibrate else None
    return CompileOptions(a.bits, a.per_channel, a.chips, a.packing, a.seed, calibration, step_time=a.step_time,
                          target_options=dict(a.option))


def _expected(a: argparse.Namespace, network: Any, data: Any) -> Any:
    """The trace of --expected, or None."""
    if not a.expected:
        return None
    from hwsdk.report.diagnose_expected import read_expected

    return read_expected(a.expected, network, data)
