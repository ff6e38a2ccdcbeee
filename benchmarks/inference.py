"""Time a forward pass of the converted Bort in torch, of the original in MXNet, and of two BERTs, on the same inputs.

    python benchmarks/inference.py

A pass runs embeddings and encoder without a head, on two threads, with all positions valid. The two frameworks run in
two processes that take turns. A compiled model is compiled before it is measured.
"""

from __future__ import annotations

import json
import math
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from measure import ATTEMPTS, BORT_CONVERT, DISTURBED, WORK, Result, environment, fresh, full_size, run, wait_for_quiet
from measure import table as markdown

SETTINGS = [(batch, length) for batch in (1, 8) for length in (16, 128, 512)]
OURS = ("eager", "compiled", "bfloat16")
BERTS = ("bert-base", "bert-large")
MODES = ("gluon", *OURS, *BERTS)
TITLES = ("MXNet", "torch eager", "compiled", "bfloat16", "BERT-base", "BERT-large")
LONG = 4.0
"""Seconds of a pass from which on a disturbed one is not made again."""
TOLERANCE = 1e-4
CLAIMS = {"bert-base": 7.9, "bert-large": 20}
"""Factors by which Bort is faster on a CPU, by alexa/bort, README.md, without batch or length."""


class Worker:
    """A process that answers one line with another."""

    def __init__(self, script: str, path: Path) -> None:
        command = [sys.executable, str(Path(__file__).with_name(script)), str(path)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment())

    def ask(self, *words: object) -> dict[str, Any]:
        """Send a line, and give the answer."""
        if self.process.stdin is None or self.process.stdout is None:
            raise ValueError
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args!r}: ended with status {self.process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def time(self, mode: str, *words: object) -> float:
        """Time a pass until one is undisturbed, and give the seconds of the least disturbed one."""
        best = (math.inf, math.inf)
        for _ in range(ATTEMPTS):
            wait_for_quiet()
            found = self.ask(*words)[mode]
            best = min(best, (found["others"], found["seconds"]))
            if best[0] < DISTURBED or best[1] > LONG:
                break
        return best[1]

    def close(self) -> None:
        """End the process."""
        if self.process.stdin:
            self.process.stdin.close()
        self.process.wait()


def main() -> None:
    """Measure, print and keep the results."""
    source, out = full_size(), WORK / "out"
    fresh(out)()
    run([BORT_CONVERT, str(source), str(out), "--quiet"])
    gluon, torch = Worker("infer_gluon.py", source), Worker("infer_torch.py", out)
    times = {setting: measure(gluon, torch, *setting) for setting in SETTINGS}
    gluon.close()
    torch.close()
    shutil.rmtree(WORK)
    Result(tables(times), bars(times), {f"{batch}x{length}": times[batch, length] for batch, length in times}).save(
        "inference"
    )


def measure(gluon: Worker, torch: Worker, batch: int, length: int) -> dict[str, list[float]]:
    """Time every mode at one setting, in turn; in more rounds where they are short."""
    reference, ours = gluon.ask(batch, length), torch.ask(batch, length, *OURS)
    if not math.isclose(reference["sum"], ours["sum"], rel_tol=TOLERANCE, abs_tol=1):
        sys.exit(f"{batch} x {length}: MXNet gives {reference['sum']}, torch {ours['sum']}; they do not agree")
    found: dict[str, list[float]] = {mode: [] for mode in MODES}
    tokens = batch * length
    rounds, few = (9, 5) if tokens <= 128 else (5, 2) if tokens <= 1024 else (3, 1)  # noqa: PLR2004 - tokens
    if few > 1:
        torch.ask(batch, length, *BERTS)
    for number in range(rounds):
        found["gluon"].append(gluon.time("gluon", batch, length))
        for mode in (*OURS, *(BERTS if number < few else ())):
            found[mode].append(torch.time(mode, batch, length, mode))
    sys.stderr.write(f"{batch} x {length}: {json.dumps({mode: statistics.median(found[mode]) for mode in MODES})}\n")
    return found


def tables(times: dict[tuple[int, int], dict[str, list[float]]]) -> list[str]:
    """Make the tables: milliseconds, and the factors by which Bort is faster than MXNet and than each BERT."""
    names = {setting: f"{setting[0]} x {setting[1]}" for setting in times}
    milliseconds = [
        [names[setting], *(f"{1e3 * statistics.median(found[mode]):,.0f}" for mode in MODES)]
        for setting, found in times.items()
    ]
    against_mxnet = [
        [names[setting], *(f"{faster(found, mode, 'gluon'):.2f}" for mode in OURS)] for setting, found in times.items()
    ]
    against_bert = [
        [names[setting], *(f"{faster(found, mode, bert):.1f}" for bert in BERTS for mode in ("eager", "gluon"))]
        for setting, found in times.items()
    ]
    return [
        markdown(["batch x length, ms", *TITLES], milliseconds),
        markdown(["times as fast as MXNet", *TITLES[1:4]], against_mxnet),
        markdown(
            ["Bort is faster by", *(f"{side}, {bert}" for bert in TITLES[4:] for side in ("torch", "MXNet"))],
            against_bert,
        ),
    ]


def faster(found: dict[str, list[float]], mode: str, other: str) -> float:
    """Give the median, over the rounds, of the factor by which a mode is faster than another."""
    return statistics.median(theirs / ours for ours, theirs in zip(found[mode], found[other], strict=False))


def bars(times: dict[tuple[int, int], dict[str, list[float]]]) -> list[tuple[str, str, bool]]:
    """Judge the figures by the bar for inference and by the claims of Bort's authors."""
    eager = {setting: faster(found, "eager", "gluon") for setting, found in times.items()}
    slower = [f"{batch} x {length} ({eager[batch, length]:.2f})" for batch, length in eager if eager[batch, length] < 1]
    worst = f"{min(eager.values()):.2f} to {max(eager.values()):.2f} times as fast"
    claims = []
    for bert, claim in CLAIMS.items():
        ratios = [faster(found, "eager", bert) for found in times.values()]
        said = f"the authors: Bort is {claim} times as fast as {bert} on a CPU"
        claims.append(
            (said, f"{min(ratios):.1f} to {max(ratios):.1f} times, both in torch eager", min(ratios) >= claim)
        )
    return [
        (
            "the converted Bort in torch (eager, float32) is not slower than the original in MXNet",
            worst + (f"; slower at {', '.join(slower)}" if slower else ""),
            not slower,
        ),
        *claims,
    ]


if __name__ == "__main__":
    main()
