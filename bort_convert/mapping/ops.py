"""Reversible operations on tensors, which know the shapes that they make before any value is read.

`Op` says what every operation offers; those that one model family alone needs are in `model_ops.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, ClassVar

from bort_convert.dtypes import numpy_dtype
from bort_convert.errors import MappingError
from bort_convert.lazy_numpy import np
from bort_convert.mapping.axes import bind_axes, parse_axis, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import Array, Hyperparameter, Shape


class Op(ABC):
    """A reversible operation: source tensors of a checkpoint become target tensors of the transformers model.

    `inverse` restores the sources of `forward` bit for bit. Arrays may be views of a file: no operation writes to them,
    and it copies only where bytes have to move.

    Attributes:
        name: the operation in `conversion.json`; it never changes.
        copies: True if the targets, one after the other, have the bytes of the source.
        holds_constant: True if a target holds initialised values; `inverse` checks that they are unchanged.
        lossy: True if the sources cannot be restored.
    """

    name: ClassVar[str]
    copies: ClassVar[bool] = False
    holds_constant: ClassVar[bool] = False
    lossy: ClassVar[bool] = False

    @property
    def zero(self) -> bool:
        """True if every byte of the target is zero, in any dtype."""
        return False

    @property
    def beside(self) -> str:
        """How sources that are no part of the model leave it: "kept" beside it or "ignored"; "" if they are a part."""
        return ""

    def describe(self) -> str:
        """Describe the operation in a table for people."""
        return self.name

    def initialised(self, shape: Shape) -> int:  # noqa: ARG002 - most operations initialise no value
        """Count the initialised values in a target of this shape that also has values from a source."""
        return 0

    def resolve(self, hyperparameters: Mapping[str, Hyperparameter]) -> Op:  # noqa: ARG002 - few depend on any
        """Replace the names of hyperparameters in the operation by their values, before any shape is known."""
        return self

    def lenient(self) -> Op:
        """Accept, on the way back, any value that no token of a model reads."""
        return self

    def bind(self, dims: Mapping[str, int], dtype: str = "") -> Op:  # noqa: ARG002 - most have neither
        """Replace the names of axes in the operation by their sizes, and set the dtype of the values that it makes."""
        return self

    @abstractmethod
    def target_axes(self, *axes: str) -> tuple[str, ...]:
        """The axes of the targets by name, from those of the sources."""

    @abstractmethod
    def target_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        """The shapes of the targets, from those of the sources.

        Raises:
            ValueError: the operation cannot take sources of these shapes.
        """

    @abstractmethod
    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        """Make the targets from the sources."""

    @abstractmethod
    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        """Restore the sources from the targets.

        Raises:
            MappingError: `forward` cannot have made these targets, or the operation is lossy.
        """

    @abstractmethod
    def pullback(self, *gradients: Array) -> tuple[Array, ...]:
        """Gradients of the sources from those of the targets, in any dtype: the adjoint of `forward`.

        The adjoint is the inverse where an operation only moves values. Without a target there is no gradient.
        """


@dataclass(frozen=True)
class Copy(Op):
    """One tensor, unchanged."""

    name: ClassVar[str] = "copy"
    copies: ClassVar[bool] = True

    def target_axes(self, *axes: str) -> tuple[str, ...]:
        return axes

    def target_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        return shapes

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        return arrays

    inverse = pullback = forward


@dataclass(frozen=True)
class Transpose(Op):
    """A matrix transposed: (m, n) to (n, m)."""

    name: ClassVar[str] = "transpose"

    def target_axes(self, *axes: str) -> tuple[str, ...]:
        (rows, columns) = axes[0].split()
        return (f"{columns} {rows}",)

    def target_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        (rows, columns) = shapes[0]
        return ((columns, rows),)

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        return (arrays[0].T,)

    inverse = pullback = forward


@dataclass(frozen=True)
class Split(Op):
    """One tensor split along its first axis: (parts*n, ...) to `parts` tensors (n, ...)."""

    name: ClassVar[str] = "split"
    copies: ClassVar[bool] = True

    parts: int

    def target_axes(self, *axes: str) -> tuple[str, ...]:
        first, *rest = axes[0].split()
        axis = parse_axis(first)
        if axis.factor % self.parts or axis.offset % self.parts:
            raise ValueError(f"axis {first!r} does not divide into {self.parts} equal parts")
        part = axis._replace(factor=axis.factor // self.parts, offset=axis.offset // self.parts)
        return (" ".join((str(part), *rest)),) * self.parts

    def target_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        rows, *rest = shapes[0]
        if rows % self.parts:
            raise ValueError(f"{rows} rows do not divide into {self.parts} equal parts")
        return ((rows // self.parts, *rest),) * self.parts

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        return tuple(np.split(arrays[0], self.parts))

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.concatenate(arrays),)

    pullback = inverse


@dataclass(frozen=True)
class Merge(Op):
    """Tensors of one shape concatenated along their first axis: `parts` tensors (n, ...) to (parts*n, ...)."""

    name: ClassVar[str] = "merge"

    parts: int

    def target_axes(self, *axes: str) -> tuple[str, ...]:
        first, *rest = axes[0].split()
        axis = parse_axis(first)
        whole = axis._replace(factor=axis.factor * self.parts, offset=axis.offset * self.parts)
        return (" ".join((str(whole), *rest)),)

    def target_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        if len(set(shapes)) != 1 or len(shapes) != self.parts:
            raise ValueError(f"expected {self.parts} tensors of one shape, found {', '.join(map(str, shapes))}")
        rows, *rest = shapes[0]
        return ((self.parts * rows, *rest),)

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.concatenate(arrays),)

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        return tuple(np.split(arrays[0], self.parts))

    pullback = inverse


@dataclass(frozen=True)
class Pad(Op):
    """One tensor behind `rows` rows of a constant: (n, ...) to (rows + n, ...).

    Attributes:
        rows: number of rows; `resolve` adds the value of `after`.
        after: name of an integer hyperparameter, "" for none.
        value: of every element of the rows.
        any_value: accept other values on the way back.
    """

    name: ClassVar[str] = "pad"
    holds_constant: ClassVar[bool] = True

    rows: int
    after: str = ""
    value: float = 0.0
    any_value: bool = False

    def resolve(self, hyperparameters: Mapping[str, Hyperparameter]) -> Op:
        return replace(self, rows=self.rows + int(hyperparameters[self.after]), after="") if self.after else self

    def lenient(self) -> Op:
        return replace(self, any_value=True)

    def initialised(self, shape: Shape) -> int:
        return self.rows * prod(shape[1:])

    def target_axes(self, *axes: str) -> tuple[str, ...]:
        first, *rest = axes[0].split()
        axis = parse_axis(first)
        return (" ".join((str(axis._replace(offset=axis.offset + self.rows)), *rest)),)

    def target_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        rows, *rest = shapes[0]
        return ((self.rows + rows, *rest),)

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        (array,) = arrays
        front = np.full((self.rows, *array.shape[1:]), self.value, array.dtype)
        return (np.concatenate((front, array)),)

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        (array,) = arrays
        if not self.any_value:
            _expect_constant(array[: self.rows], self.value, f"the first {self.rows} rows")
        return (array[self.rows :],)

    def pullback(self, *gradients: Array) -> tuple[Array, ...]:
        return (gradients[0][self.rows :],)


@dataclass(frozen=True)
class Fill(Op):
    """A constant target without a source.

    Attributes:
        axes: of the target, such as `"1 hidden_size"`; `bind` replaces names by sizes.
        value: of every element.
        dtype: of the target.
    """

    name: ClassVar[str] = "fill"
    holds_constant: ClassVar[bool] = True

    axes: str
    value: float
    dtype: str = "float32"

    @property
    def zero(self) -> bool:
        return str(self.value) == "0.0"  # negative zero has a bit set

    def describe(self) -> str:
        return f"filled with {self.value:g}"

    def bind(self, dims: Mapping[str, int], dtype: str = "") -> Op:
        return replace(self, axes=bind_axes(self.axes, dims), dtype=dtype or self.dtype)

    def target_axes(self, *axes: str) -> tuple[str, ...]:  # noqa: ARG002 - a constant has no source
        return (self.axes,)

    def target_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        if shapes:
            raise ValueError("a constant has no source")
        return (shape_of(self.axes),)

    def forward(self, *arrays: Array) -> tuple[Array, ...]:  # noqa: ARG002 - a constant has no source
        return (np.full(shape_of(self.axes), self.value, numpy_dtype(self.dtype)),)

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:
        _expect_constant(arrays[0], self.value, "the tensor")
        return ()

    def pullback(self, *gradients: Array) -> tuple[Array, ...]:  # noqa: ARG002 - a constant has no source
        return ()


@dataclass(frozen=True)
class Constant(Op):
    """Leave out a source that is a constant; `inverse` makes it again.

    Attributes:
        axes: of the source, such as `"hidden_size"`; `bind` replaces names by sizes.
        value: of every element.
        dtype: of the source.
    """

    name: ClassVar[str] = "constant"

    axes: str
    value: float
    dtype: str = "float32"

    def bind(self, dims: Mapping[str, int], dtype: str = "") -> Op:
        return replace(self, axes=bind_axes(self.axes, dims), dtype=dtype or self.dtype)

    def target_axes(self, *axes: str) -> tuple[str, ...]:  # noqa: ARG002 - there is no target
        return ()

    def target_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        if shapes != (shape_of(self.axes),):
            raise ValueError(f"expected one constant of the shape {shape_of(self.axes)}")
        return ()

    def forward(self, *arrays: Array) -> tuple[Array, ...]:
        """Check the constant.

        Raises:
            MappingError: some value is another, in any bit.
        """
        _expect_constant(arrays[0], self.value, "the tensor")
        return ()

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:  # noqa: ARG002 - there is no target
        return (np.full(shape_of(self.axes), self.value, numpy_dtype(self.dtype)),)

    def pullback(self, *gradients: Array) -> tuple[Array, ...]:  # noqa: ARG002 - there is no target
        return ()


@dataclass(frozen=True)
class Drop(Op):
    """A source without a target, left out for the reason `why`."""

    name: ClassVar[str] = "drop"
    lossy: ClassVar[bool] = True

    why: str

    def target_axes(self, *axes: str) -> tuple[str, ...]:  # noqa: ARG002 - there is no target
        return ()

    def target_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:  # noqa: ARG002 - there is no target
        return ()

    def forward(self, *arrays: Array) -> tuple[Array, ...]:  # noqa: ARG002 - there is no target
        return ()

    def inverse(self, *arrays: Array) -> tuple[Array, ...]:  # noqa: ARG002 - there is no target
        raise MappingError(f"the source was left out ({self.why}) and cannot be restored")

    def pullback(self, *gradients: Array) -> tuple[Array, ...]:  # noqa: ARG002 - there is no target
        return ()


@dataclass(frozen=True)
class Extra(Drop):
    """A source that is no part of the model.

    Attributes:
        kept: True if it is kept beside the target model as it is, False if it is ignored.
    """

    name: ClassVar[str] = "extra"
    lossy: ClassVar[bool] = False

    why: str = ""
    kept: bool = True

    @property
    def beside(self) -> str:
        return "kept" if self.kept else "ignored"


def _expect_constant(array: Array, value: float, what: str) -> None:
    """Refuse an array with a value that differs from `value` in any bit: negative zeros and NaN differ too."""
    expected, found = np.full((), value, array.dtype).tobytes(), array.tobytes()
    if found != expected * array.size:
        starts = range(0, len(found), len(expected))
        different = sum(found[start : start + len(expected)] != expected for start in starts)
        raise MappingError(f"{what} should be {value} throughout, and {different:,} of {array.size:,} values are not")
