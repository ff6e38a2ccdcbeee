"""Bounded reading: a span of bytes, and a cursor that never leaves it.

A number from a file is compared with the bytes that are left before anything is done with it, and every short read
gives the same sentence: what was being read, how many bytes it needs, at which byte, and how many are left.
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


def shown(text: str | bytes) -> str:
    """Text from a file as a message may show it: quoted, escaped and short."""
    return clipped(repr(text[: WIDEST + 1]))


def clipped(text: str) -> str:
    """Text cut to the width that a message has for it."""
    return text if len(text) <= WIDEST else text[: WIDEST - 3] + "..."


def amount(number: int) -> str:
    """A count as a message may show it: the product of a file's own numbers can have hundreds of digits."""
    return f"{number:,}" if number < 2**64 else "more than 2**64"


def counted(number: int, noun: str) -> str:
    """A count with its noun in the right number."""
    return f"{amount(number)} {noun}{'' if number == 1 else 's'}"


def _unguarded() -> None:
    """The guard of bytes that carry no checksum."""


@dataclass(frozen=True)
class Span:
    """A stretch of bytes: a whole file, or one member of an archive where it stands.

    Attributes:
        data: an open file, or unpacked bytes.
        start: index in `data` of the first byte.
        stop: index behind the last byte.
        label: how messages name it; bytes in messages count from `start`.
        guard: raises FormatError when a checksum over these bytes fails.
    """

    data: Data
    start: int
    stop: int
    label: str
    guard: Callable[[], None] = _unguarded

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.stop - self.start

    def view(self, start: int, count: int) -> memoryview:
        """`count` bytes from byte `start` of the span, for an array to stand on; FormatError where there are none."""
        if isinstance(self.data, FileBytes):
            return self.data.view(self.start + start, count)
        return memoryview(self.data)[self.start + start :][:count]

    def checked(self) -> Span:
        """The span itself, once its guard let it pass."""
        self.guard()
        return self

    def error(self, message: str) -> FormatError:
        """An error that begins with the label."""
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

    def skip(self, count: int, what: str) -> int:
        """Moves over `count` bytes without reading them.

        Returns:
            The byte that they start at, counted from the start of the span.

        Raises:
            FormatError: fewer bytes are left.
        """
        if count > self.left:
            raise self.span.error(
                f"{what} needs {counted(count, 'byte')} at byte {self.byte:,}, where {self.left:,} remain. "
                f"Truncated download?"
            )
        start = self.byte
        self._at += count
        return start

    def take(self, count: int, what: str) -> bytes:
        """The next `count` bytes; FormatError when fewer are left."""
        start = self.span.start + self.skip(count, what)
        return bytes(self.span.data[start : start + count])

    def numbers(self, codes: str, what: str) -> tuple[int, ...]:
        """The next little-endian integers, one for each `struct` code; FormatError when too few bytes are left."""
        values: tuple[int, ...] = struct.unpack(f"<{codes}", self.take(struct.calcsize(f"<{codes}"), what))
        return values

    def number(self, code: str, what: str) -> int:
        """The next little-endian integer; FormatError when too few bytes are left."""
        return self.numbers(code, what)[0]
