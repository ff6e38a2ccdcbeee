"""What the files of every kind of tokenizer share, as transformers reads them: JSON, written by hand, no library.

`tokenizer.json` is read by tokenizers 0.13 and later, in Rust and in its other languages.

Source: huggingface/tokenizers v0.21.0, tokenizers/src/processors/template.rs and tokenizer/added_vocabulary.rs;
huggingface/transformers v4.48.0, tokenization_utils_base.py

MERGED tokenizer.around: What every BERT's tokenizer has around its pieces, whatever cuts words into them.

Source: gluonnlp 0.8.3, data/transforms.py (BERTBasicTokenizer, BERTSentenceTransform); huggingface/tokenizers v0.21.0,
tokenizers/src/normalizers/bert.rs
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bort_convert.tokenizer.kind import ModelLimits
    from bort_convert.tokenizer.vocabulary import Vocabulary

Piece: TypeAlias = "dict[str, dict[str, Any]]"


def pipeline(vocabulary: Vocabulary, *, before_spaces: str = "", **parts: object) -> str:
    """The text of tokenizer.json.

    Args:
        vocabulary: its tokens that fill roles are special tokens.
        before_spaces: the special token that takes the spaces before it along.
        parts: normalizer, pre_tokenizer, post_processor, decoder and model.
    """
    added = [
        {
            "id": vocabulary.ids[token],
            "content": token,
            "single_word": False,
            "lstrip": token == before_spaces,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token in sorted(set(vocabulary.roles.values()), key=vocabulary.ids.__getitem__)
    ]
    return compact({"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, **parts})


def template(ids: Mapping[str, int], single: Sequence[Piece], pair: Sequence[Piece]) -> dict[str, Any]:
    """What stands around a text, and between the texts of a pair; the pieces are `special` and `text`."""
    used = {piece["SpecialToken"]["id"]: None for piece in (*single, *pair) if "SpecialToken" in piece}
    return {
        "type": "TemplateProcessing",
        "single": [*single],
        "pair": [*pair],
        "special_tokens": {token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in used},
    }


def special(token: str, type_id: int = 0) -> Piece:
    """A special token in a template."""
    return {"SpecialToken": {"id": token, "type_id": type_id}}


def text(which: str, type_id: int = 0) -> Piece:
    """The first text in a template, "A", or the second, "B"."""
    return {"Sequence": {"id": which, "type_id": type_id}}


def companions(special_tokens: Mapping[str, str], **config: object) -> dict[str, str]:
    """The text of what transformers reads beside tokenizer.json, by the name of the file.

    Args:
        special_tokens: by what transformers calls their roles.
        config: what else tokenizer_config.json says.
    """
    fixed = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
    }
    return {
        "tokenizer_config.json": readable({**fixed, **config, **special_tokens}),
        "special_tokens_map.json": readable(special_tokens),
    }


def compact(content: object) -> str:
    """JSON for a machine."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def readable(content: object) -> str:
    """JSON for a person."""
    return json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


# What transformers calls a role, and what GluonNLP does.
ROLES: Final = {
    "unk_token": "unknown_token",
    "pad_token": "padding_token",
    "cls_token": "cls_token",
    "sep_token": "sep_token",
    "mask_token": "mask_token",
}


def words(*, lower: bool) -> dict[str, Any]:
    """The normalizer that leaves out control characters and puts spaces around ideographs."""
    return {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": lower,
    }


def around(vocabulary: Vocabulary, room: ModelLimits) -> dict[str, Any]:
    """The post-processor; the second text of a pair and its end have the type 1 where the model has more than one."""
    begin, end, second = vocabulary.roles["cls_token"], vocabulary.roles["sep_token"], int(room.types > 1)
    single = [special(begin), text("A"), special(end)]
    return template(vocabulary.ids, single, [*single, text("B", second), special(end, second)])


def settings(vocabulary: Vocabulary, room: ModelLimits, *, lower: bool) -> dict[str, str]:
    """The text of the files beside tokenizer.json."""
    types = ["token_type_ids"] if room.types > 1 else []
    return companions(
        {role: vocabulary.roles[filler] for role, filler in ROLES.items()},
        model_max_length=room.max_length,
        model_input_names=["input_ids", *types, "attention_mask"],
        do_lower_case=lower,
    )
