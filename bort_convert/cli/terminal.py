"""Draw results and progress on a terminal, with rich: columns fold between words and after the marks inside a name."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Final

from rich import box
from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from bort_convert.plain_table import TextTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import ConsoleOptions, RenderResult

_FOLD_POINTS: Final = (
    re.compile(r"(?<= )(?!x )(?<! x )"),  # between words, but not within a shape such as `2 x 3`
    re.compile(r"(?<=[./])(?=[^\W\d]|\d+[./])"),  # in a name or path, but not within a number
    re.compile(r"(?<=[_-])(?=[^\W\d])"),
)
"""Places where a cell may be folded, the better ones first."""
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


def fold(text: str, width: int) -> list[str]:
    """Lines of at most `width` cells, cut at the best fold points."""
    lines = [""]
    for part in _parts(text, width, _FOLD_POINTS):
        if lines[-1] and cell_len(lines[-1]) + cell_len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return [line.rstrip() for line in lines]


def _parts(text: str, width: int, points: Sequence[re.Pattern[str]]) -> Iterator[str]:
    """The text cut at the first kind of fold point, and parts that are too wide for a line at the next kinds."""
    for part in points[0].split(text):
        if cell_len(part.rstrip()) <= width:
            yield part
        elif points[1:]:
            yield from _parts(part, width, points[1:])
        else:
            yield from chop_cells(part, width)


class _Cell:
    """Text that rich may narrow down to its longest part without a fold point."""

    def __init__(self, text: str) -> None:
        self._text = text
        parts = [text]
        for point in _FOLD_POINTS:
            parts = [finer for part in parts for finer in point.split(part)]
        self._narrowest = max(cell_len(part.rstrip()) for part in parts)
        self.folds = self._narrowest < cell_len(text)

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        widest = max(map(cell_len, fold(self._text, options.max_width)))
        return Measurement(min(self._narrowest, widest), widest)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        lines = fold(self._text, options.max_width)
        yield Text("\n".join(lines), style=_STYLES.get(self._text.partition(" ")[0], ""), no_wrap=True)


def _draw_table(console: Console, table: TextTable) -> None:
    drawn, left_out = _rich_table(table), []
    while table.optional and _measured(console, drawn).minimum > console.width:
        left_out.append(table.optional[0])
        table = table.without(table.optional[0])
        drawn = _rich_table(table)
    if _measured(console, drawn).maximum > console.width:
        drawn.row_styles = ["", "dim"]  # tells folded rows apart
    console.print(drawn, soft_wrap=False)
    if left_out:
        console.print(_wrapped(f"columns left out at this width: {', '.join(left_out)}", console.width))


def _rich_table(table: TextTable) -> Table:
    titled = bool(table.titles)
    drawn = Table(
        box=box.SIMPLE_HEAD if titled else None,  # its columns are one cell apart
        show_header=titled,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1 if titled else 2, 0, 0),
    )
    rows = [list(map(_Cell, row)) for row in ([table.titles] if titled else []) + list(table.rows)]
    for column in zip(*rows, strict=True):
        drawn.add_column(column[0] if titled else "", no_wrap=not any(cell.folds for cell in column))
    for row in rows[titled:]:
        drawn.add_row(*row)
    return drawn


def _measured(console: Console, drawn: Table) -> Measurement:
    return Measurement.get(console, console.options.update(max_width=10_000), drawn)


def _wrapped(line: str, width: int) -> str:
    """The line, wrapped between words; what goes on is indented further, and a long word stays whole."""
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    parts = textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(parts)
