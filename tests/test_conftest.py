"""The fixtures and hooks of tests/conftest.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TABLES = """
def test_a(add_table):
    add_table("second table", ["b 1", "b 2"])

def test_b(add_table):
    add_table("first table", ["a 1"])
    assert False
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_tables_that_tests_add_are_printed_at_the_end_from_any_worker(workers: str, tmp_path: Path) -> None:
    (tmp_path / "test_tables.py").write_text(TABLES)
    arguments = ["-q", "--tb=no", "-p", "conftest", "-p", "no:cacheprovider", "-n", workers, "test_tables.py"]
    tests = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": f"{tests}{os.pathsep}{tests / 'support'}", "COLUMNS": "40"}
    process = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=tmp_path,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    lines = process.stdout.splitlines()
    first, second = (next(at for at, line in enumerate(lines) if title in line) for title in ("first t", "second t"))
    assert lines[first + 1 : second] == ["a 1"]
    assert lines[second + 1 : second + 3] == ["b 1", "b 2"]
