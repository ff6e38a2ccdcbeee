"""Changing the precision of weights, in pieces, with an eye on what does not fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from bort_convert.dtypes import ITEMSIZES, numpy_dtype
from bort_convert.errors import MappingError
from bort_convert.half import Halver
from bort_convert.streams import PIECE, flat_arrays

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bort_convert.dtypes import Array
    from bort_convert.streams import FileRange


@dataclass
class Caster:
    """Casts tensors to one dtype, rounding to nearest even, and counts the finite values that become infinite.

    Attributes:
        dtype: NumPy's name of the target's dtype, or "bfloat16".
        overflows: name of a tensor -> how many of its values do not fit.
    """

    dtype: str
    overflows: dict[str, int] = field(default_factory=dict)

    def pieces(self, name: str, values: FileRange | Array, source: str) -> Iterator[Array]:
        """A tensor in the new dtype, in flat pieces; each is gone when the next one comes.

        Args:
            name: of the tensor, for `overflows`.
            values: any shape; in a file, little-endian and in C order.
            source: the dtype that they have.
        """
        for piece in flat_arrays(values, source):
            cast, lost = self._cast(piece)
            if lost:
                self.overflows[name] = self.overflows.get(name, 0) + lost
            yield cast

    @cached_property
    def _halver(self) -> Halver:
        return Halver(PIECE // ITEMSIZES["float32"])

    def _cast(self, piece: Array) -> tuple[Array, int]:
        """A piece in the new dtype, and how many of its finite values became infinite."""
        import numpy as np

        if self.dtype == "float16" and piece.dtype == np.float32 and (cast := self._halver(piece)) is not None:
            return cast, 0
        with np.errstate(over="ignore"):
            cast = piece.astype(numpy_dtype(self.dtype))
        infinite = _infinities(cast)
        return cast, infinite - _infinities(piece) if infinite else 0

    def check(self) -> None:
        """Refuse what has overflowed.

        Raises:
            MappingError: names every tensor that did, and how many of its values.
        """
        if self.overflows:
            lines = [f"{name}: too large: {count:,} of its values" for name, count in self.overflows.items()]
            raise MappingError(
                f"these tensors do not fit into {self.dtype}; keep their dtype, or pass --allow-overflow to get inf:",
                lines,
            )


def _infinities(values: Array) -> int:
    """How many values are infinite; told by their bits, because NumPy is slow to ask a float16."""
    import numpy as np

    bits = values.view(f"u{values.itemsize}")
    infinity = np.array([np.inf], values.dtype).view(bits.dtype)[0]
    magnitude = bits & (np.iinfo(bits.dtype).max >> 1)  # without the sign, which is the highest bit
    return int(np.count_nonzero(magnitude == infinity))
