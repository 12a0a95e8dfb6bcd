"""SpiNNaker 2 by py-spinnaker2 over Ethernet: a program that its network objects can express, run on its own firmware.

Needs py-spinnaker2 (gitlab.com/spinnaker2) and its chip code, which is given on request. The calls are those of its
public examples: ``snn.Population``, ``snn.Projection``, ``snn.Network.add``, ``hardware.SpiNNaker2Chip(eth_ip=...)``,
``hardware.SpiNNcloud48NodeBoard(stm_ip=...)``, ``run(network, steps, sys_tick_in_s=...)``, ``get_spikes``,
``get_voltages``. It has not been run on a chip.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import Any

import numpy as np

from hwsdk.backends.base import Program
from hwsdk.errors import DataError, ExternalToolError, MissingDependencyError, UnsupportedError
from hwsdk.hil.device import Capabilities, Health, Probes
from hwsdk.hil.vendors.common import JobDevice, parts_of
from hwsdk.hil.vendors.spinnaker2_network import Description, describe
from hwsdk.ir.data import Events, Stimulus, events_from_arrays, events_from_dense
from hwsdk.ir.trace import Trace
from hwsdk.programs.spinnaker import SpinnakerProgram

ADDRESS = "192.168.1.52"
"""Of a test board, in the examples of py-spinnaker2 and NIR."""
HOW = ("install py-spinnaker2 from gitlab.com/spinnaker2 (it is not on PyPI) and ask its makers for the chip code "
       "s2-sim2lab-app")
READ_OUT = "v"


class Spinnaker2Device(JobDevice):
    """``spinnaker2:192.168.1.52``; options: board=48 for a 48-chip board (the address is then that of its controller),
    inexact=1 to run what is not known to be exact.

    Raises:
        MissingDependencyError: NO_PY_SPINNAKER2.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        place, options = parts_of(url, ("board", "inexact"))
        if options.get("board", "1") not in ("1", "48"):
            raise UnsupportedError(f"board={options['board']}", where=url, code="BAD_OPTION", fix="write 1 or 48")
        self._address, self._board = place or ADDRESS, options.get("board", "1")
        self._inexact = options.get("inexact", "0") not in ("", "0")
        try:
            self._snn = importlib.import_module("spinnaker2.snn")
            self._hardware = importlib.import_module("spinnaker2.hardware")
        except ImportError as error:
            raise MissingDependencyError(f"py-spinnaker2 cannot be imported: {error}", where=url,
                                         code="NO_PY_SPINNAKER2", fix=HOW) from None
        self._program: SpinnakerProgram | None = None
        self._network: Description | None = None

    def capabilities(self) -> Capabilities:
        """A chip at an address; nothing is sent there."""
        doubts = () if self._network is None else self._network.doubts
        return Capabilities(f"SpiNNaker 2 at {self._address}", ("spinnaker",), "SpiNNaker 2", "Cortex-M4F",
                            f"py-spinnaker2 {version()}", notes=(
                                "py-spinnaker2's own neurons: the order of their float operations is not published, so "
                                "that the last bits of v can differ", *doubts))

    def health(self) -> Health:
        """There is no call that asks a chip how it is."""
        return Health(True, "py-spinnaker2 is installed; a chip is first reached when a program runs", self.counters())

    def _take(self, program: Program) -> None:
        """Refuse what py-spinnaker2 cannot express."""
        if not isinstance(program, SpinnakerProgram):
            raise UnsupportedError(f"a program for {program.target}", where=self.url, code="WRONG_KIND",
                                   fix="compile the model for spinnaker2")
        found = describe(program)
        if found.doubts and not self._inexact:
            raise UnsupportedError("it is not known to be exact:\n  - " + "\n  - ".join(found.doubts), where=self.url,
                                   code="NOT_EXACT", fix=f"add {'&' if '?' in self.url else '?'}inexact=1 to the URL, "
                                   "and expect differences")
        self._program, self._network = program, found

    def _job(self, stimulus: Stimulus, probes: Probes) -> Trace:
        """Every sample with new objects: py-spinnaker2's hardware object serves one run."""
        program, network = self._program, self._network
        assert program is not None and network is not None  # noqa: S101  run asks
        stimulus.require(program.input_shapes, whole=True, graded=False, chip=program.target)
        wanted = self._probed(network, probes)
        steps = stimulus.n_steps + max((s.lag for s in program.populations), default=0)
        rows = [self._sample(network, stimulus.one(k), steps, program.tick_s, wanted)
                for k in range(stimulus.n_samples)]
        return _trace(program, network, rows, steps, wanted)

    def _probed(self, network: Description, probes: Probes) -> set[str]:
        """Populations whose v is recorded beside those that are read out."""
        firing = {layer.name for layer in network.layers}
        if isinstance(probes, str):
            return firing if probes == "all" else set()
        for name, state in probes:
            if name not in firing or state != READ_OUT:
                raise DataError(f"no state {state!r} of {name!r}", code="NO_SUCH_STATE",
                                fix=f"py-spinnaker2 records v, of {', '.join(sorted(firing))}")
        return {name for name, _ in probes}

    def _sample(self, network: Description, stimulus: Stimulus, steps: int, tick: float, wanted: set[str],
                ) -> dict[str, tuple[Any, Any]]:
        """Population -> (spikes, voltages) as py-spinnaker2 gives them, None where not recorded."""
        snn, made = self._snn, {}
        net = snn.Network("hwsdk")
        for name, n in network.inputs.items():
            made[name] = snn.Population(size=n, neuron_model="spike_list", params=_spike_list(stimulus.inputs[name]),
                                        name=name)
        for layer in network.layers:
            record = ["spikes"] * layer.fires + ["v"] * (layer.name in wanted or not layer.fires)
            made[layer.name] = snn.Population(size=layer.size, neuron_model=layer.model,
                                              params={k: _plain(v) for k, v in layer.parameters.items()},
                                              name=layer.name, record=record)
        joined = [snn.Projection(pre=made[w.pre], post=made[w.post], connections=w.connections.tolist())
                  for w in network.wirings]
        net.add(*made.values(), *joined)
        self._run(net, steps, tick)
        return {x.name: (made[x.name].get_spikes() if x.fires else None,
                         made[x.name].get_voltages() if x.name in wanted or not x.fires else None)
                for x in network.layers}

    def _run(self, net: Any, steps: int, tick: float) -> None:
        """On a new hardware object."""
        try:
            chip = (self._hardware.SpiNNcloud48NodeBoard(stm_ip=self._address) if self._board == "48" else
                    self._hardware.SpiNNaker2Chip(eth_ip=self._address))
            chip.run(net, steps, sys_tick_in_s=tick)
        except Exception as error:  # whatever its experiment runner, its router and the sockets raise
            raise ExternalToolError(f"py-spinnaker2 stopped with {type(error).__name__}: {error}", where=self.url,
                                    code="CRASHED", fix="see whether the board answers (ping), and whether one of its "
                                    "own examples runs") from error


