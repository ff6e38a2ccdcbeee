"""A report as text, JSON, Markdown, JUnit XML, and one self-contained HTML page with a plot."""

from __future__ import annotations

import html
import io
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bort_convert.errors import BackendError, OptionError, install_hint
from bort_convert.files.places import named_path
from bort_convert.plain_table import TextTable, plain_text
from bort_convert.verification.compare import Run, position_text
from bort_convert.verification.headline import excess, label
from bort_convert.verification.junit import suite_of, to_junit
from bort_convert.verification.report_file import check_report_path, write_report_file
from bort_convert.version import __version__

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from jinja2 import Environment

    from bort_convert.verification.compare import Difference
    from bort_convert.verification.findings import Findings

Result = TypeVar("Result")
COLUMNS: Final = (
    *("output", "max |d|", "at", "mean |d|", "cosine", "floor mxnet", "floor torch", "limit", "passes at", "values"),
    "",
)
OPTIONAL_COLUMNS: Final = ("mean |d|", "cosine", "values", "floor torch", "floor mxnet", "passes at")
"""Columns that a narrow terminal leaves out, the first one first."""
EXPLANATION: Final = (
    "max |d| is the largest absolute difference, at valid positions, in float64. A floor is how far a framework's "
    "float32 is from its own float64; the notes name limits that follow from it. 'passes at' is the smallest absolute "
    "tolerance that passes."
)
TENSORS_SHOWN: Final = 12
"""Tensors in a table of gradients."""
TEMPLATE: Final = "report.html.jinja"
_INSTALL: Final = install_hint("report")
_INK: Final = "#010203"
"""Colour of text and axes in the plot, for which the page puts the colour of its own text, dark or light."""
_INK_SETTINGS: Final = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")


def to_text(report: Findings) -> str:
    """The report as plain text: the verdict, the checks, a table for each precision, and notes."""
    return plain_text(text_blocks(report)) + "\n"


def text_blocks(report: Findings) -> list[str | TextTable]:
    """The lines and tables of the report's text."""
    checks = [
        (*((_verdict(passed=check.passed), check.name) if number == 0 else ("", "")), line)
        for check in report.checks
        for number, line in enumerate(check.detail.split("\n"))
    ]
    blocks: list[str | TextTable] = [report.headline, ""]
    blocks += [TextTable((), checks)] if checks else []
    for title, run in tables(report):
        blocks += ["", title, TextTable(COLUMNS, [cells(layer) for layer in run.layers], optional=OPTIONAL_COLUMNS)]
    blocks += ["", *report.notes] if report.notes else []
    return [*blocks, "", footer(report)]


def to_dict(report: Findings) -> dict[str, Any]:
    """The report as JSON has it; a number that is missing or not finite is null.

    `rungs` and `at_fault` are what 0.1 called `checks` and the failures of `per_layer`; they stay for one release.
    """
    first = report.first_divergence
    checks = [vars(check) for check in report.checks]
    return {
        "passed": report.passed,
        "headline": report.headline,
        "source": report.source,
        "target": report.target,
        "checks": checks,
        "rungs": checks,
        "runs": [_run(run) for run in report.runs],
        "gradients": [
            {"dtype": run.dtype, "tensors": [{**_layer(tensor), "cause": tensor.cause} for tensor in run.layers]}
            for run in report.gradients
        ],
        "first_divergence": first.name if first else None,
        "per_layer": _run(report.per_layer) if report.per_layer else None,
        "at_fault": [layer.name for layer in report.per_layer.failures] if report.per_layer else None,
        "notes": list(report.notes),
        "versions": dict(report.versions),
        "digests": dict(report.digests),
        "call": report.call,
        "lengths": list(report.lengths),
        "seconds": round(report.seconds, 3),
        "peak_mb": round(report.peak_mb, 1),
    }


def to_json(report: Findings) -> str:
    """The report as a JSON document."""
    return json.dumps(to_dict(report), indent=2) + "\n"


