"""Strings of axes: a tensor's shape by the names of its axes, such as `"vocab_size 3*hidden_size hidden_size/2 max_positions+2 1"`.

An axis is a name, a multiple or a part of one, one and some more, or a number.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import Shape

Value = TypeVar("Value")

_OLD_NAMES: Final = {
    "vocab": "vocab_size",
    "units": "hidden_size",
    "hidden": "intermediate_size",
    "positions": "max_positions",
    "heads": "attention_heads",
    "types": "type_vocab_size",
}
"""Names of 0.1 -> today's, in `conversion.json` and recorded traces; they are read for one release."""


def sizes(dims: str, bound: Mapping[str, int]) -> Shape:
    """The shape that a string of axes means: `"vocab_size 3*hidden_size max_positions+2 1"`; see `split_axis`.

    Raises:
        KeyError: a name is not bound.
    """
    return tuple(_size(axis, bound) for axis in dims.split())


@cache
def split_axis(axis: str) -> tuple[Fraction | int, str, int]:
    """An axis as (factor, name, more): `"3*units"` is (3, "units", 0), `"positions+2"` is (1, "positions", 2).

    The factor of `"hidden_size/2"` is a half.

    A number has no name and stands in `more`: `"7"` is (0, "", 7).
    """
    if axis.isdigit():
        return 0, "", int(axis)
    product, _, more = axis.partition("+")
    multiple, _, divisor = product.partition("/")
    factor, _, name = multiple.rpartition("*")
    whole = int(factor or 1)  # a fraction only where there is one: it takes ten times as long to reckon with
    return Fraction(whole, int(divisor)) if divisor else whole, name, int(more or 0)


def joined_axis(factor: Fraction | int, name: str, more: int) -> str:
    """What `split_axis` takes apart."""
    multiple = name if factor.numerator == 1 else f"{factor.numerator}*{name}"
    product = multiple if factor.denominator == 1 else f"{multiple}/{factor.denominator}"
    return str(more) if not name else f"{product}+{more}" if more else product


def _size(axis: str, bound: Mapping[str, int]) -> int:
    factor, name, more = split_axis(axis)
    return int(factor * bound[name]) + more if name else more


def current_names(values: Mapping[str, Value]) -> dict[str, Value]:
    """The same values by today's names of axes and hyperparameters, from files that 0.1 wrote."""
    return {_OLD_NAMES.get(name, name): value for name, value in values.items()}
