"""The byte-level BPE of RoBERTa and Bort: `GPT2BPETokenizer` and `Vocab`, between `<s>` and `</s>`.

Merges stand in `tokenizer.json` as "left right", because the pairs that tokenizers 0.20 and later write cannot be read
by those before.

Source: huggingface/tokenizers v0.21.0, tokenizers/src/models/bpe/serialization.rs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.tokenizer.byte_level import SPLITTER, read_tables
from bort_convert.tokenizer.gluon_files import RANKS, VOCABULARY
from bort_convert.tokenizer.kind import Tokenizer
from bort_convert.tokenizer.tokenizer_json import companions, pipeline, special, template, text

if TYPE_CHECKING:
    from bort_convert.tokenizer.byte_level import Tables
    from bort_convert.tokenizer.kind import ModelLimits, TokenizerOptions

# RoBERTa's vocabulary, which is Bort's, fills these roles and no others.
EXPECTED: Final = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unknown_token": "<unk>",
    "padding_token": "<pad>",
    "mask_token": "<mask>",
}
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


def make(given: TokenizerOptions, room: ModelLimits) -> Tokenizer:
    """A byte-level BPE, from what was given; where a file was not, from the one that GluonNLP keeps on this machine.

    Args:
        given: the files; with `roberta_pairs` there are two `</s>` between the texts of a pair, as RoBERTa has it, and
            not one, as Bort has it.
        room: what the model takes.

    Raises:
        VariantError: `tokenizer` and one of the others are given.
        FormatError: a file cannot be read, or does not fit.
        BackendError: huggingface_hub is needed and missing.
    """
    tables = read_tables(given, (VOCABULARY, RANKS), EXPECTED)
    tables.vocabulary.check_size(room.size)
    special_tokens = {role: tables.vocabulary.roles[filler] for role, filler in ROLES.items()}
    names = ["input_ids", "attention_mask"]
    files = {
        "tokenizer.json": _pipeline(tables, roberta_pairs=given.roberta_pairs),
        **companions(special_tokens, model_max_length=room.max_length, model_input_names=names),
        **tables.files,
    }
    return Tokenizer(files, tables.digests)


def _pipeline(tables: Tables, *, roberta_pairs: bool) -> str:
    """The text of tokenizer.json; both texts of a pair have the type 0, because the receiving models have one type."""
    vocabulary, roles = tables.vocabulary, tables.vocabulary.roles
    begin, end = special(roles["bos_token"]), special(roles["eos_token"])
    between = [end, end] if roberta_pairs else [end]
    return pipeline(
        vocabulary,
        # A mask stands for a word and for the space before it.
        before_spaces=roles["mask_token"],
        normalizer=None,
        pre_tokenizer=SPLITTER,
        post_processor=template(vocabulary.ids, [begin, text("A"), end], [begin, text("A"), *between, text("B"), end]),
        decoder=SPLITTER,
        # GluonNLP has <unk> for each byte that a vocabulary lacks; the published one lacks none.
        model=tables.model(roles["unknown_token"]),
    )
