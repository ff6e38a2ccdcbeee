"""Kill conversions at random moments, and check the target afterwards; `make kills` prints the tally."""

from __future__ import annotations

import argparse
import filecmp
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
from dataclasses import dataclass
from pathlib import Path

from environment import unmeasured

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "fixtures" / "bort_4_8_24_32.params"
FULL = ROOT / "build" / "full-size" / "bort_4_8_768_1024.params"
LEFTOVER = re.compile(r"\.out\.(partial|replaced)-[0-9a-f]{16}")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LINES = {128 + number: f"Interrupted by {number.name}\n" for number in SIGNALS[1:]}
BROKEN = "BROKEN"
LONGEST = 300.0
"""Seconds that a conversion may take to end, once it was sent a signal."""


@dataclass(frozen=True)
class Round:
    """A conversion that was sent one signal. Python may drop the signal in a finalizer: then the conversion goes on.

    Attributes:
        sent: the signal.
        force: True if the conversion was to replace a complete directory.
        status: exit status; negative for the signal that ended the process.
        left: state of the target: "absent", "old", "new", or "BROKEN".
        leftovers: names of the files beside the target.
        stderr: text that the conversion printed there.
    """

    sent: signal.Signals
    force: bool
    status: int
    left: str
    leftovers: tuple[str, ...]
    stderr: str

    def problems(self) -> list[str]:
        """Broken promises, one line each."""
        found = []
        if self.left == BROKEN or (self.left == "old" and not self.force):
            found.append(f"the target is {self.left}")
        if self.force and self.left == "absent":
            found.append("the old directory is gone")
        if self.status == 0 and self.left != "new":
            found.append(f"the exit code is 0, the target {self.left}")
        if wrong := [name for name in self.leftovers if not LEFTOVER.fullmatch(name)]:
            found.append(f"leftovers have unknown names: {wrong}")
        if self.leftovers and self.status >= 0:
            found.append(f"the exit code is {self.status}, and {self.leftovers} were left")
        begun = not self.stderr.startswith("Fatal Python error: init")  # the interpreter was still starting
        if begun and self.status not in {0, -self.sent, 128 + self.sent}:
            found.append(f"the exit code is {self.status}")
        dropped = self.status == 0 and self.stderr.startswith("Exception ignored") and "Interrupted" in self.stderr
        if begun and self.status >= 0 and self.stderr != LINES.get(self.status, "") and not dropped:
            found.append(f"stderr is {self.stderr!r}")
        return found


class Kills:
    """A folder in which conversions of one file are killed.

    Args:
        folder: an empty folder.
        source: the checkpoint to convert.
        seed: seed of the moments.
    """

    def __init__(self, folder: Path, source: Path, seed: int) -> None:
        self._folder, self._source, self._random = folder, source, random.Random(seed)  # noqa: S311 - no secrets
        self._out = folder / "work" / "out"
        self._out.parent.mkdir()
        self._run(folder / "old", "--dtype", "float16")
        start = time.monotonic()
        self._run(folder / "new")
        self._seconds = time.monotonic() - start

    def round(self, sent: signal.Signals, *, force: bool) -> Round:
        """Start a conversion, send it a signal at a random moment, and describe the target; again if it had ended."""
        while (process := self._killed(sent, force=force)) is None:
            pass
        try:
            _, stderr = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return Round(sent, force, process.returncode, self._left(), self._leftovers(), stderr)

    def _killed(self, sent: signal.Signals, *, force: bool) -> subprocess.Popen[str] | None:
        shutil.rmtree(self._out, ignore_errors=True)
        if force:
            shutil.copytree(self._folder / "old", self._out, copy_function=os.link)
        moment = self._random.uniform(0, self._seconds)
        # A background job of a shell ignores SIGINT, and the conversion would inherit that.
        process = subprocess.Popen(
            self._command(self._out, "--quiet", *(["--force"] if force else [])),
            env=unmeasured(),
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
        )
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(sent)
            return process
        process.communicate()
        return None

    def next_run(self) -> list[str]:
        """Convert a small file into the same target, and describe what went wrong: nothing, if all is well."""
        done = subprocess.run(
            [sys.executable, "-m", "bort_convert", SMALL, self._out, "--family", "bort", "--heads", "8", "--force"],
            check=False,
            capture_output=True,
            text=True,
        )
        left = self._leftovers()
        shutil.rmtree(self._out)
        return (
            [f"the next run ended with {done.returncode} and {left}: {done.stderr}"] if done.returncode or left else []
        )

    def _command(self, out: Path, *options: str) -> list[str]:
        return [sys.executable, "-m", "bort_convert", str(self._source), str(out), *options]

    def _run(self, out: Path, *options: str) -> None:
        subprocess.run(self._command(out, *options, "--quiet"), check=True, env=unmeasured())

    def _leftovers(self) -> tuple[str, ...]:
        return tuple(sorted(path.name for path in self._out.parent.iterdir() if path != self._out))

    def _left(self) -> str:
        if not self._out.exists():
            return "absent"
        for name in ("old", "new"):
            files = sorted(path.name for path in (self._folder / name).iterdir())
            found = sorted(path.name for path in self._out.iterdir())
            equal, _, _ = filecmp.cmpfiles(self._folder / name, self._out, files, shallow=False)
            if found == files == sorted(equal):
                return name
        return BROKEN


def kill(folder: Path, source: Path, count: int, seed: int = 0) -> tuple[list[Round], list[str]]:
    """Kill `count` conversions, by each signal with and without `--force` in turn; give them, and all problems."""
    kills = Kills(folder, source, seed)
    rounds, problems = [], []
    for number in range(count):
        done = kills.round(SIGNALS[number % len(SIGNALS)], force=number // len(SIGNALS) % 2 == 1)
        rounds.append(done)
        problems += [f"round {number}, {done.sent.name}: {problem}" for problem in done.problems()]
        if done.leftovers or number == count - 1:
            problems += kills.next_run()
        filecmp.clear_cache()
    return rounds, problems


def table(rounds: list[Round]) -> str:
    """Count the outcomes of each signal."""
    lines = [f"{'SIGNAL':8}  {'TARGET':8}  {'EXIT':>5}  {'AFTERWARDS':10}  {'LEFTOVERS':9}  TIMES"]
    tally = Counter(
        (done.sent.name, "forced" if done.force else "absent", done.status, done.left, len(done.leftovers))
        for done in rounds
    )
    for (sent, target, status, left, leftovers), times in sorted(tally.items()):
        lines.append(f"{sent:8}  {target:8}  {status:5}  {left:10}  {leftovers:9}  {times:5}")
    broken = sum(done.left == BROKEN for done in rounds)
    return "\n".join([*lines, f"{len(rounds)} kills, {broken} broken outputs"])


def main() -> int:
    """Kill, print the tally and the problems, and return 1 if there are any, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=FULL.parents[1]) as folder:
        rounds, problems = kill(Path(folder), FULL, chosen.count, chosen.seed)
    sys.stdout.write("\n".join([table(rounds), *problems, ""]))
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
