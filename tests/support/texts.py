"""Texts for tokenizers: letters of all kinds, and what is most likely to be read differently."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

SPECIAL = ("<s>", "</s>", "<pad>", "<unk>", "<mask>")
PIECES = [
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
LETTERS = st.characters(exclude_categories=("Cs", "Cn"))
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(LETTERS, max_size=8), max_size=12).map("".join)

PAD, UNK, CLS, SEP, MASK = BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# CJK ideographs that the tokenizers library takes for parts of a word: its normalizers/bert.rs has a wrong digit.
GAP = range(0x2B820, 0x2B920)
# Since Unicode 3.2 these have become a symbol and marks of other kinds, and the library has older tables.
CHANGED = "\u166d\u1734\u1885\u1886"

BERT_PIECES = [
    *("the", " White", "RABBIT", " looked", "'s", "  ", "\t", "\r\n", "\0", "\x7f", "\x1c", "\x85", "\u00a0", "\u2028"),
    *("\u3000", "\u200b", "\ufeff", "\ufffd", "\u00ad", "1234", "½", "٣", "e\u0301", "\u0301", "É", "ß", "İ", "ﬁ", "Ǆ"),
    *("日本", "한국", "ᄒ", "が", "👩‍👩‍👧", "🤗", "ﷺ", "…", "don't", "--", "$5", "a_b", "##ing", "##", "≠", "\u037e"),
    *("[", "MASK", "]", "mask", *BERT_SPECIAL, "[unused1]", "[cls]", "<s>", "x" * 201),
]
# Both sides know all that was a character in Unicode 3.2; later ones are among the differences below, and so is a
# capital sigma.
OLD_LETTERS = st.characters(exclude_categories=("Cs", "Cn"), exclude_characters=f"Σ{CHANGED}").filter(
    lambda letter: unicodedata.ucd_3_2_0.category(letter) != "Cn"
)
BERT_TEXTS = st.lists(st.sampled_from(BERT_PIECES) | st.text(OLD_LETTERS, max_size=8), max_size=12).map("".join)
