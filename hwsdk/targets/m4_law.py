"""The form of a measured law: what a processing element's kernel takes on a Cortex-M4, instruction by instruction."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import resources

from pydantic import BaseModel, ConfigDict, ValidationError

from hwsdk.errors import TargetError

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the same parser under its old name
    import tomli as tomllib

LEVELS = ("low", "nominal", "high")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Image(_Strict):
    """What was executed: file name, SHA-256 of it and of its sources (build), compiler, and by what."""

    name: str
    sha256: str
    build: str
    compiler: str
    source: str


class Fit(_Strict):
    """steps: that were measured. residual_...: the largest difference between the law and any of them."""

    steps: int
    residual_instructions: float
    residual_cycles_low: float
    residual_cycles_nominal: float
    residual_cycles_high: float


class Term(_Strict):
    """What is paid ``per`` something: instructions, exactly, and cycles, bracketed."""

    name: str
    per: str
    instructions: float
    cycles_low: float
    cycles_nominal: float
    cycles_high: float

    def cycles(self, level: str) -> float:
        """level: one of LEVELS."""
        return float(getattr(self, f"cycles_{level}"))


class Update(_Strict):
    """An update whose price depends on its numbers: [least, mean, most]."""

    per: str
    order: str
    instructions: list[float]
    cycles_low: list[float]
    cycles_nominal: list[float]
    cycles_high: list[float]


class M4Law(_Strict):
    """All of a file."""

    image: Image
    law: Fit
    term: list[Term]
    egru_update: Update

    @property
    def terms(self) -> Mapping[str, Term]:
        """By name."""
        return {t.name: t for t in self.term}


def load_law(target: str = "spinnaker2") -> M4Law:
    """The law of a target's kernel.

    Raises:
        TargetError: none was measured, or the file breaks the form.
    """
    file = resources.files("hwsdk.targets") / "measured" / f"{target}_m4.toml"
    if not file.is_file():
        raise TargetError(f"no law was measured for {target!r}", code="UNKNOWN_TARGET", fix="use 'spinnaker2'")
    try:
        return M4Law.model_validate(tomllib.loads(file.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise TargetError(f"measured law: {error}", where=file.name, fix="measure it again: "
                          "python -m hwsdk.hil.instructions") from None
