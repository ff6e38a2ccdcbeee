"""Read a SentencePiece model: the file that `sentencepiece` trains, with its pieces and its normalization rules.

These fields of its protocol buffer are read; brackets give the value of an absent field.

| message | fields |
|---|---|
| ModelProto (the file) | 1 pieces, 2 trainer_spec, 3 normalizer_spec |
| SentencePiece | 1 text, 2 score, 3 type: 1 normal [so], 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte |
| TrainerSpec | 3 model type: 1 unigram [so], 2 BPE, 3 words, 4 characters |
| | 24 spaces at the end of words [0], 35 unknown characters as bytes [0], 48 text of the padding piece [<pad>] |
| NormalizerSpec | 1 name, 2 table, 3 put a space before each text [1], 4 merge spaces [1] |
| | 5 turn spaces into U+2581 [1] |

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
    from bort_convert.tokenizer.sources import TokenizerFile

NORMAL: Final = 1
UNKNOWN: Final = 2
CONTROL: Final = 3
USER_DEFINED: Final = 4
SPACE: Final = "\u2581"
# The normalization rules that come with sentencepiece.
NORMALIZERS: Final = ("identity", "nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf")
CASE_FOLDING: Final = "_cf"
_UNSUPPORTED_TYPES: Final = {5: "unused", 6: "a byte"}
# The first piece, up to the key of its score or its type.
_START: Final = re.compile(rb"\n[\x02-\x7f]\n(?P<length>[\x00-\x7d])", re.DOTALL)
_KEYS: Final = (b"\x15", b"\x18")


@dataclass(frozen=True)
class Piece:
    """A piece of a SentencePiece model.

    Attributes:
        text: its characters.
        score: logarithm of its probability.
        type: one of the numbers above.
    """

    text: str
    score: float
    type: int


@dataclass(frozen=True)
class SentencePieceModel:
    """A unigram model.

    Attributes:
        file: the file that was read.
        pieces: by id.
        padding: text of the padding piece, which is one only if a control piece has it.
        normalizer: name of the normalization rules, one of `NORMALIZERS`.
        table: the replacements of these rules; empty for "identity".
    """

    file: TokenizerFile
    pieces: tuple[Piece, ...]
    padding: str
    normalizer: str
    table: bytes


def is_model(file: TokenizerFile) -> bool:
    """True if a file begins as a SentencePiece model does, and as no list of words does."""
    start = _START.match(file.data)
    return start is not None and file.data[start.end() + start["length"][0] :][:1] in _KEYS


def read_model(file: TokenizerFile) -> SentencePieceModel:
    """Read a unigram model.

    Raises:
        FormatError: the model is damaged, of another type, or normalizes text in a way that tokenizer.json cannot hold.
    """
    model = parse(file, "model", file.data)
    trainer, normalizer = model.message(2, "trainer_spec"), model.message(3, "normalizer_spec")
    file.raise_for(list(_spec_problems(trainer, normalizer)))
    pieces = tuple(
        Piece(message.text(1), message.float32(2), message.integer(3, NORMAL)) for message in model.messages(1, "piece")
    )
    file.raise_for(list(_piece_problems(pieces)))
    table = normalizer.raw(2)
    _check_table(normalizer, table)
    return SentencePieceModel(file, pieces, trainer.text(48, "<pad>"), normalizer.text(1), table)


def _spec_problems(trainer: Message, normalizer: Message) -> Iterator[str]:
    """Find settings of the two specifications that tokenizer.json cannot hold."""
    for message, field, name, default, expected in (
        (trainer, 3, "model_type", 1, 1),
        (trainer, 24, "treat_whitespace_as_suffix", 0, 0),
        (trainer, 35, "byte_fallback", 0, 0),
        (normalizer, 3, "add_dummy_prefix", 1, 1),
        (normalizer, 4, "remove_extra_whitespaces", 1, 1),
        (normalizer, 5, "escape_whitespaces", 1, 1),
    ):
        if (value := message.integer(field, default)) != expected:
            unigram = " (a unigram model)" if name == "model_type" else ""
            yield f"{name} of {message.name} is {value:,}, expected {expected}{unigram}"
    if (name := normalizer.text(1)) not in NORMALIZERS:
        yield f"name of normalizer_spec is {printable(repr(name))}, expected one of {', '.join(NORMALIZERS)}"


def _piece_problems(pieces: tuple[Piece, ...]) -> Iterator[str]:
    unknown = sum(piece.type == UNKNOWN for piece in pieces)
    if unknown != 1:
        yield f"{unknown:,} of {len(pieces):,} pieces are the unknown one, expected 1"
    for number, piece in enumerate(pieces):
        named = f"piece {number:,}, {printable(repr(piece.text))},"
        if not piece.text:
            yield f"piece {number:,} is empty"
        elif piece.type not in {NORMAL, UNKNOWN, CONTROL, USER_DEFINED}:
            type_ = _UNSUPPORTED_TYPES.get(piece.type, f"of type {piece.type:,}")
            yield f"{named} is {type_}, expected a normal, unknown, control or user-defined one"
        elif not math.isfinite(piece.score):
            yield f"{named} has the score {piece.score}, expected a number"


def _check_table(normalizer: Message, table: bytes) -> None:
    """Check the parts of a normalizer's table: 4 bytes with the size of a trie, the trie, and UTF-8 texts."""
    if bool(table) == (normalizer.text(1) == "identity"):
        expected = "none" if table else "one"
        raise normalizer.error(f"a table of {len(table):,} bytes, expected {expected} for {normalizer.text(1)}")
    size = int.from_bytes(table[:4], "little")
    if table and (size % 4 or not 0 < size < len(table) - 4):
        raise normalizer.error(f"a trie of {size:,} bytes in a table of {len(table):,}. Damaged?")
    try:
        table[4 + size :].decode("utf-8")
    except UnicodeDecodeError as error:
        raise normalizer.error("the texts of the table are not UTF-8") from error
