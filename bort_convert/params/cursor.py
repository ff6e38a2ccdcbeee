"""Bounded reading: a span of bytes, and a cursor that never leaves it.

A number from a file is compared with the bytes that are left before it is used. Every short read gives the same
message: what was being read, the bytes that it needs, at which byte, and how many bytes remain.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from bort_convert.errors import FormatError
from bort_convert.params.file import FileBytes

if TYPE_CHECKING:
    from collections.abc import Callable

    Data: TypeAlias = FileBytes | bytearray

WIDEST = 80  # characters of a file's own text in a message


def quoted(text: str | bytes) -> str:
    """Quote, escape and shorten text from a file for a message."""
    return clipped(repr(text[:WIDEST]))


def clipped(text: str) -> str:
    """Shorten text to `WIDEST` characters."""
    return text if len(text) <= WIDEST else text[: WIDEST - 3] + "..."


def amount(number: int) -> str:
    """Format a count for a message: the product of a file's own numbers can have hundreds of digits."""
    return f"{number:,}" if number < 2**64 else "more than 2**64"


def counted(number: int, noun: str) -> str:
    """Format a count with its noun, in the singular or plural."""
    return f"{amount(number)} {noun}{'' if number == 1 else 's'}"


def _no_checksum() -> None:
    """Guard bytes that carry no checksum: do nothing."""


@dataclass(frozen=True)
class Span:
    """A stretch of bytes: a whole file, or one member of an archive in its place.

    Attributes:
        data: an open file, or unpacked bytes.
        start: index in `data` of the first byte.
        stop: index in `data` behind the last byte.
        label: name of the span in messages, in which bytes count from `start`.
        guard: raises FormatError when a checksum over these bytes fails.
    """

    data: Data
    start: int
    stop: int
    label: str
    guard: Callable[[], None] = _no_checksum

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.stop - self.start

    def view(self, start: int, count: int) -> memoryview:
        """Give `count` bytes from byte `start` of the span, to make an array of.

        Raises:
            FormatError: the file has become shorter.
        """
        if isinstance(self.data, FileBytes):
            return self.data.view(self.start + start, count)
        return memoryview(self.data)[self.start + start :][:count]

    def checked(self) -> Span:
        """Run the guard, and return the span itself."""
        self.guard()
        return self

    def error(self, message: str) -> FormatError:
        """Make an error that begins with the label."""
        return FormatError(f"{self.label}: {message}")


class Cursor:
    """A position in a span that moves forwards and stops at the end of it."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self._at = span.start

    @property
    def byte(self) -> int:
        """The position, counted from the start of the span."""
        return self._at - self.span.start

    @property
    def left(self) -> int:
        """The number of bytes from here to the end of the span."""
        return self.span.stop - self._at

    def skip(self, count: int, subject: str) -> int:
        """Move over `count` bytes without reading them.

        Args:
            count: a number of bytes.
            subject: name of those bytes in the message of an error.

        Returns:
            The first of those bytes, counted from the start of the span.

        Raises:
            FormatError: fewer bytes are left.
        """
        if count > self.left:
            raise self.span.error(
                f"{subject} needs {counted(count, 'byte')} at byte {self.byte:,}, where {self.left:,} remain. "
                f"Truncated download?"
            )
        start = self.byte
        self._at += count
        return start

    def take(self, count: int, subject: str) -> bytes:
        """Read the next `count` bytes; raise FormatError when fewer are left."""
        start = self.span.start + self.skip(count, subject)
        return bytes(self.span.data[start : start + count])

    def numbers(self, codes: str, subject: str) -> tuple[int, ...]:
        """Read little-endian integers, one for each `struct` code; raise FormatError when too few bytes are left."""
        values: tuple[int, ...] = struct.unpack(f"<{codes}", self.take(struct.calcsize(f"<{codes}"), subject))
        return values

    def number(self, code: str, subject: str) -> int:
        """Read a little-endian integer; raise FormatError when too few bytes are left."""
        return self.numbers(code, subject)[0]
