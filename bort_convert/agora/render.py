"""The report of a run as one self-contained HTML page, with a plot of its rounds."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.agora.baselines import WORDS
from bort_convert.agora.report import FLATTERS, NO_TEST, figure_text
from bort_convert.agora.theta import in_words
from bort_convert.errors import install_hint
from bort_convert.verification.render import page
from bort_convert.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPLATE: Final = "agora.html.jinja"
_INK: Final = "#010203"
"""Colour of text and axes in the plot, for which the page puts the colour of its own text, dark or light."""
_INK_SETTINGS: Final = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")


def to_html(report: Mapping[str, Any]) -> str:
    """The report of a run as a page that needs nothing else; without matplotlib it has no plot.

    Args:
        report: of `report_of`.

    Raises:
        BackendError: jinja2 is missing.
    """
    best, metric, theta = report["best"], report["best"]["metric"], report["theta"]
    plot, reason = _plot_or_reason(report)
    figures = [(name, figure_text(figure, metric), WORDS[name]) for name, figure in report["baselines"].items()]
    if report["test"]:
        words = f"chosen on dev, where it had {best['dev']:.2f}"
        figures.insert(0, ("this run", figure_text(report["test"], metric), words))
    rounds = [
        {
            **entry,
            "tuple": in_words(theta[entry["best"]]),
            "gone": [in_words(theta[at]) for at in entry["deleted"]],
            "cells": _cells(entry, metric),
        }
        for entry in report["rounds"]
    ]
    return page(
        Path(__file__).with_name(TEMPLATE),
        report=report,
        title=_title(report),
        figures=figures,
        chosen=f"round {best['round']}, {in_words(best['theta'])}",
        no_test=f"{metric} {best['dev']:.2f} {NO_TEST}",
        flatters=FLATTERS,
        rounds=rounds,
        columns=COLUMNS,
        plot=plot,
        reason=reason,
        version=__version__,
    )


COLUMNS: Final = ("round", "trained", "dev", "on parents", "on the rest", "test", "mistakes", "points", "deleted")


def _cells(entry: Mapping[str, Any], metric: str) -> tuple[str, ...]:
    test = entry["test"]
    numbers = (
        entry["dev"],
        entry["dev_of_parents"],
        entry["dev_of_others"],
        (test["accuracy"] if metric == "accuracy" else test["score"]) if test else None,
    )
    shown = ("-" if number is None else f"{number:.2f}" for number in numbers)
    counts = (entry["mistakes"] or 0, entry["points"], len(entry["deleted"]))
    return (str(entry["round"]), str(entry["trained"]), *shown, *map(str, counts))


def _title(report: Mapping[str, Any]) -> str:
    best = report["best"]
    if report["test"] is None:
        return f"Agora: {best['metric']} {best['dev']:.2f} {NO_TEST}"
    return f"Agora: test {figure_text(report['test'], best['metric'])}"


def _plot_or_reason(report: Mapping[str, Any]) -> tuple[str, str]:
    """The plot as inline SVG and "", or "" and the reason why there is none."""
    try:
        return _plot(report), ""
    except ImportError as error:
        return "", f"No plot: matplotlib is missing ({error}). {install_hint('report')} brings it."


def _plot(report: Mapping[str, Any]) -> str:
    """An inline SVG: dev and test of the best model so far, the points made, and the tuples deleted, by round."""
    from matplotlib import rc_context  # noqa: PLC0415 - only this page draws
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    rounds, metric = report["rounds"], report["best"]["metric"]
    key = "accuracy" if metric == "accuracy" else "score"
    at = [entry["round"] for entry in rounds]
    settings: dict[Any, str] = dict.fromkeys(_INK_SETTINGS, _INK)
    settings |= {"svg.hashsalt": "the ids of one report are the same each time", "svg.fonttype": "none"}
    with rc_context(settings):
        figure = Figure(figsize=(11, 5), layout="constrained")
        above, below = figure.subplots(2, sharex=True, height_ratios=(3, 2))
        above.plot(at, [entry["dev"] for entry in rounds], "o-", color="C1", label="dev, best of the round")
        above.plot(at, [entry["dev_best_so_far"] for entry in rounds], "--", color="C1", label="dev, best so far")
        if report["test"]:
            test = [entry["test"][key] for entry in rounds]
            above.plot(at, test, "s-", color="C0", label="test, best so far (unseen by the run)")
        for color, (name, found) in zip(("C2", "C4", "C5"), report["baselines"].items(), strict=False):
            above.axhline(found[key], color=color, linestyle="-.", label=f"test, {name}")
        above.set(ylabel=metric)
        above.legend(fontsize="small", frameon=False, ncols=2)
        below.bar([number - 0.2 for number in at], [e["points"] for e in rounds], 0.4, color="C0", label="points made")
        gone = [len(entry["deleted"]) for entry in rounds]
        below.bar([number + 0.2 for number in at], gone, 0.4, color="C3", label="tuples deleted")
        below.set(xlabel="round", ylabel="count")
        below.legend(fontsize="small", frameon=False)
        below.xaxis.set_major_locator(MaxNLocator(integer=True))
        for axes in (above, below):
            axes.grid(visible=True, alpha=0.3)
        figure.savefig(drawing := io.StringIO(), format="svg", transparent=True, metadata={"Date": None})
    return drawing.getvalue()[drawing.getvalue().index("<svg") :].replace(_INK, "currentColor")
