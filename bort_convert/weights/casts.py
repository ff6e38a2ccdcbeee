"""Cast weights to another precision, in pieces, and count the values that overflow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bort_convert.dtypes import numpy_dtype
from bort_convert.errors import MappingError
from bort_convert.files.streams import flat_arrays
from bort_convert.lazy_numpy import np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bort_convert.dtypes import Array
    from bort_convert.files.streams import FileRange


@dataclass
class Caster:
    """Cast tensors to one dtype, rounding to nearest even, and count the finite values that become infinite.

    Attributes:
        dtype: NumPy's name of the dtype to cast to, or "bfloat16".
        overflows: name of a tensor -> number of its values that became infinite.
    """

    dtype: str
    overflows: dict[str, int] = field(default_factory=dict)

    def cast(self, name: str, values: FileRange | Array, source_dtype: str) -> Iterator[Array]:
        """Cast a tensor piece by piece, to flat arrays.

        Args:
            name: name of the tensor, for `overflows`.
            values: an array of any shape, or a range that holds the values little-endian and in C order.
            source_dtype: name of the dtype of `values`.
        """
        for piece in flat_arrays(values, source_dtype):
            with np.errstate(over="ignore", invalid="ignore"):  # some casts complain of NaN
                result = piece.astype(numpy_dtype(self.dtype))
            # The result has almost never an infinity, and then the source need not be searched.
            if (infinite := _infinities(result)) and (overflowed := infinite - _infinities(piece)):
                self.overflows[name] = self.overflows.get(name, 0) + overflowed
            yield result

    def check(self) -> None:
        """Refuse overflows.

        Raises:
            MappingError: some values became infinite; the message has their number for every tensor.
        """
        if self.overflows:
            lines = [f"{name}: too large: {count:,} of its values" for name, count in self.overflows.items()]
            raise MappingError(
                f"these tensors do not fit into {self.dtype}; keep their dtype, or pass `allow_overflow=True` to get "
                "inf:",
                lines,
            )


def _infinities(values: Array) -> int:
    """Count infinite values by their bits: NumPy's `isinf` is slow on float16, and bfloat16 has none."""
    bits = values.view(f"u{values.itemsize}")
    infinity = np.array([np.inf], values.dtype).view(bits.dtype)[0]
    magnitude = bits & (np.iinfo(bits.dtype).max >> 1)  # without the sign, which is the highest bit
    return int(np.count_nonzero(magnitude == infinity))
