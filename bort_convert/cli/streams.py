"""Write to stdout and stderr, each of which may be closed, a full disk, or a pipe that nobody reads any more."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import TYPE_CHECKING, Final

import click

from bort_convert.errors import OutputError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

BROKEN_PIPE_STATUS: Final = 141
"""Status of a program that SIGPIPE ended: 128 and the signal's number."""


class StdoutError(Exception):
    """Stdout cannot be written to.

    Attributes:
        message: the line for stderr; "" for a pipe that its reader closed, which is no mistake.
        exit_code: status that the program ends with.
    """

    def __init__(self, cause: OSError, done: str = "") -> None:
        closed = cause.errno == errno.EPIPE
        self.message = (
            "" if closed else f"the result cannot be printed: {cause.strerror or cause}{done and f'; {done}'}"
        )
        self.exit_code = BROKEN_PIPE_STATUS if closed else OutputError.exit_code
        super().__init__(self.message)


@contextlib.contextmanager
def writing_to_stdout(done: str = "") -> Iterator[None]:
    """Turn a failure to write to stdout into a `StdoutError`; stdout is written out at the end.

    Args:
        done: what was done all the same, for the message.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        _discard(sys.stdout)
        raise StdoutError(error, done) from error


def print_error(text: str) -> None:
    """Print on stderr; where that fails, the exit code still tells the outcome."""
    with ignoring_stderr():
        click.echo(text, err=True)


@contextlib.contextmanager
def ignoring_stderr() -> Iterator[None]:
    """Ignore a failure to write to stderr."""
    try:
        yield
        if sys.stderr is not None:
            sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def escaped(text: str, ctx: click.Context) -> str:
    """Escape what a terminal would obey or cannot show; ends of lines only in paths of the command line."""
    for path in sorted(_paths(ctx), key=len, reverse=True):
        text = text.replace(path, printable(path, len(path)))
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


def _paths(ctx: click.Context) -> Iterator[str]:
    """The paths of a command line that a terminal cannot show as they are, and their names."""
    for value in ctx.params.values():
        for path in value if isinstance(value, tuple) else (value,):
            if isinstance(path, os.PathLike) and not os.fspath(path).isprintable():
                yield from {os.fspath(path), os.path.realpath(path), os.path.basename(path)} - {""}  # noqa: PTH119


def _discard(stream: TextIO | None) -> None:
    """Send to nowhere what a stream still holds: Python writes it out at exit, and would fail again."""
    with contextlib.suppress(OSError, AttributeError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr] # None has no fileno
        os.close(nowhere)
