"""Tensor operations that know their output shapes before they see data, and their own way back.

Every operation has a name, as `conversion.json` has it, and five faces:

- `axes(*dims)` gives the axes of the targets, by name, from those of the sources,
- `bind(dims, dtype)` replaces the names of axes by their sizes,
- `infer(*shapes)` gives the shapes of the targets from those of the sources,
- `forward(*arrays)` makes the targets from the sources,
- `inverse(*arrays)` makes the sources from the targets, bit for bit.

An array may be any view: nothing is written to, and a copy is made only where the operation has to move bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, ClassVar, Protocol

from bort_convert.dtypes import numpy_dtype
from bort_convert.errors import MappingError
from bort_convert.lazy_numpy import np
from bort_convert.mapping.axes import joined_axis, sizes, split_axis

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import Array, Shape


class Op(Protocol):
    """A reversible operation on tensors.

    Attributes:
        name: as conversion.json has it; it never changes.
        copies: the target's bytes are the source's.
        holds_constant: a target holds values that came from no source; `inverse` checks that they are still there.
        lossy: there is no way back.
    """

    name: ClassVar[str]
    copies: ClassVar[bool]
    holds_constant: ClassVar[bool]
    lossy: ClassVar[bool]

    @property
    def zero(self) -> bool:
        """True if the target is zero in every byte, whatever its dtype."""

    def describe(self) -> str:
        """The operation in the words of a table for people."""

    def initialised(self, shape: Shape) -> int:
        """How many values of a target of this shape came from no source."""

    def axes(self, *dims: str) -> tuple[str, ...]:
        """Axes of the targets by name, from those of the sources."""

    def bind(self, dims: Mapping[str, int], dtype: str = "") -> Op:
        """Replace axis names by sizes, and where the operation makes values choose their dtype; "" leaves it."""

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:
        """Shapes of the targets, from the shapes of the sources.

        Raises:
            ValueError: the shapes do not suit this operation.
        """

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        """Make the targets from the sources."""

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        """Make the sources from the targets.

        Raises:
            MappingError: the targets are not what `forward` can have made, or a source cannot be made again.
        """


class Operation:
    """Defaults of an operation: it names no axis, holds no constant and has a way back."""

    name: ClassVar[str] = ""
    copies: ClassVar[bool] = False
    holds_constant: ClassVar[bool] = False
    lossy: ClassVar[bool] = False

    @property
    def zero(self) -> bool:
        """False."""
        return False

    def describe(self) -> str:
        """The name."""
        return self.name

    def initialised(self, shape: Shape) -> int:  # noqa: ARG002 - every value has a source
        """None."""
        return 0

    def bind(self, dims: Mapping[str, int], dtype: str = "") -> Op:  # noqa: ARG002 - there is nothing to bind
        """The same operation."""
        return self  # type: ignore[return-value]  # every heir has the other faces


@dataclass(frozen=True)
class Copy(Operation):
    """One tensor, as it is."""

    name: ClassVar[str] = "copy"
    copies: ClassVar[bool] = True

    def axes(self, *dims: str) -> tuple[str, ...]:
        return dims

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:
        return shapes

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        return arrays

    inverse = forward


@dataclass(frozen=True)
class Transpose(Operation):
    """A matrix, (m, n) to (n, m)."""

    name: ClassVar[str] = "transpose"

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
class Split(Operation):
    """One tensor cut along its first axis into `parts` equal ones: (parts*n, ...) to parts times (n, ...)."""

    name: ClassVar[str] = "split"

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
        return tuple(np.split(arrays[0], self.parts))

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.concatenate(arrays),)


@dataclass(frozen=True)
class Merge(Operation):
    """`parts` tensors of one shape stacked along their first axis: parts times (n, ...) to (parts*n, ...)."""

    name: ClassVar[str] = "merge"

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
        return (np.concatenate(arrays),)

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        return tuple(np.split(arrays[0], self.parts))


@dataclass(frozen=True)
class Pad(Operation):
    """`rows` rows of `value` put in front: (n, ...) to (rows + n, ...)."""

    name: ClassVar[str] = "pad"
    holds_constant: ClassVar[bool] = True

    rows: int
    value: float = 0.0

    def initialised(self, shape: Shape) -> int:
        return self.rows * prod(shape[1:])

    def axes(self, *dims: str) -> tuple[str, ...]:
        first, *rest = dims[0].split()
        factor, name, more = split_axis(first)
        return (" ".join((joined_axis(factor, name, more + self.rows), *rest)),)

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:
        rows, *rest = shapes[0]
        return ((self.rows + rows, *rest),)

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        (array,) = arrays
        front = np.full((self.rows, *array.shape[1:]), self.value, array.dtype)
        return (np.concatenate((front, array)),)

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        (array,) = arrays
        _expect_constant(array[: self.rows], self.value, f"the first {self.rows} rows")
        return (array[self.rows :],)


@dataclass(frozen=True)
class Fill(Operation):
    """No source: one target, every element `value`.

    Attributes:
        dims: the target's axes, names or sizes, such as `"1 units"`.
        dtype: of the target; "" until `bind` and the plan have chosen it.
    """

    name: ClassVar[str] = "fill"
    holds_constant: ClassVar[bool] = True

    dims: str
    value: float
    dtype: str = "float32"

    def axes(self, *dims: str) -> tuple[str, ...]:  # noqa: ARG002 - a constant has no source
        return (self.dims,)

    @property
    def zero(self) -> bool:
        return str(self.value) == "0.0"  # negative zero has a bit set

    def describe(self) -> str:
        return f"filled with {self.value:g}"

    def bind(self, dims: Mapping[str, int], dtype: str = "") -> Op:
        shape = " ".join(str(size) for size in sizes(self.dims, dims))
        return replace(self, dims=shape, dtype=dtype or self.dtype)

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:
        if shapes:
            raise ValueError("a constant has no source")
        return (sizes(self.dims, {}),)

    def forward(self, *arrays: Array) -> tuple[Array, ...]:  # noqa: ARG002 - a constant has no source
        return (np.full(sizes(self.dims, {}), self.value, numpy_dtype(self.dtype)),)

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        _expect_constant(arrays[0], self.value, "the tensor")
        return ()


@dataclass(frozen=True)
class Drop(Operation):
    """One source, no target; there is no way back, for the reason given."""

    name: ClassVar[str] = "drop"
    lossy: ClassVar[bool] = True

    why: str

    def axes(self, *dims: str) -> tuple[str, ...]:  # noqa: ARG002 - any axes may go
        return ()

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:  # noqa: ARG002 - any shape may go
        return ()

    def forward(self, *arrays: Array) -> tuple[Array, ...]:  # noqa: ARG002 - any values may go
        return ()

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:  # noqa: ARG002 - nothing can bring them back
        raise MappingError(f"it was left out ({self.why}) and cannot be made again")


def _expect_constant(array: Array, value: float, what: str) -> None:
    """Refuse an array that is not `value` throughout, negative zeros and NaN included."""
    expected = np.full((), value, array.dtype).tobytes()
    if array.tobytes() != expected * array.size:
        different = int((array != value).sum())
        raise MappingError(f"{what} should be {value} throughout, and {different:,} of {array.size:,} values are not")
