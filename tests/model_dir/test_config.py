"""The target config: labels, problem type and dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from headers import RELEASED, Header, classifier, header_of, language_model

from bort_convert.errors import OptionError
from bort_convert.mapping.fit import Fit, fit
from bort_convert.model_dir.config import dtype_notes, target_config, widest_dtype
from bort_convert.models import bert
from bort_convert.models._bert_forms import TAGGER
from bort_convert.models.bort import FAMILY

if TYPE_CHECKING:
    from bort_convert.arguments import ProblemType


def fit_bort(header: Header) -> Fit:
    return fit(header, [FAMILY])


@pytest.fixture
def three() -> Fit:
    return fit_bort(classifier(**RELEASED | {"labels": 3}))


@pytest.mark.parametrize(("labels", "problem_type"), [(1, "regression"), (3, "single_label_classification")])
def test_a_classifier_without_labels_gets_numbered_ones_and_the_usual_problem_type(
    labels: int, problem_type: str
) -> None:
    config = target_config(fit_bort(classifier(**RELEASED | {"labels": labels})))
    assert config["id2label"] == {str(number): f"LABEL_{number}" for number in range(labels)}
    assert config["label2id"] == {f"LABEL_{number}": number for number in range(labels)}
    assert config["problem_type"] == problem_type


def test_labels_and_problem_type_are_the_requested_ones(three: Fit) -> None:
    config = target_config(three, labels=["no", "maybe", "yes"], problem_type="multi_label_classification")
    assert config["id2label"] == {"0": "no", "1": "maybe", "2": "yes"}
    assert config["label2id"] == {"no": 0, "maybe": 1, "yes": 2}
    assert config["problem_type"] == "multi_label_classification"


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (["a", "b"], "has 2 names; expected 3, one for each output"),
        ([], "has 0 names; expected 3, one for each output"),
        (["a", "b", "a"], "label 3 is 'a', as is label 1"),
        (["\u00e9", "b", "e\u0301"], "label 3 is '\u0065\u0301', as is label 1"),
        (["a", "", "c"], r"label 2 is empty \(''\)"),
        (["a", " \t", "c"], r"label 2 is empty \(' \\t'\)"),
        (["\ufeffa", "b", "c"], r"label 1 is '\\ufeffa', expected characters that can be printed"),
        (["a", "b", "\x1b[31mc"], r"label 3 is '\\x1b\[31mc', expected characters"),
        (["a", "b\u2028c", "d"], r"label 2 is 'b\\u2028c', expected characters"),
        (["a", None, "c"], "label 2 is None, expected a string"),
        (["a", 1, "c"], "label 2 is 1, expected a string"),
        (3, "is int; expected a list of strings"),
    ],
)
def test_labels_that_do_not_name_each_output_once_are_refused(three: Fit, labels: list[str], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        target_config(three, labels=labels)


def test_labels_may_hold_commas_and_any_script(three: Fit) -> None:
    names = ["yes, please", "\u5426", "\U0001f642 ok"]
    assert target_config(three, labels=names)["id2label"] == dict(zip("012", names, strict=True))


@pytest.mark.parametrize("problem_type", ["regression", "multi_label_classification"])
def test_a_classifier_with_one_output_has_no_single_label(problem_type: ProblemType) -> None:
    one = fit_bort(classifier(**RELEASED | {"labels": 1}))
    assert target_config(one, problem_type=problem_type)["problem_type"] == problem_type
    with pytest.raises(OptionError, match="the classifier has one output, expected two or more"):
        target_config(one, problem_type="single_label_classification")


def test_labels_in_one_string_are_refused(three: Fit) -> None:
    with pytest.raises(OptionError, match="`labels='abc'`: is one string; expected a list of strings"):
        target_config(three, labels="abc")


def test_an_unknown_problem_type_is_refused(three: Fit) -> None:
    with pytest.raises(OptionError, match="`problem_type='ranking'`: expected one of regression"):
        target_config(three, problem_type="ranking")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "argument", [{"labels": ["a"]}, {"labels": []}, {"problem_type": "regression"}, {"problem_type": "ranking"}]
)
def test_labels_and_problem_type_are_for_a_classifier(argument: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=r"is for a classifier.*; the checkpoint is a language model") as error:
        target_config(fit_bort(language_model(**RELEASED)), **argument)  # type: ignore[arg-type]
    assert {error.value.option: error.value.value} == argument


def test_a_tagger_has_labels_and_no_problem_type() -> None:
    tagger = fit(header_of(TAGGER, RELEASED | {"type_vocab_size": 2, "labels": 3}), [bert.FAMILY], heads=2)
    config = target_config(tagger, labels=["O", "B", "I"])
    assert config["id2label"] == {"0": "O", "1": "B", "2": "I"}
    assert "problem_type" not in config
    with pytest.raises(OptionError, match="is for a classifier of texts; the checkpoint is a tagger"):
        target_config(tagger, problem_type="single_label_classification")


def test_the_dtype_is_the_checkpoints_or_the_requested_one(three: Fit) -> None:
    assert target_config(three)["dtype"] == "float32"
    assert target_config(three, dtype="bfloat16")["dtype"] == "bfloat16"
    with pytest.raises(OptionError, match="`dtype='int8'`: expected one of float16, bfloat16, float32, float64"):
        target_config(three, dtype="int8")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dtypes", "widest"),
    [
        ({"float32"}, "float32"),
        ({"float16"}, "float16"),
        ({"bfloat16"}, "bfloat16"),
        ({"float16", "float32"}, "float32"),
        ({"bfloat16", "float32"}, "float32"),
        ({"float16", "bfloat16"}, "float32"),
        ({"float32", "float64"}, "float64"),
        ({"float16", "float64", "int64"}, "float64"),
    ],
)
def test_the_widest_dtype_holds_values_of_all(dtypes: set[str], widest: str) -> None:
    assert widest_dtype(sorted(dtypes)) == widest
    assert widest_dtype(sorted(dtypes, reverse=True)) == widest


def test_a_mix_of_dtypes_is_remarked() -> None:
    assert dtype_notes(["float32"] * 3 + ["int64"]) == ()
    assert dtype_notes(["float16"] * 29 + ["float32"] * 10) == (
        "tensors keep their dtypes (29 float16, 10 float32); transformers loads all of them as float32",
    )
