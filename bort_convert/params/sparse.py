"""Sparse arrays: check the stored arrays against one another, and make the dense array.

MXNet 1.9.1 checks none of this when it loads a file; a bad index then gives wrong values or ends the process when the
array is made dense. Here shapes are checked when the file is opened, and indices before an array is handed out.
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

# The stored arrays besides the data, in the order of a list file.
AUXILIARY: Mapping[Storage, tuple[str, ...]] = {"row_sparse": ("indices",), "csr": ("indptr", "indices")}
INDEX_DTYPES = ("int64", "int32")

ALWAYS_DENSE = 64 * 2**20  # bytes that a dense array may take however small the file is
DENSE_RATIO = 1024  # size of the file times this may be taken beyond that


def check_shapes(span: Span, subject: str, record: Record) -> None:
    """Compare the shapes and types of the stored arrays with one another and with the shape of the record.

    Raises:
        FormatError: they contradict one another.
    """
    for name in AUXILIARY[record.storage]:
        if (found := record.stored[name].dtype) not in INDEX_DTYPES:
            raise span.error(f"{subject}: the {name} of a {record.storage} array are {found}; expected int64")
    shapes = {name: array.shape for name, array in record.stored.items()}
    expected: dict[str, Shape]
    if record.storage == "row_sparse":
        _check_rank(span, subject, record, bool(record.shape))
        count = shapes["data"][:1]
        expected = {"data": (*count, *record.shape[1:]) if count else record.shape, "indices": count}
    else:
        _check_rank(span, subject, record, len(record.shape) == 2)  # noqa: PLR2004 - rows and columns
        count = shapes["indices"][:1]
        unfilled = count == (0,) and shapes["indptr"] == (0,)
        expected = {"data": count, "indices": count, "indptr": (0,) if unfilled else (record.shape[0] + 1,)}
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise span.error(
                f"{subject}: the {name} of a {record.storage} array of shape {clipped(str(record.shape))} have the "
                f"shape {clipped(str(shapes[name]))}; expected {clipped(str(shape))}"
            )


def _check_rank(span: Span, subject: str, record: Record, valid: bool) -> None:  # noqa: FBT001 - the caller's condition
    if not valid:
        expected = "two dimensions" if record.storage == "csr" else "one dimension or more"
        raise span.error(
            f"{subject}: a {record.storage} array of shape {clipped(str(record.shape))}; expected {expected}"
        )


def check_indices(label: str, record: Record, stored: Mapping[str, Array]) -> None:
    """Check every index of a sparse array.

    Raises:
        FormatError: a row or column is out of range or stands twice, or indptr does not rise from 0 to the number of
            stored values.
    """
    indices = stored["indices"].astype(np.int64, copy=False)
    if record.storage == "row_sparse":
        _check_range(label, "row", indices, record.shape[0])
        _check_unique(label, "row", np.sort(indices))
        return
    _check_range(label, "column", indices, record.shape[1])
    indptr = stored["indptr"]
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


def densify(label: str, record: Record, stored: Mapping[str, Array], file_size: int) -> Array:
    """Make the dense array of a sparse one whose indices have been checked.

    Args:
        label: name of the array in messages.
        record: header of the array.
        stored: data, indices and, for csr, indptr.
        file_size: bytes of the file; the dense array may take 64 MiB, or 1,024 times the file if that is more.

    Raises:
        FormatError: the dense array would be larger than that.
    """
    data = stored["data"]
    dtype = record.stored["data"].dtype
    needed = math.prod(record.shape) * ITEMSIZES[dtype]
    allowed = max(ALWAYS_DENSE, DENSE_RATIO * file_size)
    if needed > allowed:
        raise FormatError(
            f"{label}: the dense form of {clipped(str(record.shape))} {dtype} takes {amount(needed)} bytes; "
            f"at most {allowed:,} are made from a file of {file_size:,}. pieces() gives what is stored"
        )
    dense = np.zeros(record.shape, numpy_dtype(dtype))
    if record.storage == "row_sparse":
        dense[stored["indices"]] = data
    elif data.size:
        rows = np.repeat(np.arange(record.shape[0]), np.diff(stored["indptr"]))
        dense[rows, stored["indices"]] = data
    return dense
