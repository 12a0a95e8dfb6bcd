"""Targets: a chip is one description (TOML data with a source for every number), never a subclass.

Chips of one family share the form of their description; the family's name in the TOML says which form that is.
"""

from __future__ import annotations

import importlib
from importlib import resources
from pathlib import Path
from typing import overload

from hwsdk.errors import TargetError
from hwsdk.targets.description import Form, Target, fill, read_toml

FORMS = {
    "loihi": "hwsdk.targets.loihi:LoihiTarget",
    "memristor": "hwsdk.targets.memristor:MemristorTarget",
    "sfq": "hwsdk.targets.sfq:SfqTarget",
    "spinnaker": "hwsdk.targets.spinnaker:SpinnakerTarget",
}
"""Family -> the class of its form, loaded on first use."""


def names() -> tuple[str, ...]:
    """Names of the described chips, sorted."""
    folder = resources.files("hwsdk.targets") / "data"
    return tuple(sorted(f.name[: -len(".toml")] for f in folder.iterdir() if f.name.endswith(".toml")))


@overload
def load_target(name: str | Path) -> Target: ...
@overload
def load_target(name: str | Path, form: type[Form]) -> Form: ...
def load_target(name: str | Path, form: type[Target] = Target) -> Target:
    """A chip by name, or from the path of a TOML file of the same form.

    Args:
        form: the family that it has to be of, for example LoihiTarget; by default any.

    Raises:
        TargetError: unknown name, a description that breaks the form, or a chip of another family.
    """
    target = _load(name)
    if not isinstance(target, form):
        raise TargetError(f"it is of the family {target.family!r}, which this code does not serve", where=target.name,
                          code="WRONG_FAMILY", fix="use the backend of its family")
    return target


def _load(name: str | Path) -> Target:
    """Of any family."""
    path = Path(name)
    if path.suffix == ".toml":
        try:
            return parse_target(path.read_text("utf-8"), str(path))
        except OSError as error:
            raise TargetError(str(error), where=str(path), fix="check the path") from None
    if str(name) not in names():
        raise TargetError(f"no target {str(name)!r}", code="UNKNOWN_TARGET",
                          fix=f"use one of {', '.join(names())}, or the path of a .toml description")
    text = (resources.files("hwsdk.targets") / "data" / f"{name}.toml").read_text("utf-8")
    return parse_target(text, f"{name}.toml")


def parse_target(text: str, where: str) -> Target:
    """A description from TOML, in the form of its family.

    Raises:
        TargetError: not TOML, no family that is known, or fields missing, unknown or of the wrong type; all are named.
    """
    data = read_toml(text, where)
    family = data.get("family")
    if not isinstance(family, str) or family not in FORMS:
        what = "family: Field required" if family is None else f"family: {family!r} is not known"
        raise TargetError(what, where=where, fix=f"write family = one of {', '.join(map(repr, FORMS))}")
    return fill(_form(family), data, where)


def _form(family: str) -> type[Target]:
    """The class of a family's descriptions."""
    module, _, name = FORMS[family].partition(":")
    form: type[Target] = getattr(importlib.import_module(module), name)
    return form


__all__ = ["FORMS", "Target", "load_target", "names", "parse_target"]
