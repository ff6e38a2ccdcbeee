"""The group that the commands belong to: it imports a command when it is used, and ends in order when interrupted."""

from __future__ import annotations

import difflib
import os
import re
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click

from bort_convert.cli.command import print_usage_errors_as_json
from bort_convert.cli.signals import STATUS_OF_A_SIGNAL, Interrupted, interruptible
from bort_convert.cli.streams import StdoutError, ignoring_stderr, print_error, writing_to_stdout

if TYPE_CHECKING:
    from collections.abc import Mapping

EXIT_CODES: Final = (
    ("0", "done"),
    ("1", "a check failed"),
    ("2", "wrong usage or a wrong option"),
    ("3", "the input cannot be read or does not fit"),
    ("4", "the output cannot be written"),
    ("5", "a framework is missing"),
    ("130, 143", "interrupted (Ctrl-C), terminated"),
)
_SIMILAR: Final = 0.7
"""Similarity of a misspelt command to the one that is meant, as `difflib` counts it: between 0 and 1."""


class Program(click.Group):
    """Commands by name; without a command the default one runs.

    Attributes:
        modules: name of the module in this package that each command lives in.
        default: name of the default command.
    """

    def __init__(self, *args: Any, modules: Mapping[str, str], default: str | None = None, **kwargs: Any) -> None:  # noqa: ANN401 - click's own signature
        super().__init__(*args, **kwargs)
        self.modules = modules
        self.default = default

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own signature
        """Names of all commands, in the order of the help."""
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is no command of this name."""
        if cmd_name in self.modules and cmd_name not in self.commands:
            self.add_command(getattr(import_module(f"bort_convert.cli.{self.modules[cmd_name]}"), cmd_name))
        return super().get_command(ctx, cmd_name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command in front where the first word is neither a command nor an option of the program."""
        own = {*self.modules, *(name for option in self.get_params(ctx) for name in option.opts)}
        with writing_to_stdout(), print_usage_errors_as_json(args):
            if args and self.default and args[0] not in own:
                if not ctx.resilient_parsing:  # as for shell completion
                    self._check_spelling(ctx, args[0])
                args = [self.default, *args]
            return super().parse_args(ctx, args)

    def _check_spelling(self, ctx: click.Context, word: str) -> None:
        """Refuse a word that resembles a command, unless it is a file, looks like a file's name, or is an option."""
        similar = difflib.get_close_matches(word, self.modules, n=1, cutoff=_SIMILAR)
        if similar and re.fullmatch(r"[A-Za-z][A-Za-z-]*", word) and not os.path.lexists(word):
            raise click.UsageError(f"there is no command and no file {word!r}; did you mean {similar[0]}?", ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes below the commands."""
        super().format_epilog(ctx, formatter)
        with formatter.section("Exit codes"):
            formatter.write_dl(EXIT_CODES)

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - click's own signature
        """Run a command and end with its exit code, whatever becomes of stdout and stderr.

        After a signal to stop, and the clean-up, the exit status is 128 and the signal's number.
        """
        if not kwargs.pop("standalone_mode", True):
            return super().main(*args, **{**kwargs, "standalone_mode": False})
        try:
            with interruptible():
                status = super().main(*args, **{**kwargs, "standalone_mode": False})
                with writing_to_stdout():
                    pass  # writes out what click printed
        except Interrupted as stop:
            print_error(f"Interrupted by {stop.signal.name}")
            status = STATUS_OF_A_SIGNAL + stop.signal
        except click.Abort:
            print_error("Aborted!")
            status = 1
        except click.ClickException as error:
            with ignoring_stderr():
                error.show()
            status = error.exit_code
        except StdoutError as error:
            if error.message:
                print_error(f"Error: {error.message}")
            status = error.exit_code
        sys.exit(status if isinstance(status, int) else 0)
