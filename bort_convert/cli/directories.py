"""The commands that work on converted directories: check, export and tokenizer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

import bort_convert
from bort_convert.cli import text
from bort_convert.cli.options import FAMILY, FORCE, JSON, OUT, QUIET, Command, progress, show, tokenizer_options
from bort_convert.commands.export import PREFIX, STRUCTURAL
from bort_convert.errors import ParityError


@click.command(cls=Command)
@OUT
@click.option("--source", type=click.Path(path_type=Path), help="The checkpoint: compare every tensor with it too.")
@JSON
@QUIET
@click.pass_context
def check(ctx: click.Context, /, out: Path, *, source: Path | None, as_json: bool, quiet: bool) -> None:
    """Compare every file and tensor of OUT, a converted directory, with what was written.

    One changed byte in any file, a missing file and an extra one are found and named; the exit code is 1 then.
    """
    with progress("Checking", shown=not (quiet or as_json)) as told:
        found = bort_convert.check(out, source=source, progress=told)
    document = {"passed": bool(found), **asdict(found)}
    show(lambda: document, lambda: text.check_text(found, out), as_json=as_json, quiet=quiet)
    if not found:
        if quiet or as_json:
            click.echo(text.check_text(found, out), err=True)
        ctx.exit(ParityError.exit_code)


@click.command(cls=Command)
@OUT
@click.argument("back", metavar="BACK.params", type=click.Path(path_type=Path))
@click.option(
    "--names",
    type=click.Choice([STRUCTURAL, PREFIX]),
    default=STRUCTURAL,
    show_default=True,
    help="As GluonNLP's save_parameters writes them, or as collect_params().save does.",
)
@FAMILY
@FORCE
@JSON
@QUIET
def export(out: Path, back: Path, *, as_json: bool, quiet: bool, **options: Any) -> None:  # noqa: ANN401
    """Write OUT, a directory that transformers loads, as the .params file that GluonNLP loads.

    What was converted comes back bit for bit; what GluonNLP has no place for is refused.
    """
    with progress("Exporting", shown=not (quiet or as_json)) as told:
        manifest = bort_convert.export(out, back, progress=told, **options)
    show(manifest.to_dict, lambda: text.export_text(manifest, back), as_json=as_json, quiet=quiet)


@click.command(cls=Command)
@OUT
@tokenizer_options
@JSON
@QUIET
def tokenizer(out: Path, *, as_json: bool, quiet: bool, **options: Any) -> None:  # noqa: ANN401
    """Give OUT, a converted directory, its tokenizer, in place of one that it has.

    It is made from GluonNLP's vocabulary, with BPE ranks for all but a BERT, or from a tokenizer of transformers.
    """
    manifest = bort_convert.add_tokenizer(out, **options)
    show(manifest.to_dict, lambda: text.tokenizer_text(manifest, out), as_json=as_json, quiet=quiet)
