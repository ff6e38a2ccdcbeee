"""What config.json of a directory says is compared with the tensors and with the models that GluonNLP has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from headers import DIMS, RELEASED, header_of
from toy_family import CONFIG, TOY, specs_of, targets_of, toy_arrays

from bort_convert.errors import MappingError, VariantError
from bort_convert.mapping.family import GLUONNLP_1, ConfigKey
from bort_convert.mapping.fit import fit
from bort_convert.mapping.fit_directory import FittedDirectory, fit_directory
from bort_convert.mapping.ops import Pad
from bort_convert.models.registry import families

if TYPE_CHECKING:
    from bort_convert.dtypes import TensorSpec
    from bort_convert.mapping.family import Family

FAMILIES = families()


def directory(name: str, **dims: int) -> tuple[dict[str, TensorSpec], dict[str, Any]]:
    """Tensors and config.json of a small language model with two heads."""
    family = FAMILIES[name]
    header = header_of(family.tables[0].rows, {**DIMS, "type_vocab_size": 2, **dims})
    found = fit(header, [family], heads=None if dims == RELEASED else 2)
    return {spec.name: spec for step in found.plan.steps for spec in step.targets}, found.config


def fit_changed(name: str, **changes: object) -> FittedDirectory:
    specs, config = directory(name)
    return fit_directory(specs, config | changes, [FAMILIES[name]], named=True)


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"hidden_size": 64}, ["hidden_size is 64, expected 6 by the tensors"]),
        ({"num_hidden_layers": None}, ["num_hidden_layers is not there, expected 2 by the tensors"]),
        ({"num_attention_heads": 4}, ["num_attention_heads is 4, expected a number that divides hidden_size=6"]),
        (
            {"num_attention_heads": None, "hidden_size": 64},
            ["num_attention_heads is not there, expected a number that divides hidden_size=6"],
        ),
        (
            {"hidden_act": "relu", "layer_norm_eps": 1e-6},
            [
                "hidden_act is 'relu', expected 'gelu' by GluonNLP's Bort, and no tensor shows it",
                "layer_norm_eps is 1e-06, expected 1e-05 by GluonNLP's Bort, and no tensor shows it",
            ],
        ),
        ({"model_type": "bart"}, ["model_type is 'bart', expected 'bert' by GluonNLP's Bort, and no tensor shows it"]),
        (
            {"is_decoder": True, "is_causal": True, "position_embedding_type": "relative_key"},
            [
                "is_decoder is True, expected False: GluonNLP has no such model",
                "position_embedding_type is 'relative_key', expected 'absolute': GluonNLP has no such model",
                "is_causal is True, expected False: GluonNLP has no such model",
            ],
        ),
        ({"n_inner": 25}, ["n_inner is 25, expected 24"]),
        ({"n_embd": 5, "n_layer": 2}, ["hidden_size is 6, expected 5, as n_embd"]),
        (
            {"tie_word_embeddings": False},
            ["tie_word_embeddings is False, expected true: GluonNLP has one matrix for both ends"],
        ),
        (
            {"architectures": ["BertForPreTraining"]},
            ["architectures is ['BertForPreTraining'], expected BertForMaskedLM by the tensors"],
        ),
    ],
)
def test_a_value_that_the_tensors_or_gluonnlps_model_contradict_is_refused(
    changes: dict[str, object], problems: list[str]
) -> None:
    with pytest.raises(MappingError) as caught:
        fit_changed("bort", **changes)
    assert caught.value.disagreements == tuple(f"config.json: {problem}" for problem in problems)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"is_decoder": None, "is_causal": False},
        {"n_inner": None, "n_embd": 6},
        {"n_inner": 24},
        {"tie_word_embeddings": True},
        {"architectures": ["BertModel"]},
        {"architectures": None},
        {"architectures": []},
        {"pad_token_id": 2},
    ],
)
def test_a_value_that_says_the_same_or_what_no_tensor_depends_on_is_accepted(changes: dict[str, object]) -> None:
    found = fit_changed("bort", **changes)
    assert (found.fit.architecture, found.notes) == ("BertForMaskedLM", ())
    assert found.fit.hyperparameters["pad_token_id"] == changes.get("pad_token_id", 1)
    assert found.fit.hyperparameters["attention_heads"] == 2


def test_the_heads_of_a_published_size_are_its_own() -> None:
    specs, config = directory("bort", **RELEASED)
    assert fit_directory(specs, config, [FAMILIES["bort"]]).fit.variant == "bort_4_8_768_1024"
    with pytest.raises(MappingError) as caught:
        fit_directory(specs, config | {"num_attention_heads": 4}, [FAMILIES["bort"]])
    assert caught.value.disagreements == (
        "config.json: num_attention_heads is 4, expected 8 by GluonNLP's Bort, and no tensor shows it",
    )


def test_values_that_a_checkpoint_has_no_place_for_are_noted() -> None:
    assert fit_changed("bort", hidden_dropout_prob=0.2, initializer_range=None).notes == (
        "a checkpoint has no place for these of config.json: hidden_dropout_prob 0.2, initializer_range not there",
    )


@pytest.mark.parametrize(("value", "shown"), [(None, "not there"), (-1, "-1"), (True, "True"), ("1", "'1'")])
def test_a_padding_id_that_positions_are_counted_from_is_a_row(value: object, shown: str) -> None:
    assert fit_changed("roberta", pad_token_id=0).fit.hyperparameters["pad_token_id"] == 0
    with pytest.raises(MappingError) as caught:
        fit_changed("roberta", pad_token_id=value)
    assert caught.value.disagreements == (f"config.json: pad_token_id is {shown}, expected a row of the vocabulary",)


def test_a_key_that_the_file_lacks_has_the_value_of_the_class_or_of_the_family() -> None:
    specs, config = directory("roberta")
    for name in ("pad_token_id", "hidden_act", "layer_norm_eps", "tie_word_embeddings", "hidden_dropout_prob"):
        del config[name]
    with pytest.raises(MappingError) as caught:
        fit_directory(specs, config, [FAMILIES["roberta"]], named=True)
    assert caught.value.disagreements == (
        "config.json: layer_norm_eps is 1e-12, expected 1e-05 by GluonNLP's RoBERTa, and no tensor shows it",
    )
    found = fit_directory(specs, config | {"layer_norm_eps": 1e-5}, [FAMILIES["roberta"]], named=True)
    assert (found.fit.hyperparameters["pad_token_id"], found.notes) == (1, ())
    specs, config = directory("roberta", hidden_size=24)
    del config["num_attention_heads"]
    found = fit_directory(specs, config, [FAMILIES["roberta"]], named=True)
    assert found.fit.hyperparameters["attention_heads"] == 12


def test_a_class_with_another_activation_in_its_head_is_gluonnlps_only_if_the_user_says_so() -> None:
    specs, config = directory("ernie")
    with pytest.raises(MappingError) as caught:
        fit_directory(specs, config, [FAMILIES["ernie"]])
    assert caught.value.disagreements == (
        (
            "config.json: the class runs relu in its masked-language-model head, where GluonNLP's ERNIE has gelu. Pass "
            "`family='ernie'` if it was converted from one"
        ),
    )
    own = {name: value for name, value in FAMILIES["ernie"].hyperparameters.items() if name != "pad_token_id"}
    for found in (
        fit_directory(specs, config, [FAMILIES["ernie"]], named=True),
        fit_directory(specs, config, [FAMILIES["ernie"]], converted_with={**own, "attention_heads": 2}),
    ):
        assert found.fit.hyperparameters["head_hidden_act"] == "gelu"


def test_a_manifest_has_the_hyperparameters_and_its_values_are_strict() -> None:
    specs, config = directory("roberta")
    recorded = {"layer_norm_eps": 1e-5, "pad_token_id": 3, "foreign": 1}
    converted = fit_directory(specs, config, [FAMILIES["roberta"]], converted_with=recorded)
    foreign = fit_directory(specs, config | {"pad_token_id": 3}, [FAMILIES["roberta"]], named=True)
    pads = [[step.op for step in found.fit.plan.steps if isinstance(step.op, Pad)] for found in (converted, foreign)]
    assert pads == [[Pad(4)], [Pad(4, any_value=True)]]
    assert "bos_token_id" not in converted.fit.hyperparameters
    assert foreign.fit.hyperparameters["bos_token_id"] == 0


def toy(**changes: Any) -> Family:  # noqa: ANN401 - any field
    return replace(TOY, **changes)


def test_what_a_fit_of_the_directory_lacks_is_a_disagreement() -> None:
    specs = specs_of(targets_of(toy_arrays()))
    unknown = toy(config=(*TOY.config, ConfigKey("rope", "rope")))
    with pytest.raises(MappingError) as caught:
        fit_directory(specs, CONFIG, [unknown])
    assert caught.value.disagreements == (
        (
            "vocab_size=5 hidden_size=2 max_positions=4 intermediate_size=7 labels=3 layers=2 match no published Toy "
            "(); rope cannot be read from shapes"
        ),
    )


def test_two_names_for_one_target_and_sizes_that_a_table_wants_equal_are_disagreements() -> None:
    specs, config = directory("bort")
    new, old = "bert.embeddings.LayerNorm.weight", "bert.embeddings.LayerNorm.gamma"
    with pytest.raises(MappingError) as caught:
        fit_directory(specs | {old: replace(specs[new], name=old)}, config, [FAMILIES["bort"]], named=True)
    assert caught.value.disagreements == (f"{old}: is the same tensor as {new}; expected one of them",)
    (table,) = TOY.tables
    equal = toy(tables=(replace(table, equal_sizes={("labels", "hidden_size"): "one width"}),))
    with pytest.raises(MappingError) as caught:
        fit_directory(specs_of(targets_of(toy_arrays())), CONFIG, [equal])
    assert caught.value.disagreements == ("labels is 3, and hidden_size is 2; expected one size: one width",)


def test_a_directory_of_gluonnlp_1_and_0_x_alike_is_one_of_0_x() -> None:
    specs = specs_of(targets_of(toy_arrays()))
    later, other = toy(name="later", versions=GLUONNLP_1), toy(name="other", versions=GLUONNLP_1)
    assert fit_directory(specs, CONFIG, [later, TOY, other]).fit.family == TOY
    assert fit_directory(specs, CONFIG, [later]).fit.family == later
    with pytest.raises(VariantError) as caught:
        fit_directory(specs, CONFIG, [later, other])
    assert caught.value.candidates == ("later", "other")


def test_the_number_of_layers_that_no_name_shows_is_that_of_the_config() -> None:
    albert = FAMILIES["albert"]
    dims = {**albert.variants[0].dims, "vocab_size": 11, "type_vocab_size": 2}
    found = fit(header_of(albert.tables[0].rows, dims), [albert], layers=6)
    specs = {spec.name: spec for step in found.plan.steps for spec in step.targets}
    back = fit_directory(specs, found.config | {"num_hidden_layers": 3}, [albert])
    assert (back.fit.plan.dims["layers"], back.fit.hyperparameters["attention_heads"]) == (3, 12)
    with pytest.raises(MappingError) as caught:
        fit_directory(specs, found.config | {"num_hidden_layers": 0}, [albert])
    assert caught.value.disagreements == ("config.json: num_hidden_layers is 0, expected a multiple of groups=1",)