def version() -> str:
    """Of py-spinnaker2, as far as it says."""
    for name in ("py-spinnaker2", "spinnaker2"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "of unknown version"


def _plain(value: Any) -> Any:
    """Lists as arrays, as py-spinnaker2's NIR import passes them."""
    return np.array(value) if isinstance(value, list) else value


def _spike_list(events: Events) -> dict[int, list[int]]:
    """Element -> steps of its spikes."""
    found: dict[int, list[int]] = {k: [] for k in range(events.n)}
    for step, index in zip(events.step.tolist(), events.index.tolist(), strict=True):
        found[index].append(step)
    return found


def _trace(program: SpinnakerProgram, network: Description, rows: list[dict[str, tuple[Any, Any]]], steps: int,
           wanted: set[str]) -> Trace:
    """All samples: the spikes, and v of what is read out or probed."""
    spikes, states = {}, {}
    lag = {s.name: s.lag for s in program.populations}
    shape = {s.name: s.shape for s in program.populations}
    for layer in network.layers:
        if layer.fires:
            cells = [(k, t, i) for k, row in enumerate(rows) for i, times in row[layer.name][0].items()
                     for t in times if t < steps]
            columns = np.array(cells, np.int64).reshape(-1, 3).T
            spikes[layer.name] = events_from_arrays(shape[layer.name], *columns, n_samples=len(rows), n_steps=steps)
        if layer.name in wanted or not layer.fires:
            values = np.zeros((len(rows), steps, layer.size), np.float32)
            for k, row in enumerate(rows):
                for i, v in row[layer.name][1].items():
                    values[k, : len(v), i] = v[:steps]
            states[layer.name, READ_OUT] = values
            if not layer.fires:
                spikes[layer.name] = events_from_dense(values.reshape(len(rows), steps, *shape[layer.name]),
                                                       shape[layer.name], layer.name)
    for name, sources in program.outputs.items():
        if len(sources) == 1:
            spikes[name], lag[name] = spikes[sources[0]], lag[sources[0]]
    return Trace(len(rows), steps, spikes, states, {}, lag)