def to_markdown(report: Findings) -> str:
    """The report as Markdown."""
    lines = [f"**{_escaped(report.headline)}**", "", "| check | verdict | |", "|---|---|---|"]
    for check in report.checks:
        detail = _escaped(check.detail).replace("\n", "<br>")
        lines.append(f"| {check.name} | {_verdict(passed=check.passed)} | {detail} |")
    for title, run in tables(report):
        lines += ["", f"### {title}", "", *_markdown_table(COLUMNS, [cells(layer) for layer in run.layers])]
    lines += ["", *(f"- {_escaped(note)}" for note in report.notes), "", _escaped(EXPLANATION)]
    lines += ["", "### Provenance", "", *_markdown_table(("", ""), provenance(report))]
    return "\n".join(lines) + "\n"


def to_html(report: Findings) -> str:
    """The report as one page that needs nothing else; without matplotlib it has no plot.

    Raises:
        BackendError: jinja2 is missing.
    """
    plot, reason = _plot_or_reason(report.runs)
    return page(
        Path(__file__).with_name(TEMPLATE),
        report=report,
        verdict=_verdict(passed=report.passed),
        tables=[(title, [(layer, cells(layer)) for layer in run.layers]) for title, run in tables(report)],
        columns=COLUMNS,
        plot=plot,
        reason=reason,
        provenance=provenance(report),
        explanation=EXPLANATION,
    )


FORMS: Final[dict[str, Callable[[Findings], str]]] = {
    ".html": to_html,
    ".json": to_json,
    ".md": to_markdown,
    ".txt": to_text,
    ".xml": lambda report: to_junit([suite_of(report)]),
}


def form_of(path: str | os.PathLike[str], forms: Mapping[str, Callable[[Result], str]]) -> Callable[[Result], str]:
    """The function that renders a report for a file of this name, which may be absent or an older report.

    Args:
        path: the file.
        forms: ending of a file -> function that renders the report so; an .html is a page of jinja2.

    Raises:
        OptionError: the name ends in none of .html, .json, .md, .txt and .xml.
        BackendError: the report is a page, and jinja2 is missing.
        OutputError: the name is empty, or no report may be written there.
    """
    file = named_path(path)
    form = forms.get(file.suffix.lower())
    if form is None:
        raise OptionError("report", str(path), f"a report ends in {', '.join(forms)}; choose one of them")
    check_report_path(file)
    if file.suffix.lower() == ".html":
        _template_environment(file.parent)
    return form


def write_report(report: Findings, path: str | os.PathLike[str]) -> None:
    """Write a report in the form that the file's ending asks for, in place of an older one.

    Raises:
        OptionError: the name ends in none of .html, .json, .md, .txt and .xml.
        BackendError: an HTML report is asked for and jinja2 is missing.
        OutputError: the file cannot be written, or something else than a report stands there.
    """
    write_report_file(path, form_of(path, FORMS)(report))


def page(template: Path, **values: object) -> str:
    """Render a template of a page.

    Raises:
        BackendError: jinja2 is missing.
    """
    rendered: str = _template_environment(template.parent).get_template(template.name).render(**values)
    return rendered + "\n"


def _template_environment(folder: Path) -> Environment:
    """The environment of jinja2 that a page is rendered in, with the templates of a folder.

    Raises:
        BackendError: jinja2 is missing.
    """
    try:
        import jinja2  # noqa: PLC0415 - only this page needs it
    except ImportError as error:
        raise BackendError(
            f"an HTML report needs jinja2 ({error}): {_INSTALL}, or choose another form, such as a file in .md"
        ) from error
    loader = jinja2.FileSystemLoader(folder)
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def tables(report: Findings) -> list[tuple[str, Run]]:
    """Every comparison of a report with its title."""
    found = [(run.dtype, run) for run in report.runs]
    if report.per_layer:
        title = f"{report.per_layer.dtype}, per-layer comparison: every layer with the reference's input"
        found.append((title, report.per_layer))
    return found + [_nearest_to_limits(run) for run in report.gradients]


def _nearest_to_limits(run: Run) -> tuple[str, Run]:
    """Table of the gradients nearest to their limits or beyond, with its title; the JSON document has all of them."""
    shown = sorted(run.layers, key=excess, reverse=True)[:TENSORS_SHOWN]
    part = f", the {len(shown)} of {len(run.layers)} tensors nearest to their limits"
    return f"{run.dtype} gradients{part if run.layers[TENSORS_SHOWN:] else ''}", Run(run.dtype, tuple(shown))


