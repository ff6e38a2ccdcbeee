"""Run the command line within the process of a test, with any version of click."""

from __future__ import annotations

import inspect

from click.testing import CliRunner, Result

from bort_convert import cli


def run(*arguments: object) -> Result:
    """Run `bort-convert` with these words; stdout and stderr are kept apart, and an unexpected exception is raised."""
    apart = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}  # click 8.1
    return CliRunner(**apart).invoke(cli.main, [str(argument) for argument in arguments], catch_exceptions=False)
