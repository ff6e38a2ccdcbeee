from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bort_convert.errors import FormatError, OptionError, OutputError
from bort_convert.safetensors import open_tensors, save_tensors
from bort_convert.verification.trace import (
    Trace,
    bare,
    dtypes_of,
    layers_of,
    output_order,
    output_shape,
    pick,
    sampled,
    stack_of,
    stacks_of,
    valid_positions,
)
from bort_convert.verification.trace_file import load_trace, save_trace

if TYPE_CHECKING:
    from pathlib import Path

BATCH, LENGTH, HIDDEN, VOCAB, MASKED, HEADS = 2, 4, 3, 7, 2, 1


def a_trace() -> Trace:
    rng = np.random.default_rng(0)
    shapes = {
        "embeddings": (BATCH, LENGTH, HIDDEN),
        "attention.0": (BATCH, LENGTH, HEADS, LENGTH),
        "layer.0": (BATCH, LENGTH, HIDDEN),
        "layer.1": (BATCH, LENGTH, HIDDEN),
        "mlm_logits": (BATCH, MASKED, VOCAB),
    }
    return Trace(
        {
            "input_ids": rng.integers(0, VOCAB, (BATCH, LENGTH)),
            "valid_length": np.array([LENGTH, 2]),
            "masked_positions": np.array([[0, 3], [0, 1]]),
        },
        {
            dtype: {name: rng.random(shape).astype(dtype) for name, shape in shapes.items()}
            for dtype in ("float32", "float64")
        },
        {
            "source": "x.params",
            "sha256": "00",
            "family": "bort",
            "architecture": "BertForMaskedLM",
            "dims": json.dumps({"vocab_size": VOCAB, "max_positions": LENGTH, "hidden_size": HIDDEN, "layers": 2}),
            "hyperparameters": json.dumps({"attention_heads": HEADS}),
            "config": json.dumps({"vocab_size": VOCAB}),
        },
    )


def equal(one: Trace, other: Trace) -> bool:
    pairs = [(one.inputs, other.inputs), *((one.outputs[dtype], other.outputs[dtype]) for dtype in one.outputs)]
    same = all(list(a) == list(b) and all(np.array_equal(a[name], b[name]) for name in a) for a, b in pairs[1:])
    return same and set(one.inputs) == set(other.inputs) and one.provenance == other.provenance


def test_a_trace_comes_back_as_it_was(tmp_path: Path) -> None:
    save_trace(tmp_path / "t", a_trace())
    assert equal(a_trace(), load_trace(tmp_path / "t"))


def test_a_trace_of_a_model_with_segments_comes_back_as_it_was(tmp_path: Path) -> None:
    trace = a_trace()
    heads = {"pooled": np.ones((BATCH, HIDDEN)), "next_sentence": np.ones((BATCH, 2))}
    heads["span_logits"] = np.ones((BATCH, LENGTH, 2))
    dims = json.dumps({**trace.dims, "type_vocab_size": 2})
    trace = Trace(
        {**trace.inputs, "token_types": np.array([[0, 1, 1, 0], [1, 0, 0, 0]])},
        {"float64": {"embeddings": trace.outputs["float64"]["embeddings"], **heads}},
        {**trace.provenance, "dims": dims},
    )
    save_trace(tmp_path / "t", trace)
    assert equal(trace, load_trace(tmp_path / "t"))
    small = sampled(trace, sample=3)
    shapes = {name: array.shape for name, array in small.outputs["float64"].items()}
    assert shapes == {"embeddings": (3, HIDDEN), "pooled": (2, HIDDEN), "next_sentence": (2, 2), "span_logits": (3, 2)}
    save_trace(tmp_path / "s", small)
    assert equal(small, load_trace(tmp_path / "s"))


def as_version_1(provenance: dict[str, str]) -> dict[str, str]:
    """The provenance as bort_convert 0.1 wrote it."""
    old = {key: text for key, text in provenance.items() if key != "hyperparameters"}
    dims = {"vocab": VOCAB, "positions": LENGTH, "units": HIDDEN, "layers": 2}
    return old | {"dims": json.dumps(dims), "facts": json.dumps({"heads": HEADS}), "bort_convert_trace": "1"}


