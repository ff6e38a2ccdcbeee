"""The rows of a backbone are found in any form of its family, by their names from the backbone on."""

from __future__ import annotations

from dataclasses import replace

from toy_family import TOY

from bort_convert.mapping.backbone import backbone_rows
from bort_convert.mapping.family import Table
from bort_convert.mapping.rows import drop, fill, linear, optional, rename, tied, under

WORDS = rename("embed", "toy.words", "n m", prefixed="~model#_embed")
LAYER = rename("cell.{layer}.w", "toy.layer.{layer}.w", "m m")
ALIAS = tied("decoder", tied_to="embed", axes="n m", why="tied")
TYPES = fill("toy.types", "1 m", 0.0, why="Toy has no types")
POOLER = rename("pool", "toy.pooler", "m m")
BACKBONE = (TYPES, WORDS, LAYER, ALIAS)
BARE = Table("model", (*BACKBONE, *optional("pooler", POOLER), *optional("head", rename("out", "head", "m"))), ())
FAMILY = replace(TOY, tables=(BARE,))


def test_a_backbone_has_neither_the_heads_of_a_form_nor_its_path() -> None:
    head = (*linear("classifier", "classifier", "labels m"), drop("classifier.cache", "m", why="a cache"))
    form = Table("classifier", (*under("net.bert.", BARE.all_rows), *head), ())
    assert backbone_rows(FAMILY, form) == BACKBONE
    assert backbone_rows(FAMILY, form, frozenset({"pooler"})) == (*BACKBONE, POOLER)
    assert backbone_rows(FAMILY, BARE) == BACKBONE


def test_the_path_is_that_of_the_first_tensor_that_has_the_same_name_behind_it() -> None:
    renamed = rename("net.tokens", "toy.words", "n m")
    form = Table("classifier", (drop("net.cache", "m", why="a cache"), renamed, *under("net.", (LAYER,))), ())
    assert backbone_rows(FAMILY, form) == (
        drop("cache", "m", why="a cache"),
        rename("tokens", "toy.words", "n m"),
        LAYER,
    )


def test_without_a_common_name_there_is_no_path() -> None:
    form = Table("classifier", (rename("net.tokens", "toy.words", "n m"),), ())
    assert backbone_rows(FAMILY, form) == form.all_rows
    assert backbone_rows(FAMILY, Table("other", under("net.", (rename("x", "toy.x", "n"),)), ())) == under(
        "net.", (rename("x", "toy.x", "n"),)
    )
