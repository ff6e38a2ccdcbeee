"""The commands that work on converted directories: check, export and tokenizer."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args

import click

import bort_convert
from bort_convert.arguments import NameStyle
from bort_convert.cli import text
from bort_convert.cli.command import Command
from bort_convert.cli.options import FAMILY, FILE, FORCE, JSON, OUT, OUTPUT, QUIET, tokenizer_options
from bort_convert.cli.output import complain, progress, show
from bort_convert.errors import ParityError

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command, short_help="Compare a converted directory with its manifest.")
@OUT
@click.option("--source", type=FILE, help="The checkpoint: compare every tensor with it too.")
@JSON
@QUIET
@click.pass_context
def check(ctx: click.Context, /, out: Path, *, source: Path | None, as_json: bool, quiet: bool) -> None:
    """Compare every file and tensor of OUT, a converted directory, with its manifest.

    A changed byte in any file, a missing file and an extra file are named; the exit code is 1 then.
    """
    with progress("Checking", shown=not (quiet or as_json)) as moved:
        result = bort_convert.check(out, source=source, progress=moved)
    document = {"passed": bool(result), **asdict(result)}
    show(lambda: document, lambda: text.check_text(result, out), as_json=as_json, quiet=quiet)
    if not result:
        if quiet or as_json:
            complain(text.check_text(result, out))
        ctx.exit(ParityError.exit_code)


@click.command(cls=Command, short_help="Write a directory of transformers as a .params file.")
@OUT
@click.argument("back", metavar="BACK.params", type=OUTPUT)
@click.option(
    "--names",
    type=click.Choice(get_args(NameStyle)),
    default="structural",
    show_default=True,
    help="Names as in GluonNLP's save_parameters, or as in collect_params().save.",
)
@FAMILY
@FORCE
@JSON
@QUIET
def export(out: Path, back: Path, *, as_json: bool, quiet: bool, **options: Any) -> None:  # noqa: ANN401
    """Write OUT, a directory that transformers loads, as a .params file that GluonNLP loads.

    A converted checkpoint comes back bit for bit. A model that GluonNLP cannot hold is refused.
    """
    with progress("Exporting", shown=not (quiet or as_json)) as moved:
        manifest = bort_convert.export(out, back, progress=moved, **options)
    show(manifest.to_dict, lambda: text.export_text(manifest, back), as_json=as_json, quiet=quiet)


@click.command(cls=Command, short_help="Add a tokenizer to a converted directory.")
@OUT
@tokenizer_options
@JSON
@QUIET
def tokenizer(out: Path, *, as_json: bool, quiet: bool, **options: Any) -> None:  # noqa: ANN401
    """Add a tokenizer to OUT, a converted directory; an existing one is replaced.

    The tokenizer is made from GluonNLP's vocabulary, and from BPE ranks except for a BERT, or from a tokenizer of
    transformers.
    """
    manifest = bort_convert.add_tokenizer(out, **options)
    show(manifest.to_dict, lambda: text.tokenizer_text(manifest, out), as_json=as_json, quiet=quiet)
