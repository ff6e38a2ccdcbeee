"""Write the byte-level BPE of RoBERTa and Bort: `GPT2BPETokenizer` and `Vocab`, between `<s>` and `</s>`.

The merges in tokenizer.json have the form "left right", which every release of tokenizers reads. Those before 0.20
cannot read the pairs that later ones write.

Source: huggingface/tokenizers v0.21.0, tokenizers/src/models/bpe/serialization.rs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bort_convert.tokenizer.byte_level import BYTE_LEVEL, read_tables
from bort_convert.tokenizer.gluon_files import RANKS, VOCABULARY
from bort_convert.tokenizer.kind import Tokenizer
from bort_convert.tokenizer.tokenizer_json import (
    FILE_NAME,
    companion_files,
    special_token,
    template,
    text,
    tokenizer_text,
)

if TYPE_CHECKING:
    from bort_convert.tokenizer.byte_level import BpeTables
    from bort_convert.tokenizer.kind import ModelLimits, TokenizerOptions
    from bort_convert.tokenizer.vocabulary import Vocabulary

# Roles in RoBERTa's vocabulary, which Bort shares, and their tokens.
SPECIAL_TOKENS: Final = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unknown_token": "<unk>",
    "padding_token": "<pad>",
    "mask_token": "<mask>",
}
# transformers' name of a role -> GluonNLP's name of the role whose token fills it.
ROLES: Final = {
    "bos_token": "bos_token",
    "eos_token": "eos_token",
    "cls_token": "bos_token",
    "sep_token": "eos_token",
    "unk_token": "unknown_token",
    "pad_token": "padding_token",
    "mask_token": "mask_token",
}


def make(options: TokenizerOptions, limits: ModelLimits) -> Tokenizer:
    """Make RoBERTa's tokenizer, or Bort's.

    Args:
        options: the files; `roberta_pairs` puts two `</s>` between the texts of a pair, as RoBERTa does, in place of
            Bort's one.
        limits: the model's.

    Raises:
        OptionError: `tokenizer` is specified together with `vocab` or `bpe_ranks`.
        FormatError: a file is missing, cannot be read or does not fit.
        BackendError: huggingface_hub is needed and missing.
    """
    tables = read_tables(options, (VOCABULARY, RANKS), SPECIAL_TOKENS)
    tables.vocabulary.check_size(limits.vocab_size)
    special_tokens = {name: tables.vocabulary.roles[role] for name, role in ROLES.items()}
    inputs = ["input_ids", "attention_mask"]
    files = {
        FILE_NAME: _tokenizer_json(tables, roberta_pairs=options.roberta_pairs),
        **companion_files(special_tokens, model_max_length=limits.max_length, model_input_names=inputs),
        **tables.files,
    }
    return Tokenizer(files, tables.digests, special_token_ids=tables.vocabulary.special_token_ids(ROLES))


def pairs(vocabulary: Vocabulary, *, roberta_pairs: bool) -> dict[str, Any]:
    """The template `<s> A </s>`, and `<s> A </s> B </s>` for a pair, with a second `</s>` between as in RoBERTa."""
    bos, eos = special_token(vocabulary.roles["bos_token"]), special_token(vocabulary.roles["eos_token"])
    between = [eos, eos] if roberta_pairs else [eos]
    return template(vocabulary.ids, [bos, text("A"), eos], [bos, text("A"), *between, text("B"), eos])


def _tokenizer_json(tables: BpeTables, *, roberta_pairs: bool) -> str:
    """Text of tokenizer.json; both texts of a pair have token type 0, the only one of the target models."""
    vocabulary, roles = tables.vocabulary, tables.vocabulary.roles
    return tokenizer_text(
        vocabulary,
        # A mask stands for a word and for the space before it.
        strips_left=roles["mask_token"],
        normalizer=None,
        pre_tokenizer=BYTE_LEVEL,
        post_processor=pairs(vocabulary, roberta_pairs=roberta_pairs),
        decoder=BYTE_LEVEL,
        # GluonNLP reads <unk> for each byte that a vocabulary lacks; the published one lacks none.
        model=tables.model(roles["unknown_token"]),
    )
