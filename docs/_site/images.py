"""The README's picture and its badges, from a conversion, the figures of bort_convert/zoo, and pyproject.toml.

    .venv-docs/bin/python docs/_site/images.py

It writes docs/images/overview.svg and docs/images/badge-*.svg; tests/site compares them with what it would write.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from html import escape
from pathlib import Path

import tomllib

import bort_convert

ROOT = Path(__file__).parents[2]
PARITY = ROOT / "bort_convert" / "zoo" / "parity.json"
FOLDER = ROOT / "docs" / "images"
LITTLE = ROOT / "fixtures" / "little_bort"
ROWS = ("word_embed.0.weight", "encoder.position_weight", "encoder.layer_norm.gamma", "decoder.0.weight")
"""Names of the checkpoint that stand for all."""
CARD, TABLE, GAP, HEIGHT, TOP, LINE = 204, 244, 30, 252, 76, 19
SANS = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"
STYLE = f"""\
<style>
.ground {{ fill: #f1f3f5; }} .card {{ fill: #fff; stroke: #ced4da; }} .arrow {{ fill: none; stroke: #009485; }}
text {{ font: 11.5px {MONO}; fill: #343a40; }}
.title {{ font: 700 15px {SANS}; fill: #212529; }} .words {{ font: 12px {SANS}; fill: #495057; }}
.name {{ fill: #00796b; }} .good {{ font-weight: 700; fill: #2b8a3e; }}
@media (prefers-color-scheme: dark) {{
.ground {{ fill: #1e2129; }} .card {{ fill: #282c37; stroke: #495057; }} .arrow {{ stroke: #20c997; }}
text {{ fill: #ced4da; }} .title {{ fill: #f8f9fa; }} .words {{ fill: #adb5bd; }}
.name {{ fill: #63e6be; }} .good {{ fill: #69db7c; }}
}}
</style>
"""
LABEL, VALUE, CHARACTER, PADDING = "#495057", "#00796b", 6.6, 8


def overview() -> str:
    """A checkpoint, its table, its directory and its proof, each on a card, with an arrow from one to the next."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "alice"
        manifest = bort_convert.convert(
            LITTLE / "little_bort.params",
            target,
            family="bort",
            heads=4,
            vocab=LITTLE / "little_bort.vocab",
            bpe_ranks=LITTLE / "little_bort_ranks.txt",
        )
        files = sorted(path.name for path in target.iterdir())
    with bort_convert.open_params(LITTLE / "little_bort.params") as params:
        shapes = {name: " x ".join(map(str, params.header[name].shape)) for name in ROWS}
        more = ("words", f"and {len(params.header) - len(ROWS)} more")
    targets = {
        source: f"to {'.'.join(name.split('.')[-2:])}"
        for name, entry in manifest.tensors.items()
        for source in entry.sources
    }
    cards = (
        (CARD, ".params", "what MXNet left", [*_pairs(shapes), more]),
        (TABLE, "a table", "every tensor once, or nothing", [*_pairs(targets), more]),
        (CARD, "a directory", "what transformers loads", [("", name) for name in files]),
        (CARD, "a proof", "both frameworks, every layer", _lines_of_the_proof()),
    )
    parts, left = [], 16.0
    for number, (width, title, words, lines) in enumerate(cards):
        parts.append(_card(left, width, title, words, lines))
        left += width + GAP
        if number < len(cards) - 1:
            parts.append(_arrow(left - GAP))
    width, height = left - GAP + 16, HEIGHT + 32
    size = f'viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" role="img"'
    label = "From a .params file by a table to a directory, and its proof"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} aria-label="{label}">\n'
    ground = f'<rect class="ground" width="{width:.0f}" height="{height}" rx="10"/>\n'
    return f"{head}{STYLE}{ground}{''.join(parts)}</svg>\n"


def _pairs(facts: dict[str, str]) -> list[tuple[str, str]]:
    """Two lines for each name: it, and a fact about it."""
    return [line for name in ROWS for line in (("name", name), ("", f"  {facts[name]}"))]


def _lines_of_the_proof() -> list[tuple[str, str]]:
    """What was proved at full size."""
    checkpoints = json.loads(PARITY.read_text("utf-8"))
    largest = max(each["float64"] for each in checkpoints)
    passed = sum(not each["problems"] for each in checkpoints)
    checks = ("names and shapes", "bits", "every layer", "as it is used")
    figures = (
        f"{passed} of {len(checkpoints)} checkpoints",
        "at full size; in float64",
        "they differ by at most",
        f"{largest:.1e} of the largest value",
    )
    return [*(("good", f"PASS {check}") for check in checks), ("", ""), *(("words", line) for line in figures)]


def _card(left: float, width: float, title: str, words: str, lines: list[tuple[str, str]]) -> str:
    texts = [
        f'<rect class="card" x="{left:.0f}" y="16" width="{width}" height="{HEIGHT}" rx="8"/>\n',
        f'<text class="title" x="{left + 14:.0f}" y="40">{escape(title)}</text>\n',
        f'<text class="words" x="{left + 14:.0f}" y="58">{escape(words)}</text>\n',
    ]
    for row, (kind, line) in enumerate(lines):
        x, y = left + 14 + 7 * (len(line) - len(line.lstrip())), TOP + 16 + LINE * row
        texts.append(f'<text class="{kind}" x="{x:.0f}" y="{y}">{escape(line.strip())}</text>\n')
    return "".join(texts)


def _arrow(left: float) -> str:
    y = 16 + HEIGHT / 2
    return f'<path class="arrow" stroke-width="2.5" d="M{left + 5:.0f} {y:.0f}h{GAP - 11}m-7 -6l7 6l-7 6"/>\n'


def badges() -> dict[str, str]:
    """File name -> SVG; each says what stands in the project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line) for line in project["classifiers"]]
    versions = [match[1] for match in named if match]
    checkpoints = json.loads(PARITY.read_text("utf-8"))
    passed = sum(not each["problems"] for each in checkpoints)
    facts = {
        "python": ("Python", f"{versions[0]} to {versions[-1]}"),
        "licence": ("licence", project["license"]),
        "parity": ("parity at full size", f"{passed} of {len(checkpoints)}"),
    }
    return {f"badge-{name}.svg": badge(*fact) for name, fact in facts.items()}


def badge(label: str, value: str) -> str:
    """Two words side by side."""
    first, second = (len(text) * CHARACTER + 2 * PADDING for text in (label, value))
    middle = 'y="14" font-family="Verdana, DejaVu Sans, sans-serif" font-size="11" fill="#fff" text-anchor="middle"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{first + second:.0f}" height="20" role="img" '
        f'aria-label="{escape(label)}: {escape(value)}">'
        f'<clipPath id="round"><rect width="{first + second:.0f}" height="20" rx="3"/></clipPath>'
        '<g clip-path="url(#round)">'
        f'<rect width="{first:.1f}" height="20" fill="{LABEL}"/>'
        f'<rect x="{first:.1f}" width="{second:.1f}" height="20" fill="{VALUE}"/></g>'
        f'<text x="{first / 2:.1f}" {middle}>{escape(label)}</text>'
        f'<text x="{first + second / 2:.1f}" {middle}>{escape(value)}</text></svg>\n'
    )


def images() -> dict[str, str]:
    """File name -> SVG, of all that this module makes."""
    return {"overview.svg": overview(), **badges()}


if __name__ == "__main__":
    for name, image in images().items():
        (FOLDER / name).write_text(image, "utf-8", newline="\n")
        sys.stdout.write(f"docs/images/{name}\n")
