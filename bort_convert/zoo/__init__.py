"""The files that GluonNLP publishes, as data: name, size, SHA-1, vocabulary, casing, licence; and which file is which.

A file is one of them if its SHA-1 is that which GluonNLP states. Only files that can be one are hashed: those of a
published size, and those of 0.x, whose sizes GluonNLP does not state, by their names too.
"""

from __future__ import annotations

import difflib
from functools import cache
from typing import TYPE_CHECKING

from bort_convert.errors import OptionError
from bort_convert.zoo.entry import Origin, Vocabulary, ZooEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Origin", "Vocabulary", "ZooEntry", "find_entries", "find_entry", "recognise", "zoo_entries"]


@cache
def zoo_entries() -> tuple[ZooEntry, ...]:
    """Give every file that GluonNLP publishes: those of 0.x, then those of 1.0.

    Examples:
        >>> cased = [entry for entry in bort_convert.zoo_entries() if entry.family == "bert" and not entry.lower_case]
        >>> cased[0].name, cased[0].sha1[:8], cased[0].size
        ('bert_12_768_12_book_corpus_wiki_en_cased', '5656dac6', 524826043)
    """
    from bort_convert.zoo import gluonnlp_0, gluonnlp_1  # noqa: PLC0415 - the lists are made when they are needed

    return (*gluonnlp_0.entries(), *gluonnlp_1.entries())


def find_entries(name: str) -> tuple[ZooEntry, ...]:
    """Give the entry of a name, or all files of a model.

    Raises:
        OptionError: there is none; the message has names that resemble it.
    """
    found = tuple(entry for entry in zoo_entries() if name in {entry.name, entry.model, entry.file})
    if not found:
        names = sorted({known for entry in zoo_entries() for known in (entry.name, entry.model)})
        similar = difflib.get_close_matches(name, names, n=3)
        advice = f"did you mean {', '.join(similar)}?" if similar else "`bort-convert zoo` lists all"
        raise OptionError("name", name, f"GluonNLP publishes no such model; {advice}")
    return found


def find_entry(name: str) -> ZooEntry | None:
    """Give the entry of a name; None for "" and for one that this version does not know."""
    return next((entry for entry in zoo_entries() if entry.name == name), None) if name else None


def recognise(
    name: str, size: int, sha1: Callable[[], str], known: Iterable[ZooEntry] | None = None
) -> ZooEntry | None:
    """Tell which published file a file is, by its size and then its SHA-1.

    Args:
        name: name of the file.
        size: its bytes.
        sha1: gives its SHA-1 as hexadecimal digits; called only if a published file can be meant.
        known: the published files; by default all.

    Returns:
        None if it is none of them, however much it resembles one.
    """
    candidates = [
        entry
        for entry in (zoo_entries() if known is None else known)
        if entry.size == size or (entry.gluonnlp == "0.x" and entry.file == name)
    ]
    if not candidates:
        return None
    digest = sha1()
    return next((entry for entry in candidates if entry.sha1 == digest), None)
