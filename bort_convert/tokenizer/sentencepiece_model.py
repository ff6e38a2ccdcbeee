"""A SentencePiece model: the file that `sentencepiece` trains, with its pieces and how it reads text.

Of its protocol buffer these fields are read; what is not there has the value in brackets.

| of | fields |
|---|---|
| the file | 1 the pieces, 2 the trainer's, 3 the normalizer's |
| a piece | 1 its text, 2 its score, 3 its type: 1 normal [so], 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte |
| the trainer's | 3 the type of the model: 1 unigram [so], 2 BPE, 3 words, 4 letters |
| | 24 spaces behind words [0], 35 unknown letters as bytes [0], 48 the text of the padding piece [<pad>] |
| the normalizer's | 1 its name, 2 its table, 3 a space before each text [1], 4 many spaces are one [1] |
| | 5 a space is U+2581 [1] |

Source: google/sentencepiece v0.2.0, src/sentencepiece_model.proto
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bort_convert.errors import printable
from bort_convert.tokenizer.protobuf import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bort_convert.tokenizer.protobuf import Message
    from bort_convert.tokenizer.sources import Source

NORMAL: Final = 1
UNKNOWN: Final = 2
CONTROL: Final = 3
USER_DEFINED: Final = 4
SPACE: Final = "\u2581"
# The rules that sentencepiece comes with; those that end so fold capital letters.
NORMALIZERS: Final = ("identity", "nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf")
FOLDING: Final = "_cf"
_TYPES: Final = {5: "unused", 6: "a byte"}
# The first piece, and the key of its score or its type.
_START: Final = re.compile(rb"\n[\x02-\x7f]\n(?P<length>[\x00-\x7d])", re.DOTALL)
_KEYS: Final = (b"\x15", b"\x18")


@dataclass(frozen=True)
class Piece:
    """A piece: its text, its score, the logarithm of a probability, and its type."""

    text: str
    score: float
    type: int


@dataclass(frozen=True)
class Model:
    """A unigram model.

    Attributes:
        source: the file.
        pieces: by id.
        padding: the text of the padding piece, if a control piece has it.
        normalizer: the name of the rules, one of `NORMALIZERS`.
        table: what these rules replace; empty where they are none.
    """

    source: Source
    pieces: tuple[Piece, ...]
    padding: str
    normalizer: str
    table: bytes


def is_model(source: Source) -> bool:
    """Whether a file begins as a SentencePiece model does, which no text with words does."""
    start = _START.match(source.data)
    return start is not None and source.data[start.end() + start["length"][0] :][:1] in _KEYS


def read_model(source: Source) -> Model:
    """Read a unigram model.

    Raises:
        FormatError: it is damaged, or reads text in a way that cannot be written down for transformers.
    """
    whole = parse(source, "model", source.data)
    trainer, normalizer = whole.message(2, "trainer_spec"), whole.message(3, "normalizer_spec")
    source.refuse(list(_spec_problems(trainer, normalizer)))
    pieces = tuple(Piece(each.text(1), each.real(2), each.integer(3, NORMAL)) for each in whole.messages(1, "piece"))
    source.refuse(list(_piece_problems(pieces)))
    table = normalizer.raw(2)
    _check_table(normalizer, table)
    return Model(source, pieces, trainer.text(48, "<pad>"), normalizer.text(1), table)


def _spec_problems(trainer: Message, normalizer: Message) -> Iterator[str]:
    """What is expected of the two specifications, where it is not so."""
    for message, field, name, default, expected in (
        (trainer, 3, "model_type", 1, 1),
        (trainer, 24, "treat_whitespace_as_suffix", 0, 0),
        (trainer, 35, "byte_fallback", 0, 0),
        (normalizer, 3, "add_dummy_prefix", 1, 1),
        (normalizer, 4, "remove_extra_whitespaces", 1, 1),
        (normalizer, 5, "escape_whitespaces", 1, 1),
    ):
        if (found := message.integer(field, default)) != expected:
            kind = " (a unigram model)" if name == "model_type" else ""
            yield f"{name} of {message.name} is {found:,}, expected {expected}{kind}"
    if (name := normalizer.text(1)) not in NORMALIZERS:
        yield f"name of normalizer_spec is {printable(repr(name))}, expected one of {', '.join(NORMALIZERS)}"


def _piece_problems(pieces: tuple[Piece, ...]) -> Iterator[str]:
    unknown = sum(piece.type == UNKNOWN for piece in pieces)
    if unknown != 1:
        yield f"{unknown:,} of {len(pieces):,} pieces are the unknown one, expected 1"
    for number, piece in enumerate(pieces):
        shown = f"piece {number:,}, {printable(repr(piece.text))},"
        if not piece.text:
            yield f"piece {number:,} is empty"
        elif piece.type not in {NORMAL, UNKNOWN, CONTROL, USER_DEFINED}:
            kind = _TYPES.get(piece.type, f"of type {piece.type:,}")
            yield f"{shown} is {kind}, expected a normal, unknown, control or user-defined one"
        elif not math.isfinite(piece.score):
            yield f"{shown} has the score {piece.score}, expected a number"


def _check_table(normalizer: Message, table: bytes) -> None:
    """See that the table of a normalizer has its two parts: the size of the first in 4 bytes, a trie, and texts."""
    if bool(table) == (normalizer.text(1) == "identity"):
        raise normalizer.error(f"a table of {len(table):,} bytes, which {normalizer.text(1)} has not")
    size = int.from_bytes(table[:4], "little")
    if table and (size % 4 or not 0 < size < len(table) - 4):
        raise normalizer.error(f"a trie of {size:,} bytes in a table of {len(table):,}. Damaged?")
    try:
        table[4 + size :].decode("utf-8")
    except UnicodeDecodeError as error:
        raise normalizer.error("the texts of the table are not UTF-8") from error
