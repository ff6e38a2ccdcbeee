"""Operations: shapes are known before any value is read, and the way back restores the sources bit for bit."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from adjoints import assert_pullback_is_adjoint
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import bort_convert
from bort_convert.errors import MappingError
from bort_convert.mapping import model_ops, ops
from bort_convert.mapping.axes import shape_of
from bort_convert.mapping.ops import Constant, Copy, Drop, Fill, Merge, Op, Pad, Split, Transpose

if TYPE_CHECKING:
    from bort_convert.dtypes import Array

DTYPES = st.sampled_from([np.float16, np.float32, np.float64])


def arrays(shape: tuple[int, ...], dtype: type[np.generic]) -> st.SearchStrategy[Array]:
    """Arrays of any bits, NaN payloads and negative zeros among them."""
    return hnp.arrays(f"u{np.dtype(dtype).itemsize}", shape).map(lambda bits: bits.view(dtype))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Op, tuple[Array, ...]]:
    rows, columns, parts = (draw(st.integers(1, 4)) for _ in range(3))
    dtype = draw(DTYPES)
    single = draw(arrays((rows, columns), dtype))
    several = tuple(draw(arrays((rows, columns), dtype)) for _ in range(parts))
    return draw(
        st.sampled_from(
            [
                (Copy(), (single,)),
                (Transpose(), (single,)),
                (Split(parts), (np.concatenate([single] * parts),)),
                (Merge(parts), several),
                (Pad(rows), (single,)),
                (Fill(f"{rows} {columns}", 0.5), ()),
            ]
        )
    )


@given(cases())
def test_target_shapes_are_those_of_the_targets_and_inverse_restores_every_bit(
    case: tuple[Op, tuple[Array, ...]],
) -> None:
    op, sources = case
    targets = op.forward(*sources)
    assert op.target_shapes(*(array.shape for array in sources)) == tuple(array.shape for array in targets)
    back = op.inverse(*targets)
    assert [(array.dtype, array.shape, array.tobytes()) for array in back] == [
        (array.dtype, array.shape, array.tobytes()) for array in sources
    ]


@given(st.integers(1, 4), st.sampled_from([0.0, 0.5, -0.0]), DTYPES)
def test_a_constant_source_is_checked_and_made_again_bit_for_bit(
    size: int, value: float, dtype: type[np.generic]
) -> None:
    op = Constant("size", value).bind({"size": size}, np.dtype(dtype).name)
    source = np.full(size, value, dtype)
    assert op.target_shapes(source.shape) == op.forward(source) == op.pullback() == ()
    (restored,) = op.inverse()
    assert (restored.dtype, restored.tobytes()) == (source.dtype, source.tobytes())


@given(st.integers(1, 4), st.data())
def test_a_source_that_is_another_constant_in_any_bit_is_refused(size: int, data: st.DataObject) -> None:
    source = data.draw(arrays((size,), np.float32))
    if source.tobytes() == bytes(4 * size):
        assert Constant(f"{size}", 0.0).forward(source) == ()
        return
    with pytest.raises(MappingError, match=r"the tensor should be 0\.0 throughout"):
        Constant(f"{size}", 0.0).forward(source)


@given(cases(), st.data())
def test_pullback_is_the_adjoint_of_forward(case: tuple[Op, tuple[Array, ...]], data: st.DataObject) -> None:
    op, sources = case
    assert_pullback_is_adjoint(op, [array.shape for array in sources], data)


def test_pullback_cuts_the_gradient_of_a_padded_tensor_whatever_its_rows_hold() -> None:
    assert Pad(1).pullback(np.array([[5.0], [2.0]]))[0].tolist() == [[2.0]]
    assert Drop("a cache").pullback() == Fill("2", 0.0).pullback(np.ones(2)) == ()


def test_operations_on_hand_written_values() -> None:
    matrix = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    assert Transpose().forward(matrix)[0].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert [part.tolist() for part in Split(2).forward(matrix)] == [[[1, 2, 3]], [[4, 5, 6]]]
    assert Merge(2).forward(matrix, matrix)[0].tolist() == [[1, 2, 3], [4, 5, 6], [1, 2, 3], [4, 5, 6]]
    assert Pad(1).forward(matrix)[0].tolist() == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    assert Fill("2", 7.0).forward()[0].tolist() == [7, 7]
    assert Drop("a cache").forward(matrix) == ()


def test_a_constant_takes_the_sizes_and_the_dtype_that_are_bound() -> None:
    assert Fill("1 2*hidden_size", 0.0).bind({"hidden_size": 3}).target_shapes() == ((1, 6),)
    assert Fill("2", 1.0).bind({}, "float16").forward()[0].dtype == np.float16


@pytest.mark.parametrize(
    ("op", "array", "message"),
    [
        (
            Fill("2", 0.0),
            np.array([0, 1], np.float32),
            "the tensor should be 0.0 throughout, and 1 of 2 values are not",
        ),
        (
            Fill("2", 0.0),
            np.array([0, -0.0], np.float32),
            "the tensor should be 0.0 throughout, and 1 of 2 values are not",
        ),
        (
            Pad(1),
            np.array([[2], [5]], np.float32),
            "the first 1 rows should be 0.0 throughout, and 1 of 1 values are not",
        ),
        (Drop("a cache"), np.zeros(2), "the source was left out (a cache) and cannot be restored"),
    ],
)
def test_inverse_refuses_targets_that_forward_cannot_have_made(op: Op, array: Array, message: str) -> None:
    with pytest.raises(MappingError) as caught:
        op.inverse(array)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("op", "shapes", "message"),
    [
        (Split(3), [(4, 2)], "4 rows do not divide into 3 equal parts"),
        (Merge(2), [(4, 2), (4, 3)], "expected 2 tensors of one shape, found (4, 2), (4, 3)"),
        (Merge(2), [(4, 2)], "expected 2 tensors of one shape, found (4, 2)"),
        (Transpose(), [(4,)], "not enough values to unpack (expected 2, got 1)"),
        (Fill("2", 0.0), [(4,)], "a constant has no source"),
        (Constant("2", 0.0), [(4,)], "expected one constant of the shape (2,)"),
    ],
)
def test_shapes_that_an_operation_cannot_take_are_refused_before_any_value_is_read(
    op: Op, shapes: list[tuple[int, ...]], message: str
) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        op.target_shapes(*shapes)
    assert str(caught.value) == message


@pytest.mark.parametrize("op", [Copy(), Transpose(), Split(3), Merge(3), Pad(2)], ids=repr)
@pytest.mark.parametrize("axes", ["3*rows columns", "3*rows+6 2*columns", "9 columns", "6*rows+3 1"])
def test_target_axes_name_the_target_shapes(op: Op, axes: str) -> None:
    dims = {"rows": 5, "columns": 7}
    sources = [axes] * (3 if op == Merge(3) else 1)
    shapes = op.target_shapes(*(shape_of(source, dims) for source in sources))
    assert tuple(shape_of(target, dims) for target in op.target_axes(*sources)) == shapes


def test_an_operation_without_a_source_or_a_target_has_target_axes_too() -> None:
    assert Fill("1 hidden_size", 0.0).target_axes() == ("1 hidden_size",)
    assert Drop("a cache").target_axes("hidden_size") == Constant("hidden_size", 0.0).target_axes("hidden_size") == ()


def test_an_axis_that_does_not_divide_is_an_error_of_the_table() -> None:
    with pytest.raises(ValueError, match="axis 'hidden_size' does not divide into 3 equal parts"):
        Split(3).target_axes("hidden_size")


def test_initialised_values_are_counted_in_a_target_that_has_a_source() -> None:
    assert [op.initialised((5, 3)) for op in (Copy(), Pad(2), Fill("5 3", 0.0))] == [0, 6, 0]


OPERATIONS = [
    member
    for module in (ops, model_ops)
    for _, member in inspect.getmembers(module, inspect.isclass)
    if issubclass(member, Op) and member is not Op and member.__module__ == module.__name__
]


def test_no_module_but_rows_imports_an_operation_so_none_asks_for_its_class() -> None:
    names, importing = {op.__name__ for op in OPERATIONS}, set()
    for path in Path(bort_convert.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in {ops.__name__, model_ops.__name__}:
                importing |= {path.stem for alias in node.names if alias.name in names}
    assert importing == {"rows"}


def test_every_operation_has_the_name_that_stands_in_conversion_json() -> None:
    assert sorted(op.name for op in OPERATIONS) == [
        "constant",
        "copy",
        "drop",
        "extra",
        "fill",
        "frequencies",
        "merge",
        "pad",
        "scramble",
        "split",
        "transpose",
        "unfold",
    ]


def test_rows_in_front_are_as_many_more_as_a_hyperparameter_says() -> None:
    assert Pad(2, after="padding_id").resolve({"padding_id": 1, "layers": 4}) == Pad(3)
    assert Pad(2).resolve({}) == Pad(2)


def test_a_constant_keeps_its_dtype_where_none_is_bound() -> None:
    assert Fill("n", 0.0, "float16").bind({"n": 2}) == Fill("2", 0.0, "float16")
    assert Constant("n", 1.0, "float64").bind({"n": 2}) == Constant("2", 1.0, "float64")


def test_a_changed_constant_is_refused_with_the_number_of_its_values() -> None:
    with pytest.raises(MappingError, match=r"^the tensor .*\b2\b"):
        Fill("3", 1.0).inverse(np.array([1, 2, 3], np.float32))


def test_a_merge_of_one_tensor_has_its_axes() -> None:
    assert Merge(1).target_axes("n m") == ("n m",)
