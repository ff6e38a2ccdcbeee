"""The algorithm: rounds over Theta, the deletion of tuples, the best model, and its replay from a journal.

It decides, and does nothing: no clock, no files, nothing random. A round is asked for, told, closed by `winner`, and
ended by `grew` once the training set has grown by them:

    while not agora.done:
        for id in agora.ask():
            agora.tell(id, score_of(theta[id]))
        mistakes = mistakes_of(agora.winner())
        agora.grew(mistakes=len(mistakes))
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bort_convert.agora.deletion import RULES, Deletion, Rule, ranked
from bort_convert.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bort_convert.agora.values import Hyperparameters

OfEquals = Literal["earlier", "later"]


@dataclass(frozen=True)
class Best:
    """The best model so far.

    Attributes:
        round: in which it was trained, from 1.
        id: place of its tuple in Theta.
        score: on the dev set.
    """

    round: int
    id: int
    score: float


class Agora:
    """A run of the algorithm.

    Args:
        theta: tuples of one and the same set of fields, all different.
        prune: the rule of deletion.
        spare: keep the best tuple of a round, unless it is the only one left.
        of_equals: which of equally good models of different rounds is the best; in one round the first in Theta is.
        replay: rounds on the grown training set before each deletion.
        delete_at_least: share of the tuples left that a deletion takes, filled up from the worst. An extension.
        stop_when_perfect: end with a round whose best model has made no mistake.

    Attributes:
        round: the present round, from 1.
        best: the best of all closed rounds; None before the first is.
        left: places in Theta of the tuples that are left.
        trainings: reports so far.
        deletion: of the last round that deleted.

    Raises:
        OptionError: Theta is empty, has equal tuples or tuples of different fields, or an option has no such value.
    """

    def __init__(
        self,
        theta: Sequence[Hyperparameters],
        *,
        prune: Rule = "run",
        spare: bool = False,
        of_equals: OfEquals = "earlier",
        replay: int = 0,
        delete_at_least: float = 0.0,
        stop_when_perfect: bool = False,
    ) -> None:
        if problems := theta_problems(theta):
            raise OptionError("theta", "...", "; ".join(problems))
        if prune not in RULES:
            raise OptionError("prune", prune, f"expected one of {', '.join(RULES)}")
        if of_equals not in {"earlier", "later"}:
            raise OptionError("of_equals", of_equals, "expected earlier or later")
        if replay < 0:
            raise OptionError("replay", replay, "expected 0 or more rounds")
        if not 0 <= delete_at_least <= 1:
            raise OptionError("delete_at_least", delete_at_least, "expected a share from 0 to 1")
        self._theta = [dict(values) for values in theta]
        self._rule, self._spare, self._later = RULES[prune], spare, of_equals == "later"
        self._replay, self._share, self._stop = replay, delete_at_least, stop_when_perfect
        self._scores: dict[int, float] = {}
        self.round = 1
        self.best: Best | None = None
        self.left = list(range(len(theta)))
        self._in_round = {*self.left}
        self.trainings = 0
        self.deletion = Deletion((), "")

    @property
    def done(self) -> bool:
        """True if no tuple is left."""
        return not self.left

    def ask(self) -> list[int]:
        """Places in Theta of the tuples that are still to train in this round."""
        return [at for at in self.left if at not in self._scores]

    def tell(self, at: int, score: float) -> None:
        """Report the score of a tuple in this round; the order of reports does not matter.

        Raises:
            ValueError: the score is no finite number, or the tuple is not asked for.
        """
        if not math.isfinite(score):
            raise ValueError(f"round {self.round}: the score of tuple {at} is {score}; expected a finite number")
        if at in self._scores or at not in self._in_round:
            why = "was told already" if at in self._scores else "is not in it"
            raise ValueError(f"round {self.round}: tuple {at} {why}")
        self._scores[at] = score
        self.trainings += 1

    def leader(self) -> int | None:
        """The best tuple of those that this round was told of; None before the first."""
        return max(sorted(self._scores), key=lambda at: self._scores[at], default=None)

    def winner(self) -> int:
        """Close the round: the place in Theta of its best tuple.

        Raises:
            ValueError: tuples are still to train.
        """
        if waiting := self.ask():
            raise ValueError(f"round {self.round}: {len(waiting)} tuples are not trained yet")
        leader = self.leader()
        if leader is None:
            raise ValueError("no tuple is left")
        if self.beats_best(self._scores[leader]):
            self.best = Best(self.round, leader, self._scores[leader])
        return leader

    def beats_best(self, score: float) -> bool:
        """True if a model of this round with this score would be the best of all rounds so far."""
        return self.best is None or score > self.best.score or (self._later and score == self.best.score)

    def grew(self, *, mistakes: int | None) -> Deletion:
        """End the round, once new points are in the training set; give what is deleted.

        Args:
            mistakes: of the round's best model; None if that is one whose trial failed.
        """
        winner = self.winner()
        deletes = self.round % (self._replay + 1) == 0
        self.deletion = self._deletion(winner) if deletes else Deletion((), "a round on the grown training set")
        if self._stop and mistakes == 0:
            self.deletion = Deletion(tuple(self.left), "the best model made no mistake")
        self._in_round -= {*self.deletion.ids}
        self.left = sorted(self._in_round)
        self._scores = {}
        self.round += 1
        return self.deletion

    def _deletion(self, winner: int) -> Deletion:
        ranking = ranked(self._theta, self._scores)
        found = self._rule(ranking)
        kept = {winner} if self._spare and len(ranking.ids) > 1 else set()
        rest = [at for at in ranking.ids if at not in found.ids and at not in kept]
        ids = [at for at in found.ids if at not in kept]
        wanted = max(1, min(math.ceil(self._share * len(ranking.ids)), len(ranking.ids) - len(kept)))
        if len(ids) >= wanted:
            return Deletion(tuple(ids), found.reason)
        return Deletion((*ids, *rest[: wanted - len(ids)]), f"{found.reason}; the worst up to {wanted}")


def replay(theta: Sequence[Hyperparameters], journal: Iterable[Mapping[str, Any]], **options: Any) -> Agora:  # noqa: ANN401 - those of `Agora`
    """Bring a run to where a journal ends.

    Args:
        theta: as it was.
        journal: its records in their order: `told` with id and score, `grew` with mistakes; others are passed over.
        options: of `Agora`, as they were.

    Raises:
        ValueError: the journal is not one of such a run.
    """
    agora = Agora(theta, **options)
    for record in journal:
        if record["event"] == "told":
            if record["round"] != agora.round:
                raise ValueError(f"a report of round {record['round']} in round {agora.round}")
            agora.tell(record["id"], record["score"])
        elif record["event"] == "grew":
            agora.grew(mistakes=record["mistakes"])
    return agora


def theta_problems(theta: Sequence[Hyperparameters]) -> list[str]:
    """What is wrong with Theta as a set of tuples, a line each."""
    if not theta:
        return ["it is empty; expected at least one tuple"]
    fields = list(theta[0])
    problems = [
        f"tuple {at} has the fields {', '.join(values)}; tuple 1 has {', '.join(fields)}"
        for at, values in enumerate(theta, 1)
        if set(values) != set(fields)
    ]
    seen: dict[frozenset[tuple[str, int | float]], int] = {}
    for at, values in enumerate(theta, 1):
        first = seen.setdefault(frozenset(values.items()), at)
        problems += [f"tuples {first} and {at} are equal"] if first != at else []
    return problems
