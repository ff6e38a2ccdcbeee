"""GluonNLP 1.0: the checkpoints of the corpus, in MXNet 2's archives and in list files, there and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from headers import header_of

import bort_convert
from bort_convert import convert, export
from bort_convert.cli import main
from bort_convert.dtypes import TensorSpec
from bort_convert.errors import MappingError, OptionError, VariantError
from bort_convert.models.registry import families, fit_source
from bort_convert.params import open_params, save_params

if TYPE_CHECKING:
    from bort_convert.dtypes import Array

pytestmark = pytest.mark.shared
CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "gluonnlp1"

FAMILIES = {"bert": "bert-1.0", "gpt2": "gpt2-1.0", "roberta": "roberta-1.0", "xlmr": "xlm-roberta"}
"""Name of a family in the corpus -> its name here, where that is another."""
KNOWN = {"albert", "bert", "electra", "mobilebert", "roberta", "xlmr", "gpt2", "bart", "t5", "mt5"}
REFUSED = {
    "bert_qa_conditional": "question answering with a conditional end: an answer's end depends on its start",
    "electra_classifier": "classifier: its one output layer reads the first token",
}
"""Checkpoint without a target class -> the reason."""
ALL = sorted(path.relative_to(CORPUS) for path in CORPUS.rglob("*.params") if path.name.partition("_")[0] in KNOWN)
EVERY = pytest.mark.parametrize(
    "name", [path for path in ALL if path.stem[:-2] not in REFUSED], ids=lambda path: str(path).replace(".params", "")
)
MASKED_LM = ("backbone_model.word_embed.weight", "mlm_decoder.3.weight")
TIED = {
    "albert_mlm": MASKED_LM,
    "bert_mlm": MASKED_LM,
    "electra_gen": MASKED_LM,
    "mobilebert_mlm": (MASKED_LM[0], "embedding_table.weight"),
    "roberta_mlm": MASKED_LM,
    "xlmr_mlm": MASKED_LM,
    "gpt2_lm": ("_backbone_model._embed.weight", "_lm_head.weight"),
    "bart_lm": ("src_embed_layer.weight", "tgt_embed_layer.weight", "tgt_final_layer.weight"),
}
"""Checkpoint -> the names of its tied tensor, in the order of the model."""


@pytest.fixture
def corpus(shared: Path) -> Path:
    return shared / "corpus" / "gluonnlp1"


def choices_for(name: Path) -> dict[str, Any]:
    """What the corpus says beside the file."""
    family = name.name.partition("_")[0]
    return {"family": FAMILIES.get(family, family), "heads": 4, "layers": 3 if family == "albert" else None}


def arrays_of(path: Path) -> dict[str, Array]:
    with open_params(path) as params:
        return {name: array.copy() for name, array in params.items()}


def same(one: dict[str, Array], other: dict[str, Array]) -> bool:
    """True if two files have the same arrays, bit for bit."""
    return one.keys() == other.keys() and all(
        (one[name].dtype, one[name].shape, one[name].tobytes())
        == (other[name].dtype, other[name].shape, other[name].tobytes())
        for name in one
    )


@EVERY
def test_a_checkpoint_goes_there_and_back_bit_for_bit(corpus: Path, tmp_path: Path, name: Path) -> None:
    convert(corpus / name, tmp_path / "out", **choices_for(name))
    manifest = export(tmp_path / "out", tmp_path / "back.params")
    assert same(arrays_of(tmp_path / "back.params"), arrays_of(corpus / name))
    assert any(note.endswith("bit for bit") for note in manifest.notes)


@pytest.mark.torch
@EVERY
def test_plain_transformers_loads_every_key(corpus: Path, tmp_path: Path, name: Path) -> None:
    import transformers  # noqa: PLC0415 - heavy, and marked

    manifest = convert(corpus / name, tmp_path / "out", **choices_for(name))
    options = {"add_pooling_layer": False} if manifest.lacks_pooler else {}
    target_class = getattr(transformers, manifest.architecture)
    model, info = target_class.from_pretrained(tmp_path / "out", output_loading_info=True, **options)
    assert {kind: sorted(keys) for kind, keys in info.items() if keys} == {}
    assert model.config.model_type == families()[manifest.family].model_type


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_a_form_without_a_target_class_is_refused_with_the_reason(
    corpus: Path, tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(MappingError) as caught:
        convert(corpus / f"{name}_a.params", tmp_path / "out", heads=4)
    assert reason in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_rest_of_a_refused_form_is_converted_without_its_head(corpus: Path, tmp_path: Path) -> None:
    patterns = ["start_scores.*", "end_scores.*", "answerable_scores.*"]
    manifest = convert(corpus / "bert_qa_conditional_a.params", tmp_path / "out", heads=4, ignore=patterns)
    assert (manifest.family, manifest.architecture) == ("bert-1.0", "BertModel")


@pytest.mark.parametrize("name", TIED)
@pytest.mark.parametrize("kept", ["first", "last", "two", "all"])
def test_any_names_of_a_tied_tensor_will_do(corpus: Path, tmp_path: Path, name: str, kept: str) -> None:
    names = TIED[name]
    written = {"first": names[:1], "last": names[-1:], "two": names[-2:], "all": names}[kept]
    arrays = arrays_of(corpus / f"{name}_a.params")
    tensor = arrays.pop(names[-1])
    assert not {*arrays} & {*names}
    arrays |= dict.fromkeys(written, tensor)
    save_params(tmp_path / "source.params", arrays)
    manifest = convert(tmp_path / "source.params", tmp_path / "out", **choices_for(Path(f"{name}_a.params")))
    assert manifest.tied == dict.fromkeys(written[1:], written[0])
    export(tmp_path / "out", tmp_path / "back.params")
    assert same(arrays_of(tmp_path / "back.params"), arrays)


def test_tied_tensors_that_differ_are_refused(corpus: Path, tmp_path: Path) -> None:
    arrays = arrays_of(corpus / "bart_lm_a.params")
    for number, name in enumerate(TIED["bart_lm"]):
        arrays[name] = arrays["tgt_final_layer.weight"] + np.float32(number == 1)
    save_params(tmp_path / "source.params", arrays)
    with pytest.raises(MappingError, match=r"tgt_embed_layer\.weight: differs from src_embed_layer\.weight"):
        convert(tmp_path / "source.params", tmp_path / "out", family="bart", heads=4)


def test_the_queries_keys_and_values_are_the_thirds_of_the_fused_matrix(corpus: Path, tmp_path: Path) -> None:
    from bort_convert.safetensors import open_tensors  # noqa: PLC0415

    convert(corpus / "bert_backbone_a.params", tmp_path / "out", heads=4)
    whole = arrays_of(corpus / "bert_backbone_a.params")["encoder.all_layers.1.attn_qkv.weight"]  # (3 * 24, 24)
    with open_tensors(tmp_path / "out" / "model.safetensors") as tensors:
        for part, kind in enumerate(("query", "key", "value")):
            found = tensors[f"encoder.layer.1.attention.self.{kind}.weight"]
            assert np.array_equal(found, whole[24 * part : 24 * (part + 1)])


@pytest.mark.parametrize(
    ("name", "architecture", "head"),
    [
        ("bert_mlm_a.params", "BertForPreTraining", "cls.seq_relationship"),
        ("albert_mlm_a.params", "AlbertForPreTraining", "sop_classifier.classifier"),
    ],
)
def test_a_masked_language_model_without_a_sentence_head_gets_one_of_zeros(
    corpus: Path, tmp_path: Path, name: str, architecture: str, head: str
) -> None:
    manifest = convert(corpus / name, tmp_path / "out", **choices_for(Path(name)))
    assert manifest.architecture == architecture
    made = {name: entry.why for name, entry in manifest.tensors.items() if not entry.sources}
    assert set(made) == {f"{head}.weight", f"{head}.bias"}
    assert set(made.values()) == {"the masked-language model has a pooler and no sentence head"}


def test_a_gluonnlp_version_of_0_x_is_refused_and_1_0_is_not(corpus: Path) -> None:
    with open_params(corpus / "bert_backbone_a.params") as params:
        specs = dict(params.specs)
    with pytest.raises(OptionError) as caught:
        fit_source(specs, heads=4, gluonnlp_version="0.9.2")
    assert str(caught.value) == (
        "`gluonnlp_version='0.9.2'`: the names in the file are those of GluonNLP 1.0's BERT, which gluonnlp 1.0 alone "
        "has. Leave it out"
    )
    assert fit_source(specs, heads=4, gluonnlp_version="1.0").family.name == "bert-1.0"


def test_another_activation_is_that_of_the_head_too(corpus: Path) -> None:
    with open_params(corpus / "bert_mlm_a.params") as params:
        fit = fit_source(dict(params.specs), heads=4, hyperparameters={"activation": "relu"})
    assert fit.config["hidden_act"] == "relu"
    assert "head_hidden_act" not in fit.hyperparameters


def test_a_beta_of_t5_that_is_not_zero_is_refused(corpus: Path, tmp_path: Path) -> None:
    arrays = arrays_of(corpus / "t5_model_a.params")
    arrays["decoder.layers.1.ffn.layer_norm.beta"][3] = 1e-9
    save_params(tmp_path / "source.params", arrays)
    with pytest.raises(MappingError) as caught:
        convert(tmp_path / "source.params", tmp_path / "out")
    assert str(caught.value) == (
        "decoder.layers.1.ffn.layer_norm.beta: the tensor should be 0.0 throughout, and 1 of 24 values are not"
    )


def test_t5_shows_its_heads_and_their_size(corpus: Path) -> None:
    with open_params(corpus / "t5_model_a.params") as params:
        specs = dict(params.specs)
    fit = fit_source(specs)
    assert {name: fit.config[name] for name in ("num_heads", "d_kv", "num_layers", "num_decoder_layers")} == {
        "num_heads": 4,
        "d_kv": 6,
        "num_layers": 2,
        "num_decoder_layers": 2,
    }
    assert fit.config["scale_decoder_outputs"] is False
    for name in [name for name in specs if "_attn_" in name and "_norm" not in name]:
        shape = (26, 24) if name.endswith(("q.weight", "k.weight", "v.weight")) else (24, 26)
        specs[name] = TensorSpec(name, "float32", shape)
    with pytest.raises(MappingError, match=r"axis 'attention_heads\*head_dim' is 26, expected a multiple of 4"):
        fit_source(specs, family="t5")


def test_position_tables_of_two_lengths_are_refused_with_the_reason(corpus: Path, tmp_path: Path) -> None:
    arrays = arrays_of(corpus / "bart_lm_a.params")
    arrays["tgt_pos_embed_layer._embed.weight"] = arrays["tgt_pos_embed_layer._embed.weight"][:12]
    save_params(tmp_path / "source.params", arrays)
    with pytest.raises(MappingError) as caught:
        convert(tmp_path / "source.params", tmp_path / "out", heads=4)
    (line,) = caught.value.disagreements
    assert line.startswith("max_positions is 16, and max_target_positions is 12; expected one size: ")
    assert line.endswith("transformers has one length for source and target")


def test_the_last_of_the_stacked_feed_forward_layers_has_its_own_place(corpus: Path, tmp_path: Path) -> None:
    manifest = convert(corpus / "mobilebert_backbone_a.params", tmp_path / "out", heads=4)
    stacked = "encoder.all_layers.1.stacked_ffn"
    sources = {name: entry.sources for name, entry in manifest.tensors.items()}
    assert sources["encoder.layer.1.ffn.1.output.dense.bias"] == (f"{stacked}.1.ffn_2.bias",)
    assert sources["encoder.layer.1.output.dense.bias"] == (f"{stacked}.2.ffn_2.bias",)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["num_feedforward_networks"] == 3


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("bart_lm", {"decoder_start_token_id": 2, "forced_eos_token_id": 2}),
        ("t5_model", {"decoder_start_token_id": 0}),
    ],
)
def test_a_model_that_generates_has_the_token_that_starts_the_decoder(
    corpus: Path, tmp_path: Path, name: str, ids: dict[str, int]
) -> None:
    convert(corpus / f"{name}_a.params", tmp_path / "out", heads=4)
    for file in ("config.json", "generation_config.json"):
        assert json.loads((tmp_path / "out" / file).read_text()).items() >= ids.items()


@pytest.mark.torch
def test_the_logits_of_t5_are_not_scaled_in_any_release_of_transformers(corpus: Path, tmp_path: Path) -> None:
    import torch  # noqa: PLC0415 - heavy, and marked

    convert(corpus / "t5_model_a.params", tmp_path / "out")
    model = bort_convert.load_pretrained(tmp_path / "out")
    ids = torch.arange(2, 8)[None]
    with torch.no_grad():
        found = model(input_ids=ids, decoder_input_ids=ids, output_hidden_states=True)
        expected = found.decoder_hidden_states[-1] @ model.shared.weight.T
    assert torch.equal(found.logits, expected)
    assert float(found.logits.abs().max()) > 1


# The number of layers


def albert_specs(corpus: Path) -> dict[str, TensorSpec | None]:
    with open_params(corpus / "albert_backbone_a.params") as params:
        return dict(params.specs)


def test_the_layers_of_albert_have_to_be_given_and_the_message_asks_for_them(corpus: Path) -> None:
    with pytest.raises(VariantError) as caught:
        fit_source(albert_specs(corpus), heads=4)
    assert caught.value.missing == ("layers",)
    assert str(caught.value).endswith("layers cannot be read from shapes. Pass `layers=N`")
    for given in ({"layers": 3}, {"hyperparameters": {"layers": 3}}):
        fit = fit_source(albert_specs(corpus), heads=4, **given)  # type: ignore[arg-type]
        assert fit.plan.dims["layers"] == fit.config["num_hidden_layers"] == 3
        assert "layers" not in fit.hyperparameters


@pytest.mark.parametrize(
    ("layers", "problem"),
    [(0, "expected a multiple of groups=1"), (True, "expected a whole number"), ("3", "expected a whole number")],
)
def test_a_wrong_number_of_layers_is_refused(corpus: Path, layers: Any, problem: str) -> None:  # noqa: ANN401
    with pytest.raises(OptionError) as caught:
        fit_source(albert_specs(corpus), heads=4, layers=layers)
    assert (caught.value.option, caught.value.problem) == ("layers", problem)


def test_layers_that_the_names_contradict_are_refused(corpus: Path) -> None:
    with open_params(corpus / "bert_backbone_a.params") as params:
        specs = dict(params.specs)
    assert fit_source(specs, heads=4, layers=3).plan.dims["layers"] == 3
    with pytest.raises(OptionError) as caught:
        fit_source(specs, heads=4, layers=4)
    assert str(caught.value) == "`layers=4`: names and shapes are those of 3 layers. Leave `layers` out"


def test_the_layers_of_a_published_albert_are_known_and_no_others_will_do() -> None:
    family = families()["albert"]
    sizes = {**family.variants[0].dims, "vocab_size": 30000, "type_vocab_size": 2, "labels": 3}
    header = header_of(family.tables[0].rows, sizes)
    assert fit_source(header).plan.dims["layers"] == 12
    with pytest.raises(OptionError) as caught:
        fit_source(header, layers=24)
    assert str(caught.value) == "`layers=24`: google_albert_base_v2 has 12 layers. Leave `layers` out"


def test_the_layers_stand_in_the_manifest_and_the_config_and_export_reads_them(corpus: Path, tmp_path: Path) -> None:
    source = corpus / "albert_pretrain_a.params"
    manifest = convert(source, tmp_path / "out", heads=4, layers=3)
    assert (manifest.dims["layers"], manifest.options["layers"]) == (3, 3)
    (tmp_path / "out" / "conversion.json").unlink()
    assert export(tmp_path / "out", tmp_path / "back.params").dims["layers"] == 3
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    for wrong in (0, "3", None):
        (tmp_path / "out" / "config.json").write_text(json.dumps({**config, "num_hidden_layers": wrong}))
        with pytest.raises(MappingError, match=r"num_hidden_layers is .*, expected a multiple of groups=1"):
            export(tmp_path / "out", tmp_path / "again.params")


def test_the_command_line_takes_the_layers(corpus: Path, tmp_path: Path) -> None:
    arguments = [str(corpus / "albert_qa_a.params"), str(tmp_path / "out"), "--heads", "4"]
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == VariantError.exit_code
    assert "layers cannot be read from shapes. Pass --layers N" in refused.stderr
    shown = CliRunner().invoke(main, [*arguments, "--layers", "3"]).stdout
    assert "  3 layers: as you said; nothing in the file can tell\n" in shown


def test_record_asks_for_the_layers_as_a_hyperparameter(corpus: Path, tmp_path: Path) -> None:
    arguments = ["record", str(corpus / "albert_qa_a.params"), str(tmp_path / "ref"), "--heads", "4"]
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == VariantError.exit_code
    assert "Pass their number, such as --set layers=12" in refused.stderr
