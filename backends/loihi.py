"""The Loihi backends: loihi1 and loihi2 are one class and two descriptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from hwsdk.backends import loihi_fit as fit
from hwsdk.backends.base import CompileOptions, Program, Progress
from hwsdk.backends.verify import drift_text
from hwsdk.cost import CostReport, Term, report, require_counts
from hwsdk.errors import FitError, HwsdkError, InternalError, TargetError, UnsupportedError, Violation
from hwsdk.ir.data import Stimulus
from hwsdk.ir.mapping import Usage
from hwsdk.ir.network import Network
from hwsdk.ir.trace import Trace
from hwsdk.mappers import loihi as mapper
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.quantize import Quantize
from hwsdk.programs.loihi import LoihiProgram
from hwsdk.simulators import loihi as simulator
from hwsdk.simulators import reference
from hwsdk.targets import Target, load_target


class LoihiBackend:
    """Lower, quantise, map, simulate and price for a Loihi-style chip."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.target = load_target(name)

    def discrete(self, network: Network, options: CompileOptions) -> tuple[Network, Network, str]:
        """(lowered, integer, losses); an integer network is taken as it is."""
        if network.is_integer:
            return network, network, "integer network, nothing to quantise\n"
        lowered = Lower()(network)
        calibration = _calibrate(lowered, options.data)
        whole, losses = Quantize(bits=options.bits, per_channel=options.per_channel, calibration=calibration)(lowered)
        text = losses.to_text()
        if options.data is not None and calibration is not None:
            text += drift_text(lowered, calibration, reference.run(whole, options.data))
        return lowered, whole, text

    def compile(self, network: Network, options: CompileOptions, say: Callable[[str], None]) -> LoihiProgram:
        """A program that fits.

        Raises:
            FitError: with every broken limit and the changes that were tried and make it fit.
            UnsupportedError: a part that the chip cannot do exactly.
        """
        if options.packing not in mapper.PACKINGS:
            raise UnsupportedError(f"packing {options.packing!r}", code="BAD_PACKING",
                                   fix=f"use one of {', '.join(mapper.PACKINGS)}")
        if not 1 <= options.chips <= (self.target.mesh.max_chips.value or 1):
            raise UnsupportedError(f"{options.chips} chips; {self.name} boards have 1 to "
                                   f"{self.target.mesh.max_chips.value}", code="BAD_CHIPS", fix="choose in that range")
        mapper.refuse_too_many_neurons(network, self.target, options.chips)
        fit.refuse_too_many_synapses(network, self.target, options)
        say("lower and quantise")
        _, whole, losses = self.discrete(network, options)
        try:
            program = self._map(whole, options, network.digest(), losses, say)
        except FitError as error:
            raise self._unfit(error, network, whole, options) from None
        broken = self.legality(program)
        if broken:
            raise InternalError(f"the mapper made an illegal program: {'; '.join(map(str, broken))}")
        return program

    def _map(self, whole: Network, options: CompileOptions, digest: str, losses: str,
             say: Callable[[str], None]) -> LoihiProgram:
        """Partition, place and emit."""
        chosen = mapper.MapOptions(options.chips, options.packing, options.seed)
        return mapper.map_network(whole, self.target, chosen, model_digest=digest, losses=losses, progress=say)

    def _unfit(self, error: FitError, network: Network, whole: Network, options: CompileOptions) -> FitError:
        """The mapper's refusal with the changes that were tried and make it fit."""
        def fits(changed: CompileOptions) -> bool:
            """Try it."""
            same = (changed.bits, changed.per_channel) == (options.bits, options.per_channel)
            try:
                tried = whole if same else self.discrete(network, replace(changed, data=None))[1]
                return not self.legality(self._map(tried, changed, "", "", lambda _: None))
            except HwsdkError:
                return False

        found, hint = fit.proposals(error, whole, self.target, options, fits)
        return FitError(error.what.splitlines()[0], violations=error.violations, where=error.where, proposals=found,
                        hint=hint)

    def load(self, path: Path) -> LoihiProgram:
        """Read a .hwx file; see LoihiProgram.load."""
        return LoihiProgram.load(path)

    def simulate(self, program: Program, stimulus: Stimulus, *, probes: Iterable[tuple[str, str]] | str = (),
                 strict: bool = False, progress: Progress | None = None) -> Trace:
        """Run a program; see hwsdk.simulators.loihi.run."""
        return simulator.run(_own(program), stimulus, probes=probes, strict=strict, progress=progress)

    def estimate(self, program: Program, trace: Trace, proxy: str | None = None) -> CostReport:
        """Energy and latency of a simulated run.

        Raises:
            TargetError: a proxy that this target does not document. DataError: the trace holds no counted events.
        """
        own = _own(program)
        require_counts(trace)
        return report(self.target, trace, self._terms(own, trace), chips=own.chips, cores=own.n_cores,
                      proxy=self._proxy(proxy))

    def _proxy(self, name: str | None) -> Target | None:
        """The target whose prices stand in, or None."""
        if name is None:
            return None
        known = self.target.proxy
        if known is None or known.name != name:
            raise TargetError(f"{self.name} documents no proxy {name!r}", code="NO_PROXY",
                              fix="leave it out" if known is None else f"use {known.name!r}")
        return load_target(known.target)

    def _terms(self, program: LoihiProgram, trace: Trace) -> list[Term]:
        """What may set the length of a step."""
        t, counts = self.target.timing, trace.counts
        shape = counts["spikes"].shape
        fullest = int(np.diff(program.arrays.neuron_ptr).max(initial=0))
        across = t.message.scope == "inter-chip"
        borders = 2 * (self.target.mesh.height.value or 1) * max(program.chips - 1, 1)
        links = counts["chip_crossings"] / borders if across else counts["peak_link"]  # the busiest carries the mean
        terms = [
            Term("synaptic operations", counts["peak_core_synops"].astype(np.float64), t.synaptic_operation),
            Term("neuron updates", np.full(shape, float(fullest)), t.neuron_update),
            Term("inter-chip link" if across else "busiest link", links.astype(np.float64), t.message),
            Term("barrier", np.ones(shape), t.barrier),
        ]
        if program.chips > 1:
            terms.append(Term("multi-chip barrier", np.ones(shape), t.multi_chip_barrier))
        return terms

    def summary(self, program: Program) -> dict[str, Usage]:
        """Cores, and of each per-core resource the fullest core."""
        return mapper.summary(_own(program), self.target)

    def legality(self, program: Program) -> tuple[Violation, ...]:
        """Every limit that the program breaks."""
        return mapper.legality(_own(program), self.target)


def _own(program: Program) -> LoihiProgram:
    """A program of this kind."""
    if not isinstance(program, LoihiProgram):
        raise InternalError(f"a {type(program).__name__} reached the Loihi backend")
    return program


def _calibrate(lowered: Network, data: Stimulus | None) -> Trace | None:
    """A float run with all states recorded."""
    if data is None:
        return None
    return reference.run(lowered, data, probes="all")
