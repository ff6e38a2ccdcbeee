"""Read the one `.params` file in a tar archive, compressed by gzip or not, as model servers keep it: `model.tar.gz`.

An archive is a stream: a header of 512 bytes for each member, then its bytes, filled up to a multiple of 512. Only
regular members are looked at; links, devices and folders have no bytes and are passed over. Nothing gets a path on this
machine: the bytes of the `.params` member go to a file without a name.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; GNU tar 1.35, "Basic Tar Format".
"""

from __future__ import annotations

import re
import zlib
from typing import IO, TYPE_CHECKING, Final

from bort_convert.params.archive import ALWAYS_UNPACKED, UNPACK_RATIO
from bort_convert.params.cursor import amount, clipped, quoted
from bort_convert.params.info import check_count
from bort_convert.params.member import CHUNK, is_params_name
from bort_convert.params.sniff import GZIP_MAGIC, TAR_BYTE, TAR_MAGIC

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bort_convert.params.cursor import Span

_GZIP: Final = 31  # zlib's number for a stream with gzip's header and checksum
_BLOCK: Final = 512
_LONGEST_HEADER: Final = 2**16  # bytes of the attributes or the long name of a member
_REGULAR: Final = (b"0", b"\0", b"7")
_ATTRIBUTES, _LONG_NAME = b"x", b"L"
_OCTAL: Final = re.compile(rb"[ ]*([0-7]*)[ \0]*")
_SIZE: Final = re.compile(rb"[0-9]{1,20}")
_RECORD: Final = re.compile(rb"(\d{1,5}) ([^=]+)=")


def is_tar(head: bytes) -> bool:
    """True for the first bytes of a tar archive, and for those of a gzip stream that begins as one."""
    if head.startswith(GZIP_MAGIC):
        try:
            head = zlib.decompressobj(_GZIP).decompress(head, _BLOCK)
        except zlib.error:
            return False
    return head[TAR_BYTE:].startswith(TAR_MAGIC)


def unpack_params(span: Span, target: IO[bytes], max_arrays: int) -> str:
    """Write the one `.params` member of an archive to a file.

    Args:
        span: the archive.
        target: file to write to.
        max_arrays: largest number of members.

    Returns:
        Name of the member.

    Raises:
        FormatError: the archive is damaged, holds no such member or several, has more members than `max_arrays`, or
            unpacks to far too much.
    """
    stream = _Stream(span)
    found: list[str] = []
    others: list[str] = []
    for name, size in _members(stream, max_arrays):
        if not is_params_name(name):
            others.append(name)
            stream.skip(size)
            continue
        found.append(name)
        if name.startswith("/") or ".." in re.split(r"[/\\]", name):
            raise span.error(f"member {quoted(name)} is a path that leads out of the archive; expected none")
        if len(found) > 1:
            raise span.error(
                f"the archive holds {quoted(found[0])} and {quoted(name)}; expected one .params file. Unpack it, and "
                "give one of them"
            )
        for chunk in stream.take(size):
            target.write(chunk)
        stream.end_member(size)
    stream.check_end()
    if not found:
        content = clipped(", ".join(map(quoted, others))) or "nothing"
        raise span.error(f"the archive holds {content}; expected one .params file in it")
    return found[0]


