"""The command line: options in, text or JSON out, errors as one message and an exit code. No logic."""

import click

from bort_convert import __version__
from bort_convert.cli.program import Program

COMMANDS = {
    "convert": "checkpoints",
    "inspect": "checkpoints",
    "extract": "checkpoints",
    "verify": "verification",
    "record": "verification",
    "check": "directories",
    "export": "directories",
    "tokenizer": "directories",
    "families": "checkpoints",
}
"""Where each command lives: a module beside this one, imported when the command is used."""


@click.group(cls=Program, places=COMMANDS, default="convert", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bort-convert")
def main() -> None:
    r"""Bring GluonNLP (MXNet) checkpoints to PyTorch.

    `bort-convert SOURCE OUT` is `bort-convert convert SOURCE OUT`.

    \b
    Exit codes: 0 done; 1 a check failed; 2 wrong usage; 3 the input cannot be
    read or does not fit; 4 the output cannot be written; 5 a framework is missing;
    130 interrupted (Ctrl-C), 143 terminated.
    """