def test_a_trace_of_version_1_is_read_with_the_names_of_today(tmp_path: Path) -> None:
    trace = a_trace()
    save_tensors(tmp_path / "t", tensors(), as_version_1(dict(trace.provenance)))
    found = load_trace(tmp_path / "t")
    assert (found.dims, found.hyperparameters) == (trace.dims, trace.hyperparameters)
    assert "facts" not in found.provenance
    assert found.attention_heads == HEADS


def test_a_trace_is_written_as_version_2(tmp_path: Path) -> None:
    save_trace(tmp_path / "t", a_trace())
    with open_tensors(tmp_path / "t") as file:
        assert file.metadata["bort_convert_trace"] == "2"
        assert json.loads(file.metadata["hyperparameters"]) == {"attention_heads": HEADS}


@pytest.mark.parametrize(
    ("key", "text"), [("dims", "{"), ("dims", "7"), ("facts", "[]x"), ("facts", None), ("dims", "[" * 100_000)]
)
def test_a_wrong_trace_of_version_1_is_refused(tmp_path: Path, key: str, text: str | None) -> None:
    old = as_version_1(dict(a_trace().provenance)) | {key: text}
    save_tensors(tmp_path / "t", tensors(), {name: value for name, value in old.items() if value is not None})
    with pytest.raises(FormatError, match="the provenance has no dims, hyperparameters and config as JSON objects"):
        load_trace(tmp_path / "t")


def test_the_same_trace_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        save_trace(tmp_path / name, a_trace())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_outputs_come_in_the_order_of_a_forward_pass() -> None:
    names = ["logits", "layer.10", "layer.2", "attention.2", "embeddings", "mlm_logits", "attention.10"]
    expected = ["embeddings", "attention.2", "layer.2", "attention.10", "layer.10", "logits", "mlm_logits"]
    assert sorted(names, key=output_order) == expected
    assert sorted(["logits", "final_norm", "layer.11"], key=output_order) == ["layer.11", "final_norm", "logits"]


def test_valid_positions_are_those_before_the_length() -> None:
    assert valid_positions(a_trace().inputs).tolist() == [[0, 0], [0, 1], [0, 2], [0, 3], [1, 0], [1, 1]]


def test_a_sample_keeps_valid_positions_and_heads(tmp_path: Path) -> None:
    whole = a_trace()
    small = sampled(whole, layers=(1,), sample=3, seed=5)
    positions = small.inputs["positions"]
    assert positions.shape == (3, 2)
    assert all(pair in valid_positions(whole.inputs).tolist() for pair in positions.tolist())
    assert list(small.outputs["float64"]) == ["embeddings", "layer.1", "mlm_logits"]
    assert small.outputs["float64"]["layer.1"].shape == (3, HIDDEN)
    assert np.array_equal(
        small.outputs["float32"]["layer.1"], pick("layer.1", whole.outputs["float32"]["layer.1"], positions)
    )
    assert np.array_equal(small.outputs["float64"]["mlm_logits"], whole.outputs["float64"]["mlm_logits"])
    save_trace(tmp_path / "t", small)
    assert equal(small, load_trace(tmp_path / "t"))
    assert np.array_equal(positions, sampled(whole, sample=3, seed=5).inputs["positions"])
    by_default, first, second = sampled(whole, sample=3), *(sampled(whole, sample=3, seed=seed) for seed in (0, 1))
    assert np.array_equal(by_default.inputs["positions"], first.inputs["positions"])
    assert not np.array_equal(by_default.inputs["positions"], second.inputs["positions"])


def test_a_sample_larger_than_the_batch_is_all_of_it() -> None:
    assert len(sampled(a_trace(), sample=99).inputs["positions"]) == 6


def test_a_trace_replaces_nothing(tmp_path: Path) -> None:
    save_trace(tmp_path / "t", a_trace())
    with pytest.raises((OutputError, FileExistsError)):
        save_trace(tmp_path / "t", a_trace())


