"""A small file that a tokenizer is made from: read once, within a limit, and known by its digests.

MERGED tokenizer.folder: A tokenizer of transformers in a directory or on the Hugging Face hub, and what every tokenizer.json has.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import BackendError, FormatError, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

# The published vocabulary has 1.7 MB, the largest vocabularies of any model some 20 MB.
LARGEST: Final = 64 << 20
# A faulty table has one mistake, or as many as it has rows.
SHOWN: Final = 5


@dataclass(frozen=True)
class Source:
    """A file that was read.

    Attributes:
        path: where it stands; messages name it.
        data: its bytes.
    """

    path: Path
    data: bytes

    @property
    def sha256(self) -> str:
        """As hexadecimal digits, for the manifest."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def sha1(self) -> str:
        """As hexadecimal digits; GluonNLP knows its files by it."""
        return hashlib.sha1(self.data, usedforsecurity=False).hexdigest()

    def text(self) -> str:
        """The text, with every end of line a line feed, as Python's text files give it.

        Raises:
            FormatError: the bytes are not UTF-8.
        """
        try:
            text = self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise FormatError(
                f"{self.path}: byte {error.start:,} is 0x{self.data[error.start]:02x}, expected UTF-8 text"
            ) from error
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def json(self) -> dict[str, Any]:
        """The JSON object that the file holds.

        Raises:
            FormatError: the file holds something else.
        """
        try:
            content = json.loads(self.text())
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{self.path}: expected JSON: {error}") from error
        if not isinstance(content, dict):
            raise FormatError(f"{self.path}: the JSON is {kind_of(content)}, expected an object")
        return content

    def refuse(self, problems: Sequence[str]) -> None:
        """Do nothing where there is no problem.

        Raises:
            FormatError: the first few of the problems, and how many there are.
        """
        if problems:
            rest = [f"and {len(problems) - SHOWN:,} more"] if len(problems) > SHOWN else []
            raise FormatError("\n  ".join((f"{self.path} cannot be used:", *problems[:SHOWN], *rest)))


def read_source(path: str | os.PathLike[str]) -> Source:
    """Read a file of the user's choice.

    Raises:
        FormatError: it cannot be read, or is far too large to be a tokenizer's.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise FormatError(f"{os.fspath(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > LARGEST:
        raise FormatError(f"{path}: more than {LARGEST:,} bytes, expected a vocabulary or merges of a few million")
    return Source(Path(path), data)


def kind_of(value: object) -> str:
    """What JSON calls a value, for messages."""
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


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
