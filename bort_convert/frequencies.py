"""The frequencies of sinusoidal positions: a constant that GluonNLP stores and transformers computes.

Source: dmlc/gluon-nlp, scripts/language_model/transformer/transformer.py, PositionalEmbedding; transformers 5.23,
models/xlnet/modeling_xlnet.py, XLNetModel.relative_positional_encoding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bort_convert.axes import sizes
from bort_convert.dtypes import numpy_dtype
from bort_convert.errors import MappingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import Array, Shape

_BASE: Final = 10000.0
_ROUNDING: Final = {2: 2.0**-7, 4: 2.0**-21, 8: 2.0**-21}
"""Bytes of a value -> what it may be off, relative to itself: a power function's last bits, of float32 or less."""


def exact_frequencies(units: int) -> Array:
    """1 / 10000**(2i/units) for i from 0 up to units/2, (units/2,) float64."""
    import numpy as np

    frequencies: Array = 1 / _BASE ** (np.arange(0.0, units, 2.0) / units)
    return frequencies


@dataclass(frozen=True)
class Frequencies:
    """One source, no target: the frequencies for `units`, which are made again on the way back.

    Attributes:
        dims: the source's axes, names or sizes, such as `"1 units/2"`; there are as many frequencies as it has values.
        dtype: of the source; the plan chooses it.
    """

    dims: str
    dtype: str = "float32"

    def axes(self, *dims: str) -> tuple[str, ...]:  # noqa: ARG002 - nothing is made
        return ()

    def bind(self, dims: Mapping[str, int]) -> Frequencies:
        return replace(self, dims=" ".join(str(size) for size in sizes(self.dims, dims)))

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
                f"{int(wrong.sum()):,} of {array.size:,} values are others, and the receiving model has these alone"
            )
        return ()

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:  # noqa: ARG002 - nothing was made
        """The constant, as MXNet makes it: in float32, powers by the C library."""
        import numpy as np

        shape = sizes(self.dims, {})
        units = np.float32(2 * np.prod(shape))
        exponents = np.arange(0, units, 2, dtype=np.float32) / units
        # NumPy takes a scalar's power from the C library, as MXNet does; an array's it computes itself.
        powers = np.array([np.float32(_BASE) ** exponent for exponent in exponents], np.float32)
        return ((np.float32(1) / powers).astype(numpy_dtype(self.dtype)).reshape(shape),)
