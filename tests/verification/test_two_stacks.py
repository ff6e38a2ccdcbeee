"""Traces of an encoder and a decoder, and of layers that share their weights: names, inputs, hooks, layers at fault."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from errors_gluonnlp1 import FOLDER, options_of

from bort_convert import convert, verify
from bort_convert.errors import FormatError
from bort_convert.model_dir.read import read_model_dir
from bort_convert.verification.compare import compare
from bort_convert.verification.headline import label, labels
from bort_convert.verification.inputs import RELATIVE_LENGTH, default_inputs
from bort_convert.verification.trace import Trace, output_order, output_shape, sampled, valid_positions
from bort_convert.verification.trace_file import load_trace, save_trace

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.dtypes import Array

DIMS = {"vocab_size": 9, "hidden_size": 4, "layers": 2, "decoder_layers": 3}
BART = FOLDER / "bart_lm.trace.safetensors"


def inputs() -> dict[str, Any]:
    return {
        "input_ids": np.array([[5, 4, 3], [2, 0, 0]]),
        "valid_length": np.array([3, 1]),
        "decoder_input_ids": np.array([[1, 2, 3, 4, 5], [6, 7, 0, 0, 0]]),
        "decoder_valid_length": np.array([5, 2]),
        "masked_positions": np.array([[0, 4], [0, 1]]),
    }


def a_trace() -> Trace:
    names = ["encoder.embeddings", "encoder.layer.0", "encoder.layer.1", "encoder.attention.1", "decoder.embeddings"]
    names += [f"decoder.layer.{number}" for number in range(3)]
    names += ["decoder.attention.0", "decoder.cross_attention.0", "lm_logits"]
    shapes = {name: output_shape(name, inputs(), DIMS, 2) for name in names}
    rng = np.random.default_rng(0)
    outputs = {name: rng.normal(size=shape) for name, shape in shapes.items()}  # type: ignore[arg-type]
    provenance = dict.fromkeys(("source", "sha256", "family", "architecture"), "x")
    provenance |= {"dims": json.dumps(DIMS), "hyperparameters": '{"attention_heads": 2}', "config": "{}"}
    return Trace(inputs(), {"float64": outputs}, provenance)


def test_each_stack_has_shapes_of_its_own() -> None:
    shapes = {name: array.shape for name, array in a_trace().outputs["float64"].items()}
    assert shapes["encoder.layer.1"] == (2, 3, 4)
    assert shapes["decoder.layer.2"] == (2, 5, 4)
    assert shapes["decoder.attention.0"] == (2, 5, 2, 5)
    assert shapes["decoder.cross_attention.0"] == (2, 5, 2, 3)
    assert shapes["lm_logits"] == (2, 2, 9)


def test_a_forward_pass_goes_through_the_encoder_first() -> None:
    names = list(a_trace().outputs["float64"])
    assert sorted(set(names), key=output_order) == [
        *("encoder.embeddings", "encoder.layer.0", "encoder.attention.1", "encoder.layer.1", "decoder.embeddings"),
        *("decoder.attention.0", "decoder.cross_attention.0", "decoder.layer.0", "decoder.layer.1", "decoder.layer.2"),
        "lm_logits",
    ]


@pytest.mark.parametrize("sample", [None, 2])
def test_a_trace_of_two_stacks_comes_back_from_its_file(tmp_path: Path, sample: int | None) -> None:
    trace = sampled(a_trace(), sample=sample) if sample else a_trace()
    save_trace(tmp_path / "trace", trace)
    read = load_trace(tmp_path / "trace")
    assert set(read.inputs) == set(trace.inputs)
    for name, array in trace.outputs["float64"].items():
        assert np.array_equal(read.outputs["float64"][name], array)


def test_a_sample_is_taken_from_each_stack() -> None:
    small = sampled(a_trace(), sample=3, layers=(1,))
    kept, whole = small.inputs["decoder_positions"], valid_positions(inputs(), "decoder.").tolist()
    assert all(pair in whole for pair in kept.tolist())
    assert len(small.inputs["positions"]) == len(kept) == 3
    assert small.outputs["float64"]["encoder.layer.1"].shape == (3, 4)
    assert set(small.outputs["float64"]) == {
        *("encoder.embeddings", "encoder.layer.1", "encoder.attention.1"),
        *("decoder.embeddings", "decoder.layer.1", "lm_logits"),
    }


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("decoder_valid_length", None, "inputs/decoder_valid_length is missing"),
        ("decoder_valid_length", np.array([5, 6]), "inputs/decoder_valid_length holds 6, outside the range"),
        ("decoder_input_ids", np.full((2, 5), 9), "inputs/decoder_input_ids holds 9, outside the range"),
        ("decoder_input_ids", np.zeros((3, 5), np.int64), "expected (2, -1) from input_ids"),
        ("masked_positions", np.array([[0, 4], [0, 2]]), "holds 2, outside the range that decoder_valid_length allows"),
        ("decoder_positions", np.array([[1, 2]]), "holds 2, outside the range that decoder_valid_length allows"),
    ],
)
def test_a_fault_in_the_decoders_inputs_is_named(tmp_path: Path, name: str, value: Array | None, message: str) -> None:
    changed = {**inputs(), name: value}
    trace = replace(a_trace(), inputs={key: array for key, array in changed.items() if array is not None})
    save_trace(tmp_path / "trace", trace)
    with pytest.raises(FormatError) as error:
        load_trace(tmp_path / "trace")
    assert message in str(error.value)


def test_padding_of_the_right_stack_is_left_out() -> None:
    trace = a_trace()
    target = {name: array.copy() for name, array in trace.outputs["float64"].items()}
    target["encoder.layer.0"][1, 1:] = 7  # padding of the encoder
    target["decoder.layer.0"][1, 2:] = 7  # padding of the decoder
    (run,) = compare(trace, {"float64": target})
    assert run.passed
    target["decoder.layer.0"][1, 1, 3] += 1
    target["decoder.cross_attention.0"][0, 4, 1, 2] += 1
    (run,) = compare(trace, {"float64": target})
    where = {layer.name: dict(layer.where) for layer in run.failures}
    assert where == {
        "decoder.layer.0": {"batch": 1, "token": 1, "unit": 3},
        "decoder.cross_attention.0": {"batch": 0, "token": 4, "head": 1, "key": 2},
    }


def test_outputs_of_a_stack_are_named_in_words() -> None:
    assert label("decoder.layer.2") == "decoder layer 2"
    assert label("encoder.layers.0.attn_qkv.weight") == "encoder.layers.0.attn_qkv.weight"
    names = ["encoder.layer.1", "decoder.layer.0", "decoder.layer.1", "decoder.cross_attention.1", "lm_logits"]
    assert labels(names) == "encoder layer 1, decoder layers 0-1, decoder cross_attention 1 and lm_logits"


def test_inputs_of_a_decoder_have_lengths_of_their_own() -> None:
    found = default_inputs({"vocab_size": 20}, decoder=True)
    assert found["input_ids"].shape == (4, RELATIVE_LENGTH)
    assert found["decoder_input_ids"].shape == (4, RELATIVE_LENGTH - 3)
    assert found["valid_length"][0] == RELATIVE_LENGTH > 128
    assert set(found["valid_length"]) != set(found["decoder_valid_length"])
    assert (found["masked_positions"] < found["decoder_valid_length"][:, None]).all()
    every = default_inputs({"vocab_size": 20, "max_positions": 12}, decoder=True)
    assert max(every["valid_length"]) == max(every["decoder_valid_length"]) == 12


@pytest.mark.torch
@pytest.mark.parametrize(
    ("tensor", "first", "others"),
    [
        ("model.encoder.layers.1.fc1.bias", "encoder.layer.1", ["decoder.layer.0", "decoder.layer.1", "lm_logits"]),
        ("model.decoder.layers.0.encoder_attn.v_proj.bias", "decoder.layer.0", ["decoder.layer.1", "lm_logits"]),
    ],
)
def test_the_layer_at_fault_is_told_from_those_that_inherit_it(
    tmp_path: Path, tensor: str, first: str, others: list[str]
) -> None:
    from converted_dir import Converted  # noqa: PLC0415

    convert(FOLDER / "bart_lm.params", tmp_path / "out", **options_of("bart_lm"))
    converted = Converted(tmp_path / "out")
    converted.tensors[tensor] = converted.tensors[tensor] + np.float32(1)
    converted.write()
    report = verify(BART, tmp_path / "out", dtype="float64")
    assert [layer.name for layer in report.runs[0].failures] == [first, *others]
    assert report.per_layer is not None
    assert [layer.name for layer in report.per_layer.failures] == [first]


@pytest.mark.torch
@pytest.mark.parametrize("name", ["bart_lm", "t5", "albert_pretrain", "electra_disc", "mobilebert_pretrain"])
def test_kept_outputs_are_those_of_the_stock_class(tmp_path: Path, name: str) -> None:
    import torch  # noqa: PLC0415

    from bort_convert.verification import torch_run  # noqa: PLC0415
    from bort_convert.verification.inputs import inputs_for  # noqa: PLC0415
    from bort_convert.verification.reference import fit_checkpoint  # noqa: PLC0415

    source = FOLDER / f"{name}.params"
    convert(source, tmp_path / "out", **options_of(name))
    model = torch_run.load_model(read_model_dir(tmp_path / "out"), "float64", attentions=True)
    given = inputs_for(fit_checkpoint(source, **options_of(name)), batch=3)
    kept = torch_run.run_model(model, given, attentions=True, stock_precision=True)
    again = torch_run.run_model(model, given, attentions=True, stock_precision=True, feed=kept)
    assert kept.keys() == again.keys()
    assert all(np.array_equal(again[key], array) for key, array in kept.items())
    stacks = {"": ""} if "decoder_input_ids" not in given else {"": "encoder.", "decoder_": "decoder."}
    call = {}
    for key in stacks:
        ids, lengths = given[f"{key}input_ids"], given[f"{key}valid_length"]
        mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
        call |= {f"{key}input_ids": ids, f"{key}attention_mask": mask}
    call |= {"token_type_ids": given["token_types"]} if "token_types" in given else {}
    tensors = {key: torch.from_numpy(array) for key, array in call.items()}
    with torch.no_grad():
        stock = model(**tensors, output_hidden_states=True, output_attentions=True)
    for key, stack in stacks.items():
        states = stock[f"{'encoder_' if stack == 'encoder.' else key}hidden_states"]
        np.testing.assert_allclose(kept[f"{stack}embeddings"], states[0].numpy(), rtol=0, atol=1e-13)
        np.testing.assert_allclose(kept[f"{stack}layer.0"], states[1].numpy(), rtol=0, atol=1e-13)
    if "decoder_" in stacks:
        crossed = stock["cross_attentions"][1].numpy().transpose(0, 2, 1, 3)
        np.testing.assert_allclose(kept["decoder.cross_attention.1"], crossed, rtol=0, atol=1e-13)
