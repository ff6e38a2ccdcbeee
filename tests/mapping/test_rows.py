from __future__ import annotations

from dataclasses import replace

import pytest

from bort_convert.mapping.family import Table
from bort_convert.mapping.model_ops import Scramble
from bort_convert.mapping.ops import Copy, Drop, Extra, Fill, Merge, Pad, Split, Transpose
from bort_convert.mapping.rows import (
    Row,
    SourceTensor,
    conv1d,
    drop,
    extra,
    fill,
    ignore,
    linear,
    merge,
    norm,
    onto,
    optional,
    pad,
    rename,
    scramble,
    split,
    target_rows,
    tied,
    transpose,
    under,
    unless,
    when,
)


def test_each_word_makes_its_row() -> None:
    assert rename("a", "b", "x y") == Row((SourceTensor("a", "x y"),), ("b",), Copy())
    assert transpose("a", "b", "x y").op == Transpose()
    assert split("a", ["b", "c"], "2*x") == Row((SourceTensor("a", "2*x"),), ("b", "c"), Split(2))
    assert merge(["a", "b"], "c", "x") == Row((SourceTensor("a", "x"), SourceTensor("b", "x")), ("c",), Merge(2))
    assert pad("a", "b", "x", rows=2, why="padding").op == Pad(2)
    assert fill("b", "1 x", 0.5, why="absent") == Row((), ("b",), Fill("1 x", 0.5), why="absent")
    assert drop("a", "x", why="a cache") == Row((SourceTensor("a", "x"),), (), Drop("a cache"), why="a cache")
    assert extra("a", "x").op == Extra()
    assert (extra("a", "x").op.beside, ignore("a", "x").op.beside, drop("a", "x", why="").op.beside) == (
        "kept",
        "ignored",
        "",
    )
    assert tied("a", tied_to="b", axes="x", why="tied").tied_to == "b"


def test_a_dense_layer_is_a_weight_and_a_bias_of_its_first_axis() -> None:
    weight, bias = linear("ffn", "dense", "intermediate_size hidden_size", prefixed="~ffn#")
    assert (weight.sources, weight.targets) == (
        (SourceTensor("ffn.weight", "intermediate_size hidden_size", "~ffn#_weight"),),
        ("dense.weight",),
    )
    assert (bias.sources, bias.targets) == (
        (SourceTensor("ffn.bias", "intermediate_size", "~ffn#_bias"),),
        ("dense.bias",),
    )


def test_a_conv1d_is_a_dense_layer_whose_weight_is_transposed() -> None:
    weight, bias = conv1d("ffn", "c_fc", "intermediate_size hidden_size", prefixed="ffn#")
    assert (weight.op, bias.op) == (Transpose(), Copy())
    assert [row.sources + row.targets for row in (weight, bias)] == [
        (SourceTensor("ffn.weight", "intermediate_size hidden_size", "ffn#_weight"), "c_fc.weight"),
        (SourceTensor("ffn.bias", "intermediate_size", "ffn#_bias"), "c_fc.bias"),
    ]


def test_the_gamma_of_a_norm_becomes_weight_and_its_beta_bias() -> None:
    gamma, beta = norm("layer_norm", "LayerNorm", "hidden_size")
    assert (gamma.sources[0].name, gamma.targets) == ("layer_norm.gamma", ("LayerNorm.weight",))
    assert (beta.sources[0].name, beta.targets) == ("layer_norm.beta", ("LayerNorm.bias",))


def test_a_group_marks_every_row_in_it() -> None:
    rows = optional("head", linear("a", "b", "x y"), rename("c", "d", "x"))
    assert [row.group for row in rows] == ["head", "head", "head"]


def test_a_hyperparameter_chooses_between_rows_of_the_same_tensors() -> None:
    names = (["q", "k"], ["query", "key"])
    scrambled = scramble(*names, "x", prefixed=["#q", "#k"], why="a bug")
    assert scrambled == Row(
        (SourceTensor("q", "x", "#q"), SourceTensor("k", "x", "#k")), ("query", "key"), Scramble(2), why="a bug"
    )
    rows = (*unless("old", linear("q", "query", "x x"), rename("k", "key", "x")), *when("old", scrambled))
    assert [(row.when, row.unless) for row in rows] == [("", "old")] * 3 + [("old", "")]
    table = Table("model", onto("to.", under("from.", rows)), ())
    assert [row.targets for row in table.rows] == [("to.query.weight",), ("to.query.bias",), ("to.key",)]
    (chosen,) = replace(table, enabled=frozenset({"old", "other"})).rows
    assert [source.name for source in chosen.sources] == ["from.q", "from.k"]


def test_rows_that_count_together_may_not_make_one_tensor_twice() -> None:
    rows = (rename("a", "b", "x"), *when("old", rename("c", "b", "x")))
    table = Table("model", rows, ())
    with pytest.raises(ValueError, match="model: the table names b twice"):
        replace(table, enabled=frozenset({"old"}))


def test_under_puts_a_prefix_before_structural_names_and_nothing_else() -> None:
    rows = under("bort.", (rename("a", "b", "x", prefixed="#a"), tied("c", tied_to="a", axes="x", why="tied")))
    assert rows[0] == Row((SourceTensor("bort.a", "x", "#a"),), ("b",), Copy())
    assert (rows[1].sources[0].name, rows[1].tied_to) == ("bort.c", "bort.a")


def test_onto_puts_a_prefix_before_targets_and_nothing_else() -> None:
    rows = onto("bert.", (rename("a", "b", "x", prefixed="#a"), split("c", ["d", "e"], "x"), drop("f", "x", why="")))
    assert rows[0] == Row((SourceTensor("a", "x", "#a"),), ("bert.b",), Copy())
    assert [row.targets for row in rows[1:]] == [("bert.d", "bert.e"), ()]


def test_target_rows_take_the_targets_of_a_table_with_their_axes() -> None:
    rows = (
        *optional("head", rename("a", "b", "vocab_size hidden_size")),
        pad("c", "d", "max_positions hidden_size", rows=2, why="padding"),
        split("e", ["f", "g"], "2*hidden_size"),
        fill("h", "1 hidden_size", 0.0, why="absent"),
        tied("i", tied_to="a", axes="vocab_size hidden_size", why="tied"),
    )
    assert [
        (row.sources[0].name, row.sources[0].axes, row.targets, row.op, row.group) for row in target_rows(rows)
    ] == [
        ("b", "vocab_size hidden_size", ("b",), Copy(), "head"),
        ("d", "max_positions+2 hidden_size", ("d",), Copy(), ""),
        ("f", "hidden_size", ("f",), Copy(), ""),
        ("g", "hidden_size", ("g",), Copy(), ""),
        ("h", "1 hidden_size", ("h",), Copy(), ""),
    ]