def cells(layer: Difference) -> tuple[str, ...]:
    """Row of an output in a table of `COLUMNS`."""
    verdict = _verdict(passed=layer.passed)
    if layer.problem or not layer.count:
        return (label(layer.name), *("-" for _ in COLUMNS[1:-1]), f"{verdict} {layer.problem}".strip())
    floors = (f"{layer.floors[side]:.1e}" if side in layer.floors else "-" for side in ("mxnet", "torch"))
    return (
        label(layer.name),
        f"{layer.max_abs:.1e}",
        position_text(layer.where),
        f"{layer.mean_abs:.1e}",
        f"{layer.cosine:.12f}",
        *floors,
        f"{layer.limit:.1e}",
        f"{layer.smallest_atol:.1e}",
        f"{layer.count:,}",
        verdict,
    )


def provenance(report: Findings) -> list[tuple[str, str]]:
    """Both sides with the SHA-256 of each file, the call, versions, inputs, time and memory, each with its name."""
    lengths = ", ".join(map(str, report.lengths))
    named = {
        "source": report.source,
        "directory": report.target,
        **{f"SHA-256 of {name}": digest for name, digest in report.digests.items()},
        "call": report.call,
        "bort_convert": __version__,
        **report.versions,
        "tokens in each row": lengths,
        "took": f"{report.seconds:.1f} s, peak memory {report.peak_mb:,.0f} MB",
    }
    return [(name, text) for name, text in named.items() if text]


def footer(report: Findings) -> str:
    """Time, memory and versions in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return f"{report.seconds:.1f} s, peak memory {report.peak_mb:,.0f} MB" + (f"; {versions}" if versions else "")


def _run(run: Run) -> dict[str, Any]:
    return {"dtype": run.dtype, "layers": [_layer(layer) for layer in run.layers]}


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
        "limit_by": layer.limit_by,
        "smallest_atol": _finite(layer.smallest_atol),
        "count": layer.count,
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _verdict(*, passed: bool) -> str:
    return "PASS" if passed else "FAIL"


def _markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(map(_escaped, row))} |" for row in (titles, *rows)]
    return [lines[0], "|---" * len(titles) + "|", *lines[1:]]


def _escaped(text: str) -> str:
    return html.escape(text, quote=False).replace("|", "\\|")


def _plot_or_reason(runs: Sequence[Run]) -> tuple[str, str]:
    """The plot as inline SVG and "", or "" and the reason why there is none."""
    if not runs:
        return "", ""
    try:
        return _plot(runs), ""
    except ImportError as error:
        return "", f"No plot: matplotlib is missing ({error}). {_INSTALL} brings it."


def _plot(runs: Sequence[Run]) -> str:
    """An inline SVG: the difference of every output in each precision, with its limit and float32 noise floor."""
    from matplotlib import rc_context  # noqa: PLC0415 - only this page draws
    from matplotlib.figure import Figure  # noqa: PLC0415

    settings: dict[Any, str] = dict.fromkeys(_INK_SETTINGS, _INK)
    settings |= {"svg.hashsalt": "the ids of one report are the same each time", "svg.fonttype": "none"}
    with rc_context(settings):
        figure = Figure(figsize=(11, 4.5), layout="constrained")
        axes = figure.subplots()
        for number, run in enumerate(runs):
            color, layers, names = f"C{number}", run.layers, [label(layer.name) for layer in run.layers]
            drawn = [layer.max_abs if layer.max_abs > 0 else math.nan for layer in layers]
            axes.plot(names, drawn, "o-", color=color, markersize=8 - 3 * number, label=f"{run.dtype} max |d|")
            axes.plot(
                names, [layer.limit or math.nan for layer in layers], "--", color=color, label=f"{run.dtype} limit"
            )
            if any(layer.floors for layer in layers):
                floors = [layer.floor or math.nan for layer in layers]
                axes.plot(names, floors, ":", color=color, label=f"{run.dtype} noise floor")
        axes.set(yscale="log", ylabel="absolute difference")
        axes.tick_params(axis="x", rotation=30)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize="small", frameon=False)
        figure.savefig(drawing := io.StringIO(), format="svg", transparent=True, metadata={"Date": None})
    return drawing.getvalue()[drawing.getvalue().index("<svg") :].replace(_INK, "currentColor")
