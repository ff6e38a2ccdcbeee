"""Draw results and progress on a terminal, with rich: columns fold between words and after the marks inside a name."""

from __future__ import annotations

import contextlib
import os
import re
import textwrap
from typing import TYPE_CHECKING, Final

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from bort_convert.files.remote import is_remote
from bort_convert.plain_table import TextTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_FOLD_POINTS: Final = (
    re.compile(r"(?<= )(?!x )(?<! x )"),  # between words, but not within a shape such as `2 x 3`
    re.compile(r"(?<=[./])(?=[^\W\d]|\d+[./])"),  # in a name or path, but not within a number
    re.compile(r"(?<=[_-])(?=[^\W\d])"),
)
"""Places where a cell may be folded, the better ones first."""
_GAP: Final = 2
"""Cells between two columns."""
_STYLES: Final = {"PASS": "green", "FAIL": "bold red"}


def draw(blocks: Iterable[str | TextTable]) -> None:
    """Print lines and tables on stdout, folded to the width of the terminal."""
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    for block in blocks:
        if isinstance(block, TextTable):
            _draw_table(console, block)
        else:
            console.print("\n".join(_wrapped(line, console.width) for line in block.split("\n")))


def progress_bar() -> Progress:
    """A progress bar on stderr that counts bytes."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


@contextlib.contextmanager
def batch_bar(sources: Sequence[str]) -> Iterator[Callable[..., None]]:
    """A bar on stderr for many files, with counts, bytes, rate and the time left.

    Args:
        sources: the files.

    Yields:
        A function to call for each file that is done, with its size and `failed`.
    """
    sizes = [os.path.getsize(source) for source in sources if os.path.isfile(source)]  # noqa: PTH113, PTH202
    total = None if any(map(is_remote, sources)) else sum(sizes)  # nobody is asked how much there is elsewhere
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    done = {True: 0, False: 0}
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"0 of {len(sources):,}", total=total)

        def move(size: int, *, failed: bool) -> None:
            done[failed] += 1
            wrong = f", {done[True]:,} failed" if done[True] else ""
            bar.update(task, advance=size, description=f"{sum(done.values()):,} of {len(sources):,}{wrong}")

        yield move


def fold(text: str, width: int, *, chop: bool = True) -> list[str]:
    """Cut text into lines of at most `width` cells, at the best fold points.

    Args:
        text: a cell of a table.
        width: cells of a line.
        chop: cut a part without a fold point too, if a line cannot hold the part.
    """
    lines = [""]
    for part in _parts(text, width, _FOLD_POINTS):
        if lines[-1] and cell_len(lines[-1]) + cell_len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    lines = [line.rstrip() for line in lines]
    return [piece for line in lines for piece in _chopped(line, width)] if chop else lines


def _chopped(line: str, width: int) -> Iterator[str]:
    while cell_len(line) > width:
        cut = next((cut for cut in range(len(line), 1, -1) if cell_len(line[:cut]) <= width), 1)
        yield line[:cut]
        line = line[cut:]
    yield line


def _parts(text: str, width: int, points: Sequence[re.Pattern[str]]) -> Iterator[str]:
    """The text cut at the first kind of fold point, and parts that are too wide for a line at the next kinds."""
    for part in points[0].split(text):
        if points[1:] and cell_len(part.rstrip()) > width:
            yield from _parts(part, width, points[1:])
        else:
            yield part


def _draw_table(console: Console, table: TextTable) -> None:
    left_out = []
    while table.optional and sum(_widest(table)) + _gaps(table) > console.width:
        left_out.append(table.optional[0])
        table = table.without(table.optional[0])
    console.print(_rich_table(table, console.width), soft_wrap=False)
    if left_out:
        note = f"columns left out at this width: {', '.join(left_out)} (--json has all)"
        console.print(_wrapped(note, console.width))


def _rich_table(table: TextTable, width: int) -> Table:
    widest = _widest(table)
    widths = _narrowed(widest, _narrowest(table), width - _gaps(table))
    drawn = Table(
        box=box.SIMPLE_HEAD,
        show_header=bool(table.titles),
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),  # the box puts one more cell between columns
        row_styles=["", "dim"] if widths != widest else None,  # tells folded rows apart
    )
    for title, column in zip(table.titles or widths, widths, strict=True):
        drawn.add_column("\n".join(fold(f"{title}", column)) if table.titles else "", width=column, no_wrap=True)
    for row in table.rows:
        cells = ("\n".join(fold(cell, column)) for cell, column in zip(row, widths, strict=True))
        drawn.add_row(*(Text(cell, style=_STYLES.get(cell.partition(" ")[0], "")) for cell in cells))
    return drawn


def _columns(table: TextTable) -> Iterator[tuple[str, ...]]:
    return zip(*filter(None, [table.titles]), *table.rows, strict=True)


def _gaps(table: TextTable) -> int:
    """Cells between the columns."""
    return _GAP * (len(list(_columns(table))) - 1)


def _widest(table: TextTable) -> list[int]:
    """Width of each column that is not folded."""
    return [max(map(cell_len, column)) for column in _columns(table)]


def _narrowest(table: TextTable) -> list[int]:
    """Width of each column that is folded wherever it can be."""
    return [max(cell_len(line) for cell in column for line in fold(cell, 1, chop=False)) for column in _columns(table)]


def _narrowed(widest: Sequence[int], narrowest: Sequence[int], available: int) -> list[int]:
    """Take width from the widest columns that can be folded, and only then from any, until all fit."""
    widths = list(widest)
    for limits in (narrowest, [1] * len(widths)):
        while sum(widths) > available and (above := [at for at, width in enumerate(widths) if width > limits[at]]):
            widths[max(above, key=widths.__getitem__)] -= 1
    return widths


def _wrapped(line: str, width: int) -> str:
    """The line, wrapped between words; what goes on is indented further, and a long word stays whole."""
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    parts = textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(parts)
