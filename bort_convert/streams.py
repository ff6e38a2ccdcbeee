"""Bytes from one open file to another: copied inside the kernel where it can, else read and written in pieces.

Nothing here maps a file: a mapped page counts as resident memory, and a conversion should need none to speak of.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bort_convert.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIECE: Final = 4 << 20
"""Bytes per read: large enough that calls cost nothing, small enough to hold in memory without a thought."""

_NO_KERNEL_COPY: Final = frozenset(
    code
    for name in ("ENOSYS", "EXDEV", "EINVAL", "EOPNOTSUPP", "ENOTSOCK", "EPERM", "EBADF")
    if (code := getattr(errno, name, None)) is not None
)


@dataclass(frozen=True)
class FileRange:
    """`size` bytes from byte `offset` of the open file `descriptor`."""

    descriptor: int
    offset: int
    size: int


def read_pieces(source: FileRange) -> Iterator[bytes]:
    """The bytes of a range in pieces of `PIECE` bytes, the last one shorter.

    Raises:
        OutputError: the file ends early: it was cut while it was being read.
    """
    for start in range(0, source.size, PIECE):
        size = min(PIECE, source.size - start)
        piece = _read_at(source.descriptor, size, source.offset + start)
        if len(piece) != size:
            raise _ended(source, start + len(piece))
        yield piece


def same_bytes(one: FileRange, other: FileRange) -> bool:
    """Whether two ranges hold the same bytes."""
    pieces = zip(read_pieces(one), read_pieces(other), strict=True)
    return one.size == other.size and all(mine == theirs for mine, theirs in pieces)


def copy_range(source: FileRange, target: int) -> None:
    """Copy a range to the current position of the open file `target`.

    On Linux the bytes stay in the kernel (`copy_file_range`, which on some file systems shares them and copies nothing;
    else `sendfile`); where the kernel cannot, they are read and written in pieces.
    """
    done = _copy_in_kernel(source, target)
    for piece in read_pieces(FileRange(source.descriptor, source.offset + done, source.size - done)):
        write_all(target, piece)


def write_all(target: int, data: bytes | memoryview) -> None:
    """Write every byte, in as many calls as the system needs."""
    view = memoryview(data)
    while view:
        view = view[os.write(target, view[:PIECE]) :]


def _copy_in_kernel(source: FileRange, target: int) -> int:
    """Copy as much as the kernel will, by the better way first; give the number of bytes that it copied."""
    done = _copy_by(_copy_file_range, source, 0, target)
    return _copy_by(_sendfile, source, done, target)


def _copy_by(call: Callable[[FileRange, int, int], int], source: FileRange, done: int, target: int) -> int:
    """Copy on from byte `done` for as long as a system call will; give the byte reached."""
    try:
        # Some file systems give 0 for what they cannot copy; a source that really ended fails in the next read.
        while done < source.size and (copied := call(source, done, target)):
            done += copied
    except OSError as error:
        if error.errno not in _NO_KERNEL_COPY:
            raise
    return done


def _copy_file_range(source: FileRange, done: int, target: int) -> int:
    if not hasattr(os, "copy_file_range"):
        return 0
    return os.copy_file_range(source.descriptor, target, source.size - done, source.offset + done)


def _sendfile(source: FileRange, done: int, target: int) -> int:
    if not hasattr(os, "sendfile"):
        return 0
    return os.sendfile(target, source.descriptor, source.offset + done, source.size - done)


def _read_at(descriptor: int, size: int, offset: int) -> bytes:
    """`size` bytes from `offset`, or fewer where the file ends."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, size)


def _ended(source: FileRange, done: int) -> OutputError:
    return OutputError(
        f"the source ended at byte {source.offset + done:,} while it was being read; expected {source.size - done:,} "
        "more bytes (it was whole when it was opened). Did something truncate or replace it? Convert again"
    )
