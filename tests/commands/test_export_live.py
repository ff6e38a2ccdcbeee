"""Exported files in GluonNLP on MXNet: every parameter loads, and outputs are the same.

The directories come from `convert`, or from transformers.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from gluon_loading import inputs_of

from bort_convert import convert, export, verify
from bort_convert.errors import MappingError
from bort_convert.safetensors import open_tensors

if TYPE_CHECKING:
    from bort_convert.dtypes import Array

pytestmark = pytest.mark.mxnet

SCRIPT = Path(__file__).parents[1] / "support" / "gluon_loading.py"
SIZE = (4, 8, 24, 32, 120, 24)  # layers, heads, intermediate_size, hidden_size, vocab_size, max_positions
STYLES = ("structural", "prefix")
KINDS = {"": "decoder", "-encoder": "encoder", "-classifier3": 3, "-regression": 1}


def computed(folder: Path, jobs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Array]]:
    """Run each checkpoint in GluonNLP; return its outputs by the job's name."""
    listed = [
        {"size": SIZE, "dropout": 0.1, "out": str(folder / f"{name}.npz"), **job, "path": str(job["path"])}
        for name, job in jobs.items()
    ]
    (folder / "jobs.json").write_text(json.dumps(listed), "utf-8")
    command = [sys.executable, "-W", "ignore", str(SCRIPT), str(folder / "jobs.json")]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    outputs = {}
    for name in jobs:
        with np.load(folder / f"{name}.npz") as arrays:
            outputs[name] = dict(arrays)
    return outputs


def test_gluonnlp_computes_the_same_bits_with_every_exported_file(fixtures: Path, tmp_path: Path) -> None:
    jobs: dict[str, dict[str, Any]] = {}
    for ending, kind in KINDS.items():
        source = fixtures / f"bort_4_8_24_32{ending}.params"
        job = {"kind": kind, "dropout": 0.0 if kind == 1 else 0.1}
        jobs[f"source{ending}"] = {"path": source, "names": "structural", **job}
        convert(source, tmp_path / f"out{ending}", family="bort", heads=8)
        for names in STYLES:
            back = tmp_path / f"{names}{ending}.params"
            export(tmp_path / f"out{ending}", back, names=names)
            jobs[names + ending] = {"path": back, "names": names, **job}
    outputs = computed(tmp_path, jobs)
    for ending in KINDS:
        expected = outputs[f"source{ending}"]
        assert expected
        for names in STYLES:
            for key, array in expected.items():
                assert outputs[names + ending][key].tobytes() == array.tobytes(), (names, ending, key)


def bort_by_transformers(kind: str, **options: Any) -> Any:  # noqa: ANN401 - transformers has no types
    """Make a transformers model with the shapes of a Bort: all values random but the token types, which are zero."""
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    layers, heads, intermediate_size, hidden_size, vocab_size, positions = SIZE
    config = transformers.BertConfig(
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=intermediate_size,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        max_position_embeddings=positions,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        **options,
    )
    torch.manual_seed(1)
    model = getattr(transformers, kind)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
        model.bert.embeddings.token_type_embeddings.weight.zero_()
    return model.eval()


def tensors_of(folder: Path) -> dict[str, Array]:
    tensors: dict[str, Array] = {}
    for path in folder.glob("*.safetensors"):
        with open_tensors(path) as file:
            tensors |= {name: file[name] for name in file}
    return tensors


def valid(array: Array) -> Array:
    """Rows of valid positions, (valid, hidden_size)."""
    _, lengths, _ = inputs_of(SIZE[4])
    return array[np.arange(array.shape[1]) < lengths[:, None]]


def torch_run(model: Any) -> Any:  # noqa: ANN401 - transformers has no types
    import torch  # noqa: PLC0415

    ids, lengths, _ = inputs_of(SIZE[4])
    mask = torch.tensor(np.arange(ids.shape[1]) < lengths[:, None]).long()
    with torch.no_grad():
        return model(torch.tensor(ids).long(), attention_mask=mask, output_hidden_states=True)


