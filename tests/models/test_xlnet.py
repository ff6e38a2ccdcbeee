"""XLNet: attention heads from a shape, a computed constant, relative positions, and both ways through transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from headers import Header, header_of, reshaped, without

from bort_convert import convert, export, inspect, load_pretrained, open_params, save_params, verify
from bort_convert.errors import MappingError, OptionError
from bort_convert.mapping.fit import fit
from bort_convert.models import xlnet
from bort_convert.models.registry import families
from bort_convert.safetensors import open_tensors

if TYPE_CHECKING:
    from bort_convert.dtypes import Array

FIXTURES = Path(__file__).parents[2] / "fixtures"
SOURCE, TINY = FIXTURES / "xlnet_2_2_8_8.params", FIXTURES / "xlnet_tiny.params"
FREQUENCIES, MASK = "_net.pos_embed.inv_freq", "transformer.mask_emb"
CELL = "_net.transformer_cells.0.attention_cell"
DIMS = {
    "vocab_size": 32000,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "layers": 12,
    "attention_heads": 12,
    "head_dim": 64,
    "type_vocab_size": 2,
}
LARGE = DIMS | {"hidden_size": 1024, "intermediate_size": 4096, "layers": 24, "attention_heads": 16}


def checkpoint(**dims: int) -> Header:
    return header_of(xlnet.FAMILY.tables[0].rows, DIMS | dims)


def with_frequencies(path: Path, values: Array) -> Path:
    """The small checkpoint with other frequencies."""
    with open_params(SOURCE) as params:
        save_params(path, {**{name: np.array(array) for name, array in params.items()}, FREQUENCIES: values})
    return path


def frequencies() -> Array:
    with open_params(SOURCE) as params:
        return np.array(params[FREQUENCIES])


def tensors_of(folder: Path) -> dict[str, Array]:
    with open_tensors(folder / "model.safetensors") as file:
        return {name: np.array(array) for name, array in file.items()}


def test_the_config_of_xlnet_base_is_the_published_one() -> None:
    found = fit(checkpoint(), families().values())
    assert (found.variant, found.family.name) == ("xlnet_cased_l12_h768_a12", "xlnet")
    # xlnet/xlnet-base-cased on the Hub, less the keys that have transformers' own defaults.
    assert found.config == {
        "architectures": ["XLNetLMHeadModel"],
        "model_type": "xlnet",
        "vocab_size": 32000,
        "d_model": 768,
        "n_layer": 12,
        "n_head": 12,
        "d_head": 64,
        "d_inner": 3072,
        "ff_activation": "gelu",
        "layer_norm_eps": 1e-12,
        "attn_type": "bi",
        "bi_data": False,
        "clamp_len": -1,
        "dropout": 0.1,
        "initializer_range": 0.02,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 5,
        "tie_word_embeddings": True,
    }


def test_the_large_one_and_unpublished_sizes_have_the_approximate_gelu() -> None:
    large = fit(checkpoint(**LARGE), families().values())
    assert (large.variant, large.config["ff_activation"]) == ("xlnet_cased_l24_h1024_a16", "gelu_new")
    assert fit(checkpoint(layers=3), families().values()).config["ff_activation"] == "gelu_new"


def test_the_shapes_show_the_attention_heads() -> None:
    found = fit(checkpoint(layers=2), families().values())
    assert (found.plan.dims["attention_heads"], found.config["n_head"]) == (12, 12)
    assert "attention_heads" not in found.hyperparameters
    assert fit(checkpoint(layers=2), families().values(), heads=12).hyperparameters == found.hyperparameters
    with pytest.raises(OptionError, match=r"names and shapes are those of 12 attention heads\. Leave `heads` out"):
        fit(checkpoint(layers=2), families().values(), heads=6)


def test_heads_times_head_dim_must_be_the_hidden_size() -> None:
    header = {name: spec for name, spec in checkpoint(layers=1).items() if spec}
    for name in ("query_key_bias", "query_emb_bias", "query_seg_bias"):
        header |= reshaped(header, f"{CELL}.{name}", (12, 32))
    header |= reshaped(header, f"{CELL}.seg_emb", (2, 12, 32))
    with pytest.raises(MappingError) as caught:
        fit(header, [xlnet.FAMILY])
    assert len(caught.value.disagreements) == 5
    assert f"{CELL}.proj_query.weight: an axis of 768 cannot be cut into 12 x 32, expected 384" in str(caught.value)


def test_a_file_without_mask_embedding_gets_one_of_zeros(tmp_path: Path) -> None:
    found = fit(without(checkpoint(), "_net.mask_embed"), families().values())
    assert found.table.title == "language model, no mask"
    convert(FIXTURES / "xlnet_2_2_8_8-unmasked.params", tmp_path / "out")
    assert not tensors_of(tmp_path / "out")[MASK].any()


def test_matrices_get_an_axis_of_heads_and_all_but_the_output_are_transposed(tmp_path: Path) -> None:
    convert(TINY, tmp_path / "out")
    written = tensors_of(tmp_path / "out")
    with open_params(TINY) as params:
        query, output = params[f"{CELL}.proj_query.weight"], params["_net.transformer_cells.0.proj.weight"]
        assert np.array_equal(written["transformer.layer.0.rel_attn.q"], query.T.reshape(12, 2, 6))
        assert np.array_equal(written["transformer.layer.0.rel_attn.o"], output.reshape(12, 2, 6))


def test_the_frequencies_are_left_out_with_a_reason(tmp_path: Path) -> None:
    assert convert(SOURCE, tmp_path / "out").left_out == {FREQUENCIES: "it is computed"}
    fitted = inspect(SOURCE).fit
    assert fitted is not None
    assert [step.sources for step in fitted.plan.steps if not step.targets] == [(FREQUENCIES,)]


def test_other_frequencies_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    source = with_frequencies(tmp_path / "other.params", frequencies() * np.float32(1.001))
    with pytest.raises(MappingError, match=r"^_net\.pos_embed\.inv_freq: it holds 1\.00\d+ at 0, expected 1, "):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.mxnet
@pytest.mark.torch
def test_frequencies_of_another_mathematics_library_are_accepted(tmp_path: Path) -> None:
    nearly = np.nextafter(frequencies(), np.float32(2))
    source = with_frequencies(tmp_path / "nearly.params", nearly)
    convert(source, tmp_path / "out")
    report = verify(source, tmp_path / "out")
    assert report, report.headline


@pytest.mark.mxnet
@pytest.mark.torch
def test_the_bits_check_finds_other_frequencies(tmp_path: Path) -> None:
    convert(SOURCE, tmp_path / "out")
    report = verify(with_frequencies(tmp_path / "other.params", frequencies() * 2), tmp_path / "out", dtype="float64")
    assert report.checks[1].detail.startswith(f"{FREQUENCIES}: it holds 2 at 0, expected 1, ")
    assert not report.checks[1].passed


@pytest.mark.mxnet
@pytest.mark.torch
@pytest.mark.parametrize("source", [SOURCE, TINY], ids=lambda path: path.stem)
def test_attention_probabilities_agree_too_and_the_float32_sinusoids_are_measured(source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "out")
    report = verify(source, tmp_path / "out", attentions=True)
    assert report, report.headline
    assert {"attention.0", "layer.0", "lm_logits"} <= {layer.name for run in report.runs for layer in run.layers}
    assert "torch is given sinusoids in float64; the stock class makes float32 ones" in report.notes[-1]
    assert 1e-9 < float(report.notes[-1].rpartition(" ")[2]) < 1e-5


@pytest.mark.torch
@pytest.mark.parametrize("name", ["AutoModelForCausalLM", "XLNetLMHeadModel"])
def test_stock_transformers_loads_it_with_nothing_missing(name: str, tmp_path: Path) -> None:
    import torch  # noqa: PLC0415 - heavy, and marked
    import transformers  # noqa: PLC0415

    convert(SOURCE, tmp_path / "out")
    model, info = getattr(transformers, name).from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert type(model).__name__ == "XLNetLMHeadModel"
    ids, types = torch.tensor([[3, 5, 7, 9]]), torch.tensor([[0, 0, 1, 1]])
    mask = torch.tensor([[1, 1, 1, 0]])
    with torch.no_grad():
        padded = model.eval()(ids, token_type_ids=types, attention_mask=mask).logits[:, :3]
        short = model(ids[:, :3], token_type_ids=types[:, :3]).logits
    assert torch.allclose(padded, short, atol=1e-5)
    assert type(load_pretrained(tmp_path / "out")).__name__ == "XLNetLMHeadModel"


@pytest.mark.torch
def test_a_backbone_alone_is_loaded_as_one(tmp_path: Path) -> None:
    convert(FIXTURES / "xlnet_2_2_8_8-encoder.params", tmp_path / "out")
    assert type(load_pretrained(tmp_path / "out")).__name__ == "XLNetModel"


def foreign_model(folder: Path, **options: Any) -> Path:  # noqa: ANN401 - as transformers takes them
    """Save an XLNet that transformers made: random values, biases and norms too."""
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    sizes = {"vocab_size": 30, "d_model": 12, "n_layer": 2, "n_head": 3, "d_inner": 20}
    config = transformers.XLNetConfig(**{**sizes, "ff_activation": "gelu_new", **options})
    torch.manual_seed(2)
    model = transformers.XLNetLMHeadModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    model.save_pretrained(folder)
    return folder


@pytest.mark.mxnet
@pytest.mark.torch
def test_a_model_that_transformers_made_is_exported_and_runs_in_mxnet(tmp_path: Path) -> None:
    folder = foreign_model(tmp_path / "theirs")
    manifest = export(folder, tmp_path / "back.params")
    assert FREQUENCIES in manifest.tensors
    assert manifest.table == "language model"  # which takes every tensor; the form without a mask would lose one
    convert(tmp_path / "back.params", tmp_path / "again")
    expected, found = tensors_of(folder), tensors_of(tmp_path / "again")
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    report = verify(tmp_path / "back.params", tmp_path / "again")
    assert report, report.headline


@pytest.mark.torch
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ff_activation": "gelu"}, "ff_activation is 'gelu', expected 'gelu_new' by GluonNLP's XLNet"),
        ({"attn_type": "uni"}, "attn_type is 'uni', expected 'bi': GluonNLP has no such model"),
        ({"bi_data": True}, "bi_data is True, expected False: GluonNLP has no such model"),
        ({"clamp_len": 4}, "clamp_len is 4, expected -1: GluonNLP has no such model"),
    ],
)
def test_a_config_that_gluonnlp_has_no_model_for_is_not_exported(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(MappingError) as caught:
        export(foreign_model(tmp_path / "theirs", **options), tmp_path / "back.params")
    assert message in str(caught.value)


def test_a_config_with_other_heads_than_the_shapes_is_not_exported(tmp_path: Path) -> None:
    convert(SOURCE, tmp_path / "out")
    (tmp_path / "out" / "conversion.json").unlink()
    path = tmp_path / "out" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"n_head": 4}), "utf-8")
    with pytest.raises(MappingError, match="n_head is 4, expected 2 by the tensors"):
        export(tmp_path / "out", tmp_path / "back.params")
