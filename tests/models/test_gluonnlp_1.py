"""GluonNLP 1.0: the checkpoints of the corpus, in MXNet 2's archives and in list files, there and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bort_convert import convert, export
from bort_convert.errors import MappingError, OptionError
from bort_convert.models.registry import families, fit_source
from bort_convert.params import open_params, save_params

if TYPE_CHECKING:
    from bort_convert.dtypes import Array

pytestmark = pytest.mark.shared
CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "gluonnlp1"

FAMILIES = {"bert": "bert-1.0", "gpt2": "gpt2-1.0", "roberta": "roberta-1.0", "xlmr": "xlm-roberta"}
"""Name of a family in the corpus -> its name here, where that is another."""
KNOWN = {"bert", "electra", "roberta", "xlmr", "gpt2"}
REFUSED = {
    "bert_qa_conditional": "question answering with a conditional end: an answer's end depends on its start",
    "electra_classifier": "classifier: its one output layer reads the first token",
}
"""Checkpoint without a target class -> the reason."""
ALL = sorted(path.relative_to(CORPUS) for path in CORPUS.rglob("*.params") if path.name.partition("_")[0] in KNOWN)
EVERY = pytest.mark.parametrize(
    "name", [path for path in ALL if path.stem[:-2] not in REFUSED], ids=lambda path: str(path).replace(".params", "")
)
TIED = {"mlm_decoder.3.weight": "word_embed.weight", "_lm_head.weight": "_embed.weight"}


@pytest.fixture
def corpus(shared: Path) -> Path:
    return shared / "corpus" / "gluonnlp1"


def choices_for(name: Path) -> dict[str, Any]:
    """What the corpus says beside the file."""
    family = name.name.partition("_")[0]
    return {"family": FAMILIES.get(family, family), "heads": 4}


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


@pytest.mark.parametrize("name", ["bert_mlm", "electra_gen", "roberta_mlm", "xlmr_mlm", "gpt2_lm"])
@pytest.mark.parametrize("kept", ["first", "last", "both"])
def test_either_name_of_a_tied_tensor_will_do(corpus: Path, tmp_path: Path, name: str, kept: str) -> None:
    arrays = arrays_of(corpus / f"{name}_a.params")
    last = next(found for found in arrays if found in TIED)
    prefix = next(found for found in arrays if "." in found and found != last).partition(".")[0]
    first = f"{'_' * (prefix[0] == '_')}backbone_model.{TIED[last]}"
    tensor = arrays.pop(last)
    arrays |= {first: tensor} if kept != "last" else {}
    arrays |= {last: tensor} if kept != "first" else {}
    save_params(tmp_path / "source.params", arrays)
    choices = choices_for(Path(f"{name}_a.params"))
    manifest = convert(tmp_path / "source.params", tmp_path / "out", **choices)
    assert manifest.tied == ({last: first} if kept == "both" else {})
    export(tmp_path / "out", tmp_path / "back.params")
    assert same(arrays_of(tmp_path / "back.params"), arrays)


def test_the_queries_keys_and_values_are_the_thirds_of_the_fused_matrix(corpus: Path, tmp_path: Path) -> None:
    from bort_convert.safetensors import open_tensors  # noqa: PLC0415

    convert(corpus / "bert_backbone_a.params", tmp_path / "out", heads=4)
    whole = arrays_of(corpus / "bert_backbone_a.params")["encoder.all_layers.1.attn_qkv.weight"]  # (3 * 24, 24)
    with open_tensors(tmp_path / "out" / "model.safetensors") as tensors:
        for part, kind in enumerate(("query", "key", "value")):
            found = tensors[f"encoder.layer.1.attention.self.{kind}.weight"]
            assert np.array_equal(found, whole[24 * part : 24 * (part + 1)])


def test_a_masked_language_model_without_a_sentence_head_gets_one_of_zeros(corpus: Path, tmp_path: Path) -> None:
    manifest = convert(corpus / "bert_mlm_a.params", tmp_path / "out", heads=4)
    assert manifest.architecture == "BertForPreTraining"
    made = {name: entry.why for name, entry in manifest.tensors.items() if not entry.sources}
    assert set(made) == {"cls.seq_relationship.weight", "cls.seq_relationship.bias"}
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
