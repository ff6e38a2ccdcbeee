from __future__ import annotations

import pytest
from headers import RELEASED, Header, classifier, language_model

from bort_convert.errors import VariantError
from bort_convert.mapping.fit import Fit, fit
from bort_convert.model_dir.config import config_of
from bort_convert.models.bort import FAMILY


def fit_bort(header: Header) -> Fit:
    return fit(header, [FAMILY])


@pytest.fixture
def three() -> Fit:
    return fit_bort(classifier(**RELEASED | {"labels": 3}))


@pytest.mark.parametrize(("labels", "problem"), [(1, "regression"), (3, "single_label_classification")])
def test_a_classifier_without_names_gets_numbered_labels_and_the_usual_problem(labels: int, problem: str) -> None:
    config = config_of(fit_bort(classifier(**RELEASED | {"labels": labels})))
    assert config["id2label"] == {str(number): f"LABEL_{number}" for number in range(labels)}
    assert config["label2id"] == {f"LABEL_{number}": number for number in range(labels)}
    assert config["problem_type"] == problem


def test_labels_and_the_problem_are_what_was_asked_for(three: Fit) -> None:
    config = config_of(three, labels=["no", "maybe", "yes"], problem_type="multi_label_classification")
    assert config["id2label"] == {"0": "no", "1": "maybe", "2": "yes"}
    assert config["label2id"] == {"no": 0, "maybe": 1, "yes": 2}
    assert config["problem_type"] == "multi_label_classification"


@pytest.mark.parametrize(
    ("labels", "said"),
    [(["a", "b"], 2), (["a", "b", "a"], 2), ([], 0)],
)
def test_labels_that_do_not_name_each_output_once_are_refused(three: Fit, labels: list[str], said: int) -> None:
    with pytest.raises(VariantError, match=f"has {said} different names; expected 3, one for each of the outputs"):
        config_of(three, labels=labels)


def test_an_unknown_problem_is_refused(three: Fit) -> None:
    with pytest.raises(VariantError, match="problem_type is 'ranking', expected one of regression"):
        config_of(three, problem_type="ranking")


@pytest.mark.parametrize(
    ("given", "option"), [({"labels": ["a"]}, "--labels"), ({"problem_type": "regression"}, "--problem-type")]
)
def test_labels_are_for_a_classifier(given: dict[str, object], option: str) -> None:
    with pytest.raises(VariantError, match=f"{option} is for a classifier; the checkpoint is a language model"):
        config_of(fit_bort(language_model(**RELEASED)), **given)  # type: ignore[arg-type]


def test_the_dtype_is_the_checkpoint_s_or_the_one_asked_for(three: Fit) -> None:
    assert config_of(three)["dtype"] == "float32"
    assert config_of(three, dtype="bfloat16")["dtype"] == "bfloat16"
    with pytest.raises(VariantError, match="dtype is 'int8', expected one of float"):
        config_of(three, dtype="int8")