def tensors() -> dict[str, np.ndarray]:
    trace = a_trace()
    named = {f"inputs/{name}": array for name, array in trace.inputs.items()}
    return named | {
        f"{dtype}/{name}": array for dtype, arrays in trace.outputs.items() for name, array in arrays.items()
    }


def metadata() -> dict[str, str]:
    return {"bort_convert_trace": "2", **a_trace().provenance}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"inputs/input_ids": None}, "inputs/input_ids is missing"),
        ({"inputs/valid_length": None}, "inputs/valid_length is missing"),
        (
            {"inputs/input_ids": np.zeros((2, 4), np.int32)},
            "inputs/input_ids is int32 with 2 axes, expected int64 with 2",
        ),
        ({"inputs/input_ids": np.zeros((2, 5), np.int64)}, "rows of 5, the model has 4 positions"),
        (
            {"inputs/input_ids": np.full((2, 4), 7)},
            "inputs/input_ids holds 7, outside the range that the vocabulary allows",
        ),
        ({"inputs/input_ids": np.full((2, 4), -1)}, "inputs/input_ids holds -1"),
        (
            {"inputs/valid_length": np.array([5, 1])},
            "inputs/valid_length holds 5, outside the range that the rows allows",
        ),
        ({"inputs/valid_length": np.array([0, 1])}, "inputs/valid_length holds 0"),
        (
            {"inputs/valid_length": np.array([1, 1, 1])},
            "inputs/valid_length has shape (3,), expected (2,) from input_ids",
        ),
        ({"inputs/token_types": np.zeros((2, 3), np.int64)}, "inputs/token_types has shape (2, 3), expected (2, 4)"),
        (
            {"inputs/token_types": np.ones((2, 4), np.int64)},
            "inputs/token_types holds 1, outside the range that the model allows",
        ),
        ({"inputs/masked_positions": np.array([[0, 3], [0, 2]])}, "inputs/masked_positions holds 2"),
        ({"inputs/masked_positions": None}, "mlm_logits is float32 (2, 2, 7), expected float32 (2, 0, 7)"),
        ({"inputs/positions": np.array([[0, 9]])}, "inputs/positions holds 9"),
        ({"inputs/positions": np.array([[3, 0]])}, "inputs/positions holds 3, outside the range that the batch allows"),
        ({"inputs/positions": np.array([[0, 0, 0]])}, "inputs/positions has shape (1, 3)"),
        ({"inputs/more": np.zeros(1, np.int64)}, "'inputs/more' is no part of a trace"),
        ({"float16/layer.0": np.zeros(1, np.float16)}, "'float16/layer.0' is no part of a trace"),
        ({"float32/layer.x": np.zeros(1, np.float32)}, "'float32/layer.x' is no part of a trace"),
        (
            {"float64/layer.0": np.zeros((2, 4, 3), np.float32)},
            "float64/layer.0 is float32 (2, 4, 3), expected float64",
        ),
        ({"float64/layer.0": np.zeros((2, 4, 4))}, "float64/layer.0 is float64 (2, 4, 4), expected float64 (2, 4, 3)"),
        ({"float64/logits": np.zeros((2, 4))}, "float64/logits is float64 (2, 4), expected float64 (2, 0)"),
        ({"float64/pooled": np.zeros((2, 4))}, "float64/pooled is float64 (2, 4), expected float64 (2, 3)"),
        ({"float64/next_sentence": np.zeros((2, 3))}, "next_sentence is float64 (2, 3), expected float64 (2, 2)"),
        ({"float64/span_logits": np.zeros((2, 2))}, "span_logits is float64 (2, 2), expected float64 (2, 4, 2)"),
        ({"float64/tag_logits": np.zeros((2, 4, 2))}, "tag_logits is float64 (2, 4, 2), expected float64 (2, 4, 0)"),
        ({"float64/replaced_logits": np.zeros((2, 3))}, "replaced_logits is float64 (2, 3), expected float64 (2, 4)"),
        ({"float64/sentence_order": np.zeros((2, 3))}, "sentence_order is float64 (2, 3), expected float64 (2, 2)"),
        ({"float64/no_answer": np.zeros((2, 2))}, "no_answer is float64 (2, 2), expected float64 (2, 1)"),
    ],
)
def test_a_file_that_is_no_trace_is_refused(
    tmp_path: Path, changed: dict[str, np.ndarray | None], message: str
) -> None:
    named = {name: array for name, array in {**tensors(), **changed}.items() if array is not None}
    save_tensors(tmp_path / "t", named, metadata())
    with pytest.raises(FormatError) as caught:
        load_trace(tmp_path / "t")
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 't'}: ")


