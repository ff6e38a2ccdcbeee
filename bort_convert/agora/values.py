"""What the loop, its trials, its teacher and its generators give one another: plain values that can be pickled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

Text = str | tuple[str, str]
"""One text, or a pair of texts."""
Hyperparameters = dict[str, int | float]
"""One tuple of Theta: field -> value, in a fixed order."""
Metric = Literal["accuracy", "f1", "matthews"]
Epoch = Literal["best", "last"]

FIELDS: Final[Hyperparameters] = {
    "lr": 3e-5,
    "decay": 0.01,
    "warmup": 0.35,
    "batch": 8,
    "epochs": 30,
    "ramp_up_epochs": 30,
    "patience": 10,
    "length": 128,
    "seed": 0,
}
"""Fields that a tuple may have, and the value of each where Theta does not name it."""
FAILED: Final = -2.0
"""Score of a trial that failed: less than each metric of a model, of which F1 can be 0 and Matthews' correlation -1."""


@dataclass(frozen=True)
class Example:
    """One labelled text.

    Attributes:
        text: the text, or the first of a pair.
        label: index of its label.
        pair: the second text of a pair; None for a single text.
        probabilities: of both labels, where a teacher gave them and they are to be learned; None to learn `label`.
    """

    text: str
    label: int
    pair: str | None = None
    probabilities: tuple[float, ...] | None = None

    @property
    def texts(self) -> Text:
        """The text, or the pair."""
        return self.text if self.pair is None else (self.text, self.pair)


@dataclass(frozen=True)
class MadePoint:
    """A training point that was made from a mistake, or taken from a pool.

    Attributes:
        example: the point, as the teacher labelled it.
        parent: row of the dev set that it was made from, from 0; of the pool for a text from there.
        how: what made it, such as "mask" or "pool".
    """

    example: Example
    parent: int
    how: str


@dataclass(frozen=True)
class TrialSpec:
    """Everything that decides a trial: the same spec gives the same result on the same processor.

    Attributes:
        id: such as "0003-07": round and place in Theta.
        candidate: directory of the model to train; transformers loads it.
        folder: where the trial writes: `result.json` if it likes, and the weights.
        train: what it learns.
        dev: what it is measured on after each epoch.
        labels: their names; index 1 is the positive one for F1 and Matthews.
        theta: every field of `FIELDS`.
        seed: of everything random in the trial: head, order, dropout.
        judged: rows of `dev` that score and best epoch count; None for all of them.
        metric: what the score is.
        epoch: the epoch that counts: the best on `dev`, of equals the first, or the last.
        save_from: save the model if the score is at least this; None to save none.
        device: of torch.
        freeze: parts that are not trained: "embeddings".
        warm_start: directory of a trained model to start from in place of a fresh head; "" for none.
    """

    id: str
    candidate: str
    folder: str
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    labels: tuple[str, ...]
    theta: Hyperparameters
    seed: int
    judged: tuple[int, ...] | None = None
    metric: Metric = "accuracy"
    epoch: Epoch = "best"
    save_from: float | None = 0.0
    device: str = "cpu"
    freeze: tuple[str, ...] = ()
    warm_start: str = ""


@dataclass(frozen=True)
class TrialResult:
    """What came of a trial. It knows nothing of the test set, which is predicted by the chosen model after the run.

    Attributes:
        id: of the spec.
        score: the metric on the judged rows of the dev set, at the epoch that counts; `FAILED` for a failed trial.
        predictions: label index of each row of the whole dev set at that epoch; () for a failed trial.
        epochs: epochs trained.
        epoch: the epoch that counts, from 1; 0 for a failed trial.
        seconds: wall time.
        failure: one line on what ended the trial early, such as a loss that is not finite; "" for none.
        weights: directory of the saved model, for transformers, with its tokenizer; "" for none.
    """

    id: str
    score: float
    predictions: tuple[int, ...] = ()
    epochs: int = 0
    epoch: int = 0
    seconds: float = 0.0
    failure: str = ""
    weights: str = ""


@dataclass(frozen=True)
class PredictionSpec:
    """Texts for a saved model.

    Attributes:
        model: directory of the model.
        texts: what it classifies.
        length: tokens at which a text is cut.
        device: of torch.
    """

    model: str
    texts: tuple[Text, ...]
    length: int = 128
    device: str = "cpu"


@dataclass(frozen=True)
class StepTime:
    """Seconds of parts of a trial, measured.

    Attributes:
        step: one training step of a whole batch.
        evaluation: one pass over the dev set.
        start: from nothing to the first step: imports, reading of the model.
    """

    step: float
    evaluation: float
    start: float = 0.0


@dataclass(frozen=True)
class Data:
    """The data sets of a run, read and compared.

    Attributes:
        train: the training set, D.
        dev: the evaluation set, E.
        test: the set that the loop never sees, T; () without one.
        pool: unlabelled texts; () without any.
        labels: names of both labels.
        digests: SHA-256 of each set, by its name.
        problems: everything that is wrong, a line each; a run starts only without any.
        warnings: everything that is doubtful, a line each.
    """

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...] = ()
    pool: tuple[Text, ...] = ()
    labels: tuple[str, ...] = ()
    digests: dict[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Made:
    """What a generator made in one round, before the teacher has labelled it.

    Attributes:
        texts: the text, the row of the dev set that it was made from and what made it, for each point.
        skipped: points for which no text was found that is near enough and new.
    """

    texts: tuple[tuple[Text, int, str], ...]
    skipped: int = 0


class Teacher(Protocol):
    """A trained model that labels."""

    @property
    def digest(self) -> str:
        """What a resumed run compares: SHA-256 of its files, or the name of a callable."""
        ...

    def probabilities(self, texts: Sequence[Text]) -> list[tuple[float, ...]]:
        """Probability of each label, for each text."""
        ...


class Tau(Protocol):
    """Makes a text that is similar to another one."""

    def __call__(self, text: str, chance: random.Random, /) -> str:
        """A text like `text`; the same for the same state of `chance`."""
        ...
