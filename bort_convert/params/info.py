"""Headers of a file's arrays: the public `TensorInfo`, and the records that it is made from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

from bort_convert.dtypes import ITEMSIZES, numpy_dtype
from bort_convert.errors import FormatError
from bort_convert.lazy_numpy import np
from bort_convert.params.cursor import clipped, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bort_convert.dtypes import Array, Shape
    from bort_convert.params.cursor import Span

Storage: TypeAlias = Literal["dense", "row_sparse", "csr", "none"]
Container: TypeAlias = Literal["list", "zip", "npy"]

MAX_DIMENSIONS = 32  # NumPy 1 has no more
MAX_BYTES = 2**63 - 1  # NumPy refuses a larger shape, even an empty one
MAX_ARRAYS = 32_768  # at some 2 kB each in memory; a large network has a thousand
"""Arrays of a file that are read by default; see `open_params`.

Examples:
    >>> bort_convert.open_params("fixtures/cnn_tiny.params", max_arrays=4)
    Traceback (most recent call last):
    bort_convert.errors.FormatError: ...
"""
NAME_BYTES = 100  # of all names together, for each array that is allowed
ALWAYS_NAMED = 2**20  # bytes of all names together that are allowed however few arrays are

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
    """Header of one array; its values have not been read or checked.

    Attributes:
        name: name of the array; "0", "1", ... in a file without names.
        shape: shape of the array as it reads (dense); () for a record without a value.
        dtype: NumPy's name of the type, or "bfloat16"; None for a record without a value.
        storage: "dense", "row_sparse", "csr", or "none" for a record without a value.
        offset: byte of the open file (`ParamsFile.fileno()`) from which `nbytes` bytes hold the values, little-endian
            and in C order. None where no bytes of the file do: a deflated member, Fortran order, no value.
            Copying them from the file leaves out two checks that `ParamsFile[name]` makes: the checksum of an archive,
            and that a bool is 0 or 1. `ParamsFile.check` makes them.
        nbytes: bytes of the stored values: of the whole array when dense, of the kept values when sparse.

    Examples:
        >>> with bort_convert.open_params("fixtures/cnn_tiny.params") as params:
        ...     info = params.header["arg:cnn_conv0_weight"]
        >>> info.shape, info.dtype, info.storage, info.nbytes
        ((4, 2, 3, 3), 'float32', 'dense', 288)
    """

    name: str
    shape: Shape
    dtype: str | None
    storage: Storage
    offset: int | None
    nbytes: int


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One array as the file stores it: a dense array, or the data, indices or indptr of a sparse one.

    Attributes:
        dtype: NumPy's name of the type, or "bfloat16".
        shape: shape of the values.
        start: first byte of the values, counted from the start of the span that `open_span` gives.
        open_span: gives the bytes, unpacked and with their checksum verified.
        offset: as in TensorInfo.
        fortran: True if the first axis runs fastest.
    """

    dtype: str
    shape: Shape
    start: int
    open_span: Callable[[], Span]
    offset: int | None
    fortran: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * ITEMSIZES[self.dtype]

    def check(self, label: str) -> None:
        """Check as `load` does, reading no values but those of a bool."""
        if self.dtype == "bool":
            self.load(label)
        else:
            self.open_span()

    def load(self, label: str) -> Array:
        """Give the values, as a view of the file (misaligned where the file has them so) if the file is mapped.

        Raises:
            FormatError: a checksum fails, or a bool is neither 0 nor 1.
        """
        span = self.open_span()
        data = span.view(self.start, self.nbytes)
        if self.dtype == "bool" and (wrong := data.tobytes().translate(None, b"\0\1")):
            first = data.tobytes().index(wrong[0])
            raise FormatError(f"{label}: value {first} of a bool array is the byte {wrong[0]}; expected 0 or 1")
        flat = np.frombuffer(data, numpy_dtype(self.dtype))
        return flat.reshape(self.shape, order="F" if self.fortran else "C")


@dataclass(frozen=True, slots=True)
class Record:
    """One named array of a file.

    Attributes:
        storage: as in TensorInfo.
        shape: shape of the array as it reads (dense).
        stored: the arrays that the file stores for it: "data"; for a sparse one also "indices", and "indptr" for csr.
    """

    storage: Storage
    shape: Shape
    stored: Mapping[str, StoredArray]

    def info(self, name: str) -> TensorInfo:
        """Make the public header of the record, once its name is known."""
        data = self.stored.get("data")
        if data is None:
            return TensorInfo(name, self.shape, None, self.storage, None, 0)
        return TensorInfo(name, self.shape, data.dtype, self.storage, data.offset, data.nbytes)


NONE = Record("none", (), MappingProxyType({}))


@dataclass(frozen=True)
class Contents:
    """All records of a file.

    Attributes:
        container: "list", "zip" or "npy".
        named: False where the arrays have no names in the file.
        records: name and record of each array, in file order; names may repeat.
        note: how the file was read, if that needs saying.
    """

    container: Container
    named: bool
    records: tuple[tuple[str, Record], ...]
    note: str = ""


def check_count(span: Span, finding: str, count: int, most: int) -> None:
    """Refuse a file of more than `most` arrays: each takes memory, however few bytes it has in the file.

    Raises:
        FormatError: it has more; the message begins with `finding`.
    """
    if count > most:
        raise span.error(
            f"{finding}; at most {most:,} are read. If the file is what it should be, raise the limit with "
            f"`max_arrays={count}`"
        )


def name_limit(arrays: int) -> int:
    """Compute the number of bytes that the names of so many arrays may take together."""
    return max(ALWAYS_NAMED, NAME_BYTES * arrays)


def check_shape(span: Span, subject: str, shape: Shape, dtype: str) -> None:
    """Refuse a shape that no NumPy array can have.

    Raises:
        FormatError: more than 32 dimensions, a negative one, or more bytes than 63 bits can count.
    """
    if len(shape) > MAX_DIMENSIONS:
        raise span.error(f"{subject} has {len(shape):,} dimensions; expected 0 to {MAX_DIMENSIONS}")
    for axis, size in enumerate(shape):
        if size < 0:
            raise span.error(f"{subject}: dimension {axis} of {clipped(str(shape))} is {size}; expected 0 or more")
    if math.prod(size for size in shape if size) * ITEMSIZES[dtype] > MAX_BYTES:
        raise span.error(f"{subject}: the shape {clipped(str(shape))} of {dtype} is more than 2**63 bytes")


def tensor_label(label: str, name: str) -> str:
    """Give the name of an array in messages: the file's label and the array's name."""
    return f"{label}: tensor {quoted(name)}"
