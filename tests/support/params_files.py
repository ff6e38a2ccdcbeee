"""Small `.params` files, written out byte by byte, and functions that build whole and damaged ones."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bort_convert.dtypes import Array, Shape

V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA


def u32(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def i32(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


def u64(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


def i64(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}q", *values)


def f32(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def dims(*shape: int) -> bytes:
    return i32(len(shape)) + i64(*shape)


def record(
    payload: bytes = b"",
    shape: Shape = (),
    *,
    flag: int = 0,
    magic: int = V2,
    storage: int = 0,
    context: tuple[int, int] = (1, 0),
) -> bytes:
    """Make a dense record of version 2 or 3."""
    return u32(magic) + i32(storage) + dims(*shape) + i32(*context, flag) + payload


def row_sparse(
    data: Sequence[float] = (1, 2, 3, 4),
    stored: Shape = (2, 2),
    shape: Shape = (5, 2),
    rows: Sequence[int] = (3, 0),
    *,
    rows_shape: Shape | None = None,
    index_flag: int = 6,
) -> bytes:
    header = u32(V2) + i32(1) + dims(*stored) + dims(*shape) + i32(1, 0, 0)
    return header + i32(index_flag) + dims(*(rows_shape or (len(rows),))) + f32(*data) + i64(*rows)


def csr(
    data: Sequence[float] = (1, 2, 3),
    shape: Shape = (3, 4),
    starts: Sequence[int] = (0, 1, 1, 3),
    columns: Sequence[int] = (0, 3, 1),
) -> bytes:
    header = u32(V2) + i32(2) + dims(len(data)) + dims(*shape) + i32(1, 0, 0)
    return header + i32(6) + dims(len(starts)) + i32(6) + dims(len(columns)) + f32(*data) + i64(*starts) + i64(*columns)


def names(*texts: str | bytes) -> bytes:
    raw = [text.encode() if isinstance(text, str) else text for text in texts]
    return u64(len(raw)) + b"".join(u64(len(text)) + text for text in raw)


def list_file(*records: bytes, table: bytes | None = None, count: int | None = None) -> bytes:
    """Make a list file; without a table of names its arrays are called a, b, c, ..."""
    end = names(*"abcdefgh"[: len(records)]) if table is None else table
    return u64(0x112, 0, len(records) if count is None else count) + b"".join(records) + end


def npy(
    payload: bytes,
    shape: str = "(2,)",
    descr: str = "'<f4'",
    *,
    fortran: str = "False",
    version: tuple[int, int] = (1, 0),
    text: str | None = None,
) -> bytes:
    header = text or f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"
    length = struct.pack("<H" if version == (1, 0) else "<I", len(header))
    return b"\x93NUMPY" + bytes(version) + length + header.encode("latin-1") + payload


@dataclass
class Zipped:
    """A member of an archive; `local` and `central` replace fields of its two headers."""

    name: str
    data: bytes
    deflated: bool = False
    streamed: bool = False
    local: dict[str, Any] | None = None
    central: dict[str, Any] | None = None


def archive(*members: Zipped, comment: bytes = b"", gap: bytes = b"") -> bytes:
    body, directory = b"", b""
    for member in members:
        packed = _deflate(member.data) if member.deflated else member.data
        crc, sizes = zlib.crc32(member.data), {"packed": len(packed), "size": len(member.data)}
        fields: dict[str, Any] = {
            "flags": 0x808 if member.streamed else 0x800,
            "method": 8 * member.deflated,
            "crc": crc,
            **sizes,
        }
        fields |= {"name": member.name.encode(), "extra": b""}
        zero = {"crc": 0, "packed": 0, "size": 0} if member.streamed else {}
        offset = (member.central or {}).get("offset", len(body))
        body += _local(**(fields | zero | (member.local or {}))) + packed
        body += u32(0x08074B50, crc, len(packed), len(member.data)) if member.streamed else gap
        directory += _central(**(fields | {"offset": offset} | (member.central or {})))
    count = len(members)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), len(comment))
    return body + directory + end + comment


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _local(
    *,
    flags: int,
    method: int,
    crc: int,
    packed: int,
    size: int,
    name: bytes,
    extra: bytes,
    magic: bytes = b"PK\3\4",
) -> bytes:
    head = struct.pack("<4s5H3I2H", magic, 20, flags, method, 0, 33, crc, packed, size, len(name), len(extra))
    return head + name + extra


def _central(
    *, flags: int, method: int, crc: int, packed: int, size: int, name: bytes, offset: int, extra: bytes = b""
) -> bytes:
    assert not extra
    head = struct.pack("<4s6H3I5H", b"PK\1\2", 20, 20, flags, method, 0, 33, crc, packed, size, len(name), 0, 0, 0, 0)
    return head + struct.pack("<2I", 0, offset) + name


BROKEN = "{{'descr': '|s10{{'descr': '<i8', 'fortran_order': False, 'shape': (), }}        \n"


def sparse(folder: str, storage: str, data: bytes, shape: Shape, **indices: tuple[int, ...]) -> list[Zipped]:
    """Make the members of a sparse array as MXNet 2 writes them; the header of `format.npy` does not parse."""
    members = {"data": data, "shape": npy(i64(*shape), f"({len(shape)},)", "'<i8'")}
    members |= {name: npy(i64(*values), f"({len(values)},)", "'<i8'") for name, values in indices.items()}
    members["format"] = npy(storage.encode(), text=BROKEN)
    return [Zipped(f"{folder}/{name}.npy", member) for name, member in members.items()]


def zip64(packed: int, size: int) -> dict[str, Any]:
    extra = struct.pack("<HHH", 0x9999, 2, 0) + struct.pack("<HHQQ", 1, 16, size, packed)
    return {"packed": 0xFFFFFFFF, "size": 0xFFFFFFFF, "extra": extra}


def _bytes(text: str) -> bytes:
    """Parse hex digits; the text behind a # on a line is a comment."""
    return bytes.fromhex("".join(line.partition("#")[0] for line in text.splitlines()))


