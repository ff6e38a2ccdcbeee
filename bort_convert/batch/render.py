"""A batch as text, JSON, Markdown, JUnit XML, and one self-contained HTML page with a row for each file."""

from __future__ import annotations

import html
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.batch.result import FAILED, NOT_RUN, BatchResult, FileResult
from bort_convert.plain_table import TextTable, plain_text
from bort_convert.verification.headline import label
from bort_convert.verification.junit import Case, Suite, to_junit
from bort_convert.verification.render import page
from bort_convert.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

COLUMNS: Final = ("verdict", "file", "result", "model", "max |d|", "limit", "took", "remark")
OPTIONAL_COLUMNS: Final = ("took", "limit", "max |d|", "model")
"""Columns that a narrow terminal leaves out, the first one first."""
LAYER_COLUMNS: Final = ("output", "max |d|", "limit", "of limit")
SHOWN: Final = 40
"""Files in the text of a batch, where more are right; what failed is always there."""
_SMALLEST_SHARE: Final = 1e-6
"""Of a limit, in the plot, for differences down to 0."""
TEMPLATE: Final = "batch.html.jinja"
_INK: Final = "#010203"
"""Colour of text and axes in the plot, for which the page puts the colour of its own text, dark or light."""
_INK_SETTINGS: Final = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")


def text_blocks(result: BatchResult) -> list[str | TextTable]:
    """The verdict, and a table of all files, or of those that failed where many are right."""
    files = result.files
    if len(files) > SHOWN:
        files = tuple(file for file in files if not file)
    table = TextTable(COLUMNS, [cells(file) for file in files], optional=OPTIONAL_COLUMNS)
    tables: list[str | TextTable] = [table, ""] if files else []
    return [result.headline, "", *tables, footer(result)]


def to_text(result: BatchResult) -> str:
    """The batch as plain text, with every file."""
    table = TextTable(COLUMNS, [cells(file) for file in result.files])
    return plain_text([result.headline, "", table, "", footer(result)]) + "\n"


def to_json(result: BatchResult) -> str:
    """The batch as a JSON document."""
    return json.dumps(result.to_dict(), indent=2) + "\n"


def to_markdown(result: BatchResult) -> str:
    """The batch as Markdown; what failed comes first."""
    lines = [f"**{_escaped(result.headline)}**", "", "| file | verdict | result | max \\|d\\| | limit | remark |"]
    lines.append("|---|---|---|---|---|---|")
    for file in sorted(result.files, key=bool):
        verdict, name, outcome, _, difference, limit, _, remark = (_escaped(cell) for cell in cells(file))
        lines.append(f"| {name} | {verdict} | {outcome} | {difference} | {limit} | {remark} |")
    return "\n".join([*lines, "", _escaped(footer(result))]) + "\n"


def to_junit_xml(result: BatchResult) -> str:
    """The batch as JUnit XML: a suite for each file, a case for its conversion and for each check."""
    return to_junit([_suite(file) for file in result.files])


def to_html(result: BatchResult) -> str:
    """The batch as one page that needs nothing else: a row for each file, which opens to its layers, and a plot.

    Raises:
        BackendError: jinja2 is missing.
    """
    plot, reason = _plot_or_reason(result.files)
    files = [
        {
            "file": file,
            "anchor": anchor(file),
            "cells": dict(zip(COLUMNS, cells(file), strict=True)),
            "tables": list(layer_tables(file)),
        }
        for file in sorted(result.files, key=bool)
    ]
    return page(
        Path(__file__).with_name(TEMPLATE),
        result=result,
        verdict="PASS" if result.passed else "FAIL",
        files=files,
        layer_columns=LAYER_COLUMNS,
        plot=plot,
        reason=reason,
        footer=footer(result),
    )


FORMS: Final[Mapping[str, Callable[[BatchResult], str]]] = {
    ".html": to_html,
    ".json": to_json,
    ".md": to_markdown,
    ".txt": to_text,
    ".xml": to_junit_xml,
}


def cells(file: FileResult) -> tuple[str, ...]:
    """Row of a file in a table of `COLUMNS`."""
    difference, limit = (f"{number:.1e}" for number in file.worst) if file.worst else ("-", "-")
    return (
        verdict_of(file),
        file.name,
        file.status,
        file.model or "-",
        difference,
        limit,
        f"{file.seconds:.1f} s",
        remark(file),
    )


def verdict_of(file: FileResult) -> str:
    """PASS or FAIL."""
    return "PASS" if file else "FAIL"


def remark(file: FileResult) -> str:
    """The error of a file in one line, or the reason why it was converted."""
    return " ".join(file.error["message"].split("\n")[0].rstrip(":").split()) if file.error else file.reason


