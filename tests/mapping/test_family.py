"""A family and its tables as data: what they say of sizes, groups, versions and hyperparameters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from toy_family import TOY

from bort_convert.errors import MappingError, OptionError, VariantError
from bort_convert.mapping.family import (
    GLUONNLP_1,
    SPECIAL_TOKEN_IDS,
    ConfigKey,
    Table,
    Variant,
    module_overrides,
    stock_differences,
)
from bort_convert.mapping.given import Given, recorded_hyperparameters
from bort_convert.mapping.rows import extra, ignore, rename, tied, unless, when

if TYPE_CHECKING:
    from bort_convert.dtypes import Hyperparameter

FAMILY = replace(
    TOY,
    hyperparameters={"act": "gelu", "layer_norm_eps": 1e-5, "scrambled": False, "pad_token_id": 1},
    variants=(Variant("toy_2", {"layers": 2}, {"attention_heads": 4, "norm": "rms"}),),
    choices={"act": ("gelu", "relu")},
)


def test_a_table_that_names_a_tensor_twice_cannot_be_made() -> None:
    with pytest.raises(ValueError, match=r"^a table: the table names b twice$"):
        Table("a table", (rename("a", "b", "x"), rename("c", "b", "x")), ())
    with pytest.raises(ValueError, match=r"^a table: the table names c, b twice$"):
        Table("a table", (rename("c", "b", "x"), rename("c", "b", "x")), ())


def test_a_row_counts_by_the_hyperparameters_that_are_true() -> None:
    always, old, new = rename("a", "x", "n"), *when("old", rename("b", "y", "n")), *unless("old", rename("c", "z", "n"))
    table = Table("model", (always, old, new), ())
    assert table.rows == (always, new)
    assert replace(table, enabled=frozenset({"old"})).rows == (always, old)


def test_a_table_has_prefixed_names_if_every_source_but_an_alias_has_one() -> None:
    named, alias = rename("a", "x", "n", prefixed="#a"), tied("b", tied_to="a", axes="n", why="tied")
    assert Table("model", (named, alias), ()).has_prefixed_names
    assert not Table("model", (named, alias, rename("c", "y", "n")), ()).has_prefixed_names


def test_a_table_keeps_tensors_beside_the_model_in_any_of_its_rows() -> None:
    rows = (rename("a", "x", "n"), ignore("b", "n"))
    assert not Table("model", rows, ()).keeps_extra
    assert Table("model", (*rows, *when("old", extra("c", "n"))), ()).keeps_extra


def test_the_class_of_a_table_is_the_one_with_a_place_for_the_same_groups() -> None:
    table = Table("model", (), (("Bare",), ("Tagger", "tags"), ("Both", "pooler", "tags")))
    classes = {"Bare": frozenset[str](), "Tagger": frozenset({"tags"}), "Both": frozenset({"tags", "pooler"})}
    for name, groups in classes.items():
        assert (table.architecture(groups), table.class_problem(groups)) == (name, ())
    with pytest.raises(MappingError) as caught:
        table.architecture(frozenset({"spans", "pooler"}))
    assert str(caught.value) == "model: no target class has a place for pooler, spans together"


def test_a_form_that_no_class_computes_is_refused_with_the_ways_on() -> None:
    table = Table("classifier", (), (), refusal="no class pools twice")
    assert table.class_problem(frozenset({"head"})) == ()
    with pytest.raises(MappingError) as caught:
        table.architecture(frozenset())
    assert str(caught.value) == (
        "classifier: no class pools twice. To convert the rest, keep the tensors of the head beside it with "
        "`keep_extra=True`, or leave them out with `ignore=...`"
    )


def test_sizes_that_a_table_wants_equal_or_different_are_named_with_both() -> None:
    table = Table("model", (), (), equal_unless={"projection": ("width", "hidden")}, equal_sizes={("a", "b"): "why"})
    absent, present = frozenset[str](), frozenset({"projection"})
    same, other = {"width": 4, "hidden": 4, "a": 1, "b": 1}, {"width": 3, "hidden": 4, "a": 1, "b": 1}
    assert [*table.size_problems(same, absent), *table.size_problems(other, present)] == []
    assert [*table.size_problems(same, present)] == ["width is 4, as hidden is; expected no projection"]
    assert [*table.size_problems(other | {"b": 2}, absent)] == [
        "a is 1, and b is 2; expected one size: why",
        "width is 3, expected hidden, 4, where there is no projection",
    ]


def test_a_published_size_differs_in_sizes_or_in_the_vocabulary() -> None:
    variant = Variant("toy_2", {"layers": 2, "hidden_size": 8}, {})
    assert variant.differences({"layers": 2, "hidden_size": 8, "vocab_size": 1}) == []
    assert variant.differences({"hidden_size": 9}) == ["layers is None, expected 2", "hidden_size is 9, expected 8"]
    published = replace(variant, vocabularies=frozenset({32, 7}))
    dims = {"layers": 2, "hidden_size": 8}
    assert published.differences(dims | {"vocab_size": 7}) == []
    assert published.differences(dims | {"vocab_size": 8}) == ["vocab_size is 8, expected 7 or 32"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (ConfigKey("model_type", constant="toy"), "toy"),
        (ConfigKey("model_type"), None),
        (ConfigKey("size", "hidden_size"), 8),
        (ConfigKey("size", "hidden_size", plus=2), 10),
        (ConfigKey("size", "hidden_size", after="pad_token_id"), 11),
        (ConfigKey("size", "hidden_size", plus=1, after="pad_token_id"), 12),
        (ConfigKey("act", "act", plus=1), "gelu"),
        (ConfigKey("padding", "pad_token_id"), 3),
        (ConfigKey("mask", "mask_token_id"), None),
    ],
)
def test_the_value_of_a_config_key_comes_from_its_source(key: ConfigKey, value: object) -> None:
    assert key.value({"hidden_size": 8, "act": "gelu", "pad_token_id": 3}) == value


def test_a_config_key_whose_source_is_unknown_has_no_value() -> None:
    with pytest.raises(KeyError, match="rope"):
        ConfigKey("rope_theta", "rope").value({})


def test_a_stock_class_runs_without_the_overrides_that_it_has_a_module_for() -> None:
    hyperparameters: dict[str, Hyperparameter] = {
        "hidden_act": "relu",
        "layer_norm_eps": 1e-5,
        "head_hidden_act": "gelu",
        "head_layer_norm_eps": 1e-12,
        "embedding_layer_norm_eps": 1e-12,
        "clamp_len": 8,
    }
    elsewhere = {"embedding_layer_norm_eps": 1e-12, "clamp_len": 8}
    everything = {"head_layer_norm_eps": 1e-12, "head_hidden_act": "gelu", **elsewhere}
    assert module_overrides(hyperparameters) == everything
    assert module_overrides({**hyperparameters, "clamp_len": -1, "head_hidden_act": "relu"}) == {
        "head_layer_norm_eps": 1e-12,
        "embedding_layer_norm_eps": 1e-12,
    }
    assert stock_differences("BertForPreTraining", hyperparameters) == everything
    assert stock_differences("BertModel", hyperparameters) == elsewhere
    assert stock_differences("RobertaForMaskedLM", hyperparameters) == {"head_layer_norm_eps": 1e-12, **elsewhere}


def test_the_families_of_gluonnlp_1_have_no_other_version() -> None:
    with pytest.raises(OptionError) as caught:
        replace(FAMILY, versions=GLUONNLP_1).for_version("0.10")
    assert str(caught.value) == (
        "`gluonnlp_version='0.10'`: the names in the file are those of Toy, which gluonnlp 1.0 alone has. Leave it out"
    )


def test_a_version_sets_hyperparameters_and_enables_the_rows_of_those_that_are_true() -> None:
    table = Table("model", (*unless("scrambled", rename("a", "x", "n")), *when("scrambled", rename("b", "x", "n"))), ())
    by_version = {"0.9": {"scrambled": True, "act": "relu"}, "0.9.2": {"act": "gelu"}}
    family = replace(FAMILY, tables=(table,), by_version=by_version, versions=("0.8", "0.9.1", "0.9.2"))
    assert [family.for_version(version).hyperparameters["act"] for version in family.versions] == [
        "gelu",
        "relu",
        "gelu",
    ]
    assert [row.sources[0].name for row in family.for_version("0.9.2.post1").tables[0].rows] == ["b"]
    assert family.for_version("0.8").tables == (table,)
    with pytest.raises(VariantError) as caught:
        family.for_version("0.9")
    assert str(caught.value) == (
        "`gluonnlp_version='0.9'`: the versions 0.9.1, 0.9.2 compute Toy differently. Pass one of them"
    )
    assert (caught.value.missing, caught.value.candidates) == (("gluonnlp_version",), ("0.9.1", "0.9.2"))


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("act", "tanh", "act is 'tanh', expected one of gelu, relu"),
        ("layer_norm_eps", 0, "layer_norm_eps is 0, expected a number between 0 and 1"),
        ("layer_norm_eps", 1, "layer_norm_eps is 1, expected a number between 0 and 1"),
        ("layer_norm_eps", 1.0, "layer_norm_eps is 1.0, expected a number between 0 and 1"),
        ("layer_norm_eps", True, "layer_norm_eps is True, expected a number between 0 and 1"),
        ("layer_norm_eps", "1e-5", "layer_norm_eps is '1e-5', expected a number between 0 and 1"),
        ("pad_token_id", -1, "pad_token_id is -1, expected a whole number"),
        ("pad_token_id", True, "pad_token_id is True, expected a whole number"),
        ("attention_heads", "2", "attention_heads is '2', expected a whole number"),
        ("norm", 8, "norm is 8, expected a value such as ''"),
        ("scrambled", 1, "scrambled is 1, expected a value such as False"),
        (
            "rope",
            1,
            "Toy has no rope; expected one of act, attention_heads, layer_norm_eps, norm, pad_token_id, scrambled",
        ),
    ],
)
def test_a_hyperparameter_that_no_model_has_is_refused(name: str, value: Hyperparameter, problem: str) -> None:
    with pytest.raises(OptionError) as caught:
        FAMILY.checked_hyperparameters({name: value})
    assert str(caught.value) == f"`hyperparameters={ {name: value} }`: {problem}"


def test_hyperparameters_get_the_names_of_the_field() -> None:
    given: dict[str, Hyperparameter] = {"epsilon": 1e-6, "heads": 0, "act": "relu", "pad_token_id": 0, "norm": "layer"}
    assert FAMILY.checked_hyperparameters(given) == {
        "layer_norm_eps": 1e-6,
        "attention_heads": 0,
        "act": "relu",
        "pad_token_id": 0,
        "norm": "layer",
    }


def test_a_token_id_that_sizes_depend_on_is_lost_if_it_is_not_known() -> None:
    family = replace(FAMILY, config=(*FAMILY.config, ConfigKey("positions", "max_positions", after="pad_token_id")))
    assert family.lost_hyperparameter({}) == "pad_token_id"
    assert family.lost_hyperparameter({"pad_token_id": 0}) == ""
    assert FAMILY.lost_hyperparameter({}) == ""


def test_a_family_may_have_another_name_in_gluonnlp_and_says_the_kind_of_its_config() -> None:
    assert (FAMILY.source_name, replace(FAMILY, gluonnlp_name="bert").source_name) == ("toy", "bert")
    assert replace(FAMILY, config=(*FAMILY.config, ConfigKey("model_type", constant="bert"))).model_type == "bert"


def test_a_tokenizer_of_a_kind_that_cannot_be_made_is_refused() -> None:
    replace(FAMILY, tokenizer="WordPiece").expect_tokenizer("vocab", "a.vocab")
    with pytest.raises(OptionError) as caught:
        FAMILY.expect_tokenizer("vocab", "a.vocab")
    assert str(caught.value) == "`vocab='a.vocab'`: no tokenizer of Toy's kind can be made yet. Leave it out"


def test_what_is_given_takes_the_place_of_the_familys_own() -> None:
    assert Given().of(FAMILY) == FAMILY.hyperparameters
    own = {name: value for name, value in FAMILY.hyperparameters.items() if name not in SPECIAL_TOKEN_IDS}
    assert Given(special_token_ids={"mask_token_id": 4}).of(FAMILY) == {**own, "mask_token_id": 4}
    given = Given(hyperparameters={"act": "relu", "heads": 2}, special_token_ids={})
    assert given.of(FAMILY) == {**own, "act": "relu", "attention_heads": 2}


def test_the_sizes_that_a_user_gives_are_arguments_or_hyperparameters() -> None:
    family = replace(FAMILY, hyperparameters={**FAMILY.hyperparameters, "layers": 2})
    assert Given().sizes(family) == {}
    assert Given(heads=3, layers=4).sizes(family) == {"attention_heads": 3, "layers": 4}
    chosen = Given(hyperparameters={"heads": 5, "layers": 6})
    assert chosen.sizes(family) == {"attention_heads": 5, "layers": 6}
    assert replace(chosen, heads=3).sizes(family) == {"attention_heads": 3, "layers": 6}


def test_a_manifest_gives_the_familys_hyperparameters_and_the_special_token_ids_of_its_vocabulary() -> None:
    recorded: dict[str, Hyperparameter] = {"act": "relu", "foreign": 1, "pad_token_id": 0, "cls_token_id": 2}
    assert recorded_hyperparameters(FAMILY, recorded) == Given(
        hyperparameters={"act": "relu"}, special_token_ids={"pad_token_id": 0, "cls_token_id": 2}
    )
    assert recorded_hyperparameters(FAMILY, {"act": "relu"}) == Given(hyperparameters={"act": "relu"})
