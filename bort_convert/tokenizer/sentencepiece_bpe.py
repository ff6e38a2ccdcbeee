"""Merges of a SentencePiece BPE model, which has pieces and scores in their place.

sentencepiece merges two neighbours if a piece has their text, the one with the highest score first, and of equal ones
the leftmost. So every cut of a piece into two known ones is a merge, and its rank is that of the score.

Source: google/sentencepiece v0.2.0, src/bpe_model.cc
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from bort_convert.errors import printable
from bort_convert.tokenizer.sentencepiece_model import NORMAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bort_convert.tokenizer.sentencepiece_model import SentencePieceModel


def merges_of(model: SentencePieceModel) -> list[str]:
    """Merges by rank, each as "left right".

    Raises:
        FormatError: two pieces have one score, or a piece holds a space or a character without a piece of its own.
    """
    scores = _scores(model)
    model.file.raise_for(list(_problems(scores)))
    merges = []
    for text in sorted(scores, key=scores.__getitem__, reverse=True):
        cuts = ((text[:length], text[length:]) for length in range(len(text) - 1, 0, -1))
        merges += [f"{left} {right}" for left, right in cuts if left in scores and right in scores]
    return merges


def merged(model: SentencePieceModel, text: str) -> list[str]:
    """Cut a text into pieces and unknown characters, as sentencepiece does."""
    return _merge(_scores(model), text)


def unreachable(model: SentencePieceModel) -> Iterator[str]:
    """Find pieces whose own text is cut into others: beside a piece of the user's, the library would not cut them."""
    scores = _scores(model)
    for number, piece in enumerate(model.pieces):
        if piece.type == NORMAL and len(_merge(scores, piece.text)) > 1:
            yield (
                f"piece {number:,}, {printable(repr(piece.text))}, is never reached by the merges of smaller ones; "
                "tokenizer.json cannot say so beside pieces of the user's"
            )


def _scores(model: SentencePieceModel) -> dict[str, float]:
    return {piece.text: piece.score for piece in model.pieces if piece.type == NORMAL}


def _problems(scores: Mapping[str, float]) -> Iterator[str]:
    owners: dict[float, str] = {}
    for text, score in scores.items():
        if len(text) > 1 and owners.setdefault(score, text) != text:
            yield (
                f"the pieces {printable(repr(owners[score]))} and {printable(repr(text))} have one score, {score}; "
                "expected two, since the score decides which is merged first"
            )
        if unknown := sorted(character for character in set(text) if character not in scores):
            yield (
                f"the piece {printable(repr(text))} holds {printable(repr(unknown[0]))}, which has no piece; "
                "expected one for each character"
            )
        elif " " in text:
            yield f"the piece {printable(repr(text))} holds a space, expected U+2581 in its place"


def _merge(scores: Mapping[str, float], text: str) -> list[str]:
    parts = list(text)
    while True:
        pairs = [left + right for left, right in pairwise(parts)]
        known = [(-scores[pair], place) for place, pair in enumerate(pairs) if pair in scores]
        if not known:
            return parts
        place = min(known)[1]
        parts[place : place + 2] = [pairs[place]]