# One file of each kind, written by hand: name -> bytes, and expected arrays by name.
GOLDEN: dict[str, tuple[bytes, dict[str, Array]]] = {
    "v0": (
        _bytes("""
            12 01 00 00 00 00 00 00  00 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00
            02 00 00 00                              # two dimensions
            02 00 00 00  01 00 00 00                 # 2, 1
            01 00 00 00  00 00 00 00  00 00 00 00    # cpu(0), float32
            00 00 80 3F  00 00 00 C0                 # 1, -2
            00 00 00 00                              # none
            02 00 00 00 00 00 00 00
            01 00 00 00 00 00 00 00  77              # w
            01 00 00 00 00 00 00 00  6E              # n
        """),
        {"w": np.array([[1], [-2]], "<f4")},
    ),
    "v1": (
        _bytes("""
            12 01 00 00 00 00 00 00  00 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00
            C8 FA 93 F9  00 00 00 00                 # none
            C8 FA 93 F9  01 00 00 00
            03 00 00 00 00 00 00 00
            02 00 00 00  05 00 00 00  05 00 00 00    # gpu(5), int8
            FF 00 7F
            00 00 00 00 00 00 00 00                  # no names
        """),
        {"1": np.array([-1, 0, 127], "i1")},
    ),
    "v2": (
        _bytes("""
            12 01 00 00 00 00 00 00  00 00 00 00 00 00 00 00  03 00 00 00 00 00 00 00
            C9 FA 93 F9  00 00 00 00  01 00 00 00
            03 00 00 00 00 00 00 00
            01 00 00 00  00 00 00 00  03 00 00 00    # cpu(0), uint8
            07 08 09
            C9 FA 93 F9  00 00 00 00  00 00 00 00    # no dimensions: a scalar
            01 00 00 00  00 00 00 00  00 00 00 00
            00 00 40 40                              # 3
            C9 FA 93 F9  00 00 00 00  02 00 00 00
            01 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00
            01 00 00 00  00 00 00 00  01 00 00 00    # cpu(0), float64, at byte 127
            00 00 00 00 00 00 F8 3F  00 00 00 00 00 00 00 80
            03 00 00 00 00 00 00 00
            07 00 00 00 00 00 00 00  67 72 C3 B6 C3 9F 65
            00 00 00 00 00 00 00 00                  # the empty name
            03 00 00 00 00 00 00 00  61 00 62        # a NUL b
        """),
        {
            "größe": np.array([7, 8, 9], "u1"),
            "": np.array(3, "<f4"),
            "a\0b": np.array([[1.5, -0.0]], "<f8"),
        },
    ),
    "v3": (
        _bytes("""
            12 01 00 00 00 00 00 00  EF BE AD DE 00 00 00 00  03 00 00 00 00 00 00 00
            CA FA 93 F9  00 00 00 00  00 00 00 00    # no dimensions: a scalar
            01 00 00 00  00 00 00 00  06 00 00 00
            FE FF FF FF FF FF FF FF                  # -2
            CA FA 93 F9  00 00 00 00  02 00 00 00    # no elements
            00 00 00 00 00 00 00 00  03 00 00 00 00 00 00 00
            01 00 00 00  00 00 00 00  00 00 00 00
            CA FA 93 F9  00 00 00 00  01 00 00 00
            02 00 00 00 00 00 00 00
            01 00 00 00  00 00 00 00  07 00 00 00    # bool
            01 00
            03 00 00 00 00 00 00 00
            01 00 00 00 00 00 00 00  73
            01 00 00 00 00 00 00 00  7A
            01 00 00 00 00 00 00 00  62
        """),
        {"s": np.array(-2, "<i8"), "z": np.zeros((0, 3), "<f4"), "b": np.array([True, False])},
    ),
    "row_sparse": (
        _bytes("""
            12 01 00 00 00 00 00 00  00 00 00 00 00 00 00 00  01 00 00 00 00 00 00 00
            C9 FA 93 F9  01 00 00 00
            02 00 00 00  01 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00    # stored (1, 2)
            02 00 00 00  03 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00    # array (3, 2)
            01 00 00 00  00 00 00 00  04 00 00 00                            # int32
            06 00 00 00  01 00 00 00  01 00 00 00 00 00 00 00                # indices int64 (1,)
            05 00 00 00  FA FF FF FF
            01 00 00 00 00 00 00 00                                          # row 1
            01 00 00 00 00 00 00 00  01 00 00 00 00 00 00 00  72
        """),
        {"r": np.array([[0, 0], [5, -6], [0, 0]], "<i4")},
    ),
    "csr": (
        _bytes("""
            12 01 00 00 00 00 00 00  00 00 00 00 00 00 00 00  01 00 00 00 00 00 00 00
            C9 FA 93 F9  02 00 00 00
            01 00 00 00  02 00 00 00 00 00 00 00                             # two values
            02 00 00 00  02 00 00 00 00 00 00 00  03 00 00 00 00 00 00 00    # array (2, 3)
            01 00 00 00  00 00 00 00  02 00 00 00                            # float16
            06 00 00 00  01 00 00 00  03 00 00 00 00 00 00 00                # indptr int64 (3,)
            06 00 00 00  01 00 00 00  02 00 00 00 00 00 00 00                # indices int64 (2,)
            00 3C  00 C0                                                     # 1, -2
            00 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00
            02 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
            01 00 00 00 00 00 00 00  01 00 00 00 00 00 00 00  63
        """),
        {"c": np.array([[-2, 0, 1], [0, 0, 0]], "<f2")},
    ),
    "npy": (
        b"\x93NUMPY\x01\x00\x3c\x00{'descr': '<i2', 'fortran_order': False, 'shape': (1, 2)}  \n\xff\xff\x02\x01",
        {"0": np.array([[-1, 258]], "<i2")},
    ),
    "zip": (
        _bytes("50 4B 03 04  00 00  08 08  00 00  00 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00  07 00  00 00")
        + b"a.b.npy"
        + b"\x93NUMPY\x01\x00\x38\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}\n\0\0\x80\x3f"
        + _bytes("50 4B 07 08  0B 6A 5B 69  46 00 00 00  46 00 00 00")
        + _bytes("50 4B 01 02  00 00  00 00  08 08  00 00  00 00 00 00  0B 6A 5B 69  46 00 00 00  46 00 00 00")
        + _bytes("07 00  00 00  00 00  00 00  00 00  00 00 00 00  00 00 00 00")
        + b"a.b.npy"
        + _bytes("50 4B 05 06  00 00  00 00  01 00  01 00  35 00 00 00  7B 00 00 00  00 00"),
        {"a.b": np.array([1], "<f4")},
    ),
}
