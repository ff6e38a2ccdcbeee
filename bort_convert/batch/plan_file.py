"""Plans as files: CSV with a header, JSON lines, and TOML with `[defaults]` and a `[[file]]` for each checkpoint."""

from __future__ import annotations

import csv
import json
import re
import sys
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import PlanError
from bort_convert.files.remote import place_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Callable

    from bort_convert.files.remote import Place

    Row = tuple[int, dict[str, Any]]

_FILE: Final = "file"
_HEADING: Final = re.compile(r"\s*\[\[\s*(file|\"file\"|'file')\s*\]\]")


def is_plan(path: str) -> bool:
    """True if a file's name is that of a plan."""
    return place_of(path).suffix.lower() in _READERS


def read_rows(path: Place) -> tuple[list[Row], list[str]]:
    """Read a plan: the number of its line and the values of each checkpoint, and a line for each mistake.

    Raises:
        PlanError: the file cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: the plan cannot be read: {getattr(error, 'strerror', None) or error}") from error
    rows, mistakes = _READERS[path.suffix.lower()](text)
    return rows, [f"{path}:{line}: {mistake}" for line, mistake in mistakes]


def _csv_rows(text: str) -> tuple[list[Row], list[tuple[int, str]]]:
    reader = csv.reader(text.splitlines(keepends=True), strict=True, skipinitialspace=True)
    rows: list[Row] = []
    mistakes: list[tuple[int, str]] = []
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            start, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                twice = sorted({name for name in header if header.count(name) > 1})
                mistakes += [(start, f"the column {name!r} stands there twice") for name in twice]
            elif len(cells) > len(header):
                mistakes.append((start, f"{len(cells)} cells, expected {len(header)} as in the first line"))
            else:
                rows.append((start, dict(zip(header, cells, strict=False))))
    except csv.Error as error:
        mistakes.append((reader.line_num, f"is no CSV: {error}"))
    return rows, mistakes


def _json_rows(text: str) -> tuple[list[Row], list[tuple[int, str]]]:
    rows: list[Row] = []
    mistakes: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            mistakes.append((number, f"is no JSON: {error}"))
            continue
        if isinstance(values, dict):
            rows.append((number, values))
        else:
            mistakes.append((number, 'is no object such as {"source": "bort.params"}'))
    return rows, mistakes


def _toml_rows(text: str) -> tuple[list[Row], list[tuple[int, str]]]:
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        place = re.search(r"at line (\d+)", str(error))
        return [], [(int(place[1]) if place else 1, f"is no TOML: {error}")]
    mistakes = [
        (1, f"there is no table {name!r}; expected [defaults] and [[{_FILE}]]")
        for name in document
        if name not in {"defaults", _FILE}
    ]
    defaults, files = document.get("defaults", {}), document.get(_FILE, [])
    if not isinstance(defaults, dict) or not isinstance(files, list) or not all(isinstance(row, dict) for row in files):
        return [], [*mistakes, (1, f"expected a table [defaults], and [[{_FILE}]] in front of each checkpoint")]
    lines = [number for number, line in enumerate(text.split("\n"), 1) if _HEADING.match(line)]
    known = lines if len(lines) == len(files) else [1] * len(files)  # a text of several lines may look like a heading
    return [(line, {**defaults, **row}) for line, row in zip(known, files, strict=True)], mistakes


_READERS: Final[dict[str, Callable[[str], tuple[list[Row], list[tuple[int, str]]]]]] = {
    ".csv": _csv_rows,
    ".jsonl": _json_rows,
    ".ndjson": _json_rows,
    ".toml": _toml_rows,
}
