"""A RoBERTa tokenizer of transformers, from a directory or the Hugging Face hub: its vocabulary and its merges."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

from bort_convert.errors import BackendError, FormatError, printable
from bort_convert.tokenizer.gluon import merges_from_ranks
from bort_convert.tokenizer.source import Source, kind_of, read_source
from bort_convert.tokenizer.tables import Vocabulary, merges_of, vocabulary_of

VOCABULARY: Final = "vocab.json"
MERGES: Final = "merges.txt"
BOTH: Final = "tokenizer.json"
ROLES: Final = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unknown_token": "<unk>",
    "padding_token": "<pad>",
    "mask_token": "<mask>",
}
REPOSITORY: Final = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def read_tokenizer(tokenizer: str | os.PathLike[str]) -> tuple[Vocabulary, tuple[str, ...], list[Source]]:
    """The vocabulary and the merges of a directory or a repository, and the files that were read.

    Raises:
        FormatError: there is no such directory and no such repository, or no byte-level BPE in it.
        BackendError: huggingface_hub is needed and missing.
    """
    try:
        folder = Path(tokenizer) if Path(tokenizer).is_dir() else _download(tokenizer)
        names = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise FormatError(f"{printable(os.fspath(tokenizer))} cannot be read: {error.strerror}") from error
    if {VOCABULARY, MERGES} <= names:
        sources = [read_source(folder / VOCABULARY), read_source(folder / MERGES)]
        vocabulary = _vocabulary(sources[0], sources[0].json())
        return vocabulary, merges_from_ranks(sources[1], vocabulary), sources
    if BOTH in names:
        source = read_source(folder / BOTH)
        vocabulary, merges = _both(source)
        return vocabulary, merges, [source]
    raise FormatError(f"{tokenizer}: neither {VOCABULARY} with {MERGES} nor {BOTH}, expected a RoBERTa tokenizer")


def _download(tokenizer: str | os.PathLike[str]) -> Path:
    """The folder into which huggingface_hub puts the files of a repository, or has put them before."""
    name = os.fspath(tokenizer)
    if not REPOSITORY.fullmatch(name):
        raise FormatError(
            f"{name!r}: no such directory, and not the OWNER/NAME of a repository on the Hugging Face hub"
        )
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415 - needed for this alone
    except ImportError as error:
        raise BackendError(
            f"{name} is no directory; fetching it needs huggingface_hub: pip install 'bort-convert[torch]'"
        ) from error
    try:
        return Path(snapshot_download(name, allow_patterns=[VOCABULARY, MERGES, BOTH]))
    except (OSError, ValueError) as error:
        reason = printable(str(error).partition("\n")[0].rstrip("."), 300)
        raise FormatError(
            f"{name}: no such directory, and the Hugging Face hub does not give it: {reason}. Pass a directory instead"
        ) from error


def _vocabulary(source: Source, ids: object) -> Vocabulary:
    """A vocabulary from an object that gives each token its id."""
    if not isinstance(ids, dict):
        raise FormatError(f"{source.path}: the vocabulary is {kind_of(ids)}, expected an object of tokens and ids")
    tokens: list[str | None] = [None] * len(ids)
    for token, number in ids.items():
        if type(number) is not int or not 0 <= number < len(tokens) or tokens[number] is not None:
            raise FormatError(
                f"{source.path}: {printable(repr(token))} has the id {printable(repr(number))}, "
                f"expected every number below {len(tokens):,} once"
            )
        tokens[number] = token
    return vocabulary_of(source, tokens, ROLES)


def _both(source: Source) -> tuple[Vocabulary, tuple[str, ...]]:
    """Vocabulary and merges from a tokenizer.json, where the rest of it is RoBERTa's."""
    content = source.json()
    model, splitter = _object(content, "model"), _object(content, "pre_tokenizer")
    found = {
        "model.type": model.get("type"),
        "pre_tokenizer.type": splitter.get("type"),
        "pre_tokenizer.use_regex": splitter.get("use_regex", True),
        "normalizer": content.get("normalizer"),
    }
    expected = {"model.type": "BPE", "pre_tokenizer.type": "ByteLevel", "pre_tokenizer.use_regex": True}
    source.refuse(
        [
            f"{key} is {printable(repr(value))}, expected {expected.get(key)!r}: a byte-level BPE as RoBERTa's"
            for key, value in found.items()
            if value != expected.get(key)
        ]
    )
    ids, added, merges = model.get("vocab"), content.get("added_tokens", []), model.get("merges")
    if not (isinstance(ids, dict) and isinstance(added, list) and isinstance(merges, list)):
        raise FormatError(f"{source.path}: expected model.vocab, model.merges and added_tokens")
    # A special token can stand in added_tokens alone.
    extra = {token.get("content"): token.get("id") for token in added if isinstance(token, dict)}
    vocabulary = _vocabulary(source, ids | extra)
    joined = [" ".join(map(str, merge)) if isinstance(merge, list) else merge for merge in merges]
    return vocabulary, merges_of(source, joined, vocabulary)


def _object(content: dict[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}
