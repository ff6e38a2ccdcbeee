"""Print results on stdout and progress on stderr; a terminal gets drawn tables and a progress bar."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from bort_convert.cli.command import print_json
from bort_convert.cli.flags import as_flags
from bort_convert.plain_table import plain_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bort_convert.plain_table import TextBlocks, TextTable


def show(document: Callable[[], object], text: Callable[[], TextBlocks], *, as_json: bool, quiet: bool) -> None:
    """Print a result as JSON or as text; only the one that is asked for is made."""
    if as_json:
        print_json(document())
    elif not quiet:
        blocks = [_with_flags(block) for block in text()]
        if sys.stdout.isatty():
            from bort_convert.cli.terminal import draw  # noqa: PLC0415 - rich is loaded only where it draws

            draw(blocks)
        else:
            click.echo(plain_text(blocks))


def complain(text: TextBlocks) -> None:
    """Print on stderr why a check failed."""
    click.echo(plain_text(map(_with_flags, text)), err=True)


def progress_lines(*, shown: bool) -> Callable[[str], None]:
    """A function that prints a line of progress on stderr, or does nothing."""
    return (lambda line: click.echo(line, err=True)) if shown else (lambda _line: None)


@contextlib.contextmanager
def progress(title: str, *, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """A function that takes the bytes done and their total: it moves a bar on a terminal, or does nothing."""
    if not (shown and sys.stderr.isatty()):
        yield lambda _done, _total: None
        return
    from bort_convert.cli.terminal import progress_bar  # noqa: PLC0415 - rich is loaded only where it draws

    with progress_bar() as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _with_flags(block: str | TextTable) -> str | TextTable:
    ctx = click.get_current_context()
    if isinstance(block, str):
        return as_flags(block, ctx)
    return replace(block, rows=[[as_flags(cell, ctx) for cell in row] for row in block.rows])
