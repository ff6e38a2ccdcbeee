"""The commands that prove a conversion: verify and record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

import bort_convert
from bort_convert.cli.command import Command
from bort_convert.cli.options import (
    FILE,
    FORCE,
    GLUONNLP,
    JSON,
    MXNET_PYTHON,
    OUTPUT,
    QUIET,
    SOURCE,
    SYMBOL,
    SYMBOL_INPUTS,
    fit_options,
)
from bort_convert.cli.output import progress_lines, show, show_verdict
from bort_convert.cli.reports import REPORT, ReportForms, Reports
from bort_convert.cli.swapped import refuse_swapped, refuse_swapped_verification
from bort_convert.cli.text import is_complete, shown
from bort_convert.verification.render import FORMS, text_blocks, to_dict

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.verification import Report

DTYPE = click.option(
    "--dtype",
    type=click.Choice(["float32", "float64", "both"]),
    default="both",
    show_default=True,
    help="Precision of the run.",
)
SEED = click.option("--seed", type=int, default=0, show_default=True, help="Seed of the default inputs.")
BATCH = click.option("--batch", type=click.IntRange(min=1), help="Number of texts in the default inputs.")
ATTENTIONS = click.option("--attentions", is_flag=True, help="Include attention probabilities.")
TIMEOUT = click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Time limit of MXNet in seconds.")


@click.command(cls=Command, short_help="Prove that a directory computes the same as its checkpoint.")
@click.argument("paths", metavar="SOURCE OUT", nargs=-1, required=True, type=FILE)
@click.option("--published", is_flag=True, help="Check OUT alone, against the only published output of the real Bort.")
@DTYPE
@click.option("--atol", type=click.FloatRange(min=0), help="Largest absolute difference, in place of our limits.")
@click.option(
    "--rtol", type=click.FloatRange(min=0), help="Largest difference relative to the largest value of each output."
)
@click.option("--text", type=FILE, help="File with sentences, one on each line, that join the default inputs.")
@SEED
@BATCH
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Device that torch runs on."
)
@ATTENTIONS
@click.option("--gradients", is_flag=True, help="Compare the gradient of every tensor too, which fine-tuning follows.")
@click.option("--heads", type=click.IntRange(min=1), help="Number of attention heads; by default as in the conversion.")
@SYMBOL
@SYMBOL_INPUTS
@MXNET_PYTHON
@GLUONNLP
@TIMEOUT
@REPORT
@JSON
@QUIET
@click.pass_context
def verify(
    ctx: click.Context,
    /,
    paths: tuple[Path, ...],
    *,
    published: bool,
    report: tuple[Path, ...],
    as_json: bool,
    quiet: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Prove that OUT computes the same as SOURCE: names and shapes, bits, and every layer in both frameworks.

    SOURCE is the .params file, which GluonNLP runs on MXNet, or a trace from `bort-convert record`, which needs no
    MXNet.
    """
    if len(paths) != (1 if published else 2):
        raise click.UsageError("expected OUT alone with --published" if published else "expected SOURCE and OUT")
    if not published:
        refuse_swapped_verification(*paths)
    chosen = {name: value for name, value in options.items() if value is not None}
    kept: Reports[Report] = Reports(report, ReportForms(FORMS, _failures))
    if published:
        result = bort_convert.verify_published(paths[0])
    else:
        result = bort_convert.verify(*paths, progress=progress_lines(shown=not quiet), **chosen)
    code = show_verdict(
        lambda: to_dict(result),
        lambda: text_blocks(result),
        headline=lambda: [result.headline],
        passed=bool(result),
        as_json=as_json,
        quiet=quiet,
    )
    code_of_reports = kept.save(result)
    ctx.exit(code or code_of_reports)


def _failures(report: Report) -> list[tuple[str, str]]:
    """The verdict of a verification that failed, as the annotation of a workflow."""
    return [] if report.passed else [(f"{report.target} is not {report.source}", report.headline)]


@click.command(cls=Command, short_help="Keep the outputs of GluonNLP on MXNet for later verifications.")
@SOURCE
@click.argument("ref", type=OUTPUT)
@fit_options
@DTYPE
@SEED
@BATCH
@click.option("--layers", help="Layers to keep, such as 0,3; by default all.")
@click.option("--sample", type=click.IntRange(min=1), help="Number of valid positions to keep; by default all.")
@ATTENTIONS
@SYMBOL_INPUTS
@MXNET_PYTHON
@GLUONNLP
@TIMEOUT
@FORCE
@JSON
@QUIET
def record(source: Path, ref: Path, *, layers: str | None, as_json: bool, quiet: bool, **options: Any) -> None:  # noqa: ANN401
    """Run SOURCE with GluonNLP on MXNet and keep its outputs in REF, for verifications without MXNet."""
    refuse_swapped(source, ref)
    kept = _numbers(layers) if layers else None
    chosen = {name: value for name, value in options.items() if value is not None}
    trace = bort_convert.record(source, ref, layers=kept, progress=progress_lines(shown=not quiet), **chosen)
    outputs = {dtype: sorted(values) for dtype, values in trace.outputs.items()}
    document = {"provenance": dict(trace.provenance), "outputs": outputs}
    names = next(iter(outputs.values()))
    lines = [f"{shown(ref)}: {len(names)} outputs in {' and '.join(outputs)}"]
    show(lambda: document, lambda: lines, as_json=as_json, quiet=quiet, done=is_complete(ref))


def _numbers(layers: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in layers.split(","))
    except ValueError:
        raise click.BadParameter(f"{layers!r} is no list of numbers such as 0,3", param_hint="--layers") from None
