from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from bort_convert.mapping.family import Table
from bort_convert.mapping.model_ops import Frequencies, Scramble, Unfold
from bort_convert.mapping.ops import Constant, Copy, Drop, Extra, Fill, Merge, Pad, Split, Transpose
from bort_convert.mapping.rows import (
    Row,
    SourceTensor,
    constant,
    conv1d,
    drop,
    extra,
    fill,
    frequencies,
    ignore,
    linear,
    merge,
    norm,
    onto,
    optional,
    pad,
    rename,
    resolve,
    scramble,
    split,
    target_rows,
    tied,
    transpose,
    under,
    unfold,
    unless,
    when,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bort_convert.mapping.rows import Rows

A = SourceTensor("a", "x y")
WHY: Final = {"why": "a reason"}


@pytest.mark.parametrize(
    ("word", "arguments", "options", "row"),
    [
        (rename, ("a", "b", "x y"), {}, Row((A,), ("b",), Copy())),
        (transpose, ("a", "b", "x y"), {}, Row((A,), ("b",), Transpose())),
        (split, ("a", ["b", "c"], "x y"), {}, Row((A,), ("b", "c"), Split(2))),
        (unfold, ("a", "b", "x y", "y z"), {}, Row((A,), ("b",), Unfold("y z", first=False))),
        (unfold, ("a", "b", "x y", "y z"), {"first": True}, Row((A,), ("b",), Unfold("y z", first=True))),
        (pad, ("a", "b", "x y"), {"rows": 2, **WHY}, Row((A,), ("b",), Pad(2, ""), **WHY)),
        (pad, ("a", "b", "x y"), {"rows": 2, "after": "n", **WHY}, Row((A,), ("b",), Pad(2, "n"), **WHY)),
        (constant, ("a", "x y", 0.5), WHY, Row((A,), (), Constant("x y", 0.5), **WHY)),
        (frequencies, ("a", "x y"), WHY, Row((A,), (), Frequencies("x y"), **WHY)),
        (drop, ("a", "x y"), WHY, Row((A,), (), Drop("a reason"), **WHY)),
        (extra, ("a", "x y"), {}, Row((A,), (), Extra())),
        (ignore, ("a", "x y"), {}, Row((A,), (), Extra(kept=False))),
    ],
)
def test_a_word_makes_a_row_of_one_source_which_may_have_a_prefixed_name(
    word: Callable[..., Row], arguments: tuple[Any, ...], options: dict[str, Any], row: Row
) -> None:
    assert word(*arguments, **options) == row
    named = replace(row, sources=(replace(A, prefixed="#a"),))
    assert word(*arguments, **options, prefixed="#a") == named


def test_the_words_for_several_sources_or_none_make_their_rows() -> None:
    assert merge(["a", "b"], "c", "x y") == Row((A, SourceTensor("b", "x y")), ("c",), Merge(2))
    assert fill("b", "1 x", 0.5, why="absent") == Row((), ("b",), Fill("1 x", 0.5), why="absent")
    alias = tied("a", tied_to="b", axes="x y", why="tied")
    assert alias == Row((A,), (), Drop("tied"), tied_to="b", why="tied")


def test_a_tensor_beside_the_model_is_kept_or_ignored_and_one_that_is_left_out_is_neither() -> None:
    made = (extra("a", "x"), ignore("a", "x"), drop("a", "x", why=""))
    assert [row.op.beside for row in made] == ["kept", "ignored", ""]


def test_a_layer_is_a_row_for_each_of_its_tensors() -> None:
    sizes = "intermediate_size hidden_size"
    weight, bias = SourceTensor("ffn.weight", sizes), SourceTensor("ffn.bias", "intermediate_size")
    rows = (Row((weight,), ("dense.weight",), Copy()), Row((bias,), ("dense.bias",), Copy()))
    assert linear("ffn", "dense", sizes) == rows
    assert conv1d("ffn", "dense", sizes) == (replace(rows[0], op=Transpose()), rows[1])
    gamma, beta = SourceTensor("norm.gamma", "hidden_size"), SourceTensor("norm.beta", "hidden_size")
    assert norm("norm", "LayerNorm", "hidden_size") == (
        Row((gamma,), ("LayerNorm.weight",), Copy()),
        Row((beta,), ("LayerNorm.bias",), Copy()),
    )


@pytest.mark.parametrize(
    ("word", "ends"), [(linear, ("weight", "bias")), (conv1d, ("weight", "bias")), (norm, ("gamma", "beta"))]
)
def test_the_prefixed_names_of_a_layer_end_as_its_structural_names_do(
    word: Callable[..., Rows], ends: tuple[str, str]
) -> None:
    rows = word("ffn", "dense", "intermediate_size hidden_size", prefixed="~ffn#")
    assert [source.prefixed for row in rows for source in row.sources] == [f"~ffn#_{end}" for end in ends]


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
    assert (rows[1].sources, rows[1].tied_to) == ((SourceTensor("bort.c", "x"),), "bort.a")


def test_under_any_name_keeps_the_prefix_that_a_file_may_have_another_one_for() -> None:
    (row,) = under("bort.", (rename("a", "b", "x", prefixed="#a"),), any_name=True)
    assert row == Row((SourceTensor("bort.a", "x", "#a", child="bort."),), ("b",), Copy())


def test_onto_puts_a_prefix_before_targets_and_nothing_else() -> None:
    rows = onto("bert.", (rename("a", "b", "x", prefixed="#a"), split("c", ["d", "e"], "x"), drop("f", "x", why="")))
    assert rows[0] == Row((SourceTensor("a", "x", "#a"),), ("bert.b",), Copy())
    assert [row.targets for row in rows[1:]] == [("bert.d", "bert.e"), ()]


def test_a_hyperparameter_that_decides_a_shape_gets_its_value() -> None:
    rows = (pad("a", "b", "x", rows=1, after="pad_token_id", why="padding"), rename("c", "d", "x"))
    assert resolve(rows, {"pad_token_id": 3}) == (replace(rows[0], op=Pad(4)), rows[1])


def test_a_row_with_more_names_than_its_operation_has_tensors_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="shorter than argument 1"):
        scramble(["q", "k"], ["query", "key"], "x", prefixed=["#q"], why="a bug")
    with pytest.raises(ValueError, match="shorter than argument 1"):
        target_rows((Row((A,), ("b", "c"), Copy()),))


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
