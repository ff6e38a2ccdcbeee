"""Operations that one model family needs: gluonnlp 0.9's biases, an axis of heads, the frequencies of sinusoids."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from adjoints import assert_pullback_is_adjoint
from headers import reshaped
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bort_convert.dtypes import TensorSpec, numpy_dtype
from bort_convert.errors import MappingError
from bort_convert.mapping.axes import shape_of
from bort_convert.mapping.model_ops import Frequencies, Scramble, Unfold, exact_frequencies
from bort_convert.mapping.planner import make_plan
from bort_convert.mapping.rows import frequencies, rename, unfold

if TYPE_CHECKING:
    from bort_convert.mapping.ops import Op

FIXTURES = Path(__file__).parents[2] / "fixtures"

# Scramble: biases of gluonnlp 0.9


@given(st.data())
def test_scrambled_biases_come_back_bit_for_bit(data: st.DataObject) -> None:
    parts, heads, head_dim = (data.draw(st.integers(1, 4)) for _ in range(3))
    bits = hnp.arrays("u4", (heads * head_dim,))
    sources = [data.draw(bits).view(np.float32) for _ in range(parts)]
    op = Scramble(parts, heads)
    targets = op.forward(*sources)
    assert op.target_shapes(*(array.shape for array in sources)) == tuple(array.shape for array in targets)
    assert [array.tobytes() for array in op.inverse(*targets)] == [array.tobytes() for array in sources]


@given(st.data())
def test_gradients_of_scrambled_biases_are_those_of_the_adjoint(data: st.DataObject) -> None:
    parts, heads, head_dim = (data.draw(st.integers(1, 4)) for _ in range(3))
    assert_pullback_is_adjoint(Scramble(parts, heads), [(heads * head_dim,)] * parts, data)


def test_scramble_on_hand_written_values() -> None:
    query, key, value = np.arange(4), np.arange(4, 8), np.arange(8, 12)
    read = Scramble(3, heads=2).forward(query, key, value)
    assert [part.tolist() for part in read] == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]


def test_scramble_takes_attention_heads_when_they_are_bound() -> None:
    op = Scramble(3).bind({"hidden_size": 8})
    assert op.target_shapes((8,), (8,), (8,)) == ((8,), (8,), (8,))
    assert op.bind({"attention_heads": 2}).bind({"hidden_size": 8}) == Scramble(3, 2)
    assert op.target_axes("hidden_size", "hidden_size", "hidden_size") == ("hidden_size",) * 3


# Unfold: an axis of heads

WITH_HEADS = (
    rename("bias", "bias", "attention_heads head_dim"),
    unfold("query", "query", "hidden_size hidden_size", "attention_heads head_dim", first=True),
)


@given(st.data(), st.booleans())
def test_an_unfolded_matrix_comes_back_bit_for_bit(data: st.DataObject, first: bool) -> None:  # noqa: FBT001 - drawn
    rows, heads, head_dim = (data.draw(st.integers(1, 4)) for _ in range(3))
    shape = (heads * head_dim, rows) if first else (rows, heads * head_dim)
    source = data.draw(hnp.arrays("u4", shape)).view(np.float32)
    op = Unfold("attention_heads head_dim", first).bind({"attention_heads": heads, "head_dim": head_dim})
    (target,) = op.forward(source)
    assert op.target_shapes(source.shape) == ((rows, heads, head_dim),) == (target.shape,)
    (back,) = op.inverse(target)
    assert (back.shape, back.tobytes()) == (source.shape, source.tobytes())


@given(st.data(), st.booleans())
def test_gradients_of_an_unfolded_matrix_are_those_of_the_adjoint(data: st.DataObject, first: bool) -> None:  # noqa: FBT001 - drawn
    rows, heads, head_dim = (data.draw(st.integers(1, 4)) for _ in range(3))
    shape = (heads * head_dim, rows) if first else (rows, heads * head_dim)
    assert_pullback_is_adjoint(Unfold(f"{heads} {head_dim}", first), [shape], data)


def test_unfold_on_hand_written_values() -> None:
    matrix = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)
    assert Unfold("2 2").forward(matrix)[0].tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert Unfold("2 2", first=True).forward(matrix.T)[0].tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]


@pytest.mark.parametrize(("first", "axes"), [(False, "rows 6"), (True, "6 rows")])
def test_the_axes_of_an_unfolded_matrix_name_its_shape(first: bool, axes: str) -> None:  # noqa: FBT001 - of the operation
    dims = {"rows": 5, "attention_heads": 2, "head_dim": 3}
    op = Unfold("attention_heads head_dim", first)
    assert op.target_axes(axes) == ("rows attention_heads head_dim",)
    assert op.bind(dims).target_shapes(shape_of(axes, dims)) == ((5, 2, 3),)


def test_an_axis_that_is_not_heads_times_head_dim_is_a_disagreement() -> None:
    header = {"bias": TensorSpec("bias", "float32", (2, 3)), "query": TensorSpec("query", "float32", (6, 6))}
    assert make_plan(WITH_HEADS, header).dims == {"attention_heads": 2, "head_dim": 3, "hidden_size": 6}
    assert make_plan(WITH_HEADS, reshaped(header, "query", (8, 8))).disagreements == (
        "query: an axis of 8 cannot be cut into 2 x 3, expected 6",
    )


# Frequencies: the constant of sinusoidal positions

WITH_FREQUENCIES = (
    rename("words", "words", "vocab_size hidden_size"),
    frequencies("inv_freq", "1 hidden_size/2", why="they are computed"),
)
WORDS = TensorSpec("words", "float32", (9, 8))
HIDDEN_SIZES = (8, 12, 768, 1024)
IN_MXNET = f"""
from gluon_models import mx
for size in {HIDDEN_SIZES}:
    print((1 / mx.nd.power(10000, mx.nd.arange(0.0, size, 2.0) / size)).asnumpy().tobytes().hex())
