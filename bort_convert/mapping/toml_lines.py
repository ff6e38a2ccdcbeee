"""Find the line of each key and each row in a TOML document, which its parser does not tell.

The document must have been parsed before: of what is no TOML nothing is promised.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator

Place: TypeAlias = tuple[str | int, ...]
"""A key or a row by its way from the top: `("title",)`, `("rows", 0)`, `("rows", 0, "axes")`."""

_TOKEN: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{1,2}(?!"))?'  # up to two quotes may stand before the three that close a text
    r"|'''.*?'''(?:'{1,2}(?!'))?"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*|[\[\]{}=,\n]|[^\[\]{}=,\n\"'#]+",
    re.DOTALL,
)
_OPENING: Final = frozenset("[{")
_CLOSING: Final = frozenset("]}")


def line_numbers(text: str) -> dict[Place, int]:
    """Map keys at the top, keys of tables, rows of arrays, and keys of rows to their lines, from 1 on.

    A dotted key counts by its first part. Keys deeper than those of a row are left out.

    Args:
        text: a TOML document.
    """
    found: dict[Place, int] = {}
    rows: Counter[str] = Counter()
    table: Place = ()
    for line, words in _statements(text):
        if words[0] != "[":
            key = _bare(words[0])
            found.setdefault((*table, key), line)
            if not table:
                found |= _inline_rows(key, line, words)
        elif words[1:2] == ["["]:
            name = _bare(words[2])
            table = (name, rows[name])
            rows[name] += 1
            found[table] = line
        else:
            table = (_bare(words[1]),)
            found.setdefault(table, line)
    return found


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """The statements of a document: line of the first token, and all tokens but comments; line ends in brackets too."""
    line = start = 1
    depth, words = 0, list[str]()
    for match in _TOKEN.finditer(text):
        word = match[0] if match[0] == "\n" else match[0].strip()
        if word == "\n" and not depth:
            if words:
                yield start, words
            words = []
        elif word and not word.startswith("#"):
            if not words:
                start = line
            words.append(word)
            depth += (word in _OPENING) - (word in _CLOSING)
        line += match[0].count("\n")
    if words:
        yield start, words


def _inline_rows(key: str, line: int, words: list[str]) -> dict[Place, int]:
    """Lines of the rows `{...}` of an array, and of their keys."""
    found: dict[Place, int] = {}
    depth, row = 0, -1
    for before, word in pairwise(words):
        depth += (word in _OPENING) - (word in _CLOSING)
        if "\n" in word:
            line += word.count("\n")
        elif word == "{" and depth == 2:  # noqa: PLR2004 - a table in an array
            row += 1
            found[key, row] = line
        elif depth == 2 and row >= 0 and before in {"{", ","}:  # noqa: PLR2004
            found.setdefault((key, row, _bare(word)), line)
    return found


def _bare(key: str) -> str:
    """The first part of a key, without quotes and escapes."""
    if key.startswith(('"', "'")):
        first: str = tomllib.loads(f"key = {key}")["key"]
        return first
    return key.partition(".")[0].strip()
