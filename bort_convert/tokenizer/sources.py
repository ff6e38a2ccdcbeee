"""Read the files that a tokenizer is made from: single files, a directory, or a repository on the Hugging Face hub."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import BackendError, FormatError, install_hint, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

# The published vocabulary has 1.7 MB, the largest vocabularies of any model some 20 MB.
MAX_BYTES: Final = 64 << 20
# A faulty table has one mistake, or as many as it has rows.
_MAX_PROBLEMS: Final = 5
_REPOSITORY: Final = re.compile(r"\w[\w.-]*/\w[\w.-]*")


@dataclass(frozen=True)
class TokenizerFile:
    """A file that was read.

    Attributes:
        path: its path, for messages.
        data: its bytes.
    """

    path: Path
    data: bytes

    @property
    def sha256(self) -> str:
        """SHA-256 as hexadecimal digits, for the manifest."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def sha1(self) -> str:
        """SHA-1 as hexadecimal digits, by which GluonNLP knows the files that it publishes."""
        return hashlib.sha1(self.data, usedforsecurity=False).hexdigest()

    def text(self) -> str:
        r"""Decode the file; every end of line becomes `\n`, as in Python's text files.

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
        """Parse the file as a JSON object.

        Raises:
            FormatError: the file holds something else.
        """
        try:
            content = json.loads(self.text())
        except RecursionError as error:
            raise FormatError(f"{self.path}: expected JSON: it is nested too deeply") from error
        except ValueError as error:
            raise FormatError(f"{self.path}: expected JSON: {error}") from error
        if not isinstance(content, dict):
            raise FormatError(f"{self.path}: the JSON is {json_type(content)}, expected an object")
        return content

    def raise_for(self, problems: Sequence[str]) -> None:
        """Raise an error for problems with this file; do nothing if there are none.

        Raises:
            FormatError: the first few problems, and the number of the others.
        """
        if problems:
            hidden = len(problems) - _MAX_PROBLEMS
            rest = [f"and {hidden:,} more"] if hidden > 0 else []
            raise FormatError("\n  ".join((f"{self.path} cannot be used:", *problems[:_MAX_PROBLEMS], *rest)))


def read_file(path: str | os.PathLike[str]) -> TokenizerFile:
    """Read a file of a tokenizer.

    Raises:
        FormatError: the file cannot be read, or is far too large for a tokenizer's.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise FormatError(f"{os.fspath(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_BYTES:
        raise FormatError(f"{path}: more than {MAX_BYTES:,} bytes, expected a vocabulary or merges of a few million")
    return TokenizerFile(Path(path), data)


def open_directory(tokenizer: str | os.PathLike[str], wanted: Collection[str]) -> tuple[Path, frozenset[str]]:
    """Find a directory, or download a repository into one.

    Args:
        tokenizer: path of the directory, or OWNER/NAME of the repository.
        wanted: names of files.

    Returns:
        The directory, and the names of the wanted files that it has.

    Raises:
        FormatError: there is no such directory and no such repository.
        BackendError: huggingface_hub is needed and missing.
    """
    try:
        folder = Path(tokenizer) if Path(tokenizer).is_dir() else _download(tokenizer, wanted)
        return folder, frozenset(path.name for path in folder.iterdir()) & frozenset(wanted)
    except OSError as error:
        raise FormatError(f"{printable(os.fspath(tokenizer))} cannot be read: {error.strerror}") from error


def json_type(value: object) -> str:
    """Name the JSON type of a value, for messages."""
    types = {dict: "an object", list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return types.get(type(value), "a number")


def _download(tokenizer: str | os.PathLike[str], wanted: Collection[str]) -> Path:
    """Have huggingface_hub download a repository's files, or find them in its cache."""
    name = os.fspath(tokenizer)
    if not _REPOSITORY.fullmatch(name):
        raise FormatError(
            f"{name!r}: no such directory, and not the OWNER/NAME of a repository on the Hugging Face hub"
        )
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415 - needed only here, and optional
    except ImportError as error:
        raise BackendError(
            f"{name} is no directory; fetching it needs huggingface_hub: {install_hint('torch')}"
        ) from error
    try:
        return Path(snapshot_download(name, allow_patterns=[*wanted]))
    except (OSError, ValueError) as error:
        reason = printable(str(error).partition("\n")[0].rstrip("."), 300)
        raise FormatError(
            f"{name}: no such directory, and the Hugging Face hub does not give it: {reason}. Pass a directory instead"
        ) from error
