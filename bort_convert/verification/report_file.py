"""Files that a report may be written to: new ones outside of a converted directory, and older reports."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from bort_convert.errors import OutputError
from bort_convert.model_dir.ownership import reason_to_keep_file

if TYPE_CHECKING:
    from pathlib import Path

_BEGINNINGS: Final = {
    ".html": r"<!DOCTYPE html>.{,400}<title>(PASS|FAIL) ",
    ".json": r'{\s*"passed": (true|false),\s*"headline": "(PASS|FAIL) ',
    ".md": r"\*\*(PASS|FAIL) [^\n]*\*\*\n\n\| (check|rung) \| verdict \| \|\n",
    ".txt": r"(PASS|FAIL) [^\n]*\n\n(PASS|FAIL) ",
}
"""Beginning of a report by the ending of its file, as this release and 0.1 write it."""
_BEGINNING_LENGTH: Final = 65_536


def check_report_path(path: Path) -> None:
    """Refuse a path that no report may be written to; nothing is written.

    Raises:
        OutputError: the path is inside of a converted directory, or something else than a report stands there.
    """
    if reason := reason_to_keep(path):
        raise OutputError(f"{path} {reason}")


def reason_to_keep(path: Path) -> str:
    """Say why a report may not stand at a path; "" for a new file, an empty one and an older report."""
    if reason := reason_to_keep_file(path):
        return reason
    if not os.path.lexists(path) or (path.is_file() and _is_report(path)):
        return ""
    return "is there already and is no report of a verification. Delete it, or choose another name"


def _is_report(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            beginning = file.read(_BEGINNING_LENGTH)
    except OSError:
        return False
    pattern = _BEGINNINGS.get(path.suffix.lower())
    return not beginning or bool(pattern and re.match(pattern, beginning, re.DOTALL))