def test_a_model_may_have_no_positions_and_an_axis_of_heads(tmp_path: Path) -> None:
    dims = {"vocab_size": VOCAB, "hidden_size": HIDDEN, "layers": 2, "attention_heads": HEADS}
    save_tensors(tmp_path / "t", tensors(), metadata() | {"dims": json.dumps(dims), "hyperparameters": "{}"})
    assert load_trace(tmp_path / "t").dims == dims


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"bort_convert_trace": "3"}, "has no bort_convert_trace 1 or 2: not a trace of a known version"),
        ({"bort_convert_trace": None}, "has no bort_convert_trace 1 or 2"),
        ({"source": None}, "the provenance has no source"),
        ({"dims": "{"}, "the provenance has no dims, hyperparameters and config as JSON objects"),
        ({"dims": "7"}, "the provenance has no dims, hyperparameters and config as JSON objects"),
        (
            {"hyperparameters": None},
            "the provenance has no dims, hyperparameters and config as JSON objects: KeyError('hyperparameters')",
        ),
        (
            {"dims": '{"vocab_size": 7, "max_positions": 4, "hidden_size": 3}'},
            "layers is None; expected a natural number",
        ),
        ({"dims": '{"vocab_size": 7, "max_positions": 4, "hidden_size": true, "layers": 2}'}, "hidden_size is True"),
        ({"hyperparameters": '{"attention_heads": "x"}'}, "attention_heads is 'x'; expected a natural number"),
    ],
)
def test_a_wrong_provenance_is_refused(tmp_path: Path, changed: dict[str, str | None], message: str) -> None:
    known = {name: text for name, text in {**metadata(), **changed}.items() if text is not None}
    save_tensors(tmp_path / "t", tensors(), known)
    with pytest.raises(FormatError) as caught:
        load_trace(tmp_path / "t")
    assert message in str(caught.value)


def test_a_trace_without_outputs_is_refused(tmp_path: Path) -> None:
    named = {name: array for name, array in tensors().items() if name.startswith("inputs/")}
    save_tensors(tmp_path / "t", named, metadata())
    with pytest.raises(FormatError, match="there are no outputs"):
        load_trace(tmp_path / "t")


def test_every_trace_cut_short_is_refused(tmp_path: Path) -> None:
    save_trace(tmp_path / "t", a_trace())
    content = (tmp_path / "t").read_bytes()
    for size in (0, 4, 8, 100, len(content) - 1):
        (tmp_path / "cut").write_bytes(content[:size])
        with pytest.raises(FormatError):
            load_trace(tmp_path / "cut")


TWO_STACKS = {
    "input_ids": np.zeros((2, 5), np.int64),
    "valid_length": np.array([5, 2]),
    "decoder_input_ids": np.zeros((2, 3), np.int64),
    "decoder_valid_length": np.array([1, 3]),
}


