"""The picture of the rooms: the flowchart in docs/architecture.md, laid out as SVG in the colours of the page.

`tests/test_architecture.py` compares the flowchart with the imports of the code. A repository draws it by itself; here
it needs no script from elsewhere.
"""

from __future__ import annotations

import re
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from plots import as_figure

if TYPE_CHECKING:
    from collections.abc import Iterable

BLOCK = re.compile(r"```mermaid\n(.*?)```\n", re.DOTALL)
ROOM = re.compile(r'^ +(\w+)\["\w+: (.*)"\]$', re.MULTILINE)
ARROW = re.compile(r"^ +(\w+) --> (\w+)$", re.MULTILINE)
WIDTH, HEIGHT, GAP_X, GAP_Y, BEND = 168, 62, 26, 44, 24
LINE = 24  # characters of a question on one line
SWEEPS = 8


class Layout(NamedTuple):
    """Floors of rooms from the top down, and the paths of arrows through them.

    Attributes:
        floors: names from left to right; the name of a bend begins with its arrow's two ends.
        paths: names that each arrow passes, its ends among them.
    """

    floors: list[list[str]]
    paths: list[list[str]]


def with_picture(page: str) -> str:
    """The page with its flowchart drawn."""
    (block,) = BLOCK.findall(page)
    drawn = svg(dict(ROOM.findall(block)), ARROW.findall(block))
    return BLOCK.sub(lambda _: as_figure(drawn, "The rooms and who imports whom") + "\n", page)


def svg(questions: dict[str, str], arrows: list[tuple[str, str]]) -> str:
    """Draw rooms, each with its question, and arrows between them."""
    layout = laid_out(list(questions), arrows)
    places = _places(layout)
    width = max(x for x, _ in places.values()) + WIDTH / 2 + 4
    height = len(layout.floors) * (HEIGHT + GAP_Y) - GAP_Y + 8
    marker = '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    parts = [
        f'<svg class="rooms" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}">',
        f'<defs>{marker}<path d="M0 0L8 4L0 8z"/></marker></defs>',
        *(_arrow(path, places) for path in layout.paths),
        *(_room(name, question, *places[name]) for name, question in questions.items()),
        "</svg>",
    ]
    return "".join(parts)


def laid_out(rooms: list[str], arrows: list[tuple[str, str]]) -> Layout:
    """Put each room on the floor below all that import it, and order each floor by what its rooms are tied to."""
    above = {room: [start for start, end in arrows if end == room] for room in rooms}

    def floor(room: str) -> int:
        return max((floor(start) + 1 for start in above[room]), default=0)

    floors: list[list[str]] = [[] for _ in range(1 + max(map(floor, rooms)))]
    for room in rooms:
        floors[floor(room)].append(room)
    paths = []
    for start, end in arrows:
        bends = [f"{start} {end} {number}" for number in range(floor(start) + 1, floor(end))]
        for number, bend in enumerate(bends, floor(start) + 1):
            floors[number].append(bend)
        paths.append([start, *bends, end])
    ties = [tie for path in paths for tie in pairwise(path)]
    for sweep in range(SWEEPS):
        for upper, lower in list(pairwise(floors))[:: -1 if sweep % 2 else 1]:
            fixed, moved = (lower, upper) if sweep % 2 else (upper, lower)
            means = {name: _mean_place(name, fixed, ties, moved) for name in moved}
            moved.sort(key=means.__getitem__)
    return Layout(floors, paths)


def _mean_place(name: str, fixed: list[str], ties: Iterable[tuple[str, str]], moved: list[str]) -> float:
    """Mean place, from 0 to 1, of what a name is tied to on the floor beside it; its own where that is nothing."""
    tied = [fixed.index(one) for tie in ties if name in tie for one in tie if one in fixed]
    if not tied:
        return (moved.index(name) + 0.5) / len(moved)
    return (sum(tied) / len(tied) + 0.5) / len(fixed)


def _places(layout: Layout) -> dict[str, tuple[float, float]]:
    """Middle of each room and bend; floors are centred."""
    widths = {name: BEND if " " in name else WIDTH for floor in layout.floors for name in floor}
    totals = [sum(widths[name] + GAP_X for name in floor) - GAP_X for floor in layout.floors]
    places = {}
    for number, floor in enumerate(layout.floors):
        left = 4 + (max(totals) - totals[number]) / 2
        for name in floor:
            places[name] = (left + widths[name] / 2, 4 + number * (HEIGHT + GAP_Y) + HEIGHT / 2)
            left += widths[name] + GAP_X
    return places


def _arrow(path: list[str], places: dict[str, tuple[float, float]]) -> str:
    """A curve from the foot of a room, straight down through the floors between, to the head of another."""
    drawn = ""
    for above, below in pairwise(path):
        (x, y), (to_x, to_y) = places[above], places[below]
        y, to_y = y + HEIGHT / 2, to_y - HEIGHT / 2
        middle = (y + to_y) / 2
        drawn += (
            f"{'L' if drawn else 'M'}{x:.1f} {y:.1f}C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"
        )
    return f'<path class="arrow" d="{drawn}" marker-end="url(#tip)"/>'


def _room(name: str, question: str, x: float, y: float) -> str:
    """A box with a name and its question, on two lines if it is long."""
    lines = [""]
    for word in question.split():
        if len(lines[-1]) + len(word) > LINE:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    texts = [f'<text class="name" x="{x:.1f}" y="{y - 10:.1f}">{escape(name)}</text>']
    texts += [f'<text x="{x:.1f}" y="{y + 8 + 15 * row:.1f}">{escape(line)}</text>' for row, line in enumerate(lines)]
    left, top = x - WIDTH / 2, y - HEIGHT / 2
    return f'<rect x="{left:.1f}" y="{top:.1f}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>{"".join(texts)}'
