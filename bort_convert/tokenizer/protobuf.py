"""Parse the wire format of protocol buffers, strictly and within limits.

A message is a sequence of fields. Each begins with a key, a varint: the field's number times 8, plus its wire type.

| wire type | value |
|---|---|
| 0 | a varint: 7 bits a byte, lowest first, the eighth bit set in all bytes but the last; at most 10 bytes |
| 1 | 8 bytes |
| 2 | a varint, and as many bytes: text, or a message |
| 5 | 4 bytes, little-endian if they are a float |

A repeated field is refused where one is expected: readers would have to agree which of the values counts.

Source: protobuf.dev, programming-guides/encoding
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from bort_convert.errors import FormatError, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bort_convert.tokenizer.sources import TokenizerFile

VARINT: Final = 0
EIGHT: Final = 1
BYTES: Final = 2
FOUR: Final = 5
# The largest vocabularies have a quarter of a million pieces; a field takes 2 bytes in the file and far more in memory.
MAX_FIELDS: Final = 1 << 20
_MAX_VARINT_BYTES: Final = 10
_SIZES: Final = {EIGHT: 8, FOUR: 4}
_NAMES: Final = {VARINT: "a number", EIGHT: "8 bytes", BYTES: "text or a message", FOUR: "4 bytes"}


class Value(NamedTuple):
    """Value of a field.

    Attributes:
        wire_type: one of VARINT, EIGHT, BYTES and FOUR.
        number: value of a varint.
        data: bytes of any other value.
    """

    wire_type: int
    number: int = 0
    data: bytes = b""


@dataclass(frozen=True)
class Message:
    """A parsed message.

    Attributes:
        file: the file that holds it, for errors.
        name: its name, for errors.
        fields: number of each field that occurs -> its values.
    """

    file: TokenizerFile
    name: str
    fields: Mapping[int, Sequence[Value]]

    def error(self, problem: str) -> FormatError:
        """Make an error that names the file and the message."""
        return FormatError(f"{self.file.path}: {self.name}: {problem}")

    def integer(self, field: int, default: int = 0) -> int:
        """Read an integer, an enumeration or a truth value."""
        return self._single(field, Value(VARINT, default)).number

    def float32(self, field: int) -> float:
        """Read a float of 4 bytes; an absent one is 0."""
        (number,) = struct.unpack("<f", self._single(field, Value(FOUR, data=bytes(4))).data)
        return float(number)

    def raw(self, field: int, default: bytes = b"") -> bytes:
        """Read bytes."""
        return self._single(field, Value(BYTES, data=default)).data

    def text(self, field: int, default: str = "") -> str:
        """Read UTF-8 text."""
        data = self.raw(field, default.encode())
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.error(f"field {field} is {printable(repr(data[:40]))}, expected UTF-8 text") from error

    def message(self, field: int, name: str) -> Message:
        """Parse a nested message; an absent one is empty."""
        return parse(self.file, name, self.raw(field))

    def messages(self, field: int, name: str) -> list[Message]:
        """Parse all messages of a repeated field; errors call each by `name` and its number."""
        values = [self._checked(field, value, BYTES) for value in self.fields.get(field, ())]
        return [parse(self.file, f"{name} {number:,}", value.data) for number, value in enumerate(values)]

    def _single(self, field: int, default: Value) -> Value:
        values = self.fields.get(field, (default,))
        if len(values) > 1:
            raise self.error(f"field {field} occurs {len(values):,} times, expected once")
        return self._checked(field, values[0], default.wire_type)

    def _checked(self, field: int, value: Value, wire_type: int) -> Value:
        if value.wire_type != wire_type:
            raise self.error(f"field {field} is {_NAMES[value.wire_type]}, expected {_NAMES[wire_type]}")
        return value


def parse(file: TokenizerFile, name: str, data: bytes) -> Message:
    """Parse a message.

    Args:
        file: the file, for errors.
        name: name of the message, for errors.
        data: bytes of the message.

    Raises:
        FormatError: the bytes are no message, or one of too many fields.
    """
    fields: dict[int, list[Value]] = {}
    message, position, count = Message(file, name, fields), 0, 0
    while position < len(data):
        key, after = _varint(message, data, position)
        field, wire_type = divmod(key, 8)
        if not field or wire_type not in _NAMES:
            raise message.error(
                f"byte {position:,} begins a field {field} of wire type {wire_type}, which no message has"
            )
        number, after = _varint(message, data, after) if wire_type in {VARINT, BYTES} else (_SIZES[wire_type], after)
        if wire_type == VARINT:
            position, value = after, Value(wire_type, number)
        else:
            position = after + number
            if position > len(data):
                left = len(data) - after
                raise message.error(
                    f"field {field} has {number:,} bytes, and {left:,} are left. Truncated, or damaged?"
                )
            value = Value(wire_type, data=data[after:position])
        count += 1
        if count > MAX_FIELDS:
            raise message.error(f"more than {MAX_FIELDS:,} fields")
        fields.setdefault(field, []).append(value)
    return message


def _varint(message: Message, data: bytes, position: int) -> tuple[int, int]:
    """Read a varint; return its number, and the position behind it."""
    if position < len(data) and data[position] <= 0x7F:  # noqa: PLR2004 - of one byte, as nearly all are
        return data[position], position + 1
    number = 0
    for index, byte in enumerate(data[position : position + _MAX_VARINT_BYTES]):
        number |= (byte & 0x7F) << 7 * index
        if byte <= 0x7F:  # noqa: PLR2004 - without the eighth bit
            return number, position + index + 1
    raise message.error(f"the number at byte {position:,} has no end. Truncated, or damaged?")
