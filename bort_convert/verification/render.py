"""A report as text, JSON, Markdown, and as one self-contained HTML page with a plot."""

from __future__ import annotations

import html
import io
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import BackendError, ConvertError
from bort_convert.files.atomic import new_file
from bort_convert.verification.compare import place
from bort_convert.verification.report import label

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from bort_convert.verification.compare import Difference, Run
    from bort_convert.verification.report import Report

COLUMNS: Final = (
    "output",
    "max |d|",
    "at",
    "mean |d|",
    "cosine",
    "floor mxnet",
    "floor torch",
    "limit",
    "passes at",
    "values",
    "",
)
EXPLANATION: Final = (
    "max |d| is the largest absolute difference, at valid positions, in float64. A floor is how far a framework's "
    "float32 is from its own float64. 'passes at' is the smallest absolute tolerance that passes."
)


def to_text(report: Report) -> str:
    """The report as plain text: the verdict, the checks, a table for each precision, and notes."""
    lines = [report.headline, ""]
    width = max((len(check.name) for check in report.checks), default=0)
    for check in report.checks:
        first, *rest = check.detail.split("\n")
        lines.append(f"{_verdict(passed=check.passed)}  {check.name:<{width}}  {first}")
        lines += [" " * (width + 8) + line for line in rest]
    for title, run in _tables(report):
        lines += ["", title, *_aligned([COLUMNS, *(_cells(layer) for layer in run.layers)])]
    lines += ["", *report.notes] if report.notes else []
    lines += ["", _footer(report)]
    return "\n".join(lines) + "\n"


def to_dict(report: Report) -> dict[str, Any]:
    """The report as JSON has it; a number that is not there, or not finite, is null."""
    first = report.first_divergence
    return {
        "passed": report.passed,
        "headline": report.headline,
        "source": report.source,
        "target": report.target,
        "checks": [vars(check) for check in report.checks],
        "runs": [{"dtype": run.dtype, "layers": [_layer(layer) for layer in run.layers]} for run in report.runs],
        "first_divergence": first.name if first else None,
        "at_fault": [layer.name for layer in report.per_layer.failures] if report.per_layer else None,
        "notes": list(report.notes),
        "versions": dict(report.versions),
        "lengths": list(report.lengths),
        "seconds": round(report.seconds, 3),
        "peak_mb": round(report.peak_mb, 1),
    }


def to_markdown(report: Report) -> str:
    """The report as Markdown."""
    lines = [f"**{_escaped(report.headline)}**", "", "| check | verdict | |", "|---|---|---|"]
    for check in report.checks:
        detail = _escaped(check.detail).replace("\n", "<br>")
        lines.append(f"| {check.name} | {_verdict(passed=check.passed)} | {detail} |")
    for title, run in _tables(report):
        lines += ["", f"### {title}", "", f"| {' | '.join(_escaped(column) for column in COLUMNS)} |"]
        lines.append("|---" * len(COLUMNS) + "|")
        lines += [f"| {' | '.join(_escaped(cell) for cell in _cells(layer))} |" for layer in run.layers]
    lines += ["", *(f"- {_escaped(note)}" for note in report.notes), "", _escaped(EXPLANATION), "", _footer(report)]
    return "\n".join(lines) + "\n"


def to_html(report: Report) -> str:
    """The report as one page that needs nothing else, with a plot of the error of each output.

    Raises:
        BackendError: matplotlib is missing.
    """
    checks = "".join(
        f"<tr><td>{check.name}<td class={_verdict(passed=check.passed)}>{_verdict(passed=check.passed)}"
        f"<td>{html.escape(check.detail).replace(chr(10), '<br>')}"
        for check in report.checks
    )
    tables = "".join(f"<h2>{html.escape(title)}</h2>{_html_table(run)}" for title, run in _tables(report))
    notes = "".join(f"<li>{html.escape(note)}" for note in report.notes)
    plot = f"<figure>{_plot(report.runs)}</figure>" if report.runs else ""
    verdict = _verdict(passed=report.passed)
    return (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{html.escape(report.headline)}</title>'
        f"<style>{_STYLE}</style><h1 class={verdict}>{html.escape(report.headline)}</h1><table>{checks}</table>"
        f"{plot}{tables}<ul>{notes}</ul><p>{html.escape(EXPLANATION)}<p>{html.escape(_footer(report))}</html>\n"
    )


def write_report(report: Report, path: str | os.PathLike[str]) -> None:
    """Write a report in the form that the file's suffix says, in place of an older one.

    Raises:
        ConvertError: the suffix is none of .html, .json, .md and .txt.
        BackendError: an HTML report is asked for and matplotlib is missing.
        OutputError: the file cannot be written.
    """
    form = FORMS.get(Path(path).suffix.lower())
    if form is None:
        raise ConvertError(f"{path}: a report ends in {', '.join(FORMS)}; choose one of them")
    content = form(report)
    with new_file(path, force=True) as file:
        file.write_text(content, encoding="utf-8", newline="\n")


