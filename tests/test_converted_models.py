"""Converted directories in stock transformers, against what the original code computed on MXNet.

The `.npz` files hold its outputs; positions beyond a row's valid length are left out, because the frameworks differ
there by design.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bort_convert.convert import convert

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.dtypes import Array

pytestmark = pytest.mark.torch

NAMES = ("bort_1_3_96_96", "bort_2_4_48_64", "bort_3_2_80_32")
KEYS = ("missing_keys", "unexpected_keys", "mismatched_keys")


def load(kind: str, folder: Path) -> Any:  # noqa: ANN401 - transformers has no types
    """A model in eval mode from stock transformers, after a look at what it says of the keys."""
    import transformers  # noqa: PLC0415

    model, info = getattr(transformers, kind).from_pretrained(folder, output_loading_info=True)
    unmet = {key: set(info[key]) for key in KEYS}
    if kind == "AutoModel":
        # The bare class has no place for a head. Bort has no pooler: the class makes one up.
        unmet["unexpected_keys"] = {key for key in unmet["unexpected_keys"] if not key.startswith("cls.predictions.")}
        unmet["missing_keys"] -= {"pooler.dense.weight", "pooler.dense.bias"}
    assert unmet == {key: set() for key in KEYS}
    return model.eval()


def run(model: Any, batch: dict[str, Array], **options: bool) -> Any:  # noqa: ANN401
    import torch  # noqa: PLC0415

    length = batch["input_ids"].shape[1]
    mask = np.arange(length) < batch["valid_length"][:, None]
    with torch.no_grad():
        return model(torch.tensor(batch["input_ids"]).long(), attention_mask=torch.tensor(mask).long(), **options)


def batch_of(expected: dict[str, Array], case: str) -> dict[str, Array]:
    return {name.partition(".")[2]: array for name, array in expected.items() if name.startswith(f"{case}.")}


def worst(actual: Any, expected: Array, valid_length: Array) -> float:  # noqa: ANN401
    """The largest difference on valid positions."""
    valid = np.arange(expected.shape[1]) < valid_length[:, None]
    difference = np.abs(actual.numpy() - expected)[valid]
    assert difference.size
    return float(difference.max())


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spelling", ["", "-prefix", "-encoder"])
@pytest.mark.parametrize("case", ["one", "mixed", "full", "short"])
def test_every_layer_is_the_original_codes(shared: Path, tmp_path: Path, name: str, spelling: str, case: str) -> None:
    corpus = shared / "corpus" / "bort"
    with np.load(corpus / f"{name}.npz") as expected:
        batch = batch_of(expected, case)
        layers, heads = expected["config"][:2]
    convert(corpus / f"{name}{spelling}.params", tmp_path / "out", heads=int(heads))
    model = load("AutoModel", tmp_path / "out")
    states = run(model, batch, output_hidden_states=True).hidden_states
    assert len(states) == layers + 1
    for state, key in zip(states, ["embeddings", *(f"layer{number}" for number in range(layers))], strict=True):
        assert worst(state, batch[key], batch["valid_length"]) < 2e-5


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ["one", "mixed", "full", "short"])
def test_masked_language_model_logits_are_the_original_codes(
    shared: Path, tmp_path: Path, name: str, case: str
) -> None:
    corpus = shared / "corpus" / "bort"
    with np.load(corpus / f"{name}.npz") as expected:
        batch = batch_of(expected, case)
        heads = int(expected["config"][1])
    convert(corpus / f"{name}.params", tmp_path / "out", heads=heads)
    model = load("AutoModelForMaskedLM", tmp_path / "out")
    logits = run(model, batch).logits.numpy()
    rows = np.arange(len(logits))[:, None]
    difference = np.abs(logits[rows, batch["masked_positions"]] - batch["mlm_logits"]).max()
    assert difference < 1e-4
    # The head's own epsilon, which a stock config cannot say, explains what is left.
    model.cls.predictions.transform.LayerNorm.eps = 1e-12
    exact = run(model, batch).logits.numpy()
    assert np.abs(exact[rows, batch["masked_positions"]] - batch["mlm_logits"]).max() < 3e-5


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("head", ["classifier3", "regression"])
def test_classifier_logits_are_the_original_codes(shared: Path, tmp_path: Path, name: str, head: str) -> None:
    corpus = shared / "corpus" / "bort"
    with np.load(corpus / f"{name}.npz") as expected:
        batch = batch_of(expected, "mixed")
        logits, heads = expected[f"{head}.logits"], int(expected["config"][1])
    convert(corpus / f"{name}-{head}.params", tmp_path / "out", heads=heads)
    model = load("AutoModelForSequenceClassification", tmp_path / "out")
    assert np.abs(run(model, batch).logits.numpy() - logits).max() < 1e-5


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_weights_are_those_of_the_file(shared: Path, tmp_path: Path, name: str) -> None:
    import torch  # noqa: PLC0415

    corpus = shared / "corpus" / "bort"
    heads = int(name.split("_")[2])
    convert(corpus / f"{name}-fp16.params", tmp_path / "half", heads=heads)
    convert(corpus / f"{name}.params", tmp_path / "single", heads=heads)
    half = load("AutoModelForMaskedLM", tmp_path / "half").state_dict()
    single = load("AutoModelForMaskedLM", tmp_path / "single").state_dict()
    for key, tensor in single.items():
        assert half[key].dtype == torch.float16
        assert torch.equal(half[key], tensor.to(torch.float16)), key


def test_the_config_is_what_transformers_reads_and_writes(fixtures: Path, tmp_path: Path) -> None:
    import json  # noqa: PLC0415

    import transformers  # noqa: PLC0415

    convert(fixtures / "bort_4_8_24_32.params", tmp_path / "out", heads=8)
    ours = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    config = transformers.AutoConfig.from_pretrained(tmp_path / "out")
    assert isinstance(config, transformers.BertConfig)
    assert str(config.dtype) == f"torch.{ours.pop('dtype')}"
    assert {key: getattr(config, key) for key in ours} == ours
    load("AutoModelForMaskedLM", tmp_path / "out").save_pretrained(tmp_path / "again")
    theirs = json.loads((tmp_path / "again" / "config.json").read_text("utf-8"))
    assert {key: theirs[key] for key in ours} == ours


def test_the_written_tensors_are_those_that_transformers_would_save(fixtures: Path, tmp_path: Path) -> None:
    from safetensors import safe_open  # noqa: PLC0415

    convert(fixtures / "bort_4_8_24_32.params", tmp_path / "out", heads=8)
    load("AutoModelForMaskedLM", tmp_path / "out").save_pretrained(tmp_path / "again")
    written = {}
    for folder in ("out", "again"):
        with safe_open(tmp_path / folder / "model.safetensors", "np") as file:
            written[folder] = {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118
    assert written["out"] == written["again"]
