"""What can be done to tensors: operations that know their output shapes before they see data, and their own way back.

Every operation has five faces:

- `axes(*dims)` gives the axes of the targets, by name, from those of the sources,
- `bind(dims)` replaces the names of axes by their sizes,
- `infer(*shapes)` gives the shapes of the targets from those of the sources,
- `forward(*arrays)` makes the targets from the sources,
- `inverse(*arrays)` makes the sources from the targets, bit for bit.

An array may be any view: nothing is written to, and a copy is made only where the operation has to move bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from bort_convert.axes import joined_axis, sizes, split_axis
from bort_convert.dtypes import numpy_dtype
from bort_convert.errors import MappingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from bort_convert.dtypes import Array, Shape


class Op(Protocol):
    """The five faces of an operation."""

    def axes(self, *dims: str) -> tuple[str, ...]:
        """The targets' strings of axes, from those of the sources: what `infer` says of sizes, said of names."""

    def bind(self, dims: Mapping[str, int]) -> Op:
        """The same operation with every axis name replaced by its size."""

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:
        """Shapes of the targets, from the shapes of the sources.

        Raises:
            ValueError: the shapes do not suit this operation.
        """

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        """The targets, from the sources."""

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        """The sources, from the targets.

        Raises:
            MappingError: the targets are not what `forward` can have made, or what it left out cannot be made again.
        """


class _Unbound:
    """An operation that names no axis."""

    def bind(self, dims: Mapping[str, int]) -> Op:  # noqa: ARG002 - there is nothing to bind
        return self  # type: ignore[return-value]  # every heir has the other faces


@dataclass(frozen=True)
class Copy(_Unbound):
    """One tensor, as it is."""

    def axes(self, *dims: str) -> tuple[str, ...]:
        return dims

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:
        return shapes

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        return arrays

    inverse = forward


@dataclass(frozen=True)
class Transpose(_Unbound):
    """A matrix, (m, n) to (n, m)."""

    def axes(self, *dims: str) -> tuple[str, ...]:
        (rows, columns) = dims[0].split()
        return (f"{columns} {rows}",)

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:
        (rows, columns) = shapes[0]
        return ((columns, rows),)

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        return (arrays[0].T,)

    inverse = forward


@dataclass(frozen=True)
class Split(_Unbound):
    """One tensor cut along its first axis into `parts` equal ones: (parts*n, ...) to parts times (n, ...)."""

    parts: int

    def axes(self, *dims: str) -> tuple[str, ...]:
        first, *rest = dims[0].split()
        factor, name, more = split_axis(first)
        if factor % self.parts or more % self.parts:
            raise ValueError(f"axis {first!r} does not divide into {self.parts} equal parts")
        return (" ".join((joined_axis(factor // self.parts, name, more // self.parts), *rest)),) * self.parts

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:
        rows, *rest = shapes[0]
        if rows % self.parts:
            raise ValueError(f"{rows} rows do not divide into {self.parts} equal parts")
        return ((rows // self.parts, *rest),) * self.parts

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        return _split(arrays[0], self.parts)

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        return (_joined(arrays),)


@dataclass(frozen=True)
class Merge(_Unbound):
    """`parts` tensors of one shape stacked along their first axis: parts times (n, ...) to (parts*n, ...)."""

    parts: int

    def axes(self, *dims: str) -> tuple[str, ...]:
        first, *rest = dims[0].split()
        factor, name, more = split_axis(first)
        return (" ".join((joined_axis(factor * self.parts, name, more * self.parts), *rest)),)

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:
        if len(set(shapes)) != 1 or len(shapes) != self.parts:
            raise ValueError(f"expected {self.parts} tensors of one shape, found {', '.join(map(str, shapes))}")
        rows, *rest = shapes[0]
        return ((self.parts * rows, *rest),)

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        return (_joined(arrays),)

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        return _split(arrays[0], self.parts)


@dataclass(frozen=True)
class Pad(_Unbound):
    """`rows` rows of `value` put in front: (n, ...) to (rows + n, ...)."""

    rows: int
    value: float = 0.0

    def axes(self, *dims: str) -> tuple[str, ...]:
        first, *rest = dims[0].split()
        factor, name, more = split_axis(first)
        return (" ".join((joined_axis(factor, name, more + self.rows), *rest)),)

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:
        rows, *rest = shapes[0]
        return ((self.rows + rows, *rest),)

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        (array,) = arrays
        front = _constant((self.rows, *array.shape[1:]), self.value, array.dtype)
        return (_joined((front, array)),)

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        (array,) = arrays
        _expect_constant(array[: self.rows], self.value, f"the first {self.rows} rows")
        return (array[self.rows :],)


@dataclass(frozen=True)
class Fill:
    """No source: one target, every element `value`.

    Attributes:
        dims: the target's axes, names or sizes, such as `"1 units"`.
        dtype: of the target; "" until `bind` and the plan have chosen it.
    """

    dims: str
    value: float
    dtype: str = "float32"

    def axes(self, *dims: str) -> tuple[str, ...]:  # noqa: ARG002 - a constant has no source
        return (self.dims,)

    def bind(self, dims: Mapping[str, int]) -> Op:
        return replace(self, dims=" ".join(str(size) for size in sizes(self.dims, dims)))

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:
        if shapes:
            raise ValueError("a constant has no source")
        return (sizes(self.dims, {}),)

    def forward(self, *arrays: Array) -> tuple[Array, ...]:  # noqa: ARG002 - a constant has no source
        return (_constant(sizes(self.dims, {}), self.value, numpy_dtype(self.dtype)),)

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        _expect_constant(arrays[0], self.value, "the tensor")
        return ()


@dataclass(frozen=True)
class Drop(_Unbound):
    """One source, no target; there is no way back, for the reason given."""

    why: str

    def axes(self, *dims: str) -> tuple[str, ...]:  # noqa: ARG002 - any axes may go
        return ()

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:  # noqa: ARG002 - any shape may go
        return ()

    def forward(self, *arrays: Array) -> tuple[Array, ...]:  # noqa: ARG002 - any values may go
        return ()

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:  # noqa: ARG002 - nothing can bring them back
        raise MappingError(f"it was left out ({self.why}) and cannot be made again")


def _split(array: Array, parts: int) -> tuple[Array, ...]:
    import numpy as np

    return tuple(np.split(array, parts))


def _joined(arrays: tuple[Array, ...]) -> Array:
    import numpy as np

    return np.concatenate(arrays)


def _constant(shape: Shape, value: float, dtype: np.dtype[Any]) -> Array:
    import numpy as np

    return np.full(shape, value, dtype)


def _expect_constant(array: Array, value: float, what: str) -> None:
    """Refuse an array that is not `value` throughout, negative zeros and NaN included."""
    expected = _constant((), value, array.dtype).tobytes()
    if array.tobytes() != expected * array.size:
        different = int((array != value).sum())
        raise MappingError(f"{what} should be {value} throughout, and {different:,} of {array.size:,} values are not")
