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
    """The verdict on a converted directory; true when every check passed. Its attributes are those of `Findings`."""

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON has it; see `render.to_dict`."""
        return render.to_dict(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report to a file that ends in .html, .json, .md, .txt or .xml; see `render.write_report`."""
        render.write_report(self, path)
