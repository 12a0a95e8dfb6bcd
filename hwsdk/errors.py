"""Every error that hwsdk raises. A message names what is wrong, where, by which rule, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass


class HwsdkError(Exception):
    """The user's input cannot be used. ``code`` is stable and meant for programs; the text is meant for people.

    Args:
        what: one sentence saying what is wrong, with the need and the limit where there are any.
        where: the file, node, core or sample that it is about.
        fix: what to do next.
        code: a stable upper-case reason code.
    """

    default_code = "ERROR"

    def __init__(self, what: str, *, where: str = "", fix: str = "", code: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        self.code = code or self.default_code
        super().__init__(self.render())

    def render(self) -> str:
        """The message as people read it: ``[CODE] where: what. Fix: ...``."""
        place = f"{self.where}: " if self.where else ""
        remedy = f"\n  fix: {self.fix}" if self.fix else ""
        return f"[{self.code}] {place}{self.what}{remedy}"


class ModelError(HwsdkError):
    """A model file or graph cannot be read, or says something impossible."""

    default_code = "BAD_MODEL"


class SemanticsError(ModelError):
    """The model does not say enough to have one meaning, and the rules forbid a guess."""

    default_code = "SEMANTICS_UNSETTLED"


class DataError(HwsdkError):
    """Input data cannot be read or does not suit the model."""

    default_code = "BAD_DATA"


class TargetError(HwsdkError):
    """An unknown target or a bad target description."""

    default_code = "BAD_TARGET"


class ProgramError(HwsdkError):
    """A .hwx file is damaged, of another version, or for another tool."""

    default_code = "BAD_PROGRAM"


class UnsupportedError(HwsdkError):
    """The target cannot run this part of the model exactly, and hwsdk does not approximate in silence."""

    default_code = "UNSUPPORTED"


class OverflowInStrictMode(HwsdkError):
    """A chip register overflowed while the simulator ran with ``strict=True``."""

    default_code = "OVERFLOW"


class TimingViolation(HwsdkError):
    """A pulse came too soon after another one while the simulator ran with ``strict=True`` or ``policy="raise"``."""

    default_code = "TIMING_VIOLATION"


class ToleranceError(HwsdkError):
    """A solver did not reach the accuracy that was asked for; there is no result."""

    default_code = "TOLERANCE_MISSED"


class MissingDependencyError(HwsdkError):
    """An optional tool is not installed."""

    default_code = "NOT_INSTALLED"


class ExternalToolError(HwsdkError):
    """A tool outside hwsdk, such as Lava, did not end in time or ended with an error."""

    default_code = "CRASHED"


class LinkError(HwsdkError):
    """The line to a device failed, or the device did; there is no result. ``log``: what the device has said last."""

    default_code = "LINK"

    def __init__(self, what: str, *, where: str = "", fix: str = "", code: str = "", log: tuple[str, ...] = ()) -> None:
        self.log = log
        super().__init__(what, where=where, fix=fix, code=code)


class NoReply(LinkError):
    """The device did not answer in time."""

    default_code = "NO_REPLY"


class DeviceReset(LinkError):
    """The device has started again, or another host has taken it over; what it knew is gone."""

    default_code = "DEVICE_RESET"


class RemoteError(LinkError):
    """The device refuses an operation: its name, the status, and the value and limit that it gives."""

    default_code = "REMOTE"

    def __init__(self, what: str, *, op: str, status: int, value: int = 0, limit: int = 0, where: str = "",
                 fix: str = "", code: str = "", log: tuple[str, ...] = ()) -> None:
        self.op, self.status, self.value, self.limit = op, status, value, limit
        super().__init__(what, where=where, fix=fix, code=code, log=log)


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: ``need`` against ``limit`` (in ``unit``), at ``where``."""

    rule: str
    where: str
    need: float
    limit: float
    unit: str = ""

    def __str__(self) -> str:
        need, limit = (f"{x:,.0f}" if x == int(x) else f"{x:g}" for x in (self.need, self.limit))
        return f"{self.where}: needs {need}{' ' if self.unit else ''}{self.unit}, limit {limit} [{self.rule}]"


class FitError(HwsdkError):
    """The model does not fit the target. Carries every violation and the proposals that were tried and work.

    ``hint`` says what else would help; it is shown where there is no proposal.
    """

    default_code = "DOES_NOT_FIT"

    def __init__(
        self, what: str, *, violations: tuple[Violation, ...], proposals: tuple[str, ...] = (), where: str = "",
        hint: str = "",
    ) -> None:
        self.violations, self.proposals = violations, proposals
        shown = "".join(f"\n  - {v}" for v in violations[:12])
        more = f"\n  - and {len(violations) - 12} more" if len(violations) > 12 else ""
        fix = "; or ".join(proposals) or hint or "make it smaller"
        super().__init__(what + shown + more, where=where, fix=fix)


class InternalError(Exception):
    """A bug in hwsdk itself: two parts that must agree do not. Please report it with the message."""
