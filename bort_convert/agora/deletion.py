"""The rules by which tuples leave Theta: readings of "the longest common sequence, rooted at the first element".

A tuple is a sequence of (field, value) in a fixed order, and the root is the worst tuple of a round. Because an element
carries its field, the longest common subsequence of two tuples is all of the fields in which they agree. A field with
one value in all of Theta does not count: it would make Theta one sequence, and empty it in round one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bort_convert.agora.values import Hyperparameters

Rule = Literal["run", "lcs", "lcs-all", "lcs-one", "prefix", "ties", "worst"]


@dataclass(frozen=True)
class Ranking:
    """The tuples of one round, worst first.

    Attributes:
        ids: places in Theta; of equal scores the first in Theta comes first.
        scores: score of each id.
        tuples: fields that vary in all of Theta, with their values, of each id.
    """

    ids: tuple[int, ...]
    scores: Mapping[int, float]
    tuples: Mapping[int, Hyperparameters]

    @property
    def root(self) -> int:
        """The worst tuple."""
        return self.ids[0]

    def common(self, other: int) -> tuple[str, ...]:
        """Fields in which the root and another tuple agree, in their order."""
        root, values = self.tuples[self.root], self.tuples[other]
        return tuple(field for field in root if values[field] == root[field])

    def holders(self, fields: Sequence[str]) -> tuple[int, ...]:
        """The root and all tuples that have its values of these fields, worst first."""
        return tuple(other for other in self.ids if set(fields) <= set(self.common(other)))

    def values(self, fields: Sequence[str]) -> str:
        """The root's values of some fields, in words."""
        return ", ".join(f"{field} {self.tuples[self.root][field]:g}" for field in fields)


@dataclass(frozen=True)
class Deletion:
    """Tuples to delete.

    Attributes:
        ids: places in Theta.
        reason: what they have in common, in words.
    """

    ids: tuple[int, ...]
    reason: str


def ranked(theta: Sequence[Hyperparameters], scores: Mapping[int, float]) -> Ranking:
    """Sort the tuples that are left, worst first.

    Args:
        theta: all tuples, also those that are gone.
        scores: of each that is left, by its place in Theta.
    """
    varying = [field for field in theta[0] if len({values[field] for values in theta}) > 1]
    tuples = {at: {field: theta[at][field] for field in varying} for at in scores}
    return Ranking(tuple(sorted(scores, key=lambda at: (scores[at], at))), scores, tuples)


def _run(ranking: Ranking) -> Deletion:
    """The longest initial stretch whose tuples all share a value of a field that still varies."""
    best, shared = 1, ""
    for field in ranking.tuples[ranking.root]:
        length = next((n for n, other in enumerate(ranking.ids) if field not in ranking.common(other)), 0)
        if length > best:  # 0 for a field that varies no more
            best, shared = length, field
    reason = f"the worst {best} all had {ranking.values([shared])}" if shared else "the worst"
    return Deletion(ranking.ids[:best], reason)


def _lcs(ranking: Ranking) -> Deletion:
    """The holders of a longest subsequence: of several as long, the one whose holders rank worst on average."""
    choices: dict[Sequence[str], None] = dict.fromkeys(map(ranking.common, _nearest(ranking)))

    def mean_rank(fields: Sequence[str]) -> float:
        holders = {*ranking.holders(fields)}
        return sum(rank for rank, other in enumerate(ranking.ids) if other in holders) / len(holders)

    return _holding(ranking, min(choices, key=mean_rank, default=()))


def _lcs_all(ranking: Ranking) -> Deletion:
    """The root and every tuple whose subsequence with it is as long as the longest."""
    near = _nearest(ranking)
    reason = f"the worst, and all that share {len(ranking.common(near[0]))} fields with it" if near else "the worst"
    return Deletion((ranking.root, *near), reason)


def _lcs_one(ranking: Ranking) -> Deletion:
    """The root and its nearest; of several, the worst."""
    near = _nearest(ranking)[:1]
    reason = f"the worst, and its nearest: both {ranking.values(ranking.common(near[0]))}" if near else "the worst"
    return Deletion((ranking.root, *near), reason)


def _prefix(ranking: Ranking) -> Deletion:
    """The holders of the longest prefix that the root shares with another tuple."""
    fields = list(ranking.tuples[ranking.root])
    for length in range(len(fields) - 1, 0, -1):
        if len(ranking.holders(fields[:length])) > 1:
            return _holding(ranking, fields[:length])
    return _worst(ranking)


def _ties(ranking: Ranking) -> Deletion:
    """The initial stretch of equal scores."""
    score = ranking.scores[ranking.root]
    equal = tuple(other for other in ranking.ids if ranking.scores[other] == score)
    return Deletion(equal, f"the worst {len(equal)} were equal" if equal[1:] else "the worst")


def _worst(ranking: Ranking) -> Deletion:
    """The root alone."""
    return Deletion((ranking.root,), "the worst")


def _nearest(ranking: Ranking) -> tuple[int, ...]:
    """The tuples that share most fields with the root, worst first; none where no other shares any."""
    sizes = {other: len(ranking.common(other)) for other in ranking.ids[1:]}
    longest = max(sizes.values(), default=0)
    return tuple(other for other, size in sizes.items() if size == longest) if longest else ()


def _holding(ranking: Ranking, fields: Sequence[str]) -> Deletion:
    if not fields:
        return _worst(ranking)
    holders = ranking.holders(fields)
    return Deletion(holders, f"the worst, and all with {ranking.values(fields)}")


RULES: Final[Mapping[Rule, Callable[[Ranking], Deletion]]] = {
    "run": _run,
    "lcs": _lcs,
    "lcs-all": _lcs_all,
    "lcs-one": _lcs_one,
    "prefix": _prefix,
    "ties": _ties,
    "worst": _worst,
}
assert tuple(RULES) == get_args(Rule)
