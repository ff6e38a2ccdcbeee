"""The command line: options in, text or JSON out, errors as one message and an exit code. No logic."""

import click

from bort_convert import __version__
from bort_convert.cli.checkpoints import convert, extract, families, inspect
from bort_convert.cli.directories import check, export, tokenizer
from bort_convert.cli.interrupts import Program
from bort_convert.cli.verification import record, verify


@click.group(cls=Program, default="convert", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bort-convert")
def main() -> None:
    r"""Bring GluonNLP (MXNet) checkpoints to PyTorch.

    `bort-convert SOURCE OUT` is `bort-convert convert SOURCE OUT`.

    \b
    Exit codes: 0 done; 1 a check failed; 2 wrong usage; 3 the input cannot be
    read or does not fit; 4 the output cannot be written; 5 a framework is missing;
    130 interrupted (Ctrl-C), 143 terminated.
    """


for command in (convert, inspect, extract, verify, record, check, export, tokenizer, families):
    main.add_command(command)
