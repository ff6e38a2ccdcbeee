"""An operation for attention: the heads of a projection, side by side in a matrix, get an axis of their own.

GluonNLP has such matrices alone; some receiving classes have tensors with an axis of heads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from bort_convert.axes import sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import Array, Shape


@dataclass(frozen=True)
class Unfold:
    """A matrix with one axis cut into two, which come last: (m, a*b) to (m, a, b); with `first`, (a*b, m) to (m, a, b).

    Attributes:
        dims: the two axes, names or sizes, such as `"heads head_dim"`.
        first: the first axis is cut, not the last one.
    """

    dims: str
    first: bool = False

    def axes(self, *dims: str) -> tuple[str, ...]:
        rows, columns = dims[0].split()
        return (f"{columns if self.first else rows} {self.dims}",)

    def bind(self, dims: Mapping[str, int]) -> Unfold:
        return replace(self, dims=" ".join(str(size) for size in sizes(self.dims, dims)))

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:
        kept, cut = reversed(shapes[0]) if self.first else shapes[0]
        parts = sizes(self.dims, {})
        if cut != prod(parts):
            raise ValueError(
                f"an axis of {cut} cannot be cut into {' x '.join(map(str, parts))}, expected {prod(parts)}"
            )
        return ((kept, *parts),)

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        (array,) = arrays
        (shape,) = self.infer(array.shape)
        return ((array.T if self.first else array).reshape(shape),)

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        (array,) = arrays
        matrix = array.reshape(len(array), prod(sizes(self.dims, {})))
        return (matrix.T if self.first else matrix,)
