"""Build SentencePiece models byte by byte: fields, messages, and a small model."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
SPECIAL = (
    ("[UNK]", 0.0, UNKNOWN),
    ("[PAD]", 0.0, CONTROL),
    ("[CLS]", 0.0, USER_DEFINED),
    ("[SEP]", 0.0, CONTROL),
    ("[MASK]", 0.0, CONTROL),
)
WORDS = (("▁", -2.0, NORMAL), ("▁The", -2.5, NORMAL), ("the", -3.25, NORMAL), ("s", -4.0, NORMAL))
NAME = b"\x0a\x08identity"


def varint(number: int) -> bytes:
    """A varint: 7 bits a byte."""
    start, rest = number & 0x7F, number >> 7
    return bytes([start | 0x80]) + varint(rest) if rest else bytes([start])


def integer(field: int, number: int) -> bytes:
    """A field with a number."""
    return varint(field * 8) + varint(number)


def block(field: int, data: bytes) -> bytes:
    """A field with text or a message."""
    return varint(field * 8 + 2) + varint(len(data)) + data


def piece(text: str, score: float, type_: int) -> bytes:
    """The field of a piece, as sentencepiece writes it: that of a normal piece has no type."""
    type_field = b"" if type_ == NORMAL else integer(3, type_)
    return block(1, block(1, text.encode()) + b"\x15" + struct.pack("<f", score) + type_field)


def model(
    pieces: Iterable[tuple[str, float, int]] = (*SPECIAL, *WORDS), trainer: bytes = b"", normalizer: bytes = NAME
) -> bytes:
    """A model of these pieces, with these fields in its two specifications."""
    return b"".join(piece(*each) for each in pieces) + block(2, trainer) + block(3, normalizer)
