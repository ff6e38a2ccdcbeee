"""A command whose errors end in one message, or in JSON where JSON was asked for, and in an exit code."""

from __future__ import annotations

import contextlib
import json
import logging
import traceback
from typing import TYPE_CHECKING, Any, Final

import click

from bort_convert.cli.flags import as_flags
from bort_convert.cli.streams import StdoutError, escaped, print_error, writing_to_stdout
from bort_convert.errors import ConvertError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DEBUG: Final = "bort_convert.debug"
_FIELDS: Final = ("missing", "candidates", "option", "value")
"""Attributes that some errors of ours have beside the message; an option is called there as in Python."""


def print_json(document: object, done: str = "") -> None:
    """Print one JSON document on stdout, in ASCII: a name from a file may hold what a terminal obeys.

    Args:
        document: JSON data.
        done: see `writing_to_stdout`.
    """
    text = json.dumps(document, indent=2, default=str)
    with writing_to_stdout(done):
        click.echo(text)


@contextlib.contextmanager
def print_usage_errors_as_json(args: Sequence[str]) -> Iterator[None]:
    """Print a usage error as JSON on stdout too where the words of the command line ask for JSON."""
    words = list(args)  # click takes them out one by one
    as_json = "--json" in (words[: words.index("--")] if "--" in words else words)
    try:
        yield
    except click.UsageError as error:
        if as_json:
            with contextlib.suppress(StdoutError):  # the usage error goes to stderr too
                print_json({"error": {"type": "UsageError", "message": error.format_message()}})
        raise


def _keep_debug(ctx: click.Context, _option: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's own signature
    ctx.meta[_DEBUG] = value


class Command(click.Command):
    """A command with `--debug`, which prints an error of ours as one message and ends with its exit code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's own signature
        super().__init__(*args, **kwargs)
        debug = click.Option(
            ["--debug"],
            is_flag=True,
            expose_value=False,
            callback=_keep_debug,
            help="Show a traceback with an error.",
        )
        self.params.append(debug)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words of the command line."""
        with writing_to_stdout(), print_usage_errors_as_json(args):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        """Run the command; a `ConvertError` becomes a message on stderr, and JSON on stdout if asked for."""
        logging.getLogger("bort_convert").setLevel(logging.ERROR if ctx.params.get("quiet") else logging.WARNING)
        as_json = ctx.params.get("as_json")
        try:
            with print_usage_errors_as_json(["--json"] if as_json else []):
                return super().invoke(ctx)
        except ConvertError as error:
            if ctx.meta[_DEBUG]:
                print_error("".join(traceback.format_exception(error)).rstrip())
            message = as_flags(str(error), ctx)
            if as_json:
                with contextlib.suppress(StdoutError):  # the message goes to stderr too
                    print_json({"error": {"type": type(error).__name__, "message": message, **_fields(error, ctx)}})
            print_error(f"Error: {escaped(message, ctx)}")
            ctx.exit(error.exit_code)


def _fields(error: ConvertError, ctx: click.Context) -> dict[str, object]:
    lines = [as_flags(line, ctx) for line in getattr(error, "disagreements", ())]
    return {"disagreements": lines, **{name: getattr(error, name) for name in _FIELDS if hasattr(error, name)}}
