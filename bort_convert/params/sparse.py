"""Sparse arrays: what has to hold between their pieces, and the dense array that they stand for.

MXNet checks none of this when it loads a file, and a bad index then reads or ends the process when the array is made
dense (1.9.1). Here shapes are checked when the file is opened, and indices before an array is handed out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bort_convert.dtypes import ITEMSIZES, numpy_dtype
from bort_convert.errors import FormatError
from bort_convert.lazy_numpy import np
from bort_convert.params.cursor import amount, clipped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import Array, Shape
    from bort_convert.params.cursor import Span
    from bort_convert.params.info import Record, Storage

# The order in which a list file has them.
AUXILIARY: Mapping[Storage, tuple[str, ...]] = {"row_sparse": ("indices",), "csr": ("indptr", "indices")}
INDEX_DTYPES = ("int64", "int32")

ALWAYS_DENSE = 64 * 2**20  # bytes that a dense form may take however small the file is
DENSE_RATIO = 1024  # beyond that, how many times larger than the file it may be


def check_shapes(span: Span, what: str, record: Record) -> None:
    """Compares the shapes and types of the pieces with one another and with the shape of the array.

    Raises:
        FormatError: they contradict one another.
    """
    for name in AUXILIARY[record.storage]:
        if (found := record.pieces[name].dtype) not in INDEX_DTYPES:
            raise span.error(f"{what}: the {name} of a {record.storage} array are {found}; expected int64")
    shapes = {name: piece.shape for name, piece in record.pieces.items()}
    rows = record.shape[:1]
    expected: dict[str, Shape]
    if record.storage == "row_sparse":
        _check_rank(span, what, record, rows != ())
        stored = shapes["data"][:1]
        expected = {"data": (*stored, *record.shape[1:]) if stored else record.shape, "indices": stored}
    else:
        _check_rank(span, what, record, len(record.shape) == 2)  # noqa: PLR2004 - rows and columns
        stored = shapes["indices"][:1]
        unfilled = stored == (0,) and shapes["indptr"] == (0,)
        expected = {"data": stored, "indices": stored, "indptr": (0,) if unfilled else (rows[0] + 1,)}
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise span.error(
                f"{what}: the {name} of a {record.storage} array of shape {clipped(str(record.shape))} have the shape "
                f"{clipped(str(shapes[name]))}; expected {clipped(str(shape))}"
            )


def _check_rank(span: Span, what: str, record: Record, fits: bool) -> None:  # noqa: FBT001 - the caller's condition
    if not fits:
        expected = "two dimensions" if record.storage == "csr" else "one dimension or more"
        raise span.error(f"{what}: a {record.storage} array of shape {clipped(str(record.shape))}; expected {expected}")


def check_indices(label: str, record: Record, pieces: Mapping[str, Array]) -> None:
    """Looks at every index.

    Raises:
        FormatError: a row or column is out of range or stands twice, or indptr does not rise from 0 to the number of
            stored values.
    """
    indices = pieces["indices"].astype(np.int64, copy=False)
    if record.storage == "row_sparse":
        _check_range(label, "row", indices, record.shape[0])
        _check_unique(label, "row", np.sort(indices))
        return
    _check_range(label, "column", indices, record.shape[1])
    indptr = pieces["indptr"]
    if indptr.size == 0:
        return
    if indptr[0] != 0 or indptr[-1] != indices.size:
        raise FormatError(
            f"{label}: csr indptr runs from {indptr[0]} to {indptr[-1]}; expected 0 to "
            f"{indices.size}, the number of values"
        )
    if (falls := (indptr[1:] < indptr[:-1]).nonzero()[0]).size:
        row = int(falls[0])
        raise FormatError(f"{label}: csr indptr falls from {indptr[row]} to {indptr[row + 1]} behind row {row}")
    rows = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
    order = np.lexsort((indices, rows))
    _check_unique(label, "column", indices[order], rows[order])


def _check_range(label: str, noun: str, indices: Array, limit: int) -> None:
    if (wrong := ((indices < 0) | (indices >= limit)).nonzero()[0]).size:
        raise FormatError(
            f"{label}: {noun} number {indices[wrong[0]]} is out of range; expected 0 or more and less than {limit}"
        )


def _check_unique(label: str, noun: str, ascending: Array, rows: Array | None = None) -> None:
    repeated = ascending[1:] == ascending[:-1]
    if rows is not None:
        repeated &= rows[1:] == rows[:-1]
    if (found := repeated.nonzero()[0]).size:
        raise FormatError(f"{label}: {noun} number {ascending[found[0]]} stands there twice; expected once")


def densify(label: str, record: Record, pieces: Mapping[str, Array], file_size: int) -> Array:
    """The dense array that checked pieces stand for.

    Args:
        label: how messages name it.
        record: what the file says about it.
        pieces: data, indices and, for csr, indptr.
        file_size: bytes of the file, which bound what is allocated: 64 MiB, or 1,024 times the file if that is more.

    Raises:
        FormatError: the dense array would be larger than that.
    """
    data = pieces["data"]
    dtype = record.pieces["data"].dtype
    needed = math.prod(record.shape) * ITEMSIZES[dtype]
    allowed = max(ALWAYS_DENSE, DENSE_RATIO * file_size)
    if needed > allowed:
        raise FormatError(
            f"{label}: the dense form of {clipped(str(record.shape))} {dtype} takes {amount(needed)} bytes; "
            f"at most {allowed:,} are made from a file of {file_size:,}. pieces() gives what is stored"
        )
    dense = np.zeros(record.shape, numpy_dtype(dtype))
    if record.storage == "row_sparse":
        dense[pieces["indices"]] = data
    elif data.size:
        rows = np.repeat(np.arange(record.shape[0]), np.diff(pieces["indptr"]))
        dense[rows, pieces["indices"]] = data
    return dense
