"""The commands behind the parser: call the library, print text or JSON, map errors to exit codes."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hwsdk.cli import ANSWER_IS_NO, BAD_INPUT, BUG, DEVICE_FAILED, INTERRUPTED, MODULES, margins, yields
from hwsdk.cli.checks import DATA, MODEL, PROGRAM, TRACE, require_input, require_output, require_proxy, require_target
from hwsdk.cli.progress import bar
from hwsdk.errors import FitError, HwsdkError, LinkError

Answer = tuple[int, dict[str, Any], str]
"""(exit code, JSON, text)"""


def run(arguments: argparse.Namespace) -> int:
    """Run one command."""
    try:
        with _warnings(arguments.quiet) as warned:
            code, data, text = _command(arguments.command)(arguments)
    except HwsdkError as error:
        return _refused(arguments, error)
    except KeyboardInterrupt:
        return _failed(arguments, INTERRUPTED, "INTERRUPTED", "interrupted; nothing was written", "run it again")
    except Exception as error:
        traceback.print_exc()
        return _failed(arguments, BUG, "BUG", f"this is a bug in hwsdk: {type(error).__name__}: {error}",
                       "please report it with the lines above")
    _print(json.dumps({**data, "warnings": warned}, indent=1) + "\n" if arguments.json else text)
    return code


def _command(name: str) -> Callable[[argparse.Namespace], Answer]:
    """What a command does."""
    if name in MODULES:
        found: Callable[[argparse.Namespace], Answer] = importlib.import_module(MODULES[name]).run
        return found
    return COMMANDS[name]


def _print(text: str) -> None:
    """Write to standard output; a closed pipe is no error."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stderr.close()


def _refused(arguments: argparse.Namespace, error: HwsdkError) -> int:
    """Print why not."""
    if arguments.json:
        body: dict[str, Any] = {"error": {name: getattr(error, name) for name in ("code", "where", "what", "fix")}}
        if isinstance(error, FitError):
            body["error"]["violations"] = [
                {f: getattr(v, f) for f in ("rule", "where", "need", "limit", "unit")} for v in error.violations]
            body["error"]["proposals"] = list(error.proposals)
        if isinstance(error, LinkError):
            body["error"]["log"] = list(error.log)
        _print(json.dumps(body, indent=1) + "\n")
    else:
        said = "".join(f"\n  the device said: {line}" for line in getattr(error, "log", ()))
        print(f"hwsdk: {error}{said}", file=sys.stderr)
    if isinstance(error, LinkError):
        return DEVICE_FAILED
    return ANSWER_IS_NO if isinstance(error, FitError) else BAD_INPUT


def _failed(arguments: argparse.Namespace, exit_code: int, code: str, what: str, fix: str) -> int:
    """Print what stopped the command, which is nobody's input."""
    if arguments.json:
        body = {"code": code, "where": arguments.command, "what": what, "fix": fix}
        _print(json.dumps({"error": body}, indent=1) + "\n")
    else:
        print(f"hwsdk: [{code}] {what}\n  fix: {fix}", file=sys.stderr)
    return exit_code


