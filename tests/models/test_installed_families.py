"""Families of installed packages: two packages are built and installed by pip, and programs run with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bort_convert.models.registry import families

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "1.0"

[project.entry-points."bort_convert.models"]
{points}

[tool.setuptools]
py-modules = ["{module}"]
"""
GOOD = """
from dataclasses import replace
from bort_convert.models.bert import FAMILY as BERT

FAMILY = replace(BERT, name="mybert", title="My BERT", variants=())
OTHER = replace(FAMILY, name="otherbert")
"""
BAD = """
from dataclasses import replace
from bort_convert.models.bert import FAMILY as BERT

CLASH = BERT
MINE = replace(BERT, name="mybert")
NAMELESS = replace(BERT, name="--force")
EMPTY = replace(BERT, name="empty", tables=())
NUMBER = 1
"""
BAD_POINTS = {
    "a-clash": "bad_family:CLASH",
    "b-mine": "bad_family:MINE",
    "c-nameless": "bad_family:NAMELESS",
    "d-empty": "bad_family:EMPTY",
    "e-number": "bad_family:NUMBER",
    "f-absent": "bad_family:ABSENT",
    "g-broken": "no_such_module",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder into which pip installed the packages my-family, with two good families, and no-family, with bad ones."""
    target = tmp_path_factory.mktemp("site")
    points = {"mybert": "good_family", "otherbert": "good_family:OTHER"}
    for name, module, source, own in (
        ("my-family", "good_family", GOOD, points),
        ("no-family", "bad_family", BAD, BAD_POINTS),
    ):
        project = tmp_path_factory.mktemp(name)
        lines = "\n".join(f'{point} = "{value}"' for point, value in own.items())
        (project / "pyproject.toml").write_text(PROJECT.format(name=name, module=module, points=lines))
        (project / f"{module}.py").write_text(source)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*command, "--target", target, project], check=True)
    return target


def run(folder: Path, *arguments: object, program: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line, or a program, in an environment with the packages."""
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    command = ["-c", program] if program else ["-m", "bort_convert", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)


def test_a_family_of_a_package_is_listed_and_converts(installed: Path, fixtures: Path, tmp_path: Path) -> None:
    listed = json.loads(run(installed, "families", "--json").stdout)["families"]
    assert [family["name"] for family in listed] == [*families(), "mybert", "otherbert"]
    source, out = fixtures / "bert_2_2_8_8.params", tmp_path / "out"
    converted = run(installed, source, out, "--family", "mybert", "--heads", 2)
    assert converted.returncode == 0, converted.stderr
    assert json.loads((out / "conversion.json").read_text("utf-8"))["family"] == "mybert"
    back = run(installed, "export", out, tmp_path / "back.params")
    assert "the arrays of bert_2_2_8_8.params, bit for bit" in back.stdout
    refused = run(installed, source, tmp_path / "other", "--family", "yourbert")
    assert refused.returncode == 2
    assert "'mybert', 'otherbert'" in refused.stderr


def test_each_family_that_cannot_be_used_is_named_with_its_package_and_stops_no_other(installed: Path) -> None:
    found = run(installed, "families")
    assert found.returncode == 0
    start = "package no-family: its model family "
    assert [line.removeprefix(start) for line in found.stderr.splitlines()] == [
        "a-clash is left out: the name bert is that of a family of bort_convert",
        "b-mine is left out: the name mybert is that of a family of my-family",
        "c-nameless is left out: its name is '--force', expected small letters, digits, dots and dashes",
        "d-empty is left out: it has no table, or no model_type in its config",
        "e-number is left out: found int, expected a Family or a module with one called FAMILY",
        "f-absent is left out: AttributeError: module 'bad_family' has no attribute 'ABSENT'",
        "g-broken is left out: ModuleNotFoundError: No module named 'no_such_module'",
    ]
    assert run(installed, "families", "--json").stderr == found.stderr  # once in each process


def test_packages_are_loaded_when_families_are_asked_for(installed: Path, fixtures: Path) -> None:
    program = f"""
import sys
import bort_convert.cli
with bort_convert.open_params({str(fixtures / "bert_tiny.params")!r}) as params:
    len(params)
print("good_family" in sys.modules)
bort_convert.families()
print("good_family" in sys.modules)
"""
    assert run(installed, program=program).stdout.split() == ["False", "True"]


def test_a_directory_of_a_package_that_is_gone_says_so(installed: Path, fixtures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(installed, fixtures / "bert_2_2_8_8.params", out, "--family", "mybert", "--heads", 2)
    gone = run(tmp_path, "export", out, tmp_path / "back.params")
    assert gone.returncode == 3
    assert "names the family 'mybert'" in gone.stderr
