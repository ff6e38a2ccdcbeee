"""Strings of axes: a tensor's shape by the names of its axes, such as `"vocab 3*units positions+2 1"`.

An axis is a name, a multiple of one, one and some more, or a number.
"""

from __future__ import annotations

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


def split_axis(axis: str) -> tuple[int, str, int]:
    """An axis as (factor, name, more): `"3*units"` is (3, "units", 0), `"positions+2"` is (1, "positions", 2).

    A number has no name and stands in `more`: `"7"` is (0, "", 7).
    """
    if axis.isdigit():
        return 0, "", int(axis)
    product, _, more = axis.partition("+")
    factor, _, name = product.rpartition("*")
    return int(factor or 1), name, int(more or 0)


def joined_axis(factor: int, name: str, more: int) -> str:
    """What `split_axis` takes apart."""
    product = name if factor == 1 else f"{factor}*{name}"
    return str(more) if not name else f"{product}+{more}" if more else product


def _size(axis: str, bound: Mapping[str, int]) -> int:
    factor, name, more = split_axis(axis)
    return factor * bound[name] + more if name else more
