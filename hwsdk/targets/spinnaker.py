"""The form of a SpiNNaker-style chip: many small processors (PEs) round one router, which work in ticks of a timer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator

from hwsdk.errors import TargetError
from hwsdk.targets.description import Figure, Limit, Power, Price, Strict, Target, fields_of

Pair = Annotated[tuple[int, int], Field(strict=False)]
"""A place (x, y); TOML has lists only."""
LEVELS = ("low", "high")
"""Performance levels of a PE."""


class SpinnakerPrice(Price):
    """Energy of one event of the kind ``per``, a name of the simulator's counts.

    "macs_low", "macs_high" and "dram_words" are counted by no program of today, so that they are 0.
    """

    per: Literal["cycles_low", "cycles_high", "macs_low", "macs_high", "packets_sent", "hops", "chip_crossings",
                 "dram_words"]


class Level(Strict):
    """A performance level of the PEs, with what the whole chip takes when all its PEs do the same.

    volts in V, clock_hz in Hz. In W: chip_sleep: all PEs asleep at this supply; chip_running: all run CoreMark;
    chip_mac: all MAC arrays under full load. mac_operations: operations/s of the chip then; one MAC is two of them.
    """

    volts: Figure
    clock_hz: Figure
    chip_sleep: Figure
    chip_running: Figure
    chip_mac: Figure
    mac_operations: Figure


class Cycles(Strict):
    """Cycles of a PE's processor: T = tick + packet * packets in + event_... * synaptic events of that kind
    + neuron_... * neurons + spike_out * spikes + recorded * recorded values. neuron_stdp comes on top of a neuron's
    own for one whose post history is kept. All are calibrated or assumed, none is measured.
    """

    tick: Figure
    packet: Figure
    event_static: Figure
    event_conv: Figure
    event_plastic: Figure
    event_csr: Figure
    neuron_lif: Figure
    neuron_curr: Figure
    neuron_stdp: Figure
    neuron_egru: Figure
    spike_out: Figure
    recorded: Figure


class Calibration(Strict):
    """The published throughput that the cycle model is fitted to, and what of the fit is open.

    A PE at its high level has 1 / ticks s for ``neurons`` updates and ``packets`` of ``events`` synaptic events each.
    The same throughput comes out with packet_low cycles a packet, and with neuron_low or neuron_high cycles a neuron,
    if the cycles of an event make up for it.
    """

    ticks: Figure
    neurons: Figure
    packets: Figure
    events: Figure
    packet_low: Figure
    neuron_low: Figure
    neuron_high: Figure


class Noc(Strict):
    """The network on the chip. A packet goes from its PE to the router and from there to every PE that listens.

    hop_cycles at clock_hz for a hop; router_cycles at router_clock_hz through the router. qpes: (x, y) of the groups
    of four PEs, in the order of core numbers; router: the slots that the router takes.
    """

    hop_cycles: Figure
    clock_hz: Figure
    router_cycles: Figure
    router_clock_hz: Figure
    flit_bits: Limit
    packet_bits: Limit
    payload_bits: list[int]
    payload_source: str
    qpes: list[Pair]
    qpes_source: str
    router: list[Pair]
    router_source: str


class Board(Strict):
    """Chips of a board and their links.

    chips: (x, y) in the order in which they are used. links: name -> step to the neighbour, in the order of the
    routers' link numbers; there is none beyond the edge. link_s: s that a packet keeps a link busy. link_rate,
    host_rate: bit/s of a link to another chip, and of the host's.
    """

    chips: list[Pair]
    chips_source: str
    links: dict[str, Pair]
    links_source: str
    link_s: Figure
    link_rate: Figure
    host_rate: Figure


class SpinnakerTarget(Target):
    """A SpiNNaker-style chip, and the board that it comes on."""

    family: Literal["spinnaker"]
    energy: list[SpinnakerPrice]
    levels: dict[str, Level]
    cycles: Cycles
    calibration: Calibration
    noc: Noc
    board: Board

    @field_validator("levels")
    @classmethod
    def _both(cls, levels: dict[str, Level]) -> dict[str, Level]:
        """Both levels, and no other."""
        if sorted(levels) != sorted(LEVELS):
            raise ValueError(f"the levels are {', '.join(LEVELS)}")
        return levels

    @property
    def data_bytes(self) -> int:
        """Bytes of a PE's memory that a program's data can take: SRAM without code, heap and stack."""
        return self.need("sram") - self.need("code") - self.need("heap_stack")

    @property
    def off_w(self) -> float:
        """W of a chip whose PEs are all off."""
        return next(self._value(p, p.name) for p in self.power if p.boundary == "included")

    def clock_hz(self, level: str) -> float:
        """Hz of a PE at a level."""
        return self._value(self.levels[level].clock_hz, f"levels.{level}.clock_hz")

    def sleep_w(self, level: str) -> float:
        """W of one sleeping PE: (P_sleep - P_off) / PEs, from the published powers of the whole chip."""
        return (self._value(self.levels[level].chip_sleep, "chip_sleep") - self.off_w) / self.need("pes")

    def running_w(self, level: str) -> float:
        """W that a running PE takes on top of a sleeping one: (P_CoreMark - P_sleep) / PEs."""
        at = self.levels[level]
        return (self._value(at.chip_running, "chip_running") - self._value(at.chip_sleep, "chip_sleep")
                ) / self.need("pes")

    def cycle_j(self, level: str) -> float:
        """J of one active cycle on top of sleep: the W of a running PE over its clock."""
        return self.running_w(level) / self.clock_hz(level)

    def mac_j(self, level: str) -> float:
        """J of one 8-bit multiply-accumulate on top of sleep: (P_MAC - P_sleep) / (operations/s / 2)."""
        at = self.levels[level]
        more = self._value(at.chip_mac, "chip_mac") - self._value(at.chip_sleep, "chip_sleep")
        return more / (self._value(at.mac_operations, "mac_operations") / 2)

    def cycle_costs(self) -> dict[str, float]:
        """PE cycles by the names of Cycles."""
        return {n: self._value(f, f"cycles.{n}") for n, f in fields_of(self.cycles).items()}

    @property
    def hop_s(self) -> float:
        """Seconds of one hop on the chip's network."""
        return self._value(self.noc.hop_cycles, "noc.hop_cycles") / self._value(self.noc.clock_hz, "noc.clock_hz")

    @property
    def router_s(self) -> float:
        """Seconds through the router."""
        return (self._value(self.noc.router_cycles, "noc.router_cycles")
                / self._value(self.noc.router_clock_hz, "noc.router_clock_hz"))

    @property
    def link_s(self) -> float:
        """Seconds that a packet keeps a link to the next chip busy."""
        return self._value(self.board.link_s, "board.link_s")

    def place(self, core: int) -> tuple[int, int, int]:
        """(qx, qy, qp) of core 1 .. 4 x QPEs: core = 4 q + 1 + qp is PE qp of the q-th QPE of the list."""
        if not 1 <= core <= 4 * len(self.noc.qpes):
            raise TargetError(f"there is no core {core}", where=self.name, fix=f"use 1 to {4 * len(self.noc.qpes)}")
        q, qp = divmod(core - 1, 4)
        return (*self.noc.qpes[q], qp)

    def router_hops(self, core: int) -> int:
        """Hops between a core and the nearest slot of the router, x first and then y."""
        x, y, _ = self.place(core)
        return min(abs(x - a) + abs(y - b) for a, b in self.noc.router)

    def prices(self) -> tuple[Price, ...]:
        """Those of the description, and of cycles and MACs, which follow from the powers of the chip."""
        found: list[Price] = []
        for name in LEVELS:
            at, volts = self.levels[name], f"{self.levels[name].volts.value:g} V"
            found += [
                Price(name=f"active cycle at {volts}", per=f"cycles_{name}", value=self.cycle_j(name), unit="J",
                      source="derived: (chip with all PEs running CoreMark - all asleep) / PEs / clock; "
                      + at.chip_running.source),
                Price(name=f"8-bit MAC at {volts}", per=f"macs_{name}", value=self.mac_j(name), unit="J",
                      source="derived: (chip with all MAC arrays busy - all asleep) / MACs a second; "
                      + at.chip_mac.source)]
        return (*found, *self.energy)

    def powers(self) -> tuple[Power, ...]:
        """That of the chip without its PEs, and of a PE's supply at each level, which follow from it."""
        return (*self.power, *(self.supply(name) for name in LEVELS))

    def supply(self, level: str) -> Power:
        """What a PE takes at a level, asleep or not; work comes on top."""
        at = self.levels[level]
        return Power(name=f"PE at {at.volts.value:g} V", per="core", value=self.sleep_w(level), unit="W",
                     source=f"derived: (chip with all PEs asleep - all off) / PEs; {at.chip_sleep.source}")

    def times(self) -> dict[str, Figure]:
        """Cycles of a PE."""
        return fields_of(self.cycles)

    def figures(self) -> dict[str, Figure]:
        """Both levels, what the cycles are fitted to, and the networks on the chip and between chips."""
        parts = {**{f"{n} level": self.levels[n] for n in LEVELS}, "calibration": self.calibration, "noc": self.noc,
                 "board": self.board}
        return {f"{name}, {n}": f for name, part in parts.items() for n, f in fields_of(part).items()}

    def size_text(self) -> str:
        """PEs, chips, memory and neurons."""
        return (f"{self.need('application_pes')} application PEs a chip, up to {self.need('chips')} chips, "
                f"{self.data_bytes:,} bytes of data and {self.need('atoms_wide'):,} neurons a PE")

    def about(self) -> str:
        """Numbers, levels and ticks."""
        speeds = " or ".join(f"{self.clock_hz(n) / 1e6:g} MHz at {self.levels[n].volts.value:g} V" for n in LEVELS)
        return (f"neurons in 32-bit floats; weights up to 16 bits; synaptic delays up to {self.need('delay_slots')} "
                f"steps; PEs at {speeds}")

    def limits_title(self) -> str:
        """Of what the limits are."""
        return "limits (PEs and router entries a chip; chips a board; the rest a PE)"

    def _more_text(self) -> Iterator[str]:
        n, b = self.noc, self.board
        yield f"qpes {_places(n.qpes)} [{n.qpes_source}]"
        yield f"router {_places(n.router)} [{n.router_source}]"
        yield f"payload bits {' '.join(map(str, n.payload_bits))} [{n.payload_source}]"
        yield f"chips {_places(b.chips)} [{b.chips_source}]"
        yield f"links {' '.join(f'{k}({x},{y})' for k, (x, y) in b.links.items())} [{b.links_source}]"

    def _value(self, figure: Figure, name: str) -> float:
        """A figure that must be known."""
        if figure.value is None:
            raise TargetError(f"{name} has no value", where=self.name, fix="complete the description")
        return figure.value


def _places(pairs: list[tuple[int, int]]) -> str:
    return " ".join(f"({x},{y})" for x, y in pairs)
