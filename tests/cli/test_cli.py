from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from command_line import run

import bort_convert
from bort_convert import cli
from bort_convert.cli.checkpoints import _labels
from bort_convert.params import save_params

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def full(fixtures: Path) -> Path:
    return fixtures / "bort_4_8_24_32.params"


def test_source_and_out_alone_convert(full: Path, tmp_path: Path) -> None:
    result = run(full, tmp_path / "out", "--family", "bort", "--heads", 8)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{tmp_path / 'out'}: BertForMaskedLM from bort (language model, ")
    assert "decoder.3.weight equals word_embed.0.weight: tied, written once" in result.stdout
    assert "token_type_embeddings.weight: initialised, Bort has no segment embedding" in result.stdout
    assert f'AutoModelForMaskedLM.from_pretrained("{tmp_path / "out"}")' in result.stdout
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_a_dry_run_shows_the_table_and_writes_nothing(full: Path, tmp_path: Path) -> None:
    result = run(full, tmp_path / "out", "--family", "bort", "--heads", 8, "--dry-run")
    assert result.exit_code == 0
    assert "cls.predictions.transform.dense.weight" in result.stdout
    assert not (tmp_path / "out").exists()
    refused = run(full, tmp_path / "out", "--dry-run")
    assert (refused.exit_code, refused.stdout) == (3, "")


def test_json_is_one_document_and_quiet_is_silence(full: Path, tmp_path: Path) -> None:
    document = json.loads(run(full, tmp_path / "a", "--family", "bort", "--heads", 8, "--json").stdout)
    assert document["architecture"] == "BertForMaskedLM"
    assert json.loads(run("inspect", full, "--json").stdout)["fit"] is None
    assert json.loads(run("extract", full, tmp_path / "b.npz", "--json").stdout)["source"]["name"] == full.name
    assert json.loads(run("families", "--json").stdout)["families"][0]["name"] == "albert"
    assert run(full, tmp_path / "c", "--family", "bort", "--heads", 8, "--quiet").output == ""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("{missing}", "{out}"), 3, "missing.params"),
        (("{full}", "{out}"), 3, "Pass --family NAME with one of them, and --heads N"),
        (("{full}", "{out}", "--family", "bort"), 3, "Pass --heads N"),
        (("{full}", "{folder}", "--family", "bort", "--heads", "8"), 4, "is not empty"),
        (("inspect", "{folder}"), 3, "directory"),
        (("extract", "{full}", "{out}.bin"), 2, "expected a name that ends in .safetensors or .npz"),
        (("{full}",), 2, "Missing argument 'OUT'"),
        (("{full}", "{out}", "--heads", "none"), 2, "Invalid value for '--heads'"),
        (("{full}", "{out}", "--family", "llama"), 2, "'llama' is not one of "),
    ],
)
def test_every_mistake_has_its_exit_code_and_one_clear_message(
    full: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("x")
    places = {"missing": tmp_path / "missing.params", "full": full, "out": tmp_path / "out", "folder": folder}
    result = run(*(argument.format(**places) for argument in arguments))
    assert result.exit_code == code
    assert result.stdout == ""
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_an_error_is_json_where_json_was_asked_for(fixtures: Path, tmp_path: Path) -> None:
    result = run(fixtures / "cnn_tiny.params", tmp_path / "out", "--json")
    error = json.loads(result.stdout)["error"]
    assert result.exit_code == 3
    assert error["type"] == "MappingError"
    assert len(error["disagreements"]) == int(error["message"].split("with ")[1].split(" ")[0])


def test_debug_shows_where_an_error_came_from(full: Path, tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "bort_convert", full, tmp_path / "out", "--family", "bort", "--debug"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 3
    assert "Traceback" in process.stderr
    assert process.stderr.rstrip().endswith("Pass --heads N")


def test_inspect_shows_arrays_and_the_closest_family_where_none_fits(fixtures: Path) -> None:
    result = run("inspect", fixtures / "cnn_tiny.params")
    assert result.exit_code == 0
    assert "the closest is xlnet" in result.stdout
    assert "MXNet list file" in result.stdout


def test_control_characters_in_a_name_are_printed_escaped(tmp_path: Path) -> None:
    save_params(tmp_path / "x.params", {"a\x1b[31m\n": np.zeros(1, np.float32), "b" * 5000: np.zeros(1, np.float32)})
    output = run("inspect", tmp_path / "x.params").output
    assert r"a\x1b[31m\n" in output
    assert "\x1b" not in output
    assert "b" * 200 not in output


@pytest.mark.parametrize(
    ("source", "heads", "advice"),
    [
        ("bert_2_2_8_8-pooled", 2, '.AutoModel.from_pretrained("{out}")'),
        ("roberta_2_2_8_8-encoder", 2, '.AutoModel.from_pretrained("{out}", add_pooling_layer=False)'),
        ("distilbert_2_2_8_8", 2, '.AutoModel.from_pretrained("{out}", add_pooling_layer=False)'),
        ("ernie_2_2_8_8-pooled", 2, '.AutoModel.from_pretrained("{out}")'),
        ("bort_4_8_24_32-encoder", 8, '.AutoModel.from_pretrained("{out}", add_pooling_layer=False)'),
        ("xlnet_2_2_8_8-encoder", 2, '.AutoModel.from_pretrained("{out}")'),
    ],
)
def test_a_pooler_is_loaded_where_there_is_one_and_nowhere_else(
    source: str, heads: int, advice: str, fixtures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    printed = run(
        fixtures / f"{source}.params", out, "--family", source.split("_", maxsplit=1)[0], "--heads", heads
    ).stdout
    assert printed.endswith(f"transformers{advice.format(out=out)}\n")


def test_families_lists_each_form_with_its_class_and_each_size_with_its_hyperparameters() -> None:
    lines = [re.split("  +", line) for line in run("families").stdout.splitlines()]
    heads = "pooler, next-sentence head, masked-language-model head"
    assert ["bert", "language model", heads, "BertForPreTraining"] in lines
    assert ["bort", "classifier without dropout", "-", "BertForSequenceClassification"] in lines
    sizes = "layers 2, intermediate_size 512, hidden_size 1024, max_positions 512, attention_heads 16"
    assert ["bort", "bort_2_16_512_1024", sizes] in lines


def test_families_as_json_have_every_form_and_the_class_that_loads_it() -> None:
    found = {family["name"]: family for family in json.loads(run("families", "--json").stdout)["families"]}
    assert {
        "checkpoint": "language model",
        "with": ["pooler", "next-sentence head"],
        "becomes": "BertForNextSentencePrediction",
        "loaded_by": "AutoModelForNextSentencePrediction",
    } in found["bert"]["forms"]
    for name, family in bort_convert.families().items():
        assert len(found[name]["forms"]) == sum(len(table.architectures) for table in family.tables)
        assert [size["name"] for size in found[name]["variants"]] == [size.name for size in family.variants]


def test_a_progress_bar_is_drawn_where_a_person_looks(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with pytest.raises(SystemExit) as caught:
        cli.main([str(full), str(tmp_path / "out"), "--family", "bort", "--heads", "8"])
    assert caught.value.code == 0
    assert "Converting" in capsys.readouterr().err


@pytest.mark.shared
def test_every_malformed_file_ends_in_exit_3_and_one_clear_line(shared: Path, tmp_path: Path) -> None:
    rows = (shared / "corpus" / "malformed" / "INDEX.tsv").read_text("utf-8").splitlines()[1:]
    rejected = [name for name, kind, _ in (row.split("\t") for row in rows) if kind == "reject"]
    assert len(rejected) == 27
    for name in rejected:
        result = run("extract", shared / "corpus" / "malformed" / name, tmp_path / "x.npz")
        assert (result.exit_code, result.stdout) == (3, ""), name
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: ")
        assert name in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "options", "answer", "table"),
    [
        ("ernie_2_2_8_8.params", ("--family", "ernie", "--heads", 2), "ERNIE (language model, ", "CHECKPOINT  "),
        ("ernie_2_2_8_8.params", (), "names and sizes fit more than one family: bert, ernie. ", "NAME  "),
        ("cnn_tiny.params", (), "no family fits this file; the closest is ", "NAME  "),
    ],
)
def test_inspect_prints_its_answer_before_the_table_and_a_summary_without(
    source: str, options: tuple[object, ...], answer: str, table: str, fixtures: Path
) -> None:
    lines = run("inspect", fixtures / source, *options).stdout.splitlines()
    assert lines[1].startswith(answer)
    (at,) = [number for number, line in enumerate(lines) if line.startswith(table)]
    summary = run("inspect", fixtures / source, *options, "--summary").stdout.splitlines()
    assert [*summary, ""] == lines[:at]
    full = json.loads(run("inspect", fixtures / source, *options, "--json").stdout)
    document = json.loads(run("inspect", fixtures / source, *options, "--json", "--summary").stdout)
    assert full.pop("arrays")
    if options:
        assert full["fit"].pop("steps")
    assert document == full


def test_a_summary_has_no_table_for_values(fixtures: Path) -> None:
    result = run("inspect", fixtures / "cnn_tiny.params", "--summary", "--values")
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: --values fills a table, and --summary has none: leave one of them out\n")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("neg\nneu\npos\n", ["neg", "neu", "pos"]),
        ("\ufeffneg\r\nneu\r\npos\r\n\r\n", ["neg", "neu", "pos"]),
        ("neg\n ne\u2028u \npos", ["neg", "ne\u2028u", "pos"]),
        ("neg\n\npos\n", ["neg", "", "pos"]),
    ],
)
def test_a_file_of_labels_has_one_on_each_line(text: str, names: list[str], tmp_path: Path) -> None:
    (tmp_path / "labels").write_bytes(text.encode())
    assert _labels(str(tmp_path / "labels")) == names


def test_labels_between_commas_are_no_file_and_a_missing_file_is_no_label(fixtures: Path, tmp_path: Path) -> None:
    assert _labels("a, b,c") == ["a", "b", "c"]
    assert _labels("score") == ["score"]
    assert _labels(",".join(["x" * 300] * 3)) == ["x" * 300] * 3
    for name in ("lables.txt", "folder/lables"):
        result = run(fixtures / "bert_2_2_8_8-regression.params", tmp_path / "out", "--heads", 2, "--labels", name)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.endswith(f"Error: Invalid value for --labels: there is no file {name}\n")