class _Stream:
    """The unpacked bytes of an archive, in their order, up to a limit."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self._allowed = max(ALWAYS_UNPACKED, UNPACK_RATIO * span.size)
        self._chunks = self._counted(
            _unzipped(span) if span.data[span.start : span.start + 2] == GZIP_MAGIC else _raw(span)
        )
        self._left = b""

    def take(self, count: int) -> Iterator[bytes]:
        """Give the next `count` bytes in pieces.

        Raises:
            FormatError: the archive ends before.
        """
        while count:
            if not self._left:
                self._left = next(self._chunks, b"")
            if not self._left:
                raise self.span.error(
                    f"the archive ends where {amount(count)} more bytes are expected. Truncated download?"
                )
            piece, self._left = self._left[:count], self._left[count:]
            count -= len(piece)
            yield piece

    def skip(self, size: int) -> None:
        """Pass over the bytes of a member."""
        for _ in self.take(size):
            pass
        self.end_member(size)

    def end_member(self, size: int) -> None:
        """Pass over the bytes that fill a member of this size up to a whole block."""
        for _ in self.take(-size % _BLOCK):
            pass

    def check_end(self) -> None:
        """Read to the end, so that the checksum is verified, and bytes behind the archive are found."""
        if any(piece.strip(b"\0") for piece in (self._left, *self._chunks)):
            raise self.span.error("bytes stand behind the end of the archive; expected none")

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        total = 0
        for chunk in chunks:
            total += len(chunk)
            if total > self._allowed:
                raise self.span.error(
                    f"unpacks to more than {self._allowed:,} bytes, which is too much for {self.span.size:,}. If this "
                    "is no bomb, unpack it first"
                )
            yield chunk


def _raw(span: Span) -> Iterator[bytes]:
    for at in range(span.start, span.stop, CHUNK):
        yield bytes(span.data[at : min(at + CHUNK, span.stop)])


def _unzipped(span: Span) -> Iterator[bytes]:
    """Unpack gzip streams, one behind the other, each to its end and with its checksum."""
    inflater = zlib.decompressobj(_GZIP)
    packed = b""
    source = _raw(span)
    while True:
        if not packed:
            packed = next(source, b"")
        if not packed:
            break
        if inflater.eof:
            inflater = zlib.decompressobj(_GZIP)
        try:
            chunk = inflater.decompress(packed, CHUNK)
        except zlib.error as error:
            raise span.error(f"the gzip stream is damaged ({error}). Fetch the file again") from error
        packed = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        if chunk:
            yield chunk
    if not inflater.eof:
        raise span.error("the gzip stream ends before its end. Truncated download?")


def _members(stream: _Stream, max_arrays: int) -> Iterator[tuple[str, int]]:
    """Name and size of every regular member; its bytes must be taken before the next one."""
    attributes: dict[str, bytes] = {}
    count = 0
    while (header := b"".join(stream.take(_BLOCK))).strip(b"\0"):
        count += 1
        check_count(stream.span, f"the archive has {count:,} members or more", count, max_arrays)
        size, kind = _number(stream.span, "size", header[124:136]), header[156:157]
        _check_sum(stream.span, header)
        if kind in (_ATTRIBUTES, _LONG_NAME):
            if size > _LONGEST_HEADER:
                raise stream.span.error(f"a member has attributes of {amount(size)} bytes; at most {_LONGEST_HEADER:,}")
            content = b"".join(stream.take(size))
            stream.end_member(size)
            attributes |= {"path": content.rstrip(b"\0")} if kind == _LONG_NAME else _records(content)
            continue
        name = attributes.get("path") or _name(header)
        size = int(attributes["size"]) if _SIZE.fullmatch(attributes.get("size", b"")) else size
        attributes = {}
        if kind in _REGULAR:
            yield name.decode(errors="backslashreplace"), size
        else:
            stream.skip(size if kind not in b"123456" else 0)


def _name(header: bytes) -> bytes:
    name, prefix = header[:100].split(b"\0")[0], header[345:500].split(b"\0")[0]
    return prefix + b"/" + name if prefix and header[TAR_BYTE : TAR_BYTE + 6] == b"ustar\0" else name


def _number(span: Span, noun: str, field: bytes) -> int:
    if field[0] & 0x80:  # GNU's form for sizes of 8 GiB and more
        return int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:], "big")
    match = _OCTAL.fullmatch(field)
    if not match:
        raise span.error(f"a member has the {noun} {quoted(field)}; expected octal digits")
    return int(match[1] or b"0", 8)


def _check_sum(span: Span, header: bytes) -> None:
    expected = _number(span, "checksum", header[148:156])
    if sum(header[:148]) + 8 * ord(" ") + sum(header[156:]) != expected:
        raise span.error("the checksum of a member's header is wrong. The file is damaged: fetch it again")


def _records(content: bytes) -> dict[str, bytes]:
    """The attributes of a member: records of `LENGTH NAME=VALUE` and a line end."""
    found = {}
    while (match := _RECORD.match(content)) and (length := int(match[1])):
        found[match[2].decode(errors="replace")] = content[match.end() : length - 1]
        content = content[length:]
    return found
