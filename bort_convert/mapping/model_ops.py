"""Operations that one model family needs: gluonnlp 0.9's biases, attention heads, sinusoids.

Source: dmlc/gluon-nlp v0.9.2, model/bert.py, DotProductSelfAttentionCell.hybrid_forward, mended in v0.10.0;
scripts/language_model/transformer/transformer.py, PositionalEmbedding. transformers 5.23, models/xlnet/modeling_xlnet.py,
XLNetModel.relative_positional_encoding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, ClassVar, Final

from bort_convert.dtypes import numpy_dtype
from bort_convert.errors import MappingError
from bort_convert.lazy_numpy import np
from bort_convert.mapping.axes import sizes
from bort_convert.mapping.ops import Operation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import Array, Shape
    from bort_convert.mapping.ops import Op


@dataclass(frozen=True)
class Scramble(Operation):
    """Reorder q/k/v biases trained with gluonnlp 0.9, which reads them interleaved per head.

    The kernel of gluonnlp 0.9 wants the three projections interleaved, head by head. It interleaves the weights, but
    concatenates the biases whole: each of the three biases is read from pieces of all.

    Attributes:
        heads: how many pieces each vector has; 0 until `bind` is told.
    """

    name: ClassVar[str] = "scramble"

    parts: int
    heads: int = 0

    def axes(self, *dims: str) -> tuple[str, ...]:
        return dims

    def bind(self, dims: Mapping[str, int], dtype: str = "") -> Op:  # noqa: ARG002 - moves values of any dtype
        return replace(self, heads=dims.get("attention_heads", self.heads))

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:
        if len(set(shapes)) != 1 or len(shapes) != self.parts or len(shapes[0]) != 1:
            raise ValueError(f"expected {self.parts} vectors of one size, found {', '.join(map(str, shapes))}")
        if self.heads and shapes[0][0] % self.heads:
            raise ValueError(f"{shapes[0][0]} values do not divide into {self.heads} equal parts")
        return shapes

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        read = np.concatenate(arrays).reshape(self.heads, self.parts, -1)  # (heads, parts, size / heads)
        return tuple(read[:, part].reshape(-1) for part in range(self.parts))

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        whole = np.stack([array.reshape(self.heads, -1) for array in arrays], axis=1)  # (heads, parts, size / heads)
        return tuple(np.split(whole.reshape(-1), self.parts))


_BASE: Final = 10000.0
_ROUNDING: Final = {2: 2.0**-7, 4: 2.0**-21, 8: 2.0**-21}
"""Bytes of a value -> what it may be off, relative to itself: a power function's last bits, of float32 or less."""


def exact_frequencies(units: int) -> Array:
    """1 / 10000**(2i/units) for i from 0 up to units/2, (units/2,) float64."""
    frequencies: Array = 1 / _BASE ** (np.arange(0.0, units, 2.0) / units)
    return frequencies


@dataclass(frozen=True)
class Frequencies(Operation):
    """One source, no target: the frequencies for `units`, which are made again on the way back.

    Attributes:
        dims: the source's axes, names or sizes, such as `"1 units/2"`; there are as many frequencies as it has values.
        dtype: of the source; the plan chooses it.
    """

    name: ClassVar[str] = "frequencies"

    dims: str
    dtype: str = "float32"

    def axes(self, *dims: str) -> tuple[str, ...]:  # noqa: ARG002 - nothing is made
        return ()

    def bind(self, dims: Mapping[str, int], dtype: str = "") -> Op:
        shape = " ".join(str(size) for size in sizes(self.dims, dims))
        return replace(self, dims=shape, dtype=dtype or self.dtype)

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:
        if shapes != (sizes(self.dims, {}),):
            raise ValueError(f"expected frequencies of the shape {sizes(self.dims, {})}")
        return ()

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        """Nothing, from what is the constant but for its last bits, which differ between mathematics libraries.

        Raises:
            MappingError: it is not.
        """
        (array,) = arrays
        found = array.astype("float64").reshape(-1)
        expected = exact_frequencies(2 * array.size)
        wrong = ~(abs(found - expected) <= expected * _ROUNDING[array.itemsize])
        if wrong.any():
            at = int(wrong.argmax())
            raise MappingError(
                f"it holds {found[at]:.9g} at {at}, expected {expected[at]:.9g}, 1 / 10000**(2i/{2 * array.size}); "
                f"{int(wrong.sum()):,} of {array.size:,} values are others, and the target model has these alone"
            )
        return ()

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:  # noqa: ARG002 - nothing was made
        """The constant, as MXNet makes it: in float32, powers by the C library."""
        shape = sizes(self.dims, {})
        units = np.float32(2 * np.prod(shape))
        exponents = np.arange(0, units, 2, dtype=np.float32) / units
        # NumPy takes a scalar's power from the C library, as MXNet does; an array's it computes itself.
        powers = np.array([np.float32(_BASE) ** exponent for exponent in exponents], np.float32)
        return ((np.float32(1) / powers).astype(numpy_dtype(self.dtype)).reshape(shape),)


@dataclass(frozen=True)
class Unfold(Operation):
    """A matrix with one axis cut into two, which come last: (m, a*b) to (m, a, b); with `first`, (a*b, m) to (m, a, b).

    Attributes:
        dims: the two axes, names or sizes, such as `"heads head_dim"`.
        first: the first axis is cut, not the last one.
    """

    name: ClassVar[str] = "unfold"

    dims: str
    first: bool = False

    def axes(self, *dims: str) -> tuple[str, ...]:
        rows, columns = dims[0].split()
        return (f"{columns if self.first else rows} {self.dims}",)

    def bind(self, dims: Mapping[str, int], dtype: str = "") -> Op:  # noqa: ARG002 - moves values of any dtype
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
