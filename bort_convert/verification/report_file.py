"""Files that a report may be written to: new ones outside of a converted directory, and older reports."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bort_convert.errors import OutputError
from bort_convert.files.atomic import new_file
from bort_convert.files.remote import read_start
from bort_convert.files.system_errors import writing
from bort_convert.model_dir.ownership import reason_to_keep_file

if TYPE_CHECKING:
    from bort_convert.files.remote import Place

_BEGINNINGS: Final = {
    ".html": r"<!DOCTYPE html>.{,400}<title>(PASS|FAIL) ",
    ".json": r'{\s*"passed": (true|false),\s*"headline": "(PASS|FAIL) ',
    ".md": r"\*\*(PASS|FAIL) [^\n]*\*\*\n\n\| ((check|rung) \| verdict \| \|\n|file \| verdict \| )",
    ".txt": r"(PASS|FAIL) [^\n]*\n\n(PASS|FAIL|verdict) ",
    ".xml": r'<\?xml [^\n]*>\n<testsuites name="bort_convert" ',
}
"""Beginning of a report by the ending of its file, as this release and 0.1 write it; 0.1 wrote no XML."""
_BEGINNING_LENGTH: Final = 65_536


def check_report_path(path: Path) -> None:
    """Refuse a path that no report may be written to; nothing is written.

    Raises:
        OutputError: the path is inside of a converted directory, something else than a report stands there, or what
            stands there cannot be looked at.
    """
    with writing(path):
        reason = reason_to_keep(path)
    if reason:
        raise OutputError(f"{path} {reason}")


def try_report_path(path: str | os.PathLike[str]) -> None:
    """Write a report's file and take it back, so that a place that cannot be written to is found early.

    Raises:
        OutputError: it cannot be written to, or no report may stand there.
    """
    with contextlib.suppress(_TakenBackError), new_file(path, force=True, reason_to_keep=reason_to_keep) as file:
        file.touch()
        raise _TakenBackError


def write_report_file(path: str | os.PathLike[str], content: str) -> None:
    """Write the text of a report, in place of an older one; a name in it that is no UTF-8 is written with escapes.

    Raises:
        OutputError: the file cannot be written, or something else than a report stands there.
    """
    with new_file(path, force=True, reason_to_keep=reason_to_keep) as file:
        file.write_text(content, encoding="utf-8", errors="backslashreplace", newline="\n")


class _TakenBackError(Exception):
    """Ends the block in which a file was tried."""


def reason_to_keep(path: Place) -> str:
    """Say why a report may not stand at a path; "" for a new file, an empty one and an older report."""
    if reason := reason_to_keep_file(path):
        return reason
    is_there = os.path.lexists(path) if isinstance(path, Path) else path.exists()
    if not is_there or (path.is_file() and _is_report(path)):
        return ""
    return "is there already and is no report of a verification. Delete it, or choose another name"


def _is_report(path: Place) -> bool:
    try:
        beginning = read_start(path, _BEGINNING_LENGTH).decode("utf-8", "replace").replace("\r\n", "\n")
    except OSError:
        return False
    pattern = _BEGINNINGS.get(path.suffix.lower())
    return not beginning or bool(pattern and re.match(pattern, beginning, re.DOTALL))
