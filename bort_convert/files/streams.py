"""Byte ranges of open files, here or elsewhere: read, copy in the kernel, compare and hash them.

Nothing here maps a file: mapped pages count as resident memory, and a conversion should need little of it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from bort_convert.dtypes import ITEMSIZES, numpy_dtype
from bort_convert.errors import FormatError
from bort_convert.lazy_numpy import np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    from bort_convert.dtypes import Array, Shape, TensorSpec
    from bort_convert.files.remote import Place

    Payload = Callable[[str], "FileRange | bytes | Iterable[Array]"]
    """Give the values of a tensor by its name: as bytes to write unchanged, or as consecutive arrays."""

PIECE: Final = 1 << 20
"""Bytes per read: enough that the number of calls does not matter, and few enough to stay in a processor's cache."""

_POSITION: Final = threading.Lock()
"""Held to seek and read, where the system has no `preadv`: threads share the position of an open file."""

_NO_KERNEL_COPY: Final = frozenset(
    code
    for name in ("ENOSYS", "EXDEV", "EINVAL", "EOPNOTSUPP", "ENOTSOCK", "EPERM", "EBADF")
    if (code := getattr(errno, name, None)) is not None
)


class RangeReader(Protocol):
    """An open file that is no file of this machine."""

    @property
    def is_whole(self) -> bool:
        """True if to read a byte again costs nothing."""

    def read_at(self, buffer: memoryview, offset: int, *, end: int | None = None) -> int:
        """Fill a buffer from byte `offset` on; the rest up to byte `end` will be asked for soon."""

    def headers_read(self) -> None:
        """Tell that whole tensors are read from here on."""


if TYPE_CHECKING:
    OpenBytes: TypeAlias = int | RangeReader
    """A descriptor, or what reads a file elsewhere."""


def is_cheap(file: OpenBytes) -> bool:
    """True if bytes of an open file may be read twice without a second transfer."""
    return isinstance(file, int) or file.is_whole


@dataclass(frozen=True)
class FileRange:
    """A range of an open file.

    Attributes:
        file: the file.
        offset: byte at which the range begins.
        size: bytes of the range.
    """

    file: OpenBytes
    offset: int
    size: int


def read_pieces(source: FileRange) -> Iterator[memoryview]:
    """Read a range in pieces of `PIECE` bytes, the last one shorter, all in one buffer: each overwrites the one before.

    Raises:
        FormatError: the file ends early (it was cut while it was being read), or the system cannot read it.
    """
    buffer = memoryview(bytearray(min(PIECE, source.size)))
    for start in range(0, source.size, PIECE):
        piece = buffer[: source.size - start]
        count = read_into(piece, source.file, source.offset + start, end=source.offset + source.size)
        if count != len(piece):
            raise _ended_early(source, start + count)
        yield piece


def flat_arrays(values: FileRange | Array, dtype: str) -> Iterator[Array]:
    """Give a tensor's values as flat arrays of `PIECE` bytes or less; no more of a file is read at once.

    Args:
        values: an array of any shape, or a range that holds the values little-endian and in C order.
        dtype: name of the dtype of `values`.
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
    """Give the little-endian C-order bytes of an array in pieces, without a copy where the array holds them so."""
    flat = np.ascontiguousarray(array, numpy_dtype(array.dtype.name)).reshape(-1).view(np.uint8)
    for start in range(0, flat.size, PIECE):
        yield flat[start : start + PIECE].data


def sha256_of(values: FileRange | Array, *, watch: Callable[[], None] = lambda: None) -> str:
    """Hash a range of a file, or the little-endian C-order bytes of an array.

    hashlib releases the interpreter's lock, so that calls on two threads run at the same time. Each thread reads for
    itself: a piece is then in its own processor's cache, and reading twice costs less than handing pieces over.

    Args:
        values: the range or the array.
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


def sha1_of(values: FileRange) -> str:
    """Hash a range of a file by SHA-1, as GluonNLP does with the files that it publishes.

    Returns:
        The SHA-1 as hexadecimal digits.

    Raises:
        FormatError: the file ends early: it was cut while it was being read.
    """
    digest = hashlib.sha1(usedforsecurity=False)
    for piece in read_pieces(values):
        digest.update(piece)
    return digest.hexdigest()


def sha256_of_file(path: Place, size: int | None = None) -> str:
    """Hash the first `size` bytes of a file, or the whole file; one elsewhere must be small."""
    if not isinstance(path, Path):
        return hashlib.sha256(path.read_bytes()[:size]).hexdigest()
    with path.open("rb") as file:
        return sha256_of(FileRange(file.fileno(), 0, os.fstat(file.fileno()).st_size if size is None else size))


