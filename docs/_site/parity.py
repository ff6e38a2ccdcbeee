"""Plots of the figures in bort_convert/zoo, and tables that can be sorted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from plots import BLUE, GREY, ORANGE, TEAL, plot
from tables import sortable, with_first

FIGURES = Path(__file__).parents[2] / "bort_convert" / "zoo"
FULL_SIZE = {"float64": "float64, relative", "float32_hidden": "float32, hidden", "float32_heads": "float32, heads"}
SMALL = {"float64": "float64", "float32, hidden": "float32, hidden", "float32, heads": "float32, heads"}
FIRST = ("verdict", "float64, relative", "float32, hidden", "float32, heads", "parameters")
"""Columns that a reader wants to see first."""
BARS = {"bar of float64": 1e-12, "bars of float32": 3e-5, "": 1e-4}
LAST_OF_THE_INTRODUCTION = "\n\n| checkpoint | becomes |"
LONGEST = 32
"""Characters of a name beside a plot: longer ones would take its place. The table has them whole."""
SECOND = "\n\n| checkpoint | family |"


def with_plots(page: str) -> str:
    """The page with a plot before each of its tables of checkpoints."""
    plots = (
        (LAST_OF_THE_INTRODUCTION, "parity.json", "name", FULL_SIZE, "Published sizes, at full size"),
        (SECOND, "parity_gluonnlp1.json", "checkpoint", SMALL, "Models of GluonNLP 1.0, at small sizes"),
    )
    for place, file, name, columns, title in plots:
        before, after = page.split(place)
        checkpoints = json.loads((FIGURES / file).read_text("utf-8"))
        caption = f"{title}: the largest difference between GluonNLP on MXNet and transformers on torch"
        page = f"{before}\n\n{_dots(checkpoints, name, columns, caption)}{place}{after}"
    return sortable(with_first(page, FIRST))


def _dots(checkpoints: list[dict[str, Any]], name: str, columns: dict[str, str], caption: str) -> str:
    """A line for each checkpoint, with its differences on a logarithmic axis."""
    with plot(caption, height=0.9 + 0.24 * len(checkpoints)) as drawn:
        axes = drawn.axes
        for (key, label), colour, marker in zip(columns.items(), (TEAL, BLUE, ORANGE), "sod", strict=True):
            found = [(each[key], line) for line, each in enumerate(checkpoints) if each[key]]
            axes.plot(*zip(*found, strict=True), marker, color=colour, label=label, markersize=5)
        for label, bar in BARS.items():
            axes.axvline(bar, color=GREY, linestyle="--", linewidth=1)
            axes.text(bar, -1.0, label, ha="right" if label.endswith("2") else "center", va="bottom", fontsize=8)
        axes.set_xscale("log")
        axes.set_yticks(range(len(checkpoints)), [_shortened(each[name]) for each in checkpoints])
        axes.set_ylim(len(checkpoints) - 0.5, -1.1)
        axes.set_xlim(1e-16, 1e-3)
        axes.grid(axis="y")
        axes.tick_params(axis="y", length=0)
        axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return drawn.html


def _shortened(name: str) -> str:
    """A name without its middle, where it is long."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2]}...{name[3 - LONGEST // 2 :]}"
