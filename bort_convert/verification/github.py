"""Verdicts for a workflow of GitHub Actions: error annotations, and the summary of a step.

An annotation is a line of output that the runner reads, from stdout or stderr. A summary is Markdown that is appended
to the file that the environment names in `GITHUB_STEP_SUMMARY`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from bort_convert.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE: Final = "GITHUB_STEP_SUMMARY"
LARGEST_SUMMARY: Final = 1_000_000
"""Bytes; the runner drops the summary of a step that has more than 1 MiB."""
_CUT: Final = "\n\n(cut here: a step's summary holds no more)\n"


def annotation(title: str, message: str) -> str:
    """One line that the runner shows as an error, on the page of the run and beside the commit."""
    head = _escaped(title).replace(":", "%3A").replace(",", "%2C")
    return f"::error title={head}::{_escaped(message)}"


def check_summary(path: Path) -> None:
    """Open the file of the summary, as the runner has made it.

    Raises:
        OutputError: it cannot be written to.
    """
    add_to_summary(path, "")


def add_to_summary(path: Path, markdown: str) -> None:
    """Append Markdown to the summary of the step, as much of it as a summary holds.

    Raises:
        OutputError: the file cannot be written to.
    """
    try:
        with path.open("a+", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            room = LARGEST_SUMMARY - file.seek(0, os.SEEK_END)
            if markdown:
                file.write(_cut(markdown, room) + "\n")
    except OSError as error:
        raise OutputError(
            f"{path}: the step's summary cannot be written: {error.strerror or error}. "
            f"{VARIABLE} must name a file that can be written to"
        ) from error


def _cut(markdown: str, room: int) -> str:
    """The text, or its first lines where it has more bytes than there is room for."""
    encoded = markdown.encode(errors="backslashreplace")
    if len(encoded) < room:
        return markdown
    kept = encoded[: max(0, room - len(_CUT) - 2)].decode(errors="ignore")
    return kept[: kept.rfind("\n") + 1] + _CUT if kept else ""


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
