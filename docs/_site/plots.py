"""Plots as SVG that stands in a page and takes its colours and its font, in light and in dark."""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

TEAL, ORANGE, BLUE, GREY = "#009485", "#e8590c", "#5c7cfa", "#868e96"
_TEXT = "#010203"  # stands for the colour of the page's text
_SETTINGS = {
    "svg.fonttype": "none",
    "font.size": 10,
    "text.color": _TEXT,
    "axes.edgecolor": _TEXT,
    "axes.labelcolor": _TEXT,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GREY,
    "grid.alpha": 0.35,
    "legend.frameon": False,
}


class Plot:
    """A plot: its axes, and its HTML once it is drawn.

    Attributes:
        axes: to draw on.
        html: a `figure` element, "" before.
    """

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.html = ""


@contextmanager
def plot(caption: str, *, height: float, width: float = 7.2) -> Iterator[Plot]:
    """Draw a plot on its axes; afterwards it has its HTML.

    Args:
        caption: what stands below it.
        height: of the figure, in inches.
        width: likewise.
    """
    with mpl.rc_context(_SETTINGS | {"svg.hashsalt": caption}):
        figure = Figure(figsize=(width, height), layout="constrained")
        drawn = Plot(figure.add_subplot())
        yield drawn
        drawn.axes.set_axisbelow(True)
        image = io.StringIO()
        figure.savefig(image, format="svg", transparent=True, metadata={"Date": None})
    drawn.html = as_figure(_inline(image.getvalue()), caption)


def as_figure(svg: str, caption: str) -> str:
    """A figure that scrolls where it is too wide, with its caption."""
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{caption}" ', 1)
    return f'<figure class="drawn"><div>{svg}</div><figcaption>{caption}</figcaption></figure>'


def _inline(image: str) -> str:
    """An SVG without its prologue, in the page's colours and font; no name in it is in another one too."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", image[image.index("<svg") :], flags=re.DOTALL)
    svg = svg.replace(_TEXT, "currentColor")
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", svg)
    svg = re.sub(r"<style[^>]*>(.*?)</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    return re.sub(r"\s*\n\s*", " ", svg).strip()
