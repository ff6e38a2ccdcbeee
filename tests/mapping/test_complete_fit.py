"""A fit completes what names and shapes do not say: heads and layers, hyperparameters, ids of special tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from headers import DIMS, LANGUAGE_MODEL, RELEASED, Header, encoder, header_of, language_model

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import MappingError, OptionError, VariantError
from bort_convert.mapping.family import GLUONNLP_1, Table
from bort_convert.mapping.fit import MAX_INITIALISED, Fit, expected_size, fit
from bort_convert.mapping.model_ops import Scramble
from bort_convert.mapping.rows import extra, fill, ignore, pad, rename, under
from bort_convert.mapping.selection import Selection
from bort_convert.models import roberta
from bort_convert.models.bort import FAMILY
from bort_convert.models.registry import families


def fit_bort(header: Header, **arguments: object) -> Fit:
    return fit(header, [FAMILY], **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "number", "expected"),
    [
        ("attention_heads", 3, ""),
        ("attention_heads", 4, "a number that divides hidden_size=6"),
        ("attention_heads", 6, "a number that divides inner_size=9"),
        ("attention_heads", 0, "a number that divides hidden_size=6"),
        ("attention_heads", -3, "a number that divides hidden_size=6"),
        ("attention_heads", True, "a number that divides hidden_size=6"),
        ("attention_heads", None, "a number that divides hidden_size=6"),
        ("layers", 4, ""),
        ("layers", 3, "a multiple of groups=2"),
        ("layers", 0, "a multiple of groups=2"),
        ("layers", 2.0, "a multiple of groups=2"),
    ],
)
def test_a_size_that_no_shape_shows_suits_those_that_are_shown(name: str, number: object, expected: str) -> None:
    assert expected_size(name, number, {"hidden_size": 6, "inner_size": 9, "groups": 2}) == expected
    assert expected_size("layers", 1, {}) == expected_size("attention_heads", 1, {}) == ""


def test_layers_that_share_their_weights_are_as_many_as_the_size_has_or_as_are_given() -> None:
    albert = families()["albert"]
    base = albert.variants[0]
    header = header_of(albert.tables[0].rows, {**base.dims, "vocab_size": 30000, "type_vocab_size": 2})
    found = fit(header, [albert])
    assert (found.variant, found.sizes_of, found.plan.dims["layers"]) == (base.name, "", 12)
    assert found.config["num_hidden_layers"] == 12
    assert found.hyperparameters == {**albert.hyperparameters, "attention_heads": 12}
    with pytest.raises(OptionError) as caught:
        fit(header, [albert], layers=6)
    assert str(caught.value) == "`layers=6`: google_albert_base_v2 has 12 layers. Leave `layers` out"
    other = header_of(albert.tables[0].rows, {**base.dims, "vocab_size": 30001, "type_vocab_size": 2})
    found = fit(other, [albert], layers=6)
    assert (found.variant, found.sizes_of, found.plan.dims["layers"]) == ("", base.name, 6)
    assert found.hyperparameters["attention_heads"] == 12
    with pytest.raises(OptionError, match=r"^`layers=0`: expected a multiple of groups=1$"):
        fit(other, [albert], layers=0)


def test_all_arguments_that_are_missing_are_named_together() -> None:
    albert = families()["albert"]
    dims = DIMS | {"embedding_size": 2, "groups": 1, "type_vocab_size": 2}
    with pytest.raises(VariantError) as caught:
        fit(header_of(albert.tables[0].rows, dims), [albert])
    assert str(caught.value).endswith(
        "); layers, attention_heads cannot be read from shapes. Pass `layers=N`. Pass `heads=N`"
    )
    assert caught.value.missing == ("layers", "heads")


def test_heads_that_a_shape_shows_may_be_given_and_are_a_size() -> None:
    xlnet = families()["xlnet"]
    base, rows = xlnet.variants[0], xlnet.tables[0].rows
    dims = {**base.dims, "head_dim": 64, "vocab_size": 32000, "type_vocab_size": 2}
    found = fit(header_of(rows, dims), [xlnet], heads=12)
    assert (found.variant, found.plan.dims["attention_heads"]) == (base.name, 12)
    assert "attention_heads" not in found.hyperparameters
    with pytest.raises(OptionError) as caught:
        fit(header_of(rows, dims), [xlnet], heads=6)
    assert str(caught.value) == "`heads=6`: names and shapes are those of 12 attention heads. Leave `heads` out"


def test_sizes_that_no_shape_shows_are_bound_in_the_operations() -> None:
    trained = FAMILY.for_version("0.9.2")
    found = fit(header_of(trained.tables[0].rows, DIMS), [trained], heads=3)
    scrambled = [step.op for step in found.plan.steps if isinstance(step.op, Scramble)]
    assert scrambled == [Scramble(3, heads=3)] * 2


def test_what_neither_file_nor_size_nor_user_says_is_assumed() -> None:
    ids, rest = (
        ("bos_token_id", "eos_token_id", "pad_token_id"),
        ("head_layer_norm_eps", "hidden_act", "layer_norm_eps"),
    )
    assert fit_bort(language_model(**RELEASED)).assumed == ids
    assert fit_bort(language_model(**RELEASED), special_token_ids={"pad_token_id": 1}).assumed == ()
    assert fit_bort(language_model(), heads=2).assumed == tuple(sorted((*ids, *rest)))
    assert fit_bort(language_model(), heads=2, special_token_ids={}).assumed == rest
    given = {"activation": "relu", "pad_token_id": 2}
    assert fit_bort(language_model(), heads=2, hyperparameters=given).assumed == (
        "bos_token_id",
        "eos_token_id",
        "head_hidden_act",
        "head_layer_norm_eps",
        "layer_norm_eps",
    )


def test_another_activation_is_that_of_the_layers_and_not_of_a_head_of_0_x() -> None:
    relu = {"hidden_act": "relu"}
    head = fit_bort(language_model(), heads=2, hyperparameters=relu).hyperparameters
    assert (head["hidden_act"], head["head_hidden_act"]) == ("relu", "gelu")
    assert "head_hidden_act" not in fit_bort(encoder(), heads=2, hyperparameters=relu).hyperparameters
    assert "head_hidden_act" not in fit_bort(language_model(), heads=2).hyperparameters
    own = replace(FAMILY, versions=GLUONNLP_1)
    assert "head_hidden_act" not in fit(language_model(), [own], heads=2, hyperparameters=relu).hyperparameters
    both = {**relu, "head_hidden_act": "tanh"}
    trained = replace(FAMILY, hyperparameters={**FAMILY.hyperparameters, "head_hidden_act": "relu"})
    found = fit(language_model(), [trained], heads=2, hyperparameters=both)
    assert found.hyperparameters["head_hidden_act"] == "tanh"


def test_ids_of_special_tokens_without_a_row_in_the_vocabulary_are_left_out() -> None:
    found = fit_bort(language_model(vocab_size=2), heads=2)
    assert {name: found.config[name] for name in ("bos_token_id", "pad_token_id", "eos_token_id")} == {
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": None,
    }
    assert "eos_token_id" not in found.hyperparameters


def test_positions_behind_a_padding_id_need_one() -> None:
    with pytest.raises(VariantError) as caught:
        fit(language_model(vocab_size=1), [roberta.FAMILY], heads=2)
    assert str(caught.value) == (
        "RoBERTa counts its positions from behind pad_token_id, and a vocabulary of 1 has no such token. "
        "Pass the vocabulary"
    )
    assert caught.value.missing == ("vocab",)
    with pytest.raises(OptionError) as wrong:
        fit(language_model(), [roberta.FAMILY], heads=2, special_token_ids={"bos_token_id": 0})
    assert str(wrong.value) == (
        "`special_token_ids={'bos_token_id': 0}`: RoBERTa needs pad_token_id, a row of the vocabulary"
    )


def test_a_table_makes_no_more_values_from_nothing_than_a_model_may_have() -> None:
    def made(size: int) -> Fit:
        pads = pad("b", "y", "n m", rows=2, why="padding")
        rows = (rename("a", "x", "n m"), pads, fill("c", f"{size}", 0.0, why="absent"))
        family = replace(FAMILY, tables=(Table("own", rows, (("BertModel",),)),), config=(), variants=())
        return fit({name: TensorSpec(name, "float32", (3, 5)) for name in "ab"}, [family])

    assert len(made(MAX_INITIALISED - 10).plan.steps) == 3
    with pytest.raises(MappingError) as caught:
        made(MAX_INITIALISED - 9)
    assert str(caught.value) == (
        "c: the table makes 67,108,865 values from nothing, most of them here; expected at most 67,108,864"
    )


def test_a_network_of_the_users_own_has_the_backbone_under_its_names_in_gluonnlp() -> None:
    head = (rename("tags.{tag}.weight", "tags.{tag}.weight", "labels hidden_size"),)
    table = replace(
        FAMILY.tables[0],
        all_rows=(*under("net.", LANGUAGE_MODEL), *head),
        backbone="net.",
        own=frozenset({"tags.{tag}.weight"}),
    )
    tags = {f"tags.{tag}.weight": TensorSpec(f"tags.{tag}.weight", "float32", (3, 6)) for tag in range(2)}
    header = {f"net.{name}": spec for name, spec in language_model().items()} | tags
    found = fit(header, [replace(FAMILY, tables=(table,))], heads=2)
    alone = fit_bort(language_model(), heads=2)
    assert found.network_names == {f"net.{name}": name for name in language_model()}
    assert found.network_plan.steps == alone.plan.steps
    assert found.network_plan.aliases == alone.plan.aliases
    assert found.network_plan.dims == found.plan.dims
    assert alone.network_names == {name: name for name in language_model()}
    assert alone.network_plan == alone.plan


def test_tensors_that_are_no_part_of_a_tables_model_are_kept_or_ignored_as_others_are() -> None:
    rows = (rename("a", "bert.a", "n"), extra("head", "n"), ignore("cache", "n"))
    own = replace(FAMILY, tables=(Table("own", rows, (("BertModel",),)),), config=(), variants=())
    names = {name: f"net.{name}" for name in ("head", "cache", "a")}
    header = {name: TensorSpec(name, "float32", (2,)) for name in (*names.values(), "beside", "other.x")}
    found = fit(header, [own], selection=Selection(ignore=("other.*",), keep_extra=True))
    assert (found.prefix, found.names, [step.sources for step in found.plan.steps]) == (
        "net.",
        {"a": "net.a"},
        [("a",)],
    )
    assert found.extra == ("net.head", "beside")
    assert found.ignored == {"other.x": "other.*", "net.cache": "own"}
    assert not any(name.endswith("_token_id") for name in found.hyperparameters)  # there is no vocabulary
