"""The public facade: load, compile, simulate, estimate, verify, emit; the same for every target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsdk import backends
from hwsdk.backends.activity import activity_of
from hwsdk.backends.base import CompileOptions, Emitted, Program, Progress, Walk
from hwsdk.cost import CostReport
from hwsdk.errors import DataError, UnsupportedError
from hwsdk.ir import formats
from hwsdk.ir.data import Stimulus
from hwsdk.ir.mapping import Usage
from hwsdk.ir.network import Network
from hwsdk.ir.trace import Trace

if TYPE_CHECKING:
    from hwsdk.backends.memristor_attribution import Attribution
    from hwsdk.backends.memristor_judges import Judge
    from hwsdk.backends.memristor_yield import YieldReport
    from hwsdk.backends.sfq_margin_report import MarginReport
    from hwsdk.backends.verify import VerifyReport

Activity = Mapping[str, NDArray[np.float64] | float]
Model = object
Data = object


def load(source: Model, *, preset: str | None = None, strict: bool = False, **semantics: Any) -> Network:
    """A network from a .nir file, a ``nir.NIRGraph``, an ``ir.Network``, or a snnTorch, sinabs or Norse module.

    Args:
        preset: origin framework whose semantics to start from (see hwsdk.ir.semantics.PRESETS).
        strict: refuse to guess what the file leaves open.
        semantics: fields of hwsdk.ir.semantics.Semantics, for example dt=1e-4, reset="subtract"; for a module also
        ``sample``, an input tensor (see docs/frameworks.md).

    Raises:
        ModelError: the model cannot be read; SemanticsError: its meaning is open and ``strict`` is set.
    """
    return formats.load(source, preset=preset, strict=strict, **semantics)


def load_data(source: Data, network: Network | Program, **options: Any) -> Stimulus:
    """A stimulus for a network or program: a Stimulus, arrays, or a .npz, .npy, .csv or NIR data file.

    Raises:
        DataError: it cannot be read, or does not suit the inputs.
    """
    if isinstance(source, Stimulus):
        return source
    shapes = {n: i.shape for n, i in network.inputs.items()} if isinstance(network, Network) else network.input_shapes
    if isinstance(source, str | Path):
        return formats.load_data(source, shapes, **options)
    return Stimulus.dense(source, shapes)


def compile(  # the field's word
    model: Model, target: str, *, data: Data | None = None, bits: int = 8, per_channel: bool = False, chips: int = 1,
    packing: str = "layer", seed: int = 0, effort: str = "fast", time_budget: float | None = None,
    step_time: float | None = None, activity: Activity | Trace | None = None,
    target_options: Mapping[str, Any] | None = None, say: Callable[[str], None] | None = None, **semantics: Any,
) -> Program:
    """A program for a chip.

    Args:
        model: anything that ``load`` takes. data: calibration data, anything that ``load_data`` takes.
        bits: weight bits. per_channel: one weight scale a channel. chips: how many are at hand. packing: "layer"
        gives every layer cores of its own where there is room, "dense" puts small parts together, "spread" uses the
        cores that there are to shorten the step. seed: of the placement. effort: "none", "fast", "normal" or "high".
        time_budget: seconds after which the search stops, which the ledger tells. step_time: seconds that no core
        should take longer than; on spinnaker2 the length of a step. activity: a trace, or population -> mean spikes a
        step; default: from ``data``. target_options: what only this target knows, by name (docs of the target).
        say: called with the name of every phase. semantics: as in ``load``.

    Raises:
        ModelError, SemanticsError, DataError: see ``load`` and ``load_data``.
        UnsupportedError: the chip cannot run a part exactly. FitError: it does not fit; proposals are checked.
    """
    network = load(model, **semantics)
    stimulus = None if data is None else load_data(data, network)
    rates = _rates(activity, network) if isinstance(activity, Trace) else activity
    options = CompileOptions(bits, per_channel, chips, packing, seed, stimulus, effort, time_budget, step_time, rates,
                             target_options or {})
    return backends.get(target).compile(network, options, say or (lambda _: None))


def _rates(trace: Trace, network: Network) -> Activity:
    """Spikes a step from a trace of this network; the chip's program may have more populations than the network."""
    rates = activity_of(trace)
    other = [n for n, cell in network.populations.items() if n not in rates or rates[n].size != cell.n]
    if other:
        raise DataError(f"the trace does not hold {', '.join(other[:4])} as the network has it", where="activity",
                        code="WRONG_TRACE", fix="give a trace of this network")
    return rates


