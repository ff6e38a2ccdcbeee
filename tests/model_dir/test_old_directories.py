"""Directories that release 0.1 converted: every function that reads a directory does as it did then.

The outcomes are those of release 0.1. Its `conversion.json` has other keys, which are read for one release.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bort_convert
from bort_convert.model_dir.manifest import Manifest
from bort_convert.model_dir.model_card import card_text
from bort_convert.model_dir.read import read_manifest
from bort_convert.params import open_params

if TYPE_CHECKING:
    from bort_convert.dtypes import Array

FIXTURES = Path(__file__).parents[2] / "fixtures"
OLD = FIXTURES / "converted_by_0.1"
# Directory -> its class, and its numbers of files and tensors.
DIRECTORIES = {
    "bert-no-checksums": ("BertModel", 4, 39),
    "bert-producer-091": ("BertForPreTraining", 4, 46),
    "bert-sharded": ("BertForPreTraining", 7, 46),
    "bert-tokenizer": ("BertForPreTraining", 8, 46),
    "bert-verified": ("BertForSequenceClassification", 4, 41),
    "bort-classifier-labels": ("BertForSequenceClassification", 4, 41),
    "bort-float16-tokenizer": ("BertForMaskedLM", 9, 42),
    "bort-lm-tokenizer": ("BertForMaskedLM", 9, 42),
    "distilbert": ("BertModel", 4, 37),
    "ernie-classifier": ("BertForSequenceClassification", 4, 41),
    "ernie-lm": ("BertForPreTraining", 4, 46),
    "gpt2": ("GPT2LMHeadModel", 4, 28),
    "roberta-encoder": ("RobertaModel", 4, 37),
    "roberta-producer-092": ("RobertaForMaskedLM", 4, 42),
    "xlnet": ("XLNetLMHeadModel", 4, 37),
}
FLOAT16 = "bort-float16-tokenizer"
NO_CHECKSUMS = "bert-no-checksums"
every = pytest.mark.parametrize("name", DIRECTORIES)


def source_of(name: str) -> Path:
    return FIXTURES / read_manifest(OLD / name).source.name


def config_of(name: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((OLD / name / "config.json").read_text("utf-8"))
    return config


def arrays_of(path: Path) -> dict[str, Array]:
    with open_params(path) as params:
        return {name: np.array(array) for name, array in params.items()}


def test_every_old_directory_is_tested() -> None:
    assert {path.name for path in OLD.iterdir() if path.is_dir()} == set(DIRECTORIES)
    for name in DIRECTORIES:
        assert "facts" in json.loads((OLD / name / "conversion.json").read_text("utf-8"))


@every
def test_the_manifest_is_read_with_the_names_of_today(name: str) -> None:
    manifest = read_manifest(OLD / name)
    document = json.loads((OLD / name / "conversion.json").read_text("utf-8"))
    assert manifest.version == "0.1.0"
    assert manifest.architecture == DIRECTORIES[name][0]
    assert manifest.parameters == document["parameters"]
    assert {"vocab_size", "hidden_size", "layers"} <= manifest.dims.keys()
    assert not {"vocab", "units", "hidden", "positions", "types", "heads"} & manifest.dims.keys()
    assert list(manifest.dims.values()) == list(document["dims"].values())
    ids = {
        key: value
        for key, value in config_of(name).items()
        if key.endswith("_token_id") and value < manifest.dims["vocab_size"]
    }
    assert list(manifest.hyperparameters.values())[: len(document["facts"])] == list(document["facts"].values())
    assert dict(list(manifest.hyperparameters.items())[len(document["facts"]) :]) == ids
    assert "heads" not in manifest.hyperparameters
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert "facts" not in manifest.to_dict()


def test_options_initialised_values_and_parity_have_their_names_of_today() -> None:
    roberta = read_manifest(OLD / "roberta-producer-092")
    assert roberta.options == {"family": "roberta", "heads": 2, "gluonnlp_version": "0.9.2"}
    assert roberta.hyperparameters["attention_heads"] == 2
    assert roberta.tensors["roberta.embeddings.position_embeddings.weight"].initialised == 16
    parity = read_manifest(OLD / "bert-verified").parity
    assert list(parity["checks"]) == ["names and shapes", "bits", "behaviour"]
    assert "rungs" not in parity


@every
def test_check_passes_with_and_without_the_source(name: str) -> None:
    _, files, tensors = DIRECTORIES[name]
    outcome = bort_convert.check(OLD / name, source=source_of(name))
    assert (outcome.problems, outcome.files, outcome.tensors) == ((), files, tensors)
    problems = bort_convert.check(OLD / name).problems
    if name == NO_CHECKSUMS:
        assert len(problems) == 1
        assert "has no digests of tensors" in problems[0]
    else:
        assert problems == ()


def test_check_finds_a_change_in_an_old_directory(tmp_path: Path) -> None:
    out = shutil.copytree(OLD / "gpt2", tmp_path / "gpt2")
    text = (out / "conversion.json").read_text("utf-8")
    (out / "conversion.json").write_text(text.replace('"family": "gpt2"', '"family": "gpt3"', 1), "utf-8")
    assert "conversion.json: is not as it was written" in bort_convert.check(out).problems


@every
def test_export_gives_the_source_back_bit_for_bit(name: str, tmp_path: Path) -> None:
    manifest = bort_convert.export(OLD / name, tmp_path / "back.params")
    back, source = arrays_of(tmp_path / "back.params"), arrays_of(source_of(name))
    assert back.keys() == source.keys()
    for array_name, array in source.items():
        expected = array.astype(np.float16) if name == FLOAT16 else array
        assert (back[array_name].dtype, back[array_name].shape) == (expected.dtype, expected.shape), array_name
        assert back[array_name].tobytes() == expected.tobytes(), array_name
    notes = {FLOAT16: "the conversion cast every tensor to float16", NO_CHECKSUMS: "has no digests"}
    assert notes.get(name, f"the arrays of {source_of(name).name}, bit for bit") in manifest.notes[0]


@every
def test_the_model_card_can_be_written(name: str) -> None:
    manifest = read_manifest(OLD / name)
    card = card_text(manifest)
    assert f"# {manifest.architecture} from `{manifest.source.name}`" in card
    assert "| sizes | " in card
    assert ("Verified before this directory took its place" in card) == (name == "bert-verified")


def test_a_tokenizer_can_be_added_to_an_old_directory(tmp_path: Path) -> None:
    out = shutil.copytree(OLD / "bert-producer-091", tmp_path / "out")
    manifest = bort_convert.add_tokenizer(out, vocab=FIXTURES / "tiny_bert.vocab")
    assert (manifest.version, manifest.options["gluonnlp_version"]) == ("0.1.0", "0.9.1")
    assert bort_convert.check(out, source=source_of("bert-producer-091"))
    assert read_manifest(out) == manifest


@pytest.mark.torch
@every
def test_the_model_loads(name: str) -> None:
    architecture, *_ = DIRECTORIES[name]
    model = bort_convert.load_pretrained(OLD / name)
    assert type(model).__name__ == architecture
    if name == "bort-classifier-labels":
        assert model.config.id2label == {0: "negative", 1: "neutral", 2: "positive"}
    if name == "bort-lm-tokenizer":
        assert model.cls.predictions.transform.LayerNorm.eps == 1e-12


@pytest.mark.torch
@pytest.mark.mxnet
@pytest.mark.parametrize("name", ["bort-lm-tokenizer", "bert-sharded", FLOAT16, "distilbert"])
def test_verify_passes(name: str) -> None:
    report = bort_convert.verify(source_of(name), OLD / name, dtype="float64")
    assert report.passed, report.headline


@pytest.mark.torch
@pytest.mark.mxnet
@pytest.mark.parametrize("name", ["bert-producer-091", "roberta-producer-092"])
def test_verify_sees_that_the_installed_gluonnlp_computes_something_else(name: str) -> None:
    """The directories are converted for gluonnlp 0.9; 0.8.3 computes something else with the same weights."""
    report = bort_convert.verify(source_of(name), OLD / name, dtype="float64")
    assert [check.passed for check in report.checks] == [True, True, False, False]
    assert "first divergence" in report.headline
