"""GluonNLP's tokenizer as files that transformers' AutoTokenizer loads: byte-level BPE, as in GPT-2, RoBERTa and Bort.

The ids are those of `GPT2BPETokenizer` and `Vocab`, between `<s>` and `</s>`; docs/decisions/0022-tokenizer.md names
what differs. Only the standard library is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bort_convert.errors import FormatError, VariantError
from bort_convert.tokenizer.gluon import RANKS, VOCABULARY, merges_from_ranks, read_published, vocabulary_from_json
from bort_convert.tokenizer.roberta import read_tokenizer
from bort_convert.tokenizer.source import read_source
from bort_convert.tokenizer.writing import write_files

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from bort_convert.tokenizer.source import Source
    from bort_convert.tokenizer.tables import Vocabulary

__all__ = ["Tokenizer", "find_tokenizer"]


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer, ready to be written beside a model.

    Attributes:
        files: the text of each file by its name, to be written in UTF-8.
        sources: the SHA-256 of each file that it was made from, by its name without a directory.
    """

    files: Mapping[str, str]
    sources: Mapping[str, str]


def find_tokenizer(
    *,
    size: int,
    max_length: int,
    vocab: str | os.PathLike[str] | None = None,
    bpe_ranks: str | os.PathLike[str] | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    roberta_pairs: bool = False,
    absent: Callable[[str], object] = lambda _reason: None,
) -> Tokenizer | None:
    """The tokenizer of a checkpoint, from the files that are given or those that GluonNLP keeps on this machine.

    Args:
        size: rows of the word embedding; the vocabulary must have as many tokens.
        max_length: how many tokens the model takes, special ones included.
        vocab: a GluonNLP vocabulary, the JSON of a `Vocab`.
        bpe_ranks: the merges that belong to it, a line each. Of `vocab` and `bpe_ranks`, the one that is not given is
            looked for where GluonNLP keeps the published one.
        tokenizer: instead of these two, a directory or a hub repository with a RoBERTa tokenizer.
        roberta_pairs: put two `</s>` between the texts of a pair, as RoBERTa does, and not one, as Bort does.
        absent: told why there is none, where nothing was given and None is returned.

    Returns:
        None where nothing was given, and GluonNLP keeps nothing here that fits.

    Raises:
        VariantError: `tokenizer` and one of the others are given.
        FormatError: what was given cannot be read or does not fit.
        BackendError: fetching a repository needs huggingface_hub, which is missing.
    """
    if tokenizer is not None and not (vocab is None and bpe_ranks is None):
        raise VariantError("--tokenizer stands for a vocabulary and its merges: pass it, or --vocab and --bpe-ranks")
    try:
        if tokenizer is None:
            vocabulary, merges, sources = _read_gluonnlp(vocab, bpe_ranks)
        else:
            vocabulary, merges, sources = read_tokenizer(tokenizer)
        vocabulary.check_size(size)
    except FormatError as error:
        if any(given is not None for given in (vocab, bpe_ranks, tokenizer)):
            raise
        absent(str(error))
        return None
    files = write_files(vocabulary, merges, max_length=max_length, roberta_pairs=roberta_pairs)
    return Tokenizer(files, {source.path.name: source.sha256 for source in sources})


def _read_gluonnlp(
    vocab: str | os.PathLike[str] | None, bpe_ranks: str | os.PathLike[str] | None
) -> tuple[Vocabulary, tuple[str, ...], list[Source]]:
    sources = [
        read_published(published) if path is None else read_source(path)
        for path, published in ((vocab, VOCABULARY), (bpe_ranks, RANKS))
    ]
    vocabulary = vocabulary_from_json(sources[0])
    return vocabulary, merges_from_ranks(sources[1], vocabulary), sources
