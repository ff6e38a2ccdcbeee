"""The command line: options in, text or JSON out, an error as one message and an exit code. No logic."""

import click

from bort_convert import __version__
from bort_convert.cli.program import Program

COMMANDS = {
    "convert": "checkpoints",
    "inspect": "checkpoints",
    "extract": "checkpoints",
    "batch": "batch",
    "agora": "agora",
    "verify": "verification",
    "record": "verification",
    "check": "directories",
    "export": "directories",
    "tokenizer": "directories",
    "families": "checkpoints",
    "env": "environment",
    "zoo": "zoo",
}
"""Module of each command, beside this one; it is imported when the command is used."""


@click.group(cls=Program, modules=COMMANDS, default="convert", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bort-convert")
def main() -> None:
    """Convert GluonNLP (MXNet) checkpoints to PyTorch.

    `bort-convert SOURCE OUT` is short for `bort-convert convert SOURCE OUT`.
    """
