"""Tables of a page: read for a plot, and wrapped so that a reader can sort them."""

from __future__ import annotations

import re

_TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)


def rows(page: str, heading: str) -> list[list[str]]:
    """Cells of the table whose first column has this heading, its headings first; ValueError if there is none."""
    for table in _TABLE.findall(page):
        cells = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines()]
        if cells[0][0] == heading:
            return [cells[0], *cells[2:]]
    raise ValueError(f"no table on the page begins with {heading!r}; mend docs/_site where the benchmark has changed")


def with_first(page: str, headings: tuple[str, ...]) -> str:
    """The page with these columns in front, after its first one, in each table that has them all."""

    def moved(match: re.Match[str]) -> str:
        cells = [line.strip("|\n").split("|") for line in match[0].splitlines()]
        found = [cell.strip() for cell in cells[0]]
        if not set(headings) <= set(found):
            return match[0]
        first = [0, *(found.index(heading) for heading in headings)]
        order = [*first, *(column for column in range(len(found)) if column not in first)]
        return "".join(f"|{'|'.join(row[column] for column in order)}|\n" for row in cells)

    return _TABLE.sub(moved, page)


def number(cell: str) -> float:
    """The number that a cell begins with."""
    return float(re.match(r"[\d.,]+", cell)[0].replace(",", ""))  # type: ignore[index] # a cell without one is an error


def sortable(page: str) -> str:
    """The page with each of its tables in an element that `assets/sort.js` finds."""
    return _TABLE.sub(lambda match: f'<div class="sortable" markdown>\n\n{match[0]}\n</div>\n', page)
