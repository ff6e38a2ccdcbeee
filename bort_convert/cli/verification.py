"""The commands that prove a conversion: verify and record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import bort_convert
from bort_convert.cli.options import (
    FORCE,
    GLUONNLP,
    JSON,
    MXNET_PYTHON,
    QUIET,
    SOURCE,
    Command,
    progress_lines,
    show,
    table_options,
)
from bort_convert.errors import ParityError
from bort_convert.verification.render import to_dict, to_text, write_report

DTYPE = click.option(
    "--dtype",
    type=click.Choice(["float32", "float64", "both"]),
    default="both",
    show_default=True,
    help="Precision of the run.",
)
SEED = click.option("--seed", type=int, default=0, show_default=True, help="Seed of the default inputs.")
BATCH = click.option("--batch", type=click.IntRange(min=1), help="Rows of the default inputs.")
ATTENTIONS = click.option("--attentions", is_flag=True, help="Include attention probabilities.")
TIMEOUT = click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds that MXNet may take.")


@click.command(cls=Command)
@click.argument("paths", metavar="SOURCE OUT", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--published", is_flag=True, help="Check OUT alone, against the only published output of the real Bort.")
@DTYPE
@click.option("--atol", type=click.FloatRange(min=0), help="What a difference may be, in place of the limits we set.")
@click.option("--rtol", type=click.FloatRange(min=0), help="The same, relative to the largest value of each output.")
@click.option("--text", type=click.Path(path_type=Path), help="Sentences, one a line, that join the default inputs.")
@SEED
@BATCH
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Where torch runs."
)
@ATTENTIONS
@click.option("--heads", type=click.IntRange(min=1), help="Attention heads; by default those of the conversion.")
@MXNET_PYTHON
@GLUONNLP
@TIMEOUT
@click.option("--report", type=click.Path(path_type=Path), help="Write a report too: a name in .html, .json or .md.")
@JSON
@QUIET
@click.pass_context
def verify(
    ctx: click.Context,
    /,
    paths: tuple[Path, ...],
    *,
    published: bool,
    report: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Prove that OUT computes what SOURCE does: names and shapes, bits, and every layer in both frameworks.

    SOURCE is the .params file, which GluonNLP then runs on MXNet, or a trace from `bort-convert record`, which needs no
    MXNet.
    """
    if len(paths) != (1 if published else 2):
        raise click.UsageError("expected OUT alone with --published" if published else "expected SOURCE and OUT")
    given = {name: value for name, value in options.items() if value is not None}
    if published:
        found = bort_convert.verify_published(paths[0])
    else:
        found = bort_convert.verify(*paths, progress=progress_lines(shown=not quiet), **given)
    if report:
        write_report(found, report)
    show(lambda: to_dict(found), lambda: to_text(found), as_json=as_json, quiet=quiet)
    if not found:
        if quiet or as_json:
            click.echo(found.headline, err=True)
        ctx.exit(ParityError.exit_code)


@click.command(cls=Command)
@SOURCE
@click.argument("ref", type=click.Path(path_type=Path))
@table_options
@DTYPE
@SEED
@BATCH
@click.option("--layers", help="Layers to keep, as in 0,3; by default all.")
@click.option("--sample", type=click.IntRange(min=1), help="Valid positions to keep; by default all.")
@ATTENTIONS
@MXNET_PYTHON
@GLUONNLP
@TIMEOUT
@FORCE
@JSON
@QUIET
def record(source: Path, ref: Path, *, layers: str | None, as_json: bool, quiet: bool, **options: Any) -> None:  # noqa: ANN401
    """Run SOURCE with GluonNLP on MXNet and keep its outputs in REF, for checks that need no MXNet."""
    chosen = _numbers(layers) if layers else None
    given = {name: value for name, value in options.items() if value is not None}
    trace = bort_convert.record(source, ref, layers=chosen, progress=progress_lines(shown=not quiet), **given)
    outputs = {dtype: sorted(found) for dtype, found in trace.outputs.items()}
    document = {"provenance": dict(trace.provenance), "outputs": outputs}
    names = next(iter(outputs.values()))
    text = f"{ref}: {len(names)} outputs in {' and '.join(outputs)}"
    show(lambda: document, lambda: text, as_json=as_json, quiet=quiet)


def _numbers(layers: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in layers.split(","))
    except ValueError:
        raise click.BadParameter(f"{layers!r} is no list of numbers such as 0,3", param_hint="--layers") from None
