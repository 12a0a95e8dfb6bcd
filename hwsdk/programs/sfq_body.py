"""The manifest of a saved PulseNetlist, field by field: what of it is not what it should be is refused by name."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

NotNegative = Annotated[int, Field(ge=0)]
Numbers = list[float | None]


class _Strict(BaseModel):
    """No field more or less, and none of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class TypeBody(_Strict):
    """A CellType; see CellType.to_json."""

    name: str
    role: str
    inputs: list[str]
    outputs: list[str]
    states: list[str]
    next: list[list[int]]
    fires: list[list[int]]
    bias_k: list[float]
    delay_fs: list[int]
    critical_fs: list[list[list[int]]]
    absorb_fs: list[list[int]]
    energy_j: list[Numbers]
    sigma_fs: float | None
    jj: NotNegative
    bias_a: float | None
    area_m2: float | None
    soma: dict[str, float | list[float]] | None


class ScheduleBody(_Strict):
    """A Schedule."""

    frame_fs: Annotated[int, Field(ge=1)]
    start_fs: NotNegative
    init_fs: NotNegative
    input_offset_fs: NotNegative
    max_steps: Annotated[int, Field(ge=1)] | None


class Body(_Strict):
    """What PulseNetlist writes."""

    name: str
    model_digest: str
    inputs: list[Annotated[list[str | list[NotNegative]], Field(min_length=2, max_length=2)]]
    layers: list[Annotated[list[Any], Field(min_length=6, max_length=6)]]
    outputs: dict[str, list[str]]
    types: list[TypeBody]
    groups: list[str]
    parts: list[str]
    schedule: ScheduleBody
    wires: str
    timing: dict[str, int]
    losses: str


class LayerBody(_Strict):
    """A Layer."""

    name: str
    shape: list[NotNegative]
    style: str
    read_fs: int
    lag: NotNegative
    keeps: bool


def require_body(body: dict[str, Any]) -> None:
    """Check it.

    Raises:
        ValueError: what is wrong, and where.
    """
    found = Body.model_validate(body)
    for row in found.layers:
        LayerBody.model_validate(dict(zip(LayerBody.model_fields, row, strict=True)))
    for name, shape in found.inputs:
        if not isinstance(name, str) or isinstance(shape, str):
            raise ValueError(f"an input of name {name!r} and shape {shape!r}")
