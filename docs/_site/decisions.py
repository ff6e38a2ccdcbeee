"""The index of decisions, made from the titles of their pages."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "decisions"
INTRODUCTION = """\
# Decisions

Choices that are hard to undo, and dependencies: what for, what instead, what it costs. Pages below 20 are about
dependencies.
"""


def page() -> str:
    """A list of all decisions, newest first."""
    titles = {path.name: path.read_text("utf-8").partition("\n")[0].lstrip("# ") for path in FOLDER.glob("*.md")}
    return "\n".join([INTRODUCTION, *(f"- [{titles[name]}]({name})" for name in sorted(titles, reverse=True))]) + "\n"
