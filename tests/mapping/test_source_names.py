from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from headers import CLASSIFIER, LANGUAGE_MODEL
from hypothesis import given
from hypothesis import strategies as st

from bort_convert.mapping.rows import rename
from bort_convert.mapping.source_names import (
    any_of,
    numbers_in,
    placeholder_pattern,
    prefixed_names,
    structural_names,
)

if TYPE_CHECKING:
    from bort_convert.mapping.rows import Rows

CELL = "encoder.transformer_cells.3"
# From gluonnlp 0.8.3, with counters that another process could have reached, and from 0.10.
PREFIXED = {
    "bortmodel12_word_embed_embedding0_weight": "word_embed.0.weight",
    "bortmodel12_word_embed_embedding0_bias": "decoder.3.bias",
    "bortmodel12_dense7_weight": "decoder.0.weight",
    "bortmodel12_bertlayernorm0_gamma": "decoder.2.gamma",
    "robertamodel0_layernorm0_beta": "decoder.2.beta",
    "distilbertmodel0_word_embed_embedding0_weight": "word_embed.0.weight",
    "bertencoder0_layernorm0_beta": "encoder.layer_norm.beta",
    "bertencoder0_transformer3_positionwiseffn0_layernorm0_beta": f"{CELL}.ffn.layer_norm.beta",
    "bertencoder5_position_weight": "encoder.position_weight",
    "bertencoder5_bertlayernorm0_gamma": "encoder.layer_norm.gamma",
    "bertencoder5_transformer3_multiheadattentioncell0_query_bias": f"{CELL}.attention_cell.proj_query.bias",
    "bertencoder0_transformer3_dotproductselfattentioncell0_key_weight": f"{CELL}.attention_cell.proj_key.weight",
    "bertencoder5_transformer3_proj_weight": f"{CELL}.proj.weight",
    "bertencoder5_transformer3_bertlayernorm0_beta": f"{CELL}.layer_norm.beta",
    "bertencoder5_transformer3_bertpositionwiseffn0_ffn_1_bias": f"{CELL}.ffn.ffn_1.bias",
    "bertencoder0_transformer3_positionwiseffn0_ffn_2_weight": f"{CELL}.ffn.ffn_2.weight",
    "bertencoder5_transformer3_bertpositionwiseffn0_bertlayernorm0_gamma": f"{CELL}.ffn.layer_norm.gamma",
}


@pytest.mark.parametrize(("name", "structural"), PREFIXED.items())
def test_a_prefixed_name_with_any_counters_becomes_a_structural_name(name: str, structural: str) -> None:
    assert structural_names([name], LANGUAGE_MODEL) == ({structural: name}, [])
    assert structural_names([f"arg:{name}"], LANGUAGE_MODEL) == ({structural: f"arg:{name}"}, [])


@given(data=st.data(), rows=st.sampled_from([LANGUAGE_MODEL, CLASSIFIER]))
def test_any_counters_and_class_names_give_the_structural_names_of_the_table(data: st.DataObject, rows: Rows) -> None:
    known = [source for row in rows for source in row.sources if source.prefixed]
    sources = data.draw(st.lists(st.sampled_from(known), min_size=1, unique=True))
    marker = data.draw(st.sampled_from(["", "arg:", "aux:"]))
    expected = {}
    for source in sources:
        text = source.prefixed
        while "#" in text:
            text = text.replace("#", str(data.draw(st.integers(0, 10**9))), 1)
        while "~" in text:
            text = text.replace("~", data.draw(st.text("abcz", max_size=5)), 1)
        text = re.sub(r"\[(.*?)\]", r"\1" if data.draw(st.booleans()) else "", text)
        layer = data.draw(st.integers(0, 999_999))
        expected[source.name.format(layer=layer)] = marker + text.format(layer=layer)
    assert structural_names(expected.values(), rows) == (expected, [])


def test_dense_layers_of_a_classifier_are_not_those_of_a_language_model() -> None:
    names = ["bortclassifier0_dense0_weight", "bortclassifier0_dense1_bias", "bertencoder0_position_weight"]
    mapped, _ = structural_names(names, CLASSIFIER)
    assert list(mapped) == ["classifier.1.weight", "classifier.3.bias", "bort.encoder.position_weight"]


