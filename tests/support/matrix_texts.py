"""Words, merges and texts for the tokenizers of the matrix: what a vocabulary holds, and what it has no token for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from texts import BERT_FRAGMENTS, BERT_SPECIAL, FRAGMENTS, SPECIAL

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

BOOK = (
    "the white rabbit looked at its watch and ran down a hole alice was beginning to get very tired of sitting by her "
    "sister on bank she had peeped into book reading no pictures conversations in what is use thought without"
)
WORDS = tuple(BOOK.split())
ENDINGS = ("ing", "ed", "s", "er")
SINGLE_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'\"-()[]%&/éüñçßøаеиорстчαβγ日本語中한국어ひらカナ"
CHARACTERS = "áéüñ日本語한국어ひらカナαβγабв0123456789.,!?'カキコハホアンドトギガゴパポー。"  # noqa: RUF001 - other scripts
"""Characters that a SentencePiece model is trained with, beside words."""
RANGES = ((0x21, 0x7E), (0xA1, 0xAC), (0xC0, 0x17F), (0x391, 0x3A1), (0x3B1, 0x3C1), (0x410, 0x44F), (0x4E00, 0x4EFF))
RANGES += ((0x3041, 0x3093), (0x30A1, 0x30F6), (0xAC00, 0xACFF), (0x20A0, 0x20AB), (0x2190, 0x21FF), (0x1F600, 0x1F640))
"""Ranges of characters of many scripts, none of which joins its neighbours or was changed by a version of Unicode."""
HALF_WIDTH_KANA = ("ｷﾞ", "ｶﾞ", "ｺﾞ", "ﾊﾟ", "ﾎﾟ", "ｶ", "ｱ", "ﾝ", "ﾄﾞ", "ｰ", "｡")
"""Half-width katakana; a mark behind one joins it, and the two become one character."""
NOT_PLAIN = {*SPECIAL, *BERT_SPECIAL, "<|endoftext|>", " <mask> "}
UNASSIGNED = "\U0010ffff"
JOINING = ("\u0301", "ᄒ", "が", "\u200d", "ﬁ", "㎏", "İ", "Ǆ", "\ufeff", "\ufffd", "\u00ad", "\u200b")
PLAIN = tuple(fragment for fragment in (*FRAGMENTS, *BERT_FRAGMENTS) if fragment not in NOT_PLAIN)


def byte_characters() -> list[str]:
    """The characters that stand for the 256 bytes in a byte-level BPE."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(code) for code in (*shown, *range(0x100, 0x200 - len(shown)))]


def merges_of(words: Iterable[str] = WORDS) -> list[tuple[str, str]]:
    """Merges that put each word together from the left, with and without a space (Ġ) in front of it."""
    merges: dict[tuple[str, str], None] = {}
    for word in words:
        for characters in (f"Ġ{word}", word):
            start = characters[0]
            for character in characters[1:]:
                merges[start, character] = None
                start += character
    return list(merges)


def wordpieces() -> list[str]:
    """Words, capitalized words and single characters; characters and endings as the rest of a word."""
    rest = [*SINGLE_CHARACTERS, *ENDINGS]
    words = [*WORDS, *(word.capitalize() for word in WORDS[::3]), *rest]
    return [*dict.fromkeys([*words, *(f"##{token}" for token in rest)])]


def sentences(rng: np.random.Generator, count: int) -> list[str]:
    """Texts of known words, with one in three that holds an unknown character."""
    texts = []
    for number in range(count):
        words = [WORDS[index] for index in rng.integers(0, len(WORDS), rng.integers(2, 6))]
        texts.append(" ".join([*words, "☃"] if number % 3 == 1 else words))
    return texts


def random_texts(rng: np.random.Generator, count: int, kind: str, *, kana: bool = False) -> list[str]:
    """Texts of words, of what is likely to be read differently, and of characters of many scripts.

    Args:
        rng: decides.
        count: number of texts.
        kind: of the vocabulary. A WordPiece tokenizer of GluonNLP's drops unassigned code points, and SentencePiece's
            rules fold characters that join their neighbours; the tests of these tokenizers show the differences.
        kana: with half-width katakana.
    """
    left_out = {"wordpiece": (UNASSIGNED,), "sentencepiece": (UNASSIGNED, *JOINING)}.get(kind, ())
    plain = [fragment for fragment in PLAIN if not any(mark in fragment for mark in left_out)]
    return [_random_text(rng, plain, kana=kana) for _ in range(count)]


def _random_text(rng: np.random.Generator, plain: list[str], *, kana: bool) -> str:
    parts = []
    for _ in range(rng.integers(1, 9)):
        kind = rng.integers(0, 4)
        if kind == 0:
            parts.append(plain[rng.integers(len(plain))])
        elif kind == 1:
            parts.append(" " + WORDS[rng.integers(len(WORDS))])
        else:
            first, last = RANGES[rng.integers(len(RANGES))]
            parts.append("".join(map(chr, rng.integers(first, last + 1, rng.integers(1, 6)))))
        if kana:
            parts += [str(each) for each in rng.choice(HALF_WIDTH_KANA, 3)]
    return "".join(parts)