def test_outputs_of_two_stacks_stand_for_the_tokens_of_their_own_stack() -> None:
    dims = {"hidden_size": 4, "vocab_size": 9, "layers": 6, "decoder_layers": 2}
    expected = {
        "encoder.embeddings": (2, 5, 4),
        "encoder.attention.0": (2, 5, 1, 5),
        "encoder.layer.5": (2, 5, 4),
        "decoder.attention.0": (2, 3, 1, 3),
        "decoder.cross_attention.0": (2, 3, 1, 5),
        "decoder.layer.1": (2, 3, 4),
    }
    assert {name: output_shape(name, TWO_STACKS, dims, 1) for name in expected} == expected
    assert [stack_of(name, TWO_STACKS) for name in expected] == ["encoder."] * 3 + ["decoder."] * 3
    some = TWO_STACKS | {"positions": np.zeros((6, 2), np.int64), "decoder_positions": np.zeros((1, 2), np.int64)}
    for name, rows in (("encoder.layer.5", 6), ("decoder.layer.1", 1)):
        assert output_shape(name, some, dims, 1) == (rows, 4)
    assert stacks_of(TWO_STACKS) == ("encoder.", "decoder.")
    assert [layers_of(stack, dims) for stack in stacks_of(TWO_STACKS)] == [6, 2]
    assert layers_of("decoder.", {"layers": 6}) == 6
    assert [bare(name) for name in expected][1::2] == ["attention.0", "attention.0", "layer.1"]


def test_outputs_of_one_stack_have_no_stack_in_front() -> None:
    inputs = a_trace().inputs
    assert (stacks_of(inputs), stack_of("layer.0", inputs)) == (("",), "")
    assert layers_of("", {"layers": 6, "decoder_layers": 2}) == 6


def test_a_sample_has_positions_of_each_stack_and_outputs_at_them() -> None:
    outputs = {
        "encoder.layer.0": np.arange(2.0 * 5 * 4).reshape(2, 5, 4),
        "decoder.layer.0": np.arange(2.0 * 3 * 4).reshape(2, 3, 4),
    }
    some = sampled(Trace(TWO_STACKS, {"float64": outputs}, {}), sample=99)
    found = {stack: [tuple(pair) for pair in valid_positions(some.inputs, stack)] for stack in stacks_of(TWO_STACKS)}
    assert found["encoder."] == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1)]
    assert found["decoder."] == [(0, 0), (1, 0), (1, 1), (1, 2)]
    assert {*some.inputs} - {*TWO_STACKS} == {"positions", "decoder_positions"}
    for name, array in some.outputs["float64"].items():
        pairs = found[stack_of(name, TWO_STACKS)]
        assert array.tolist() == [outputs[name][pair].tolist() for pair in pairs]
    one = sampled(Trace(TWO_STACKS, {"float64": outputs}, {}), sample=3)
    assert [array.shape for array in one.outputs["float64"].values()] == [(3, 4), (3, 4)]
    assert len({tuple(pair) for pair in one.inputs["decoder_positions"]}) == 3
    none = sampled(Trace(TWO_STACKS, {"float64": outputs}, {}), sample=0)
    assert [array.shape for array in none.outputs["float64"].values()] == [(0, 4), (0, 4)]
    assert {*sampled(Trace(TWO_STACKS, {"float64": outputs}, {}), layers=(0,)).inputs} == {*TWO_STACKS}


def test_heads_have_as_many_columns_as_labels() -> None:
    inputs, dims = a_trace().inputs, {"hidden_size": HIDDEN, "vocab_size": VOCAB, "layers": 2, "labels": 5}
    assert output_shape("logits", inputs, dims, HEADS) == (BATCH, 5)
    assert output_shape("tag_logits", inputs, dims, HEADS) == (BATCH, LENGTH, 5)


def test_cotangents_are_the_inputs_of_that_name() -> None:
    weights = np.ones((BATCH, LENGTH, HIDDEN))
    trace = Trace({**a_trace().inputs, "cotangents/layer.0": weights}, {}, {})
    assert list(trace.cotangents) == ["layer.0"]
    assert trace.cotangents["layer.0"] is weights


def test_a_precision_is_one_of_two_or_both() -> None:
    assert [dtypes_of(dtype) for dtype in ("float32", "float64", "both")] == [
        ("float32",),
        ("float64",),
        ("float32", "float64"),
    ]
    with pytest.raises(OptionError) as caught:
        dtypes_of("float16")
    assert str(caught.value) == "`dtype='float16'`: expected float32, float64, both"
