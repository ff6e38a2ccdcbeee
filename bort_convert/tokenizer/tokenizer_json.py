"""Read and write tokenizer.json, and write its companion files.

All are JSON, written without a library. The tokenizers library reads tokenizer.json since its release 0.13.

Source: huggingface/tokenizers v0.21.0, tokenizers/src/processors/template.rs, tokenizer/added_vocabulary.rs and
normalizers/bert.rs; huggingface/transformers v4.48.0, tokenization_utils_base.py; gluonnlp 0.8.3, data/transforms.py
(BERTBasicTokenizer, BERTSentenceTransform)
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from bort_convert.errors import FormatError, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bort_convert.tokenizer.kind import ModelLimits
    from bort_convert.tokenizer.sources import TokenizerFile
    from bort_convert.tokenizer.vocabulary import Vocabulary

    TemplateItem: TypeAlias = dict[str, dict[str, Any]]

FILE_NAME: Final = "tokenizer.json"
CONFIG: Final = "tokenizer_config.json"
# transformers' name of a special token of BERT -> GluonNLP's.
BERT_ROLES: Final = {
    "unk_token": "unknown_token",
    "pad_token": "padding_token",
    "cls_token": "cls_token",
    "sep_token": "sep_token",
    "mask_token": "mask_token",
}


def section(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object within tokenizer.json; empty if the key is absent or holds something else."""
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def check_values(file: TokenizerFile, expected: Mapping[str, tuple[object, object]], title: str) -> None:
    """Check that a tokenizer of transformers is of the right kind.

    Args:
        file: the file, for messages.
        expected: key -> the value in the file, and the value that it must be.
        title: description of the kind, for messages.

    Raises:
        FormatError: some values differ.
    """
    file.raise_for(
        [
            f"{key} is {printable(repr(value))}, expected {wanted!r}: {title}"
            for key, (value, wanted) in expected.items()
            if value != wanted
        ]
    )


def token_ids(file: TokenizerFile, content: Mapping[str, Any]) -> dict[str, Any]:
    """The id of each token in a tokenizer.json; special tokens may stand in added_tokens alone.

    Raises:
        FormatError: the tables are missing.
    """
    ids, added = section(content, "model").get("vocab"), content.get("added_tokens", [])
    if not (isinstance(ids, dict) and isinstance(added, list)):
        raise FormatError(f"{file.path}: expected model.vocab and added_tokens")
    special = [token for token in added if isinstance(token, dict) and isinstance(token.get("content"), str)]
    return ids | {token["content"]: token.get("id") for token in special}


def tokenizer_text(
    vocabulary: Vocabulary, *, strips_left: str = "", also_special: Collection[str] = (), **components: object
) -> str:
    """Text of tokenizer.json.

    Args:
        vocabulary: its tokens that have roles become special tokens.
        also_special: tokens without a role that become special tokens too.
        strips_left: the special token that swallows the spaces before it.
        components: normalizer, pre_tokenizer, post_processor, decoder and model.
    """
    added = [
        {
            "id": vocabulary.ids[token],
            "content": token,
            "single_word": False,
            "lstrip": token == strips_left,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token in sorted({*vocabulary.roles.values(), *also_special}, key=vocabulary.ids.__getitem__)
    ]
    return compact_json({"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, **components})


def template(ids: Mapping[str, int], single: Sequence[TemplateItem], pair: Sequence[TemplateItem]) -> dict[str, Any]:
    """The post-processor that puts special tokens around a text, and around the texts of a pair.

    Args:
        ids: token -> id.
        single: the layout of one text, of `special_token` and `text` items.
        pair: the layout of a pair.
    """
    used = {item["SpecialToken"]["id"]: None for item in (*single, *pair) if "SpecialToken" in item}
    return {
        "type": "TemplateProcessing",
        "single": [*single],
        "pair": [*pair],
        "special_tokens": {token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in used},
    }


def special_token(token: str, type_id: int = 0) -> TemplateItem:
    """A special token in a template."""
    return {"SpecialToken": {"id": token, "type_id": type_id}}


def text(name: str, type_id: int = 0) -> TemplateItem:
    """A text in a template: "A" for the first, "B" for the second of a pair."""
    return {"Sequence": {"id": name, "type_id": type_id}}


def companion_files(special_tokens: Mapping[str, str], **config: object) -> dict[str, str]:
    """Texts of the files that transformers reads beside tokenizer.json, by file name.

    Args:
        special_tokens: role in transformers -> token.
        config: more keys of tokenizer_config.json; one that is None is left out.
    """
    fixed = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
    }
    stated = {name: value for name, value in config.items() if value is not None}
    return {
        CONFIG: _indented_json({**fixed, **stated, **special_tokens}),
        "special_tokens_map.json": _indented_json(special_tokens),
    }


def bert_normalizer(*, lower_case: bool, keeps_accents: bool = False) -> dict[str, Any]:
    """BERT's normalizer: drop control characters, put spaces around CJK ideographs, lower-case on request."""
    return {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": False if keeps_accents else None,
        "lowercase": lower_case,
    }


def bert_post_processor(vocabulary: Vocabulary, limits: ModelLimits) -> dict[str, Any]:
    """BERT's template: [CLS] A [SEP] B [SEP]; B and its [SEP] have type 1 if the model has several token types."""
    cls, sep, type_b = vocabulary.roles["cls_token"], vocabulary.roles["sep_token"], int(limits.token_types > 1)
    single = [special_token(cls), text("A"), special_token(sep)]
    return template(vocabulary.ids, single, [*single, text("B", type_b), special_token(sep, type_b)])


def bert_companion_files(
    vocabulary: Vocabulary, limits: ModelLimits, *, lower_case: bool, keeps_accents: bool = False
) -> dict[str, str]:
    """Texts of the companion files of a BERT's tokenizer."""
    types = ["token_type_ids"] if limits.token_types > 1 else []
    return companion_files(
        {name: vocabulary.roles[role] for name, role in BERT_ROLES.items()},
        model_max_length=limits.max_length,
        model_input_names=["input_ids", *types, "attention_mask"],
        do_lower_case=lower_case,
        strip_accents=False if keeps_accents else None,
    )


def compact_json(content: object) -> str:
    """JSON without spaces."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _indented_json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
