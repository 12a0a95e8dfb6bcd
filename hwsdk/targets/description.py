"""The form of a chip description, the part that every family of chips has: limits, prices and powers with sources."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from hwsdk.errors import TargetError
from hwsdk.quantity import Quantity

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the same parser under its old name
    import tomli as tomllib


class Strict(BaseModel):
    """A part of a description: no field but these, each of its very type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Limit(Strict):
    """A capacity; ``value`` None where none is published."""

    value: int | None = None
    unit: str
    source: str


class Figure(Strict):
    """A price, power, time or rate; ``value`` None where none is published.

    measured: on silicon. calibrated: a constant of a model, which nobody measured by itself; ``source`` says what it is
    fitted to, or that it is assumed.
    """

    value: float | None = None
    unit: str
    source: str
    measured: bool = False
    calibrated: bool = False
    low: float | None = None
    high: float | None = None
    scope: Literal["", "inter-chip"] = ""

    def quantity(self) -> Quantity | None:
        """The published number, or None."""
        if self.value is None:
            return None
        return Quantity(self.value, self.unit, self.source, self.measured, self.low, self.high)


class Price(Figure):
    """Energy of one event of the kind ``per``, a name of the simulator's counts."""

    name: str
    per: str


class Power(Figure):
    """Power that is drawn whether or not anything happens.

    boundary: "included" in the sum; "cores in use": another reading of the included one, for the used cores alone;
    "omitted": told, not added.
    """

    name: str
    per: Literal["chip", "core"]
    boundary: Literal["included", "cores in use", "omitted"] = "included"


class Host(Figure):
    """What the processors beside the neuro-cores add. Counted only if the estimate's boundary is "host".

    In s: once an "inference", every "step", or for every "input value" that is offered to the chip (elements x steps).
    In W: x86 power, the "whole" time or only while "active" (in the times above).
    """

    name: str
    per: Literal["inference", "step", "input value", "whole", "active"]


class Boundary(Strict):
    """What energy and latency contain, and with the boundary "host" what comes in and what is then left out."""

    included: list[str]
    omitted: list[str]
    host: list[str] = []
    omitted_with_host: list[str] = []


class Proxy(Strict):
    """A documented stand-in for unpublished prices; used only when asked for."""

    name: str
    target: str
    text: str


class Target(Strict):
    """A chip: what every family describes. family: a key of hwsdk.targets.FORMS, which says what else there is."""

    family: str
    name: str
    version: str
    title: str
    limits: dict[str, Limit]
    energy: Sequence[Price]
    power: list[Power]
    host: list[Host] = []
    boundary: Boundary
    proxy: Proxy | None = None

    def limit(self, name: str) -> int | None:
        """A per-core or per-chip capacity, None where none is published."""
        return self.limits[name].value

    def need(self, name: str) -> int:
        """A capacity that must be known.

        Raises:
            TargetError: the description leaves it open.
        """
        value = self.limit(name)
        if value is None:
            raise TargetError(f"the limit {name!r} has no value", where=self.name, fix="complete the description")
        return value

    def digest(self) -> str:
        """SHA-256 of the description, as hex."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def prices(self) -> tuple[Price, ...]:
        """Energy of every counted event, those that follow from other published figures too."""
        return tuple(self.energy)

    def powers(self) -> tuple[Power, ...]:
        """All powers, those that follow from other published figures too."""
        return tuple(self.power)

    def times(self) -> Mapping[str, Figure]:
        """The constants of the model of a step's time, by name."""
        return {}

    def figures(self) -> Mapping[str, Figure]:
        """Other published figures by name, from which prices, powers and times follow."""
        return {}

    def size_text(self) -> str:
        """How large a chip is, in a few words."""
        return ""

    def about(self) -> str:
        """What neurons and synapses can be, in one line."""
        return ""

    def limits_title(self) -> str:
        """Of what the limits are."""
        return "limits"

    def to_text(self) -> str:
        """Limits, prices, powers and timings with their sources, one a line."""
        lines = [f"target {self.name} version {self.version}: {self.title}"]
        lines += [f"limit {n} = {_number(f.value)} {f.unit} [{f.source}]" for n, f in self.limits.items()]
        lines += [_line("energy", f"{p.name} per {p.per}", p) for p in self.prices()]
        lines += [_line("power", f"{p.name} per {p.per}", p) for p in self.powers()]
        lines += [_line("figure", n, f) for n, f in self.figures().items()]
        lines += [_line("time", n, f) for n, f in self.times().items()]
        lines += [_line("host", f"{h.name} per {h.per}", h) for h in self.host]
        return "\n".join([*lines, *self._more_text()]) + "\n"

    def _more_text(self) -> Iterator[str]:
        """Lines that only this family has."""
        return iter(())


def _line(kind: str, name: str, figure: Figure) -> str:
    """A figure with its source; a calibrated one says so."""
    how = "calibrated; " if figure.calibrated else ""
    return f"{kind} {name} = {_number(figure.value)} {figure.unit} [{how}{figure.source}]"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:g}"


def fields_of(part: BaseModel) -> dict[str, Figure]:
    """The figures of a section by the names of its fields."""
    return {n: f for n in type(part).model_fields if isinstance(f := getattr(part, n), Figure)}


def read_toml(text: str, where: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises:
        TargetError: it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TargetError(f"not TOML: {error}", where=where, fix="mend the file") from None


Form = TypeVar("Form", bound=Target)


def fill(form: type[Form], data: Mapping[str, Any], where: str) -> Form:
    """A description of one family from its tables.

    Raises:
        TargetError: fields missing, unknown or of the wrong type; every one is named.
    """
    try:
        return form.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:8])
        raise TargetError(problems, where=where, fix="compare with the descriptions that come with hwsdk") from None
