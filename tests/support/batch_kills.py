"""Kill batches at random moments, parents and workers, and go on; `make batch-kills` prints the tally."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from environment import unmeasured
from fleet import Ship, content, launch, write_plan

import bort_convert

JOURNAL, SCRATCH = "batch.journal", ".batch-scratch"
_LEFTOVER = re.compile(r"\..+\.(partial|replaced)-[0-9a-f]{16}")


class Kills:
    """A folder in which batches of one plan are killed and go on.

    Args:
        folder: an empty folder.
        good: checkpoints that are converted.
        broken: checkpoints that are refused.
        seed: seed of the moments.
    """

    def __init__(self, folder: Path, good: int, broken: int, seed: int) -> None:
        self._folder, self._random = folder, random.Random(seed)  # noqa: S311 - no secrets
        (folder / "in").mkdir()
        self.ships = launch(folder / "in", good, broken)
        self._plan, self._out = write_plan(folder / "plan.jsonl", self.ships), folder / "out"
        self._expected = {ship.name: self._alone(ship) for ship in self.ships if not ship.refusal}
        self.tally: Counter[str] = Counter()

    def _alone(self, ship: Ship) -> dict[str, bytes]:
        bort_convert.convert(ship.source, self._folder / "one", force=True, **ship.options)
        return content(self._folder / "one")

    def round(self) -> list[str]:
        """Start a batch and kill it, or one of its workers, at a random moment; give the problems."""
        victim = self._random.choice(("parent", "worker"))
        process = subprocess.Popen(
            [sys.executable, "-m", "bort_convert", "batch", self._plan, "--out", self._out, "--jobs", "2", "-q"],
            env=unmeasured(),
            stderr=subprocess.DEVNULL,
        )
        self._wait_for_work(process)
        time.sleep(self._random.uniform(0, 1.2))
        workers = children_of(process.pid)
        if process.poll() is None and victim == "worker" and workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._random.choice(workers), signal.SIGKILL)
            process.wait(120)
        elif process.poll() is None:
            victim = "parent"
            process.kill()
            process.wait()
        else:
            victim = "nobody: it had ended"
        self.tally[victim] += 1
        deadline = time.monotonic() + 20
        while alive := [worker for worker in workers if lives(worker)]:
            if time.monotonic() > deadline:
                return [f"workers {alive} outlive a killed {victim}"]
            time.sleep(0.02)
        if all((self._out / name / "conversion.json").exists() for name in self._expected) and victim != "parent":
            problems = self.last_run()
            shutil.rmtree(self._out)
            return problems
        return self._whole_targets()

    def _wait_for_work(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the batch has begun a conversion of this run, or has ended."""
        before = self._begun()
        while process.poll() is None and self._begun() == before:
            time.sleep(0.01)

    def _begun(self) -> int:
        try:
            return (self._out / JOURNAL).read_bytes().count(b'"event": "begin"')
        except FileNotFoundError:
            return 0

    def _whole_targets(self) -> list[str]:
        """Problems with targets that are there after a kill: each is whole and right."""
        return [
            f"{name} is there and is not right"
            for name, expected in self._expected.items()
            if (self._out / name).exists() and content(self._out / name) != expected
        ]

    def last_run(self) -> list[str]:
        """Let a batch end, and describe what is wrong with its root: nothing, if all is well."""
        command = [sys.executable, "-m", "bort_convert", "batch", self._plan, "--out", self._out, "--jobs", "2", "-q"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=unmeasured())
        problems = self._whole_targets()
        problems += [f"{name} is missing" for name in self._expected if not (self._out / name).is_dir()]
        refused = sum(bool(ship.refusal) for ship in self.ships)
        if done.returncode != bool(refused):
            problems.append(f"the last run ended with {done.returncode}: {done.stderr}")
        document = json.loads((self._out / "batch.json").read_text())
        if document["counts"].get("failed", 0) != refused:
            problems.append(f"the last run says {document['headline']}")
        names = [path.name for path in self._out.rglob("*")]
        problems += [f"{name} was left" for name in names if _LEFTOVER.fullmatch(name) or name == SCRATCH]
        return problems + self._twice()

    def _twice(self) -> list[str]:
        """Targets that a journal says were converted more than once."""
        ends: Counter[str] = Counter()
        for line in (self._out / JOURNAL).read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                if record["event"] == "end" and record["result"]["status"] == "converted":
                    ends[record["name"]] += 1
        self.tally["conversions"] += sum(ends.values())
        return [f"{name} was converted {count} times" for name, count in ends.items() if count > 1]


def children_of(process: int) -> list[int]:
    """Workers of a batch: its children, but for the one that only watches semaphores."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == process:
                command = path.with_name("cmdline").read_bytes()
                found += [int(path.parent.name)] if b"spawn_main" in command else []
    return found


def lives(process: int) -> bool:
    """True if a process runs."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def kill(folder: Path, count: int, seed: int = 0, good: int = 60, broken: int = 4) -> tuple[Counter[str], list[str]]:
    """Kill batches `count` times, and let the last one end; give the tally and all problems."""
    kills = Kills(folder, good, broken, seed)
    problems = []
    while sum(kills.tally[victim] for victim in ("parent", "worker")) < count:
        problems += [f"after kill {sum(kills.tally.values())}: {problem}" for problem in kills.round()]
    return kills.tally, problems + kills.last_run()


def main() -> int:
    """Kill, print the tally and the problems, and return 1 if there are any, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=50)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally, problems = kill(Path(folder), chosen.count, chosen.seed)
    lines = [f"{what:22}  {count:5}" for what, count in sorted(tally.items())]
    sys.stdout.write("\n".join([*lines, f"{len(problems)} problems", *problems, ""]))
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
