"""Write a SentencePiece model that reads whole texts, as tokenizer.json: sentencepiece's ids, text for text.

Unigram and BPE models, with or without bytes for unknown characters, a space before a text, and merged spaces. What
sentencepiece keeps outside of its search stands in the scores: a control piece is never found in a text, and a piece of
the user's has the score that sentencepiece computes for it. A BPE model first cuts out the user's pieces.

Source: google/sentencepiece v0.2.0, src/normalizer.cc, unigram_model.cc, bpe_model.cc and sentencepiece_processor.cc;
huggingface/tokenizers v0.23.3, tokenizers/src/models, normalizers, pre_tokenizers and decoders
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import FormatError, printable
from bort_convert.tokenizer import character_rules
from bort_convert.tokenizer.gluon_files import read_published
from bort_convert.tokenizer.sentencepiece_bpe import merged, merges_of, unreachable
from bort_convert.tokenizer.sentencepiece_model import (
    BPE,
    CONTROL,
    NORMAL,
    SPACE,
    USER_DEFINED,
    is_model,
    read_model,
)
from bort_convert.tokenizer.sources import read_file
from bort_convert.tokenizer.tokenizer_json import tokenizer_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from bort_convert.tokenizer.gluon_files import PublishedFile
    from bort_convert.tokenizer.kind import TokenizerOptions
    from bort_convert.tokenizer.sentencepiece_model import SentencePieceModel
    from bort_convert.tokenizer.vocabulary import Vocabulary

# The library's penalty for an unknown character, below the lowest score.
_UNKNOWN_PENALTY: Final = 10.0
# More spaces than a text begins with.
_ALL: Final = 1 << 20


def read_option(options: TokenizerOptions, published: PublishedFile | None = None) -> SentencePieceModel:
    """Read the SentencePiece model that `vocab` names, or else the published one in GluonNLP's model cache.

    Raises:
        FormatError: there is none, it cannot be read, or it is another file.
    """
    if options.vocab is not None:
        file = read_file(options.vocab)
    elif published is not None:
        file = read_published(published)
    else:
        raise FormatError("pass `vocab`, the SentencePiece model")
    if not is_model(file):
        raise FormatError(
            f"{file.path}: expected a SentencePiece model, a .spiece or .model file; a vocabulary without it does not "
            "say how words are cut"
        )
    return read_model(file)


def whole_texts(
    model: SentencePieceModel,
    vocabulary: Vocabulary,
    *,
    before: Sequence[Mapping[str, Any]] = (),
    never: Collection[str] = (),
    special: Collection[str] = (),
    post_processor: Mapping[str, Any] | None = None,
) -> str:
    """Text of tokenizer.json.

    Args:
        model: the model.
        vocabulary: its pieces, and maybe more tokens behind them, which no text becomes.
        before: normalizers for a text before sentencepiece gets it.
        never: pieces that no text becomes, besides control pieces.
        special: tokens that are special beside those with a role.
        post_processor: what puts special tokens around a text.

    Raises:
        FormatError: tokenizer.json has no words for the model.
    """
    control = {piece.text for piece in model.pieces if piece.type == CONTROL}
    found = {*never, *(piece.text for piece in model.pieces if piece.type not in {NORMAL, USER_DEFINED})}
    steps = [*before, *_normalizers(model)]
    model.file.raise_for(list(_user_problems(model)))
    build = _bpe if model.type == BPE else _unigram
    return tokenizer_text(
        vocabulary,
        also_special=control | {*special},
        normalizer={"type": "Sequence", "normalizers": steps} if steps else None,
        pre_tokenizer=_pre_tokenizer(model, found),
        post_processor=post_processor,
        decoder={"type": "Sequence", "decoders": list(_decoders(model))},
        model=build(model, vocabulary, found),
    )


def _user_pieces(model: SentencePieceModel) -> list[str]:
    """Pieces of the user's, the longest first."""
    return sorted(
        (piece.text for piece in model.pieces if piece.type == USER_DEFINED), key=lambda text: (-len(text), text)
    )


def _normalizers(model: SentencePieceModel) -> Iterator[dict[str, Any]]:
    """Normalizers that do what sentencepiece does to a text; a space becomes U+2581, and so does the one before it."""
    prefix = [{"type": "Prepend", "prepend": SPACE}] if model.dummy_prefix else []
    if model.merges_spaces:
        yield from character_rules.normalizers(model)
        for pattern, content in ((r"\A +", ""), (" {2,}", " "), (rf"[ {SPACE}]+\z", "")):
            yield {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}
        yield from prefix
    else:
        # A text that the rules delete keeps the space before it.
        yield from (*prefix, *character_rules.normalizers(model))
    yield {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}


