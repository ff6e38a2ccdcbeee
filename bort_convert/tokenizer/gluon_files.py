"""GluonNLP's files: the JSON of a `Vocab`, and where it keeps the published ones.

Source: gluonnlp 0.8.3, vocab/vocab.py (Vocab.to_json, from_json), vocab/bert.py (BERTVocab.from_json), data/utils.py
(_vocab_sha1), base.py (get_home_dir)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import FormatError, printable
from bort_convert.tokenizer.sources import Source, kind_of, read_source
from bort_convert.tokenizer.vocabulary import Vocabulary, vocabulary_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Before 0.7 these roles stood beside the tokens, not in an object of their own.
OLD_PLACE: Final = ("padding_token", "bos_token", "eos_token", "mask_token", "sep_token", "cls_token")


@dataclass(frozen=True)
class Published:
    """A file that GluonNLP downloads.

    Attributes:
        name: the file's name.
        sha1: what GluonNLP insists on, as hexadecimal digits.
        option: what our command line takes instead.
    """

    name: str
    sha1: str
    option: str


VOCABULARY: Final = Published(
    "openwebtext_ccnews_stories_books_cased-2b804f8f.vocab", "2b804f8f90f9f93c07994b703ce508725061cf43", "--vocab"
)
RANKS: Final = Published(
    "openai_webtext_bpe_ranks-396d4d8e.json", "396d4d8ec90cb02f4d56e049e0e4add868bcd943", "--bpe-ranks"
)


def models_folder() -> Path:
    """Where GluonNLP keeps what it downloads: `$MXNET_HOME/models`, or `~/.mxnet/models`."""
    home = os.environ.get("MXNET_HOME", "~/.mxnet")
    return Path(os.path.expanduser(home)) / "models"  # noqa: PTH111 - Path's own raises where there is no home


def read_published(file: Published) -> Source:
    """The copy of a published file that GluonNLP keeps on this machine.

    Raises:
        FormatError: it is not there, or is not the file that was published.
    """
    path = models_folder() / file.name
    try:
        source = read_source(path)
    except FormatError as error:
        raise FormatError(f"{error}. GluonNLP would keep it there; pass {file.option}, or --tokenizer") from error
    if source.sha1 != file.sha1:
        raise FormatError(
            f"{path} has the SHA-1 {source.sha1}, expected {file.sha1} according to GluonNLP: damaged, and not used. "
            f"Delete it and let GluonNLP fetch it again, or pass {file.option}"
        )
    return source


def vocabulary_from_json(source: Source, needed: Iterable[str]) -> Vocabulary:
    """The vocabulary that `Vocab.to_json` or `BERTVocab.to_json` wrote, of any GluonNLP 0.x.

    Args:
        source: the file.
        needed: the roles that must be filled.

    Raises:
        FormatError: the file is not of this kind, contradicts itself, or lacks a role.
    """
    content = source.json()
    if "idx_to_token" not in content:
        raise FormatError(f"{source.path}: no idx_to_token, expected the JSON of a GluonNLP vocabulary")
    vocabulary = vocabulary_of(source, content["idx_to_token"], _roles(source, content), needed)
    ids = content.get("token_to_idx")
    if not isinstance(ids, dict):
        raise FormatError(f"{source.path}: token_to_idx is {kind_of(ids)}, expected an object")
    expected = vocabulary.ids
    source.refuse(
        [
            f"token_to_idx gives {printable(repr(token))} the id {printable(repr(ids.get(token)))}, "
            f"idx_to_token {expected.get(token)!r}"
            for token in {**expected, **ids}
            if ids.get(token) != expected.get(token)
        ]
    )
    return vocabulary


def _roles(source: Source, content: Mapping[str, Any]) -> dict[str, object]:
    """Special tokens by what GluonNLP calls them."""
    roles = content.get("identifiers_to_tokens", {})
    if not isinstance(roles, dict):
        raise FormatError(f"{source.path}: identifiers_to_tokens is {kind_of(roles)}, expected an object")
    source.refuse(
        [
            f"{name} stands there twice, on top and in identifiers_to_tokens"
            for name in OLD_PLACE
            if content.get(name) is not None and name in roles
        ]
    )
    return {**{name: content.get(name) for name in ("unknown_token", *OLD_PLACE)}, **roles}
