"""A file of several dtypes: every tensor keeps its own, and config.json has the widest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bort_convert
from bort_convert.params import open_params, save_params

if TYPE_CHECKING:
    from pathlib import Path

HEADS = {"bert": 2, "gpt2": 3, "roberta": 2, "xlnet": 2}
NORMS = ("gamma", "beta")


def mixed(source: Path, target: Path, rest: str, norms: str) -> Path:
    """Write a checkpoint with the LayerNorms in one dtype and all other tensors in another."""
    with open_params(source) as params:
        arrays = {name: array.astype(norms if name.endswith(NORMS) else rest) for name, array in params.items()}
    save_params(target, arrays)
    return target


@pytest.mark.parametrize("name", ["bert_2_2_8_8-pooled", "gpt2_2_3_48_12", "roberta_2_2_8_8", "xlnet_2_2_8_8"])
@pytest.mark.parametrize(
    ("rest", "norms", "widest"),
    [
        ("float16", "float32", "float32"),
        ("float32", "float16", "float32"),
        ("float32", "float64", "float64"),
        ("float64", "float16", "float64"),
    ],
)
def test_the_config_has_the_widest_dtype_and_a_note_says_so(  # noqa: PLR0917
    fixtures: Path, tmp_path: Path, name: str, rest: str, norms: str, widest: str
) -> None:
    family = name.partition("_")[0]
    source = mixed(fixtures / f"{name}.params", tmp_path / "x.params", rest, norms)
    manifest = bort_convert.convert(source, tmp_path / "out", family=family, heads=HEADS[family])  # type: ignore[arg-type]
    config: dict[str, Any] = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    assert (config["dtype"], config["torch_dtype"]) == (widest, widest)
    assert {tensor.dtype for tensor in manifest.tensors.values()} == {rest, norms}
    assert manifest.notes[0].endswith(f"transformers loads all of them as {widest}")
    cast = bort_convert.convert(
        source,
        tmp_path / "cast",
        family=family,  # type: ignore[arg-type]
        heads=HEADS[family],
        dtype="bfloat16",
    )
    config = json.loads((tmp_path / "cast" / "config.json").read_text("utf-8"))
    assert (config["dtype"], cast.notes) == ("bfloat16", ())


def test_a_tokenizer_that_comes_later_leaves_the_note(fixtures: Path, tmp_path: Path) -> None:
    source = mixed(fixtures / "bert_2_2_8_8-pooled.params", tmp_path / "x.params", "float16", "float32")
    vocab = fixtures / "tiny_bert.vocab"
    at_once = bort_convert.convert(source, tmp_path / "at once", family="bert", heads=2, vocab=vocab)
    bort_convert.convert(source, tmp_path / "later", family="bert", heads=2)
    assert bort_convert.add_tokenizer(tmp_path / "later", vocab=vocab) == at_once
    assert [note.partition(" ")[0] for note in at_once.notes] == ["tensors", "tokenizer:"]


@pytest.mark.torch
def test_the_loaded_values_are_those_of_the_file(fixtures: Path, tmp_path: Path) -> None:
    from transformers import AutoModel  # noqa: PLC0415

    source = mixed(fixtures / "bert_2_2_8_8-pooled.params", tmp_path / "x.params", "float16", "float32")
    bort_convert.convert(source, tmp_path / "out", family="bert", heads=2)
    model = AutoModel.from_pretrained(tmp_path / "out")
    with open_params(source) as params:
        expected = params["encoder.layer_norm.gamma"]
        np.testing.assert_array_equal(model.embeddings.LayerNorm.weight.detach().numpy(), expected)
