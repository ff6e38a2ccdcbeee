"""What every command shares: options, results as text or JSON, errors as one message and an exit code."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import bort_convert
from bort_convert.errors import ConvertError, MappingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Function = TypeVar("Function", bound=Callable[..., object])

_DEBUG = "bort_convert.debug"
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"

SOURCE = click.argument("source", type=click.Path(path_type=Path))
OUT = click.argument("out", type=click.Path(path_type=Path))
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document; everything else goes to stderr.")
QUIET = click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
MXNET_PYTHON = click.option(
    "--mxnet-python", metavar="PATH", help="An interpreter that has mxnet and gluonnlp; by default this one."
)
GLUONNLP = click.option(
    "--gluonnlp", metavar="DIR", help="Where another release of gluonnlp lies, in place of the one that is installed."
)
MAX_ARRAYS = click.option(
    "--max-arrays",
    type=click.IntRange(min=1),
    default=bort_convert.MAX_ARRAYS,
    show_default=True,
    help="Refuse a file of more arrays.",
)
FAMILY = click.option(
    "--family", type=click.Choice(list(bort_convert.families())), help="The family, where a file fits two."
)
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
        logging.getLogger("bort_convert").setLevel(logging.ERROR if ctx.params.get("quiet") else logging.WARNING)
        try:
            return super().invoke(ctx)
        except ConvertError as error:
            if ctx.meta[_DEBUG]:
                traceback.print_exc()
            if ctx.params.get("as_json"):
                _print_json({"error": _error_dict(error)})
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)


def table_options(function: Function) -> Function:
    """The options of every command that fits a table."""
    function = click.option("--heads", type=click.IntRange(min=1), help="Attention heads, for a size never published.")(
        function
    )
    function = click.option(
        "--gluonnlp-version",
        "--producer",
        "gluonnlp_version",
        metavar="VERSION",
        help="The gluonnlp that trained it: 0.8, 0.9.1, 0.9.2, 0.10; no file tells.",
    )(function)
    function = click.option("--variant", metavar="NAME", help="Insist on this published size (see `families`).")(
        function
    )
    return FAMILY(function)


def tokenizer_options(function: Function) -> Function:
    """The options of every command that writes a tokenizer."""
    file = click.Path(path_type=Path)
    for option in (
        click.option(
            "--lower-case/--cased",
            default=None,
            help="Whether a BERT's tokenizer lower-cases text; by default what its vocabulary proves.",
        ),
        click.option("--roberta-pairs", is_flag=True, help="Two </s> between the segments of a pair; Bort has one."),
        click.option(
            "--tokenizer", metavar="DIR_OR_HUB_ID", help="A tokenizer of transformers, in place of those files."
        ),
        click.option("--bpe-ranks", type=file, help="The BPE ranks of a Bort, a RoBERTa or a GPT-2; the same default."),
        click.option(
            "--vocab",
            type=file,
            help="GluonNLP's vocabulary, or a BERT's vocab.txt or SentencePiece model; by default, but not of a BERT, "
            "that in its model cache.",
        ),
    ):
        function = option(function)
    return function


def show(document: Callable[[], object], text: Callable[[], str], *, as_json: bool, quiet: bool) -> None:
    """Print a result on stdout, as JSON or as text; only that one is made."""
    if as_json:
        _print_json(document())
    elif not quiet:
        click.echo(text())


def _print_json(document: object) -> None:
    click.echo(json.dumps(document, indent=2))  # escaped: a name may hold what a terminal obeys


def _error_dict(error: ConvertError) -> dict[str, object]:
    disagreements = error.disagreements if isinstance(error, MappingError) else ()
    return {"type": type(error).__name__, "message": str(error), "disagreements": disagreements}


def progress_lines(*, shown: bool) -> Callable[[str], None]:
    """Prints lines of progress on stderr, or nothing."""
    return (lambda line: click.echo(line, err=True)) if shown else (lambda _line: None)


@contextlib.contextmanager
def progress(title: str, *, shown: bool) -> Iterator[Callable[[int, int], None]]:
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


@contextlib.contextmanager
def frugal() -> Iterator[None]:
    """Spare a command what helps no conversion.

    While it lasts Python searches for no cycles, of which many arrays make none, and NumPy, if it is imported, starts
    no threads for linear algebra, which wait busily at first.
    """
    searches, told = gc.isenabled(), _BLAS_THREADS in os.environ
    gc.disable()
    os.environ.setdefault(_BLAS_THREADS, "1")
    try:
        yield
    finally:
        if searches:
            gc.enable()
        if not told:
            del os.environ[_BLAS_THREADS]