def to_json(report: Report) -> str:
    """The report as a JSON document."""
    return json.dumps(to_dict(report), indent=2) + "\n"


FORMS: Final[dict[str, Callable[[Report], str]]] = {
    ".html": to_html,
    ".json": to_json,
    ".md": to_markdown,
    ".txt": to_text,
}
_STYLE: Final = (
    "body{font:15px/1.5 sans-serif;margin:2em auto;max-width:75em;padding:0 1em}table{border-collapse:collapse}"
    "td,th{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}h1{font-size:1.2em}"
    "h2{font-size:1em;margin-top:2em}.PASS{color:#176}.FAIL{color:#b21}figure{margin:1em 0}"
    "svg{max-width:100%;height:auto}"
)


def _tables(report: Report) -> list[tuple[str, Run]]:
    tables = [(run.dtype, run) for run in report.runs]
    if report.per_layer:
        tables.append((f"{report.per_layer.dtype}, every layer on the reference's input", report.per_layer))
    return tables


def _cells(layer: Difference) -> tuple[str, ...]:
    verdict = _verdict(passed=layer.passed)
    if layer.problem or not layer.count:
        return (label(layer.name), *("-" * 1 for _ in COLUMNS[1:-1]), f"{verdict} {layer.problem}".strip())
    floors = (f"{layer.floors[side]:.1e}" if side in layer.floors else "-" for side in ("mxnet", "torch"))
    return (
        label(layer.name),
        f"{layer.max_abs:.1e}",
        place(layer.where),
        f"{layer.mean_abs:.1e}",
        f"{layer.cosine:.12f}",
        *floors,
        f"{layer.limit:.1e}",
        f"{layer.smallest_atol:.1e}",
        f"{layer.count:,}",
        verdict,
    )


def _layer(layer: Difference) -> dict[str, Any]:
    return {
        "name": layer.name,
        "passed": layer.passed,
        "problem": layer.problem,
        "max_abs": _finite(layer.max_abs),
        "where": dict(layer.where),
        "mean_abs": _finite(layer.mean_abs),
        "cosine": _finite(layer.cosine),
        "largest": _finite(layer.largest),
        "floor": layer.floor,
        "floors": dict(layer.floors),
        "limit": layer.limit,
        "smallest_atol": _finite(layer.smallest_atol),
        "count": layer.count,
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _verdict(*, passed: bool) -> str:
    return "PASS" if passed else "FAIL"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[number]) for row in rows) for number in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _escaped(text: str) -> str:
    return html.escape(text, quote=False).replace("|", "\\|")


def _footer(report: Report) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return f"{report.seconds:.1f} s, peak memory {report.peak_mb:,.0f} MB" + (f"; {versions}" if versions else "")


def _html_table(run: Run) -> str:
    head = "".join(f"<th>{html.escape(column)}" for column in COLUMNS)
    rows = "".join(
        f"<tr class={_verdict(passed=layer.passed)}>" + "".join(f"<td>{html.escape(cell)}" for cell in _cells(layer))
        for layer in run.layers
    )
    return f"<table><tr>{head}{rows}</table>"


def _plot(runs: Sequence[Run]) -> str:
    """An inline SVG: the error of every output, in each precision, against the limit and the float32 floor."""
    try:
        from matplotlib import rc_context  # noqa: PLC0415 - only this page draws
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise BackendError(
            f'an HTML report needs matplotlib ({error}): pip install "bort-convert[report]", '
            "or choose another form, such as --report FILE.md"
        ) from error
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, run in enumerate(runs):
        color, layers, names = f"C{number}", run.layers, [label(layer.name) for layer in run.layers]
        drawn = [layer.max_abs if layer.max_abs > 0 else math.nan for layer in layers]
        axes.plot(names, drawn, "o-", color=color, label=f"{run.dtype} max |d|")
        axes.plot(names, [layer.limit or math.nan for layer in layers], "--", color=color, label=f"{run.dtype} limit")
        if any(layer.floors for layer in layers):
            floors = [layer.floor or math.nan for layer in layers]
            axes.plot(names, floors, ":", color=color, label=f"{run.dtype} noise floor")
    axes.set(yscale="log", ylabel="absolute difference")
    axes.tick_params(axis="x", rotation=30)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small")
    with rc_context({"svg.hashsalt": "the ids of one report are the same each time"}):
        figure.savefig(drawing := io.StringIO(), format="svg", metadata={"Date": None})
    return drawing.getvalue()[drawing.getvalue().index("<svg") :]
