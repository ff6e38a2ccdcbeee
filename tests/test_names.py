"""Names from a file are printed escaped and short, and never become paths, in every command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from command_line import run
from params_files import Zipped, archive, f32, list_file, names, npy, record

from bort_convert import open_params
from bort_convert.safetensors import open_tensors

if TYPE_CHECKING:
    from pathlib import Path

NAMES = {
    "escape sequence": "\x1b[2J\x1b]0;title\x07",
    "control sequence of one byte": "\x9b2J",
    "lines": "a\nError: b\r\n",
    "text that runs backwards": "a\u202eb",
    "NUL": "a\0b",
    "10 kB": "n" * 10_000,
    "10 kB of control characters": "\x08" * 10_000,
    "parents": "../../up",
    "root": "/root/file",
    "parents on Windows": "..\\up",
    "drive": "C:file",
    "nothing": "",
    "half a format": "{layer}%s{0}",
}
NO_MEMBER = {"NUL", "parents", "root", "parents on Windows", "drive"}
ONE = record(f32(1, 2), (2,))
LONGEST = 500  # characters of a line


def assert_tame(text: str, folder: Path) -> None:
    """Every line is printable and short, but for the folder's own path."""
    assert all(line.isprintable() for line in text.split("\n"))
    assert max(len(line.replace(str(folder), "")) for line in text.split("\n")) < LONGEST


@pytest.mark.parametrize("case", NAMES)
def test_a_name_is_printed_tame_and_is_no_path(case: str, tmp_path: Path) -> None:
    name = NAMES[case]
    folder = tmp_path / "some" / "where"
    folder.mkdir(parents=True)
    path = folder / "x.params"
    path.write_bytes(list_file(ONE, ONE, table=names(name, "arg:" + name)))
    for command in (["inspect"], ["inspect", "--values"]):
        result = run(*command, path)
        assert result.exit_code == 0
        assert_tame(result.output, folder)
    for command in (["convert", path, folder / "out"], ["verify", path, folder], ["record", path, folder / "ref"]):
        result = run(*command)
        assert result.exit_code == 3
        assert_tame(result.output, folder)
    assert [found.relative_to(tmp_path).as_posix() for found in tmp_path.rglob("*") if found.is_file()] == [
        "some/where/x.params"
    ]


@pytest.mark.parametrize("case", NAMES)
def test_json_has_the_whole_name_in_plain_ascii(case: str, tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(ONE, table=names(NAMES[case])))
    output = run("inspect", path, "--json").stdout
    assert output.isascii()
    assert all(line.isprintable() for line in output.split("\n"))
    assert json.loads(output)["arrays"][0]["name"] == NAMES[case]


@pytest.mark.parametrize("case", NAMES)
def test_extract_keeps_the_name_or_says_why_it_cannot(case: str, tmp_path: Path) -> None:
    name = NAMES[case]
    folder = tmp_path / "some" / "where"
    folder.mkdir(parents=True)
    path = folder / "x.params"
    path.write_bytes(list_file(ONE, table=names(name)))
    result = run("extract", path, folder / "x.safetensors")
    assert result.exit_code == 0
    assert_tame(result.output, folder)
    with open_tensors(folder / "x.safetensors") as tensors:
        assert list(tensors) == [name]
    result = run("extract", path, folder / "x.npz")
    assert_tame(result.output, folder)
    if case in NO_MEMBER:
        assert result.exit_code == 4
        assert "an archive that is unpacked would take this name for a path" in result.stderr
    else:
        assert result.exit_code == 0
        with np.load(folder / "x.npz") as members:
            assert members.files == [name]
    assert {found.name for found in tmp_path.rglob("*") if found.is_file()} <= {path.name, "x.safetensors", "x.npz"}


@pytest.mark.parametrize("case", sorted(NAMES.keys() - NO_MEMBER))
def test_a_member_keeps_its_name(case: str, tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(archive(Zipped(f"{NAMES[case]}.npy", npy(f32(1, 2)))))
    with open_params(path) as params:
        assert list(params) == [NAMES[case]]
    result = run("inspect", path)
    assert result.exit_code == 0
    assert_tame(result.output, tmp_path)


def test_a_wrapped_file_is_read_in_place_whatever_its_name_is(tmp_path: Path) -> None:
    for deflated in (False, True):
        path = tmp_path / "x.zip"
        path.write_bytes(archive(Zipped("\x1b[2J" + "n" * 10_000 + ".params", list_file(ONE), deflated)))
        result = run("inspect", path)
        assert_tame(result.output, tmp_path)
        assert r"read from member '\x1b[2Jnnn" in result.output
    assert [found.name for found in tmp_path.iterdir()] == ["x.zip"]
