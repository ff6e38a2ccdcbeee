"""Make list files of random arrays, field by field, and damage one field."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, TypeAlias

from params_files import V1, V2, u32, u64

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

Field: TypeAlias = tuple[str, bytes]  # its kind, and its bytes

SIZES = {0: 4, 1: 8, 2: 2, 3: 1, 4: 4, 5: 1, 6: 8, 7: 1, 12: 2}  # bytes of a value by type flag, for MXNet 1.9.1
BOOL = 7
NAMES = ("w", "arg:fc1_weight", "encoder.0.bias", "größe", "a b/c", "中", "", "x" * 300)
NUMBERS = {1: "b", 4: "i", 8: "q"}
# Numbers that replace a number, besides its neighbours.
ODD = (0, 1, 2, 7, 8, 12, 13, 33, 99, 255, 2**16, 2**31 - 1, 2**32, 2**61, 2**63 - 1, -1, -3, -(2**31), -(2**63))


def random_fields(random: Random) -> list[Field]:
    """Make a list file that MXNet 1.9.1 reads: up to three arrays of any version, type and storage."""
    count = random.randint(1, 3)
    fields = [("magic", u64(0x112)), ("reserved", u64(0)), ("count", u64(count))]
    for _ in range(count):
        fields += random.choice((_version_0, _version_1, _dense, _dense, _row_sparse, _csr))(random)
    names = random.sample(NAMES, count) if random.random() < 0.8 else []
    fields.append(("names", u64(len(names))))
    for name in names:
        fields += [("length", u64(len(name.encode()))), ("name", name.encode())]
    return fields


def damaged(fields: list[Field], random: Random) -> bytes:
    """Change, double or leave out one field of a file, flip a bit, cut its end off, or add bytes."""
    data = b"".join(value for _, value in fields)
    damage = random.randrange(10)
    if damage == 0:
        return data[: random.randrange(len(data))]
    if damage == 1:
        return data + random.randbytes(random.randint(1, 40))
    if damage == 2:
        return _flipped(data, random)
    # Choose a kind of field first: there are many more dimensions than counts.
    chosen = random.choice(sorted({kind for kind, _ in fields}))
    at = random.choice([number for number, (kind, _) in enumerate(fields) if kind == chosen])
    kind, value = fields[at]
    if damage == 3:
        new = value * random.choice((0, 2))
    elif len(value) in NUMBERS and kind != "name":
        new = _number(value, random)
    else:
        new = _flipped(value, random) if value else b"\0"
    return b"".join(value for _, value in (*fields[:at], (kind, new), *fields[at + 1 :]))


def whole(data: bytes) -> list[Field]:
    """Give a file whose fields are not known as one field."""
    return [("file", data)]


def _flipped(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _number(value: bytes, random: Random) -> bytes:
    bits = 8 * len(value)
    old = int.from_bytes(value, "little")
    new = random.choice((old - 1, old + 1, old + 1, 2 * old, *ODD))
    return (new % 2**bits).to_bytes(len(value), "little")


def _version_0(random: Random) -> Iterator[Field]:
    sizes = _sizes(random, 1)
    yield "ndim", u32(len(sizes))
    yield from (("dim", u32(size)) for size in sizes)
    yield from _rest(random, sizes)


def _version_1(random: Random) -> Iterator[Field]:
    sizes = _sizes(random, 1)
    yield "version", u32(V1)
    yield from _shape(*sizes)
    yield from _rest(random, sizes)


def _dense(random: Random) -> Iterator[Field]:
    sizes = _sizes(random, 0)
    yield "version", u32(V2)
    yield "storage", u32(0)
    yield from _shape(*sizes)
    yield from _rest(random, sizes)


def _row_sparse(random: Random) -> Iterator[Field]:
    rows, *rest = _sizes(random, 1)
    kept = sorted(random.sample(range(rows), random.randint(0, rows)))
    yield "version", u32(V2)
    yield "storage", u32(1)
    yield from _shape(len(kept), *rest)
    yield from _shape(rows, *rest)
    flag, values = _typed(random, (len(kept), *rest))
    yield from (("context", u32(1)), ("context", u32(0)), ("flag", u32(flag)), ("flag", u32(6)))
    yield from _shape(len(kept))
    yield "values", values
    yield from (("index", u64(row)) for row in kept)


def _csr(random: Random) -> Iterator[Field]:
    rows, columns = random.randint(1, 3), random.randint(1, 4)
    kept = [sorted(random.sample(range(columns), random.randint(0, columns))) for _ in range(rows)]
    starts = [sum(map(len, kept[:row])) for row in range(rows + 1)]
    yield "version", u32(V2)
    yield "storage", u32(2)
    yield from _shape(starts[-1])
    yield from _shape(rows, columns)
    flag, values = _typed(random, (starts[-1],))
    yield from (("context", u32(1)), ("context", u32(0)), ("flag", u32(flag)), ("flag", u32(6)))
    yield from _shape(rows + 1)
    yield "flag", u32(6)
    yield from _shape(starts[-1])
    yield "values", values
    yield from (("index", u64(start)) for start in starts)
    yield from (("index", u64(column)) for row in kept for column in row)


def _sizes(random: Random, smallest: int) -> list[int]:
    return [random.randint(smallest, 4) for _ in range(random.randint(1, 4))]


def _shape(*sizes: int) -> Iterator[Field]:
    yield "ndim", u32(len(sizes))
    yield from (("dim", struct.pack("<q", size)) for size in sizes)


def _rest(random: Random, sizes: list[int]) -> Iterator[Field]:
    flag, values = _typed(random, tuple(sizes))
    yield from (("context", u32(1)), ("context", u32(0)), ("flag", u32(flag)), ("values", values))


def _typed(random: Random, sizes: tuple[int, ...]) -> tuple[int, bytes]:
    flag = random.choice(sorted(SIZES))
    count = SIZES[flag]
    for size in sizes:
        count *= size
    return flag, bytes(random.randrange(2) for _ in range(count)) if flag == BOOL else random.randbytes(count)
