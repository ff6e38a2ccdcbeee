"""The heads of a projection get an axis, and lose it again, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from headers import reshaped
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bort_convert.dtypes import TensorSpec
from bort_convert.mapping.axes import sizes
from bort_convert.mapping.model_ops import Unfold
from bort_convert.mapping.planner import make_plan
from bort_convert.mapping.rows import rename, unfold

ROWS = (
    rename("bias", "bias", "attention_heads head_dim"),
    unfold("query", "query", "hidden_size hidden_size", "attention_heads head_dim", first=True),
)


@given(st.data(), st.booleans())
def test_shapes_are_known_before_the_data_and_the_way_back_is_exact(data: st.DataObject, first: bool) -> None:  # noqa: FBT001 - drawn
    rows, heads, width = (data.draw(st.integers(1, 4)) for _ in range(3))
    shape = (heads * width, rows) if first else (rows, heads * width)
    source = data.draw(hnp.arrays("u4", shape)).view(np.float32)
    op = Unfold("heads width", first).bind({"attention_heads": heads, "width": width})
    (target,) = op.forward(source)
    assert op.infer(source.shape) == ((rows, heads, width),) == (target.shape,)
    (back,) = op.inverse(target)
    assert (back.shape, back.tobytes()) == (source.shape, source.tobytes())


def test_heads_stand_one_behind_the_other_on_hand_written_values() -> None:
    matrix = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)
    assert Unfold("2 2").forward(matrix)[0].tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert Unfold("2 2", first=True).forward(matrix.T)[0].tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]


@pytest.mark.parametrize(("first", "dims"), [(False, "rows 6"), (True, "6 rows")])
def test_the_axes_of_the_target_are_its_shape_by_name(first: bool, dims: str) -> None:  # noqa: FBT001 - of the operation
    bound = {"rows": 5, "heads": 2, "width": 3}
    op = Unfold("heads width", first)
    assert op.axes(dims) == ("rows heads width",)
    assert op.bind(bound).infer(sizes(dims, bound)) == ((5, 2, 3),)


def test_heads_that_do_not_make_up_the_axis_are_a_disagreement() -> None:
    header = {"bias": TensorSpec("bias", "float32", (2, 3)), "query": TensorSpec("query", "float32", (6, 6))}
    assert make_plan(ROWS, header).dims == {"attention_heads": 2, "head_dim": 3, "hidden_size": 6}
    assert make_plan(ROWS, reshaped(header, "query", (8, 8))).disagreements == (
        "query: an axis of 8 cannot be cut into 2 x 3, expected 6",
    )
