"""Remarks on what a conversion took for granted, and on what the stock class computes otherwise."""

from __future__ import annotations

import pytest

from bort_convert import families
from bort_convert.mapping.family import MODULE_OVERRIDES
from bort_convert.model_dir.manifest import Manifest, SourceFile
from bort_convert.model_dir.remarks import _MEASURED, assumptions, size_name, stock_class_is_right, stock_class_note

ERNIE = {"hidden_act": "relu", "layer_norm_eps": 1e-5, "head_layer_norm_eps": 1e-12, "head_hidden_act": "gelu"}


def manifest(family: str, architecture: str, hyperparameters: dict[str, object], **fields: object) -> Manifest:
    source = SourceFile("x.params", 1)
    return Manifest(source, {}, family=family, architecture=architecture, hyperparameters=hyperparameters, **fields)  # type: ignore[arg-type]


def test_a_size_is_published_only_with_its_vocabulary() -> None:
    dims = dict(families()["gpt2"].variants[0].dims)
    assert size_name("gpt2", "gpt2_117m", {**dims, "vocab_size": 50257}) == "gpt2_117m"
    assert size_name("gpt2", "", {**dims, "vocab_size": 50000}) == "sizes of gpt2_117m, another vocabulary"
    assert size_name("gpt2", "", {**dims, "hidden_size": 8}) == "a size that was not published"
    assert size_name("unheard-of", "", dims) == "a size that was not published"


def test_hyperparameters_and_ids_that_were_taken_for_granted_have_a_line_each() -> None:
    known = {"hidden_act": "gelu_new", "layer_norm_eps": 1e-5, "bos_token_id": 50256, "eos_token_id": 50256}
    assert assumptions(manifest("gpt2", "GPT2LMHeadModel", known, assumed=tuple(known))) == [
        (
            "taken for granted, nothing in the file tells: hidden_act gelu_new, layer_norm_eps 1e-05; "
            "`hyperparameters=...` says otherwise, such as `hyperparameters={'activation': 'gelu'}`"
        ),
        "special token ids by GPT-2's own vocabulary: bos 50256, eos 50256: no vocabulary was given",
    ]
    assert assumptions(manifest("gpt2", "GPT2LMHeadModel", known)) == []


def test_ids_that_the_vocabulary_has_no_row_for_are_named_unless_a_vocabulary_was_given() -> None:
    known = {"hidden_act": "gelu_new", "bos_token_id": 3}
    (line,) = assumptions(manifest("gpt2", "GPT2LMHeadModel", known))
    assert line == (
        "special token ids left out: eos 50256 by GPT-2's own vocabulary, and this one has no such row: no vocabulary "
        "was given"
    )
    assert assumptions(manifest("gpt2", "GPT2LMHeadModel", known, tokenizer={"a.vocab": ""})) == []
    assert assumptions(manifest("unheard-of", "BertModel", known)) == []


def test_the_heads_hyperparameters_are_taken_for_granted_only_with_a_head() -> None:
    for architecture, named in (("BertForMaskedLM", True), ("BertForSequenceClassification", False)):
        lines = assumptions(manifest("ernie", architecture, {**ERNIE, "pad_token_id": 0}, assumed=tuple(ERNIE)))
        assert ("head_hidden_act gelu" in lines[0]) is named


@pytest.mark.parametrize(
    ("architecture", "hyperparameters", "note"),
    [
        (
            "BertForMaskedLM",
            ERNIE,
            (
                "The config has no key for the head's LayerNorm epsilon 1e-12 and the head's activation gelu: the "
                "stock class is off by up to 0.7 in the logits of the masked-language-model head"
            ),
        ),
        (
            "BertModel",
            {**ERNIE, "embedding_layer_norm_eps": 1e-12},
            (
                "The config has no key for the embeddings' LayerNorm epsilon 1e-12: the stock class is off by up to "
                "6e-3 in the hidden states"
            ),
        ),
        (
            "XLNetLMHeadModel",
            {"hidden_act": "gelu", "clamp_len": 5},
            (
                "The config has no key for the clamp length of relative positions 5: the stock class is off by up to "
                "0.4 in the hidden states"
            ),
        ),
        ("BertModel", ERNIE, ""),
        ("XLNetLMHeadModel", {"hidden_act": "gelu", "clamp_len": -1}, ""),
    ],
)
def test_a_difference_of_the_stock_class_is_said_with_its_size(
    architecture: str, hyperparameters: dict[str, object], note: str
) -> None:
    found = manifest("ernie", architecture, hyperparameters)
    assert stock_class_note(found) == note
    assert stock_class_is_right(architecture, hyperparameters) is (note == "")  # type: ignore[arg-type]


def test_the_epsilon_of_a_head_alone_is_a_documented_deviation() -> None:
    known = {"hidden_act": "gelu", "layer_norm_eps": 1e-5, "head_layer_norm_eps": 1e-12}
    assert stock_class_is_right("BertForMaskedLM", known)
    assert stock_class_note(manifest("bort", "BertForMaskedLM", known)).endswith(
        "off by up to 6e-5 in the logits of the masked-language-model head"
    )


def test_a_difference_that_a_verification_measured_is_quoted() -> None:
    parity = {"checks": {"bits": "some", "as used": "mlm_logits: max |d| 5.4e-05\nmore"}}
    note = stock_class_note(manifest("bort", "BertForMaskedLM", {"head_layer_norm_eps": 1e-12}, parity=parity))
    assert note.endswith(
        "up to 6e-5 in the logits of the masked-language-model head; measured here: mlm_logits: max |d| 5.4e-05"
    )
    assert stock_class_note(manifest("bort", "BertModel", {}, parity=parity)) == ""


def test_every_module_override_has_a_measured_figure() -> None:
    assert _MEASURED.keys() == MODULE_OVERRIDES.keys()
