"""The browser page's Python, without a browser: its answers where NumPy, threads and system calls are missing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import in_browser
import pytest
from bad_files import BAD_FILES
from click.testing import CliRunner
from environment import unmeasured
from fleet import content
from lacking import BROWSER, TAKE_AWAY

from bort_convert import convert
from bort_convert.cli import main

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
BERT = ROOT / "fixtures" / "bert_2_2_8_8-classifier3.params"
KNOWN = {"family": "bert", "heads": 2}
# Transposed, reshaped, behind constant rows, beside constants that are left out.
MOVED: dict[str, dict[str, object]] = {
    "gpt2_2_3_48_12": {"heads": 3},
    "gpt2_2_3_48_12-fp16": {"heads": 3},
    "roberta_2_2_8_8": {"heads": 2, "family": "roberta"},
    "xlnet_2_2_8_8": {},
    "gluonnlp1/bart_lm": {"heads": 2},
    "gluonnlp1/mobilebert_pretrain": {"heads": 2},
    "gluonnlp1/mt5": {},
}
LITTLE_BORT = ("little_bort.params", "little_bort.vocab", "little_bort_ranks.txt")
BAD = {f"{number}.params": file.data for number, file in enumerate(BAD_FILES) if file.reader == "params"}

# Gives the answer to each request on stdin, without what the first argument names.
PROGRAM = (
    TAKE_AWAY
    + """
sys.path.append(sys.argv[2])
import in_browser

for line in sys.stdin:
    function, request = json.loads(line)
    print(getattr(in_browser, function)(json.dumps(request)))
"""
)


def answers(folder: Path, *requests: tuple[str, dict[str, object]]) -> list[dict[str, Any]]:
    """The answers of a Python that lacks what a browser's lacks."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(BROWSER), str(ROOT / "browser" / "page")]
    text = "\n".join(map(json.dumps, requests))
    process = subprocess.run(
        command, env=unmeasured(), input=text, cwd=folder, check=False, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    return [json.loads(line) for line in process.stdout.splitlines()]


def put_together(reply: Mapping[str, Any], folder: Path) -> Path:
    """The archive of an answer, as the browser puts it together."""
    path = folder / "archive.zip"
    path.write_bytes(
        b"".join(
            (folder / "made" / part["file"]).read_bytes() if "file" in part else bytes.fromhex(part["text"])
            for part in reply["archive"]
        )
    )
    return path


def unpacked(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as members:
        assert members.testzip() is None
        return {name: members.read(name) for name in members.namelist()}


def test_a_checkpoint_is_inspected_and_converted_without_what_a_browser_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(BERT, tmp_path / "bert.params")
    request = {"names": ["bert.params"], "options": KNOWN}
    found, made = answers(tmp_path, ("inspect", request), ("convert", request | {"target": "made"}))
    assert found["fit"] == {
        "title": "BERT",
        "loaded_by": "AutoModelForSequenceClassification",
        "tokenizer_files": ["vocab"],
    }
    assert found["document"]["fit"]["architecture"] == "BertForSequenceClassification"
    assert len(found["tables"][0]["rows"]) >= found["arrays"] > 40
    assert not any("`" in line or "->" in line for line in found["lines"])
    assert ["bort", "Bort"] in found["families"]
    monkeypatch.chdir(tmp_path)
    printed = CliRunner().invoke(main, ["bert.params", "by-hand", "--family", "bert", "--heads", "2"])
    assert printed.exit_code == 0
    assert content(tmp_path / "made") == content(tmp_path / "by-hand")
    assert [line.replace("by-hand", "made").strip() for line in printed.stdout.splitlines()] == made["lines"]
    expected = {f"made/{name}": data for name, data in content(tmp_path / "made").items()}
    assert unpacked(put_together(made, tmp_path)) == expected


def test_files_beside_the_checkpoint_become_its_tokenizer(tmp_path: Path) -> None:
    for name in LITTLE_BORT:
        shutil.copyfile(ROOT / "fixtures" / "little_bort" / name, tmp_path / name)
    options = {"family": "bort", "heads": 4}
    (made,) = answers(tmp_path, ("convert", {"names": LITTLE_BORT, "options": options, "target": "made"}))
    assert "tokenizer.json" in {file["name"] for file in made["files"]}


def test_every_bad_file_gets_the_message_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, data in BAD.items():
        Path(name).write_bytes(data)
    found = answers(tmp_path, *(("inspect", {"names": [name], "options": {}}) for name in BAD))
    printed = [CliRunner().invoke(main, ["inspect", name]) for name in BAD]
    assert len(found) == len(BAD) > 100
    refused = [(reply["error"], run.stderr) for reply, run in zip(found, printed, strict=True) if run.exit_code]
    assert len(refused) > 100
    assert [(one, other) for one, other in refused if f"Error: {one}\n" != other] == []


def test_models_whose_values_are_moved_become_the_bytes_that_numpy_makes(tmp_path: Path) -> None:
    sources = {str(ROOT / "fixtures" / f"{name}.params"): options for name, options in MOVED.items()}
    requests = [{"names": [source], "options": options} for source, options in sources.items()]
    made = answers(tmp_path, *(("convert", each | {"target": f"made/{n}"}) for n, each in enumerate(requests)))
    assert [reply.get("error") for reply in made] == [None] * len(MOVED)
    for number, (source, options) in enumerate(sources.items()):
        convert(source, tmp_path / "expected" / str(number), **options)  # type: ignore[arg-type]
    assert content(tmp_path / "made") == content(tmp_path / "expected")


@pytest.mark.parametrize("limit", [zipfile.ZIP64_LIMIT, 10], ids=["zip", "zip64"])
def test_an_archive_is_put_together_from_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
    (tmp_path / "made").mkdir()
    files = {"a.txt": b"", "b.bin": bytes(range(256)) * 5000, "c.txt": b"text"}
    for name, data in files.items():
        (tmp_path / "made" / name).write_bytes(data)
    parts = in_browser.archive([tmp_path / "made" / name for name in files], "made")
    assert max(len(part.get("text", "")) for part in parts) < 1000
    assert unpacked(put_together({"archive": parts}, tmp_path)) == {
        f"made/{name}": data for name, data in files.items()
    }
