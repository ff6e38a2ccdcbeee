"""Plots of what `make bench` measured, from the tables that it wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plots import BLUE, GREY, ORANGE, TEAL, plot
from tables import number, rows

if TYPE_CHECKING:
    from collections.abc import Callable

COLOURS = (GREY, TEAL, BLUE, ORANGE, "#be4bdb", "#f59f00")
PROGRAMS = "full size, 510 MB"
SIZES = "source"
INFERENCE = "batch x length, ms"


def with_plots(page: str) -> str:
    """The page with a plot at the head of each section that has one."""
    sections: dict[str, Callable[[str], str]] = {"Conversion": _programs, "Size": _sizes, "Inference": _inference}
    drawn = {title: draw(page) for title, draw in sections.items()}
    for title, html in drawn.items():
        before, after = page.split(f"\n## {title}\n")
        page = f"{before}\n## {title}\n\n{html}\n{after}"
    return page


def _programs(page: str) -> str:
    """Seconds of each program that handles the same file."""
    _, *programs = rows(page, PROGRAMS)
    names, seconds = [row[0].replace("`", "") for row in programs], [number(row[1]) for row in programs]
    with plot("Seconds for a Bort of 510 MB", height=3.2) as drawn:
        colours = [TEAL if name.startswith("bort-convert") else GREY for name in names]
        drawn.axes.bar_label(drawn.axes.barh(names, seconds, color=colours), fmt="%.2f s", padding=4)
        drawn.axes.set_xlim(0, max(seconds) * 1.12)
        drawn.axes.invert_yaxis()
        drawn.axes.set_xlabel("seconds")
        drawn.axes.grid(axis="x")
    return drawn.html


def _sizes(page: str) -> str:
    """Seconds by the size of the source."""
    heads, *sizes = rows(page, SIZES)
    measured = [column for column, head in enumerate(heads) if head.endswith(", s")]
    with plot("Seconds by the size of the source, both axes logarithmic", height=3.6) as drawn:
        for column, colour in zip(measured, COLOURS, strict=False):
            name = heads[column].removesuffix(", s").replace("`", "")
            points = [(number(row[0]), number(row[column])) for row in sizes]
            drawn.axes.loglog(*zip(*points, strict=True), marker="o", color=colour, label=name)
        drawn.axes.set_xticks([number(row[0]) for row in sizes], [row[0] for row in sizes], minor=False)
        drawn.axes.minorticks_off()
        drawn.axes.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
        drawn.axes.set_ylabel("seconds")
        drawn.axes.grid()
        drawn.axes.legend()
    return drawn.html


def _inference(page: str) -> str:
    """Milliseconds of a forward pass by batch and length."""
    heads, *settings = rows(page, INFERENCE)
    shown = [column for column, head in enumerate(heads) if head in {"MXNet", "torch eager", "compiled", "bfloat16"}]
    width = 0.8 / len(shown)
    with plot("Milliseconds of one forward pass of a Bort, logarithmic", height=3.4) as drawn:
        for place, (column, colour) in enumerate(zip(shown, COLOURS, strict=False)):
            values = [number(row[column]) for row in settings]
            drawn.axes.bar(
                [group + (place - (len(shown) - 1) / 2) * width for group in range(len(settings))],
                values,
                width,
                color=colour,
                label=heads[column],
            )
        drawn.axes.set_yscale("log")
        drawn.axes.set_xticks(range(len(settings)), [row[0] for row in settings])
        drawn.axes.set_yticks([10, 100, 1000], ["10", "100", "1,000"])
        drawn.axes.set_xlabel("batch x length")
        drawn.axes.set_ylabel("milliseconds")
        drawn.axes.grid(axis="y")
        drawn.axes.legend()
    return drawn.html