def test_names_with_dots_are_structural_already() -> None:
    names = ["arg:encoder.layer_norm.gamma", "aux:x", "bertencoder0_position_weight"]
    mapped, clashes = structural_names(names, LANGUAGE_MODEL)
    assert mapped == {
        "encoder.layer_norm.gamma": "arg:encoder.layer_norm.gamma",
        "x": "aux:x",
        "bertencoder0_position_weight": "bertencoder0_position_weight",
    }
    assert clashes == []


def test_two_names_for_one_tensor_are_reported() -> None:
    _, clashes = structural_names(["bertencoder0_position_weight", "bertencoder1_position_weight"], LANGUAGE_MODEL)
    assert clashes == [
        (
            "'bertencoder1_position_weight' and 'bertencoder0_position_weight' both mean encoder.position_weight; "
            "expected one of them"
        )
    ]


@pytest.mark.parametrize("name", ["", "bertencoder0_transformer_proj_weight", "x" * 100_000, "bertencoder0_\0", "ä"])
def test_a_name_that_no_row_knows_stays_as_it_is(name: str) -> None:
    assert structural_names([name], LANGUAGE_MODEL) == ({name: name}, [])


def test_a_placeholder_is_a_number_without_leading_zeros_and_a_dot_is_a_dot() -> None:
    pattern = placeholder_pattern("cells.{layer}.w")
    assert [
        bool(pattern.fullmatch(text)) for text in ("cells.0.w", "cells.12.w", "cells.01.w", "cellsx0.w", "cells.-1.w")
    ] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert not pattern.fullmatch(f"cells.{'9' * 5000}.w")


def test_the_numbers_of_a_placeholder_are_found_in_names_that_match_the_rest_of_a_template() -> None:
    templates = ["cells.{layer}.w", "cells.{layer}.b", "parts.{part}"]
    names = ["cells.0.w", "cells.3.b", "cells.3.w", "cells.4.x", "cells.5", "parts.7", "parts.8.w", "cells.9.w.w", "w"]
    assert numbers_in(names, templates) == {"layer": {0, 3}, "part": {7}}
    others = [
        "cells.01.w",
        "cellsx0.w",
        "cells.-1.w",
        "cells.\u0663.w",
        "cells..w",
        "cells.\n.w",
        f"cells.{'9' * 5000}.w",
    ]
    assert numbers_in(others, templates) == {"layer": set(), "part": set()}
    assert numbers_in(names, []) == {}


def test_the_number_of_the_last_layer_is_0_without_layers() -> None:
    rows = (
        rename("norm", "x", "n", prefixed="#_{last}_norm"),
        rename("h.{layer}", "y.{layer}", "n", prefixed="h{layer}"),
    )
    assert prefixed_names(["norm"], rows, "bert") == {"norm": "0_0_norm"}
    assert prefixed_names(["h.2", "norm", "h.1", "other"], rows, "bert") == {
        "h.2": "h2",
        "norm": "0_2_norm",
        "h.1": "h1",
    }


def test_the_signs_of_a_prefixed_name_are_what_gluonnlp_writes_first() -> None:
    rows = (rename("a.{layer}", "a.{layer}", "n", prefixed="[~classifier#_]~encoder#_h{layer}_~ffn#"),)
    assert prefixed_names(["a.2"], rows, "bort") == {"a.2": "bortclassifier0_bertencoder0_h2_bertpositionwiseffn0"}


def test_several_placeholders_of_one_name_are_found_beside_numbers_that_stand_in_the_table() -> None:
    templates = ["cells.{layer}.0.ffn.{ffn}.w", "cells.{layer}.1.ffn.{other}.w"]
    names = ["cells.2.0.ffn.5.w", "cells.3.1.ffn.0.w", "cells.4.2.ffn.6.w", "cells.5.0.ffn..w", "cells.6.0.ffn.w"]
    assert numbers_in(names, templates) == {"layer": {2, 3}, "ffn": {5}, "other": {0}}
    assert numbers_in(["cells.{layer}.0.ffn.{ffn}.w", "cells...ffn..w"], templates) == {
        "layer": set(),
        "ffn": set(),
        "other": set(),
    }


def test_one_pattern_matches_whatever_any_of_several_matches() -> None:
    known = any_of([placeholder_pattern("cells.{layer}.w"), placeholder_pattern("{layer}.b|c"), re.compile("last")])
    assert all(known.fullmatch(name) for name in ("cells.3.w", "12.b|c", "last"))
    assert not any(known.fullmatch(name) for name in ("cells.x.w", "12.b", "c", "cells.3.w12.b|c", "lastly", ""))
    assert not any_of([]).fullmatch("")
