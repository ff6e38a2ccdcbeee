"""`conversion.json` is opened once by each function that reads a converted directory."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import bort_convert

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "bort_2_3_24_24"
WATCHED: list[list[str]] = []  # a list for each open `with` block below


def _note_open(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        for paths in WATCHED:
            paths.append(str(arguments[0]))


sys.addaudithook(_note_open)  # cannot be removed; does nothing outside of `manifest_opens`


@contextmanager
def manifest_opens() -> Iterator[list[str]]:
    """Collect the paths of conversion.json that are opened in a `with` block."""
    paths: list[str] = []
    opened: list[str] = []
    WATCHED.append(paths)
    try:
        yield opened
    finally:
        WATCHED.remove(paths)
        opened += [path for path in paths if Path(path).name == "conversion.json"]


@pytest.fixture
def source(fixtures: Path) -> Path:
    return fixtures / f"{NAME}.params"


@pytest.fixture
def out(source: Path, tmp_path: Path) -> Path:
    bort_convert.convert(source, tmp_path / "out", family="bort", heads=3)
    return tmp_path / "out"


def test_opens_are_counted(out: Path) -> None:
    with manifest_opens() as opened:
        (out / "conversion.json").read_text("utf-8")
        (out / "config.json").read_text("utf-8")
        (out / "conversion.json").read_bytes()
    assert len(opened) == 2
    (out / "conversion.json").read_bytes()
    assert len(opened) == 2


def test_check_and_export_read_the_manifest_once(out: Path, source: Path, tmp_path: Path) -> None:
    with manifest_opens() as opened:
        assert bort_convert.check(out)
    assert len(opened) == 1
    with manifest_opens() as opened:
        assert bort_convert.check(out, source=source)
    assert len(opened) == 1
    with manifest_opens() as opened:
        bort_convert.export(out, tmp_path / "back.params")
    assert len(opened) == 1


@pytest.mark.torch
def test_verify_and_load_read_the_manifest_once(out: Path, fixtures: Path) -> None:
    with manifest_opens() as opened:
        assert bort_convert.verify(fixtures / "traces" / f"{NAME}.safetensors", out, dtype="float64")
    assert len(opened) == 1
    with manifest_opens() as opened:
        bort_convert.load_pretrained(out)
    assert len(opened) == 1