def load_program(path: str | Path) -> Program:
    """A program from a .hwx file.

    Raises:
        ProgramError: damaged, of another schema, or for a chip whose description has changed since.
    """
    return backends.load_program(path)


def simulate(program: Program | str | Path, data: Data, *, probes: Iterable[tuple[str, str]] | str = (),
             strict: bool = False, progress: Progress | None = None, engine: str = "hwsdk", threads: int = 1) -> Trace:
    """Run a program cycle by cycle on every sample.

    Args:
        probes: (population, state) pairs, for example ("hidden", "v"), or "all". strict: a register overflow is an
        error. progress: called with (steps done, steps in all). threads: how many run it; no result depends on them.
        engine: "hwsdk"; for Loihi "lava", lava-nc (see hwsdk.backends.lava.run and its errors); for SFQ netlists
        "analog", the circuit of every cell solved junction by junction. The others know no strict, threads, progress
        and counts.

    Raises:
        DataError: the data do not suit the program. OverflowInStrictMode: only with ``strict``.
    """
    loaded = _program(program)
    stimulus = load_data(data, loaded)
    backend = backends.get(loaded.target)
    if engine == "hwsdk":
        return backend.simulate(loaded, stimulus, probes=probes, strict=strict, progress=progress, threads=threads)
    if engine not in backend.engines:
        raise UnsupportedError(f"engine {engine!r} for a program of {loaded.target}", code="UNKNOWN_ENGINE",
                               fix=f"use {' or '.join(map(repr, ('hwsdk', *backend.engines)))}")
    for name, given in (("strict", strict), ("threads", threads != 1)):
        if given:
            raise UnsupportedError(f"the engine {engine!r} does not know {name}", code=f"NO_{name.upper()}",
                                   fix=f"leave {name} out, or use the engine hwsdk")
    return backend.simulate_on(engine, loaded, stimulus, probes)


def walk(program: Program | str | Path) -> Walk:
    """The simulator step by step, for a host that decides on the next input when it has seen the output: a language
    model that goes on from its own text, an agent in its world.

    Returns:
        ``step(inputs) -> outputs``, both name -> (n,), ``reset()``, and ``trace()`` for ``estimate``.

    Raises:
        UnsupportedError: NO_WALK, a target whose simulator only runs whole stimuli.
    """
    loaded = _program(program)
    return backends.get(loaded.target).walk(loaded)


def estimate(program: Program | str | Path, trace: Trace, *, proxy: str | None = None, boundary: str = "chip",
             target_options: Mapping[str, Any] | None = None) -> CostReport:
    """Energy and latency of a simulated run.

    Args:
        proxy: name of the target's documented stand-in prices.
        boundary: "chip", or "host" for the time and energy of the processors beside the neuro-cores too.
        target_options: what only this target knows, by name (docs of the target).

    Raises:
        TargetError: no such proxy or boundary. DataError: the trace holds no counts, or is not one of this program.
    """
    loaded = _program(program)
    return backends.get(loaded.target).estimate(loaded, trace, proxy, boundary, target_options or {})


def emit(program: Program | str | Path, form: str, *, data: Data | None = None) -> Emitted:
    """A program in the form of another tool; ``save(path)`` of the result writes it.

    Args:
        form: "lava" for Loihi programs; for SFQ netlists "verilog", "sdf", "josim", "ngspice", "graphml", "dot",
        "csv" or "vcd"; for crossbars "csv" or "npz", conductances for a test board.
        data: a stimulus for the forms that show a run; its first sample is used.

    Raises:
        UnsupportedError: UNKNOWN_FORM, or a part of the program that the tool does not have.
    """
    loaded = _program(program)
    backend = backends.get(loaded.target)
    if form not in backend.forms:
        known = ", ".join(map(repr, backend.forms))
        raise UnsupportedError(f"programs for {loaded.target} have no form {form!r}", code="UNKNOWN_FORM",
                               fix=f"use {known}" if known else "there is none for this target")
    return backend.emit(loaded, form, None if data is None else load_data(data, loaded))


