"""Time a proved batch with one and with two workers: GluonNLP on MXNet runs live, or stands in recorded traces.

python benchmarks/batch_jobs.py [FILES]

FILES is the size of the fleet, by default 600: with few files, the second worker's imports are much of the work. The
wall time counts on a machine of at least two processors that does nothing else; the processor time counts on any.
"""

from __future__ import annotations

import shutil
import sys
from functools import partial
from typing import TYPE_CHECKING

from measure import BORT_CONVERT, ROOT, WORK, Case, Result, fresh, interleaved, middle, ratio
from measure import table as markdown

sys.path.insert(0, str(ROOT / "tests" / "support"))

from fleet import FIXTURES, GOOD, Ship, options_of, write_plan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BAR = 1.7
TRACES = FIXTURES / "traces"
RECORDED = [path for path in GOOD if (TRACES / f"{path.stem}.safetensors").exists()]


def fleet(name: str, paths: Sequence[Path], count: int) -> Path:
    """Write the plan of a fleet of so many files, which takes these in turn; a recorded one names its traces."""
    ships = []
    for number in range(count):
        path = paths[number % len(paths)]
        trace = {"trace": str(TRACES / f"{path.stem}.safetensors")} if paths is RECORDED else {}
        ships.append(Ship(path, f"{number:04}", options_of(path) | trace))
    return write_plan(WORK / f"{name}.jsonl", ships)


def case(name: str, plan: Path, jobs: int) -> Case:
    """A batch with so many workers; each gets the one thread for which the batch asks."""
    out = WORK / "fleet"
    command = ["env", "-u", "OMP_NUM_THREADS", BORT_CONVERT, "batch", plan, "--out", out, "--verify", "--quiet"]
    return Case(f"{name}, `--jobs {jobs}`", [*map(str, command), "--jobs", str(jobs)], partial(_empty, out))


def _empty(out: Path) -> None:
    WORK.mkdir(parents=True, exist_ok=True)
    fresh(out)()


def main() -> None:
    """Measure, print and keep the results."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    WORK.mkdir(parents=True, exist_ok=True)
    plans = {name: fleet(name, paths, count) for name, paths in (("live", GOOD), ("recorded", RECORDED))}
    result, rows = Result(), []
    for name, plan in plans.items():
        cases = [case(name, plan, jobs) for jobs in (1, 2)]
        runs = interleaved(cases, 1, warm_up=False, attempts=1)
        one, two = runs.values()
        times = ratio(one, two)
        result.bars.append((f"{name}, {count} files: `--jobs 2` at least {BAR} x", f"{times:.2f} x", times >= BAR))
        result.raw |= {title: [vars(found) for found in each] for title, each in runs.items()}
        for title, each in runs.items():
            rows.append((title, *(f"{middle(each, what):.1f}" for what in ("wall", "cpu", "others"))))
    result.tables.append(markdown((f"{count} files", "seconds", "CPU seconds", "others"), rows))
    shutil.rmtree(WORK)
    result.save("batch_jobs")


if __name__ == "__main__":
    main()
