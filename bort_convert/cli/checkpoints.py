"""The commands that work on checkpoints: convert, inspect, extract, families."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import click

import bort_convert
from bort_convert.cli import text
from bort_convert.cli.options import (
    FORCE,
    GLUONNLP,
    JSON,
    MAX_ARRAYS,
    MXNET_PYTHON,
    OUT,
    QUIET,
    SOURCE,
    Command,
    frugal,
    progress,
    progress_lines,
    show,
    table_options,
    tokenizer_options,
)
from bort_convert.model_dir.config import PROBLEM_TYPES
from bort_convert.model_dir.shards import DEFAULT_SIZE
from bort_convert.weights.statistics import check_finite


@click.command(cls=Command)
@SOURCE
@OUT
@table_options
@tokenizer_options
@click.option("--labels", help="Names of a classifier's outputs in their order: a,b,c, or a file with one a line.")
@click.option("--problem-type", type=click.Choice(PROBLEM_TYPES), help="What a classifier does; else by its outputs.")
@click.option(
    "--dtype", type=click.Choice(["float32", "float16", "bfloat16"]), help="Write every tensor in this dtype."
)
@click.option("--allow-overflow", is_flag=True, help="Let values that are too large for --dtype become infinite.")
@click.option("--max-shard-size", default=DEFAULT_SIZE, show_default=True, help="Of each file of weights.")
@click.option("--license", metavar="NAME", help="The checkpoint's licence, as the Hub spells it, for the model card.")
@click.option("--verify", is_flag=True, help="Prove the conversion as `verify` does; without a proof write nothing.")
@MXNET_PYTHON
@GLUONNLP
@click.option("--strict", is_flag=True, help="Refuse NaN and infinite values.")
@MAX_ARRAYS
@click.option("--checksums/--no-checksums", default=True, help="Hash the source and every tensor for the manifest.")
@click.option("--dry-run", is_flag=True, help="Check the file and show what would be written; write nothing.")
@FORCE
@JSON
@QUIET
def convert(
    source: Path,
    out: Path,
    *,
    family: str | None,
    variant: str | None,
    heads: int | None,
    gluonnlp_version: str | None,
    labels: str | None,
    strict: bool,
    max_arrays: int,
    verify: bool,
    mxnet_python: str | None,
    gluonnlp: str | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Convert SOURCE, a .params file, to OUT, a directory that transformers loads.

    SOURCE may also be a model-zoo archive that holds one .params file.
    """
    table: dict[str, Any] = {"family": family, "variant": variant, "heads": heads, "gluonnlp_version": gluonnlp_version}
    table["max_arrays"] = max_arrays
    if dry_run:
        found = bort_convert.inspect(source, values=strict, **table)
        _show_inspection(found, as_json=as_json, quiet=quiet, must_fit=True)
        return
    if labels is not None:
        options["labels"] = _labels(labels)
    if verify:
        frameworks: dict[str, Any] = {"mxnet_python": mxnet_python, "gluonnlp": gluonnlp}
        options["verify"] = partial(bort_convert.verify, **frameworks, progress=progress_lines(shown=not quiet))
    # The frameworks of a proof multiply matrices, and leave cycles.
    with nullcontext() if verify else frugal(), progress("Converting", shown=not (quiet or as_json)) as told:
        manifest = bort_convert.convert(source, out, strict=strict, progress=told, **table, **options)
    show(manifest.to_dict, lambda: text.conversion_text(manifest, out), as_json=as_json, quiet=quiet)


@click.command(cls=Command)
@SOURCE
@table_options
@click.option("--values", is_flag=True, help="Read every value: range, mean, and how many are NaN or infinite.")
@MAX_ARRAYS
@JSON
@QUIET
def inspect(source: Path, *, as_json: bool, quiet: bool, **options: Any) -> None:  # noqa: ANN401
    """Show what is inside SOURCE, which family it is, and what a conversion would write."""
    with frugal():
        found = bort_convert.inspect(source, **options)
    _show_inspection(found, as_json=as_json, quiet=quiet, must_fit=False)


@click.command(cls=Command)
@SOURCE
@OUT
@FORCE
@MAX_ARRAYS
@JSON
@QUIET
def extract(source: Path, out: Path, *, force: bool, max_arrays: int, as_json: bool, quiet: bool) -> None:
    """Write the arrays of any .params file to OUT, a .safetensors or .npz file, names and values as they are."""
    with frugal(), progress("Extracting", shown=not (quiet or as_json)) as told:
        manifest = bort_convert.extract(source, out, force=force, max_arrays=max_arrays, progress=told)
    show(manifest.to_dict, lambda: text.extraction_text(manifest, out), as_json=as_json, quiet=quiet)


@click.command(cls=Command)
@JSON
def families(*, as_json: bool) -> None:
    """List the families of models that can be converted, their forms and published sizes."""
    known = bort_convert.families()
    listed = [
        {
            "name": family.name,
            "title": family.title,
            "forms": [
                {"checkpoint": table.title, "with": groups, "becomes": name, "loaded_by": text.auto_class(name)}
                for table in family.tables
                for name, *groups in table.architectures
            ],
            "variants": [
                {"name": v.name, "dims": v.dims, "hyperparameters": {**family.hyperparameters, **v.hyperparameters}}
                for v in family.variants
            ],
        }
        for family in known.values()
    ]
    show(lambda: {"families": listed}, lambda: text.families_text(known.values()), as_json=as_json, quiet=False)


def _labels(given: str) -> list[str]:
    """The lines of a file where there is one of that name, else what stands between commas."""
    path = Path(given)
    if not path.is_file():
        return [label.strip() for label in given.split(",")]
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path} cannot be read as UTF-8 text: {error}", param_hint="--labels") from error


def _show_inspection(found: bort_convert.Inspection, *, as_json: bool, quiet: bool, must_fit: bool) -> None:
    if must_fit:
        if found.misfit:
            raise found.misfit
        check_finite(found.values)
    show(found.to_dict, lambda: text.inspection_text(found), as_json=as_json, quiet=quiet)
