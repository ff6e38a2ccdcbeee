"""A small file that a tokenizer is made from: read once, within a limit, and known by its digests."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

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