@contextmanager
def _warnings(quiet: bool) -> Iterator[list[str]]:
    """Show warnings as plain lines, and collect them."""
    seen: list[str] = []

    def show(message: Warning | str, *_args: object, **_named: object) -> None:
        seen.append(str(message))
        if not quiet:
            print(f"warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = show
        yield seen


def semantics_of(a: argparse.Namespace) -> dict[str, Any]:
    """The semantics options that were given."""
    from hwsdk.ir.semantics import CHOICES

    names = ["dt", *CHOICES, "input_delay", "connection_delay", "recurrent_delay", "reset_interval", "reset_offset",
             "num_layers", "skip_layers", "input_shape", "spike_exp", "scale_weights", "conn_delay"]
    return {"preset": a.preset, "strict": a.guess_nothing, **{n: v for n in names if (v := getattr(a, n)) is not None}}


def data_options(a: argparse.Namespace) -> dict[str, Any]:
    given = {"n_steps": a.steps, "dt_s": a.bin, "limit": a.limit}
    return {k: v for k, v in given.items() if v is not None}


def _targets(a: argparse.Namespace) -> Answer:
    from hwsdk import backends
    from hwsdk.cli.show import target_text

    if a.target:
        target = backends.get(a.target).target
        return 0, target.model_dump(), target_text(target)
    found = [backends.get(n).target for n in backends.names()]
    text = "".join(f"{t.name:17} {t.title}; {t.size_text()}\n" for t in found)
    return 0, {"targets": [{"name": t.name, "version": t.version, "title": t.title} for t in found]}, text


def _inspect(a: argparse.Namespace) -> Answer:
    require_input(a.model, MODEL)
    from hwsdk.compiler import load

    net = load(a.model, **semantics_of(a))
    data = {
        "name": net.name, "neurons": net.n_neurons, "parameters": net.n_parameters, "digest": net.digest(),
        "semantics": net.semantics.to_dict(),
        "nodes": [{"name": n, "type": type(net.nodes[n]).__name__, "shape": list(net.shapes[n])} for n in net.order],
        "edges": [[e.source, e.target, e.delay_ticks] for e in net.edges],
        "ledger": [[e.kind, e.node, e.code, e.text] for e in net.ledger.entries],
    }
    text = f"{net.n_neurons:,} neurons, {net.n_parameters:,} parameters\n"
    return 0, data, f"{net.to_text()}{text}ledger\n{net.ledger.to_text()}\n"


def _compile(a: argparse.Namespace) -> Answer:
    require_target(a.target)
    require_input(a.model, MODEL)
    require_input(a.calibrate, DATA)
    require_input(a.activity, TRACE)
    require_output(a.output, ".hwx")
    from hwsdk import compiler
    from hwsdk.cli.show import compile_text
    from hwsdk.ir.trace_file import load_trace

    with bar("compile", a.quiet) as say:
        net = compiler.load(a.model, **semantics_of(a))
        data = compiler.load_data(a.calibrate, net) if a.calibrate else None
        activity = load_trace(a.activity) if a.activity else None
        program = compiler.compile(net, a.target, data=data, bits=a.bits, per_channel=a.per_channel, chips=a.chips,
                                   packing=a.packing, seed=a.seed, effort=a.effort, time_budget=a.time_budget,
                                   step_time=a.step_time, activity=activity, target_options=dict(a.option),
                                   say=say.phase)
        if a.output:
            program.save(a.output)
    used = compiler.summary(program)
    body = {"target": program.target, "digest": program.digest(), "output": a.output, "losses": program.losses,
            "usage": {k: {"used": u.used, "available": u.available, "unit": u.unit} for k, u in used.items()},
            "ledger": [[e.kind, e.node, e.code, e.text] for e in program.ledger.entries]}
    return 0, body, compile_text(program, used, a.text, a.output)


def _simulate(a: argparse.Namespace) -> Answer:
    require_input(a.program, PROGRAM)
    require_input(a.input, DATA)
    require_output(a.output, ".npz")
    from hwsdk import compiler
    from hwsdk.backends.verify import decisions
    from hwsdk.cli.early_exit import exits_text
    from hwsdk.cli.show import trace_text
    from hwsdk.ir.trace_file import save_trace

    program = compiler.load_program(a.program)
    data = compiler.load_data(a.input, program, **data_options(a))
    with bar("simulate", a.quiet) as say:
        trace = compiler.simulate(program, data, strict=a.strict, progress=say.step, engine=a.engine,
                                  threads=a.threads)
        if a.output:
            save_trace(trace, a.output, program.digest())
    body: dict[str, Any] = {"target": program.target, "digest": program.digest(), "output": a.output,
                            "samples": trace.n_samples, "steps": trace.n_steps, "notes": list(data.notes),
                            "counts": {n: c.sum().item() for n, c in trace.counts.items()},
                            "spikes": {n: len(e) for n, e in trace.spikes.items()}}
    lines = [trace_text(program, trace, data)]
    outputs = [n for n in program.outputs if n in trace.spikes]
    if len(outputs) == 1:
        decided = decisions(trace, outputs[0], data.n_steps)
        body["decisions"] = decided.tolist()
        first = " ".join(map(str, decided[:20].tolist()))
        lines.append(f"largest output of each sample: {first}{' ...' if len(decided) > 20 else ''}\n")
        if data.labels is not None:
            body["accuracy"] = float((decided == data.labels).mean())
            lines.append(f"accuracy {body['accuracy']:.2%} over {trace.n_samples} samples\n")
        more, told = exits_text(program, trace, data)
        body |= more
        lines.append(told)
    return 0, body, "".join(lines) + (f"wrote {a.output}\n" if a.output else "")


def _estimate(a: argparse.Namespace) -> Answer:
    if (a.trace is None) == (a.input is None):
        both = "both --trace and --input were given" if a.trace else "nothing to estimate from"
        raise HwsdkError(both, where=a.program, code="NO_DATA", fix="give --input DATA or --trace TRACE.npz")
    require_input(a.program, PROGRAM)
    require_input(a.input, DATA)
    require_input(a.trace, TRACE)
    from hwsdk import compiler
    from hwsdk.cli import early_exit
    from hwsdk.ir.trace_file import load_trace

    program = compiler.load_program(a.program)
    require_proxy(program.target, a.proxy)
    data = None
    if a.trace:
        trace = load_trace(a.trace, program.digest())
    else:
        data = compiler.load_data(a.input, program, **data_options(a))
        with bar("simulate", a.quiet) as say:
            trace = compiler.simulate(program, data, progress=say.step)
    report = compiler.estimate(program, trace, proxy=a.proxy, boundary=a.boundary, target_options=dict(a.option))
    more, told = early_exit.report(program, trace, data, proxy=a.proxy, boundary=a.boundary, options=dict(a.option))
    return 0, report.to_dict() | more, report.to_text(sources=True) + told


def _verify(a: argparse.Namespace) -> Answer:
    require_target(a.target)
    require_input(a.model, MODEL)
    require_input(a.input, DATA)
    from hwsdk import compiler

    net = compiler.load(a.model, **semantics_of(a))
    data = compiler.load_data(a.input, net, **data_options(a))
    with bar("float reference", a.quiet) as say:
        report = compiler.verify(net, a.target, data, bits=a.bits, per_channel=a.per_channel, chips=a.chips,
                                 packing=a.packing, seed=a.seed, calibrate=a.calibrate, step_time=a.step_time,
                                 target_options=dict(a.option), progress=say.step)
    return 0 if report.ok else ANSWER_IS_NO, report.to_dict(), report.to_text()


def _emit(a: argparse.Namespace) -> Answer:
    require_input(a.program, PROGRAM)
    require_input(a.input, DATA)
    require_output(a.output, "")
    from hwsdk import compiler

    program = compiler.load_program(a.program)
    data = compiler.load_data(a.input, program, **data_options(a)) if a.input else None
    files = [str(path) for path in compiler.emit(program, a.form, data=data).save(a.output)]
    return 0, {"form": a.form, "files": files}, "".join(f"wrote {name}\n" for name in files)


COMMANDS: dict[str, Callable[[argparse.Namespace], Answer]] = {
    "targets": _targets, "inspect": _inspect, "compile": _compile, "simulate": _simulate, "estimate": _estimate,
    "verify": _verify, "emit": _emit, "margins": margins.run, "yield": yields.run, "attribute": yields.run_attribute,
}

__all__ = ["run"]
