"""A changed directory: every single change is found and named."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import bort_convert
from bort_convert.cli import main
from bort_convert.commands.check import check
from bort_convert.errors import FormatError
from bort_convert.files.streams import FileRange, read_pieces
from bort_convert.model_dir.read import read_manifest
from bort_convert.params import open_params, save_params
from bort_convert.safetensors import open_tensors

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def source(fixtures: Path) -> Path:
    return fixtures / "bort_2_3_24_24.params"


@pytest.fixture(scope="session")
def written(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convert into two shards; tests change copies of the directory."""
    target = tmp_path_factory.mktemp("check") / "out"
    bort_convert.convert(source, target, family="bort", heads=3, max_shard_size="30KB")
    return target


@pytest.fixture
def out(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "out")


def flip(path: Path, position: int, mask: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= mask
    path.write_bytes(content)


def test_an_untouched_directory_passes_with_and_without_its_source(out: Path, source: Path) -> None:
    outcome = check(out)
    assert (bool(outcome), outcome.files, outcome.problems) == (True, len(list(out.iterdir())), ())
    assert outcome.tensors == len(bort_convert.convert(source, out, family="bort", heads=3, force=True).tensors)
    assert check(out, source=source)


def test_a_flipped_byte_in_any_file_is_found_and_the_file_or_tensor_named(written: Path, tmp_path: Path) -> None:
    for path in sorted(written.iterdir()):
        size = path.stat().st_size
        for position in {0, 7, 8, size // 3, size // 2, size - 1}:
            out = shutil.copytree(written, tmp_path / "out", dirs_exist_ok=True)
            flip(out / path.name, position)
            outcome = check(out)
            assert not outcome, (path.name, position)
            names = (path.name, *read_manifest(written).tensors)
            assert any(name in outcome.problems[0] for name in names), (path.name, position, outcome.problems)


def test_any_flipped_byte_of_the_manifest_is_found(out: Path) -> None:
    path = out / "conversion.json"
    whole = path.read_bytes()
    for position in range(0, len(whole), 23):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 2]) + whole[position + 1 :])
        outcome = check(out)
        assert not outcome, position
        assert outcome.problems[0].startswith("conversion.json: "), (position, outcome.problems[0])


def test_a_flipped_byte_in_a_tensor_names_this_tensor_only(out: Path) -> None:
    shard = min(out.glob("*.safetensors"))
    flip(shard, -1)
    (problem,) = check(out).problems
    with open_tensors(shard) as file:
        assert problem.startswith(f"{list(file)[-1]}: has the sha256 ")


def test_bytes_that_the_system_copied_wrongly_are_found(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def miscopied(part: FileRange, target: int) -> None:
        for piece in read_pieces(part):
            os.write(target, bytes([piece[0] ^ 1]) + piece[1:])

    monkeypatch.setattr("bort_convert.safetensors.writer.copy_range", miscopied)
    manifest = bort_convert.convert(source, tmp_path / "out", family="bort", heads=3)
    copies = [name for name, tensor in manifest.tensors.items() if tensor.op == "copy"]
    assert len(check(tmp_path / "out").problems) == len(copies)


def test_missing_and_extra_files_are_named_all_at_once(out: Path) -> None:
    shard = min(out.glob("*.safetensors"))
    with open_tensors(shard) as file:
        missing = list(file)
    shard.unlink()
    (out / "config.json").unlink()
    (out / "notes.txt").write_text("mine")
    (out / "folder").mkdir()
    problems = check(out).problems
    assert f"{shard.name}: missing" in problems
    assert "config.json: missing" in problems
    assert "notes.txt: was not there when the directory was written" in problems
    assert "folder: was not there when the directory was written" in problems
    assert {f"{name}: missing" for name in missing} <= set(problems)


def test_a_missing_manifest_is_named(out: Path) -> None:
    (out / "conversion.json").unlink()
    (problem,) = check(out).problems
    assert problem.startswith("conversion.json: ")
    assert "cannot be read" in problem


def test_a_path_without_a_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="is no directory; expected one that was converted"):
        check(tmp_path / "nowhere")


def test_without_digests_the_source_is_needed(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    bort_convert.convert(source, out, family="bort", heads=3, checksums=False)
    (problem,) = check(out).problems
    assert "no digests of tensors (`checksums=False`); compare with the checkpoint, `source=...`" in problem
    assert check(out, source=source)
    flip(out / "model.safetensors", -1)
    (problem,) = check(out, source=source).problems
    assert "values come back with other bits" in problem


def test_another_checkpoint_is_not_the_source(source: Path, out: Path, tmp_path: Path) -> None:
    with open_params(source) as params:
        tensors = {name: array.copy() for name, array in params.items()}
    tensors["encoder.layer_norm.beta"][3] += 1
    save_params(tmp_path / "other.params", tensors)
    problems = check(out, source=tmp_path / "other.params").problems
    assert any("encoder.layer_norm.beta: 1 of 24 values come back with other bits" in line for line in problems)


def test_the_command_names_the_problems_and_exits_with_1(out: Path) -> None:
    passed = CliRunner().invoke(main, ["check", str(out)])
    assert (passed.exit_code, passed.stdout.strip()) == (
        0,
        f"{out}: 6 files and 42 tensors are as they were written",
    )
    flip(out / "config.json", 5)
    failed = CliRunner().invoke(main, ["check", str(out)])
    assert failed.exit_code == 1
    assert "config.json: differs from what was written" in failed.stdout
    document = json.loads(CliRunner().invoke(main, ["check", str(out), "--json"]).stdout)
    assert document["passed"] is False
    assert document["problems"] == ["config.json: differs from what was written"]
    quiet = CliRunner().invoke(main, ["check", str(out), "--quiet"])
    assert (quiet.exit_code, quiet.stdout) == (1, "")
    assert quiet.stderr == f"{out}: 1 problem\n  config.json: differs from what was written\n"
