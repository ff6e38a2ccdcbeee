"""Read a SentencePiece model: the file that `sentencepiece` trains, with its pieces and its normalization rules.

These fields of its protocol buffer are read; brackets give the value of an absent field.

| message | fields |
|---|---|
| ModelProto (the file) | 1 pieces, 2 trainer_spec, 3 normalizer_spec, 5 denormalizer_spec |
| SentencePiece | 1 text, 2 score, 3 type: 1 normal [so], 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte |
| TrainerSpec | 3 model type: 1 unigram [so], 2 BPE, 3 words, 4 characters |
| | 24 spaces at the end of words [0], 35 unknown characters as bytes [0], 44 text of what is unknown [ ⁇ ] |
| | texts of pieces: 46 beginning of a text [<s>], 47 its end [</s>], 48 padding [<pad>] |
| NormalizerSpec (3 and 5) | 1 name, 2 table, 3 put a space before each text [1], 4 merge spaces [1] |
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
BYTE: Final = 6
UNIGRAM, BPE = 1, 2
SPACE: Final = "\u2581"
# The normalization rules that come with sentencepiece.
NORMALIZERS: Final = ("identity", "nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf")
CASE_FOLDING: Final = "_cf"
_OTHER_TYPES: Final = {5: "unused", BYTE: "a byte"}
_BYTES: Final = frozenset(f"<0x{byte:02X}>" for byte in range(256))
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
    """A SentencePiece model.

    Attributes:
        file: the file that was read.
        pieces: by id.
        padding: text of the padding piece, which is one only if a control piece has it.
        normalizer: name of the normalization rules, such as "nmt_nfkc".
        table: the replacements of these rules; empty for "identity".
        type: UNIGRAM or BPE.
        bos: text of the piece that begins a text, if a control piece has it.
        eos: text of the piece that ends a text, if a control piece has it.
        byte_fallback: True if unknown characters become their bytes.
        dummy_prefix: True if a space is put before each text.
        merges_spaces: True if spaces around a text are dropped, and spaces in a row are one.
        unknown_text: what sentencepiece writes for an unknown piece.
    """

    file: TokenizerFile
    pieces: tuple[Piece, ...]
    padding: str
    normalizer: str
    table: bytes
    type: int = UNIGRAM
    bos: str = "<s>"
    eos: str = "</s>"
    byte_fallback: bool = False
    dummy_prefix: bool = True
    merges_spaces: bool = True
    unknown_text: str = " \u2047 "

    @property
    def digests(self) -> dict[str, str]:
        """Name -> SHA-256 of the file."""
        return {self.file.path.name: self.file.sha256}

    @property
    def unknown(self) -> str:
        """Text of the unknown piece."""
        return next(piece.text for piece in self.pieces if piece.type == UNKNOWN)

    def has_control(self, text: str) -> bool:
        """True if a control piece has this text."""
        return any(piece.text == text and piece.type == CONTROL for piece in self.pieces)


def is_model(file: TokenizerFile) -> bool:
    """True if a file begins as a SentencePiece model does, and as no list of words does."""
    start = _START.match(file.data)
    return start is not None and file.data[start.end() + start["length"][0] :][:1] in _KEYS


def read_model(file: TokenizerFile, *, of_words: bool = False) -> SentencePieceModel:
    """Read a unigram or BPE model.

    Args:
        file: the file.
        of_words: True where the model gets a word at a time: then it must be a unigram model with sentencepiece's own
            rules and settings.

    Raises:
        FormatError: the model is damaged, of another type, or normalizes text in a way that tokenizer.json cannot hold.
    """
    model = parse(file, "model", file.data)
    trainer, normalizer = model.message(2, "trainer_spec"), model.message(3, "normalizer_spec")
    file.raise_for(list(_spec_problems(trainer, normalizer, of_words=of_words)))
    if model.message(5, "denormalizer_spec").raw(2):
        raise model.error("denormalizer_spec has rules, expected none: tokenizer.json has no place for them")
    pieces = tuple(
        Piece(message.text(1), message.float32(2), message.integer(3, NORMAL)) for message in model.messages(1, "piece")
    )
    byte_fallback = bool(trainer.integer(35))
    file.raise_for(list(_piece_problems(pieces, byte_fallback=byte_fallback)))
    table = normalizer.raw(2)
    _check_table(normalizer, table)
    return SentencePieceModel(
        file,
        pieces,
        trainer.text(48, "<pad>"),
        normalizer.text(1),
        table,
        type=trainer.integer(3, UNIGRAM),
        bos=trainer.text(46, "<s>"),
        eos=trainer.text(47, "</s>"),
        byte_fallback=byte_fallback,
        dummy_prefix=bool(normalizer.integer(3, 1)),
        merges_spaces=bool(normalizer.integer(4, 1)),
        unknown_text=trainer.text(44, " \u2047 "),
    )


def _spec_problems(trainer: Message, normalizer: Message, *, of_words: bool) -> Iterator[str]:
    """Find settings of the two specifications that tokenizer.json cannot hold."""
    either = () if of_words else (0, 1)
    for message, field, name, default, allowed in (
        (trainer, 3, "model_type", UNIGRAM, () if of_words else (UNIGRAM, BPE)),
        (trainer, 24, "treat_whitespace_as_suffix", 0, ()),
        (trainer, 35, "byte_fallback", 0, either),
        (normalizer, 3, "add_dummy_prefix", 1, either),
        (normalizer, 4, "remove_extra_whitespaces", 1, either),
        (normalizer, 5, "escape_whitespaces", 1, ()),
    ):
        expected = allowed or (default,)
        if (value := message.integer(field, default)) not in expected:
            named = {(UNIGRAM,): " (a unigram model)", (UNIGRAM, BPE): " (a unigram or a BPE model)"}
            types = named[expected] if name == "model_type" else ""
            yield f"{name} of {message.name} is {value:,}, expected {' or '.join(map(str, expected))}{types}"
    if of_words and (name := normalizer.text(1)) not in NORMALIZERS:
        yield f"name of normalizer_spec is {printable(repr(name))}, expected one of {', '.join(NORMALIZERS)}"


def _piece_problems(pieces: tuple[Piece, ...], *, byte_fallback: bool) -> Iterator[str]:
    unknown = sum(piece.type == UNKNOWN for piece in pieces)
    if unknown != 1:
        yield f"{unknown:,} of {len(pieces):,} pieces are the unknown one, expected 1"
    types = {NORMAL, UNKNOWN, CONTROL, USER_DEFINED} | ({BYTE} if byte_fallback else set())
    for number, piece in enumerate(pieces):
        named = f"piece {number:,}, {printable(repr(piece.text))},"
        if not piece.text:
            yield f"piece {number:,} is empty"
        elif piece.type not in types:
            type_ = _OTHER_TYPES.get(piece.type, f"of type {piece.type:,}")
            yield f"{named} is {type_}, expected a normal, unknown, control or user-defined one"
        elif not math.isfinite(piece.score):
            yield f"{named} has the score {piece.score}, expected a number"
    found = {piece.text for piece in pieces if piece.type == BYTE}
    if byte_fallback and found != _BYTES:
        yield f"{len(found & _BYTES):,} of the 256 bytes have a piece, from <0x00> to <0xFF>; expected all, no other"


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
