"""Tell the container of a file by its first bytes, and name the format of a file that is no container."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from bort_convert.params.cursor import counted, quoted
from bort_convert.params.listfile import FIXED_BYTES, LIST_MAGIC, V1, V2, V3
from bort_convert.params.npy import MAGIC as NPY_MAGIC

if TYPE_CHECKING:
    from bort_convert.params.cursor import Span
    from bort_convert.params.info import Container

HEAD_BYTES = 4096
LOCAL_MAGIC = b"PK\3\4"  # start of a member of an archive
END_MAGIC = b"PK\5\6"  # end of an archive, and all of an empty one
LIST_START = struct.pack("<Q", LIST_MAGIC)

CONTAINERS: tuple[tuple[bytes, Container], ...] = (
    (LIST_START, "list"),
    (LOCAL_MAGIC, "zip"),
    (END_MAGIC, "zip"),
    (NPY_MAGIC, "npy"),
)

GZIP_MAGIC = b"\x1f\x8b"
COMPRESSED = "a {} file; unpack it first"
RECORD = "one array record without a list header (the raw bytes of one NDArray); save it again with mx.nd.save"
PICKLE = "a pickle (optimizer states, or a checkpoint of another framework); pickles are never unpacked"
FOREIGN: tuple[tuple[bytes, str], ...] = (
    *((struct.pack("<I", magic), RECORD) for magic in (V1, V2, V3)),
    (struct.pack(">Q", LIST_MAGIC), "a list file in big-endian order; only little-endian files are read"),
    (bytes.fromhex("B79C04054F8DE5F7"), "a TVM parameter file, another format with the same suffix"),
    *((bytes((0x80, protocol)), PICKLE) for protocol in range(2, 6)),
    (GZIP_MAGIC, COMPRESSED.format("gzip")),
    (b"BZh", COMPRESSED.format("bzip2")),
    (b"\xfd7zXZ\0", COMPRESSED.format("xz")),
    (b"\x28\xb5\x2f\xfd", COMPRESSED.format("zstd")),
    (b"7z\xbc\xaf\x27\x1c", COMPRESSED.format("7z")),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras, for one)"),
    (b"GGUF", "a GGUF file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run `git lfs pull`"),
)
TAR_MAGIC, TAR_BYTE = b"ustar", 257


def sniff(span: Span) -> Container:
    """Tell the container of a file.

    Raises:
        FormatError: the file is none of the containers; the message names its format.
    """
    head = bytes(span.data[span.start : min(span.start + HEAD_BYTES, span.stop)])
    for magic, container in CONTAINERS:
        if head.startswith(magic):
            return _long_enough(span, container)
    if foreign := _foreign_format(head, span.size):
        raise span.error(f"this is {foreign}. Expected an MXNet .params file")
    if span.size < FIXED_BYTES:
        raise span.error(
            f"{counted(span.size, 'byte')}; the smallest .params file has {FIXED_BYTES}. Truncated download?"
        )
    start = head[: len(LIST_START)]
    raise span.error(
        f"starts with the bytes {start.hex(' ').upper()}; expected {LIST_START.hex(' ')} (a list file), "
        f"a zip archive or .npy"
    )


def _long_enough(span: Span, container: Container) -> Container:
    if container == "list" and span.size < FIXED_BYTES:
        raise span.error(f"a list file of {span.size:,} bytes; the smallest has {FIXED_BYTES}. Truncated download?")
    return container


def _foreign_format(head: bytes, size: int) -> str | None:
    """Describe the format of a file that is no container; None when its bytes do not tell."""
    for magic, description in FOREIGN:
        if head.startswith(magic):
            return description
    if head[TAR_BYTE:].startswith(TAR_MAGIC):
        return COMPRESSED.format("tar")
    if head[8:9] == b"{" and 0 < struct.unpack_from("<Q", head)[0] <= size - 8:
        return "a safetensors file"
    if head and not head.strip(b"\0"):
        return "nothing but zero bytes where a header should be, as an unfinished download leaves them"
    return _text_format(head)


def _text_format(head: bytes) -> str | None:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<"):
        return "an HTML or XML page, probably an error page that was saved under this name"
    if start.startswith((b"{", b"[")) and b"\0" not in head:
        if b'"nodes"' in head:
            return "a symbol graph in JSON (-symbol.json); the arrays are in the .params file beside it"
        return "a JSON file"
    if start and all(byte >= 0x20 or byte in b"\t\r\n\f" for byte in head):  # noqa: PLR2004 - the first printable
        return f"a text file that begins {quoted(start[:40].decode(errors='replace'))}"
    return None
