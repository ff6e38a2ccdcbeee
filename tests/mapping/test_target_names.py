from __future__ import annotations

from bort_convert.mapping.target_names import map_names
from bort_convert.models.registry import families

WORDS, OUTPUT = "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"


def test_targets_get_the_base_that_a_backbone_saved_alone_lacks() -> None:
    assert map_names(["bert.a", "cls.b"], "bert.", {}).targets == {"bert.a": "bert.a", "cls.b": "cls.b"}
    assert map_names(["a", "cls.b"], "bert.", {}).targets == {"bert.a": "a", "bert.cls.b": "cls.b"}


def test_an_alias_is_one_only_beside_its_original() -> None:
    aliases = families()["bert"].aliases
    name_map = map_names([OUTPUT, WORDS], "bert.", aliases)
    assert (name_map.targets, name_map.aliases) == ({WORDS: WORDS}, {OUTPUT: WORDS})
    assert map_names([OUTPUT, "bert.x"], "bert.", aliases).targets == {OUTPUT: OUTPUT, "bert.x": "bert.x"}


def test_each_family_has_aliases_of_its_own() -> None:
    original, alias = "transformer.words.weight", "lm.weight"
    assert map_names([original, alias], "transformer.", {}).targets == {original: original, alias: alias}
    name_map = map_names([original, alias], "transformer.", {"lm.weight": "words.weight"})
    assert (name_map.targets, name_map.aliases) == ({original: original}, {alias: original})


def test_a_counter_is_one_only_beside_the_tensor_that_it_counts() -> None:
    ids, rows = "embeddings.position_ids", "embeddings.position_embeddings.weight"
    name_map = map_names([ids, rows], "bert.", {})
    assert (name_map.targets, name_map.counters) == ({f"bert.{rows}": rows}, {ids: rows})
    assert map_names([ids], "bert.", {}).targets == {f"bert.{ids}": ids}


def test_the_masks_of_every_layer_are_masks_only_beside_position_embeddings() -> None:
    names = [f"h.{layer}.attn.{name}" for layer in range(2) for name in ("bias", "masked_bias")]
    others = ["h.0.attn.c_attn.bias", "wpe.weight"]
    name_map = map_names([*names, *others], "transformer.", {})
    assert name_map.targets == {f"transformer.{name}": name for name in others}
    assert name_map.masks == dict.fromkeys(names, "wpe.weight")
    assert map_names(names, "transformer.", {}).masks == {}


def test_a_name_of_early_releases_is_the_name_of_today_and_may_not_stand_beside_it() -> None:
    name_map = map_names(["bert.LayerNorm.gamma", "bert.LayerNorm.beta", "bert.LayerNorm.bias\x1b"], "bert.", {})
    assert list(name_map.targets) == ["bert.LayerNorm.weight", "bert.LayerNorm.bias", "bert.LayerNorm.bias\x1b"]
    clashes = map_names(["bert.LayerNorm.gamma", "bert.LayerNorm.weight"], "bert.", {}).clashes
    assert clashes == ("bert.LayerNorm.weight: is the same tensor as bert.LayerNorm.gamma; expected one of them",)


def test_no_target_of_a_table_is_taken_for_an_alias_or_a_buffer() -> None:
    for family in families().values():
        for table in family.tables:
            made = [target for row in table.rows for target in row.targets]
            name_map = map_names(made, family.base, family.aliases)
            assert name_map.targets.keys() == set(made)
