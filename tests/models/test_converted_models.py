"""Converted directories in stock transformers, compared with outputs of the original code on MXNet.

The `.npz` files hold those outputs. Positions beyond a row's valid length are not compared, because the frameworks
differ there by design.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bort_convert.commands.convert import convert
from bort_convert.commands.load import load_pretrained
from bort_convert.params import open_params
from bort_convert.verification import verify

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.dtypes import Array

pytestmark = pytest.mark.torch

OURS = ("bort_4_8_24_32", "bort_2_3_24_24")
CORPUS = ("bort_1_3_96_96", "bort_2_4_48_64", "bort_3_2_80_32")
KEYS = ("missing_keys", "unexpected_keys", "mismatched_keys")


@pytest.fixture(params=[*OURS, *(pytest.param(name, marks=pytest.mark.shared) for name in CORPUS)])
def stem(request: pytest.FixtureRequest) -> Path:
    """Path of a checkpoint without its suffix: ours (MXNet 1.9.1), or the original code's (MXNet 1.5.0)."""
    if request.param in OURS:
        return request.getfixturevalue("fixtures") / str(request.param)
    return request.getfixturevalue("shared") / "corpus" / "bort" / str(request.param)


def read(stem: Path) -> tuple[dict[str, Array], int]:
    """Outputs of the original framework, and the number of attention heads."""
    with np.load(stem.with_name(f"{stem.name}.npz")) as expected:
        return dict(expected), int(expected["config"][1])


def convert_to(stem: Path, suffix: str, target: Path, heads: int) -> Path:
    convert(stem.with_name(f"{stem.name}{suffix}.params"), target, family="bort", heads=heads)
    return target


def load(kind: str, folder: Path) -> Any:  # noqa: ANN401 - transformers has no types
    """Load a model in eval mode with stock transformers, and check the keys that it reports."""
    import transformers  # noqa: PLC0415

    model, info = getattr(transformers, kind).from_pretrained(folder, output_loading_info=True)
    unmet = {key: set(info[key]) for key in KEYS}
    if kind == "AutoModel":
        # The bare class has no place for a head, and initialises the pooler that Bort does not have.
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


def batches_of(expected: dict[str, Array]) -> list[dict[str, Array]]:
    """Every batch in the file."""
    cases = [name.partition(".")[0] for name in expected if name.endswith(".input_ids")]
    assert len(cases) >= 3
    return [batch_of(expected, case) for case in cases]


def batch_of(expected: dict[str, Array], case: str) -> dict[str, Array]:
    return {name.partition(".")[2]: array for name, array in expected.items() if name.startswith(f"{case}.")}


def worst(actual: Any, expected: Array, valid_length: Array) -> float:  # noqa: ANN401
    """The largest difference on valid positions."""
    valid = np.arange(expected.shape[1]) < valid_length[:, None]
    difference = np.abs(actual.numpy() - expected)[valid]
    assert difference.size
    return float(difference.max())


@pytest.mark.parametrize("suffix", ["", "-prefix", "-encoder"])
def test_every_layer_computes_what_the_original_code_computes(stem: Path, tmp_path: Path, suffix: str) -> None:
    expected, heads = read(stem)
    model = load("AutoModel", convert_to(stem, suffix, tmp_path / "out", heads))
    keys = ["embeddings", *(f"layer{number}" for number in range(expected["config"][0]))]
    for batch in batches_of(expected):
        states = run(model, batch, output_hidden_states=True).hidden_states
        for state, key in zip(states, keys, strict=True):
            assert worst(state, batch[key], batch["valid_length"]) < 2e-5


def test_masked_language_model_logits_are_those_of_the_original_code(stem: Path, tmp_path: Path) -> None:
    expected, heads = read(stem)
    stock = load("AutoModelForMaskedLM", convert_to(stem, "", tmp_path / "out", heads))
    # The rest of the difference comes from the head's own epsilon, for which a stock config has no key.
    exact = load_pretrained(tmp_path / "out")
    for batch in batches_of(expected):
        rows = np.arange(len(batch["input_ids"]))[:, None]
        for model, limit in ((stock, 1e-4), (exact, 3e-5)):
            logits = run(model, batch).logits.numpy()[rows, batch["masked_positions"]]
            assert np.abs(logits - batch["mlm_logits"]).max() < limit