def _pre_tokenizer(model: SentencePieceModel, never: Collection[str]) -> dict[str, Any] | None:
    """Cut a text where no piece reaches across: before each space, around pieces of the user's, inside `never`."""
    texts = {piece.text for piece in model.pieces if piece.type in {NORMAL, USER_DEFINED}}
    user = _user_pieces(model) if model.type == BPE else []
    steps = [_split(map(re.escape, user), "Isolated")] if user else []
    if SPACE in texts and not any(SPACE in text[1:] for text in texts):
        steps.append({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "never", "split": True})
    if cuts := [cut for text in sorted(never) for cut in _cuts(model, text, texts)]:
        steps.append(_split(cuts, "MergedWithPrevious"))
    return {"type": "Sequence", "pretokenizers": steps} if steps else None


def _split(patterns: Iterable[str], behavior: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": "|".join(patterns)}, "behavior": behavior, "invert": False}


def _cuts(model: SentencePieceModel, text: str, known: Collection[str]) -> Iterator[str]:
    """A pattern behind which a text is cut that the library would take for its piece, and sentencepiece would not.

    A unigram model finds such a piece where some of its characters are unknown, a BPE model with pieces of the user's
    where it stands alone. Unknown characters in a row stay together, since they are one piece.
    """
    alone = model.type == BPE
    parts = (merged(model, text) if _user_pieces(model) else [text]) if alone else [*text]
    place = 0
    for left, right in pairwise(parts):
        place += len(left)
        if (left in known or right in known) if alone else (left in known) != (right in known):
            start, end = (r"\A", r"\z") if alone else ("", "")
            yield f"{start}{re.escape(text[:place])}(?={re.escape(text[place:])}{end})"
            return


def _decoders(model: SentencePieceModel) -> Iterator[dict[str, Any]]:
    """Decoders that write what sentencepiece does for ids: spaces but before a text, unknown pieces, bytes."""
    unknown, space = {"String": model.unknown}, {"String": SPACE}
    yield {"type": "Replace", "pattern": unknown, "content": character_rules.APART}
    yield {"type": "Replace", "pattern": space, "content": " "}
    if model.byte_fallback:
        yield {"type": "ByteFallback"}
    yield {"type": "Fuse"}
    if model.dummy_prefix or model.merges_spaces:
        yield {"type": "Strip", "content": " ", "start": _ALL if model.merges_spaces else 1, "stop": 0}
    yield {"type": "Replace", "pattern": {"String": character_rules.APART}, "content": model.unknown_text}


def _user_problems(model: SentencePieceModel) -> Iterator[str]:
    """Find pieces of the user's that the rules change: sentencepiece protects them, and the library cannot."""
    user = _user_pieces(model)
    rules = character_rules.rules_of(model.table) if user and model.table else {}
    for text in user:
        if (changed := character_rules.apply_rules(rules, text)) != text:
            yield (
                f"the piece {printable(repr(text))} is the user's, and the rules of normalizer_spec make "
                f"{printable(repr(changed))} of it; expected one that they leave alone"
            )


def _unigram(model: SentencePieceModel, vocabulary: Vocabulary, never: Collection[str]) -> dict[str, Any]:
    """The `model` of a unigram model."""
    normal = [piece.score for piece in model.pieces if piece.type == NORMAL]
    lowest, highest = min(normal, default=0.0), max(normal, default=0.0)
    vocab: list[list[str | float]] = []
    for piece in model.pieces:
        score = piece.score
        if piece.type == USER_DEFINED:
            score = len(piece.text.encode()) * highest - 0.1
        elif piece.text in never:
            # Less than its characters have together.
            score = (len(piece.text) + 1) * (lowest - _UNKNOWN_PENALTY)
        vocab.append([piece.text, score])
    added = [[token, 2 * (len(token) + 1) * (lowest - _UNKNOWN_PENALTY)] for token in vocabulary.tokens[len(vocab) :]]
    return {
        "type": "Unigram",
        "unk_id": vocabulary.ids[model.unknown],
        "vocab": [*vocab, *added],
        "byte_fallback": model.byte_fallback,
    }


def _bpe(model: SentencePieceModel, vocabulary: Vocabulary, _never: Collection[str]) -> dict[str, Any]:
    """The `model` of a BPE model; what has no merges is never found."""
    merges = merges_of(model)
    user = bool(_user_pieces(model))
    if user:
        model.file.raise_for(list(unreachable(model)))
    return {
        "type": "BPE",
        "unk_token": model.unknown,
        "fuse_unk": True,
        "byte_fallback": model.byte_fallback,
        # A piece of the user's stands alone and has no merges; it is its own token.
        "ignore_merges": user,
        "vocab": vocabulary.ids,
        "merges": merges,
    }
