"""A BERT's SentencePiece model, KoBERT's say: `BERTSPTokenizer` and `BERTVocab.from_sentencepiece`.

GluonNLP cuts a text into words and punctuation as it does for a WordPiece, and has sentencepiece read each of them as a
text of its own. The tokenizers library knows no reading between its cutting and its pieces, so here the cutting is done
by normalizers: spaces around punctuation, and each space a U+2581, which begins a word.

Source: gluonnlp 0.8.3, data/transforms.py and vocab/bert.py; google/sentencepiece v0.2.0, src/unigram_model.cc and
normalizer.cc; huggingface/tokenizers v0.21.0, tokenizers/src/models/unigram and normalizers
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import VariantError, printable
from bort_convert.tokenizer.bert_vocabulary import ROLES, Pieces, casing
from bort_convert.tokenizer.kind import Tokenizer
from bort_convert.tokenizer.sentencepiece_model import CONTROL, FOLDING, NORMAL, SPACE, UNKNOWN, read_model
from bort_convert.tokenizer.tokenizer_json import around, pipeline, settings, words
from bort_convert.tokenizer.vocabulary import vocabulary_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bort_convert.tokenizer.kind import ModelLimits
    from bort_convert.tokenizer.sentencepiece_model import Model
    from bort_convert.tokenizer.sources import Source
    from bort_convert.tokenizer.vocabulary import Vocabulary

ASCII: Final = r"!-/:-@\[-`{-~"
# Between a mark and what is no space. Never at the beginning: tokenizers 0.23.3 panics on what is put there.
AROUND_MARKS: Final = rf"(?<=\S)(?=[{ASCII}\p{{P}}])|(?<=[{ASCII}\p{{P}}])(?=\S)"
# Spaces in a row, and each U+2581 at the end of a word: to sentencepiece that is a space as well.
SPACES: Final = rf"(?: |(?<!{SPACE}){SPACE}++(?= |$))+"
_MARK: Final = re.compile(f"[{ASCII}]")


def make(source: Source, room: ModelLimits, *, asked: bool | None) -> Tokenizer:
    """A tokenizer of a model's pieces, with BERT's special tokens around a text.

    Args:
        source: the model's file.
        room: what the target model takes.
        asked: whether the user said that text is lower-cased.

    Raises:
        FormatError: the file cannot be read, does not fit, or reads text in a way that cannot be written down.
        VariantError: it cannot be told whether text is lower-cased.
    """
    model = read_model(source)
    vocabulary = _vocabulary(model)
    vocabulary.check_size(room.size)
    source.refuse(list(_met(model)))
    if asked is None and model.normalizer.endswith(FOLDING):
        raise VariantError(
            f"{source.path}: the model itself folds capital letters ({model.normalizer}), so whether accents are "
            "stripped before cannot be told. Pass --lower-case or --cased"
        )
    lower, note = casing(Pieces(vocabulary, (source,)), asked=asked, prefix=SPACE)
    files = {
        "tokenizer.json": _pipeline(model, vocabulary, room, lower=lower),
        **settings(vocabulary, room, lower=lower),
    }
    return Tokenizer(files, {source.path.name: source.sha256}, (note,))


def _vocabulary(model: Model) -> Vocabulary:
    """The pieces, with those that fill roles: of the unknown and the padding one the model says it, if it has one."""
    unknown = next(piece.text for piece in model.pieces if piece.type == UNKNOWN)
    pads = any(piece.text == model.padding and piece.type == CONTROL for piece in model.pieces)
    said = {"unknown_token": unknown, **({"padding_token": model.padding} if pads else {})}
    return vocabulary_of(model.source, [piece.text for piece in model.pieces], {**ROLES, **said}, ROLES)


def _met(model: Model) -> Iterator[str]:
    """Special pieces that a word could hold: sentencepiece and tokenizers treat them differently there."""
    for number, piece in enumerate(model.pieces):
        if piece.type != NORMAL and not (len(piece.text) > 1 and _MARK.search(piece.text)):
            yield (
                f"piece {number:,}, {printable(repr(piece.text))}, is no ordinary piece, and a word could hold it; "
                "expected one with a mark in it, as [CLS]"
            )


def _normalizers(model: Model, *, lower: bool) -> Iterator[dict[str, Any]]:
    yield words(lower=lower)
    yield {"type": "Replace", "pattern": {"Regex": AROUND_MARKS}, "content": " "}
    if model.table:
        # What was taken apart to strip accents: the model's table puts it together again, tokenizers' reading of the
        # table does so with short letters alone.
        if lower:
            yield {"type": "NFC"}
        yield {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(model.table).decode("ascii")}
    yield {"type": "Replace", "pattern": {"Regex": SPACES}, "content": " "}
    yield {"type": "Strip", "strip_left": True, "strip_right": True}
    yield {"type": "Prepend", "prepend": SPACE}
    yield {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}


def _pipeline(model: Model, vocabulary: Vocabulary, room: ModelLimits, *, lower: bool) -> str:
    """The text of tokenizer.json."""
    spaces = {"type": "Metaspace", "replacement": SPACE, "split": True}
    return pipeline(
        vocabulary,
        normalizer={"type": "Sequence", "normalizers": list(_normalizers(model, lower=lower))},
        pre_tokenizer={**spaces, "prepend_scheme": "never"},
        post_processor=around(vocabulary, room),
        decoder={**spaces, "prepend_scheme": "always"},
        model={
            "type": "Unigram",
            "unk_id": vocabulary.ids[vocabulary.roles["unknown_token"]],
            "vocab": [[piece.text, piece.score] for piece in model.pieces],
            "byte_fallback": False,
        },
    )
