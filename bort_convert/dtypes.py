"""Data types by name, bfloat16 among them; the package's words for an array, a shape and a tensor without its values.

A dtype is carried as its NumPy name (`"float32"`), so that most code needs no NumPy. NumPy has no bfloat16: its values
are computed with as `ml_dtypes` has them, which is an extra. Copying them needs neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

from bort_convert.errors import BackendError, install_hint
from bort_convert.lazy_numpy import np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[Any]

Shape: TypeAlias = tuple[int, ...]

Hyperparameter: TypeAlias = str | int | float | bool
"""A value that a config has and shapes do not show: attention heads, an activation, an epsilon."""

BFLOAT16 = "bfloat16"
ITEMSIZES = {
    "bool": 1, "uint8": 1, "int8": 1, "int16": 2, "uint16": 2, "float16": 2, BFLOAT16: 2,
    "int32": 4, "uint32": 4, "float32": 4, "float64": 8, "int64": 8, "uint64": 8,
}  # fmt: skip
FLOATS = ("float16", BFLOAT16, "float32", "float64")


def numpy_dtype(name: str) -> np.dtype[Any]:
    """Look up the little-endian NumPy dtype of a name.

    Raises:
        BackendError: the name is "bfloat16", and `ml_dtypes` is not installed.
    """
    if name != BFLOAT16:
        return np.dtype(name).newbyteorder("<")
    try:
        import ml_dtypes  # noqa: PLC0415 - an extra that only bfloat16 needs
    except ImportError as error:
        raise BackendError(
            f"computing with bfloat16 values needs ml_dtypes ({error}): {install_hint('bfloat16')}"
        ) from error
    return np.dtype(ml_dtypes.bfloat16)


@dataclass(frozen=True)
class TensorSpec:
    """Name, dtype and shape of a tensor, without its values."""

    name: str
    dtype: str
    shape: Shape

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return prod(self.shape) * ITEMSIZES[self.dtype]
