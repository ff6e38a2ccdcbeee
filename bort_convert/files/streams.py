"""Byte ranges of open files: read, copy in the kernel, compare and hash them.

Nothing here maps a file: a mapped page counts as resident memory, and a conversion should need none to speak of.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bort_convert.dtypes import numpy_dtype
from bort_convert.errors import FormatError
from bort_convert.lazy_numpy import np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from bort_convert.dtypes import Array, Shape, TensorSpec

    Payload = Callable[[str], "FileRange | bytes | Iterable[Array]"]
    """The values of a tensor, by its name: bytes that are written as they are, or arrays that hold them in pieces."""

PIECE: Final = 1 << 20
"""Bytes per read: large enough that calls cost nothing, small enough to stay in a processor's cache."""

_POSITION: Final = threading.Lock()
"""Where reading moves the file's position, one thread at a time may do it."""

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


def read_pieces(source: FileRange) -> Iterator[memoryview]:
    """The bytes of a range in pieces of `PIECE` bytes, the last one shorter; each is gone when the next one comes.

    Raises:
        FormatError: the file ends early (it was cut while it was being read), or the system cannot read it.
    """
    buffer = memoryview(bytearray(min(PIECE, source.size)))
    for start in range(0, source.size, PIECE):
        piece = buffer[: source.size - start]
        found = read_into(piece, source.descriptor, source.offset + start)
        if found != len(piece):
            raise _ended(source, start + found)
        yield piece


def flat_arrays(values: FileRange | Array, dtype: str) -> Iterator[Array]:
    """A tensor's values as flat arrays of `PIECE` bytes or less; no more of a file is read at once.

    Args:
        values: any shape; in a file, little-endian and in C order.
        dtype: that they have.
    """
    if isinstance(values, FileRange):
        for piece in read_pieces(values):
            yield np.frombuffer(piece, numpy_dtype(dtype))
    else:
        flat = np.ascontiguousarray(values).reshape(-1)
        step = PIECE // flat.itemsize
        for start in range(0, flat.size, step):
            yield flat[start : start + step]


def array_bytes(array: Array) -> Iterator[memoryview]:
    """The little-endian C-order bytes of an array in pieces; an array that has them so is not copied."""
    flat = np.ascontiguousarray(array, numpy_dtype(array.dtype.name)).reshape(-1).view(np.uint8)
    for start in range(0, flat.size, PIECE):
        yield flat[start : start + PIECE].data


def sha256_of(values: FileRange | Array, *, watch: Callable[[], None] = lambda: None) -> str:
    """Hash a range of a file, or the bytes of an array.

    hashlib releases the interpreter's lock: two calls on two threads take no longer than one. A thread that reads for
    itself hashes what is in its own processor's cache; handing it pieces costs more than reading them twice.

    Args:
        values: the range, or the array as its little-endian C-order bytes.
        watch: called after each piece; an exception that it raises ends the work.

    Returns:
        The SHA-256 as hexadecimal digits.

    Raises:
        FormatError: the file ends early: it was cut while it was being read.
    """
    digest = hashlib.sha256()
    for piece in read_pieces(values) if isinstance(values, FileRange) else array_bytes(values):
        digest.update(piece)
        watch()
    return digest.hexdigest()


def sha256_of_file(path: Path, size: int | None = None) -> str:
    """Hash the first `size` bytes of a file, or all of them."""
    with path.open("rb") as file:
        return sha256_of(FileRange(file.fileno(), 0, os.fstat(file.fileno()).st_size if size is None else size))


@dataclass(frozen=True)
class BitDifference:
    """Values of two tensors that have other bits.

    Attributes:
        count: values that differ.
        size: values of the tensor.
        first: index of the first value that differs.
    """

    count: int
    size: int
    first: Shape


def bit_difference(one: FileRange | Array, other: FileRange | Array, spec: TensorSpec) -> BitDifference | None:
    """Compare two tensors of one dtype and shape bit by bit; None if they are equal.

    Args:
        one: its values, little-endian and in C order where they stand in a file.
        other: likewise.
        spec: dtype and shape of both.
    """
    if isinstance(one, FileRange) and isinstance(other, FileRange) and same_bytes(one, other):
        return None
    count, first, start = 0, 0, 0
    for mine, theirs in zip(flat_arrays(one, spec.dtype), flat_arrays(other, spec.dtype), strict=True):
        bits = f"u{mine.itemsize}"
        different = mine.view(bits) != theirs.view(bits)
        if not count and different.any():
            first = start + int(different.argmax())
        count += int(np.count_nonzero(different))
        start += mine.size
    position = tuple(int(index) for index in np.unravel_index(first, spec.shape)) if count else ()
    return BitDifference(count, start, position) if count else None


def same_bytes(one: FileRange, other: FileRange, *, watch: Callable[[], None] = lambda: None) -> bool:
    """True if two ranges hold the same bytes; an exception that `watch` raises before a piece ends the work."""
    if one.size != other.size:
        return False
    # Memoryviews are compared value by value, the bytearrays behind them many at a time. What a last, shorter piece
    # leaves in those is of the pieces before it, which were equal.
    for mine, theirs in zip(read_pieces(one), read_pieces(other), strict=True):
        watch()
        if mine.obj != theirs.obj:
            return False
    return True


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


def read_into(buffer: memoryview, descriptor: int, offset: int) -> int:
    """Fill a buffer of bytes from byte `offset`; give the bytes read, fewer only where the file ends.

    Raises:
        FormatError: the system cannot read the file.
    """
    done = 0
    try:
        while done < len(buffer) and (found := _read_some(buffer[done:], descriptor, offset + done)):
            done += found
    except OSError as error:
        raise FormatError(
            f"the source cannot be read at byte {offset + done:,}: {error.strerror or error}. Is its disk in order?"
        ) from error
    return done


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


def _read_some(buffer: memoryview, descriptor: int, offset: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [buffer], offset)
    with _POSITION:
        os.lseek(descriptor, offset, os.SEEK_SET)
        found = os.read(descriptor, len(buffer))
    buffer[: len(found)] = found
    return len(found)


def _ended(source: FileRange, done: int) -> FormatError:
    return FormatError(
        f"the source ended at byte {source.offset + done:,} while it was being read; expected {source.size - done:,} "
        "more bytes (it was whole when it was opened). Did something truncate or replace it? Convert again"
    )
