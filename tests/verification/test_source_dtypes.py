"""Checkpoints in bfloat16, or in several dtypes: MXNet computes with the same values as torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from bort_convert.commands.convert import convert
from bort_convert.dtypes import numpy_dtype
from bort_convert.params import open_params, save_params
from bort_convert.verification import record, verify

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.mxnet, pytest.mark.torch]


def rounded(source: Path, target: Path, matrices: str, vectors: str) -> Path:
    """Write a checkpoint with all matrices in one dtype and all vectors in another."""
    with open_params(source) as params:
        values = {
            name: array.astype(numpy_dtype(matrices if array.ndim > 1 else vectors)) for name, array in params.items()
        }
    save_params(target, values)
    return target


@pytest.mark.parametrize(
    ("name", "heads", "matrices", "vectors"),
    [
        ("bert_2_2_8_8", 2, "bfloat16", "bfloat16"),
        ("bert_2_2_8_8", 2, "bfloat16", "float32"),
        ("roberta_2_2_8_8", 2, "float16", "bfloat16"),
        ("gpt2_2_3_48_12", 3, "bfloat16", "bfloat16"),
        ("xlnet_2_2_8_8", 2, "float32", "bfloat16"),
        ("bort_2_3_24_24", 3, "float32", "float64"),
    ],
)
def test_a_checkpoint_of_any_dtypes_is_verified(
    name: str, heads: int, matrices: str, vectors: str, *, fixtures: Path, tmp_path: Path
) -> None:
    family = name.partition("_")[0]
    source = rounded(fixtures / f"{name}.params", tmp_path / "source.params", matrices, vectors)
    convert(source, tmp_path / "out", family=family, heads=heads)
    report = verify(source, tmp_path / "out")
    assert report, report.headline
    assert all(np.isfinite(layer.largest) and layer.largest < 1e3 for layer in report.layers)


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu", "tanh"])
def test_every_activation_of_xlnet_is_verified(activation: str, fixtures: Path, tmp_path: Path) -> None:
    source, given = fixtures / "xlnet_2_2_8_8.params", {"activation": activation, "clamp_len": 2}
    convert(source, tmp_path / "out", family="xlnet", heads=2, hyperparameters=given)
    report = verify(source, tmp_path / "out")
    assert report, report.headline
    record(source, tmp_path / "trace", family="xlnet", heads=2)
    assert not verify(tmp_path / "trace", tmp_path / "out")
