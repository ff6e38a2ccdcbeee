"""Every operation: the shapes it announces are those it makes, and its inverse gives the sources back, bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bort_convert.errors import MappingError
from bort_convert.mapping.axes import sizes
from bort_convert.mapping.model_ops import Scramble
from bort_convert.mapping.ops import Copy, Drop, Fill, Merge, Op, Pad, Split, Transpose

if TYPE_CHECKING:
    from bort_convert.dtypes import Array

DTYPES = st.sampled_from([np.float16, np.float32, np.float64])


def arrays(shape: tuple[int, ...], dtype: type[np.generic]) -> st.SearchStrategy[Array]:
    """Arrays of any bits at all, NaN payloads and negative zeros among them."""
    return hnp.arrays(f"u{np.dtype(dtype).itemsize}", shape).map(lambda bits: bits.view(dtype))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Op, tuple[Array, ...]]:
    rows, columns, parts = (draw(st.integers(1, 4)) for _ in range(3))
    dtype = draw(DTYPES)
    single = draw(arrays((rows, columns), dtype))
    same = tuple(draw(arrays((rows, columns), dtype)) for _ in range(parts))
    vectors = tuple(draw(arrays((rows * columns,), dtype)) for _ in range(parts))
    return draw(
        st.sampled_from(
            [
                (Copy(), (single,)),
                (Transpose(), (single,)),
                (Split(parts), (np.concatenate([single] * parts),)),
                (Merge(parts), same),
                (Scramble(parts, rows), vectors),
                (Pad(rows), (single,)),
                (Fill(f"{rows} {columns}", 0.5), ()),
            ]
        )
    )


@given(cases())
def test_shapes_are_known_before_the_data_and_the_way_back_is_exact(case: tuple[Op, tuple[Array, ...]]) -> None:
    op, sources = case
    targets = op.forward(*sources)
    assert op.infer(*(array.shape for array in sources)) == tuple(array.shape for array in targets)
    back = op.inverse(*targets)
    assert [(array.dtype, array.shape, array.tobytes()) for array in back] == [
        (array.dtype, array.shape, array.tobytes()) for array in sources
    ]


def test_operations_on_hand_written_values() -> None:
    matrix = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    assert Transpose().forward(matrix)[0].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert [part.tolist() for part in Split(2).forward(matrix)] == [[[1, 2, 3]], [[4, 5, 6]]]
    assert Merge(2).forward(matrix, matrix)[0].tolist() == [[1, 2, 3], [4, 5, 6], [1, 2, 3], [4, 5, 6]]
    numbers = (np.arange(4), np.arange(4, 8), np.arange(8, 12))
    assert [part.tolist() for part in Scramble(3, 2).forward(*numbers)] == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]
    assert Pad(1).forward(matrix)[0].tolist() == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    assert Fill("2", 7.0).forward()[0].tolist() == [7, 7]
    assert Drop("a cache").forward(matrix) == ()


def test_a_constant_takes_the_sizes_it_is_bound_to_and_the_dtype_it_is_given() -> None:
    assert Fill("1 2*hidden_size", 0.0).bind({"hidden_size": 3}).infer() == ((1, 6),)
    assert Fill("2", 1.0, "float16").forward()[0].dtype == np.float16


@pytest.mark.parametrize(
    ("op", "array", "message"),
    [
        (Fill("2", 0.0), np.array([0, 1], np.float32), "should be 0.0 throughout, and 1 of 2 values are not"),
        (Fill("2", 0.0), np.array([0, -0.0], np.float32), "should be 0.0 throughout"),
        (Pad(1), np.array([[2], [5]], np.float32), "the first 1 rows should be 0.0 throughout, and 1 of 1"),
        (Drop("a cache"), np.zeros(2), "it was left out (a cache) and cannot be made again"),
    ],
)
def test_the_way_back_refuses_what_forward_cannot_have_made(op: Op, array: Array, message: str) -> None:
    with pytest.raises(MappingError) as caught:
        op.inverse(array)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("op", "shapes", "message"),
    [
        (Split(3), [(4, 2)], "4 rows do not divide into 3 equal parts"),
        (Merge(2), [(4, 2), (4, 3)], "expected 2 tensors of one shape, found (4, 2), (4, 3)"),
        (Merge(2), [(4, 2)], "expected 2 tensors of one shape, found (4, 2)"),
        (Scramble(3), [(4,), (4,)], "expected 3 vectors of one size, found (4,), (4,)"),
        (Scramble(2), [(4,), (6,)], "expected 2 vectors of one size, found (4,), (6,)"),
        (Scramble(1), [(4, 2)], "expected 1 vectors of one size, found (4, 2)"),
        (Scramble(2, 3), [(4,), (4,)], "4 values do not divide into 3 equal parts"),
        (Transpose(), [(4,)], "not enough values to unpack"),
        (Fill("2", 0.0), [(4,)], "a constant has no source"),
    ],
)
def test_shapes_that_do_not_suit_are_refused_before_any_data(
    op: Op, shapes: list[tuple[int, ...]], message: str
) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        op.infer(*shapes)
    assert message in str(caught.value)


OPS = [Copy(), Transpose(), Split(3), Merge(3), Pad(2)]


@pytest.mark.parametrize("op", OPS, ids=repr)
@pytest.mark.parametrize("dims", ["3*rows columns", "3*rows+6 2*columns", "9 columns", "6*rows+3 1"])
def test_the_axes_of_the_targets_are_their_shapes_by_name(op: Op, dims: str) -> None:
    bound = {"rows": 5, "columns": 7}
    sources = [dims] * (3 if op == Merge(3) else 1)
    shapes = op.infer(*(sizes(text, bound) for text in sources))
    assert tuple(sizes(text, bound) for text in op.axes(*sources)) == shapes


def test_what_has_no_source_and_what_has_no_target_have_axes_too() -> None:
    assert Fill("1 hidden_size", 0.0).axes() == ("1 hidden_size",)
    assert Drop("a cache").axes("hidden_size") == ()


def test_the_order_of_biases_is_told_its_heads_when_they_are_known() -> None:
    op = Scramble(3).bind({"hidden_size": 8})
    assert op.infer((8,), (8,), (8,)) == ((8,), (8,), (8,))
    assert op.bind({"attention_heads": 2}).bind({"hidden_size": 8}) == Scramble(3, 2)
    assert op.axes("hidden_size", "hidden_size", "hidden_size") == ("hidden_size", "hidden_size", "hidden_size")


def test_axes_that_do_not_divide_are_an_error_of_the_table() -> None:
    with pytest.raises(ValueError, match="axis 'units' does not divide into 3 equal parts"):
        Split(3).axes("hidden_size")
