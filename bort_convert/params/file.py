"""The bytes of an open file, in two ways: headers are read; arrays are mapped, or read as well.

A page that is touched through a map is resident, and so is all of the piece that the page cache holds it in, which can
be megabytes: a walk over the headers of a large checkpoint through the map would cost more memory than copying it.

The map is private and copy-on-write: arrays are writeable views (PyTorch takes them without a warning), and the file
stays as it is. A file that is larger than memory is mapped read-only. The map lives as long as any view does.

When a mapped file is cut short, the system ends the process that touches what is gone (SIGBUS). Reading raises an error
instead: whoever cannot promise that the file stays as it is reads.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from typing import Final

from bort_convert.errors import FormatError
from bort_convert.files.streams import read_into
from bort_convert.lazy_numpy import np

BLOCK: Final = 4096
"""Bytes that are read at once: a header is shorter, and the next tensor's is mostly far away."""


class FileBytes:
    """The bytes of an open file of a size that does not change.

    Attributes:
        label: how messages name the file.
        mapped: whether what `view` gives is mapped, not read.
    """

    def __init__(self, descriptor: int, size: int, label: str, *, mapped: bool = True) -> None:
        self.label = label
        self.mapped = mapped
        self._descriptor = descriptor
        self._size = size
        self._start, self._block = 0, b""
        self._map: mmap.mmap | None = None
        self._advise("POSIX_FADV_RANDOM")

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, stretch: slice) -> bytes:
        """The bytes of a stretch, read.

        Raises:
            FormatError: the file has become shorter.
        """
        start, stop, _ = stretch.indices(self._size)
        if start < self._start or stop > self._start + len(self._block):
            self._start, self._block = start, self._read(max(stop - start, BLOCK), start)
        found = self._block[start - self._start : stop - self._start]
        if len(found) < stop - start:
            raise self._ended(start + len(found))
        return found

    def view(self, start: int, count: int) -> memoryview:
        """A writeable stretch of bytes for an array to stand on: of the map, or read anew each time.

        Raises:
            FormatError: the system refuses to map the file; or it is read, and has become shorter.
        """
        if self.mapped:
            return memoryview(self._whole())[start : start + count]
        buffer = np.empty(count, np.uint8).data
        if (found := read_into(buffer, self._descriptor, start)) < count:
            raise self._ended(start + found)
        return buffer

    def _whole(self) -> mmap.mmap:
        """All bytes, mapped when this is first asked for."""
        if self._map is None:
            try:
                self._map = _map(self._descriptor)
            except (OSError, ValueError) as error:
                reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
                raise FormatError(f"{self.label}: cannot be mapped into memory ({reason})") from error
        return self._map

    def walked(self) -> None:
        """Say that the headers are known: from here on whole tensors are read, and reading ahead pays."""
        self._advise("POSIX_FADV_NORMAL")

    def close(self) -> None:
        """Let go of the map; while views stand on it, it goes with the last of them."""
        with contextlib.suppress(BufferError):
            if self._map is not None:
                self._map.close()

    def _read(self, count: int, start: int) -> bytes:
        buffer = bytearray(min(count, self._size - start))
        return bytes(buffer[: read_into(memoryview(buffer), self._descriptor, start)])

    def _ended(self, byte: int) -> FormatError:
        return FormatError(
            f"{self.label}: the file ended at byte {byte:,} while it was read; it had {self._size:,} "
            "bytes when it was opened. Is something writing to it?"
        )

    def _advise(self, advice: str) -> None:
        """Tell the system how the file will be read, where there is a way to."""
        if hasattr(os, "posix_fadvise"):
            with contextlib.suppress(OSError):
                os.posix_fadvise(self._descriptor, 0, 0, getattr(os, advice))


def _map(descriptor: int) -> mmap.mmap:
    try:
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
    except OSError:  # a file larger than the memory that the system can promise for copies
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
