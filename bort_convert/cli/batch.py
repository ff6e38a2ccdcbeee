"""The command that converts many checkpoints: batch."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

import bort_convert
from bort_convert.batch.options import OPTIONS
from bort_convert.batch.render import FORMS, failures, text_blocks
from bort_convert.batch.run import journal_folder
from bort_convert.cli.command import Command
from bort_convert.cli.options import (
    CHECKSUMS,
    FILE,
    GLUONNLP,
    JSON,
    MAX_ARRAYS,
    MXNET_PYTHON,
    OUTPUT,
    QUIET,
    STRICT,
    fit_options,
    tokenizer_options,
    writing_options,
)
from bort_convert.cli.output import complain, progress_lines, show_verdict
from bort_convert.cli.reports import REPORT, ReportForms, Reports
from bort_convert.cli.streams import writing_to_stdout
from bort_convert.errors import ParityError
from bort_convert.workers.cluster import RayWorkers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bort_convert.batch.plan import Entry
    from bort_convert.batch.result import BatchResult, FileResult

RESULT = "batch.json"


@click.command(cls=Command, short_help="Convert many checkpoints by a plan; go on after an interruption.")
@click.argument("plan", metavar="PLAN", nargs=-1, required=True, type=click.Path())
@click.option("--out", "root", metavar="ROOT", required=True, type=OUTPUT, help="Directory of all targets.")
@click.option("--journal", metavar="DIR", type=FILE, help="Directory of the journal; needed where ROOT is a URL.")
@click.option("--dry-run", is_flag=True, help="Fit every header and show what would be done; write nothing.")
@click.option("--verify", is_flag=True, help="Prove each conversion as `verify` does, before its target appears.")
@click.option("--traces", type=FILE, help="Directory with recorded traces, NAME.safetensors; others are run live.")
@click.option("--check", is_flag=True, help="Compare each target with its manifest and its source too.")
@click.option("--fail-fast/--keep-going", default=False, help="End with the first failure, or do all others (default).")
@click.option("--retry-failed", is_flag=True, help="Do nothing but what failed in an earlier run.")
@click.option("--jobs", type=click.IntRange(min=1), help="Conversions at a time; by default one for each processor.")
@click.option(
    "--ray",
    "address",
    metavar="ADDRESS",
    help="Run on the machines of a Ray cluster, in place of this one: HOST:PORT of its head, or auto.",
)
@click.option("--force", is_flag=True, help="Replace directories that hold another conversion and nothing else.")
@REPORT
@fit_options
@tokenizer_options
@writing_options
@STRICT
@MAX_ARRAYS
@CHECKSUMS
@MXNET_PYTHON
@GLUONNLP
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), help="Time limit of each run of MXNet, seconds."
)
@JSON
@QUIET
@click.pass_context
def batch(
    ctx: click.Context,
    /,
    plan: tuple[str, ...],
    *,
    root: Path,
    journal: Path | None,
    dry_run: bool,
    address: str | None,
    traces: Path | None,
    report: tuple[Path, ...],
    as_json: bool,
    quiet: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Convert every checkpoint of PLAN to a directory below ROOT.

    PLAN is a .csv, .jsonl or .toml file with a source, a name and options for each checkpoint; a directory; a pattern
    such as 'models/**/*.params'; or a checkpoint; or a URL of one; or several of these. Options given here hold where
    the plan has none. What ROOT holds already is left alone, unless its source, its options or our version changed.
    """
    if address is not None:
        if options.pop("jobs") is not None:
            raise click.UsageError("--jobs is for this machine; on a Ray cluster as many run as it has room for")
        options["workers"] = RayWorkers(address)
    defaults = {name: options.pop(name) for name in OPTIONS if name in options}
    given = {
        name: value for name, value in defaults.items() if ctx.get_parameter_source(name) != ParameterSource.DEFAULT
    }
    entries = bort_convert.read_plan(
        plan, defaults={name: _plain(value) for name, value in given.items()}, traces=traces
    )
    places = report if dry_run else (*report, journal_folder(root, journal) / RESULT)
    kept: Reports[BatchResult] = Reports(places, ReportForms(FORMS, failures))
    with _told(entries, as_json=as_json, quiet=quiet) as tell:
        result = bort_convert.convert_batch(entries, root, journal=journal, dry_run=dry_run, progress=tell, **options)
    if as_json:
        code = 0 if result else ParityError.exit_code
        if code:
            complain([result.headline])
    else:
        code = show_verdict(
            result.to_dict,
            lambda: text_blocks(result),
            headline=lambda: [result.headline],
            passed=bool(result),
            as_json=False,
            quiet=quiet,
        )
    code_of_reports = kept.save(result)
    ctx.exit(code or code_of_reports)


def _plain(value: object) -> object:
    """The value of an option as a plan has it."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return list(value) if isinstance(value, tuple) else value


@contextlib.contextmanager
def _told(entries: Sequence[Entry], *, as_json: bool, quiet: bool) -> Iterator[Callable[[FileResult], None]]:
    """A function that takes each result as it comes: for JSON a line on stdout; else a bar, or a line on stderr."""
    if as_json:
        yield _print_line
        return
    if quiet or not sys.stderr.isatty():
        lines, count = progress_lines(shown=not quiet), iter(range(1, len(entries) + 1))
        yield lambda result: lines(f"{next(count):,} of {len(entries):,}: {result.name}, {result.status}")
        return
    from bort_convert.cli.terminal import batch_bar  # noqa: PLC0415 - rich is loaded only where it draws

    with batch_bar([entry.source for entry in entries]) as moved:
        yield lambda result: moved(result.size, failed=not result)


def _print_line(result: FileResult) -> None:
    with writing_to_stdout():
        click.echo(json.dumps(result.to_dict()))
