"""Operations that a single model family needs: gluonnlp 0.9's attention biases, an axis of heads, sinusoids.

Source: dmlc/gluon-nlp v0.9.2, model/bert.py, DotProductSelfAttentionCell.hybrid_forward, mended in v0.10.0;
scripts/language_model/transformer/transformer.py, PositionalEmbedding. transformers 5.23,
models/xlnet/modeling_xlnet.py, XLNetModel.relative_positional_encoding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, ClassVar, Final

from bort_convert.dtypes import numpy_dtype
from bort_convert.errors import MappingError
from bort_convert.lazy_numpy import np
from bort_convert.mapping.axes import bind_axes, shape_of
from bort_convert.mapping.ops import Op

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import Array, Shape


@dataclass(frozen=True)
class Scramble(Op):
    """Reorder q/k/v biases trained with gluonnlp 0.9, which interleaved them per head by mistake.

    Its attention kernel reads the three projections interleaved, head by head. gluonnlp 0.9 interleaves the weights but
    concatenates the biases whole, so that the kernel takes each bias from parts of all three.

    Attributes:
        parts: number of biases.
        heads: attention heads; 0 until `bind` sets them.
    """

    name: ClassVar[str] = "scramble"

    parts: int
    heads: int = 0

    def bind(self, dims: Mapping[str, int], dtype: str = "") -> Op:  # noqa: ARG002 - moves values of any dtype
        return replace(self, heads=dims.get("attention_heads", self.heads))

    def target_axes(self, *axes: str) -> tuple[str, ...]:
        return axes

    def target_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        if len(set(shapes)) != 1 or len(shapes) != self.parts or len(shapes[0]) != 1:
            raise ValueError(f"expected {self.parts} vectors of one size, found {', '.join(map(str, shapes))}")
        if self.heads and shapes[0][0] % self.heads:
            raise ValueError(f"{shapes[0][0]} values do not divide into {self.heads} equal parts")
        return shapes

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        read = np.concatenate(arrays).reshape(self.heads, self.parts, -1)  # (heads, parts, size / heads)
        return tuple(read[:, part].ravel() for part in range(self.parts))

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        whole = np.stack([array.reshape(self.heads, -1) for array in arrays], axis=1)  # (heads, parts, size / heads)
        return tuple(np.split(whole.ravel(), self.parts))

    pullback = inverse


@dataclass(frozen=True)
class Unfold(Op):
    """Split one axis of a matrix into two, which come last: (m, a*b) to (m, a, b), or (a*b, m) to (m, a, b).

    Attributes:
        axes: the two axes, such as `"attention_heads head_dim"`; `bind` replaces names by sizes.
        first: True to split the first axis of the matrix, False for the last one.
    """

    name: ClassVar[str] = "unfold"

    axes: str
    first: bool = False

    def bind(self, dims: Mapping[str, int], dtype: str = "") -> Op:  # noqa: ARG002 - moves values of any dtype
        return replace(self, axes=bind_axes(self.axes, dims))

    def target_axes(self, *axes: str) -> tuple[str, ...]:
        rows, columns = axes[0].split()
        return (f"{columns if self.first else rows} {self.axes}",)

    def target_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        kept, size = reversed(shapes[0]) if self.first else shapes[0]
        parts = shape_of(self.axes)
        if size != prod(parts):
            raise ValueError(
                f"an axis of {size} cannot be cut into {' x '.join(map(str, parts))}, expected {prod(parts)}"
            )
        return ((kept, *parts),)

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        (array,) = arrays
        (shape,) = self.target_shapes(array.shape)
        return ((array.T if self.first else array).reshape(shape),)

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        (array,) = arrays
        matrix = array.reshape(len(array), prod(shape_of(self.axes)))
        return (matrix.T if self.first else matrix,)

    pullback = inverse


_BASE: Final = 10000.0
_TOLERANCES: Final = {2: 2.0**-7, 4: 2.0**-21, 8: 2.0**-21}
"""Bytes of a value -> relative error: the last bits of a power function in that precision, in float32 at best."""


def exact_frequencies(hidden_size: int) -> Array:
    """1 / 10000**(2i/hidden_size) for each i below hidden_size/2, as float64."""
    frequencies: Array = 1 / _BASE ** (np.arange(0.0, hidden_size, 2.0) / hidden_size)
    return frequencies


@dataclass(frozen=True)
class Frequencies(Op):
    """Leave out the constant frequencies of sinusoidal positions; `inverse` computes them.

    Attributes:
        axes: of the source, such as `"1 hidden_size/2"`; `bind` replaces names by sizes.
        dtype: of the source.
    """

    name: ClassVar[str] = "frequencies"

    axes: str
    dtype: str = "float32"

    def bind(self, dims: Mapping[str, int], dtype: str = "") -> Op:
        return replace(self, axes=bind_axes(self.axes, dims), dtype=dtype or self.dtype)

    def target_axes(self, *axes: str) -> tuple[str, ...]:  # noqa: ARG002 - there is no target
        return ()

    def target_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        if shapes != (shape_of(self.axes),):
            raise ValueError(f"expected frequencies of the shape {shape_of(self.axes)}")
        return ()

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        """Check the constant, up to the last bits, which differ between mathematics libraries.

        Raises:
            MappingError: the array holds other frequencies.
        """
        (array,) = arrays
        found: list[float] = array.reshape(array.size).tolist()
        expected = [_BASE ** (-i / array.size) for i in range(array.size)]
        tolerance = _TOLERANCES[array.itemsize]
        pairs = enumerate(zip(found, expected, strict=True))
        wrong = [i for i, (mine, right) in pairs if not abs(mine - right) <= right * tolerance]
        if wrong:
            at = wrong[0]
            raise MappingError(
                f"it holds {found[at]:.9g} at {at}, expected {expected[at]:.9g}, 1 / 10000**(2i/{2 * array.size}); "
                f"{len(wrong):,} of {array.size:,} values are others, and the target model has these alone"
            )
        return ()

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:  # noqa: ARG002 - there is no target
        """Compute the constant as MXNet does: in float32, with the powers of the C library."""
        shape = shape_of(self.axes)
        hidden_size = np.float32(2 * np.prod(shape))
        exponents = np.arange(0, hidden_size, 2, dtype=np.float32) / hidden_size
        # NumPy takes a scalar's power from the C library, as MXNet does; an array's it computes itself.
        powers = np.array([np.float32(_BASE) ** exponent for exponent in exponents])
        return ((np.float32(1) / powers).astype(numpy_dtype(self.dtype)).reshape(shape),)

    def pullback(self, *gradients: Array) -> tuple[Array, ...]:  # noqa: ARG002 - there is no target
        return ()
