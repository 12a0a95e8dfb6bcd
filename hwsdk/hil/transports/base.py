"""Transports move bytes between the host and a device; what they mean is the link's business."""

from __future__ import annotations

from typing import Protocol


class ByteTransport(Protocol):
    """A line to a device. It may lose and damage bytes; it never invents an order of its own."""

    def write(self, data: bytes) -> None:
        """Send bytes.

        Raises:
            LinkError: GONE, the line is closed at the other end.
        """

    def read_some(self, timeout: float) -> bytes:
        """What has come, at least a byte; b"" if nothing comes within ``timeout`` seconds.

        Raises:
            LinkError: GONE, the line is closed at the other end and nothing is left.
        """

    def close(self) -> None:
        """Close the line and end what it has started; may be called twice."""

    def reset_device(self) -> bool:
        """Restart the device from outside, if that can be done; returns whether it was."""

    def describe(self) -> str:
        """The line in words, for messages and reports."""

    @property
    def bytes_a_second(self) -> float | None:
        """Its speed, where it is known and matters for timeouts (a UART), else None."""
