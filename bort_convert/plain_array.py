"""Arrays where there is no NumPy, as in a browser: what an operation needs to move values, under NumPy's names.

`lazy_numpy` gives this module as `np` there. An array can be cut into rows, joined, transposed and reshaped; nothing
can be computed with it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from bort_convert.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ascontiguousarray", "concatenate", "dtype", "empty", "frombuffer", "full", "uint8"]

FORMATS: Final = {
    "bool": "?", "uint8": "B", "int8": "b", "int16": "h", "uint16": "H", "float16": "e",
    "int32": "i", "uint32": "I", "float32": "f", "float64": "d", "int64": "q", "uint64": "Q",
}  # fmt: skip
WORDS: Final[dict[int, Literal["B", "H", "I", "Q"]]] = {1: "B", 2: "H", 4: "I", 8: "Q"}
"""Bytes of a value -> format of an unsigned integer of that size."""


@dataclass(frozen=True)
class DType:
    """A little-endian data type."""

    name: str

    @property
    def itemsize(self) -> int:
        """Bytes of a value."""
        return struct.calcsize(f"<{FORMATS[self.name]}")

    def newbyteorder(self, order: str) -> DType:
        """The type itself, which is little-endian already."""
        assert order == "<"
        return self

    def __str__(self) -> str:
        return self.name


dtype: Final = DType
uint8: Final = DType("uint8")


@dataclass(frozen=True, eq=False)
class PlainArray:
    """Values in C order.

    Attributes:
        data: their bytes.
        dtype: their data type.
        shape: their shape.
    """

    data: memoryview
    dtype: DType
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of a value."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return len(self.data)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> PlainArray:
        """Rows, as a view."""
        if not isinstance(rows, slice) or rows.step is not None:
            _refuse(f"[{rows}]")
        start, stop, _ = rows.indices(len(self))
        row = prod(self.shape[1:]) * self.itemsize
        return PlainArray(self.data[start * row : stop * row], self.dtype, (max(stop - start, 0), *self.shape[1:]))

    @property
    def T(self) -> PlainArray:  # noqa: N802 - NumPy's name
        """The transposed matrix."""
        if len(self.shape) != 2:  # noqa: PLR2004 - a matrix
            _refuse(f"T of {len(self.shape)} axes")
        rows, columns = self.shape
        values = self.data.cast(WORDS[self.itemsize])
        moved = b"".join([values[column::columns].tobytes() for column in range(columns)])
        return PlainArray(memoryview(moved), self.dtype, (columns, rows))

    def reshape(self, *shape: Any, order: str = "C") -> PlainArray:  # noqa: ANN401 - a tuple or sizes, as in NumPy
        """The values in another shape, one size of which may be -1; those of a flat array in Fortran's order too."""
        sizes = shape[0] if isinstance(shape[0], tuple) else shape
        sizes = tuple(self.size // -prod(sizes) if size < 0 else size for size in sizes)
        if order == "F" and len(sizes) > 1:
            if len(self.shape) != 1:
                _refuse(f"order F of {len(self.shape)} axes")
            return PlainArray(self.data, self.dtype, sizes[::-1]).T
        return PlainArray(self.data, self.dtype, sizes)

    def view(self, other: DType) -> PlainArray:
        """The bytes of a flat array as values of another type."""
        return frombuffer(self.data, other)

    def tobytes(self) -> bytes:
        """A copy of the bytes."""
        return self.data.tobytes()

    def tolist(self) -> list[Any]:
        """The values of a flat array."""
        if len(self.shape) != 1:
            _refuse(f"tolist of {len(self.shape)} axes")
        return list(struct.unpack(f"<{self.size}{FORMATS[self.dtype.name]}", self.data))

    def __eq__(self, other: object) -> NoReturn:
        _refuse("==")

    __hash__ = None  # type: ignore[assignment] # as in NumPy

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        _refuse(name)


def _refuse(what: str) -> NoReturn:
    raise BackendError(f"computing with values needs NumPy (asked for {what}): pip install numpy")


def frombuffer(data: bytes | memoryview, kind: DType) -> PlainArray:
    """A flat array of bytes that somebody else holds."""
    view = memoryview(data).cast("B")
    return PlainArray(view, kind, (len(view) // kind.itemsize,))


def empty(size: int, kind: DType) -> PlainArray:
    """A flat array of zeros, to be written to."""
    return frombuffer(memoryview(bytearray(size * kind.itemsize)), kind)


def full(shape: tuple[int, ...], value: float, kind: DType) -> PlainArray:
    """An array of one value throughout."""
    one = struct.pack(f"<{FORMATS[kind.name]}", value)
    return PlainArray(memoryview(one * prod(shape)), kind, shape)


def concatenate(arrays: Sequence[PlainArray]) -> PlainArray:
    """Arrays joined along their first axis."""
    first, rows = arrays[0], sum(map(len, arrays))
    data = b"".join([array.data for array in arrays])
    return PlainArray(memoryview(data), first.dtype, (rows, *first.shape[1:]))


def ascontiguousarray(array: PlainArray, kind: DType | None = None) -> PlainArray:
    """The array itself, which is in C order already."""
    if kind not in {None, array.dtype}:
        _refuse(f"{array.dtype} as {kind}")
    return array
