"""Results as lines of text and tables: one value that is printed as plain text, or drawn on a terminal by the CLI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class TextTable:
    """A table of text.

    Attributes:
        titles: one for each column; without any, the table has no title line.
        rows: the cells of each row.
        optional: titles of columns that a narrow terminal leaves out, in this order.
    """

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    optional: Sequence[str] = ()

    def without(self, title: str) -> TextTable:
        """The table without one of its columns."""
        keep = [number for number, other in enumerate(self.titles) if other != title]
        return TextTable(
            [self.titles[number] for number in keep],
            [[row[number] for number in keep] for row in self.rows],
            [other for other in self.optional if other != title],
        )


TextBlocks: TypeAlias = "Sequence[str | TextTable]"
"""Lines of text and tables, from top to bottom."""


def plain_text(blocks: Iterable[str | TextTable]) -> str:
    """The blocks below one another, without an end of line after the last."""
    lines: list[str] = []
    for block in blocks:
        lines += [block] if isinstance(block, str) else aligned([*filter(None, [block.titles]), *block.rows])
    return "\n".join(lines)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose columns are as wide as their longest cell, two spaces apart; every row has all columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
