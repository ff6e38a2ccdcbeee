from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from bort_convert.agora.teacher import CallableTeacher, accuracy_on, load_teacher, weak_problem
from bort_convert.agora.values import Example
from bort_convert.errors import OptionError

if TYPE_CHECKING:
    from pathlib import Path

LABELS = ("neg", "pos")
GOOD = (
    "I love this film.",
    "A wonderful meal and kind people.",
    "It works very well, I am happy.",
    "Great fun.",
)
BAD = (
    "I hate this film.",
    "An awful meal and rude people.",
    "It broke at once, I am angry.",
    "Boring and long.",
)
EXAMPLES = tuple(Example(text, label) for label, texts in enumerate((BAD, GOOD)) for text in texts)
NEW = tuple(Example(text, 1) for text in ("What a lovely day.", "The best book that I have read.")) + tuple(
    Example(text, 0) for text in ("What a horrible day.", "The worst book that I have read.")
)


def first_word(texts: object) -> list[object]:
    answers: dict[str, object] = {"a": "pos", "b": 0, "c": (0.25, 0.75)}
    assert isinstance(texts, list)
    return [answers[text.split()[0]] for text in texts]


def test_a_function_may_give_names_indices_or_probabilities() -> None:
    teacher = load_teacher(first_word, EXAMPLES, LABELS, candidate="nowhere")
    assert teacher.probabilities(["a x", "b", "c y"]) == [(0.0, 1.0), (1.0, 0.0), (0.25, 0.75)]
    assert teacher.probabilities([]) == []
    assert teacher.digest == f"{__name__}:first_word"
    assert accuracy_on(teacher, [Example("a", 1), Example("b", 1), Example("c", 1), Example("b x", 0)]) == 0.75


@pytest.mark.parametrize("answer", ["none", 2, -1, (0.5, 0.6), (1.5, -0.5), (1.0,), None, (float("nan"), 1.0)])
def test_an_answer_that_is_none_is_refused(answer: object) -> None:
    teacher = CallableTeacher(lambda texts: [answer for _ in texts], LABELS)  # type: ignore[misc]
    with pytest.raises(OptionError, match="expected one of 'neg', 'pos', an index below 2, or 2 probabilities"):
        teacher.probabilities(["a"])


def test_as_many_answers_as_texts_are_wanted() -> None:
    with pytest.raises(OptionError, match="gave 1 answers for 2 texts"):
        CallableTeacher(lambda _: [0], LABELS).probabilities(["a", "b"])


def test_more_than_two_thirds_are_needed() -> None:
    assert weak_problem(41 / 60, 60) == ""
    assert "0.667 on dev (40 of 60)" in weak_problem(40 / 60, 60)
    assert "0.500 on dev" in weak_problem(0.5, 10)


def test_what_is_no_teacher_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "here")
    with pytest.raises(OptionError, match="is the candidate itself"):
        load_teacher(tmp_path / "link", EXAMPLES, LABELS, candidate=str(tmp_path / "here"))
    with pytest.raises(OptionError, match=r"has no config\.json"):
        load_teacher(str(tmp_path), EXAMPLES, LABELS, candidate="nowhere")


@pytest.mark.torch
def test_a_sentence_encoder_learns_its_head_from_the_training_set_alone(real_weights: Path) -> None:
    teacher = load_teacher(real_weights, EXAMPLES, LABELS, candidate="nowhere")
    rows = teacher.probabilities([example.text for example in NEW])
    assert all(sum(row) == pytest.approx(1) for row in rows)
    assert accuracy_on(teacher, NEW) == 1.0
    turned = tuple(dataclasses.replace(example, label=1 - example.label) for example in EXAMPLES)
    assert accuracy_on(load_teacher(real_weights, turned, LABELS, candidate="nowhere"), NEW) == 0.0
    assert teacher.probabilities([]) == []


@pytest.mark.torch
def test_the_vectors_of_a_sentence_encoder_are_means_over_its_tokens(real_weights: Path) -> None:
    import torch
    import transformers

    from bort_convert.agora.encoders import SentenceTeacher

    teacher = SentenceTeacher(str(real_weights), EXAMPLES, LABELS, 128)
    tokenizer = transformers.AutoTokenizer.from_pretrained(real_weights)
    hidden = transformers.AutoModel.from_pretrained(real_weights)(**tokenizer(GOOD[1], return_tensors="pt"))
    mean = hidden.last_hidden_state.mean(1)
    found = teacher._vectors(GOOD)  # noqa: SLF001 - the padding of the others must not be in it
    torch.testing.assert_close(found[1], (mean / mean.norm())[0].double(), rtol=1e-4, atol=1e-5)
    pairs = tuple(Example(text, label, "And so on.") for label, texts in enumerate((BAD, GOOD)) for text in texts)
    assert accuracy_on(SentenceTeacher(str(real_weights), pairs, LABELS, 128), pairs) == 1.0


@pytest.mark.torch
def test_a_classifier_answers_in_the_order_of_the_task(little: str, tmp_path: Path) -> None:
    import torch

    from bort_convert.agora.classifier import fresh_classifier

    torch.manual_seed(1)
    classifier = fresh_classifier(little, ("pos", "neg"), 128)
    classifier.save(str(tmp_path / "teacher"))
    expected = classifier.probabilities(classifier.encode(GOOD), 4)
    teacher = load_teacher(tmp_path / "teacher", (), LABELS, candidate=little)
    assert teacher.probabilities([]) == []
    for row, (positive, negative) in zip(teacher.probabilities(GOOD), expected.tolist(), strict=True):
        assert row == pytest.approx((negative, positive), rel=1e-5)
    with pytest.raises(OptionError, match="has the labels pos, neg; expected no, yes"):
        load_teacher(tmp_path / "teacher", (), ("no", "yes"), candidate=little)
    classifier.model.config.id2label = {0: "LABEL_0", 1: "LABEL_1"}
    classifier.save(str(tmp_path / "nameless"))
    nameless = load_teacher(tmp_path / "nameless", (), LABELS, candidate=little)
    assert nameless.probabilities(GOOD[:1])[0] == pytest.approx(tuple(expected[0].tolist()), rel=1e-5)