def margins(program: Program | str | Path, data: Data, *, k: Sequence[float] | NDArray[np.float64] | None = None,
            groups: Sequence[str | tuple[str, str]] | None = None, what: str = "bias", expected: Trace | None = None,
            runs: int = 0, jitter: bool = False, spread: float = 0.0, threshold_spread: float = 0.0,
            unknown_sigma_fs: float = 0.0, over_spread: bool = False, seed: int = 0, threads: int = 1,
            say: Callable[[str], None] | None = None) -> MarginReport:
    """How far the bias currents of an SFQ netlist may be from nominal, and how many of many made chips would work.

    Args:
        k: factors on the bias. groups: populations, "clock" or "all", each a sweep of its own, and pairs for maps.
        what: "bias", or "soma" for the somas' currents alone. expected: what is right; default: the run at nominal
        bias. runs: of chips that differ by ``spread`` (relative standard deviation of their cells' delays) and
        ``threshold_spread`` (of their somas' critical currents), with thermal ``jitter``; unknown_sigma_fs: of cells
        whose jitter nobody knows. over_spread: the yield also at spreads from none to twice that. say: called with the
        name of every phase.

    Raises:
        UnsupportedError: NO_MARGINS, a program for another target. DataError: see ``simulate``.
    """
    from hwsdk.backends.sfq_margin_report import margins as report

    loaded = _program(program)
    return report(loaded, load_data(data, loaded), k=k, groups=groups, what=what, expected=expected, runs=runs,
                  jitter=jitter, spread=spread, threshold_spread=threshold_spread, unknown_sigma_fs=unknown_sigma_fs,
                  over_spread=over_spread, seed=seed, threads=threads, say=say)


def yields(program: Program | str | Path, data: Data, *, dies: int = 100, seed: int = 0,
           measure: str | Judge | None = None, least: float | None = None, expected: Trace | None = None,
           threads: int = 1, workers: str = "threads", resume: str | Path | None = None,
           progress: Progress | None = None) -> YieldReport:
    """How good a crossbar program is on many made dies, with bounds.

    Args:
        dies, seed: die k has the seed + k. measure: "accuracy", "agreement", "similarity", or one of your own; see
        hwsdk.backends.memristor_judges. least: a die is good from there on. expected: the run to compare with; default:
        the array without any stage. threads, workers: how many dies run beside each other, in "threads" or
        "processes". resume: a file that keeps the result of every die. progress: called with (dies done, dies in all).

    Raises:
        UnsupportedError: NO_YIELD, a program for another target. DataError: see hwsdk.backends.memristor_yield.yields.
    """
    from hwsdk.backends.memristor_yield import yields as report

    loaded = _program(program)
    return report(loaded, load_data(data, loaded), dies=dies, seed=seed, measure=measure, least=least,
                  expected=expected, threads=threads, workers=workers, resume=resume, say=progress)


def attribute(program: Program | str | Path, data: Data, *, bare: Program | str | Path | None = None,
              die: int | None = None, stages: Sequence[str] | None = None, measure: str | Judge | None = None,
              expected: Trace | None = None, say: Callable[[str], None] | None = None) -> Attribution:
    """What each stage of a crossbar, from levels to read noise, costs: alone, and after those before it.

    Args:
        bare: the same model compiled with the same options but without the stage "levels" (target option off=levels),
        which cannot be taken off a program. die: of which chip; default: the program's. stages: only these. measure:
        as in ``yields``. expected: a run of the model, whose score stands beside. say: called with each run's name.

    Raises:
        UnsupportedError: NO_ATTRIBUTION, a program for another target. DataError: see
        hwsdk.backends.memristor_attribution.attribute.
    """
    from hwsdk.backends.memristor_attribution import attribute as report

    loaded = _program(program)
    return report(loaded, load_data(data, loaded), bare=None if bare is None else _program(bare), die=die,
                  stages=stages, measure=measure, expected=expected, say=say)


def summary(program: Program) -> dict[str, Usage]:
    """Used and available, resource by resource."""
    return backends.get(program.target).summary(program)


def verify(model: Model, target: str, data: Data, *, bits: int = 8, per_channel: bool = False, chips: int = 1,
           packing: str = "layer", seed: int = 0, calibrate: bool = False, step_time: float | None = None,
           target_options: Mapping[str, Any] | None = None, progress: Progress | None = None,
           **semantics: Any) -> VerifyReport:
    """Float reference, integer reference and chip simulator against each other on the same data.

    Raises:
        whatever ``compile`` and ``simulate`` raise.
    """
    from hwsdk.backends.verify import verify_network

    network = load(model, **semantics)
    stimulus = load_data(data, network)
    options = CompileOptions(bits, per_channel, chips, packing, seed, stimulus if calibrate else None,
                             step_time=step_time, target_options=target_options or {})
    return verify_network(network, backends.get(target), stimulus, options, progress)


def _program(program: Program | str | Path) -> Program:
    return load_program(program) if isinstance(program, str | Path) else program
