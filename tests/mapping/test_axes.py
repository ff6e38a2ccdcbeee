from __future__ import annotations

from fractions import Fraction

import pytest

from bort_convert.mapping.axes import bind_axes, current_names, parse_axis, shape_of

AXES = {
    "hidden_size": (1, "hidden_size", 0),
    "3*hidden_size": (3, "hidden_size", 0),
    "hidden_size/2": (Fraction(1, 2), "hidden_size", 0),
    "3*hidden_size/2": (Fraction(3, 2), "hidden_size", 0),
    "n+2": (1, "n", 2),
    "3*n+6": (3, "n", 6),
    "7": (0, "", 7),
    "heads*n": (1, "n", 0, "heads"),
    "3*heads*n+2": (3, "n", 2, "heads"),
}


@pytest.mark.parametrize(("text", "axis"), AXES.items())
def test_an_axis_is_a_named_size_times_a_factor_plus_an_offset_or_a_number(
    text: str, axis: tuple[Fraction | int | str, ...]
) -> None:
    assert parse_axis(text) == (*axis, "")[:4]
    assert str(parse_axis(text)) == text


def test_a_shape_has_the_size_of_each_axis() -> None:
    axes, dims = (
        "vocab_size 3*hidden_size hidden_size/2 n+2 1 n*vocab_size",
        {"vocab_size": 5, "hidden_size": 2, "n": 4},
    )
    assert shape_of(axes, dims) == (5, 6, 1, 6, 1, 20)
    assert bind_axes(axes, dims) == "5 6 1 6 1 20"
    with pytest.raises(KeyError):
        shape_of("vocab_size", {})


def test_a_size_too_large_for_a_float_stays_exact() -> None:
    assert shape_of("2*n+1", {"n": 2**62 + 1}) == (2**63 + 3,)


def test_names_of_release_0_1_become_names_of_today() -> None:
    assert current_names({"units": 8, "hidden": 12, "layers": 2, "heads": 2}) == {
        "hidden_size": 8,
        "intermediate_size": 12,
        "layers": 2,
        "attention_heads": 2,
    }
