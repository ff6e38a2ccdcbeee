"""Converted directories in transformers: precision, shards, classes, module overrides, labels.

`make oldest` runs these tests with the oldest releases that the README promises.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import bort_convert

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.torch


@pytest.fixture
def source(fixtures: Path) -> Path:
    return fixtures / "bort_4_8_24_32.params"


def stock(out: Path) -> Any:  # noqa: ANN401 - transformers has no types
    """Load the stock model in the dtype of its file."""
    import transformers  # noqa: PLC0415

    keyword = "dtype" if tuple(map(int, transformers.__version__.split(".")[:2])) >= (4, 56) else "torch_dtype"
    return transformers.AutoModelForMaskedLM.from_pretrained(out, **{keyword: "auto"})


@pytest.mark.parametrize("limit", ["5GB", "30KB"])
@pytest.mark.parametrize("dtype", [None, "float16", "bfloat16"])
def test_every_tensor_is_the_checkpoints_in_the_requested_dtype(
    source: Path, dtype: str | None, limit: str, tmp_path: Path
) -> None:
    import torch  # noqa: PLC0415

    manifest = bort_convert.convert(source, tmp_path / "out", family="bort", heads=8, dtype=dtype, max_shard_size=limit)
    weights = len(list((tmp_path / "out").glob("*.safetensors")))
    assert weights == (1 if limit == "5GB" else 5 if dtype is None else 2)
    loaded = stock(tmp_path / "out").state_dict()
    with bort_convert.open_params(source) as params:
        compared = 0
        for name, tensor in manifest.tensors.items():
            if not tensor.sources:
                continue
            expected = torch.from_numpy(params[tensor.sources[0]].copy()).to(getattr(torch, dtype or "float32"))
            assert loaded[name].dtype == expected.dtype
            assert torch.equal(loaded[name].view(torch.uint8), expected.view(torch.uint8)), name
            compared += 1
    assert compared == len(params) - 1, "the tied matrix is written once"


def test_shards_load_as_the_same_model_as_one_file(source: Path, tmp_path: Path) -> None:
    import torch  # noqa: PLC0415

    bort_convert.convert(source, tmp_path / "whole", family="bort", heads=8)
    bort_convert.convert(source, tmp_path / "shards", family="bort", heads=8, max_shard_size="30KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) == 5
    whole, shards = stock(tmp_path / "whole").state_dict(), stock(tmp_path / "shards").state_dict()
    assert whole.keys() == shards.keys()
    assert all(torch.equal(whole[name], shards[name]) for name in whole)


@pytest.mark.parametrize(
    ("kind", "architecture"),
    [
        ("", "BertForMaskedLM"),
        ("-encoder", "BertModel"),
        ("-classifier3", "BertForSequenceClassification"),
        ("-regression", "BertForSequenceClassification"),
    ],
)
def test_each_head_has_its_class_and_no_tensor_is_missing(
    kind: str, architecture: str, source: Path, tmp_path: Path
) -> None:
    import transformers  # noqa: PLC0415

    bort_convert.convert(source.with_name(f"{source.stem}{kind}.params"), tmp_path / "out", family="bort", heads=8)
    options = {"add_pooling_layer": False} if architecture == "BertModel" else {}
    loader = getattr(transformers, architecture)
    _, info = loader.from_pretrained(tmp_path / "out", output_loading_info=True, **options)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    model = bort_convert.load_pretrained(tmp_path / "out")
    assert type(model).__name__ == architecture
    assert not model.training


def test_the_heads_epsilon_comes_from_the_manifest(source: Path, tmp_path: Path) -> None:
    bort_convert.convert(source, tmp_path / "out", family="bort", heads=8)
    norms = bort_convert.load_pretrained(tmp_path / "out")
    assert norms.cls.predictions.transform.LayerNorm.eps == 1e-12
    assert norms.bert.embeddings.LayerNorm.eps == 1e-5
    assert stock(tmp_path / "out").cls.predictions.transform.LayerNorm.eps == 1e-5


def test_a_classifier_has_its_labels_and_its_problem_type(source: Path, tmp_path: Path) -> None:
    classifier = source.with_name(f"{source.stem}-classifier3.params")
    bort_convert.convert(classifier, tmp_path / "out", family="bort", heads=8, labels=["no", "maybe", "yes"])
    config = bort_convert.load_pretrained(tmp_path / "out").config
    assert config.id2label == {0: "no", 1: "maybe", 2: "yes"}
    assert config.label2id == {"no": 0, "maybe": 1, "yes": 2}
    assert (config.num_labels, config.problem_type) == (3, "single_label_classification")
    assert json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))["problem_type"] == config.problem_type
