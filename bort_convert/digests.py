"""SHA-256 of a file and of ranges in it, in one pass: each byte is read once and fed to both digests."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bort_convert.streams import read_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bort_convert.streams import FileRange


def sha256_of(
    whole: FileRange, parts: Mapping[str, FileRange], *, watch: Callable[[], None] = lambda: None
) -> tuple[str, dict[str, str]]:
    """The SHA-256 of a range, and by name those of ranges inside it that do not overlap, as hexadecimal digits.

    Args:
        whole: the range.
        parts: the ranges inside it.
        watch: called after each piece; what it raises ends the work.

    Raises:
        FormatError: the file ends early: it was cut while it was being read.
    """
    digest = hashlib.sha256()
    digests = {name: hashlib.sha256() for name in parts}
    waiting = sorted(((part.offset, part.offset + part.size, name) for name, part in parts.items()), reverse=True)
    position = whole.offset
    with ThreadPoolExecutor(1) as pool:
        for piece in read_pieces(whole):
            # hashlib lets go of the interpreter's lock: the two digests of a piece are computed side by side.
            hashing = pool.submit(digest.update, piece)
            end = position + len(piece)
            while waiting and waiting[-1][0] < end:
                start, stop, name = waiting.pop()
                digests[name].update(piece[max(start - position, 0) : stop - position])
                if stop > end:
                    waiting.append((end, stop, name))
                    break
            hashing.result()
            watch()
            position = end
    return digest.hexdigest(), {name: part.hexdigest() for name, part in digests.items()}
