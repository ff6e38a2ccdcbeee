"""Texts for byte-level tokenizers: letters of all kinds, and what is most likely to be read differently."""

from __future__ import annotations

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
