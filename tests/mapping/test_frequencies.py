"""The frequencies of sinusoidal positions: known by their sizes, refused where they are others, made again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bort_convert.dtypes import TensorSpec, numpy_dtype
from bort_convert.errors import MappingError
from bort_convert.mapping.model_ops import Frequencies, exact_frequencies
from bort_convert.mapping.planner import make_plan
from bort_convert.mapping.rows import frequencies, rename

ROWS = (
    rename("words", "words", "vocab_size hidden_size"),
    frequencies("inv_freq", "1 hidden_size/2", why="they are computed"),
)
WORDS = TensorSpec("words", "float32", (9, 8))
FIXTURES = Path(__file__).parents[2] / "fixtures"
UNITS = (8, 12, 768, 1024)
IN_MXNET = f"""
from gluon_models import mx
for units in {UNITS}:
    print((1 / mx.nd.power(10000, mx.nd.arange(0.0, units, 2.0) / units)).asnumpy().tobytes().hex())
"""


def of(units: int, dtype: str = "float32") -> Frequencies:
    return Frequencies("1 hidden_size/2", dtype).bind({"hidden_size": units})


@given(st.integers(1, 600), st.sampled_from(["float16", "bfloat16", "float32", "float64"]))
def test_what_is_made_again_is_taken_for_the_constant_and_leaves_nothing(half: int, dtype: str) -> None:
    op = of(2 * half, dtype)
    (made,) = op.inverse()
    assert (made.dtype, made.shape) == (numpy_dtype(dtype), (1, half))
    assert op.infer(made.shape) == op.forward(made) == op.axes("1 hidden_size/2") == ()
    assert made.ravel()[0] == 1


def test_the_constant_on_hand_written_values() -> None:
    assert of(8).inverse()[0].tolist() == [np.float32([1, 0.1, 0.01, 0.001]).tolist()]
    assert np.allclose(exact_frequencies(4), [1, 0.01], rtol=1e-15)


@pytest.mark.mxnet
def test_it_is_made_again_as_mxnet_makes_it_bit_for_bit() -> None:
    process = subprocess.run([sys.executable, "-c", IN_MXNET], cwd=FIXTURES, capture_output=True, text=True, check=True)
    for units, made in zip(UNITS, process.stdout.split(), strict=True):
        assert of(units).inverse()[0].tobytes() == bytes.fromhex(made)


def test_last_bits_do_not_matter_and_any_others_do() -> None:
    (made,) = of(8).inverse()
    assert of(8).forward(np.nextafter(made, 2, dtype=np.float32)) == ()
    with pytest.raises(MappingError) as caught:
        of(8).forward(made * np.float32([1, 1.00001, np.nan, 1]))
    assert str(caught.value) == (
        "it holds 0.100001 at 1, expected 0.1, 1 / 10000**(2i/8); "
        "2 of 4 values are others, and the target model has these alone"
    )


def test_a_plan_leaves_it_out_and_brings_it_back_in_the_dtype_that_it_had() -> None:
    plan = make_plan(ROWS, {"words": WORDS, "inv_freq": TensorSpec("inv_freq", "float16", (1, 4))})
    assert not plan.disagreements
    words = np.ones((9, 8), np.float32)
    assert [name for name, _ in plan.forward({"words": words, "inv_freq": of(8).inverse()[0]})] == ["words"]
    assert dict(plan.revert({"words": words}))["inv_freq"].tobytes() == of(8, "float16").inverse()[0].tobytes()


def test_as_many_are_expected_as_half_the_units() -> None:
    plan = make_plan(ROWS, {"words": WORDS, "inv_freq": TensorSpec("inv_freq", "float32", (1, 3))})
    assert plan.disagreements == ("inv_freq: found shape (1, 3); axis 'units/2' is 3, expected 4 (units=8 from words)",)
