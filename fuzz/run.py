"""Fuzz every target for an equal time, and print the outcomes: `make fuzz`, `make fuzz FUZZ_SECONDS=3600`.

The corpus of a target stays in build/fuzz/TARGET/corpus, and the next run goes on from there. The exit status is 1 if
an input is found that a target does not survive: an exception, more than ten seconds, or two gigabytes of memory.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seeds import LARGEST, ROOT, seeds
from targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

BUILD = ROOT / "build" / "fuzz"
HARNESS = ROOT / "fuzz" / "harness.py"
LIMITS = ("-timeout=10", "-rss_limit_mb=2048", f"-max_len={2 * LARGEST}")
PROGRESS = re.compile(r"^#(\d+)\s+\S+\s+cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)
DONE = re.compile(r"^Done (\d+) runs in (\d+) second", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """Outcome of fuzzing one target.

    Attributes:
        target: name of the target.
        executions: inputs tried.
        coverage: edges reached, libFuzzer's `cov:`.
        features: edges reached, counted once for each range of passes, libFuzzer's `ft:`.
        kept: inputs in the corpus, each of which reaches a feature that the others do not.
        findings: inputs that the target does not survive.
        log: output of the fuzzer.
    """

    target: str
    executions: int
    coverage: int
    features: int
    kept: int
    findings: tuple[Path, ...]
    log: Path


def main(seconds: int) -> int:
    """Fuzz one target after the other, and print a line for each; return 1 if there is a finding, else 0."""
    outcomes = []
    for target in TARGETS:
        sys.stdout.write(f"{target}: {seconds // len(TARGETS)} seconds\n")
        sys.stdout.flush()
        outcomes.append(fuzz(target, seconds // len(TARGETS)))
    sys.stdout.write(f"\n{'target':<10}{'executions':>12}{'cov':>8}{'ft':>8}{'corpus':>8}{'findings':>10}\n")
    for one in outcomes:
        counts = f"{one.executions:>12,}{one.coverage:>8,}{one.features:>8,}{one.kept:>8,}{len(one.findings):>10}"
        sys.stdout.write(f"{one.target:<10}{counts}\n")
    for one in outcomes:
        for path in one.findings:
            sys.stdout.write(f"\nFINDING in {one.target}: {path}; the traceback is in {one.log}\n")
            sys.stdout.write(f"again: {sys.executable} {HARNESS} {one.target} {path}\n")
    return int(any(one.findings for one in outcomes))


def fuzz(target: str, seconds: int) -> Outcome:
    """Fuzz one target in another process.

    Raises:
        RuntimeError: the fuzzer failed without a finding.
    """
    folder = BUILD / target
    corpus, seed_folder, log = folder / "corpus", folder / "seeds", folder / "log.txt"
    for needed in (corpus, seed_folder):
        needed.mkdir(parents=True, exist_ok=True)
    for name, data in seeds(target).items():
        (seed_folder / name).write_bytes(data)
    before = _findings(folder)
    harness = [sys.executable, str(HARNESS), target, str(corpus), str(seed_folder)]
    limits = [*LIMITS, f"-max_total_time={seconds}", f"-artifact_prefix={folder}/finding-"]
    with log.open("w") as file:
        status = subprocess.run([*harness, *limits], stdout=file, stderr=file, check=False).returncode  # noqa: S603 - our own script
    found = tuple(sorted(_findings(folder) - before))
    text = log.read_text(errors="replace")
    if not found and (status or not DONE.search(text)):
        raise RuntimeError(f"{target}: the fuzzer ended with status {status}; its output is in {log}")
    progress = [tuple(map(int, groups)) for groups in PROGRESS.findall(text)] or [(0, 0, 0, 0)]
    executions, coverage, features, kept = progress[-1]
    if done := DONE.search(text):
        executions = int(done[1])
    return Outcome(target, executions, coverage, features, kept, found, log)


def _findings(folder: Path) -> set[Path]:
    return set(folder.glob("finding-*"))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
