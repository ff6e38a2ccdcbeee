"""An open file elsewhere: ranges of it over the wire, of one and the same object from the first byte to the last."""

from __future__ import annotations

import contextlib
import errno
import threading
from typing import IO, TYPE_CHECKING, Any, Final

from bort_convert.errors import FormatError
from bort_convert.files.identity import changed
from bort_convert.files.leftovers import staging
from bort_convert.files.remote import WEB, as_os_error, is_final, pauses_of, wait

if TYPE_CHECKING:
    from bort_convert.files.remote import RemotePath

WHOLE: Final = 4 << 20
"""A file of so many bytes or fewer is read at once, with one request, and kept in memory."""
_AHEAD: Final = 64 << 10
"""Bytes read at least where tensors are read: most tensors are small, and stand side by side."""
_MOST: Final = 8 << 20
"""Bytes read at most with one request."""
_LEAST: Final = 4096
"""Bytes that a request is not cut below, however often the connection broke."""
_PRECONDITION_FAILED: Final = 412
_S3: Final = {"s3", "s3a"}


class RemoteFile:
    """The bytes of a file elsewhere, which threads may read at a time.

    Attributes:
        path: the file.
        identity: size and marks of the object that was opened.
        size: bytes.
    """

    def __init__(self, path: RemotePath) -> None:
        self.path = path
        self.identity = path.identity()
        self._lock = threading.Lock()
        self._ahead = 0
        self._start, self._window = 0, b""
        system, _ = path.filesystem()
        self._pauses = pauses_of(system)
        self._handle: Any = None
        self._spool: IO[bytes] | None = None
        if self.identity.size is None:
            self._spool = self._fetched_whole()
            self.size = self._spool.seek(0, 2)
        else:
            self.size = self.identity.size

    @property
    def is_whole(self) -> bool:
        """True if all bytes are on this machine, so that to read them again costs nothing."""
        return self._spool is not None or self.size <= WHOLE

    def read_at(self, buffer: memoryview, offset: int, *, end: int | None = None) -> int:
        """Fill a buffer from byte `offset` on.

        Args:
            buffer: to fill.
            offset: of the first byte.
            end: byte up to which the rest will be asked for soon; more than that is read only for small stretches.

        Returns:
            The number of bytes: fewer than the buffer has only at the end of the file.

        Raises:
            FormatError: the object changed, or the connection breaks again and again.
        """
        stop = min(offset + len(buffer), self.size)
        done = offset
        with self._lock:
            while done < stop:
                if not self._start <= done < self._start + len(self._window):
                    self._fill(done, max(stop, end or 0))
                piece = self._window[done - self._start : stop - self._start]
                buffer[done - offset : done - offset + len(piece)] = piece
                done += len(piece)
        return max(done - offset, 0)

    def headers_read(self) -> None:
        """Tell that whole tensors are read from here on."""
        self._ahead = _AHEAD

    def close(self) -> None:
        """Close the connection, as far as there is one."""
        with contextlib.suppress(Exception):
            if self._handle is not None:
                self._handle.close()
        if self._spool is not None:
            self._spool.close()

    def _fill(self, start: int, end: int) -> None:
        """Put the bytes from `start` on into the window."""
        if self.size <= WHOLE:
            self._start, self._window = 0, self._fetch(0, self.size)
        else:
            count = max(min(end - start, _MOST), self._ahead)
            self._start, self._window = start, self._fetch(start, min(start + count, self.size))

    def _fetch(self, start: int, stop: int) -> bytes:
        """Read a range; after each break, in requests of half the size."""
        data = bytearray()
        step, failures = stop - start, 0
        while (at := start + len(data)) < stop:
            try:
                part = self._get(at, min(at + step, stop))
            except Exception as error:  # noqa: BLE001, PERF203 - each filesystem has errors of its own
                if self._is_change(error):
                    raise changed(self.path, "another object took its place") from None
                if self._gives_up(failures, step) or is_final(error):
                    problem = as_os_error(error, str(self.path)).strerror
                    message = (
                        f"{self.path}: cannot be read at byte {at:,}: {problem}. Is the server in order? Try again"
                    )
                    raise FormatError(message) from None
                wait(self._pauses[min(failures, len(self._pauses) - 1)] if self._pauses else 0)
                step, failures = max(step // 2, _LEAST), failures + 1
            else:
                if not part:
                    self.identity.check(self.path)
                    raise FormatError(
                        f"{self.path}: the server gives nothing at byte {at:,} of {self.size:,}. Try again"
                    )
                data += part
                failures = 0
        return bytes(data)

    def _gives_up(self, failures: int, step: int) -> bool:
        """True after as many breaks in a row as there are pauses; else at small requests."""
        return failures >= len(self._pauses) if self._pauses else failures > 0 and step <= _LEAST

    def _get(self, start: int, stop: int) -> bytes:
        if self._spool is None:
            try:
                handle = self._opened()
                handle.seek(start)
                return bytes(handle.read(stop - start))
            except ValueError as error:
                if "range" not in str(error).lower():  # what fsspec says of a server without ranges
                    raise
                self._spool = self._fetched_whole()
        self._spool.seek(start)
        return self._spool.read(stop - start)

    def _opened(self) -> Any:  # noqa: ANN401 - fsspec has no types
        if self._handle is None or self._handle.closed:
            system, path = self.path.filesystem()
            options: dict[str, Any] = {}
            etag = self.identity.marks.get("etag", "")
            if self.path.scheme in WEB | _S3:
                options["size"] = self.size
            if self.path.scheme in WEB and etag.startswith('"'):  # a weak one matches nothing
                options["headers"] = {"If-Match": etag}
            self._handle = system.open(path, "rb", cache_type="none", **options)
            if self.path.scheme in _S3:  # what it does itself where it asks for the details once more
                self._handle.details = self.identity.details
                if etag and not system.local_expiry_check:
                    self._handle.read_kw = {**self._handle.read_kw, "IfMatch": etag}
        return self._handle

    def _fetched_whole(self) -> IO[bytes]:
        """The whole file in a temporary one: of a server that gives no ranges."""
        with staging() as folder:
            copy = folder / "copy"
            self.path.download(copy)
            return copy.open("rb")  # it outlives its name

    @staticmethod
    def _is_change(error: Exception) -> bool:
        """True if the server says that it has another object now."""
        stale = isinstance(error, OSError) and error.errno == errno.EBUSY  # what s3fs makes of a wrong ETag
        return stale or getattr(error, "status", None) == _PRECONDITION_FAILED
