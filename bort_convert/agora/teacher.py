"""The teacher, which labels made points: a trained classifier, a sentence encoder with a head, or a Python function."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.agora.metrics import score
from bort_convert.errors import OptionError, printable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from bort_convert.agora.values import Example, Teacher, Text

    Answer = int | str | Sequence[float]
    Function = Callable[[Sequence[Text]], Sequence[Answer]]

NEEDED: Final = Fraction(2, 3)
"""A teacher must be right on more than this share of the dev set."""
_SUM: Final = 1e-3
_TRAINED: Final = "ForSequenceClassification"


def load_teacher(
    source: str | os.PathLike[str] | Function,
    train: Sequence[Example],
    labels: Sequence[str],
    *,
    candidate: str | os.PathLike[str],
    length: int = 128,
) -> Teacher:
    """Make a teacher.

    Args:
        source: directory of a classifier that transformers loads, whose labels are those of the task; directory of a
            sentence encoder, on whose mean-pooled vectors a linear head is fitted; or a function from texts to label
            names, indices or probabilities.
        train: what the head of a sentence encoder is fitted on. It never sees another set.
        labels: names of the labels.
        candidate: directory of the model to train, which cannot be its own teacher.
        length: tokens at which a text is cut.

    Raises:
        OptionError: the source cannot be a teacher.
    """
    if callable(source):
        return CallableTeacher(source, labels)
    directory = Path(source)
    if directory.resolve() == Path(candidate).resolve():
        raise OptionError("teacher", source, "is the candidate itself; expected a model that is trained for the task")
    if not (directory / "config.json").is_file():
        raise OptionError("teacher", source, "has no config.json; expected a directory that transformers loads")
    from bort_convert.agora.encoders import ClassifierTeacher, SentenceTeacher, architecture  # noqa: PLC0415 - torch

    name = str(directory)
    if architecture(name).endswith(_TRAINED):
        return ClassifierTeacher(name, labels, length)
    return SentenceTeacher(name, train, labels, length)


class CallableTeacher:
    """A Python function that labels texts.

    Args:
        function: from texts to an answer for each: a label's name or index, or probabilities of all labels.
        labels: names of the labels.
    """

    def __init__(self, function: Function, labels: Sequence[str]) -> None:
        self._function, self._labels = function, tuple(labels)
        name = getattr(function, "__qualname__", type(function).__qualname__)
        self.digest = f"{getattr(function, '__module__', type(function).__module__)}:{name}"

    def probabilities(self, texts: Sequence[Text]) -> list[tuple[float, ...]]:
        """Probability of each label, for each text; 1 for a label that the function named.

        Raises:
            OptionError: the function gives another number of answers, or one that is none.
        """
        answers = list(self._function(texts)) if texts else []
        if len(answers) != len(texts):
            raise OptionError("teacher", self.digest, f"gave {len(answers)} answers for {len(texts)} texts")
        return [self._row(answer) for answer in answers]

    def _row(self, answer: Any) -> tuple[float, ...]:  # noqa: ANN401 - a user's function gives anything
        count = len(self._labels)
        if isinstance(answer, str) and answer in self._labels:
            answer = self._labels.index(answer)
        if hasattr(answer, "__index__") and 0 <= int(answer) < count:
            return tuple(float(index == int(answer)) for index in range(count))
        row = () if isinstance(answer, str) or not hasattr(answer, "__len__") else tuple(map(float, answer))
        if len(row) == count and all(0 <= value <= 1 for value in row) and math.isclose(sum(row), 1, abs_tol=_SUM):
            return row
        expected = f"one of {', '.join(map(repr, self._labels))}, an index below {count}, or {count} probabilities"
        raise OptionError("teacher", self.digest, f"answered {printable(repr(answer))}; expected {expected}")


def accuracy_on(teacher: Teacher, examples: Sequence[Example]) -> float:
    """Share of the examples that a teacher labels as they are.

    Raises:
        OptionError: the teacher gives no probabilities.
    """
    rows = teacher.probabilities([example.texts for example in examples])
    guesses = [max(range(len(row)), key=row.__getitem__) for row in rows]
    return score("accuracy", [example.label for example in examples], guesses)


def weak_problem(accuracy: float, points: int) -> str:
    """A line on a teacher that is not above `NEEDED` on the dev set; "" for one that is."""
    if round(accuracy * points) > NEEDED * points:
        return ""
    return (
        f"the teacher has {accuracy:.3f} on dev ({round(accuracy * points)} of {points}); more than 2/3 is needed, "
        "or its labels harm. `weak_teacher=True` accepts it"
    )
