"""Data types by name, bfloat16 included, and what every room calls an array, a shape and a tensor without its values.

A dtype is carried as its NumPy name (`"float32"`); NumPy itself has no bfloat16, so that one comes from `ml_dtypes`,
imported when the first such array is met. NumPy too is imported where there are values to compute with: most of what
copies bytes, reads headers or fits a plan has none, and importing it takes longer than all of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

from bort_convert.lazy_numpy import np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[Any]

Shape: TypeAlias = tuple[int, ...]

BFLOAT16 = "bfloat16"
ITEMSIZES = {
    "bool": 1, "uint8": 1, "int8": 1, "int16": 2, "uint16": 2, "float16": 2, BFLOAT16: 2,
    "int32": 4, "uint32": 4, "float32": 4, "float64": 8, "int64": 8, "uint64": 8,
}  # fmt: skip
FLOATS = ("float16", BFLOAT16, "float32", "float64")


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The little-endian NumPy dtype of a name; `"bfloat16"` gives that of `ml_dtypes`."""
    if name == BFLOAT16:
        import ml_dtypes  # noqa: PLC0415 - only a bfloat16 array needs it

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name).newbyteorder("<")


@dataclass(frozen=True)
class TensorSpec:
    """A tensor without its values: what a header says of it."""

    name: str
    dtype: str
    shape: Shape

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return prod(self.shape) * ITEMSIZES[self.dtype]
