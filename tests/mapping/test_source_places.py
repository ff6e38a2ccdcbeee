"""Where the sources of a table stand in a file, and how far a table is from a file at the least."""

from __future__ import annotations

import pytest

from bort_convert.mapping.rows import linear, optional, rename, tied, under
from bort_convert.mapping.source_places import Place, find_places, least_disagreements

ROWS = (
    rename("words", "words", "v n", prefixed="~model#_words"),
    tied("decoder", tied_to="words", axes="v n", why="tied"),
    rename("cells.{layer}.w", "h.{layer}.w", "n", prefixed="~cells#_h{layer}_w"),
    rename("norm", "norm", "n", prefixed="~cells#_norm"),
    *optional("head", rename("head.{part}.w", "head.{part}.w", "n", prefixed="~model#_head{part}_w")),
)
"""A tied matrix and a list of layers in two blocks, and an optional head."""
OTHER = (rename("words", "words", "v n"), rename("shift", "shift", "n"))
WHOLE = ("words", "decoder", "cells.0.w", "cells.1.w", "norm", "head.0.w")
PREFIXED = ("a_model0_words", "a_cells0_h0_w", "a_cells0_h1_w", "a_cells0_norm", "a_model0_head0_w")


@pytest.mark.parametrize(
    ("names", "least"),
    [
        (WHOLE, [0, 6]),
        ([f"arg:{name}" for name in WHOLE], [0, 6]),
        (("words", "cells.0.w", "cells.9.w", "norm"), [0, 4]),
        (("cells.0.w", "x.y", "cells.0.w.b", "cells.w"), [4, 6]),
        (("model3_words", "x3_cells2_h7_w", "cells2_norm", "other", "model_words"), [3, 5]),
        (("bertmodel3_words", "cells2_h7_w"), [1, 2]),
        ((), [1, 2]),
    ],
)
def test_what_a_table_cannot_take_and_what_it_lacks_are_counted(names: list[str], least: list[int]) -> None:
    assert least_disagreements(names, [ROWS, OTHER]) == least


def place(prefix: str, *names: str, path: str = "", tangled: tuple[str, ...] = ()) -> Place:
    return Place(prefix, {name: (path or prefix) + name for name in names}, tangled)


def test_a_table_stands_wherever_nothing_that_it_requires_is_missing() -> None:
    names = [*WHOLE, *(f"net.{name}" for name in WHOLE if name != "decoder"), "net.other", "net.cells.0.w.x", "x.norm"]
    assert find_places(names, [ROWS, OTHER]) == [
        [place("", *WHOLE), place("net.", *(name for name in WHOLE if name != "decoder"))],
        [place("", "words")],
    ]
    assert [found.prefix for found in find_places(names, [ROWS])[0]] == ["", "net."]


def test_of_a_table_that_stands_nowhere_the_nearest_place_is_found_if_it_has_anything_of_it() -> None:
    names = ["x.norm", "net.norm", "net.cells.0.w", "net.shift", "words", "y.z", "arg:y.norm", "y.norm"]
    rows = (*ROWS, rename("own", "own", "n"))
    assert find_places(names, [rows, (rename("absent", "absent", "n"),), OTHER]) == [
        [place("net.", "cells.0.w", "norm")],
        [],
        [place("net.", "shift")],
    ]
    assert find_places([], [rows]) == [[]]
    assert find_places([f".{name}" for name in WHOLE], [ROWS]) == [[place(".", *WHOLE)]]


def test_a_name_with_a_marker_and_one_without_do_not_count_if_they_are_the_same_otherwise() -> None:
    rows = (rename("a", "a", "n"), *optional("more", rename("b", "b", "n")))
    assert find_places(["net.a", "arg:net.b", "net.b"], [rows]) == [[place("net.", "a")]]
    assert find_places(["aux:net.a", "arg:net.b"], [rows]) == [
        [Place("net.", {"a": "aux:net.a", "b": "arg:net.b"})],
    ]


CHILD = (*under("bert.", ROWS, any_name=True), *linear("out", "classifier", "labels n"))


def test_a_model_inside_may_be_another_attribute_than_the_tables() -> None:
    inside = [name for name in WHOLE if name != "decoder"]
    names = [*(f"net.backbone.{name}" for name in inside), "net.out.weight", "net.out.bias", "net.backboned"]
    written = {f"bert.{name}": f"net.backbone.{name}" for name in inside}
    written |= {"out.weight": "net.out.weight", "out.bias": "net.out.bias"}
    assert find_places(names, [CHILD, ROWS]) == [
        [Place("net.", written)],
        [place("net.backbone.", *inside)],
    ]
    for prefix in ("", "tower.net."):
        moved = [prefix + name.removeprefix("net.") for name in names]
        known = {name: prefix + there.removeprefix("net.") for name, there in written.items()}
        assert find_places(moved, [CHILD]) == [[Place(prefix, known)]]


