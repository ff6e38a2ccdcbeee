"""Options of a run: everything beside the data that decides what comes out, with the documented defaults."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final, get_args

from bort_convert.agora.core import OfEquals
from bort_convert.agora.deletion import Rule
from bort_convert.agora.values import Epoch, Metric

if TYPE_CHECKING:
    from bort_convert.agora.values import Hyperparameters

FREEZABLE: Final = ("embeddings",)


@dataclass(frozen=True)
class Options:
    """Options of a run. Those that go beyond the published description are named as extensions, and off.

    Attributes:
        prune: rule of deletion; see `deletion`.
        spare_best: keep the best tuple of a round, unless it is the only one left.
        of_equals: which of equally good models of different rounds is the best.
        replay: rounds on the grown training set before each deletion.
        stop_when_perfect: end with a round whose best model has made no mistake.
        warm_start: start each trial from the best model so far, in place of the candidate with a fresh head.
        copies: points made from each mistake.
        soft: learn the teacher's probabilities, in place of its labels.
        metric: what a model's score is.
        epoch: the epoch of a trial that counts.
        epochs: of a trial, where Theta does not say.
        batch: examples in a step, where Theta does not say.
        patience: epochs without a better score after which a trial ends, where Theta does not say.
        length: tokens at which a text is cut, where Theta does not say.
        freeze: parts that are not trained: `embeddings`.
        seed: of everything random.
        device: of torch.
        balance: leave out examples of the majority label.
        allow_overlap: pairs of sets that may share texts: `train:dev`.
        weak_teacher: take a teacher that is not above 2/3 on the dev set.
        baselines: train the baselines too.
        delete_at_least: share of the tuples left that a deletion takes, filled up from the worst. An extension.
        judge_share: share of the dev set that chooses; mistakes come from the rest; 0 for no split. An extension.
    """

    prune: Rule = "run"
    spare_best: bool = False
    of_equals: OfEquals = "earlier"
    replay: int = 0
    stop_when_perfect: bool = False
    warm_start: bool = False
    copies: int = 2
    soft: bool = False
    metric: Metric = "accuracy"
    epoch: Epoch = "best"
    epochs: int = 30
    batch: int = 8
    patience: int = 10
    length: int = 128
    freeze: tuple[str, ...] = ()
    seed: int = 0
    device: str = "cpu"
    balance: bool = False
    allow_overlap: tuple[str, ...] = ()
    weak_teacher: bool = False
    baselines: bool = True
    delete_at_least: float = 0.0
    judge_share: float = 0.0

    @property
    def core(self) -> dict[str, Any]:
        """Options of `Agora`."""
        same = ("prune", "of_equals", "replay", "delete_at_least", "stop_when_perfect")
        return {"spare": self.spare_best, **{name: getattr(self, name) for name in same}}

    def full(self, values: Hyperparameters) -> Hyperparameters:
        """A tuple with the values of all fields; the schedule ends with the epochs where nothing else is said."""
        own = {"epochs": self.epochs, "batch": self.batch, "patience": self.patience, "length": self.length}
        whole = {"lr": 3e-5, "decay": 0.01, "warmup": 0.35, "seed": 0, **own, **values}
        return {"ramp_up_epochs": whole["epochs"], **whole}

    def to_dict(self) -> dict[str, Any]:
        """The options as JSON has them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def problems(self) -> list[str]:
        """What is wrong with the options, a line each; names stand in it as in Python."""
        choices = {
            "prune": get_args(Rule),
            "of_equals": get_args(OfEquals),
            "metric": get_args(Metric),
            "epoch": get_args(Epoch),
        }
        least = {"replay": 0, "copies": 1, "epochs": 1, "batch": 1, "patience": 1, "length": 3}
        found = [
            f"`{name}={getattr(self, name)!r}`: expected one of {', '.join(known)}"
            for name, known in choices.items()
            if getattr(self, name) not in known
        ]
        found += [
            f"`{name}={getattr(self, name)}`: expected a whole number of at least {low}"
            for name, low in least.items()
            if getattr(self, name) < low
        ]
        if not 0 <= self.delete_at_least <= 1:
            found.append(f"`delete_at_least={self.delete_at_least}`: expected a share from 0 to 1")
        if not 0 <= self.judge_share < 1 or math.isnan(self.judge_share):
            found.append(f"`judge_share={self.judge_share}`: expected a share from 0 to below 1, such as 0.5")
        found += [
            f"`freeze={part!r}`: expected {', '.join(FREEZABLE)}" for part in self.freeze if part not in FREEZABLE
        ]
        return found


OPTION_NAMES: Final = tuple(field.name for field in fields(Options))


def gpus_of(device: str) -> int:
    """Graphics processors that a trial on a device of torch wants, where nothing else is said."""
    return int(device.startswith("cuda"))


def mixed_seed(*parts: object) -> int:
    """A seed of 31 bits that follows from the parts, the same everywhere."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big") >> 1
