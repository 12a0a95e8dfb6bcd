"""The public facade: load, compile, simulate, estimate, verify; the same for every target."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsdk import backends
from hwsdk.backends.base import CompileOptions, Program, Progress
from hwsdk.cost import CostReport
from hwsdk.errors import ProgramError
from hwsdk.ir import formats
from hwsdk.ir.data import Stimulus
from hwsdk.ir.mapping import Usage
from hwsdk.ir.network import Network
from hwsdk.ir.trace import Trace
from hwsdk.programs import container

if TYPE_CHECKING:
    from hwsdk.backends.verify import VerifyReport

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
    packing: str = "layer", seed: int = 0, say: Callable[[str], None] | None = None, **semantics: Any,
) -> Program:
    """A program for a chip.

    Args:
        model: anything that ``load`` takes. data: calibration data, anything that ``load_data`` takes.
        bits: weight bits. per_channel: one weight scale a channel. chips: how many are at hand. packing: "layer"
        gives every layer cores of its own where there is room, "dense" puts small layers together.
        seed: of the placement. say: called with the name of every phase. semantics: as in ``load``.

    Raises:
        ModelError, SemanticsError, DataError: see ``load`` and ``load_data``.
        UnsupportedError: the chip cannot run a part exactly. FitError: it does not fit; proposals are checked.
    """
    network = load(model, **semantics)
    stimulus = None if data is None else load_data(data, network)
    options = CompileOptions(bits, per_channel, chips, packing, seed, stimulus)
    return backends.get(target).compile(network, options, say or (lambda _: None))


def load_program(path: str | Path) -> Program:
    """A program from a .hwx file.

    Raises:
        ProgramError: damaged, of another schema, or for a chip whose description has changed since.
    """
    manifest, _ = container.read(path)
    backend = backends.get(manifest.target)
    if backend.target.digest() != manifest.target_digest:
        raise ProgramError(f"it was compiled for version {manifest.target_version} of {manifest.target}, whose "
                           f"description has changed since", where=str(path), code="TARGET_CHANGED",
                           fix="compile the model again")
    return backend.load(Path(path))


def simulate(program: Program | str | Path, data: Data, *, probes: Iterable[tuple[str, str]] | str = (),
             strict: bool = False, progress: Progress | None = None) -> Trace:
    """Run a program cycle by cycle on every sample.

    Args:
        probes: (population, "u" | "v") pairs, or "all". strict: a register overflow is an error.
        progress: called with (steps done, steps in all).

    Raises:
        DataError: the data do not suit the program. OverflowInStrictMode: only with ``strict``.
    """
    loaded = _program(program)
    stimulus = load_data(data, loaded)
    return backends.get(loaded.target).simulate(loaded, stimulus, probes=probes, strict=strict, progress=progress)


def estimate(program: Program | str | Path, trace: Trace, *, proxy: str | None = None) -> CostReport:
    """Energy and latency of a simulated run; ``proxy`` names the target's documented stand-in prices.

    Raises:
        TargetError: no such proxy. DataError: the trace holds no counts.
    """
    loaded = _program(program)
    return backends.get(loaded.target).estimate(loaded, trace, proxy)


def summary(program: Program) -> dict[str, Usage]:
    """Used and available, resource by resource."""
    return backends.get(program.target).summary(program)


def verify(model: Model, target: str, data: Data, *, bits: int = 8, per_channel: bool = False, chips: int = 1,
           packing: str = "layer", seed: int = 0, calibrate: bool = False, progress: Progress | None = None,
           **semantics: Any) -> VerifyReport:
    """Float reference, integer reference and chip simulator against each other on the same data.

    Raises:
        whatever ``compile`` and ``simulate`` raise.
    """
    from hwsdk.backends.verify import verify_network

    network = load(model, **semantics)
    stimulus = load_data(data, network)
    options = CompileOptions(bits, per_channel, chips, packing, seed, stimulus if calibrate else None)
    return verify_network(network, backends.get(target), stimulus, options, progress)


def _program(program: Program | str | Path) -> Program:
    return load_program(program) if isinstance(program, str | Path) else program
