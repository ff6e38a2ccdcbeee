"""The program that the commands belong to: each is imported when it is used, and any can be interrupted."""

from __future__ import annotations

import atexit
import gc
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click
from click_default_group import DefaultGroup

from bort_convert.cli.signals import STATUS_OF_A_SIGNAL, Interrupted, interruptible

if TYPE_CHECKING:
    from collections.abc import Mapping

# At its end a process gives its memory back anyway: a last search for cycles, in NumPy too, would only delay it.
atexit.register(gc.freeze)


class Program(DefaultGroup):  # type: ignore[misc]  # click_default_group has no types
    """Commands by name, of which the default one needs none.

    Attributes:
        places: for each command the module beside this one that it lives in.
    """

    def __init__(self, *args: Any, places: Mapping[str, str], **kwargs: Any) -> None:  # noqa: ANN401 - click's own
        super().__init__(*args, **kwargs)
        self.places = places

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Every command, in the order of the help."""
        return list(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command, imported; the default one where no command has this name."""
        name = cmd_name if cmd_name in self.places else self.default_cmd_name
        if name not in self.commands:
            self.add_command(getattr(import_module(f"bort_convert.cli.{self.places[name]}"), name))
        found: click.Command | None = super().get_command(ctx, cmd_name)
        return found

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - click's own signature
        """Run a command; one that is interrupted ends with 128 and the signal's number, once it has cleaned up."""
        try:
            with interruptible():
                return super().main(*args, **kwargs)
        except Interrupted as stop:
            click.echo(f"Interrupted by {stop.signal.name}", err=True)
            sys.exit(STATUS_OF_A_SIGNAL + stop.signal)
