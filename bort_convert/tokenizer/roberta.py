"""A RoBERTa tokenizer of transformers: its vocabulary and its merges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.errors import FormatError
from bort_convert.tokenizer.folder import WHOLE, check_parts, ids_of, open_folder, part
from bort_convert.tokenizer.merges import merges_from_ranks, merges_of
from bort_convert.tokenizer.source import Source, kind_of, read_source
from bort_convert.tokenizer.tables import Vocabulary, tokens_by_id, vocabulary_of

if TYPE_CHECKING:
    import os

VOCABULARY: Final = "vocab.json"
MERGES: Final = "merges.txt"
# RoBERTa's vocabulary, which is Bort's, fills these roles and no others.
ROLES: Final = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unknown_token": "<unk>",
    "padding_token": "<pad>",
    "mask_token": "<mask>",
}


def read_tokenizer(tokenizer: str | os.PathLike[str]) -> tuple[Vocabulary, tuple[str, ...], list[Source]]:
    """The vocabulary and the merges of a directory or a repository, and the files that were read.

    Raises:
        FormatError: there is no such directory and no such repository, or no byte-level BPE in it.
        BackendError: huggingface_hub is needed and missing.
    """
    folder, names = open_folder(tokenizer, {VOCABULARY, MERGES, WHOLE})
    if {VOCABULARY, MERGES} <= names:
        sources = [read_source(folder / VOCABULARY), read_source(folder / MERGES)]
        vocabulary = _vocabulary(sources[0], sources[0].json())
        return vocabulary, merges_from_ranks(sources[1], vocabulary), sources
    if WHOLE in names:
        source = read_source(folder / WHOLE)
        vocabulary, merges = _whole(source)
        return vocabulary, merges, [source]
    raise FormatError(f"{tokenizer}: neither {VOCABULARY} with {MERGES} nor {WHOLE}, expected a RoBERTa tokenizer")


def _vocabulary(source: Source, ids: object) -> Vocabulary:
    return vocabulary_of(source, tokens_by_id(source, ids), ROLES, ROLES)


def _whole(source: Source) -> tuple[Vocabulary, tuple[str, ...]]:
    """Vocabulary and merges from a tokenizer.json, where the rest of it is RoBERTa's."""
    content = source.json()
    model, splitter = part(content, "model"), part(content, "pre_tokenizer")
    expected = {
        "model.type": (model.get("type"), "BPE"),
        "pre_tokenizer.type": (splitter.get("type"), "ByteLevel"),
        "pre_tokenizer.use_regex": (splitter.get("use_regex", True), True),
        "normalizer": (content.get("normalizer"), None),
    }
    check_parts(source, expected, "a byte-level BPE as RoBERTa's")
    merges = model.get("merges")
    if not isinstance(merges, list):
        raise FormatError(f"{source.path}: model.merges is {kind_of(merges)}, expected an array")
    vocabulary = _vocabulary(source, ids_of(source, content))
    joined = [" ".join(map(str, merge)) if isinstance(merge, list) else merge for merge in merges]
    return vocabulary, merges_of(source, joined, vocabulary)
