"""Trials through workers: each result is stored as it comes, and no model is kept but that of the best trial."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bort_convert.agora.run_directory import delete
from bort_convert.agora.trial import run_trial
from bort_convert.agora.values import FAILED, TrialResult
from bort_convert.workers.jobs import Failure, Job, Needs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from bort_convert.agora.run_directory import RunDirectory
    from bort_convert.agora.values import TrialSpec
    from bort_convert.workers.jobs import Workers


class Contest:
    """Trials of which the best one's model is kept: those of a round, or of a baseline.

    Args:
        arm: `agora`, or the name of a baseline.
        number: of the round; 0 for a baseline.
        spec: gives the spec of the trial with a number, and the name, the directory and the score that it is given.
        score_to_reach: a model with a smaller score is of no interest; None if each is.

    Attributes:
        scores: of the trials that have come to an end without a failure.
        failures: reason of each trial that failed, in the order of their reports.
    """

    def __init__(
        self,
        arm: str,
        number: int,
        spec: Callable[[int], TrialSpec],
        *,
        score_to_reach: float | None = None,
    ) -> None:
        self.arm, self.round = arm, number
        self.spec = spec
        self._limit = score_to_reach
        self.scores: dict[int, float] = {}
        self.failures: dict[int, str] = {}

    @property
    def leader(self) -> int | None:
        """The best trial so far, of equals the first by number; None before the first without a failure."""
        return max(sorted(self.scores), key=lambda at: self.scores[at], default=None)

    @property
    def score_to_reach(self) -> float:
        """The score from which on a trial's model is of interest."""
        own = [] if self.leader is None else [self.scores[self.leader]]
        return max([*own, *([] if self._limit is None else [self._limit])], default=-1.0)

    def waiting(self, numbers: Iterable[int]) -> list[int]:
        """Those of some trials that have not come to an end."""
        return [at for at in numbers if at not in self.scores and at not in self.failures]

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in a report of the journal, if it is one of this contest."""
        if (record["event"], record.get("arm"), record.get("round")) != ("told", self.arm, self.round):
            return
        if record["failure"]:
            self.failures[record["id"]] = record["failure"]
        else:
            self.scores[record["id"]] = record["score"]

    def name(self, at: int) -> str:
        """Name of a trial."""
        return trial_name(self.arm, self.round, at)


class Trainer:
    """Runs the trials of contests.

    Args:
        place: directory of the run.
        workers: what runs them.
        gpus: graphics processors that each wants.
        happened: takes each report, once it is stored.
    """

    def __init__(
        self,
        place: RunDirectory,
        workers: Workers,
        *,
        gpus: int,
        happened: Callable[[dict[str, Any]], None],
    ) -> None:
        self._place, self._workers = place, workers
        self._needs = Needs(gpus=gpus)
        self._happened = happened

    def train(self, tasks: Iterable[tuple[Contest, int]]) -> None:
        """Run trials, each of a contest; store the result of each as it comes."""
        owners: dict[str, tuple[Contest, int]] = {}

        def jobs() -> Iterator[Job[TrialSpec]]:
            for contest, at in tasks:
                name = contest.name(at)
                folder = self._place.trial(name)
                delete(folder)
                folder.mkdir(parents=True)
                owners[name] = contest, at
                spec = replace(contest.spec(at), id=name, folder=str(folder), save_from=contest.score_to_reach)
                self._place.write_json(f"trials/{name}/spec.json", _shown(spec))
                yield Job(spec, self._needs)

        with closing(self._workers.run(run_trial, jobs())) as outcomes:
            for outcome in outcomes:
                spec = outcome.job.argument
                result = outcome.result
                if isinstance(result, Failure):
                    result = TrialResult(spec.id, FAILED, seconds=outcome.seconds, failure=result.message)
                self._take(*owners[spec.id], result)

    def _take(self, contest: Contest, at: int, result: TrialResult) -> None:
        before = contest.leader
        self._place.keep_result(result)
        record: dict[str, Any] = {"event": "told", "arm": contest.arm, "round": contest.round, "id": at}
        record |= {"score": result.score, "failure": result.failure}
        self._place.append(record)
        contest.add(record)
        for loser in {before, at} - {contest.leader, None}:
            delete(self._place.trial(contest.name(loser or 0)) / "model")
        self._happened({**record, "seconds": round(result.seconds, 1)})


def trial_name(arm: str, number: int, at: int) -> str:
    """Name of a trial: `0003-07` for place 7 of Theta in round 3, `plain-0007` for a baseline."""
    return f"{number:04}-{at:02}" if number else f"{arm.replace(' ', '-')}-{at:04}"


def _shown(spec: TrialSpec) -> dict[str, Any]:
    """A spec without its examples, of which there may be many: how many they are stands in their place."""
    return {**vars(spec), "train": len(spec.train), "dev": len(spec.dev)}
