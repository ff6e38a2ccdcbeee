"""GluonNLP's own files: the JSON of a `Vocab`, and the published files in its model cache.

Source: gluonnlp 0.8.3, vocab/vocab.py (Vocab.to_json, from_json), vocab/bert.py (BERTVocab.from_json), data/utils.py
base.py (get_home_dir); dmlc/gluon-nlp master at 14553a0c, data/vocab.py (Vocab.to_json), and the tables
of published models in models/ with their model_zoo_checksums
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import FormatError, printable
from bort_convert.tokenizer.sources import TokenizerFile, json_type, read_file
from bort_convert.tokenizer.vocabulary import Vocabulary, make_vocabulary
from bort_convert.zoo.vocabularies import OF_0_X

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Before 0.7 these roles stood beside the tokens, not in an object of their own.
# Roles that have another name in 1.0 -> their name in 0.x.
_ROLES_OF_1_0: Final = {"unk_token": "unknown_token", "pad_token": "padding_token"}
_OLD_ROLES: Final = ("padding_token", "bos_token", "eos_token", "mask_token", "sep_token", "cls_token")


@dataclass(frozen=True)
class PublishedFile:
    """A file that GluonNLP downloads.

    Attributes:
        name: its name in the model cache.
        sha1: its SHA-1 according to GluonNLP, as hexadecimal digits.
        option: name of the `TokenizerOptions` field that takes another file in its place.
    """

    name: str
    sha1: str
    option: str


_ROBERTA: Final = OF_0_X["openwebtext_ccnews_stories_books_cased"]
VOCABULARY: Final = PublishedFile(_ROBERTA.file, _ROBERTA.sha1, "vocab")
RANKS: Final = PublishedFile(
    "openai_webtext_bpe_ranks-396d4d8e.json", "396d4d8ec90cb02f4d56e049e0e4add868bcd943", "bpe_ranks"
)


def model_cache() -> Path:
    """The directory where GluonNLP keeps its downloads: `$MXNET_HOME/models`, or `~/.mxnet/models`."""
    home = os.environ.get("MXNET_HOME", "~/.mxnet")
    return Path(os.path.expanduser(home)) / "models"  # noqa: PTH111 - Path's own raises where there is no home


def read_published(published: PublishedFile) -> TokenizerFile:
    """Read a published file from the model cache.

    Raises:
        FormatError: the cache lacks the file, or its copy is damaged.
    """
    path = model_cache() / published.name
    try:
        file = read_file(path)
    except FormatError as error:
        raise FormatError(
            f"{error}. GluonNLP would keep it there; pass `{published.option}`, or `tokenizer`"
        ) from error
    if file.sha1 != published.sha1:
        raise FormatError(
            f"{path} has the SHA-1 {file.sha1}, expected {published.sha1} according to GluonNLP: damaged, and not "
            f"used. Delete it and let GluonNLP fetch it again, or pass `{published.option}`"
        )
    return file


def vocabulary_from_json(file: TokenizerFile, needed: Iterable[str]) -> Vocabulary:
    """Parse the JSON that `Vocab.to_json` of GluonNLP 1.0 wrote, or that or `BERTVocab.to_json` of any 0.x.

    Args:
        file: the file.
        needed: the roles that must have a token.

    Raises:
        FormatError: the file holds something else, contradicts itself, or lacks a role.
    """
    content = file.json()
    if "all_tokens" in content:
        return _vocabulary_of_1_0(file, content, needed)
    if "idx_to_token" not in content:
        raise FormatError(f"{file.path}: no idx_to_token, expected the JSON of a GluonNLP vocabulary")
    vocabulary = make_vocabulary(file, content["idx_to_token"], _roles(file, content), needed)
    ids = content.get("token_to_idx")
    if not isinstance(ids, dict):
        raise FormatError(f"{file.path}: token_to_idx is {json_type(ids)}, expected an object")
    expected = vocabulary.ids
    file.raise_for(
        [
            f"token_to_idx gives {printable(repr(token))} the id {printable(repr(ids.get(token)))}, "
            f"idx_to_token {expected.get(token)!r}"
            for token in {**expected, **ids}
            if ids.get(token) != expected.get(token)
        ]
    )
    return vocabulary


def _vocabulary_of_1_0(file: TokenizerFile, content: Mapping[str, Any], needed: Iterable[str]) -> Vocabulary:
    """Read the tokens by id, and the special tokens by 1.0's names of their roles."""
    roles = content.get("special_token_key_value")
    if not isinstance(roles, dict):
        raise FormatError(f"{file.path}: special_token_key_value is {json_type(roles)}, expected an object")
    named = {**roles, **{old: roles.get(new) for new, old in _ROLES_OF_1_0.items()}}
    return make_vocabulary(file, content["all_tokens"], named, needed)


def _roles(file: TokenizerFile, content: Mapping[str, Any]) -> dict[str, object]:
    """Collect the special tokens by role, from both places where releases of GluonNLP put them."""
    roles = content.get("identifiers_to_tokens", {})
    if not isinstance(roles, dict):
        raise FormatError(f"{file.path}: identifiers_to_tokens is {json_type(roles)}, expected an object")
    file.raise_for(
        [
            f"{name} occurs twice, at the top and in identifiers_to_tokens"
            for name in _OLD_ROLES
            if content.get(name) is not None and name in roles
        ]
    )
    return {**{name: content.get(name) for name in ("unknown_token", *_OLD_ROLES)}, **roles}
