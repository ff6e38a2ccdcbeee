from __future__ import annotations

from bort_convert.mapping.target_names import map_names
from bort_convert.models.registry import families

WORDS, OUTPUT = "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"


def test_names_are_those_of_a_table_with_the_base_that_a_bare_backbone_lacks() -> None:
    assert map_names(["bert.a", "cls.b"], "bert.", {}).targets == {"bert.a": "bert.a", "cls.b": "cls.b"}
    assert map_names(["a", "cls.b"], "bert.", {}).targets == {"bert.a": "a", "bert.cls.b": "cls.b"}


def test_a_second_name_is_one_only_beside_the_first() -> None:
    seconds = families()["bert"].aliases
    places = map_names([OUTPUT, WORDS], "bert.", seconds)
    assert (places.targets, places.aliases) == ({WORDS: WORDS}, {OUTPUT: WORDS})
    assert map_names([OUTPUT, "bert.x"], "bert.", seconds).targets == {OUTPUT: OUTPUT, "bert.x": "bert.x"}


def test_a_family_says_what_its_own_second_names_are() -> None:
    first, second = "transformer.words.weight", "lm.weight"
    assert map_names([first, second], "transformer.", {}).targets == {first: first, second: second}
    places = map_names([first, second], "transformer.", {"lm.weight": "words.weight"})
    assert (places.targets, places.aliases) == ({first: first}, {second: first})


def test_a_counter_is_one_only_beside_what_it_counts() -> None:
    ids, rows = "embeddings.position_ids", "embeddings.position_embeddings.weight"
    places = map_names([ids, rows], "bert.", {})
    assert (places.targets, places.counters) == ({f"bert.{rows}": rows}, {ids: rows})
    assert map_names([ids], "bert.", {}).targets == {f"bert.{ids}": ids}


def test_masks_of_every_layer_are_some_only_beside_positions() -> None:
    names = [f"h.{layer}.attn.{name}" for layer in range(2) for name in ("bias", "masked_bias")]
    others = ["h.0.attn.c_attn.bias", "wpe.weight"]
    places = map_names([*names, *others], "transformer.", {})
    assert places.targets == {f"transformer.{name}": name for name in others}
    assert places.masks == dict.fromkeys(names, "wpe.weight")
    assert map_names(names, "transformer.", {}).masks == {}


def test_the_names_of_early_releases_are_todays_and_not_both_may_stand_there() -> None:
    places = map_names(["bert.LayerNorm.gamma", "bert.LayerNorm.beta", "bert.LayerNorm.bias\x1b"], "bert.", {})
    assert list(places.targets) == ["bert.LayerNorm.weight", "bert.LayerNorm.bias", "bert.LayerNorm.bias\x1b"]
    clashes = map_names(["bert.LayerNorm.gamma", "bert.LayerNorm.weight"], "bert.", {}).clashes
    assert clashes == ("bert.LayerNorm.weight: is the same tensor as bert.LayerNorm.gamma; expected one of them",)


def test_no_table_makes_what_is_known_to_stand_beside_its_targets() -> None:
    for family in families().values():
        for table in family.tables:
            made = [target for row in table.rows for target in row.targets]
            places = map_names(made, family.base, family.aliases)
            assert places.targets.keys() == set(made)
