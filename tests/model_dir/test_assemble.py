"""Tokenizers that are added to a converted directory, and the manifest and model card around them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import bort_convert
from bort_convert.cli import main
from bort_convert.errors import FormatError, OutputError
from bort_convert.model_dir.read import read_manifest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def out(fixtures: Path, tmp_path: Path) -> Path:
    bort_convert.convert(fixtures / "bort_4_8_24_32.params", tmp_path / "out", family="bort", heads=8)
    return tmp_path / "out"


@pytest.fixture
def files(fixtures: Path) -> dict[str, Path]:
    """A vocabulary of the small Bort's size, and its ranks."""
    return {"vocab": fixtures / "tiny.vocab", "bpe_ranks": fixtures / "tiny_ranks.txt"}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_tokenizer_added_later_gives_the_same_directory_as_one_added_at_once(
    out: Path, files: dict[str, Path], fixtures: Path, tmp_path: Path
) -> None:
    weights = (out / "model.safetensors").stat()
    manifest = bort_convert.add_tokenizer(out, **files)
    bort_convert.convert(fixtures / "bort_4_8_24_32.params", tmp_path / "at once", family="bort", heads=8, **files)  # type: ignore[arg-type]
    assert contents(out) == contents(tmp_path / "at once")
    assert set(manifest.tokenizer) == {"tiny.vocab", "tiny_ranks.txt"}
    assert (out / "model.safetensors").stat().st_ino == weights.st_ino, "the weights are linked, not copied"
    assert bort_convert.check(out)
    assert bort_convert.add_tokenizer(out, **files) == manifest
    assert contents(out) == contents(tmp_path / "at once")


def test_the_layout_of_pairs_can_be_changed_later(out: Path, files: dict[str, Path]) -> None:
    bort_convert.add_tokenizer(out, **files)
    one = json.loads((out / "tokenizer.json").read_text("utf-8"))["post_processor"]
    bort_convert.add_tokenizer(out, roberta_pairs=True, **files)
    two = json.loads((out / "tokenizer.json").read_text("utf-8"))["post_processor"]
    assert len(two["pair"]) == len(one["pair"]) + 1
    assert read_manifest(out).options["roberta_pairs"] is True
    bort_convert.add_tokenizer(out, **files)
    assert "roberta_pairs" not in read_manifest(out).options
    assert bort_convert.check(out)


def test_a_berts_tokenizer_can_be_added_later_and_its_casing_changed(fixtures: Path, tmp_path: Path) -> None:
    source, vocab, out = str(fixtures / "bert_2_2_8_8.params"), str(fixtures / "tiny_bert.vocab"), tmp_path / "out"
    family = ["--family", "bert", "--heads", "2"]
    once = CliRunner().invoke(main, [source, str(tmp_path / "at once"), *family, "--vocab", vocab])
    note = "tokenizer: text is lower-cased and loses its accents; no word in tiny_bert.vocab has a capital letter"
    assert (once.exit_code, f"\n  {note}\n" in once.stdout) == (0, True)
    assert CliRunner().invoke(main, [source, str(out), *family]).exit_code == 0
    added = CliRunner().invoke(main, ["tokenizer", str(out), "--vocab", vocab])
    assert added.stdout == (
        f"{out}: a tokenizer from tiny_bert.vocab\n  {note}\n"
        f'Load it with transformers.AutoTokenizer.from_pretrained("{out}")\n'
    )
    assert contents(out) == contents(tmp_path / "at once")
    assert read_manifest(out).notes == (note,)
    names = json.loads((out / "tokenizer_config.json").read_text("utf-8"))["model_input_names"]
    assert names == ["input_ids", "token_type_ids", "attention_mask"]
    changed = CliRunner().invoke(main, ["tokenizer", str(out), "--vocab", vocab, "--cased"])
    assert "  tokenizer: text keeps its capital letters and accents; as requested\n" in changed.stdout
    manifest = read_manifest(out)
    assert manifest.options == {"family": "bert", "heads": 2, "lower_case": False}
    assert manifest.notes == ("tokenizer: text keeps its capital letters and accents; as requested",)
    assert json.loads((out / "tokenizer_config.json").read_text("utf-8"))["do_lower_case"] is False
    assert bort_convert.check(out)
    bort_convert.add_tokenizer(out, vocab=vocab)
    assert contents(out) == contents(tmp_path / "at once")
    refused = CliRunner().invoke(main, ["tokenizer", str(out), "--vocab", vocab, "--roberta-pairs"])
    message = "--roberta-pairs: this model has a WordPiece tokenizer, which takes no such option. Leave it out"
    assert (refused.exit_code, refused.stderr) == (2, f"Error: {message}\n")
    nothing = CliRunner().invoke(main, ["tokenizer", str(out)])
    assert (nothing.exit_code, nothing.stderr) == (3, "Error: no vocabulary was given: pass --vocab or --tokenizer\n")


def test_an_edited_model_card_is_kept(out: Path, files: dict[str, Path]) -> None:
    (out / "README.md").write_text("mine\n")
    bort_convert.add_tokenizer(out, **files)
    assert (out / "README.md").read_text() == "mine\n"
    assert bort_convert.check(out).problems == ("README.md: differs from what was written",)


