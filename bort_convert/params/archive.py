"""Read the members of a zip archive, each checked against its neighbours and its own local header.

`zipfile` reads the central directory, which alone is trusted: MXNet 2 leaves the sizes in local headers at zero. The
bytes of a member are not read through `zipfile`, so that arrays can be views of the file.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

from bort_convert.params.cursor import Cursor, Span, amount, counted, quoted
from bort_convert.params.info import check_count, name_limit
from bort_convert.params.member import CrcGuard, Member
from bort_convert.params.sniff import END_MAGIC, LOCAL_MAGIC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import WriteableBuffer

ALWAYS_UNPACKED = 64 * 2**20  # bytes that all members may unpack to however small the archive is
UNPACK_RATIO = 100  # size of the archive times this may be unpacked beyond that

END_BYTES = 22
END_SEARCH = 2**18  # bytes that `zipfile` may read to find the central directory; a comment has up to 2**16
ENCRYPTED = 0x1 | 0x40 | 0x2000  # flag bits: encrypted, strongly encrypted, directory encrypted
STREAMED = 0x8  # flag bit: sizes and checksum follow the data
IN_EXTRA = 0xFFFFFFFF  # a 32-bit size whose value is in the zip64 extra field
ZIP64 = 1

# Exceptions of `zipfile` for damaged directories.
DAMAGE = (
    zipfile.BadZipFile,
    NotImplementedError,
    ValueError,
    OverflowError,
    IndexError,
    EOFError,
    OSError,
    struct.error,
)


def read_members(span: Span, *, allow_trailing: bool, max_arrays: int) -> list[Member]:
    """Read the members of an archive, in the order of its central directory.

    Raises:
        FormatError: the archive is damaged or encrypted, has a name twice, has more members than `max_arrays`, or would
            unpack to far too much.
    """
    try:
        with zipfile.ZipFile(io.BufferedReader(_SpanFile(span, name_limit(max_arrays) + END_SEARCH))) as archive:
            infos, directory, comment = archive.infolist(), archive.start_dir, archive.comment
    except DAMAGE as error:
        reason = quoted(str(error))
        raise span.error(
            f"a zip archive without a readable central directory ({reason}). Truncated download?"
        ) from error
    if not allow_trailing:
        _check_end(span, comment)
    check_count(span, f"the archive has {counted(len(infos), 'member')}", len(infos), max_arrays)
    _check_names_and_sizes(span, infos)
    ordered = sorted(infos, key=lambda info: info.header_offset)
    if ordered and (first := ordered[0].header_offset):
        raise span.error(f"the first member of the archive starts at byte {first:,}; expected 0")
    limits = [*(info.header_offset for info in ordered[1:]), directory]
    members = {info.orig_filename: _member(span, info, limit) for info, limit in zip(ordered, limits, strict=False)}
    return [members[info.orig_filename] for info in infos]


def _check_end(span: Span, comment: bytes) -> None:
    end = span.stop - END_BYTES - len(comment)
    if span.data[end : end + len(END_MAGIC)] != END_MAGIC:
        raise span.error(
            "bytes stand behind the end of the archive; expected the end of the file. `allow_trailing=True` "
            "ignores them"
        )


def _check_names_and_sizes(span: Span, infos: Sequence[zipfile.ZipInfo]) -> None:
    names = set()
    for info in infos:
        if info.orig_filename in names:
            raise span.error(f"two members of the archive are called {quoted(info.orig_filename)}; expected one")
        names.add(info.orig_filename)
    total, allowed = sum(info.file_size for info in infos), max(ALWAYS_UNPACKED, UNPACK_RATIO * span.size)
    if total > allowed:
        raise span.error(
            f"the members of the archive unpack to {amount(total)} bytes; at most {allowed:,} are made from "
            f"{span.size:,}. If this is no zip bomb, unpack it first"
        )


def _member(span: Span, info: zipfile.ZipInfo, limit: int) -> Member:
    """Make a member, once its directory entry, its local header and its place agree.

    Args:
        span: the archive.
        info: its entry in the central directory.
        limit: byte of the archive at which the next member or the directory starts.
    """
    name = info.orig_filename
    label = f"{span.label}: member {quoted(name)}"
    here = replace(span, label=label)
    if name.startswith("/") or ".." in re.split(r"[/\\]", name):
        raise here.error(
            "a path that leads out of the archive; expected a name without .. between slashes, nor a slash in front"
        )
    if info.flag_bits & ENCRYPTED:
        raise here.error("encrypted; expected plain bytes. Unpack the archive with its password first")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise here.error(
            f"compression method {info.compress_type}; expected 0 (stored) or 8 (deflated). Unpack it first"
        )
    cursor = Cursor(here)
    cursor.skip(info.header_offset, "the way to its local header")
    _check_local(here, cursor, info)
    start, stop = cursor.byte, cursor.byte + info.compress_size
    if stop > limit:
        raise here.error(
            f"{info.compress_size:,} bytes at byte {start:,} run into what starts at byte {limit:,}; "
            f"expected no overlap"
        )
    deflated = info.compress_type == zipfile.ZIP_DEFLATED
    if not deflated and info.compress_size != info.file_size:
        raise here.error(f"stored as {info.compress_size:,} bytes of {info.file_size:,}; expected the same number")
    body = Span(span.data, span.start + start, span.start + stop, label)
    if not deflated:
        body = replace(body, guard=CrcGuard(body, info.CRC))
    return Member(name, body, info.file_size, info.CRC, deflated)


def _check_local(here: Span, cursor: Cursor, info: zipfile.ZipInfo) -> None:
    """Step over a local header and compare it with the central directory."""
    magic = cursor.take(len(LOCAL_MAGIC), "its local header")
    if magic != LOCAL_MAGIC:
        raise here.error(f"its local header starts with {magic!r}; expected {LOCAL_MAGIC!r}")
    _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = cursor.numbers(
        "HHHHHIIIHH", "its local header"
    )
    name = cursor.take(name_bytes, "its name")
    extra = cursor.take(extra_bytes, "its extra field")
    if name != _raw_name(info):
        raise here.error(f"its local header calls it {quoted(name)}")
    if flags & ENCRYPTED or method != info.compress_type:
        raise here.error(
            f"its local header has flags 0x{flags:04X} and method {method}; expected {info.compress_type}, plain"
        )
    if IN_EXTRA in (packed, size):
        packed, size = _zip64_sizes(extra) or (packed, size)
    found, expected = (crc, packed, size), (info.CRC, info.compress_size, info.file_size)
    if found != expected and not (flags & STREAMED and found == (0, 0, 0)):
        raise here.error(
            f"its local header has CRC-32 0x{crc:08X} and {packed:,} bytes that unpack to {size:,}; expected "
            f"0x{info.CRC:08X}, {info.compress_size:,} and {info.file_size:,}, as the central directory has"
        )


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    """Encode the name again: `zipfile` decodes it as UTF-8 if a flag says so, else as code page 437."""
    return info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437")


def _zip64_sizes(extra: bytes) -> tuple[int, int] | None:
    """Read packed and unpacked size from the extra field of a local header; None if it has none."""
    at = 0
    while at + 4 <= len(extra):
        field, length = struct.unpack_from("<HH", extra, at)
        if field == ZIP64 and length >= 16 and at + 20 <= len(extra):  # noqa: PLR2004 - two u64 behind two u16
            size, packed = struct.unpack_from("<QQ", extra, at + 4)
            return packed, size
        at += 4 + length
    return None


class _SpanFile(io.RawIOBase):
    """A span as a file object for `zipfile`; the position of the open file does not move.

    Args:
        span: the archive.
        most: bytes that may be read. `zipfile` takes many times the bytes of a directory in memory.
    """

    def __init__(self, span: Span, most: int) -> None:
        self._span = span
        self._most = self._left = most
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._span.size}[whence]
        if at < 0:
            raise OSError("before the start of the file")
        self._at = at
        return at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        start = min(self._span.start + self._at, self._span.stop)
        chunk = self._span.data[start : min(start + len(view), self._span.stop)]
        view[: len(chunk)] = chunk
        self._at += len(chunk)
        self._left -= len(chunk)
        if self._left < 0:
            raise self._span.error(
                f"a zip archive with a central directory of more than {self._most:,} bytes. If the archive is what it "
                f"should be, raise the number of its members with `max_arrays`"
            )
        return len(chunk)
