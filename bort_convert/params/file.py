"""The bytes of an open file: headers are read, arrays are mapped or read; of a file elsewhere always read.

A page that is touched through a map is resident, and so is the whole block of up to megabytes in which the page cache
holds it: a walk over the headers of a large checkpoint through the map would take more memory than copying the file.

The map is private and copy-on-write: arrays are writeable views (PyTorch takes them without a warning), and the file
stays as it is. A file that is larger than memory is mapped read-only. The map lives as long as any view of it. Where
the system cannot map a file, arrays are read.

When a mapped file is cut short, the system ends the process that touches a missing page (SIGBUS). Reading raises an
error instead, so callers that cannot promise that the file stays whole read.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from bort_convert.errors import FormatError
from bort_convert.files.streams import read_into
from bort_convert.lazy_numpy import np

if TYPE_CHECKING:
    from mmap import mmap

    from bort_convert.files.streams import OpenBytes

BLOCK: Final = 4096
"""Bytes read at once: a header is shorter, and the next one is mostly far away."""


class FileBytes:
    """The bytes of an open file whose size does not change.

    Attributes:
        label: name of the file in messages.
        mapped: True if `view` maps the file, False if it reads.
    """

    def __init__(self, file: OpenBytes, size: int, label: str, *, mapped: bool) -> None:
        self.label = label
        self.mapped = mapped
        self._file = file
        self._size = size
        self._block_start, self._block = 0, b""
        self._map: mmap | None = None
        self._advise("POSIX_FADV_RANDOM")

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, stretch: slice) -> bytes:
        """Read a stretch of bytes.

        Raises:
            FormatError: the file has become shorter.
        """
        start, stop, _ = stretch.indices(self._size)
        if start < self._block_start or stop > self._block_start + len(self._block):
            self._block_start, self._block = start, self._read(max(stop - start, BLOCK), start)
        data = self._block[start - self._block_start : stop - self._block_start]
        if len(data) < stop - start:
            raise self._ended_early(start + len(data))
        return data

    def view(self, start: int, count: int) -> memoryview:
        """Give a writeable stretch of bytes to make an array of: of the map, or read anew each time.

        Raises:
            FormatError: the file is read, and has become shorter.
        """
        if self.mapped and (whole := self._whole()) is not None:
            return memoryview(whole)[start : start + count]
        buffer = np.empty(count, np.uint8).data
        if (size := read_into(buffer, self._file, start)) < count:
            raise self._ended_early(start + size)
        return buffer

    def headers_read(self) -> None:
        """Tell the system that whole tensors are read from here on, so that reading ahead pays."""
        self._advise("POSIX_FADV_NORMAL")
        if not isinstance(self._file, int):
            self._file.headers_read()

    def close(self) -> None:
        """Let go of the map, which lives on while arrays are views of it."""
        with contextlib.suppress(BufferError):
            if self._map is not None:
                self._map.close()

    def _whole(self) -> mmap | None:
        """Map the file when this is first called; None where the system cannot map it."""
        if self._map is None and isinstance(self._file, int):
            with contextlib.suppress(ImportError, OSError, ValueError):
                self._map = _map(self._file)
        return self._map

    def _read(self, count: int, start: int) -> bytes:
        buffer = bytearray(min(count, self._size - start))
        return bytes(buffer[: read_into(memoryview(buffer), self._file, start)])

    def _ended_early(self, byte: int) -> FormatError:
        return FormatError(
            f"{self.label}: the file ended at byte {byte:,} while it was read; it had {self._size:,} "
            "bytes when it was opened. Is something writing to it?"
        )

    def _advise(self, advice: str) -> None:
        """Tell the system how the file will be read, if it has a call for that."""
        if hasattr(os, "posix_fadvise") and isinstance(self._file, int):
            with contextlib.suppress(OSError):
                os.posix_fadvise(self._file, 0, 0, getattr(os, advice))


def _map(descriptor: int) -> mmap:
    import mmap  # noqa: PLC0415 - not every Python has it

    try:
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
    except OSError:  # a file larger than the memory that the system can promise for copies
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