def sha256_of_folder(folder: Path) -> str:
    """SHA-256 of the names and contents of all files in a folder and those below it, in the order of their names."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    lines = [f"{name}\0{sha256_of_file(files[name])}\n" for name in sorted(files)]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True)
class BitDifference:
    """Number and place of the values by which two tensors differ.

    Attributes:
        count: number of values whose bits differ.
        size: number of values in the tensor.
        first: index of the first value that differs.
    """

    count: int
    size: int
    first: Shape


def bit_difference(
    one: FileRange | Array, other: FileRange | Array, spec: TensorSpec, *, watch: Callable[[], None] = lambda: None
) -> BitDifference | None:
    """Compare two tensors of one dtype and shape bit by bit; None if they are equal.

    Args:
        one: an array, or a range that holds the values little-endian and in C order.
        other: likewise.
        spec: dtype and shape of both.
        watch: called before each piece of a range; an exception that it raises ends the work.
    """
    if isinstance(one, FileRange) and isinstance(other, FileRange) and same_bytes(one, other, watch=watch):
        return None
    count, first, start = 0, 0, 0
    for mine, theirs in zip(_flat_bits(one, spec.dtype), _flat_bits(other, spec.dtype), strict=True):
        watch()
        different = mine != theirs
        if not count and different.any():
            first = start + int(different.argmax())
        count += int(np.count_nonzero(different))
        start += mine.size
    index = tuple(int(position) for position in np.unravel_index(first, spec.shape)) if count else ()
    return BitDifference(count, start, index) if count else None


def _flat_bits(values: FileRange | Array, dtype: str) -> Iterator[Array]:
    """Give the bits of values as flat arrays of unsigned integers."""
    bits = f"uint{8 * ITEMSIZES[dtype]}"
    return flat_arrays(values if isinstance(values, FileRange) else np.ascontiguousarray(values).view(bits), bits)


def same_bytes(one: FileRange, other: FileRange, *, watch: Callable[[], None] = lambda: None) -> bool:
    """Compare two ranges; True if they hold the same bytes.

    Args:
        one: a range.
        other: another.
        watch: called before each piece; an exception that it raises ends the work.
    """
    if one.size != other.size:
        return False
    # Python compares memoryviews byte by byte, the bytearrays behind them many bytes at a time. Those hold, behind a
    # last, shorter piece, bytes of the piece before it, which were equal.
    for mine, theirs in zip(read_pieces(one), read_pieces(other), strict=True):
        watch()
        if mine.obj != theirs.obj:
            return False
    return True


def copy_range(source: FileRange, target: int) -> None:
    """Copy a range to the current position of the open file `target`.

    On Linux the kernel copies: by `copy_file_range`, which shares the bytes on some file systems, else by `sendfile`.
    Elsewhere the range is read and written in pieces.
    """
    done = _copy_in_kernel(source, target)
    for piece in read_pieces(FileRange(source.file, source.offset + done, source.size - done)):
        write_all(target, piece)


def write_all(target: int, data: bytes | memoryview) -> None:
    """Write all bytes at the current position of the open file `target`."""
    view = memoryview(data)
    while view:
        view = view[os.write(target, view[:PIECE]) :]


def read_into(buffer: memoryview, file: OpenBytes, offset: int, *, end: int | None = None) -> int:
    """Fill a buffer of bytes from byte `offset` of an open file.

    Args:
        buffer: to fill.
        file: the file.
        offset: of the first byte.
        end: byte up to which the rest will be asked for soon.

    Returns:
        The number of bytes read: less than the size of the buffer only where the file ends.

    Raises:
        FormatError: the system cannot read the file.
    """
    if not isinstance(file, int):
        return file.read_at(buffer, offset, end=end)
    done = 0
    try:
        while done < len(buffer) and (count := _read_some(buffer[done:], file, offset + done)):
            done += count
    except OSError as error:
        raise FormatError(
            f"the source cannot be read at byte {offset + done:,}: {error.strerror or error}. Is its disk in order?"
        ) from error
    return done


def _copy_in_kernel(source: FileRange, target: int) -> int:
    """Have the kernel copy as many bytes as it will, and return their number; of a file elsewhere, none."""
    done = 0
    for call in (_copy_file_range, _sendfile) if isinstance(source.file, int) else ():
        done = _copy_by(call, source, done, target)
    return done


def _copy_by(call: Callable[[int, int, int, int], int], source: FileRange, done: int, target: int) -> int:
    """Copy from byte `done` of the range for as long as a system call will; return the byte reached."""
    assert isinstance(source.file, int)
    try:
        # Some file systems return 0 where they cannot copy; at the true end of a source, the next read fails.
        while done < source.size and (copied := call(source.file, source.offset + done, source.size - done, target)):
            done += copied
    except OSError as error:
        if error.errno not in _NO_KERNEL_COPY:
            raise
    return done


def _copy_file_range(source: int, offset: int, size: int, target: int) -> int:
    return os.copy_file_range(source, target, size, offset) if hasattr(os, "copy_file_range") else 0


def _sendfile(source: int, offset: int, size: int, target: int) -> int:
    return os.sendfile(target, source, offset, size) if hasattr(os, "sendfile") else 0


def _read_some(buffer: memoryview, descriptor: int, offset: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [buffer], offset)
    with _POSITION:
        os.lseek(descriptor, offset, os.SEEK_SET)
        data = os.read(descriptor, len(buffer))
    buffer[: len(data)] = data
    return len(data)


def _ended_early(source: FileRange, done: int) -> FormatError:
    return FormatError(
        f"the source ended at byte {source.offset + done:,} while it was being read; expected {source.size - done:,} "
        "more bytes (it was whole when it was opened). Did something truncate or replace it? Convert again"
    )
