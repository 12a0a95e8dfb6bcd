"""Targets: a chip is one description (TOML data with a source for every number), never a subclass."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from hwsdk.errors import TargetError
from hwsdk.targets.description import Target, parse_target


def names() -> tuple[str, ...]:
    """Names of the described chips, sorted."""
    folder = resources.files("hwsdk.targets") / "data"
    return tuple(sorted(f.name[: -len(".toml")] for f in folder.iterdir() if f.name.endswith(".toml")))


def load_target(name: str | Path) -> Target:
    """A chip by name, or from the path of a TOML file of the same form.

    Raises:
        TargetError: unknown name, or a description that breaks the form.
    """
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


__all__ = ["Target", "load_target", "names"]
