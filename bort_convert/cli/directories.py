"""The commands that work on converted directories: check, export and tokenizer."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import click

import bort_convert
from bort_convert.arguments import NameStyle
from bort_convert.cli import text
from bort_convert.cli.command import Command
from bort_convert.cli.options import FAMILY, FILE, FORCE, JSON, OUT, OUTPUT, QUIET, tokenizer_options
from bort_convert.cli.output import progress, show, show_verdict
from bort_convert.cli.swapped import refuse_swapped_export

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
    lines = partial(text.check_text, result, out)
    code = show_verdict(lambda: document, lines, headline=lines, passed=bool(result), as_json=as_json, quiet=quiet)
    ctx.exit(code)


@click.command(cls=Command, short_help="Write a directory of transformers as a .params file.")
@OUT
@click.argument("back", metavar="BACK.params", type=OUTPUT)
@click.option(
    "--names",
    type=click.Choice(get_args(NameStyle)),
    help="Names as in GluonNLP's save_parameters, as in collect_params().save, or as in the file that was converted; "
    "by default structural, and source where the model stood inside of another network.",
)
@FAMILY
@FORCE
@JSON
@QUIET
def export(out: Path, back: Path, *, as_json: bool, quiet: bool, **options: Any) -> None:  # noqa: ANN401
    """Write OUT, a directory that transformers loads, as a .params file that GluonNLP loads.

    A converted checkpoint comes back bit for bit. A model that GluonNLP cannot hold is refused.
    """
    refuse_swapped_export(out, back)
    with progress("Exporting", shown=not (quiet or as_json)) as moved:
        manifest = bort_convert.export(out, back, progress=moved, **options)
    lines = partial(text.export_text, manifest, back)
    show(manifest.to_dict, lines, as_json=as_json, quiet=quiet, done=text.is_complete(back))


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
    lines = partial(text.tokenizer_text, manifest, out)
    show(manifest.to_dict, lines, as_json=as_json, quiet=quiet, done=text.is_complete(out))
