"""An archive of a model server and a directory as SOURCE of every command, with the vocabulary that stands there."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from command_line import run

from bort_convert import check, convert, extract, inspect, open_params
from bort_convert.errors import FormatError, OutputError

FIXTURES = Path(__file__).parents[2] / "fixtures"
BERT: dict[str, Any] = {"family": "bert", "heads": 2}
SOURCE = FIXTURES / "bert_2_2_8_8-pooled.params"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory as a server has it: a checkpoint, its graph and code."""
    path = tmp_path / "model"
    path.mkdir()
    shutil.copyfile(SOURCE, path / "model-0000.params")
    (path / "model-symbol.json").write_text("{}")
    (path / "code").mkdir()
    return path


@pytest.fixture
def archive(folder: Path) -> Path:
    path = folder.parent / "model.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        file.add(folder, ".")
    return path


def test_an_archive_and_a_directory_become_what_the_file_becomes(folder: Path, archive: Path, tmp_path: Path) -> None:
    convert(SOURCE, tmp_path / "file", **BERT)
    for source, name in ((folder, "model-0000.params"), (archive, "model.tar.gz")):
        out = tmp_path / f"out-{source.name}"
        manifest = convert(source, out, **BERT)
        for file in ("model.safetensors", "config.json"):
            assert (out / file).read_bytes() == (tmp_path / "file" / file).read_bytes()
        assert manifest.source.name == name
        assert check(out, source=source)
        assert inspect(source, **BERT).fit is not None
        assert inspect(source, **BERT).note == (
            "" if source is folder else "read from member './model-0000.params' of the archive"
        )
        extract(source, tmp_path / f"{source.name}.safetensors")
    assert (tmp_path / "model.safetensors").read_bytes() == (tmp_path / "model.tar.gz.safetensors").read_bytes()


@pytest.mark.mxnet
@pytest.mark.torch
def test_verify_and_record_take_an_archive_and_a_directory(folder: Path, archive: Path, tmp_path: Path) -> None:
    from bort_convert import record, verify  # noqa: PLC0415 - they import NumPy and more

    convert(archive, tmp_path / "out", **BERT)
    assert verify(archive, tmp_path / "out", dtype="float64")
    assert verify(folder, tmp_path / "out", dtype="float64")
    record(folder, tmp_path / "ref.safetensors", dtype="float64", **BERT)
    with pytest.raises(FormatError, match=r"this is a directory with no \.params file"):
        verify(tmp_path / "out", tmp_path / "out")


def test_a_vocabulary_in_the_directory_is_taken_and_named(folder: Path, tmp_path: Path) -> None:
    shutil.copyfile(FIXTURES / "tiny_bert.vocab", folder / "mine.vocab")
    manifest = convert(folder, tmp_path / "out", lower_case=True, **BERT)
    assert list(manifest.tokenizer) == ["mine.vocab"]
    assert manifest.notes[0] == "the tokenizer is made from mine.vocab in the source's directory"
    convert(SOURCE, tmp_path / "asked", vocab=FIXTURES / "tiny_bert.vocab", lower_case=True, **BERT)
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (tmp_path / "asked" / "tokenizer.json").read_bytes()
    alone = convert(folder / "model-0000.params", tmp_path / "alone", **BERT)
    assert not alone.tokenizer


def test_files_of_a_byte_level_bpe_are_taken_together(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copyfile(FIXTURES / "bort_2_3_24_24.params", folder / "x.params")
    shutil.copyfile(FIXTURES / "tiny.vocab", folder / "tiny.vocab")
    shutil.copyfile(FIXTURES / "tiny_ranks.txt", folder / "tiny_ranks.txt")
    manifest = convert(folder, tmp_path / "out", family="bort", heads=3)
    assert sorted(manifest.tokenizer) == ["tiny.vocab", "tiny_ranks.txt"]
    assert manifest.notes[0] == "the tokenizer is made from tiny.vocab and tiny_ranks.txt in the source's directory"


def test_a_vocabulary_in_doubt_or_of_another_model_is_not_taken_and_the_reason_is_said(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copyfile(FIXTURES / "tiny.vocab", folder / "other.vocab")
    outcome = run("convert", folder, tmp_path / "one", "--family", "bert", "--heads", "2")
    assert outcome.exit_code == 0
    assert "  no tokenizer is made from the files in the source's directory: " in outcome.stdout
    shutil.copyfile(FIXTURES / "tiny_bert.vocab", folder / "mine.vocab")
    manifest = convert(folder, tmp_path / "two", **BERT)
    assert not manifest.tokenizer
    assert manifest.notes[0] == "2 files could be the `vocab` (mine.vocab, other.vocab): none was taken"
    asked = convert(folder, tmp_path / "three", vocab=folder / "mine.vocab", lower_case=False, **BERT)
    assert list(asked.tokenizer) == ["mine.vocab"]


def test_a_source_directory_is_never_replaced(folder: Path) -> None:
    with pytest.raises(OutputError):
        convert(folder, folder, force=True, **BERT)
    assert (folder / "model-0000.params").exists()
    with pytest.raises(OutputError):
        convert(folder, folder.parent, force=True, **BERT)


def test_directories_in_the_wrong_order_are_named(folder: Path, tmp_path: Path) -> None:
    convert(folder, tmp_path / "out", **BERT)
    outcome = run("verify", tmp_path / "out", folder)
    assert outcome.exit_code == 2
    assert f"did you mean bort-convert verify {folder} {tmp_path / 'out'}?" in outcome.stderr
    with open_params(folder) as params:
        assert len(params) == 39
