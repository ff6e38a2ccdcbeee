"""Data types by name, bfloat16 included, and what every room calls an array, a shape and a tensor without its values.

A dtype is carried as its NumPy name (`"float32"`); NumPy itself has no bfloat16, so that one comes from `ml_dtypes`,
imported when the first such array is met.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]

BFLOAT16 = "bfloat16"
FLOATS = ("float16", BFLOAT16, "float32", "float64")


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The little-endian NumPy dtype of a name; `"bfloat16"` gives that of `ml_dtypes`."""
    if name == BFLOAT16:
        import ml_dtypes  # noqa: PLC0415 - only a bfloat16 array needs it

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name).newbyteorder("<")


def itemsize(name: str) -> int:
    """Bytes per element of a dtype, without importing what the dtype needs."""
    return 2 if name == BFLOAT16 else np.dtype(name).itemsize


@dataclass(frozen=True)
class TensorSpec:
    """A tensor without its values: what a header says of it."""

    name: str
    dtype: str
    shape: Shape

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return prod(self.shape) * itemsize(self.dtype)
