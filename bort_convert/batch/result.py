"""The outcome of a batch, file by file, as data that a journal keeps and a report shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from bort_convert.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

CONVERTED: Final = "converted"
UP_TO_DATE: Final = "up to date"
FITS: Final = "fits"
FAILED: Final = "failed"
NOT_RUN: Final = "not run"
STATUSES: Final = (CONVERTED, UP_TO_DATE, FITS, FAILED, NOT_RUN)


@dataclass(frozen=True)
class FileResult:
    """The outcome of one entry of a plan; true if its target is right, or would be after a dry run.

    Attributes:
        name: of the target.
        source: the checkpoint.
        place: place in the plan.
        status: "converted", "up to date", "fits" (of a dry run), "failed" or "not run".
        reason: why a target was converted again, or what a dry run would do.
        model: class in transformers, and the published size or else the family; "" if no table fits.
        error: `type` and `message` of what went wrong, and the `traceback` of an error that is not ours; empty if
            nothing did.
        report: of the verification, as `Report.to_dict` gives it; empty without one.
        problems: of a check of the directory, a line each; None without a check.
        size: bytes of the source.
        sha256: of the source; "" if it was not hashed.
        marks: of a source elsewhere, what tells its content from others, such as its `etag`.
        manifest: SHA-256 of the target's conversion.json; "" without a target.
        state: everything beside the source that decides about the target; see `states`.
        seconds: wall time.
    """

    name: str
    source: str
    place: str = ""
    status: str = NOT_RUN
    reason: str = ""
    model: str = ""
    error: Mapping[str, str] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] | None = None
    size: int = 0
    sha256: str = ""
    marks: Mapping[str, str] = field(default_factory=dict)
    manifest: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def __bool__(self) -> bool:
        return self.status in {CONVERTED, UP_TO_DATE, FITS}

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON has it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> FileResult:
        """A result from its JSON; entries that this release does not know are left out."""
        known = {entry.name: document[entry.name] for entry in fields(cls) if entry.name in document}
        problems = known.get("problems")
        return cls(**{**known, "problems": None if problems is None else tuple(problems)})

    @property
    def worst(self) -> tuple[float, float] | None:
        """Largest difference and its limit, in the output nearest to its limit in any precision; None without one."""
        layers = [layer for run in self.report.get("runs", ()) for layer in run["layers"]]
        measured = [layer for layer in layers if layer["max_abs"] is not None and layer["limit"]]
        if not measured:
            return None
        layer = max(measured, key=lambda layer: layer["max_abs"] / layer["limit"])
        return layer["max_abs"], layer["limit"]


@dataclass(frozen=True)
class BatchResult:
    """The outcome of a batch; true if every target is right.

    Attributes:
        files: one for each entry of the plan, in its order.
        seconds: wall time.

    Examples:
        >>> plan = bort_convert.read_plan("fixtures/bort_2_3_24_24.params", defaults={"family": "bort", "heads": 3})
        >>> result = bort_convert.convert_batch(plan, "models", dry_run=True, jobs=1)
        >>> bool(result), result.files[0].status, result.files[0].model
        (True, 'fits', 'BertForMaskedLM (bort)')
    """

    files: tuple[FileResult, ...]
    seconds: float = 0.0

    def __bool__(self) -> bool:
        return self.passed

    @property
    def passed(self) -> bool:
        """True if there are files and every one is right."""
        return bool(self.files) and all(self.files)

    @property
    def counts(self) -> dict[str, int]:
        """Number of files by status, for those that there are."""
        found = Counter(file.status for file in self.files)
        return {status: found[status] for status in STATUSES if found[status]}

    @property
    def headline(self) -> str:
        """The verdict in one line: `FAIL 20 of 200 files: 180 converted, 20 failed`."""
        counts = ", ".join(f"{count:,} {status}" for status, count in self.counts.items())
        wrong, total = sum(not file for file in self.files), f"{len(self.files):,} file{'s' * (len(self.files) != 1)}"
        return f"PASS {total}: {counts}" if self.passed else f"FAIL {wrong:,} of {total}: {counts}"

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON has it."""
        return {
            "passed": self.passed,
            "headline": self.headline,
            "bort_convert": __version__,
            "counts": self.counts,
            "seconds": round(self.seconds, 3),
            "files": [file.to_dict() for file in self.files],
        }
