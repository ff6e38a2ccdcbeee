"""What a file says about its arrays: the public `TensorInfo`, and the records and pieces that it is made from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

from bort_convert.dtypes import ITEMSIZES, numpy_dtype
from bort_convert.errors import FormatError
from bort_convert.lazy_numpy import np
from bort_convert.params.cursor import clipped, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bort_convert.dtypes import Array, Shape
    from bort_convert.params.cursor import Span

Storage: TypeAlias = Literal["dense", "row_sparse", "csr", "none"]
Kind: TypeAlias = Literal["list", "zip", "npy"]

MAX_DIMENSIONS = 32  # NumPy 1 has no more
MAX_BYTES = 2**63 - 1  # NumPy refuses a shape beyond, even an empty one
MAX_ARRAYS = 32_768  # at some 2 kB each in memory; a large network has a thousand
NAME_BYTES = 100  # all names together may take this, for each array that is allowed
ALWAYS_NAMED = 2**20  # bytes that they may take however few arrays are allowed

# The type flags of list files. Source: apache/mxnet, 3rdparty/mshadow/mshadow/base.h, enum TypeFlag
DTYPES: Mapping[int, str] = MappingProxyType(
    {
        0: "float32",
        1: "float64",
        2: "float16",
        3: "uint8",
        4: "int32",
        5: "int8",
        6: "int64",
        7: "bool",
        8: "int16",
        9: "uint16",
        10: "uint32",
        11: "uint64",
        12: "bfloat16",
    }
)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What the header of a file says about one array; no payload has been read or checked.

    Attributes:
        name: its name; "0", "1", ... in a file without names.
        shape: of the array as it reads (dense); () for a record without a value.
        dtype: NumPy's name of the type, or "bfloat16"; None for a record without a value.
        storage: "dense", "row_sparse", "csr", or "none" for a record without a value.
        offset: where the values start, in bytes from the start of `ParamsFile.fileno()`: `nbytes` bytes, little-endian,
            C order. None where they do not stand there so: a deflated member, Fortran order, no value.
            Copying them past the mapping leaves out what `ParamsFile[name]` checks: the checksum of an archive, the
            bytes of a bool.
        nbytes: bytes of the stored values: of the whole array when dense, of what is kept when sparse.
    """

    name: str
    shape: Shape
    dtype: str | None
    storage: Storage
    offset: int | None
    nbytes: int


@dataclass(frozen=True, slots=True)
class Piece:
    """One run of values in the file: a dense array, or the data, indices or indptr of a sparse one.

    Attributes:
        dtype: NumPy's name of the type, or "bfloat16".
        shape: of the values.
        start: first byte of the values, from the start of the span that `source` gives.
        source: gives the bytes, unpacked and with their checksum verified.
        offset: as in TensorInfo.
        fortran: the first axis runs fastest.
    """

    dtype: str
    shape: Shape
    start: int
    source: Callable[[], Span]
    offset: int | None
    fortran: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * ITEMSIZES[self.dtype]

    def check(self, label: str) -> None:
        """Checks what `load` would; values are looked at only where something about them can be wrong."""
        if self.dtype == "bool":
            self.load(label)
        else:
            self.source()

    def load(self, label: str) -> Array:
        """The values, as a view of the source's bytes (misaligned where the file has them so) where it is mapped.

        Raises:
            FormatError: a checksum fails, or a bool is neither 0 nor 1.
        """
        span = self.source()
        flat = np.frombuffer(span.view(self.start, self.nbytes), numpy_dtype(self.dtype))
        if self.dtype == "bool" and (wrong := np.flatnonzero(flat.view(np.uint8) > 1)).size:
            first = int(wrong[0])
            found = int(flat.view(np.uint8)[first])
            raise FormatError(f"{label}: value {first} of a bool array is the byte {found}; expected 0 or 1")
        return flat.reshape(self.shape, order="F" if self.fortran else "C")


@dataclass(frozen=True, slots=True)
class Record:
    """One array of a file: how it is stored, its dense shape, and its pieces by name ("data" always among them)."""

    storage: Storage
    shape: Shape
    pieces: Mapping[str, Piece]

    def info(self, name: str) -> TensorInfo:
        """The public face of the record, once it has a name."""
        data = self.pieces.get("data")
        if data is None:
            return TensorInfo(name, self.shape, None, self.storage, None, 0)
        return TensorInfo(name, self.shape, data.dtype, self.storage, data.offset, data.nbytes)


NONE = Record("none", (), MappingProxyType({}))


@dataclass(frozen=True)
class Contents:
    """All records of a file, in file order and with their names, which may still repeat."""

    kind: Kind
    named: bool
    records: tuple[tuple[str, Record], ...]
    note: str = ""


def check_count(span: Span, what: str, count: int, most: int) -> None:
    """Refuses a file of more arrays than the caller lets it have: each takes memory, however few bytes it has.

    Raises:
        FormatError: it has more.
    """
    if count > most:
        raise span.error(
            f"{what}; at most {most:,} are read. If the file is what it should be, raise the limit with "
            f"--max-arrays {count} (max_arrays in Python)"
        )


def name_bytes(arrays: int) -> int:
    """How many bytes the names of so many arrays may take together."""
    return max(ALWAYS_NAMED, NAME_BYTES * arrays)


def check_shape(span: Span, what: str, shape: Shape, dtype: str) -> None:
    """Refuses a shape that no NumPy array can have.

    Raises:
        FormatError: more than 32 dimensions, a negative one, or more bytes than 63 bits count.
    """
    if len(shape) > MAX_DIMENSIONS:
        raise span.error(f"{what} has {len(shape):,} dimensions; expected 0 to {MAX_DIMENSIONS}")
    for axis, size in enumerate(shape):
        if size < 0:
            raise span.error(f"{what}: dimension {axis} of {clipped(str(shape))} is {size}; expected 0 or more")
    if math.prod(size for size in shape if size) * ITEMSIZES[dtype] > MAX_BYTES:
        raise span.error(f"{what}: the shape {clipped(str(shape))} of {dtype} is more than 2**63 bytes")


def tensor_label(label: str, name: str) -> str:
    """How a message names an array whose name is known."""
    return f"{label}: tensor {shown(name)}"
