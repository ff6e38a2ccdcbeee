"""A tokenizer of transformers in a directory or on the Hugging Face hub, and what every tokenizer.json has."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import BackendError, FormatError, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bort_convert.tokenizer.source import Source

WHOLE: Final = "tokenizer.json"
_REPOSITORY: Final = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def open_folder(tokenizer: str | os.PathLike[str], wanted: Collection[str]) -> tuple[Path, frozenset[str]]:
    """The directory of that name, or one with what a repository holds, and the names of the wanted files in it.

    Raises:
        FormatError: there is no such directory and no such repository.
        BackendError: huggingface_hub is needed and missing.
    """
    try:
        folder = Path(tokenizer) if Path(tokenizer).is_dir() else _download(tokenizer, wanted)
        return folder, frozenset(path.name for path in folder.iterdir()) & frozenset(wanted)
    except OSError as error:
        raise FormatError(f"{printable(os.fspath(tokenizer))} cannot be read: {error.strerror}") from error


def part(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object in a tokenizer.json; an empty one where something else stands there."""
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def check_parts(source: Source, expected: Mapping[str, tuple[object, object]], title: str) -> None:
    """See that a tokenizer is of the kind that is wanted.

    Args:
        source: the file, for messages.
        expected: for each key what was found and what was expected.
        title: the kind, for messages.

    Raises:
        FormatError: something differs.
    """
    source.refuse(
        [
            f"{key} is {printable(repr(found))}, expected {wanted!r}: {title}"
            for key, (found, wanted) in expected.items()
            if found != wanted
        ]
    )


def ids_of(source: Source, content: Mapping[str, Any]) -> dict[str, Any]:
    """What a tokenizer.json gives as the id of each token; a special token can stand in added_tokens alone.

    Raises:
        FormatError: the tables are not there.
    """
    ids, added = part(content, "model").get("vocab"), content.get("added_tokens", [])
    if not (isinstance(ids, dict) and isinstance(added, list)):
        raise FormatError(f"{source.path}: expected model.vocab and added_tokens")
    extra = [token for token in added if isinstance(token, dict) and isinstance(token.get("content"), str)]
    return ids | {token["content"]: token.get("id") for token in extra}


def _download(tokenizer: str | os.PathLike[str], wanted: Collection[str]) -> Path:
    """The folder into which huggingface_hub puts the files of a repository, or has put them before."""
    name = os.fspath(tokenizer)
    if not _REPOSITORY.fullmatch(name):
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
        return Path(snapshot_download(name, allow_patterns=[*wanted]))
    except (OSError, ValueError) as error:
        reason = printable(str(error).partition("\n")[0].rstrip("."), 300)
        raise FormatError(
            f"{name}: no such directory, and the Hugging Face hub does not give it: {reason}. Pass a directory instead"
        ) from error
