"""Train one tuple: a plain torch loop with the authors' optimiser and schedule, and what came of it.

The same spec gives the same result on the CPU: one thread, and every random number from the spec's seed. On a GPU sums
are rounded in any order, and mixed precision is used; nothing of this has been run on one.
"""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

import torch

from bort_convert.agora.classifier import Classifier, freeze, fresh_classifier, settled, trained_classifier
from bort_convert.agora.metrics import score
from bort_convert.agora.optimizer import BertAdam, clip_gradients, parameter_groups, rate_at, set_rate
from bort_convert.agora.values import FAILED, StepTime, TrialResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from bort_convert.agora.values import PredictionSpec, TrialSpec

EVALUATION_BATCH: Final = 64
FULL_PRECISION: Final = ("cpu",)
"""Types of devices on which a step is computed in float32; on others in bfloat16 where torch's autocast has it so."""
_TIMED_ROWS: Final = 64


class TrialError(Exception):
    """A trial cannot go on; the message is the reason in its result."""


def run_trial(spec: TrialSpec) -> TrialResult:
    """Train a model and measure it; see `TrialSpec` and `TrialResult`.

    A loss or a prediction that is not finite, and memory that is not enough, are results with a reason.

    Raises:
        OptionError: the candidate cannot be loaded.
    """
    start = time.perf_counter()
    with settled(spec.seed, spec.device):
        try:
            found = _trained(Training(spec))
        except (TrialError, MemoryError, RuntimeError) as error:
            return TrialResult(spec.id, FAILED, seconds=time.perf_counter() - start, failure=_reason(error))
    best, epochs, weights = found
    seconds = time.perf_counter() - start
    return TrialResult(spec.id, best.score, best.predictions, epochs, best.epoch, seconds, weights=weights)


def predict(spec: PredictionSpec) -> list[tuple[float, ...]]:
    """Probabilities of each label for each text, from a saved model.

    Raises:
        OptionError: the model cannot be loaded.
    """
    with settled(0, spec.device):
        classifier = trained_classifier(spec.model, spec.length)
        classifier.model.to(spec.device)
        rows = classifier.probabilities(classifier.encode(spec.texts), EVALUATION_BATCH)
    return [tuple(row) for row in rows.tolist()]


def time_steps(spec: TrialSpec) -> StepTime:
    """Measure a step and an evaluation of a trial, without training it.

    Raises:
        OptionError: the candidate cannot be loaded.
    """
    begin = time.perf_counter()
    with settled(spec.seed, spec.device):
        trial = Training(spec)
        started = time.perf_counter() - begin
        trial.train_on(list(range(trial.batch))[: len(spec.train)])  # the first one also allocates
        step = _seconds(lambda: trial.train_on(list(range(trial.batch))[: len(spec.train)]))
        rows = trial.dev[:_TIMED_ROWS]
        evaluation = _seconds(lambda: trial.classifier.probabilities(rows, EVALUATION_BATCH))
    return StepTime(step, evaluation * len(spec.dev) / max(1, len(rows)), started)


class Epoch:
    """A model's predictions after an epoch, and their score."""

    def __init__(self, epoch: int, value: float, predictions: tuple[int, ...]) -> None:
        self.epoch, self.score, self.predictions = epoch, value, predictions


class Training:
    """A model in training."""

    def __init__(self, spec: TrialSpec) -> None:
        self.spec, theta = spec, spec.theta
        self.batch, length = int(theta["batch"]), int(theta["length"])
        fresh = fresh_classifier(spec.candidate, spec.labels, length) if not spec.warm_start else None
        self.classifier: Classifier = fresh or trained_classifier(spec.warm_start, length, "warm_start")
        self.classifier.model.to(spec.device)
        freeze(self.classifier.model, spec.freeze)
        self.rows = self.classifier.encode([example.texts for example in spec.train])
        self.dev = self.classifier.encode([example.texts for example in spec.dev])
        self.targets = torch.tensor(
            [
                example.probabilities or [float(label == example.label) for label in range(len(spec.labels))]
                for example in spec.train
            ]
        )
        self.optimizer = BertAdam(parameter_groups(self.classifier.model, theta["decay"]), lr=theta["lr"])
        self.ramp_up_steps = math.ceil(len(self.rows) / self.batch) * int(theta["ramp_up_epochs"])
        self.step = 0

    def train_epoch(self) -> None:
        """Take all training points once, in a random order."""
        order = torch.randperm(len(self.rows)).tolist()
        for start in range(0, len(order), self.batch):
            self.train_on(order[start : start + self.batch])

    def train_on(self, chosen: list[int]) -> None:
        """Make one step on some of the training points."""
        self.step += 1
        theta, model = self.spec.theta, self.classifier.model
        model.train()
        rate = rate_at(self.step, peak=theta["lr"], warmup=theta["warmup"], ramp_up_steps=self.ramp_up_steps)
        set_rate(self.optimizer, rate)
        kind = model.device.type
        with nullcontext() if kind in FULL_PRECISION else torch.autocast(kind, torch.bfloat16):
            logits = self.classifier.logits([self.rows[row] for row in chosen])
        loss = torch.nn.functional.cross_entropy(logits.float(), self.targets[chosen].to(logits.device))
        if not math.isfinite(loss.item()):
            raise TrialError(f"the loss is {loss.item()} in step {self.step}")
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch has no type for it
        if not math.isfinite(norm := clip_gradients(model.parameters())):
            raise TrialError(f"the norm of the gradients is {norm} in step {self.step}")
        self.optimizer.step()

    def evaluate(self, epoch: int) -> Epoch:
        """Predict the dev set and score the judged rows."""
        found = self.classifier.probabilities(self.dev, EVALUATION_BATCH)
        if not bool(found.isfinite().all()):
            raise TrialError(f"the model predicts numbers that are not finite after epoch {epoch}")
        guesses = tuple(found.argmax(-1).tolist())
        judged = range(len(guesses)) if self.spec.judged is None else self.spec.judged
        labels = [self.spec.dev[row].label for row in judged]
        return Epoch(epoch, score(self.spec.metric, labels, [guesses[row] for row in judged]), guesses)

    def values(self) -> dict[str, torch.Tensor]:
        """A copy of all tensors of the model."""
        return {name: values.clone() for name, values in self.classifier.model.state_dict().items()}


def _trained(trial: Training) -> tuple[Epoch, int, str]:
    """Train all epochs; the epoch that counts, the number of epochs, and where the model was saved if it was."""
    theta, spec = trial.spec.theta, trial.spec
    counts: Epoch | None = None
    kept: dict[str, torch.Tensor] = {}
    epoch = 0
    while epoch < theta["epochs"]:
        epoch += 1
        trial.train_epoch()
        found = trial.evaluate(epoch)
        if counts is None or spec.epoch == "last" or found.score > counts.score:
            counts, kept = found, trial.values() if spec.epoch == "best" and spec.save_from is not None else {}
        elif epoch - counts.epoch >= theta["patience"]:
            break
    if counts is None:
        raise TrialError("no epoch was trained: epochs is 0")
    if spec.save_from is None or counts.score < spec.save_from:
        return counts, epoch, ""
    if kept:
        trial.classifier.model.load_state_dict(kept)
    folder = f"{spec.folder}/model"
    trial.classifier.save(folder)
    return counts, epoch, folder


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _reason(error: BaseException) -> str:
    """One line; anything that is not ours or of the memory is an error of the program, and goes on."""
    line = str(error).strip().split("\n", 1)[0][:200]
    if isinstance(error, TrialError):
        return line
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "DefaultCPUAllocator" in line:
        return f"out of memory: {line}"
    raise error
