"""Write GluonNLP's tokenizers as files that transformers' AutoTokenizer loads.

A module for each kind: `roberta` and `gpt2` write byte-level BPEs, `wordpiece` BERT's tokenizer, which hands
SentencePiece models on to `sentencepiece`; `sentencepiece_texts` writes those that read whole texts. Token ids are
GluonNLP's. For the differences from GluonNLP, see docs/decisions/0022-tokenizer.md, 0025-wordpiece.md,
0030-more-tokenizers.md and 0040-sentencepiece-texts.md. Only the standard library is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.errors import FormatError
from bort_convert.tokenizer.kind import ModelLimits, Tokenizer, TokenizerKind, TokenizerOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FILES", "KINDS", "ModelLimits", "Tokenizer", "TokenizerKind", "TokenizerOptions", "find_tokenizer"]

_BPE_FILES: Final = frozenset({"vocab", "bpe_ranks", "tokenizer"})
_BPE_OPTIONS: Final = _BPE_FILES | {"roberta_pairs"}
KINDS: Final[Mapping[str, TokenizerKind]] = {
    "Bort": TokenizerKind("byte-level BPE", _BPE_OPTIONS, "roberta"),
    "RoBERTa": TokenizerKind("byte-level BPE", _BPE_OPTIONS, "roberta", roberta_pairs=True),
    "GPT-2": TokenizerKind("GPT-2", _BPE_FILES, "gpt2"),
    "WordPiece": TokenizerKind("WordPiece", frozenset({"vocab", "tokenizer", "lower_case"}), "wordpiece"),
    "WordPiece-1.0": TokenizerKind(
        "WordPiece", frozenset({"vocab", "lower_case"}), "wordpiece", settings={"keeps_accents": True}
    ),
    "XLNet": TokenizerKind("SentencePiece", frozenset({"vocab", "lower_case"}), "xlnet", padding_side="left"),
    "ALBERT": TokenizerKind("SentencePiece", frozenset({"vocab", "lower_case"}), "albert"),
    "XLM-R": TokenizerKind("SentencePiece", frozenset({"vocab"}), "xlm_roberta"),
    "T5": TokenizerKind("SentencePiece", frozenset({"vocab"}), "t5"),
}
"""Kinds of tokenizers by the name that a model family has for its own."""
FILES: Final = frozenset(
    {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt", "vocab.txt"}
)
"""Every file that a tokenizer of any kind may write, so that one that replaces another leaves none of its files."""


def find_tokenizer(
    kind: str,
    options: TokenizerOptions,
    limits: ModelLimits,
    *,
    absent: Callable[[str], object] = lambda _reason: None,
) -> Tokenizer | None:
    """Make the tokenizer of a checkpoint, from the user's files or from those in GluonNLP's model cache.

    Args:
        kind: one of `KINDS`.
        options: the user's files and settings.
        limits: the model's.
        absent: called with the reason if no file is specified and the cache has none that fits.

    Returns:
        None if no file is specified and the cache has none that fits.

    Raises:
        OptionError: an option is for another kind, or contradicts another option.
        VariantError: no file tells whether text is lower-cased.
        FormatError: a file cannot be read or does not fit.
        BackendError: fetching a repository needs huggingface_hub, which is missing.
    """
    KINDS[kind].check(options)
    try:
        return KINDS[kind].make(options, limits)
    except FormatError as error:
        if options.has_files:
            raise
        absent(str(error))
        return None
