"""The files in fixtures/ are those that their scripts write, are listed, and are small."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = {".py", ".md"}
TOTAL, LARGEST = 4_800_000, 400_000
TRAINED = "little_bort"  # has 3 MB of its own, and test_little_bort.py


@pytest.mark.mxnet
def test_making_the_fixtures_again_gives_the_same_bytes(fixtures: Path, releases: Path, tmp_path: Path) -> None:
    for script, *place in (("make_fixtures.py",), ("make_later_fixtures.py", releases / "gluonnlp-0.10.0")):
        command = [sys.executable, "-W", "ignore", fixtures / script, *place, tmp_path]
        subprocess.run(command, check=True, capture_output=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in fixtures.iterdir() if path.is_file() and path.suffix not in SOURCES)
    for name in names:
        if name.endswith(".npz"):
            assert_same_outputs(fixtures / name, tmp_path / name)
        else:
            assert (fixtures / name).read_bytes() == (tmp_path / name).read_bytes(), name


@pytest.mark.mxnet
def test_exporting_the_networks_again_gives_the_same_graphs(fixtures: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", fixtures / "exported_networks.py", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    graphs = {path.name: path.read_bytes() for path in (fixtures / "graphs").iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == graphs


def assert_same_outputs(one: Path, other: Path) -> None:
    """Compare with a tolerance: outputs are sums of floats, which another processor may round in another way."""
    with np.load(one) as first, np.load(other) as second:
        assert first.files == second.files
        for key in first.files:
            np.testing.assert_allclose(first[key], second[key], rtol=0, atol=2e-5, err_msg=key)


def test_the_fixtures_are_small(fixtures: Path) -> None:
    apart = {"__pycache__", TRAINED}
    sizes = {
        path: path.stat().st_size for path in fixtures.rglob("*") if path.is_file() and apart.isdisjoint(path.parts)
    }
    assert sum(sizes.values()) <= TOTAL
    assert max(sizes.values()) <= LARGEST


def test_the_readme_lists_every_file(fixtures: Path) -> None:
    text = (fixtures / "README.md").read_text("utf-8")
    for path in fixtures.iterdir():
        # The files of a Bort or a BERT are listed as NAME.params, NAME-prefix.params, ...
        suffix = path.stem.partition("-")[2]
        listed = f"NAME{'-' * bool(suffix)}{suffix}{path.suffix}" if re.match(r"[a-z0-9]+_\d", path.stem) else path.name
        assert path.is_dir() or path.name == "README.md" or f"`{listed}`" in text, path.name
