"""Measure whole runs of `bort-convert agora` on real texts: every weight of the student is fine-tuned.

    python benchmarks/agora_whole.py [--seeds SEEDS] [--set tweets] [--tables]

The sets, the teacher, tau and the copies are those of `agora_study.py`, the student is that of `agora_student.py`, and
the trials, the optimiser and the baselines are those of the command. `grid` is the first round of a run; `agora, pool`
is another run with unlabelled texts in place of made ones.

Each seed is a line of build/agora/whole.jsonl, written when it is done: a run that is stopped goes on there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
import transformers
from bort_convert.agora import agora
from bort_convert.workers.processes import LocalWorkers

from agora_arms import Outcome, Sets, grid
from agora_data import WORK
from agora_student import STUDENT
from agora_study import COPIES, NAMES, TAU, TEACHER, drawn, rows_of, tables

if TYPE_CHECKING:
    from bort_convert.agora.run import Run

JOURNAL = WORK / "whole.jsonl"
RUN = WORK / "whole"
SEEDS = 8
THETA = grid(lr=[1e-3, 3e-4], seed=[0, 1])
OPTIONS = {"epochs": 8, "length": 48}


def run(name: str, sets: Sets, seed: int, **more: Any) -> Run:  # noqa: ANN401 - those of `agora`
    """A run with one worker, in a directory of its own."""
    out = RUN / name
    shutil.rmtree(out, ignore_errors=True)
    data = {
        part: [(text, NAMES[label]) for text, label in zip(texts, labels, strict=True)]
        for part, texts, labels in (
            ("train", sets.train, sets.train_labels),
            ("dev", sets.dev, sets.dev_labels),
            ("test", sets.test, sets.test_labels),
        )
    }
    given = {"teacher": TEACHER, "tau": TAU, "copies": COPIES, "theta": THETA, "weak_teacher": True, **OPTIONS}
    return agora(STUDENT, **data, out=out, seed=seed, workers=LocalWorkers(1), **given, **more)


def outcomes(sets: Sets, seed: int) -> dict[str, Outcome]:
    """Each arm of a seed."""
    made, taken = run("made", sets, seed), run("pool", sets, seed, pool=sets.pool, baselines=False)
    first = made.rounds[0]
    dev = {"plain": 0.0, "dev too": 0.0}
    for line in (RUN / "made" / "journal.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record.get("arm") in dev:
            dev[record["arm"]] = max(dev[record["arm"]], record["score"])
    tests = {name: figure.accuracy for name, figure in made.baselines.items()}
    return {
        "teacher": Outcome(tests["teacher"]),
        "grid": Outcome(first["test"]["accuracy"], first["dev"], len(THETA)),
        "plain": Outcome(tests["plain"], dev["plain"], made.report["trainings"]),
        "agora": agora_outcome(made),
        "agora, pool": agora_outcome(taken),
        "dev too": Outcome(tests["dev too"], dev["dev too"], len(THETA), len(sets.dev)),
    }


def agora_outcome(found: Run) -> Outcome:
    """The outcome of a run."""
    assert found.test is not None
    points = sum(entry["points"] for entry in found.rounds)
    return Outcome(found.test.accuracy, found.best.dev, found.report["trainings"], points, len(found.rounds))


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many; {SEEDS} if absent")
    parser.add_argument("--set", default="tweets", help="tweets or amazon")
    parser.add_argument("--tables", action="store_true", help="print the table of what was measured, and no more")
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    done = {(row["set"], row["seed"]) for row in rows_of(JOURNAL)}
    for seed in range(0 if options.tables else options.seeds):
        if (options.set, seed) in done:
            continue
        begin = time.monotonic()
        arms = {arm: asdict(outcome) for arm, outcome in outcomes(drawn(options.set, seed), seed).items()}
        row = {"student": "whole student", "set": options.set, "seed": seed}
        with JOURNAL.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**row, "seconds": round(time.monotonic() - begin), "arms": arms}) + "\n")
        sys.stderr.write(f"{options.set}, seed {seed}\n")
    sys.stdout.write(tables(JOURNAL) + "\n")


if __name__ == "__main__":
    main()
