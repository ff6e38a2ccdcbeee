"""The command that describes the environment for a bug report."""

from __future__ import annotations

from typing import Final

import click

import bort_convert
from bort_convert.cli.command import Command
from bort_convert.cli.options import JSON, MXNET_PYTHON
from bort_convert.cli.output import show
from bort_convert.cli.text import pairs

_STATES: Final = {True: "complete", False: "not complete", None: "not for this Python"}


@click.command(cls=Command, short_help="Describe versions and extras for a bug report.")
@MXNET_PYTHON
@JSON
def env(*, mxnet_python: str | None, as_json: bool) -> None:
    """Describe versions, platform and extras for a bug report: no path, no name of yours, no environment variable."""
    environment = bort_convert.environment(mxnet_python=mxnet_python)
    show(environment.to_dict, lambda: environment_text(environment), as_json=as_json, quiet=False)


def environment_text(environment: bort_convert.Environment) -> list[str]:
    """An environment in lines."""
    there = {name: version for name, version in environment.packages.items() if version}
    extras = ", ".join(f"{name} {_STATES[whole]}" for name, whole in environment.extras.items())
    return [
        f"bort_convert {environment.bort_convert}",
        f"Python {environment.python}, {environment.platform}, processors: {environment.processors}",
        f"packages: {pairs(there)}",
        f"not installed: {', '.join(name for name in environment.packages if name not in there) or '-'}",
        f"extras: {extras or 'not known, bort_convert runs from a folder and is not installed'}",
        f"interpreter for MXNet: {environment.mxnet_python}, Python {environment.mxnet_python_version}, "
        + (pairs(environment.mxnet) or "without mxnet and gluonnlp"),
    ]
