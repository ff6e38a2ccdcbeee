"""The documentation says what happens: every command in it is run, and every output shown is compared.

In a ```console block, a line that starts with `$ ` is a command and the lines below it are its output; a line of three
dots stands for any lines. A ```python block runs in the same folder, after the blocks above it.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bort_convert import cli

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "docs" / "format.md"]
# What a reader runs to get here; `make` is what runs this test.
SET_UP = ("git ", "cd ", "pip ", "make ")
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def steps_of(page: Path) -> list[tuple[str, str]]:
    """Commands with their outputs, and Python blocks with an empty one, in the page's order."""
    steps: list[tuple[str, str]] = []
    for kind, text in BLOCK.findall(page.read_text("utf-8")):
        if kind == "python":
            steps.append((text, ""))
            continue
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            steps.append((command, output))
    return steps


def run(step: str, folder: Path) -> str:
    """What a person sees: stdout and stderr together."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    arguments = [sys.executable, "-c", step] if "\n" in step else shlex.split(step)
    process = subprocess.run(
        arguments, cwd=folder, env=environment, text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert "Traceback" not in process.stdout, f"{step}\n{process.stdout}"
    return process.stdout


def matches(shown: str, actual: str) -> bool:
    """Whether an output is the one shown, line for line, with any lines where three dots stand."""
    escaped = re.sub(r"[\[*?]", r"[\g<0>]", shown)
    return fnmatch.fnmatchcase(actual, re.sub(r"^\.\.\.$\n", "*", escaped, flags=re.MULTILINE))


@pytest.mark.mxnet
@pytest.mark.torch
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_runs_and_prints_what_is_shown(page: Path, tmp_path: Path) -> None:
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures", target_is_directory=True)
    steps = [(step, shown) for step, shown in steps_of(page) if not step.startswith(SET_UP)]
    assert steps
    for step, shown in steps:
        actual = run(step, tmp_path)
        assert not shown or matches(shown, actual), f"$ {step}\n{actual}"


def test_every_command_is_in_the_readme() -> None:
    text = PAGES[0].read_text("utf-8")
    for command in cli.main.commands:
        assert f"bort-convert {command}" in text or command == "convert", command


def test_three_dots_stand_for_any_lines_and_everything_else_for_itself() -> None:
    assert matches("a [1] *\n...\nz\n", "a [1] *\nb\nc\nz\n")
    assert not matches("a\n...\nz\n", "a\nb\nz!\n")
    assert not matches("a*\n", "ab\n")
