"""Record a terminal in which commands run, as an SVG that moves: docs/images/recording.svg.

    .venv-docs/bin/python docs/_site/recording.py FOLDER

FOLDER is that of `bort-convert` and of a `python` with torch and MXNet. What is shown is what the commands print, when
they print it; only a wait of more than a second and a half is shortened to that.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from html import escape
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyte

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "docs" / "images" / "recording.svg"
LITTLE = "fixtures/little_bort/little_bort"
VOCABULARY = f"--vocab {LITTLE}.vocab --bpe-ranks {LITTLE}_ranks.txt"
COMMANDS = (
    f"bort-convert {LITTLE}.params alice --family bort --heads 4 \\\n    {VOCABULARY}",
    f"bort-convert verify {LITTLE}.params alice --dtype float64",
    'python docs/examples/first_steps.py alice "The White <mask> looked at his watch."',
)
COLUMNS, ROWS = 112, 30
LONGEST_WAIT, BEFORE, AFTER, END, FRAME = 1.5, 1.0, 2.2, 5.0, 0.1
"""Seconds: of a silent command, before its first line, after its last, at the end, between two pictures."""
CHARACTER, LINE, MARGIN = 7.4, 17, 14
COLOURS = {"green": "#40c057", "red": "#ff6b6b", "brown": "#fcc419", "blue": "#74c0fc", "magenta": "#e599f7"}
COLOURS |= {"cyan": "#3bc9db", "default": "#dee2e6"}
PROMPT = "\x1b[36m$\x1b[0m "
HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" \
role="img" aria-label="A terminal: {label}">
<style>
text {{ font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: {text}; white-space: pre; }}
g {{ visibility: hidden; animation: {seconds:.1f}s step-end infinite; }}
g.last {{ visibility: visible; }}
@media (prefers-reduced-motion: reduce) {{ g {{ animation: none; }} }}
"""

Line = tuple[tuple[int, str, str, bool], ...]  # column, text, colour and weight of each run


class Shown(NamedTuple):
    """A line of the terminal, its row, and the seconds from which and to which it stands there."""

    row: int
    line: Line
    start: float
    end: float


class Recorder:
    """A terminal, its clock, and the pictures of it.

    Attributes:
        pictures: seconds -> every line.
    """

    def __init__(self) -> None:
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self.clock = 0.0
        self.pictures: dict[float, list[Line]] = {}

    def show(self, data: bytes) -> None:
        """Print on the terminal; a picture that is hardly older is replaced."""
        self._stream.feed(data)
        if self.pictures and self.clock - max(self.pictures) < FRAME and self.clock > max(self.pictures):
            del self.pictures[max(self.pictures)]
        self.pictures[self.clock] = [self._line(row) for row in range(ROWS)]

    def _line(self, row: int) -> Line:
        cells = [self._screen.buffer[row][column] for column in range(COLUMNS)]
        runs = []
        for (colour, bold), group in groupby(enumerate(cells), key=lambda cell: (cell[1].fg, cell[1].bold)):
            numbered = list(group)
            text = "".join(cell.data for _, cell in numbered)
            if text.strip():
                runs.append((numbered[0][0], text.rstrip(), COLOURS.get(colour, f"#{colour}"), bold))
        return tuple(runs)

    def run(self, command: str, folder: Path, environment: dict[str, str]) -> None:
        """Run a command on the terminal; RuntimeError if it fails."""
        self.show((PROMPT + command.replace("\n", "\r\n> ") + "\r\n").encode())
        self.clock += BEFORE
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        process = subprocess.Popen(
            ["sh", "-c", command], cwd=folder, env=environment, stdin=its, stdout=its, stderr=its
        )
        os.close(its)
        for waited, data in _output(ours):
            self.clock += min(waited, LONGEST_WAIT)
            self.show(data)
        os.close(ours)
        if process.wait():
            raise RuntimeError(f"{command} ended with {process.returncode}")
        self.clock += AFTER


