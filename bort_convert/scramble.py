"""The operation that a bug of gluonnlp made: three biases in an order that only its kernel knows.

The kernel of gluonnlp 0.9 wants the projections of query, key and value interleaved, head by head. The weights are; the
biases are concatenated whole, and so each of the three is read from pieces of all. What was trained there learned so.

Source: dmlc/gluon-nlp v0.9.2, model/bert.py, DotProductSelfAttentionCell.hybrid_forward; mended in v0.10.0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import Array, Shape
    from bort_convert.ops import Op


@dataclass(frozen=True)
class Scramble:
    """`parts` vectors of one size concatenated whole, then read as if they lay interleaved, a piece of each per head.

    Attributes:
        heads: how many pieces each vector has; 0 until `bind` is told.
    """

    parts: int
    heads: int = 0

    def axes(self, *dims: str) -> tuple[str, ...]:
        return dims

    def bind(self, dims: Mapping[str, int]) -> Op:
        return replace(self, heads=dims.get("heads", self.heads))

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:
        if len(set(shapes)) != 1 or len(shapes) != self.parts or len(shapes[0]) != 1:
            raise ValueError(f"expected {self.parts} vectors of one size, found {', '.join(map(str, shapes))}")
        if self.heads and shapes[0][0] % self.heads:
            raise ValueError(f"{shapes[0][0]} values do not divide into {self.heads} equal parts")
        return shapes

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        import numpy as np

        read = np.concatenate(arrays).reshape(self.heads, self.parts, -1)  # (heads, parts, size / heads)
        return tuple(read[:, part].reshape(-1) for part in range(self.parts))

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        import numpy as np

        whole = np.stack([array.reshape(self.heads, -1) for array in arrays], axis=1)  # (heads, parts, size / heads)
        return tuple(np.split(whole.reshape(-1), self.parts))
