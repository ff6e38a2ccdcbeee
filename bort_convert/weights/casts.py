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
        overflows: name of a tensor -> how many of its values do not fit.
    """

    dtype: str
    overflows: dict[str, int] = field(default_factory=dict)

    def pieces(self, name: str, values: FileRange | Array, source: str) -> Iterator[Array]:
        """Cast a tensor, as flat arrays.

        Args:
            name: of the tensor, for `overflows`.
            values: any shape; in a file, little-endian and in C order.
            source: their dtype.
        """
        for piece in flat_arrays(values, source):
            with np.errstate(over="ignore"):
                cast = piece.astype(numpy_dtype(self.dtype))
            # Almost always there are none, and then one pass is enough.
            if infinite := _infinities(cast):
                lost = infinite - _infinities(piece)
                if lost:
                    self.overflows[name] = self.overflows.get(name, 0) + lost
            yield cast

    def check(self) -> None:
        """Refuse overflows.

        Raises:
            MappingError: names every tensor that overflowed, and how many of its values.
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
