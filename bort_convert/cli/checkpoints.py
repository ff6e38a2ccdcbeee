"""The commands that work on checkpoints: convert, inspect, extract, families."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import bort_convert
from bort_convert.cli import listings, text
from bort_convert.cli.command import Command
from bort_convert.cli.options import (
    CHECKSUMS,
    FORCE,
    GLUONNLP,
    IGNORE,
    JSON,
    LAYERS,
    MAX_ARRAYS,
    MXNET_PYTHON,
    OUT,
    OUTPUT,
    QUIET,
    RECOGNISE,
    SOURCE,
    STRICT,
    fit_options,
    tokenizer_options,
    writing_options,
)
from bort_convert.cli.output import progress, progress_lines, show
from bort_convert.cli.swapped import refuse_swapped
from bort_convert.errors import OptionError
from bort_convert.weights.statistics import check_finite

if TYPE_CHECKING:
    from bort_convert.dtypes import Hyperparameter


@click.command(cls=Command, short_help="Convert a .params file to a directory that transformers loads.")
@SOURCE
@OUT
@fit_options
@LAYERS
@tokenizer_options
@writing_options
@click.option("--verify", is_flag=True, help="Verify the conversion as `verify` does; write nothing if it fails.")
@MXNET_PYTHON
@GLUONNLP
@STRICT
@MAX_ARRAYS
@CHECKSUMS
@RECOGNISE
@click.option("--dry-run", is_flag=True, help="Check the file and show what would be written; write nothing.")
@FORCE
@JSON
@QUIET
def convert(
    source: Path,
    out: Path,
    *,
    family: str | None,
    table: Path | None,
    variant: str | None,
    heads: int | None,
    layers: int | None,
    gluonnlp_version: str | None,
    hyperparameters: dict[str, Hyperparameter] | None,
    prefix: str | None,
    ignore: tuple[str, ...],
    keep_extra: bool,
    labels: str | None,
    strict: bool,
    max_arrays: int,
    recognise: bool,
    verify: bool,
    mxnet_python: str | None,
    gluonnlp: str | None,
    symbol: Path | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Convert SOURCE, a .params file, to OUT, a directory that transformers loads.

    SOURCE may also be a model-zoo archive, a model.tar.gz or a directory that holds one .params file.
    """
    refuse_swapped(source, out)
    fit: dict[str, Any] = {"family": family, "table": table, "variant": variant, "heads": heads, "layers": layers}
    fit |= {"gluonnlp_version": gluonnlp_version, "hyperparameters": hyperparameters, "max_arrays": max_arrays}
    fit |= {"symbol": symbol, "prefix": prefix, "ignore": ignore, "keep_extra": keep_extra, "recognise": recognise}
    if dry_run:
        inspection = bort_convert.inspect(source, values=strict, **fit)
        if inspection.misfit:
            raise inspection.misfit
        check_finite(inspection.values)
        show(
            lambda: listings.inspection_dict(inspection),
            lambda: listings.inspection_text(inspection),
            as_json=as_json,
            quiet=quiet,
        )
        return
    if labels is not None:
        options["labels"] = _labels(labels)
    if verify:
        reference: dict[str, Any] = {"mxnet_python": mxnet_python, "gluonnlp": gluonnlp, "symbol": symbol}
        options["verify"] = partial(bort_convert.verify, **reference, progress=progress_lines(shown=not quiet))
    with progress("Converting", shown=not (quiet or as_json)) as moved:
        manifest = bort_convert.convert(source, out, strict=strict, progress=moved, **fit, **options)
    lines = partial(text.conversion_text, manifest, out)
    show(manifest.to_dict, lines, as_json=as_json, quiet=quiet, done=text.is_complete(out))


@click.command(cls=Command, short_help="Show the arrays of a .params file, its model and its conversion.")
@SOURCE
@fit_options
@LAYERS
@RECOGNISE
@click.option("--values", is_flag=True, help="Read every value: range, mean, and how many are NaN or infinite.")
@click.option("--summary", is_flag=True, help="Show the model alone, without the tables of arrays and steps.")
@click.option(
    "--write-table",
    type=OUTPUT,
    metavar="FILE.toml",
    help="Draft a table for a file that no family takes, for convert --table.",
)
@MAX_ARRAYS
@JSON
@QUIET
def inspect(source: Path, *, summary: bool, as_json: bool, quiet: bool, **options: Any) -> None:  # noqa: ANN401
    """Show the model family of SOURCE, what a conversion would write, and the arrays."""
    if summary and options["values"]:
        raise click.UsageError("--values fills a table, and --summary has none: leave one of them out")
    inspection = bort_convert.inspect(source, **options)
    if isinstance(inspection.misfit, OptionError) and inspection.misfit.option in {"hyperparameters", "ignore"}:
        raise inspection.misfit
    show(
        lambda: listings.inspection_dict(inspection, summary=summary),
        lambda: listings.inspection_text(inspection, summary=summary or bool(inspection.draft)),
        as_json=as_json,
        quiet=quiet,
    )


@click.command(cls=Command, short_help="Copy the arrays of any .params file to .safetensors or .npz.")
@SOURCE
@OUT
@click.option("--prefix", default="", metavar="PATH", help="Copy only arrays whose names begin so, such as bert_model.")
@IGNORE
@FORCE
@MAX_ARRAYS
@JSON
@QUIET
def extract(source: Path, out: Path, *, as_json: bool, quiet: bool, **options: Any) -> None:  # noqa: ANN401
    """Copy the arrays of any .params file, names and values unchanged, to OUT, a .safetensors or .npz file."""
    refuse_swapped(source, out)
    with progress("Extracting", shown=not (quiet or as_json)) as moved:
        manifest = bort_convert.extract(source, out, progress=moved, **options)
    lines = partial(text.extraction_text, manifest, out)
    show(manifest.to_dict, lines, as_json=as_json, quiet=quiet, done=text.is_complete(out))


@click.command(cls=Command, short_help="List the models that can be converted, and their sizes.")
@JSON
def families(*, as_json: bool) -> None:
    """List the model families that can be converted, with their forms and published sizes."""
    known = bort_convert.families().values()
    show(lambda: listings.families_dict(known), lambda: listings.families_text(known), as_json=as_json, quiet=False)


def _labels(value: str) -> list[str]:
    """The parts between commas; without a comma the lines of the file of this name, or else the one label."""
    if "," in value:
        return [label.strip() for label in value.split(",")]
    path = Path(value)
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises an error for a long text
        if path.suffix or os.sep in value:
            raise click.BadParameter(f"there is no file {text.shown(value)}", param_hint="--labels")
        return [value.strip()]
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{text.shown(path)} cannot be read as UTF-8 text: {error}"
        raise click.BadParameter(problem, param_hint="--labels") from error
    return [line.strip(" \t\r") for line in lines]
