"""The tables of a byte-level BPE, RoBERTa's or GPT-2's: GluonNLP's files, or a tokenizer of transformers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import FormatError, VariantError
from bort_convert.tokenizer.gluon_files import read_published, vocabulary_from_json
from bort_convert.tokenizer.sources import WHOLE, Source, check_parts, ids_of, kind_of, open_folder, part, read_source
from bort_convert.tokenizer.tokenizer_json import compact
from bort_convert.tokenizer.vocabulary import Vocabulary, merges_from_ranks, merges_of, tokens_by_id, vocabulary_of

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from bort_convert.tokenizer.gluon_files import Published
    from bort_convert.tokenizer.kind import TokenizerOptions

VOCABULARY: Final = "vocab.json"
MERGES: Final = "merges.txt"
# How text becomes letters that stand for bytes, and how they become text again.
SPLITTER: Final = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


@dataclass(frozen=True)
class Tables:
    """What a byte-level BPE is made of.

    Attributes:
        vocabulary: the pieces and the special tokens.
        merges: by rank, each as "left right".
        sources: the files that were read.
    """

    vocabulary: Vocabulary
    merges: tuple[str, ...]
    sources: tuple[Source, ...]

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each file that was read, by its name."""
        return {source.path.name: source.sha256 for source in self.sources}

    @property
    def files(self) -> dict[str, str]:
        """The text of the files that hold the tables alone, by the name of the file."""
        merges = "".join(f"{line}\n" for line in ("#version: 0.2", *self.merges))
        return {VOCABULARY: compact(self.vocabulary.ids), MERGES: merges}

    def model(self, unknown: str | None) -> dict[str, Any]:
        """The model in tokenizer.json; `unknown` stands for each byte without a token."""
        ids = self.vocabulary.ids
        return {"type": "BPE", "unk_token": unknown, "fuse_unk": False, "vocab": ids, "merges": self.merges}


def read_tables(given: TokenizerOptions, published: tuple[Published, Published], roles: Mapping[str, str]) -> Tables:
    """The tables, from what was given; where a file was not, from the one that GluonNLP keeps on this machine.

    Args:
        given: the files.
        published: the vocabulary and the ranks that GluonNLP downloads for such a model.
        roles: the special tokens of such a tokenizer of transformers, by what GluonNLP calls their roles; a GluonNLP
            vocabulary must fill the same roles, with whichever tokens.

    Raises:
        VariantError: `tokenizer` and one of the others are given.
        FormatError: a file cannot be read, or is none of these.
        BackendError: huggingface_hub is needed and missing.
    """
    if given.tokenizer is not None:
        if given.vocab is None and given.bpe_ranks is None:
            return _read_folder(given.tokenizer, roles)
        raise VariantError("--tokenizer stands for a vocabulary and its merges: pass it, or --vocab and --bpe-ranks")
    vocab, ranks = (
        read_published(file) if path is None else read_source(path)
        for path, file in zip((given.vocab, given.bpe_ranks), published, strict=True)
    )
    vocabulary = vocabulary_from_json(vocab, tuple(roles))
    return Tables(vocabulary, merges_from_ranks(ranks, vocabulary), (vocab, ranks))


def _read_folder(tokenizer: str | os.PathLike[str], roles: Mapping[str, str]) -> Tables:
    """The tables in a directory or a repository."""
    folder, names = open_folder(tokenizer, {VOCABULARY, MERGES, WHOLE})
    if {VOCABULARY, MERGES} <= names:
        vocab, ranks = read_source(folder / VOCABULARY), read_source(folder / MERGES)
        vocabulary = _vocabulary(vocab, vocab.json(), roles)
        return Tables(vocabulary, merges_from_ranks(ranks, vocabulary), (vocab, ranks))
    if WHOLE in names:
        return _whole(read_source(folder / WHOLE), roles)
    raise FormatError(f"{tokenizer}: neither {VOCABULARY} with {MERGES} nor {WHOLE}, expected a byte-level BPE")


def _vocabulary(source: Source, ids: object, roles: Mapping[str, str]) -> Vocabulary:
    return vocabulary_of(source, tokens_by_id(source, ids), roles, roles)


def _whole(source: Source, roles: Mapping[str, str]) -> Tables:
    """The tables of a tokenizer.json, where the rest of it reads text as GluonNLP does."""
    content = source.json()
    model, splitter = part(content, "model"), part(content, "pre_tokenizer")
    expected = {
        "model.type": (model.get("type"), "BPE"),
        "pre_tokenizer.type": (splitter.get("type"), "ByteLevel"),
        "pre_tokenizer.use_regex": (splitter.get("use_regex", True), True),
        "normalizer": (content.get("normalizer"), None),
    }
    check_parts(source, expected, "a byte-level BPE as RoBERTa's and GPT-2's")
    merges = model.get("merges")
    if not isinstance(merges, list):
        raise FormatError(f"{source.path}: model.merges is {kind_of(merges)}, expected an array")
    vocabulary = _vocabulary(source, ids_of(source, content), roles)
    joined = [" ".join(map(str, merge)) if isinstance(merge, list) else merge for merge in merges]
    return Tables(vocabulary, merges_of(source, joined, vocabulary), (source,))