def test_earlier_changes_are_still_found_and_added_files_are_kept(out: Path, files: dict[str, Path]) -> None:
    weights = bytearray((out / "model.safetensors").read_bytes())
    weights[20] ^= 1
    (out / "model.safetensors").write_bytes(weights)
    (out / "notes.txt").write_text("mine")
    bort_convert.add_tokenizer(out, **files)
    assert (out / "notes.txt").read_text() == "mine"
    problems = bort_convert.check(out).problems
    assert "model.safetensors: differs in its header from what was written" in problems
    assert "notes.txt: was not there when the directory was written" in problems


def test_a_missing_model_card_is_written_again(out: Path, files: dict[str, Path]) -> None:
    (out / "README.md").unlink()
    bort_convert.add_tokenizer(out, **files)
    assert "tokenizer from | `tiny.vocab`" in (out / "README.md").read_text("utf-8")
    assert bort_convert.check(out)


def test_a_directory_with_a_folder_in_it_is_refused(out: Path, files: dict[str, Path]) -> None:
    (out / ".git").mkdir()
    before = sorted(path.name for path in out.iterdir())
    with pytest.raises(OutputError, match=r"holds the folder \.git; expected files alone\. Move it away first"):
        bort_convert.add_tokenizer(out, **files)
    assert sorted(path.name for path in out.iterdir()) == before


def test_a_vocabulary_of_another_size_changes_nothing(
    out: Path, files: dict[str, Path], fixtures: Path, tmp_path: Path
) -> None:
    before = contents(out)
    document = json.loads(files["vocab"].read_text("utf-8"))
    document["idx_to_token"].append("one more")
    document["token_to_idx"]["one more"] = 120
    (tmp_path / "larger.vocab").write_text(json.dumps(document))
    larger = {**files, "vocab": tmp_path / "larger.vocab"}
    with pytest.raises(FormatError, match="121 tokens, expected 120, the rows of the word embedding"):
        bort_convert.add_tokenizer(out, **larger)
    assert contents(out) == before
    with pytest.raises(FormatError, match="121 tokens, expected 120"):
        bort_convert.convert(fixtures / "bort_2_3_24_24.params", tmp_path / "other", family="bort", heads=3, **larger)  # type: ignore[arg-type]
    assert not (tmp_path / "other").exists()


def test_without_a_vocabulary_the_conversion_says_how_to_add_it_later(
    fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "nothing"))
    out = tmp_path / "out"
    done = CliRunner().invoke(
        main, [str(fixtures / "bort_4_8_24_32.params"), str(out), "--family", "bort", "--heads", "8"]
    )
    assert done.exit_code == 0
    assert f"no tokenizer: add one with bort-convert tokenizer {out} --vocab FILE --bpe-ranks FILE\n" in done.stdout
    failed = CliRunner().invoke(main, ["tokenizer", str(out)])
    assert failed.exit_code == 3
    assert "pass --vocab" in failed.stderr
    files = ["--vocab", str(fixtures / "tiny.vocab"), "--bpe-ranks", str(fixtures / "tiny_ranks.txt")]
    added = CliRunner().invoke(main, ["tokenizer", str(out), *files])
    assert (added.exit_code, added.stdout.split("\n")[0]) == (
        0,
        f"{out}: a tokenizer from tiny.vocab and tiny_ranks.txt",
    )


@pytest.mark.parametrize("content", ["", "{}", "[]", '"text"', '{"bort_convert": "0.1.0"}', "\udcff"])
def test_a_damaged_manifest_is_named(content: str, out: Path) -> None:
    (out / "conversion.json").write_text(content, errors="surrogateescape")
    with pytest.raises(FormatError, match=r"conversion\.json"):
        bort_convert.add_tokenizer(out)


def test_a_manifest_is_read_as_it_was_written(out: Path, fixtures: Path) -> None:
    manifest = bort_convert.convert(fixtures / "bort_4_8_24_32.params", out, family="bort", heads=8, force=True)
    assert read_manifest(out) == manifest


def test_labels_come_from_a_list_or_a_file(fixtures: Path, tmp_path: Path) -> None:
    source, out = str(fixtures / "bort_4_8_24_32-classifier3.params"), tmp_path / "out"
    (tmp_path / "labels.txt").write_text("\ufeffno, thanks\r\n maybe\r\nyes\r\n\r\n", "utf-8")
    for labels, expected in (("no, maybe ,yes", "no"), (str(tmp_path / "labels.txt"), "no, thanks")):
        options = ["--family", "bort", "--heads", "8", "--labels", labels, "--force"]
        assert CliRunner().invoke(main, [source, str(out), *options]).exit_code == 0
        config = json.loads((out / "config.json").read_text("utf-8"))
        assert config["id2label"] == {"0": expected, "1": "maybe", "2": "yes"}
    (tmp_path / "blank.txt").write_text("a\n\nc\n")
    for labels, problem in (
        ("a,b", "expected 3, one for each output"),
        ("a,,c", "label 2 is empty"),
        (str(tmp_path / "blank.txt"), "label 2 is empty"),
    ):
        options = ["--family", "bort", "--heads", "8", "--labels", labels, "--force"]
        wrong = CliRunner().invoke(main, [source, str(out), *options])
        assert (wrong.exit_code, problem in wrong.stderr) == (2, True)
