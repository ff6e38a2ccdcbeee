"""Agora and what it is compared with, over points that are vectors, with small networks that are trained all at once.

Every arm is Agora's own core with other points, or a set of trainings without it:

    plain        best on E of as many trainings on D as Agora took, the tuples in turn, each time with another seed
    grid         best on E of each tuple of Theta once, on D
    agora        the algorithm
    prune only   the algorithm without new points
    judged       the algorithm with mistakes from one half of E, the choice on the other
    dev too      best on E of Theta, on D and the labels of E
    tau(D)       best on E of Theta, on D and as many points made from D as Agora made, labelled by the teacher
    tau(E)       the same, made from any points of E, not from mistakes
    pool         best on E of Theta, on D and as many unlabelled points as Agora made, labelled by the teacher

A network has one hidden layer, tanh, and is trained with Adam on all points in each step, for a fixed number of steps.
"""

from __future__ import annotations

import itertools
import math
import random
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from bort_convert.agora.core import Agora

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bort_convert.agora.deletion import Rule

WIDTH = 24
ARMS = ("teacher", "grid", "plain", "agora", "prune only", "judged", "dev too", "tau(D)", "tau(E)", "pool")


class Points(Protocol):
    """A task whose points may be anything: texts, or pairs of numbers."""

    def vectors(self, points: Sequence[Any]) -> torch.Tensor:
        """What the networks see of points: float32 (points, inputs)."""
        ...

    def teach(self, points: Sequence[Any]) -> list[int]:
        """Labels by the teacher."""
        ...

    def make(self, points: Sequence[Any], copies: int, seed: str) -> list[Any]:
        """Points like some points, by tau."""
        ...


@dataclass(frozen=True)
class Sets:
    """The sets of one seed: points and labels of D, E and T; the pool has no labels."""

    train: list[Any]
    train_labels: list[int]
    dev: list[Any]
    dev_labels: list[int]
    test: list[Any]
    test_labels: list[int]
    pool: list[Any]


@dataclass(frozen=True)
class Outcome:
    """What came of one arm: accuracy on T, accuracy on E where it was chosen, trainings, points made, rounds."""

    test: float
    dev: float = math.nan
    trainings: int = 0
    made: int = 0
    rounds: int = 0


def grid(**fields: Sequence[float]) -> list[dict[str, int | float]]:
    """All tuples of a grid."""
    return [dict(zip(fields, values, strict=True)) for values in itertools.product(*fields.values())]


