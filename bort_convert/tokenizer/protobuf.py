"""The wire format of protocol buffers, read strictly and within limits: what a message holds, by field.

A message is a row of fields. Each has a key, a varint: its number times 8, plus how its value is written.

| written as | the value |
|---|---|
| 0 | a varint: 7 bits a byte, the lowest first, the eighth bit set in all bytes but the last, 10 bytes at most |
| 1 | 8 bytes |
| 2 | a varint, and as many bytes: text, or a message |
| 5 | 4 bytes, of a float little-endian |

A field that stands there twice is refused unless it may: readers would have to agree on which of the two holds.

Source: protobuf.dev, programming-guides/encoding
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from bort_convert.errors import FormatError, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bort_convert.tokenizer.sources import Source

VARINT: Final = 0
EIGHT: Final = 1
BYTES: Final = 2
FOUR: Final = 5
# The largest vocabularies have a quarter of a million pieces; a field takes 2 bytes in the file and far more here.
MOST_FIELDS: Final = 1 << 20
_LONGEST_VARINT: Final = 10
_SIZES: Final = {EIGHT: 8, FOUR: 4}
_NAMES: Final = {VARINT: "a number", EIGHT: "8 bytes", BYTES: "text or a message", FOUR: "4 bytes"}


class Value(NamedTuple):
    """The value of a field.

    Attributes:
        written: how.
        number: of a varint.
        data: of anything else.
    """

    written: int
    number: int = 0
    data: bytes = b""


@dataclass(frozen=True)
class Message:
    """A message.

    Attributes:
        source: the file that it stands in.
        name: for errors.
        fields: the values of each field that stands there.
    """

    source: Source
    name: str
    fields: Mapping[int, Sequence[Value]]

    def error(self, what: str) -> FormatError:
        """An error that says where."""
        return FormatError(f"{self.source.path}: {self.name}: {what}")

    def integer(self, field: int, default: int = 0) -> int:
        """An integer, an enumeration or a truth value."""
        return self._one(field, Value(VARINT, default)).number

    def real(self, field: int) -> float:
        """A float of 4 bytes; 0 where it does not stand there."""
        (number,) = struct.unpack("<f", self._one(field, Value(FOUR, data=bytes(4))).data)
        return float(number)

    def raw(self, field: int, default: bytes = b"") -> bytes:
        """Bytes."""
        return self._one(field, Value(BYTES, data=default)).data

    def text(self, field: int, default: str = "") -> str:
        """Text."""
        data = self.raw(field, default.encode())
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.error(f"field {field} is {printable(repr(data[:40]))}, expected UTF-8 text") from error

    def message(self, field: int, name: str) -> Message:
        """A message within it; an empty one where it does not stand there."""
        return parse(self.source, name, self.raw(field))

    def messages(self, field: int, name: str) -> list[Message]:
        """All messages of a field that may stand there many times; `name` and their number are for errors."""
        values = [self._checked(field, value, BYTES) for value in self.fields.get(field, ())]
        return [parse(self.source, f"{name} {number:,}", value.data) for number, value in enumerate(values)]

    def _one(self, field: int, default: Value) -> Value:
        values = self.fields.get(field, (default,))
        if len(values) > 1:
            raise self.error(f"field {field} stands there {len(values):,} times, expected once")
        return self._checked(field, values[0], default.written)

    def _checked(self, field: int, value: Value, expected: int) -> Value:
        if value.written != expected:
            raise self.error(f"field {field} is {_NAMES[value.written]}, expected {_NAMES[expected]}")
        return value


def parse(source: Source, name: str, data: bytes) -> Message:
    """Read a message.

    Args:
        source: the file, for errors.
        name: of the message, for errors.
        data: its bytes.

    Raises:
        FormatError: they are no message, or one of too many fields.
    """
    fields: dict[int, list[Value]] = {}
    message, place, count = Message(source, name, fields), 0, 0
    while place < len(data):
        key, after = _varint(message, data, place)
        field, written = divmod(key, 8)
        if not field or written not in _NAMES:
            raise message.error(f"byte {place:,} begins a field {field} written as {written}, which no message has")
        number, after = _varint(message, data, after) if written in {VARINT, BYTES} else (_SIZES[written], after)
        if written == VARINT:
            place, value = after, Value(written, number)
        else:
            place = after + number
            if place > len(data):
                left = len(data) - after
                raise message.error(
                    f"field {field} has {number:,} bytes, and {left:,} are left. Truncated, or damaged?"
                )
            value = Value(written, data=data[after:place])
        count += 1
        if count > MOST_FIELDS:
            raise message.error(f"more than {MOST_FIELDS:,} fields")
        fields.setdefault(field, []).append(value)
    return message


def _varint(message: Message, data: bytes, place: int) -> tuple[int, int]:
    """The number at a place, and the place behind it."""
    number = 0
    for index, byte in enumerate(data[place : place + _LONGEST_VARINT]):
        number |= (byte & 0x7F) << 7 * index
        if byte <= 0x7F:  # noqa: PLR2004 - without the eighth bit
            return number, place + index + 1
    raise message.error(f"the number at byte {place:,} has no end. Truncated, or damaged?")
