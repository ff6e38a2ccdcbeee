"""Vocabularies as GluonNLP 1.0 writes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from matrix_texts import merges_of, wordpieces
from sentencepiece_files import CONTROL, NORMAL, UNKNOWN, model
from texts import BERT_SPECIAL

from bort_convert.tokenizer.gpt2 import BYTE_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Iterable

BERT_ROLES: Final = {
    "unk_token": "[UNK]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
ROBERTA_ROLES: Final = {
    "bos_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}
# The first pieces of each model, by the kind of its tokenizer; XLM-R's mask is the last.
FIRST: Final = {
    "ALBERT": (("<pad>", CONTROL), ("<unk>", UNKNOWN), ("[CLS]", CONTROL), ("[SEP]", CONTROL), ("[MASK]", CONTROL)),
    "XLM-R": (("<s>", CONTROL), ("<pad>", CONTROL), ("</s>", CONTROL), ("<unk>", UNKNOWN), ("<mask>", CONTROL)),
    "T5": (("<pad>", CONTROL), ("</s>", CONTROL), ("<unk>", UNKNOWN)),
}


def vocabulary_text(tokens: Iterable[str], roles: dict[str, str]) -> str:
    """The JSON that `Vocab.to_json` of 1.0 writes."""
    return json.dumps({"all_tokens": [*tokens], "special_token_key_value": roles}, ensure_ascii=False)


def bert_text(size: int = 0) -> str:
    """A WordPiece vocabulary, of as many tokens as `size`, or of all."""
    tokens = [*BERT_SPECIAL, *wordpieces()]
    return vocabulary_text(tokens[: size or None], BERT_ROLES)


def byte_level_texts(*, roberta: bool, size: int = 0) -> tuple[str, str]:
    """A byte-level vocabulary and its merges; a size leaves out bytes and merges."""
    merges = [] if size else merges_of()
    tokens = [*BYTE_CHARACTERS, *("".join(merge) for merge in merges)]
    if roberta:
        first, last = list(ROBERTA_ROLES.values())[:4], ["<mask>"]
        vocabulary = vocabulary_text([*first, *tokens[: size - 5 if size else None], *last], ROBERTA_ROLES)
    else:
        vocabulary = vocabulary_text([*tokens, "<|endoftext|>"], {"eos_token": "<|endoftext|>"})
    return vocabulary, "".join(f"{line}\n" for line in ("#version: 0.2", *map(" ".join, merges)))


def sentencepiece_model(kind: str, size: int) -> bytes:
    """A SentencePiece model with as many pieces, made by hand."""
    first = [(text, 0.0, type_) for text, type_ in FIRST[kind]]
    words = ["▁", "the", "▁the", *"abcdefghijklmnopqrstuvwxyz0123456789.,!?-", *map(chr, range(0x4E00, 0x4F00))]
    return model(
        [*first, *((word, -2.0 - number / 8, NORMAL) for number, word in enumerate(words[: size - len(first)]))]
    )
