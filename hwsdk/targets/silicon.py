"""The form of measured rows: what was measured on silicon, in which boundary, and what is known of the network."""

from __future__ import annotations

import sys
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from hwsdk.errors import TargetError

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the same parser under its old name
    import tomli as tomllib

Quantity = Literal["chip time", "latency", "step time", "core energy", "step energy", "core static power", "x86 energy",
                   "x86 clock power", "total energy", "total power"]
"""chip time: s in which the x86 processors are idle. latency: s an inference, host included. step time, step energy: of
one step on the chip. core energy: J, neuro-cores, dynamic. core static power: W of the cores in use. x86 energy, x86
clock power: of the management processors. total energy, total power: as published, with the boundary of ``note``.
"""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Measured(_Strict):
    """One measured number, or a published range (``high``). fitted: a constant of the model comes from it."""

    quantity: Quantity
    value: float
    high: float | None = None
    unit: Literal["s", "J", "W"]
    fitted: bool = False
    note: str = ""


class Row(_Strict):
    """One published measurement.

    build: "counts" for what cores, chips and steps alone decide, "none" where the network is not known (``reason``
    says what is missing), else the name of a builder in benchmarks/silicon_networks.py. neurons_per_core: limit under
    which the mapper makes about as many cores as reported. activity: what of it is known, what is assumed.
    """

    id: str
    title: str
    chip: Literal["loihi1", "loihi2"]
    source: str
    chips: int = 1
    cores: int | None = None
    steps: int | None = None
    x86: int = 1
    network: str
    build: str = "none"
    neurons_per_core: int | None = None
    packing: Literal["layer", "dense"] = "layer"
    activity: str = ""
    reason: str = ""
    modelled: bool = False
    measured: list[Measured]


class Rows(_Strict):
    """All rows of a chip family."""

    row: list[Row]


def load_rows(family: str = "loihi") -> tuple[Row, ...]:
    """The measured rows of a chip family, in the order of the file.

    Raises:
        TargetError: no such family, or a file that breaks the form.
    """
    file = resources.files("hwsdk.targets") / "measured" / f"{family}.toml"
    if not file.is_file():
        raise TargetError(f"no measured rows of {family!r}", code="UNKNOWN_TARGET", fix="use 'loihi'")
    try:
        return tuple(Rows.model_validate(tomllib.loads(file.read_text("utf-8"))).row)
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise TargetError(f"measured rows: {error}", where=f"{family}.toml", fix="mend the file") from None
