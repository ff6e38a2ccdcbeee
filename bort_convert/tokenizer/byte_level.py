"""Read the tables of a byte-level BPE, RoBERTa's or GPT-2's, from GluonNLP's files or a transformers tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import FormatError, OptionError
from bort_convert.tokenizer.gluon_files import read_published, vocabulary_from_json
from bort_convert.tokenizer.sentencepiece_model import is_model
from bort_convert.tokenizer.sources import TokenizerFile, json_type, open_directory, read_file
from bort_convert.tokenizer.tokenizer_json import FILE_NAME, check_values, compact_json, section, token_ids
from bort_convert.tokenizer.vocabulary import Vocabulary, check_merges, make_vocabulary, read_merges, tokens_by_id

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from bort_convert.tokenizer.gluon_files import PublishedFile
    from bort_convert.tokenizer.kind import TokenizerOptions

VOCABULARY: Final = "vocab.json"
MERGES: Final = "merges.txt"
# The pre-tokenizer, which turns text into characters that stand for bytes, and the decoder, which turns them back.
BYTE_LEVEL: Final = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


@dataclass(frozen=True)
class BpeTables:
    """Tables of a byte-level BPE.

    Attributes:
        vocabulary: all tokens, special ones included.
        merges: by rank, each as "left right".
        sources: the files that were read.
    """

    vocabulary: Vocabulary
    merges: tuple[str, ...]
    sources: tuple[TokenizerFile, ...]

    @property
    def digests(self) -> dict[str, str]:
        """Name -> SHA-256 of each file that was read."""
        return {file.path.name: file.sha256 for file in self.sources}

    @property
    def files(self) -> dict[str, str]:
        """Texts of the files that hold the bare tables, by file name."""
        merges = "".join(f"{line}\n" for line in ("#version: 0.2", *self.merges))
        return {VOCABULARY: compact_json(self.vocabulary.ids), MERGES: merges}

    def model(self, unknown: str | None) -> dict[str, Any]:
        """The `model` of tokenizer.json; `unknown` is the token for a byte that the vocabulary lacks."""
        ids = self.vocabulary.ids
        return {"type": "BPE", "unk_token": unknown, "fuse_unk": False, "vocab": ids, "merges": self.merges}


def read_tables(
    options: TokenizerOptions, published: tuple[PublishedFile, PublishedFile], roles: Mapping[str, str]
) -> BpeTables:
    """Read the tables from the user's files; in place of a file that is not specified, from GluonNLP's model cache.

    Args:
        options: the user's files.
        published: the vocabulary and the ranks that GluonNLP downloads for such a model.
        roles: GluonNLP's name of a role -> its token in a transformers tokenizer. A GluonNLP vocabulary must fill the
            same roles, with any tokens.

    Raises:
        OptionError: `tokenizer` is specified together with `vocab` or `bpe_ranks`.
        FormatError: a file is missing, cannot be read or holds something else.
        BackendError: huggingface_hub is needed and missing.
    """
    if options.tokenizer is not None:
        if options.vocab is None and options.bpe_ranks is None:
            return _read_directory(options.tokenizer, roles)
        raise OptionError(
            "tokenizer",
            options.tokenizer,
            "stands for a vocabulary and its merges. Pass it, or `vocab` and `bpe_ranks`",
        )
    vocab, ranks = (
        read_published(file) if path is None else read_file(path)
        for path, file in zip((options.vocab, options.bpe_ranks), published, strict=True)
    )
    if is_model(vocab):
        raise FormatError(f"{vocab.path}: a SentencePiece model; a byte-level BPE cannot be made of one")
    vocabulary = vocabulary_from_json(vocab, tuple(roles))
    return BpeTables(vocabulary, read_merges(ranks, vocabulary), (vocab, ranks))


def _read_directory(tokenizer: str | os.PathLike[str], roles: Mapping[str, str]) -> BpeTables:
    """Read the tables of a transformers tokenizer in a directory or a repository."""
    folder, names = open_directory(tokenizer, {VOCABULARY, MERGES, FILE_NAME})
    if {VOCABULARY, MERGES} <= names:
        vocab, ranks = read_file(folder / VOCABULARY), read_file(folder / MERGES)
        vocabulary = _vocabulary(vocab, vocab.json(), roles)
        return BpeTables(vocabulary, read_merges(ranks, vocabulary), (vocab, ranks))
    if FILE_NAME in names:
        return _read_tokenizer_json(read_file(folder / FILE_NAME), roles)
    raise FormatError(f"{tokenizer}: neither {VOCABULARY} with {MERGES} nor {FILE_NAME}, expected a byte-level BPE")


def _read_tokenizer_json(file: TokenizerFile, roles: Mapping[str, str]) -> BpeTables:
    """Read the tables of a tokenizer.json, whose other components must read text as GluonNLP does."""
    content = file.json()
    model, pre_tokenizer = section(content, "model"), section(content, "pre_tokenizer")
    expected = {
        "model.type": (model.get("type"), "BPE"),
        "pre_tokenizer.type": (pre_tokenizer.get("type"), "ByteLevel"),
        "pre_tokenizer.use_regex": (pre_tokenizer.get("use_regex", True), True),
        "normalizer": (content.get("normalizer"), None),
    }
    check_values(file, expected, "a byte-level BPE as RoBERTa's and GPT-2's")
    merges = model.get("merges")
    if not isinstance(merges, list):
        raise FormatError(f"{file.path}: model.merges is {json_type(merges)}, expected an array")
    vocabulary = _vocabulary(file, token_ids(file, content), roles)
    joined = [" ".join(map(str, merge)) if isinstance(merge, list) else merge for merge in merges]
    return BpeTables(vocabulary, check_merges(file, joined, vocabulary), (file,))


def _vocabulary(file: TokenizerFile, ids: object, roles: Mapping[str, str]) -> Vocabulary:
    return make_vocabulary(file, tokens_by_id(file, ids), roles, roles)
