"""Findings of a verification: checks, each with its verdict, and the differences behind them."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bort_convert.verification.headline import excess, failure_line, label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.verification.compare import Difference, Run

NAMES_AND_SHAPES: Final = "names and shapes"
BITS: Final = "bits"
BEHAVIOUR: Final = "behaviour"
AS_USED: Final = "as used"
GRADIENTS: Final = "gradients"
_HEADLINE_ORDER: Final = (NAMES_AND_SHAPES, BEHAVIOUR, GRADIENTS, BITS, AS_USED)


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Attributes:
        name: of the check, such as "bits".
        passed: the verdict.
        detail: on success what was compared; on failure what is wrong, one line each.
    """

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Findings:
    """The verdict on a converted directory; true when every check passed.

    Attributes:
        source: name of the checkpoint or trace.
        target: name of the directory.
        checks: in the order in which they ran.
        runs: one for each precision.
        per_layer: the per-layer comparison, in which every layer gets the reference's input; made after a failure,
            where the trace is whole; else None.
        notes: what changes the meaning of the numbers, a line each.
        versions: of the frameworks that ran.
        lengths: tokens in each row of the inputs.
        seconds: wall time.
        peak_mb: the largest resident memory of this process or of the reference's, in 10**6 bytes.
        digests: file name -> SHA-256, of both sides.
        call: the command or call that made the report.
        gradients: one run for each precision, tensors by the checkpoint's names, last layer first; () unless asked for.
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
    digests: Mapping[str, str] = field(default_factory=dict)
    call: str = ""
    gradients: tuple[Run, ...] = ()

    def __bool__(self) -> bool:
        return self.passed

    @property
    def passed(self) -> bool:
        """True if there are checks and every one passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def layers(self) -> tuple[Difference, ...]:
        """Every output of the highest precision that was run."""
        return max(self.runs, key=lambda run: run.dtype).layers if self.runs else ()

    @property
    def worst(self) -> Difference | None:
        """The output nearest to its limit or furthest beyond; one that could not be compared comes first."""
        differences = [layer for run in self.runs for layer in run.layers]
        return max(differences, key=excess, default=None)

    @property
    def first_divergence(self) -> Difference | None:
        """The first output that fails, in the highest precision with a failure."""
        failing = self._failing_run
        return failing.failures[0] if failing else None

    @property
    def headline(self) -> str:
        """The verdict in one line, `FAIL layer 2: ...` or `PASS ...`."""
        if not self.checks:
            return "FAIL nothing: nothing was verified"
        failed = {check.name: check for check in self.checks if not check.passed}
        if not failed:
            return f"PASS {self.target} is {self.source}: {', '.join(check.name for check in self.checks)}"
        name = next((name for name in _HEADLINE_ORDER if name in failed), next(iter(failed)))
        run = self._failing_run
        if name == BEHAVIOUR and run:
            return failure_line(run, self.per_layer)
        return f"FAIL {name}: {failed[name].detail.partition(chr(10))[0]}"

    @property
    def summary(self) -> dict[str, Any]:
        """The part that a manifest keeps: checks, the largest difference in each precision, and versions."""
        worst = [(run.dtype, max(run.layers, key=excess)) for run in self.runs if run.layers]
        return {
            "checks": {check.name: check.detail for check in self.checks},
            "runs": [
                {"dtype": dtype, "output": label(layer.name), "max_abs": layer.max_abs, "limit": layer.limit}
                for dtype, layer in worst
            ],
            "versions": dict(self.versions),
        }

    @property
    def rungs(self) -> tuple[CheckResult, ...]:
        """The name of `checks` in release 0.1, kept for one release."""
        return self.checks

    @property
    def isolation(self) -> Run | None:
        """The name of `per_layer` in release 0.1, kept for one release."""
        return self.per_layer

    @property
    def _failing_run(self) -> Run | None:
        return max((run for run in self.runs if run.failures), key=lambda run: run.dtype, default=None)


def peak_mb() -> float:
    """The largest resident memory so far, of this process or a child of it, in 10**6 bytes; 0 where unknown."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return 0.0
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(peaks) * (1 if sys.platform == "darwin" else 1024) / 1e6
