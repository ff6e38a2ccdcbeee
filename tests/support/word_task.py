"""The task of fixtures/word_task, a teacher that knows it, and workers without processes."""

from __future__ import annotations

import csv
import json
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from make_word_task import FOLDER, SUBJECTS

import bort_convert
from bort_convert.workers.jobs import Failure, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from bort_convert.workers.jobs import Argument, Job, Result

SETS = {name: FOLDER / f"{name}.csv" for name in ("train", "dev", "test")}
QUICK: dict[str, Any] = {"epochs": 2, "length": 24}
"""Options of a run of seconds."""


def rows(name: str, count: int) -> list[tuple[str, str]]:
    """The first examples of a set."""
    with SETS[name].open(encoding="utf-8") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)][:count]


def knows(texts: Sequence[str]) -> list[str]:
    """Label texts by their words; one without any of them is about a person."""
    animals = {*SUBJECTS["animal"]}
    return ["animal" if animals & {*text.strip(".").split()} else "person" for text in texts]


def converted(folder: Path) -> Path:
    """The little Bort as a candidate, in a folder."""
    out, little = folder / "candidate", FOLDER.parent / "little_bort" / "little_bort"
    ranks = f"{little}_ranks.txt"
    bort_convert.convert(f"{little}.params", out, family="bort", heads=4, vocab=f"{little}.vocab", bpe_ranks=ranks)
    return out


class InProcess:
    """Workers that run each job here, one after another.

    Args:
        fails: gives a failure in place of the result of some jobs.
    """

    def __init__(self, fails: Callable[[Any], Failure | None] = lambda _argument: None) -> None:
        self._fails = fails
        self.done: list[str] = []

    def run(
        self, function: Callable[[Argument], Result], jobs: Iterable[Job[Argument]]
    ) -> Generator[Outcome[Argument, Result]]:
        """Run jobs; see `Workers.run`."""
        for job in jobs:
            start = time.perf_counter()
            result: Result | Failure | None = self._fails(job.argument)
            if result is None:
                try:
                    result = function(job.argument)
                except Exception as error:  # noqa: BLE001 - as workers do
                    result = Failure(f"{type(error).__name__}: {error}", traceback=traceback.format_exc())
            self.done.append(getattr(job.argument, "id", ""))
            yield Outcome(job, result, time.perf_counter() - start)


def report_in(folder: Path) -> dict[str, Any]:
    """The report of a run."""
    found: dict[str, Any] = json.loads((Path(folder) / "report.json").read_text())
    return found
