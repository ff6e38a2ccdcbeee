"""Shapes by the names of their axes: `"vocab_size 3*hidden_size hidden_size/2 max_positions+2 1"`.

Each axis is a named size, a multiple or a fraction of one, a product of two, one and some more, or a number.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import Shape

Value = TypeVar("Value")

_NAMES_IN_0_1: Final = {
    "vocab": "vocab_size",
    "units": "hidden_size",
    "hidden": "intermediate_size",
    "positions": "max_positions",
    "heads": "attention_heads",
    "types": "type_vocab_size",
}
_NO_SIZES: Final[Mapping[str, int]] = MappingProxyType({})


class Axis(NamedTuple):
    """One axis of a shape: `factor * dims[times] * dims[name] + offset`, or `offset` alone where there is no name.

    Attributes:
        factor: 3 in "3*hidden_size", a half in "hidden_size/2".
        name: the named size, "" for a plain number.
        offset: 2 in "max_positions+2", the number itself in "1".
        times: "attention_heads" in "attention_heads*head_dim", a size that an earlier tensor shows; "" without one.
    """

    factor: Fraction | int
    name: str
    offset: int
    times: str = ""

    def size(self, dims: Mapping[str, int]) -> int:
        """The number of elements along the axis.

        Raises:
            KeyError: `dims` has no size of this name.
        """
        if not self.name:
            return self.offset
        return int(self.factor * dims[self.name]) * (dims[self.times] if self.times else 1) + self.offset

    def __str__(self) -> str:
        if not self.name:
            return str(self.offset)
        product = f"{self.times}*{self.name}" if self.times else self.name
        multiple = product if self.factor.numerator == 1 else f"{self.factor.numerator}*{product}"
        fraction = multiple if self.factor.denominator == 1 else f"{multiple}/{self.factor.denominator}"
        return f"{fraction}+{self.offset}" if self.offset else fraction


@cache
def parse_axis(text: str) -> Axis:
    """Parse one axis, such as `"3*hidden_size+2"`; `str` of an `Axis` is the way back."""
    if text.isdigit():
        return Axis(0, "", int(text))
    product, _, offset = text.partition("+")
    multiple, _, divisor = product.partition("/")
    rest, _, name = multiple.rpartition("*")
    factor, times = (rest, "") if rest.isdigit() else rest.rpartition("*")[::2]
    whole = int(factor or 1)  # an int where it can be one: arithmetic with a Fraction takes ten times as long
    return Axis(Fraction(whole, int(divisor)) if divisor else whole, name, int(offset or 0), times)


def shape_of(axes: str, dims: Mapping[str, int] = _NO_SIZES) -> Shape:
    """The shape of a tensor with these axes, such as `"vocab_size hidden_size"`; without sizes all are numbers.

    Raises:
        KeyError: `dims` has no size of a name in `axes`.
    """
    return tuple(parse_axis(axis).size(dims) for axis in axes.split())


def bind_axes(axes: str, dims: Mapping[str, int]) -> str:
    """Replace the names in `axes` by their sizes: `"1 3*hidden_size"` becomes `"1 96"`."""
    return " ".join(str(size) for size in shape_of(axes, dims))


def current_names(values: Mapping[str, Value]) -> dict[str, Value]:
    """Rename sizes and hyperparameters in a `conversion.json` or a trace of release 0.1 to their names today."""
    return {_NAMES_IN_0_1.get(name, name): value for name, value in values.items()}