"""


def frequencies_of(hidden_size: int, dtype: str = "float32") -> Op:
    return Frequencies("1 hidden_size/2", dtype).bind({"hidden_size": hidden_size})


@given(st.integers(1, 600), st.sampled_from(["float16", "bfloat16", "float32", "float64"]))
def test_computed_frequencies_are_accepted_as_the_constant_and_make_no_target(half: int, dtype: str) -> None:
    op = frequencies_of(2 * half, dtype)
    (made,) = op.inverse()
    assert (made.dtype, made.shape) == (numpy_dtype(dtype), (1, half))
    assert op.target_shapes(made.shape) == op.forward(made) == op.target_axes("1 hidden_size/2") == ()
    assert made.ravel()[0] == 1


def test_frequencies_on_hand_written_values() -> None:
    assert frequencies_of(8).inverse()[0].tolist() == [np.float32([1, 0.1, 0.01, 0.001]).tolist()]
    assert np.allclose(exact_frequencies(4), [1, 0.01], rtol=1e-15)


@pytest.mark.parametrize("hidden_size", HIDDEN_SIZES)
def test_frequencies_are_computed_in_float32_step_by_step(hidden_size: int) -> None:
    exponents = np.arange(0, hidden_size, 2).astype(np.float32) / np.float32(hidden_size)
    expected = 1 / np.float32([10000.0 ** float(exponent) for exponent in exponents])
    (made,) = frequencies_of(hidden_size).inverse()
    np.testing.assert_array_max_ulp(made[0], expected, maxulp=1)  # C libraries differ in the last bit of a power


@pytest.mark.mxnet
def test_computed_frequencies_are_those_of_mxnet_bit_for_bit() -> None:
    process = subprocess.run([sys.executable, "-c", IN_MXNET], cwd=FIXTURES, capture_output=True, text=True, check=True)
    for size, expected in zip(HIDDEN_SIZES, process.stdout.split(), strict=True):
        assert frequencies_of(size).inverse()[0].tobytes() == bytes.fromhex(expected)


def test_frequencies_may_differ_in_their_last_bits_and_no_more() -> None:
    op = frequencies_of(8)
    (made,) = op.inverse()
    assert op.forward(np.nextafter(made, 2, dtype=np.float32)) == ()
    with pytest.raises(MappingError) as caught:
        op.forward(made * np.float32([1, 1.00001, np.nan, 1]))
    assert str(caught.value) == (
        "it holds 0.100001 at 1, expected 0.1, 1 / 10000**(2i/8); "
        "2 of 4 values are others, and the target model has these alone"
    )


@pytest.mark.parametrize(("dtype", "most"), [("float16", 2.0**-7), ("float32", 2.0**-21), ("float64", 2.0**-21)])
def test_frequencies_may_differ_by_the_last_bits_of_their_precision(dtype: str, most: float) -> None:
    assert frequencies_of(2, dtype).forward(np.array([[1 + most]], dtype)) == ()
    with pytest.raises(MappingError, match=r"at 0, expected 1,"):
        frequencies_of(2, dtype).forward(np.array([[1 + 2 * most]], dtype))


def test_a_plan_leaves_frequencies_out_and_restores_them_in_their_dtype() -> None:
    plan = make_plan(WITH_FREQUENCIES, {"words": WORDS, "inv_freq": TensorSpec("inv_freq", "float16", (1, 4))})
    assert not plan.disagreements
    words, constant = np.ones((9, 8), np.float32), frequencies_of(8).inverse()[0]
    assert [name for name, _ in plan.forward({"words": words, "inv_freq": constant})] == ["words"]
    restored = dict(plan.revert({"words": words}))["inv_freq"]
    assert restored.tobytes() == frequencies_of(8, "float16").inverse()[0].tobytes()


def test_there_must_be_half_as_many_frequencies_as_the_hidden_size() -> None:
    plan = make_plan(WITH_FREQUENCIES, {"words": WORDS, "inv_freq": TensorSpec("inv_freq", "float32", (1, 3))})
    assert plan.disagreements == (
        "inv_freq: found shape (1, 3); axis 'hidden_size/2' is 3, expected 4 (hidden_size=8 from words)",
    )


@pytest.mark.parametrize(
    ("op", "shapes", "message"),
    [
        (Scramble(3), [(4,), (4,)], "expected 3 vectors of one size, found (4,), (4,)"),
        (Scramble(2), [(4,), (6,)], "expected 2 vectors of one size, found (4,), (6,)"),
        (Scramble(1), [(4, 2)], "expected 1 vectors of one size, found (4, 2)"),
        (Scramble(2, 3), [(4,), (4,)], "4 values do not divide into 3 equal parts"),
        (Scramble(1, 3), [(4,)], "4 values do not divide into 3 equal parts"),
        (Frequencies("1 4"), [(1, 3)], "expected frequencies of the shape (1, 4)"),
    ],
)
def test_shapes_that_an_operation_cannot_take_are_refused(op: Op, shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        op.target_shapes(*shapes)
    assert str(caught.value) == message