class Study:
    """One seed of a task.

    Args:
        points: the task.
        sets: D, E, T and the pool.
        theta: tuples with `lr`, `decay` and `seed`.
        steps: of each training.
        copies: points from each mistake.
        seed: of everything random.
        rule: of deletion.
    """

    def __init__(
        self,
        points: Points,
        sets: Sets,
        theta: Sequence[dict[str, int | float]],
        *,
        steps: int,
        copies: int,
        seed: int,
        rule: Rule = "run",
    ) -> None:
        self.points, self.sets, self.theta, self.steps = points, sets, list(theta), steps
        self.copies, self.seed, self.rule = copies, seed, rule
        self.dev, self.test = points.vectors(sets.dev), points.vectors(sets.test)
        self.train = points.vectors(sets.train)

    def arms(self, names: Sequence[str] = ARMS) -> dict[str, Outcome]:
        """Each arm; those that need as many points or trainings as Agora come after it."""
        sets = self.sets
        found = {"agora": self.agora()}
        made, trainings = found["agora"].made, found["agora"].trainings
        shuffled = random.Random(f"{self.seed} pool").sample(sets.pool, len(sets.pool))
        rows: dict[str, Callable[[], Outcome]] = {
            "teacher": lambda: Outcome(_share(self.points.teach(sets.test), sets.test_labels)),
            "grid": lambda: self.best_of([], [], len(self.theta)),
            "plain": lambda: self.best_of([], [], trainings),
            "prune only": lambda: self.agora(makes_points=False),
            "judged": lambda: self.agora(judge_share=0.5),
            "dev too": lambda: self.best_of(sets.dev, sets.dev_labels, len(self.theta)),
            "tau(D)": lambda: self._taught(self._like(sets.train, made)),
            "tau(E)": lambda: self._taught(self._like(sets.dev, made)),
            "pool": lambda: self._taught(shuffled[:made]),
        }
        for name in names:
            if name not in found:
                found[name] = rows[name]()
        return {name: found[name] for name in names}

    def agora(self, *, makes_points: bool = True, judge_share: float = 1.0) -> Outcome:
        """The algorithm; `judge_share` is the part of E on which models are chosen, mistakes come from the other."""
        core = Agora(self.theta, prune=self.rule)
        order = random.Random(f"{self.seed} judge").sample(range(len(self.sets.dev)), len(self.sets.dev))
        half = round(judge_share * len(order))
        judged, shown = sorted(order[:half]), sorted(order[half:] or order)
        points, labels, vectors = list(self.sets.train), list(self.sets.train_labels), self.train
        best = Outcome(0.0)
        while not core.done:
            number, asked = core.round, core.ask()
            dev, test = self._trained(vectors, labels, [self.theta[at] for at in asked], self.seed)
            for at, guesses in zip(asked, dev, strict=True):
                core.tell(at, _share([guesses[row] for row in judged], [self.sets.dev_labels[row] for row in judged]))
            place = asked.index(core.winner())
            if core.best is not None and core.best.round == number:
                best = Outcome(_share(test[place], self.sets.test_labels), core.best.score)
            wrong = [row for row in shown if dev[place][row] != self.sets.dev_labels[row]]
            parents = [self.sets.dev[row] for row in wrong if makes_points]
            if new := self.points.make(parents, self.copies, f"{self.seed}-{number}"):
                points, labels = [*points, *new], [*labels, *self.points.teach(new)]
                vectors = torch.cat((vectors, self.points.vectors(new)))
            core.grew(mistakes=len(wrong))
        return Outcome(best.test, best.dev, core.trainings, len(points) - len(self.sets.train), core.round - 1)

    def best_of(self, more: Sequence[Any], labels: Sequence[int], trainings: int) -> Outcome:
        """The best on E of plain trainings on D and more points, the tuples of Theta in turn with other seeds."""
        vectors = torch.cat((self.train, self.points.vectors(more))) if more else self.train
        turns = range(math.ceil(trainings / len(self.theta)))
        tuples = [{**values, "seed": values["seed"] + 1000 * turn} for turn in turns for values in self.theta]
        dev, test = self._trained(vectors, [*self.sets.train_labels, *labels], tuples[:trainings], self.seed)
        scores = [_share(guesses, self.sets.dev_labels) for guesses in dev]
        place = scores.index(max(scores))
        return Outcome(_share(test[place], self.sets.test_labels), scores[place], trainings, len(more))

    def _taught(self, points: list[Any]) -> Outcome:
        return self.best_of(points, self.points.teach(points) if points else [], len(self.theta))

    def _like(self, parents: list[Any], count: int) -> list[Any]:
        """As many points made from any of some points."""
        chance, made = random.Random(f"{self.seed} parents"), []
        for turn in range(count and 10 * count):
            made += self.points.make([chance.choice(parents)], 1, f"{self.seed} {turn}")
            if len(made) >= count:
                break
        return made

    def _trained(
        self, vectors: torch.Tensor, labels: Sequence[int], tuples: Sequence[dict[str, int | float]], seed: int
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Train a network for each tuple; what each answers on E and on T."""
        network = _Networks([hash((int(values["seed"]), seed)) for values in tuples], vectors.shape[1])
        network.train(vectors, torch.tensor(labels), tuples, self.steps)
        return network.answers(self.dev), network.answers(self.test)


class _Networks:
    """Networks that are trained side by side, each as if it were alone."""

    def __init__(self, seeds: Sequence[int], inputs: int) -> None:
        shapes = ((inputs, WIDTH), (1, WIDTH), (WIDTH, 2), (1, 2))
        self.values = [torch.empty(len(seeds), *shape) for shape in shapes]
        for number, seed in enumerate(seeds):
            chance = torch.Generator().manual_seed(seed % 2**31)
            for values in self.values:
                scale = 1 / math.sqrt(values.shape[1]) if values.shape[1] > 1 else 0.0
                values[number] = scale * torch.randn(values.shape[1:], generator=chance)

    def logits(self, vectors: torch.Tensor) -> torch.Tensor:
        """Logits (networks, points, 2)."""
        first, bias, second, last = self.values
        return torch.tanh(vectors @ first + bias) @ second + last

    def train(self, vectors: torch.Tensor, labels: torch.Tensor, tuples: Sequence[dict[str, Any]], steps: int) -> None:
        """Adam with decoupled decay, whose rate falls to zero; rate and decay are those of each tuple."""
        for values in self.values:
            values.requires_grad_()
        rates = torch.tensor([values["lr"] for values in tuples])[:, None, None]
        decays = torch.tensor([values["decay"] for values in tuples])[:, None, None]
        means, squares = ([torch.zeros_like(values) for values in self.values] for _ in range(2))
        targets = labels.expand(len(tuples), -1)
        for step in range(1, steps + 1):
            losses = torch.nn.functional.cross_entropy(self.logits(vectors).transpose(1, 2), targets, reduction="none")
            gradients = torch.autograd.grad(losses.mean(1).sum(), self.values)
            now = rates * (1 - (step - 1) / steps)
            with torch.no_grad():
                for values, mean, square, gradient in zip(self.values, means, squares, gradients, strict=True):
                    mean.lerp_(gradient, 0.1)
                    square.lerp_(gradient.square(), 0.001)
                    update = (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
                    values.sub_(now * (update + decays * values))

    def answers(self, vectors: torch.Tensor) -> list[list[int]]:
        """Labels of points, from each network."""
        with torch.no_grad():
            found: list[list[int]] = self.logits(vectors).argmax(-1).tolist()
        return found


def compared(outcomes: Sequence[dict[str, Outcome]], base: str = "plain") -> list[list[str]]:
    """A row of a table for each arm: mean and deviation on T, paired difference with its standard error, and costs."""
    rows = []
    for name in outcomes[0]:
        tests = [found[name].test for found in outcomes]
        differences = [found[name].test - found[base].test for found in outcomes]
        mean, error = difference(differences)
        better = sum(value > 0 for value in differences)
        dev = statistics.mean(found[name].dev for found in outcomes)
        costs = [statistics.mean(getattr(found[name], field) for found in outcomes) for field in ("trainings", "made")]
        rows.append(
            [
                name,
                f"{statistics.mean(tests):.3f}",
                f"{statistics.stdev(tests):.3f}",
                "" if name == base else f"{mean:+.3f} ({error:.3f})",
                "" if name == base else f"{better}/{len(outcomes)}",
                "" if math.isnan(dev) else f"{dev:.3f}",
                *("" if name == "teacher" else f"{cost:.0f}" for cost in costs),
            ]
        )
    return rows


HEADER = ["arm", "test", "sd", "minus plain (s.e.)", "better", "on dev", "trainings", "points made"]


def difference(values: Sequence[float]) -> tuple[float, float]:
    """Mean of paired differences, and its standard error."""
    return statistics.mean(values), statistics.stdev(values) / math.sqrt(len(values))


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (HEADER, ["---"] * len(HEADER), *rows))


def _share(guesses: Sequence[int], labels: Sequence[int]) -> float:
    return sum(guess == label for guess, label in zip(guesses, labels, strict=True)) / len(labels)
