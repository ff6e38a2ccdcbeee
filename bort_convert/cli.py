"""The command line: options in, text or JSON out, errors as one message and an exit code. No logic."""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click_default_group import DefaultGroup

import bort_convert
from bort_convert import display
from bort_convert.errors import ConvertError, MappingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Function = TypeVar("Function", bound=Callable[..., object])

_DEBUG = "bort_convert.debug"

SOURCE = click.argument("source", type=click.Path(path_type=Path))
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document; everything else goes to stderr.")
QUIET = click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
FORCE = click.option("--force", is_flag=True, help="Replace what is already there.")


def _keep_debug(ctx: click.Context, _option: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's own signature
    ctx.meta[_DEBUG] = value


class Command(click.Command):
    """A command with `--debug`, whose errors of ours end in one message and their exit code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's own signature
        super().__init__(*args, **kwargs)
        debug = click.Option(
            ["--debug"],
            is_flag=True,
            expose_value=False,
            callback=_keep_debug,
            help="Show a traceback with an error.",
        )
        self.params.append(debug)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        """Run the command; a `ConvertError` becomes a message on stderr, and JSON on stdout if asked for."""
        try:
            return super().invoke(ctx)
        except ConvertError as error:
            if ctx.meta[_DEBUG]:
                traceback.print_exc()
            if ctx.params.get("as_json"):
                _print_json({"error": _error_dict(error)})
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)


def _table_options(function: Function) -> Function:
    """The options of every command that fits a table."""
    known = click.Choice(list(bort_convert.families()))
    function = click.option("--heads", type=click.IntRange(min=1), help="Attention heads, for a size never published.")(
        function
    )
    function = click.option("--variant", metavar="NAME", help="Insist on this published size (see `families`).")(
        function
    )
    return click.option("--family", type=known, help="The family, where a file fits two.")(function)


@click.group(cls=DefaultGroup, default="convert", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bort-convert", prog_name="bort-convert")
def main() -> None:
    r"""Bring GluonNLP (MXNet) checkpoints to PyTorch.

    `bort-convert SOURCE OUT` is `bort-convert convert SOURCE OUT`.

    \b
    Exit codes: 0 done; 1 a check failed; 2 wrong usage; 3 the input cannot be
    read or does not fit; 4 the output cannot be written; 5 a framework is missing.
    """


@click.command(cls=Command)
@SOURCE
@click.argument("out", type=click.Path(path_type=Path))
@_table_options
@FORCE
@click.option(
    "--dtype", type=click.Choice(["float32", "float16", "bfloat16"]), help="Write every tensor in this dtype."
)
@click.option("--allow-overflow", is_flag=True, help="Let values that are too large for --dtype become infinite.")
@click.option("--checksums/--no-checksums", default=True, help="Hash the source and every tensor for the manifest.")
@click.option("--dry-run", is_flag=True, help="Check the file and show what would be written; write nothing.")
@JSON
@QUIET
def convert(
    source: Path,
    out: Path,
    *,
    family: str | None,
    variant: str | None,
    heads: int | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Convert SOURCE, a .params file, to OUT, a directory that transformers loads.

    SOURCE may also be a model-zoo archive that holds one .params file.
    """
    table: dict[str, Any] = {"family": family, "variant": variant, "heads": heads}
    if dry_run:
        _show_inspection(bort_convert.inspect(source, **table), as_json=as_json, quiet=quiet, must_fit=True)
        return
    with _progress("Converting", shown=not (quiet or as_json)) as progress:
        manifest = bort_convert.convert(source, out, progress=progress, **table, **options)
    files = sorted(path.name for path in out.iterdir())
    _show(manifest.to_dict(), display.conversion_text(manifest, out, files), as_json=as_json, quiet=quiet)


@click.command(cls=Command)
@SOURCE
@_table_options
@JSON
@QUIET
def inspect(source: Path, *, as_json: bool, quiet: bool, **table: Any) -> None:  # noqa: ANN401
    """Show what is inside SOURCE, which family it is, and what a conversion would write."""
    _show_inspection(bort_convert.inspect(source, **table), as_json=as_json, quiet=quiet, must_fit=False)


@click.command(cls=Command)
@SOURCE
@click.argument("out", type=click.Path(path_type=Path))
@FORCE
@JSON
@QUIET
def extract(source: Path, out: Path, *, force: bool, as_json: bool, quiet: bool) -> None:
    """Write the arrays of any .params file to OUT, a .safetensors or .npz file, names and values as they are."""
    with _progress("Extracting", shown=not (quiet or as_json)) as progress:
        manifest = bort_convert.extract(source, out, force=force, progress=progress)
    _show(manifest.to_dict(), display.extraction_text(manifest, out), as_json=as_json, quiet=quiet)


@click.command(cls=Command)
@JSON
def families(*, as_json: bool) -> None:
    """List the families of models that can be converted."""
    known = bort_convert.families()
    listed = [
        {
            "name": family.name,
            "tables": [{"title": table.title, "architectures": table.architectures} for table in family.tables],
            "variants": [
                {"name": v.name, "dims": v.dims, "facts": {**family.facts, **v.facts}} for v in family.variants
            ],
        }
        for family in known.values()
    ]
    _show({"families": listed}, display.families_text(known.values()), as_json=as_json, quiet=False)


for command in (convert, inspect, extract, families):
    main.add_command(command)


def _show_inspection(found: bort_convert.Inspection, *, as_json: bool, quiet: bool, must_fit: bool) -> None:
    if must_fit and found.misfit:
        raise found.misfit
    _show(found.to_dict(), display.inspection_text(found), as_json=as_json, quiet=quiet)


def _show(document: object, text: str, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        _print_json(document)
    elif not quiet:
        click.echo(text)


def _print_json(document: object) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _error_dict(error: ConvertError) -> dict[str, object]:
    disagreements = error.disagreements if isinstance(error, MappingError) else ()
    return {"type": type(error).__name__, "message": str(error), "disagreements": disagreements}


@contextlib.contextmanager
def _progress(title: str, *, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr where a person sees it; else a function that does nothing."""
    if not (shown and sys.stderr.isatty()):
        yield lambda _done, _total: None
        return
    from rich.console import Console  # noqa: PLC0415 - loaded only when it draws
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
