from __future__ import annotations

from fractions import Fraction

import pytest

from bort_convert.mapping.axes import joined_axis, sizes, split_axis

AXES = {
    "hidden_size": (1, "hidden_size", 0),
    "3*hidden_size": (3, "hidden_size", 0),
    "hidden_size/2": (Fraction(1, 2), "hidden_size", 0),
    "3*hidden_size/2": (Fraction(3, 2), "hidden_size", 0),
    "n+2": (1, "n", 2),
    "3*n+6": (3, "n", 6),
    "7": (0, "", 7),
}


@pytest.mark.parametrize(("axis", "parts"), AXES.items())
def test_an_axis_is_a_name_a_multiple_or_a_part_of_one_some_more_than_that_or_a_number(
    axis: str, parts: tuple[Fraction, str, int]
) -> None:
    assert split_axis(axis) == parts
    assert joined_axis(*parts) == axis


def test_a_shape_is_its_axes_one_by_one() -> None:
    assert sizes("vocab 3*units units/2 n+2 1", {"vocab": 5, "hidden_size": 2, "n": 4}) == (5, 6, 1, 6, 1)
    with pytest.raises(KeyError):
        sizes("vocab", {})
