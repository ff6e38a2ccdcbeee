"""GluonNLP's tokenizers as files that transformers' AutoTokenizer loads, kind by kind.

Each kind is a module: `bpe`, the byte-level BPE of RoBERTa and Bort, `gpt2`, GPT-2's, and `wordpiece`, BERT's, which
hands a SentencePiece model on to `unigram`. The ids are GluonNLP's; docs/decisions/0022-tokenizer.md, 0025-wordpiece.md
and 0030-more-tokenizers.md name what differs. Only the standard library is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.errors import FormatError
from bort_convert.tokenizer.kind import Kind, ModelLimits, Tokenizer, TokenizerOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FILES", "KINDS", "TokenizerOptions", "Kind", "ModelLimits", "Tokenizer", "find_tokenizer"]

_TABLES: Final = frozenset({"vocab", "bpe_ranks", "tokenizer"})
_PAIRS: Final = _TABLES | {"roberta_pairs"}
KINDS: Final[Mapping[str, Kind]] = {
    "Bort": Kind("byte-level BPE", _PAIRS, "roberta"),
    "RoBERTa": Kind("byte-level BPE", _PAIRS, "roberta", roberta_pairs=True),
    "GPT-2": Kind("GPT-2", _TABLES, "gpt2"),
    "WordPiece": Kind("WordPiece", frozenset({"vocab", "tokenizer", "lower_case"}), "wordpiece"),
}
"""By the name that a family has for it; adding a kind is adding a line."""
FILES: Final = frozenset(
    {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt", "vocab.txt"}
)
"""What any of them may write, so that nothing is left of one that another replaces."""


def find_tokenizer(
    kind: str, given: TokenizerOptions, room: ModelLimits, *, absent: Callable[[str], object] = lambda _reason: None
) -> Tokenizer | None:
    """The tokenizer of a checkpoint, from the files that are given or those that GluonNLP keeps on this machine.

    Args:
        kind: one of `KINDS`.
        given: what the user gave.
        room: what the model takes.
        absent: told why there is none, where no file was given and None is returned.

    Returns:
        None where no file was given, and GluonNLP keeps nothing here that fits.

    Raises:
        VariantError: what was given contradicts itself, or is for another kind.
        FormatError: what was given cannot be read or does not fit.
        BackendError: fetching a repository needs huggingface_hub, which is missing.
    """
    KINDS[kind].check(given)
    try:
        return KINDS[kind].make(given, room)
    except FormatError as error:
        if given.has_files:
            raise
        absent(str(error))
        return None
