"""The manifest of a saved CrossbarProgram, field by field: what of it is not what it should be is refused by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1, le=1 << 30)]
NotNegative = Annotated[int, Field(ge=0, le=1 << 30)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=1e18)]
Amount = Annotated[float, Field(ge=0, le=1e18)]
"""Of volts, ohms, siemens and seconds; squares of more leave the range of numbers."""
Share = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=1, le=1 << 20)]
"""Rows or columns of a macro."""
Bits = Annotated[int, Field(ge=1, le=24)]
Pair = Annotated[list[str | list[NotNegative]], Field(min_length=2, max_length=2)]


class _Strict(BaseModel):
    """No field more or less, and none of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class LawBody(_Strict):
    """A Law."""

    family: str
    constants: dict[str, Finite | list[Finite]]


class CellBody(_Strict):
    """A Cell."""

    g_min: Amount
    g_max: Positive
    g_off: Amount | None
    ceiling: Amount | None
    levels: Annotated[int, Field(ge=2, le=1 << 24)] | None


class FormingBody(_Strict):
    """A Forming."""

    formed: Share
    median: Positive
    sigma: Amount


class DeviceBody(_Strict):
    """A Device."""

    write: LawBody
    read: LawBody
    drift: LawBody
    forming: FormingBody | None
    stuck_on: Share
    stuck_off: Share


class WiresBody(_Strict):
    """Wires."""

    topology: Literal["driven", "gated"]
    word: Amount
    bit: Amount
    driver: Amount
    sense: Amount
    conducting: Literal["selected", "all"]


class ConverterBody(_Strict):
    """A Converter."""

    bits: Bits | None
    offset: Amount
    gain: Amount


class TimingBody(_Strict):
    """A Timing."""

    settle: Amount
    integrate: Amount
    convert: Amount
    overlap: bool


class PhysicsBody(_Strict):
    """A Physics."""

    rows: Side
    columns: Side
    mux: Side
    volts: Positive
    cell: CellBody
    device: DeviceBody
    wires: WiresBody
    adc: ConverterBody
    timing: TimingBody
    dac_bits: Bits | None
    stages: list[Literal["levels", "write", "faults", "drift", "wires", "adc", "read"]]
    seconds: Amount
    die: Annotated[int, Field(ge=0)]


class PopulationBody(_Strict):
    """A Population without its arrays."""

    name: str
    lag: NotNegative
    reset: Literal["value", "subtract"]
    comparison: Literal[">", ">="]
    fires: bool


class BlockBody(_Strict):
    """A Block without its arrays."""

    name: str
    target: str
    macro: NotNegative
    kind: Literal["written", "native"]
    segments: list[Annotated[list[str | int], Field(min_length=3, max_length=3)]]
    code_min: Annotated[int, Field(ge=-(1 << 24), le=0)]
    code_max: Annotated[int, Field(ge=0, le=1 << 24)]


class ReadoutBody(_Strict):
    """A Readout without its arrays."""

    population: str
    windows: Count
    how: str


class Body(_Strict):
    """What CrossbarProgram writes."""

    name: str
    model_digest: str
    macros: NotNegative
    chips: Count
    inputs: list[Pair]
    physics: PhysicsBody
    outputs: dict[str, list[str]]
    populations: list[PopulationBody]
    blocks: list[BlockBody]
    readout: ReadoutBody | None
    losses: str


class SegmentBody(_Strict):
    """A Segment. No delay line is longer than a million steps."""

    source: str
    delay_ticks: Annotated[int, Field(ge=0, le=1 << 20)]
    rows: Count


def require_body(body: dict[str, Any]) -> None:
    """Check it.

    Raises:
        ValueError: what is wrong, and where.
    """
    found = Body.model_validate(body)
    for block in found.blocks:
        for row in block.segments:
            SegmentBody.model_validate(dict(zip(SegmentBody.model_fields, row, strict=True)))
    for name, shape in found.inputs:
        if not isinstance(name, str) or isinstance(shape, str):
            raise ValueError(f"an input of name {name!r} and shape {shape!r}")
    p = found.physics
    if p.cell.g_min >= p.cell.g_max or p.device.stuck_on + p.device.stuck_off > 1:
        raise ValueError(f"a window of {p.cell.g_min} to {p.cell.g_max} S, or more stuck cells than there are")
    if len(set(p.stages)) < len(p.stages):
        raise ValueError(f"stages {', '.join(p.stages)}")
    if p.wires.topology == "gated" and p.dac_bits != 1:
        raise ValueError(f"rows that switch transistors, with inputs of {p.dac_bits} bits at once")
