"""SHA-256 of a stretch of an open file, read in pieces."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bort_convert.streams import read_pieces

if TYPE_CHECKING:
    from collections.abc import Callable

    from bort_convert.streams import FileRange


def sha256_of(part: FileRange, *, watch: Callable[[], None] = lambda: None) -> str:
    """The SHA-256 of a range, as hexadecimal digits.

    Two of them on two threads take no longer than one: hashlib lets go of the interpreter's lock. A thread that reads
    for itself hashes what is in its own processor's cache; handing it pieces costs more than reading them twice.

    Args:
        part: the range.
        watch: called after each piece; what it raises ends the work.

    Raises:
        FormatError: the file ends early: it was cut while it was being read.
    """
    digest = hashlib.sha256()
    for piece in read_pieces(part):
        digest.update(piece)
        watch()
    return digest.hexdigest()
