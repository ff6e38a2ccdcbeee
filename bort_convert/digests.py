"""SHA-256 of a file and of ranges in it, in one pass: each byte is read once and fed to both digests."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
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
    digest, ranges = hashlib.sha256(), _Ranges(parts)
    hashing: list[Future[None]] = []
    position = whole.offset
    # hashlib lets go of the interpreter's lock: both digests of a piece are computed side by side, and meanwhile the
    # next piece is read.
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        for piece in read_pieces(whole, alive=2):
            for work in hashing:
                work.result()
            hashing = [one.submit(digest.update, piece), other.submit(ranges.update, position, piece)]
            position += len(piece)
            watch()
        for work in hashing:
            work.result()
    return digest.hexdigest(), ranges.hexdigests()


class _Ranges:
    """Digests of ranges that do not overlap, fed with the bytes around them in order."""

    def __init__(self, parts: Mapping[str, FileRange]) -> None:
        self._digests = {name: hashlib.sha256() for name in parts}
        ends = ((part.offset, part.offset + part.size, name) for name, part in parts.items())
        self._waiting = sorted(ends, reverse=True)  # the next one stands last

    def update(self, position: int, piece: memoryview) -> None:
        """Take the bytes that stand at a position of the file."""
        end = position + len(piece)
        while self._waiting and self._waiting[-1][0] < end:
            start, stop, name = self._waiting.pop()
            self._digests[name].update(piece[max(start - position, 0) : stop - position])
            if stop > end:
                self._waiting.append((end, stop, name))
                break

    def hexdigests(self) -> dict[str, str]:
        return {name: digest.hexdigest() for name, digest in self._digests.items()}
