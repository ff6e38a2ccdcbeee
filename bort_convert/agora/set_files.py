"""Read one data set: CSV or JSONL with the columns `text`, or `text_a` and `text_b`, and `label`; or pairs in Python.

Rows are counted from 1, without the header of a CSV file. A row that cannot be used is left out, and a problem names
it; reading goes on, so that all problems are found at once.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bort_convert.agora.values import Text

    Source = str | os.PathLike[str] | Sequence[tuple[Text, object]]

PAIR: Final = ("text_a", "text_b")
SHOWN: Final = 3
"""Rows that a line of problems names."""


@dataclass(frozen=True)
class Row:
    """A row that can be used.

    Attributes:
        number: of the row in its set, from 1.
        text: the text, or the pair.
        label: name of the label; "" in a set without labels.
    """

    number: int
    text: Text
    label: str = ""


@dataclass(frozen=True)
class SetFile:
    """A set as it was read.

    Attributes:
        name: path of the file; the name of the argument for values from Python.
        rows: those that can be used.
        digest: SHA-256 of the file, or of the values as JSON.
        problems: a line each.
    """

    name: str
    rows: tuple[Row, ...] = ()
    digest: str = ""
    problems: tuple[str, ...] = ()


def read_set(source: Source, argument: str, *, labelled: bool = True) -> SetFile:
    """Read a set from a file, or from pairs of text and label.

    Args:
        source: path of a .csv, .jsonl or, without labels, .txt file (a text a line); or a sequence of (text, label).
            Without labels the label of a pair is ignored.
        argument: what the set is called where it is no file, such as "train".
        labelled: False for a set of texts alone.
    """
    if not isinstance(source, (str, os.PathLike)):
        plain = [[list(text) if isinstance(text, tuple) else text, label] for text, label in source]
        digest = hashlib.sha256(json.dumps(plain, default=str).encode("utf-8", "surrogatepass")).hexdigest()
        return _checked(argument, digest, map(_columns, source), labelled=labelled)
    path = Path(source)
    name = printable(str(path))
    try:
        content = path.read_bytes()
    except OSError as error:
        return SetFile(name, problems=(f"{name}: cannot be read: {error.strerror or error}",))
    reader = {".csv": _csv_rows, ".jsonl": _json_rows, **({} if labelled else {".txt": _text_rows})}.get(path.suffix)
    if reader is None:
        return SetFile(name, problems=(f"{name}: expected a name that ends in .csv or .jsonl",))
    text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")  # what is not UTF-8 stands there as such
    try:
        rows = list(reader(text))
    except csv.Error as error:
        return SetFile(name, problems=(f"{name}: is no CSV: {error}",))
    return _checked(name, hashlib.sha256(content).hexdigest(), rows, labelled=labelled)


def numbered(rows: Sequence[int], what: str = "row") -> str:
    """The first numbers of some rows: "rows 3, 17, 20 and 4 more"."""
    first = ", ".join(map(str, rows[:SHOWN]))
    more = f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else ""
    return f"{what}{'s' * (len(rows) != 1)} {first}{more}"


def _csv_rows(text: str) -> Iterator[Mapping[str, Any] | str]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    for row in reader:
        whole = None not in row and None not in row.values()
        yield row if whole else "another number of columns than the header"


def _json_rows(text: str) -> Iterator[Mapping[str, Any] | str]:
    return map(_json_row, filter(str.strip, text.split("\n")))


def _json_row(line: str) -> Mapping[str, Any] | str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return "no JSON"
    return row if isinstance(row, dict) else "no JSON object"


def _text_rows(text: str) -> Iterator[Mapping[str, Any]]:
    return ({"text": line} for line in text.splitlines() if line.strip())


def _columns(point: tuple[Text, object]) -> dict[str, object]:
    text, label = point
    is_pair = isinstance(text, tuple) and len(text) == len(PAIR)
    return {**(dict(zip(PAIR, text, strict=True)) if is_pair else {"text": text}), "label": label}


def _checked(name: str, digest: str, rows: Iterable[Mapping[str, Any] | str], *, labelled: bool) -> SetFile:
    """The rows that can be used, and a problem for each kind of those that cannot, with their numbers."""
    good: list[Row] = []
    bad: dict[str, list[int]] = {}
    for number, row in enumerate(rows, 1):
        found = row if isinstance(row, str) else _row(number, row, labelled=labelled)
        if isinstance(found, Row):
            good.append(found)
        else:
            bad.setdefault(found, []).append(number)
    problems = [f"{name}: {len(numbers):,} with {kind}: {numbered(numbers)}" for kind, numbers in bad.items()]
    if not good and not bad:
        problems = [f"{name}: is empty"]
    return SetFile(name, tuple(good), digest, tuple(problems))


def _row(number: int, row: Mapping[str, Any], *, labelled: bool) -> Row | str:
    """A row, or what is wrong with it."""
    names = PAIR if all(name in row for name in PAIR) else ("text",)
    wanted = (*names, "label") if labelled else names
    if missing := [name for name in wanted if row.get(name) is None]:
        found = ", ".join(map(printable, map(str, row))) or "nothing"
        expected = f"text, or text_a and text_b{', and label' * labelled}"
        return f"no {' and no '.join(missing)} (there: {found}; expected: {expected})"
    texts = [row[name] for name in names]
    label = str(row["label"]) if labelled else ""
    if not all(isinstance(text, str) for text in texts):
        return "a text that is no string"
    if any("\ud800" <= character <= "\udfff" for character in "".join((*texts, label))):
        return "bytes that are not UTF-8"
    if not all(map(str.strip, texts)):
        return "an empty text"
    if labelled and not label.strip():
        return "an empty label"
    return Row(number, texts[0] if len(texts) == 1 else (texts[0], texts[1]), label)
