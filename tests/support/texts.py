"""Texts for tokenizers: characters of all kinds, and fragments that two tokenizers are likely to read differently."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

SPECIAL = ("<s>", "</s>", "<pad>", "<unk>", "<mask>")
FRAGMENTS = [
    *(
        "the",
        " and",
        "'s",
        "'ll",
        "  ",
        " " * 17,
        "\t",
        "\r\n",
        "\0",
        "\x7f",
        "\x1c",
        "\x85",
        "\u00a0",
        "\u2028",
        "\u3000",
    ),
    *(
        "1234",
        "½",
        "٣",
        "e\u0301",
        "\u0301",
        "ß",
        "ﬁ",
        "Ġ",
        "Ċ",
        "日本",
        "한국",
        "👩‍👩‍👧",
        "🏳️‍🌈",
        "\ufeff",
        "\ufffd",
        "\U0010ffff",
    ),
    *("<", "mask", " <mask> ", *SPECIAL, "<|endoftext|>", "\u200d", "🤗", "ﷺ", "…", "don't", "DON'T"),
]
CHARACTERS = st.characters(exclude_categories=("Cs", "Cn"))
TEXTS = st.lists(st.sampled_from(FRAGMENTS) | st.text(CHARACTERS, max_size=8), max_size=12).map("".join)

PAD, UNK, CLS, SEP, MASK = BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# CJK ideographs that the tokenizers library reads as parts of a word: normalizers/bert.rs has a wrong digit.
GAP = range(0x2B820, 0x2B920)
# These became a symbol and marks of other kinds after Unicode 3.2; the library has older tables.
CHANGED = "\u166d\u1734\u1885\u1886"

BERT_FRAGMENTS = [
    *("the", " White", "RABBIT", " looked", "'s", "  ", "\t", "\r\n", "\0", "\x7f", "\x1c", "\x85", "\u00a0", "\u2028"),
    *("\u3000", "\u200b", "\ufeff", "\ufffd", "\u00ad", "1234", "½", "٣", "e\u0301", "\u0301", "É", "ß", "İ", "ﬁ", "Ǆ"),
    *("日本", "한국", "ᄒ", "が", "👩‍👩‍👧", "🤗", "ﷺ", "…", "don't", "--", "$5", "a_b", "##ing", "##", "≠", "\u037e"),
    *("[", "MASK", "]", "mask", *BERT_SPECIAL, "[unused1]", "[cls]", "<s>", "x" * 201),
]
# Both sides know the characters of Unicode 3.2. Tests of differences cover later characters, and the capital sigma.
OLD_CHARACTERS = st.characters(exclude_categories=("Cs", "Cn"), exclude_characters=f"Σ{CHANGED}").filter(
    lambda character: unicodedata.ucd_3_2_0.category(character) != "Cn"
)
BERT_TEXTS = st.lists(st.sampled_from(BERT_FRAGMENTS) | st.text(OLD_CHARACTERS, max_size=8), max_size=12).map("".join)
