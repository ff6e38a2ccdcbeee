"""The report of a verification: its findings, and the ways to keep them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bort_convert.verification import render
from bort_convert.verification.findings import Findings

if TYPE_CHECKING:
    import os


@dataclass(frozen=True)
class Report(Findings):
    """The verdict on a converted directory; true when every check passed. Its attributes are those of `Findings`.

    Examples:
        >>> manifest = bort_convert.convert("fixtures/bort_4_8_24_32.params", "out", family="bort", heads=8)
        >>> report = bort_convert.verify("fixtures/traces/bort_4_8_24_32.safetensors", "out", dtype="float64")
        >>> print(report.headline)
        PASS out is bort_4_8_24_32.safetensors: names and shapes, bits, behaviour, as used
        >>> report.save("report.json")
    """

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON has it; see `render.to_dict`."""
        return render.to_dict(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report to a file that ends in .html, .json, .md, .txt or .xml; see `render.write_report`."""
        render.write_report(self, path)
