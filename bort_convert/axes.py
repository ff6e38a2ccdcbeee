"""Strings of axes: a tensor's shape by the names of its axes, such as `"vocab 3*units units/2 positions+2 1"`.

An axis is a name, a multiple or a part of one, one and some more, or a number.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import Shape


def sizes(dims: str, bound: Mapping[str, int]) -> Shape:
    """The shape that a string of axes means: `"vocab 3*units positions+2 1"`; see `split_axis`.

    Raises:
        KeyError: a name is not bound.
    """
    return tuple(_size(axis, bound) for axis in dims.split())


@cache
def split_axis(axis: str) -> tuple[Fraction | int, str, int]:
    """An axis as (factor, name, more): `"3*units"` is (3, "units", 0), `"positions+2"` is (1, "positions", 2).

    The factor of `"units/2"` is a half.

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
