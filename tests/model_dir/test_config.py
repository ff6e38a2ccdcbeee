"""The target config: labels, problem type and dtype."""

from __future__ import annotations

import pytest
from headers import RELEASED, Header, classifier, language_model

from bort_convert.errors import OptionError
from bort_convert.mapping.fit import Fit, fit
from bort_convert.model_dir.config import target_config
from bort_convert.models.bort import FAMILY


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
    ("labels", "different"),
    [(["a", "b"], 2), (["a", "b", "a"], 2), ([], 0)],
)
def test_labels_that_do_not_name_each_output_once_are_refused(three: Fit, labels: list[str], different: int) -> None:
    with pytest.raises(OptionError, match=f"has {different} different names; expected 3, one for each of the outputs"):
        target_config(three, labels=labels)


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
    with pytest.raises(OptionError, match="is for a classifier; the checkpoint is a language model") as error:
        target_config(fit_bort(language_model(**RELEASED)), **argument)  # type: ignore[arg-type]
    assert {error.value.option: error.value.value} == argument


def test_the_dtype_is_the_checkpoints_or_the_requested_one(three: Fit) -> None:
    assert target_config(three)["dtype"] == "float32"
    assert target_config(three, dtype="bfloat16")["dtype"] == "bfloat16"
    with pytest.raises(OptionError, match="`dtype='int8'`: expected one of float16, bfloat16, float32, float64"):
        target_config(three, dtype="int8")  # type: ignore[arg-type]