@pytest.mark.torch
def test_a_language_model_that_transformers_wrote_runs_in_gluonnlp(tmp_path: Path) -> None:
    model = bort_by_transformers("BertForMaskedLM")
    model.save_pretrained(tmp_path / "whole")
    model.save_pretrained(tmp_path / "shards", max_shard_size="30KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    jobs = {}
    for folder in ("whole", "shards"):
        for names in STYLES:
            back = tmp_path / f"{folder}-{names}.params"
            assert export(tmp_path / folder, back, names=names).hyperparameters["attention_heads"] == 8
            jobs[back.stem] = {"path": back, "names": names, "kind": "decoder"}
    states = torch_run(model).hidden_states
    for outputs in computed(tmp_path, jobs).values():
        for key, state in zip(["embeddings", *(f"layer{number}" for number in range(4))], states, strict=True):
            assert np.abs(valid(outputs[key]) - valid(state.numpy())).max() < 1e-5, key
    convert(tmp_path / "whole-structural.params", tmp_path / "again", family="bort", heads=8)
    written, again = tensors_of(tmp_path / "whole"), tensors_of(tmp_path / "again")
    assert {name: array.tobytes() for name, array in again.items()} == {
        name: array.tobytes() for name, array in written.items()
    }
    assert verify(tmp_path / "whole-structural.params", tmp_path / "again", dtype="float64")


@pytest.mark.torch
def test_a_classifier_that_transformers_wrote_runs_in_gluonnlp(tmp_path: Path) -> None:
    model = bort_by_transformers("BertForSequenceClassification", num_labels=3)
    model.save_pretrained(tmp_path / "out")
    jobs = {}
    for names in STYLES:
        export(tmp_path / "out", tmp_path / f"{names}.params", names=names)
        jobs[names] = {"path": tmp_path / f"{names}.params", "names": names, "kind": 3}
    logits = torch_run(model).logits.numpy()
    for outputs in computed(tmp_path, jobs).values():
        assert np.abs(outputs["output"] - logits).max() < 1e-5


@pytest.mark.torch
def test_mxnet_reads_a_model_in_bfloat16(tmp_path: Path) -> None:
    import torch  # noqa: PLC0415

    model = bort_by_transformers("BertForMaskedLM").to(torch.bfloat16)
    model.save_pretrained(tmp_path / "half")
    model.float().save_pretrained(tmp_path / "whole")
    for folder in ("half", "whole"):
        export(tmp_path / folder, tmp_path / f"{folder}.params")
    jobs = {
        name: {"path": tmp_path / f"{name}.params", "names": "structural", "kind": "decoder"}
        for name in ("half", "whole")
    }
    outputs = computed(tmp_path, jobs)
    assert all(outputs["half"][key].tobytes() == array.tobytes() for key, array in outputs["whole"].items())


@pytest.mark.torch
def test_a_new_model_of_transformers_has_token_types_that_no_bort_has(tmp_path: Path) -> None:
    import torch  # noqa: PLC0415

    model = bort_by_transformers("BertForMaskedLM")
    torch.nn.init.normal_(model.bert.embeddings.token_type_embeddings.weight)
    model.save_pretrained(tmp_path / "out")
    with pytest.raises(MappingError, match=r"token_type_embeddings.weight: .*Bort has no segment embedding"):
        export(tmp_path / "out", tmp_path / "back.params")


@pytest.mark.torch
def test_an_output_matrix_that_transformers_untied_is_refused(tmp_path: Path) -> None:
    bort_by_transformers("BertForMaskedLM", tie_word_embeddings=False).save_pretrained(tmp_path / "out")
    with pytest.raises(MappingError, match="tie_word_embeddings is False, expected true"):
        export(tmp_path / "out", tmp_path / "back.params")