@pytest.mark.parametrize("head", ["classifier3", "regression"])
def test_classifier_logits_are_those_of_the_original_code(stem: Path, tmp_path: Path, head: str) -> None:
    expected, heads = read(stem)
    batch = batch_of(expected, "mixed")
    model = load("AutoModelForSequenceClassification", convert_to(stem, f"-{head}", tmp_path / "out", heads))
    assert np.abs(run(model, batch).logits.numpy() - expected[f"{head}.logits"]).max() < 1e-5


def test_half_precision_weights_are_those_of_the_checkpoint(stem: Path, tmp_path: Path) -> None:
    import torch  # noqa: PLC0415

    _, heads = read(stem)
    half = load("AutoModelForMaskedLM", convert_to(stem, "-fp16", tmp_path / "half", heads)).state_dict()
    single = load("AutoModelForMaskedLM", convert_to(stem, "", tmp_path / "single", heads)).state_dict()
    for key, tensor in single.items():
        assert half[key].dtype == torch.float16
        assert torch.equal(half[key], tensor.to(torch.float16)), key


@pytest.mark.mxnet
def test_half_precision_checkpoints_compute_what_gluonnlp_computes_on_their_values(stem: Path, tmp_path: Path) -> None:
    _, heads = read(stem)
    out = convert_to(stem, "-fp16", tmp_path / "half", heads)
    report = verify(stem.with_name(f"{stem.name}-fp16.params"), out)
    assert report, report.headline
    assert {run.dtype for run in report.runs} == {"float32", "float64"}


@pytest.mark.mxnet
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_cast_model_computes_what_gluonnlp_computes_on_rounded_values(
    dtype: str, fixtures: Path, tmp_path: Path
) -> None:
    source = fixtures / "bort_2_3_24_24.params"
    manifest = convert(source, tmp_path / "out", family="bort", heads=3, dtype=dtype, verify=verify)
    assert {run["dtype"]: run["max_abs"] < run["limit"] <= 1e-4 for run in manifest.parity["runs"]} == {
        "float32": True,
        "float64": True,
    }
    convert(source, tmp_path / "plain", family="bort", heads=3)
    (tmp_path / "out" / "conversion.json").write_bytes((tmp_path / "plain" / "conversion.json").read_bytes())
    assert not verify(source, tmp_path / "out"), "against the values as they were, the rounding shows"


@pytest.mark.slow
def test_a_full_size_bort_loads_with_every_tensor_in_its_place(full_size: Path, tmp_path: Path) -> None:
    manifest = convert(full_size, tmp_path / "out")
    assert manifest.variant == "bort_4_8_768_1024"
    assert manifest.parameters == 76_208_217
    assert round((tmp_path / "out" / "model.safetensors").stat().st_size, -5) == 304_800_000
    model = load("AutoModelForMaskedLM", tmp_path / "out")
    assert model.num_parameters() == 76_208_217 + 1024  # the row of token types that Bort lacks
    state = model.state_dict()
    with open_params(full_size) as params:
        for name, tensor in manifest.tensors.items():
            if tensor.sources:
                assert state[name].numpy().tobytes() == params[tensor.sources[0]].tobytes(), name


def test_transformers_reads_and_writes_the_same_config(fixtures: Path, tmp_path: Path) -> None:
    import json  # noqa: PLC0415

    import transformers  # noqa: PLC0415

    convert(fixtures / "bort_4_8_24_32.params", tmp_path / "out", family="bort", heads=8)
    ours = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    config = transformers.AutoConfig.from_pretrained(tmp_path / "out")
    assert isinstance(config, transformers.BertConfig)
    assert str(config.dtype) == f"torch.{ours.pop('dtype')}" == f"torch.{ours.pop('torch_dtype')}"
    assert {key: getattr(config, key) for key in ours} == ours
    load("AutoModelForMaskedLM", tmp_path / "out").save_pretrained(tmp_path / "again")
    theirs = json.loads((tmp_path / "again" / "config.json").read_text("utf-8"))
    assert {key: theirs[key] for key in ours} == ours


def test_transformers_saves_the_same_tensors(fixtures: Path, tmp_path: Path) -> None:
    from safetensors import safe_open  # noqa: PLC0415

    convert(fixtures / "bort_4_8_24_32.params", tmp_path / "out", family="bort", heads=8)
    load("AutoModelForMaskedLM", tmp_path / "out").save_pretrained(tmp_path / "again")
    written = {}
    for folder in ("out", "again"):
        with safe_open(tmp_path / folder / "model.safetensors", "np") as file:
            written[folder] = {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118
    assert written["out"] == written["again"]
