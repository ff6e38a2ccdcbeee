"""The reports that `--report` asks for: every place is tried before anything runs, and no failure hides a verdict."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import click

from bort_convert.cli.options import OUTPUT
from bort_convert.cli.output import complain
from bort_convert.cli.streams import escaped, print_error
from bort_convert.errors import ConvertError, OptionError, OutputError, printable
from bort_convert.verification import github
from bort_convert.verification.render import form_of
from bort_convert.verification.report_file import try_report_path, write_report_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Result = TypeVar("Result")
GITHUB: Final = "github"
"""Word in place of a file: annotations and a summary in a workflow of GitHub Actions."""

REPORT = click.option(
    "--report",
    metavar="FILE|github",
    multiple=True,
    type=OUTPUT,
    help="Write a report too, as .html, .json, .md, .txt or .xml (JUnit); `github` annotates a workflow of GitHub "
    "Actions, and is there by itself. Repeatable.",
)


@dataclass(frozen=True)
class ReportForms(Generic[Result]):
    """The forms in which the results of a command are reported.

    Attributes:
        files: ending of a file -> function that gives its content.
        failures: gives title and message of each failure.
    """

    files: Mapping[str, Callable[[Result], str]]
    failures: Callable[[Result], Iterable[tuple[str, str]]]


class Reports(Generic[Result]):
    """Reports to write once there is a result.

    Args:
        places: files, and the word `github`.
        forms: forms of the command's results.

    Raises:
        OptionError: a name has no known ending or stands there twice, or no workflow of GitHub runs.
        BackendError: a form needs a package that is missing.
        OutputError: a report cannot be written, or something else stands in its place.
    """

    def __init__(self, places: Sequence[Path], forms: ReportForms[Result]) -> None:
        self._forms = forms
        self._files: dict[Path, Callable[[Result], str]] = {}
        self._asked = any(os.fspath(place) == GITHUB for place in places)
        summary = os.environ.get(github.VARIABLE)
        self._summary = Path(summary) if summary else None
        if self._asked and self._summary is None:
            problem = f"{github.VARIABLE} is not set, as a workflow of GitHub Actions sets it. Leave this report out"
            raise OptionError("report", GITHUB, problem)
        if self._asked and self._summary:
            github.check_summary(self._summary)
        for place in places:
            if os.fspath(place) == GITHUB:
                continue
            form = form_of(place, forms.files)
            if place in self._files:
                raise OptionError("report", place, "stands there twice; a report needs a file of its own")
            try_report_path(place)
            self._files[place] = form

    def save(self, result: Result) -> int:
        """Write every report; give the exit code of the first that fails, 0 if none does. Failures go to stderr."""
        codes = [_code_of(self._write, path, form, result) for path, form in self._files.items()]
        if self._summary:
            code = _code_of(self._tell_github, self._summary, result)
            codes.append(code if self._asked else 0)
        return next(filter(None, codes), 0)

    def _write(self, path: Path, form: Callable[[Result], str], result: Result) -> None:
        try:
            content = form(result)
        except ConvertError:
            raise
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            raise OutputError(f"{path}: the report cannot be made ({cause}). Choose another form") from error
        write_report_file(path, content)

    def _tell_github(self, summary: Path, result: Result) -> None:
        ctx = click.get_current_context()
        for title, message in self._forms.failures(result):
            print_error(escaped(github.annotation(printable(title), message), ctx))
        github.add_to_summary(summary, self._forms.files[".md"](result))


def _code_of(write: Callable[..., None], *arguments: Any) -> int:  # noqa: ANN401 - those of `write`
    try:
        write(*arguments)
    except ConvertError as error:
        complain([f"Error: {error}"])
        return error.exit_code
    return 0
