"""What every BERT's tokenizer has around its pieces, whatever cuts words into them.

Source: gluonnlp 0.8.3, data/transforms.py (BERTBasicTokenizer, BERTSentenceTransform); huggingface/tokenizers v0.21.0,
tokenizers/src/normalizers/bert.rs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bort_convert.tokenizer.layout import companions, special, template, text

if TYPE_CHECKING:
    from bort_convert.tokenizer.kind import Room
    from bort_convert.tokenizer.tables import Vocabulary

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


def around(vocabulary: Vocabulary, room: Room) -> dict[str, Any]:
    """The post-processor; the second text of a pair and its end have the type 1 where the model has more than one."""
    begin, end, second = vocabulary.roles["cls_token"], vocabulary.roles["sep_token"], int(room.types > 1)
    single = [special(begin), text("A"), special(end)]
    return template(vocabulary.ids, single, [*single, text("B", second), special(end, second)])


def settings(vocabulary: Vocabulary, room: Room, *, lower: bool) -> dict[str, str]:
    """The text of the files beside tokenizer.json."""
    types = ["token_type_ids"] if room.types > 1 else []
    return companions(
        {role: vocabulary.roles[filler] for role, filler in ROLES.items()},
        model_max_length=room.max_length,
        model_input_names=["input_ids", *types, "attention_mask"],
        do_lower_case=lower,
    )
