"""What a verification found: three checks, each with its own verdict, and the numbers behind them.

MERGED verify.memory: How much memory a verification took.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bort_convert.verification.compare import place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bort_convert.verification.compare import Difference, Run

NAMES_AND_SHAPES: Final = "names and shapes"
BITS: Final = "bits"
BEHAVIOUR: Final = "behaviour"
_HEADLINE_ORDER: Final = (NAMES_AND_SHAPES, BEHAVIOUR, BITS)


@dataclass(frozen=True)
class CheckResult:
    """One way to look at a conversion, and its verdict.

    Attributes:
        detail: on success what was looked at; on failure what is wrong, one line each.
    """

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Report:
    """The verdict on a converted directory; true when every check passed.

    Attributes:
        source: name of the checkpoint or trace.
        target: name of the directory.
        checks: in the order in which they were climbed.
        runs: one for each precision.
        per_layer: every layer fed the reference's input, after a failure and where the trace is whole; else None.
        notes: what a reader has to know of the numbers, a line each.
        versions: what ran.
        lengths: tokens in each row that both sides were given.
        seconds: wall time.
        peak_mb: the largest resident memory of this process or of the reference's, in 10**6 bytes.
    """

    source: str
    target: str
    checks: tuple[CheckResult, ...]
    runs: tuple[Run, ...] = ()
    per_layer: Run | None = None
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    lengths: tuple[int, ...] = ()
    seconds: float = 0.0
    peak_mb: float = 0.0

    def __bool__(self) -> bool:
        return self.passed

    @property
    def passed(self) -> bool:
        """Whether there are checks, and every one passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def layers(self) -> tuple[Difference, ...]:
        """Every output of the sharpest precision that was run."""
        return max(self.runs, key=lambda run: run.dtype).layers if self.runs else ()

    @property
    def worst(self) -> Difference | None:
        """The output that is furthest up to its limit, or over it; one that could not be compared comes first."""
        differences = [layer for run in self.runs for layer in run.layers]
        return max(differences, key=excess, default=None)

    @property
    def first_divergence(self) -> Difference | None:
        """The first output that fails, in the sharpest precision where any does."""
        failing = _failing_run(self.runs)
        return failing.failures[0] if failing else None

    @property
    def headline(self) -> str:
        """The verdict in one line, `FAIL layer 2: ...` or `PASS ...`."""
        failed = {check.name: check for check in self.checks if not check.passed}
        for name in _HEADLINE_ORDER:
            run = _failing_run(self.runs)
            if name in failed and name == BEHAVIOUR and run:
                return failure_line(run, self.per_layer)
            if name in failed:
                return f"FAIL {name}: {_first_line(failed[name].detail)}"
        if failed or not self.checks:
            check = next(iter(failed.values()), CheckResult("nothing", passed=False, detail="nothing was verified"))
            return f"FAIL {check.name}: {_first_line(check.detail)}"
        return f"PASS {self.target} is {self.source}: {', '.join(check.name for check in self.checks)}"

    @property
    def summary(self) -> dict[str, Any]:
        """What a manifest keeps of it: the checks, the largest difference in each precision, and what ran."""
        worst = [(run.dtype, max(run.layers, key=excess)) for run in self.runs if run.layers]
        return {
            "checks": {check.name: check.detail for check in self.checks},
            "runs": [
                {"dtype": dtype, "output": label(layer.name), "max_abs": layer.max_abs, "limit": layer.limit}
                for dtype, layer in worst
            ],
            "versions": dict(self.versions),
        }


def excess(difference: Difference) -> float:
    """The difference in units of its limit; infinite for what could not be compared."""
    if difference.problem or not difference.count:
        return float("inf")
    if not difference.limit:
        return float("inf") if difference.max_abs else 0.0
    return difference.max_abs / difference.limit


def failure_line(run: Run, per_layer: Run | None) -> str:
    """Where a run first diverges, what inherits that, and what is at fault on its own."""
    first, *others = run.failures
    if first.problem:
        head = f"FAIL {label(first.name)}: {first.problem}"
    else:
        at = f"max |d| {first.max_abs:.2g} at {place(first.where)}, limit {first.limit:.2g}"
        head = f"FAIL {label(first.name)}: {at}; first divergence"
    if not others:
        return f"{head} ({run.dtype})"
    names = [layer.name for layer in others]
    if per_layer is None:
        return f"{head}; {labels(names)} {'differs' if len(names) == 1 else 'differ'} too ({run.dtype})"
    at_fault = {layer.name for layer in per_layer.failures}
    parts = [head]
    if first.name not in at_fault:
        parts.append("fed the reference's input it passes: error that builds up")
    if own := [name for name in names if name in at_fault]:
        parts.append(f"{labels(own)} {'is' if len(own) == 1 else 'are'} at fault too")
    if inherited := [name for name in names if name not in at_fault]:
        parts.append(f"{labels(inherited)} {'inherits' if len(inherited) == 1 else 'inherit'} it")
    return f"{'; '.join(parts)} ({run.dtype})"


def label(name: str) -> str:
    """An output as a person says it: `layer 2`."""
    return name.replace(".", " ")


def labels(names: Iterable[str]) -> str:
    """Some outputs as a person says them: `layers 3-4 and mlm_logits`."""
    numbers: dict[str, list[int]] = {}
    for name in names:
        kind, _, number = name.partition(".")
        numbers.setdefault(kind, []).extend([int(number)] if number else [])
    parts = [f"{kind}{'s' * (len(found) > 1)} {_ranges(found)}" if found else kind for kind, found in numbers.items()]
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1]))) if parts else ""


def _ranges(numbers: list[int]) -> str:
    """`2, 4-6` for 2, 4, 5, 6."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(f"{first}-{last}" if last > first else f"{first}" for first, last in spans)


def _failing_run(runs: tuple[Run, ...]) -> Run | None:
    return max((run for run in runs if run.failures), key=lambda run: run.dtype, default=None)


def _first_line(detail: str) -> str:
    return detail.split("\n", 1)[0]


def peak_mb() -> float:
    """The largest resident memory so far, of this process or a child of it, in 10**6 bytes; 0 where unknown."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return 0.0
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(peaks) * (1 if sys.platform == "darwin" else 1024) / 1e6