def failures(result: BatchResult) -> list[tuple[str, str]]:
    """Title and message of each file that failed, as the annotation of a workflow."""
    return [
        (f"{file.name}: {file.error.get('type', file.status)}", remark(file) or file.status)
        for file in result.files
        if not file and file.status == FAILED
    ]


def footer(result: BatchResult) -> str:
    """Time and version in one line."""
    return f"{result.seconds:.1f} s, bort_convert {__version__}"


def layer_tables(file: FileResult) -> Iterator[tuple[str, list[tuple[dict[str, Any], tuple[str, ...]]]]]:
    """A title and a row for each output, for each precision in which a verification compared a file."""
    per_layer = file.report.get("per_layer")
    title = "per-layer comparison: every layer with the reference's input"
    for run in (*file.report.get("runs", ()), *([{**per_layer, "title": title}] if per_layer else ())):
        rows = [(layer, _layer_cells(layer)) for layer in run["layers"]]
        yield f"{run['dtype']}{', ' + run['title'] if 'title' in run else ''}", rows


def _layer_cells(layer: Mapping[str, Any]) -> tuple[str, ...]:
    if layer["problem"] or layer["max_abs"] is None:
        return (label(layer["name"]), *("-" for _ in LAYER_COLUMNS[1:]))
    share = f"{layer['max_abs'] / layer['limit']:.2g}" if layer["limit"] else "-"
    return label(layer["name"]), f"{layer['max_abs']:.1e}", f"{layer['limit']:.1e}", share


def _suite(file: FileResult) -> Suite:
    error = file.error
    message, kind = remark(file), error.get("type", "")
    checks = file.report.get("checks", ())
    if file.status == NOT_RUN:
        conversion = Case("conversion", "skipped", "the batch ended before")
    elif not error or file.problems:
        conversion = Case("conversion")
    elif kind == "ParityError" and checks:
        conversion = Case("conversion", "skipped", "nothing was written: the verification failed")
    else:
        conversion = Case("conversion", "error", message, error["message"], kind)
    cases = [conversion, *(_case_of_check(check) for check in checks)]
    if file.problems is not None:
        text = "\n".join(file.problems)
        problem = Case("directory", "failed", file.problems[0], text, kind) if file.problems else Case("directory")
        cases.append(problem)
    properties = {"source": file.source, "place": file.place, "model": file.model, "status": file.status}
    return Suite(file.name, cases, file.seconds, {name: value for name, value in properties.items() if value})


def _case_of_check(check: Mapping[str, Any]) -> Case:
    if check["passed"]:
        return Case(check["name"])
    return Case(check["name"], "failed", check["detail"].partition("\n")[0], check["detail"], "ParityError")


def _escaped(text: str) -> str:
    return html.escape(text, quote=False).replace("|", "\\|")


def _plot_or_reason(files: Sequence[FileResult]) -> tuple[str, str]:
    """The plot as inline SVG and "", or "" and the reason why there is none."""
    if not any(file.worst for file in files):
        return "", ""
    try:
        return _plot(files), ""
    except ImportError as error:
        return "", f"No plot: matplotlib is missing ({error})."


def _plot(files: Sequence[FileResult]) -> str:
    """An inline SVG: the worst difference of each file in units of its limit; each mark leads to the file's row."""
    from matplotlib import rc_context  # noqa: PLC0415 - only this page draws
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    settings: dict[Any, str] = dict.fromkeys(_INK_SETTINGS, _INK)
    settings |= {"svg.hashsalt": "the ids of one report are the same each time", "svg.fonttype": "none"}
    shares = {at: max(file.worst[0] / file.worst[1], _SMALLEST_SHARE) for at, file in enumerate(files) if file.worst}
    with rc_context(settings):
        figure = Figure(figsize=(11, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.axhline(1, color="C3", linestyle="--", label="limit")
        for passed, color in ((True, "C0"), (False, "C3")):
            chosen = [at for at, share in shares.items() if (share <= 1) is passed]
            places = [at + 1 for at in chosen]
            marks = axes.scatter(places, [shares[at] for at in chosen], color=color, s=22, zorder=3)
            marks.set_urls([f"#{anchor(files[at])}" for at in chosen])
        axes.set(yscale="log", ylabel="worst difference / limit", xlabel="file, in the order of the plan")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize="small", frameon=False)
        figure.savefig(drawing := io.StringIO(), format="svg", transparent=True, metadata={"Date": None})
    return drawing.getvalue()[drawing.getvalue().index("<svg") :].replace(_INK, "currentColor")


def anchor(file: FileResult) -> str:
    """Id of a file's row on the page."""
    return "file-" + "".join(char if char.isascii() and char.isalnum() else f"-{ord(char):x}-" for char in file.name)
