"""One member of an archive, stored or deflated; a file outside of any archive counts as one, too."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bort_convert.params.cursor import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 2**20
RAW_DEFLATE = -15  # zlib's number for a stream without a header


@dataclass(frozen=True)
class Member:
    """A member whose place, size and method have been checked against the archive.

    Attributes:
        name: name in the archive.
        span: bytes of the member in the file; guarded by its checksum if they are not deflated.
        size: unpacked bytes.
        crc: CRC-32 of the unpacked bytes.
        deflated: True if the bytes in the file are a deflate stream.
    """

    name: str
    span: Span
    size: int
    crc: int = 0
    deflated: bool = False

    def head(self, count: int) -> Span:
        """Give its first `count` bytes or more, if it has as many; no checksum is verified."""
        if not self.deflated:
            return self.span
        start, stop = self.span.start, min(self.span.stop, self.span.start + CHUNK)
        try:
            head = zlib.decompressobj(RAW_DEFLATE).decompress(self.span.data[start:stop], count)
        except zlib.error as error:
            raise self.span.error(f"the deflate stream is damaged ({error})") from error
        return Span(bytearray(head), 0, len(head), self.span.label)

    def whole(self) -> Span:
        """Give all of its bytes, unpacked, their checksum verified."""
        if not self.deflated:
            return self.span.checked()
        unpacked = bytearray()
        for chunk in self.chunks():
            unpacked += chunk
        return Span(unpacked, 0, len(unpacked), self.span.label)

    def chunks(self) -> Iterator[bytes]:
        """Unpack a deflated member chunk by chunk, to no more bytes than its announced size.

        Raises:
            FormatError: the stream is damaged or does not have the announced size and checksum. Chunks have been given
                by then.
        """
        inflater = zlib.decompressobj(RAW_DEFLATE)
        at, total, crc = self.span.start, 0, 0
        while not inflater.eof:
            packed = inflater.unconsumed_tail
            if not packed:
                packed = bytes(self.span.data[at : min(at + CHUNK, self.span.stop)])
                at += len(packed)
            try:
                chunk = inflater.decompress(packed, CHUNK)
            except zlib.error as error:
                raise self.span.error(f"the deflate stream is damaged ({error})") from error
            total += len(chunk)
            if total > self.size or not (chunk or packed):
                break
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if not inflater.eof or inflater.unused_data or at != self.span.stop or total != self.size:
            raise self.span.error(
                f"the deflate stream does not unpack to the {self.size:,} bytes that the archive says"
            )
        check_crc(self.span, crc, self.crc)


def is_params_name(name: str) -> bool:
    """True for a `.params` file, but not for the file of attributes that macOS puts beside one."""
    leaf = name.rpartition("/")[2]
    return leaf.endswith(".params") and not leaf.startswith("._")


class CrcGuard:
    """Guard of a stored member: verify its CRC-32 once, before the first of its arrays is handed out."""

    def __init__(self, span: Span, crc: int) -> None:
        self._span = span
        self._crc = crc
        self._verified = False

    def __call__(self) -> None:
        """Raise FormatError when the checksum fails."""
        if self._verified:
            return
        found = 0
        for start in range(self._span.start, self._span.stop, CHUNK):
            found = zlib.crc32(self._span.data[start : min(start + CHUNK, self._span.stop)], found)
        check_crc(self._span, found, self._crc)
        self._verified = True


def check_crc(span: Span, found: int, expected: int) -> None:
    """Raise FormatError when a checksum is not that of the archive."""
    if found != expected:
        raise span.error(f"the CRC-32 is 0x{found:08X}; expected 0x{expected:08X}. The file is damaged: fetch it again")