@pytest.mark.parametrize("paths", [("one.", "two."), ("",), ("bert.", "two.")])
def test_of_two_models_inside_or_none_the_attribute_is_that_of_the_table(paths: tuple[str, ...]) -> None:
    names = [*(f"{path}{name}" for path in paths for name in WHOLE), "out.weight", "out.bias"]
    found = [f"bert.{name}" for name in WHOLE if "bert." in paths]
    expected = Place("", {name: name for name in (*found, "out.weight", "out.bias")})
    assert find_places(names, [CHILD]) == [[expected]]


# Prefixed names


def blocks(model: str, cells: str, *names: str) -> dict[str, str]:
    """Names in a file with a prefix for each of the two blocks of the table, by their structural names."""
    ends = {
        "words": f"{model}words", "cells.0.w": f"{cells}h0_w", "cells.1.w": f"{cells}h1_w", "norm": f"{cells}norm",
        "head.0.w": f"{model}head0_w",
    }  # fmt: skip
    return {name: ends[name] for name in names or ends}


def test_blocks_with_the_same_scopes_around_them_stand_together() -> None:
    one, two = (
        blocks("one_model0_", "one_cells0_"),
        blocks("two_bertmodel0_", "two_cells1_", "words", "cells.0.w", "norm"),
    )
    assert find_places([*one.values(), "fc_weight", *two.values()], [ROWS]) == [
        [Place("one_", one), Place("two_", two)],
    ]
    assert find_places(blocks("model0_", "cells0_").values(), [ROWS]) == [[Place("", blocks("model0_", "cells0_"))]]


def test_blocks_that_alone_are_left_stand_together_whatever_their_prefixes() -> None:
    own = blocks("net_words_", "net_layers_")
    assert find_places(own.values(), [ROWS]) == [[Place("net_", own)]]
    outer = blocks("net_", "net_layers_")
    assert find_places(outer.values(), [ROWS]) == [[Place("net_", outer)]]
    whole = blocks("model0_", "cells0_")
    assert find_places([*own.values(), *whole.values()], [ROWS]) == [[Place("", whole), Place("net_", own)]]


def test_blocks_of_one_kind_in_the_same_scopes_are_tangled() -> None:
    one, two = blocks("model0_", "cells0_"), blocks("model1_", "cells1_")
    both = ("cells0_", "cells1_", "model0_", "model1_")
    assert find_places([*one.values(), *two.values()], [ROWS]) == [[Place("", one, tangled=both)]]


def test_a_block_that_lacks_a_required_name_does_not_count_and_nor_do_two_names_for_one_tensor() -> None:
    one, part = blocks("model0_", "cells0_"), blocks("", "cells1_", "norm")
    assert find_places([*one.values(), *part.values()], [ROWS]) == [[Place("", one)]]
    assert find_places(blocks("model0_", "cells0_", "words", "norm").values(), [ROWS]) == [[]]
    twice = [name for name in one.values() if "head" not in name]
    rows = (*ROWS, *optional("more", rename("m", "m", "n", prefixed="~model#_m#_w")))
    assert find_places([*twice, "model0_m0_w", "model0_m1_w"], [rows]) == [
        [Place("", {name: written for name, written in one.items() if name != "head.0.w"})],
    ]


def test_a_table_without_a_prefixed_name_stands_nowhere_among_them() -> None:
    rows = (*ROWS, rename("own", "own", "n"))
    assert find_places(blocks("model0_", "cells0_").values(), [rows, ROWS]) == [
        [],
        [Place("", blocks("model0_", "cells0_"))],
    ]


def test_a_prefixed_name_may_have_no_prefix_of_a_block() -> None:
    rows = (rename("a", "a", "n", prefixed="~model#_a"), rename("b", "b", "n", prefixed="shared_b"))
    names = {"a": "model0_a", "b": "shared_b"}
    assert find_places([*names.values(), "unshared_b"], [rows]) == [[Place("", names)]]
    assert find_places([f"net_{name}" for name in names.values()], [rows]) == [
        [Place("net_", {name: f"net_{written}" for name, written in names.items()})],
    ]


def test_dense_layers_alone_are_a_tables_if_their_prefix_is_the_blocks_own() -> None:
    rows = (ROWS[3], *linear("out", "out", "n n", prefixed="~model#_dense0"))
    names = ["cells0_norm", "fc_dense0_weight", "fc_dense0_bias"]
    assert find_places(names, [rows]) == [[]]
    own = ["model0_dense0_weight", "model0_dense0_bias"]
    assert find_places([*names, *own], [rows]) == [
        [Place("", {"norm": "cells0_norm", "out.weight": own[0], "out.bias": own[1]})],
    ]
