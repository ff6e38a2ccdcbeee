"""The files of a tokenizer as transformers reads them, written by hand: JSON and text, no library.

`tokenizer.json` is read by tokenizers 0.13 and later, in Rust and in its other languages; merges stand in it as "left
right", because the pairs that tokenizers 0.20 and later write cannot be read by those before.

Source: huggingface/tokenizers v0.21.0, tokenizers/src/models/bpe/serialization.rs, processors/template.rs;
huggingface/transformers v4.48.0, tokenization_utils_base.py
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bort_convert.tokenizer.tables import Vocabulary

# What transformers calls a role, and whose token fills it.
ROLES: Final = {
    "bos_token": "bos_token",
    "eos_token": "eos_token",
    "cls_token": "bos_token",
    "sep_token": "eos_token",
    "unk_token": "unknown_token",
    "pad_token": "padding_token",
    "mask_token": "mask_token",
}


def write_files(
    vocabulary: Vocabulary, merges: Sequence[str], *, max_length: int, roberta_pairs: bool
) -> dict[str, str]:
    """The text of each file by its name.

    Args:
        vocabulary: tokens and roles.
        merges: each as "left right", by rank.
        max_length: how many tokens the model takes, special ones included.
        roberta_pairs: put two `</s>` between the texts of a pair, as RoBERTa does, and not one, as Bort does.
    """
    ids = {token: number for number, token in enumerate(vocabulary.tokens)}
    special = {role: vocabulary.roles[filler] for role, filler in ROLES.items()}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
        **special,
    }
    return {
        "tokenizer.json": _compact(_pipeline(vocabulary, ids, merges, roberta_pairs=roberta_pairs)),
        "tokenizer_config.json": _readable(config),
        "special_tokens_map.json": _readable(special),
        "vocab.json": _compact(ids),
        "merges.txt": "".join(f"{line}\n" for line in ("#version: 0.2", *merges)),
    }


def _pipeline(
    vocabulary: Vocabulary, ids: Mapping[str, int], merges: Sequence[str], *, roberta_pairs: bool
) -> dict[str, Any]:
    roles = vocabulary.roles
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": ids[token],
                "content": token,
                "single_word": False,
                # A mask stands for a word and for the space before it.
                "lstrip": token == roles["mask_token"],
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for token in sorted(set(roles.values()), key=ids.__getitem__)
        ],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": _template(ids, roles["bos_token"], roles["eos_token"], roberta_pairs=roberta_pairs),
        "decoder": byte_level,
        # GluonNLP has <unk> for each byte that a vocabulary lacks; the published one lacks none.
        "model": {
            "type": "BPE",
            "unk_token": roles["unknown_token"],
            "fuse_unk": False,
            "vocab": ids,
            "merges": merges,
        },
    }


def _template(ids: Mapping[str, int], bos: str, eos: str, *, roberta_pairs: bool) -> dict[str, Any]:
    """What stands around a text, and between the texts of a pair."""
    between = [eos, eos] if roberta_pairs else [eos]
    return {
        "type": "TemplateProcessing",
        "single": [*_special(bos), _text("A"), *_special(eos)],
        "pair": [*_special(bos), _text("A"), *_special(*between), _text("B"), *_special(eos)],
        "special_tokens": {token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in (bos, eos)},
    }


def _special(*tokens: str) -> list[dict[str, Any]]:
    return [{"SpecialToken": {"id": token, "type_id": 0}} for token in tokens]


def _text(which: str) -> dict[str, Any]:
    """A text of a pair; both have the type 0, because the receiving models have one type."""
    return {"Sequence": {"id": which, "type_id": 0}}


def _compact(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _readable(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
