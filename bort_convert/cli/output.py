"""Print results on stdout and progress on stderr; a terminal gets drawn tables and a progress bar."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from bort_convert.cli.command import print_json
from bort_convert.cli.flags import as_flags
from bort_convert.cli.streams import StdoutError, escaped, print_error, writing_to_stdout
from bort_convert.errors import ParityError
from bort_convert.plain_table import plain_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bort_convert.plain_table import TextBlocks, TextTable


def show(
    document: Callable[[], object], text: Callable[[], TextBlocks], *, as_json: bool, quiet: bool, done: str = ""
) -> None:
    """Print a result as JSON or as text; only the one that is asked for is made.

    Args:
        document: makes the JSON data.
        text: makes the text.
        as_json: print JSON.
        quiet: print no text.
        done: what was done all the same, for the message where stdout cannot be written to.
    """
    if as_json:
        print_json(document(), done)
    elif not quiet:
        blocks = [_printable(block) for block in text()]
        on_terminal = sys.stdout is not None and sys.stdout.isatty()
        with writing_to_stdout(done):
            if on_terminal:
                from bort_convert.cli.terminal import draw  # noqa: PLC0415 - rich is loaded only where it draws

                draw(blocks)
            else:
                click.echo(plain_text(blocks))


def complain(text: TextBlocks) -> None:
    """Print on stderr why a check failed."""
    print_error(plain_text(map(_printable, text)))


def show_verdict(
    document: Callable[[], object],
    text: Callable[[], TextBlocks],
    *,
    headline: Callable[[], TextBlocks],
    passed: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Print the result of a check; give the exit code.

    A check that failed stays one, whatever becomes of stdout. Its headline goes to stderr where stdout shows no text,
    and that of any check where stdout cannot be written to.
    """
    failed = 0 if passed else ParityError.exit_code
    try:
        show(document, text, as_json=as_json, quiet=quiet)
    except StdoutError as error:
        if failed or error.message:
            complain(headline())
        if error.message:
            print_error(f"Error: {error.message}")
        return failed or error.exit_code
    if failed and (quiet or as_json):
        complain(headline())
    return failed


def progress_lines(*, shown: bool) -> Callable[[str], None]:
    """A function that prints a line of progress on stderr, or does nothing."""
    ctx = click.get_current_context()
    return (lambda line: print_error(escaped(line, ctx))) if shown else (lambda _line: None)


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


def _printable(block: str | TextTable) -> str | TextTable:
    """The block with flags for arguments, and with escapes for what a terminal would obey."""
    ctx = click.get_current_context()
    if isinstance(block, str):
        return escaped(as_flags(block, ctx), ctx)
    return replace(block, rows=[[escaped(as_flags(cell, ctx), ctx) for cell in row] for row in block.rows])
