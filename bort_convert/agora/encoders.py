"""Teachers that transformers loads: a trained classifier, and a sentence encoder with a linear head of our own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
import transformers

from bort_convert.agora.classifier import columns, load_tokenizer, longest, settled, trained_classifier
from bort_convert.errors import OptionError
from bort_convert.files.streams import sha256_of_folder
from bort_convert.verification.torch_run import quiet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bort_convert.agora.values import Example, Text

BATCH: Final = 64
PENALTY: Final = 0.1
"""Weight of half the squared norm of a head, beside the sum of the losses of its points."""
_STEPS: Final = 200


def architecture(directory: str) -> str:
    """The class of transformers that config.json names; "" for none.

    Raises:
        OptionError: transformers cannot load the config.
    """
    try:
        config = transformers.AutoConfig.from_pretrained(directory, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise _unloadable(directory, error) from error
    return str((config.architectures or [""])[0])


class ClassifierTeacher:
    """A trained classifier of transformers.

    Args:
        directory: of the classifier, with its tokenizer.
        labels: names of the labels; the classifier's are the same, or LABEL_0 and LABEL_1 in that order.
        length: tokens at which a text is cut.

    Raises:
        OptionError: transformers cannot load it, or it has other labels.
    """

    def __init__(self, directory: str, labels: Sequence[str], length: int) -> None:
        self.digest = sha256_of_folder(Path(directory))
        self._classifier = trained_classifier(directory, length, "teacher")
        names = [str(name) for _, name in sorted(self._classifier.model.config.id2label.items())]
        if names == [f"LABEL_{number}" for number in range(len(labels))]:
            names = list(labels)
        if sorted(names) != sorted(labels):
            raise OptionError("teacher", directory, f"has the labels {', '.join(names)}; expected {', '.join(labels)}")
        self._order = [names.index(label) for label in labels]

    def probabilities(self, texts: Sequence[Text]) -> list[tuple[float, ...]]:
        """Probability of each label, for each text."""
        if not texts:
            return []
        with settled():
            rows = self._classifier.probabilities(self._classifier.encode(texts), BATCH)
        return [tuple(row) for row in rows[:, self._order].tolist()]


class SentenceTeacher:
    """A linear head on the vectors of a sentence encoder; of a pair on both, their distance and their product.

    Args:
        directory: of the encoder, with its tokenizer.
        train: what the head is fitted on.
        labels: names of the labels.
        length: tokens at which a text is cut.

    Raises:
        OptionError: transformers cannot load the encoder.
    """

    def __init__(self, directory: str, train: Sequence[Example], labels: Sequence[str], length: int) -> None:
        self.digest = sha256_of_folder(Path(directory))
        self._tokenizer = load_tokenizer(directory, "teacher")
        try:
            with quiet():
                self._model = transformers.AutoModel.from_pretrained(directory, local_files_only=True).eval()
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise _unloadable(directory, error) from error
        self._length = min(length, longest(self._model.config, self._tokenizer))
        targets = torch.tensor([example.label for example in train])
        with settled():
            self._head = _fitted(self._features([example.texts for example in train]), targets, len(labels))

    def probabilities(self, texts: Sequence[Text]) -> list[tuple[float, ...]]:
        """Probability of each label, for each text."""
        if not texts:
            return []
        with settled(), torch.no_grad():
            rows = self._head(self._features(texts)).softmax(-1)
        return [tuple(row) for row in rows.tolist()]

    def _features(self, texts: Sequence[Text]) -> torch.Tensor:
        first, second = columns(texts)
        one = self._vectors(first)
        if second is None:
            return one
        other = self._vectors(second)
        return torch.cat((one, other, (one - other).abs(), one * other), -1)

    def _vectors(self, texts: Sequence[str]) -> torch.Tensor:
        """Mean of the last hidden state over the tokens, of length 1: float64 (texts, hidden_size)."""
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))  # so that a batch has little padding
        parts = []
        for start in range(0, len(texts), BATCH):
            batch = self._tokenizer(
                [texts[row] for row in order[start : start + BATCH]],
                truncation=True,
                max_length=self._length,
                padding=True,
                return_tensors="pt",
            )
            with torch.no_grad():
                hidden = self._model(**batch).last_hidden_state.double()
            mask = batch["attention_mask"].unsqueeze(-1)
            parts.append(torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1))
        return torch.cat(parts)[torch.tensor(order).argsort()]


def _fitted(features: torch.Tensor, targets: torch.Tensor, labels: int) -> torch.nn.Linear:
    """Logistic regression: its loss is convex, so the start does not matter and there is no seed."""
    head = torch.nn.Linear(features.shape[1], labels, dtype=torch.float64)
    for values in head.parameters():
        torch.nn.init.zeros_(values)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(head(features), targets, reduction="sum")
        value = value + PENALTY / 2 * head.weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call] # torch has no type for it
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call] # torch has no type for it
    return head


def _unloadable(directory: str, error: Exception) -> OptionError:
    return OptionError("teacher", directory, f"transformers cannot load it: {str(error).strip().split(chr(10), 1)[0]}")