def _output(terminal: int) -> Iterator[tuple[float, bytes]]:
    """What a program prints, each part with the seconds since the one before."""
    last = time.monotonic()
    while True:
        select.select([terminal], [], [])
        try:
            data = os.read(terminal, 65536)
        except OSError:  # so Linux says that nobody writes any more
            return
        if not data:
            return
        now = time.monotonic()
        yield now - last, data
        last = now


def record(tools: Path) -> Recorder:
    """Run all commands in a folder of their own."""
    recorder = Recorder()
    environment = os.environ | {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "TERM": "xterm",
        "OMP_NUM_THREADS": "1",
    }
    environment |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONWARNINGS": "ignore"}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("fixtures", "docs"):
            (Path(folder) / name).symlink_to(ROOT / name, target_is_directory=True)
        for command in COMMANDS:
            recorder.run(command, Path(folder), environment)
        recorder.show(PROMPT.encode())
        recorder.clock += END
    return recorder


def stretches(pictures: dict[float, list[Line]], seconds: float) -> list[Shown]:
    """Lines with the time for which each stands in its row."""
    times = sorted(pictures)
    found = []
    for row in range(ROWS):
        starts = [(time, pictures[time][row]) for time in times]
        changes = [(0.0, ()), *starts, (seconds, None)]
        changed = [now for before, now in pairwise(changes) if before[1] != now[1]]
        found += [Shown(row, line, start, end) for (start, line), (end, _) in pairwise(changed) if line]
    return found


def svg(pictures: dict[float, list[Line]], seconds: float) -> str:
    """A picture in which each line appears and disappears at its time, again and again."""
    width, height = COLUMNS * CHARACTER + 2 * MARGIN, ROWS * LINE + 2 * MARGIN
    label = escape("; ".join(COMMANDS).replace("\\\n    ", ""), quote=True)
    parts = [HEAD.format(width=width, height=height, label=label, text=COLOURS["default"], seconds=seconds)]
    lines = stretches(pictures, seconds)
    spans = {(each.start, each.end): f"t{number}" for number, each in enumerate(lines)}
    for (start, end), name in spans.items():
        first = "" if start == 0 else "0% { visibility: hidden; } "
        last = "" if end == seconds else f" {100 * end / seconds:.2f}% {{ visibility: hidden; }}"
        parts.append(f"@keyframes {name} {{ {first}{100 * start / seconds:.2f}% {{ visibility: visible; }}{last} }}\n")
    parts.append(f'</style>\n<rect width="{width:.0f}" height="{height}" rx="8" fill="#16191f" stroke="#495057"/>\n')
    for each in lines:
        last = ' class="last"' if each.end == seconds else ""
        texts = "".join(_text(each.row, *run) for run in each.line)
        parts.append(f'<g{last} style="animation-name: {spans[each.start, each.end]}">{texts}</g>\n')
    return "".join([*parts, "</svg>\n"])


def _text(row: int, column: int, text: str, colour: str, bold: bool) -> str:  # noqa: FBT001 - a field of a run
    """A run of characters of one colour, as wide as a terminal makes it, whatever the font."""
    start = len(text) - len(text.lstrip())
    x, y = MARGIN + (column + start) * CHARACTER, MARGIN + (row + 0.75) * LINE
    style = "" if colour == COLOURS["default"] else f' style="fill: {colour}"'
    weight = ' font-weight="bold"' if bold else ""
    width = len(text.strip()) * CHARACTER
    size = f'x="{x:.1f}" y="{y:.1f}" textLength="{width:.1f}" lengthAdjust="spacingAndGlyphs"'
    return f"<text {size}{style}{weight}>{escape(text.strip())}</text>"


if __name__ == "__main__":
    recorded = record(Path(sys.argv[1]).resolve())
    IMAGE.write_text(svg(recorded.pictures, recorded.clock), "utf-8", newline="\n")
    sys.stdout.write(f"{IMAGE.relative_to(ROOT)}: {recorded.clock:.1f} s\n")
