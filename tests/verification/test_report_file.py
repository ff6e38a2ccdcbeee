"""Files that a report may replace: reports."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import bort_convert
from bort_convert.cli import main
from bort_convert.errors import OutputError
from bort_convert.verification.findings import CheckResult
from bort_convert.verification.render import FORMS
from bort_convert.verification.report import Report

CHECKPOINT = Path(__file__).parents[2] / "fixtures" / "bort_4_8_24_32.params"
FAILED = Report("a.params", "out", (CheckResult("bits", passed=False, detail="one\ntwo"),))
PASSED = Report("<a> & b.params", "out", (CheckResult("names and shapes", passed=True, detail="74 tensors"),))
ENDINGS = ("html", "json", "md", "txt", "xml")
SAVED = [
    pytest.param(ending, marks=pytest.mark.report if ending.lower() == "html" else ()) for ending in (*ENDINGS, "HTML")
]
# Beginnings of reports of release 0.1.
OLD = {
    "html": '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>PASS out is a.params: bits</title><style>body',
    "json": '{\n  "passed": true,\n  "headline": "PASS out is a.params: bits",\n  "source": "a.params"',
    "md": "**PASS out is a.params: bits**\n\n| rung | verdict | |\n|---|---|---|\n",
    "txt": "PASS out is a.params: bits\n\nPASS  bits  74 of 74 tensors\n",
}
THESES = {
    "html": "<!DOCTYPE html>\n<title>A thesis with PASS in it</title>",
    "json": '{"passed": true, "thesis": "years of work"}',
    "md": "**PASS** is a word of my thesis\n\n| check | verdict | |\n",
    "txt": "PASS is a word\nof my thesis\n\nPASS ",
    "xml": '<?xml version="1.0"?>\n<testsuites name="somebody else\'s" tests="1"/>',
}


@pytest.mark.parametrize("ending", SAVED)
@pytest.mark.parametrize("report", [FAILED, PASSED])
def test_a_report_replaces_a_report(tmp_path: Path, ending: str, report: Report) -> None:
    path = tmp_path / f"report.{ending}"
    report.save(path)
    first = path.read_text("utf-8")
    assert "names" in first or "bits" in first
    (FAILED if report is PASSED else PASSED).save(path)
    assert path.read_text("utf-8") != first


@pytest.mark.parametrize("ending", [saved for saved in SAVED if saved.values[0] in OLD])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_report_replaces_one_of_release_0_1_and_an_empty_file(tmp_path: Path, ending: str, newline: str) -> None:
    path = tmp_path / f"report.{ending}"
    for content in (OLD[ending].replace("\n", newline).encode(), b""):
        path.write_bytes(content)
        PASSED.save(path)
        assert len(path.read_bytes()) > 100


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("content", [*ENDINGS, "bytes"])
def test_a_report_replaces_no_other_file(tmp_path: Path, ending: str, content: str) -> None:
    path = tmp_path / f"thesis.{ending}"
    path.write_bytes(THESES[content].encode() if content in THESES else bytes(range(256)))
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"is there already and is no report of a verification. Delete it, or choose"):
        PASSED.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_older_report_whose_status_cannot_be_read_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.md"
    PASSED.save(path)

    def fails(_path: Path) -> bool:
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(Path, "is_file", fails)
    with pytest.raises(OutputError, match=r"old\.md: cannot be written: Input/output error"):
        PASSED.save(path)


@pytest.mark.skipif(os.name != "posix", reason="needs a pipe")
def test_a_report_replaces_neither_a_pipe_nor_a_directory(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "folder.md").mkdir()
    for name in ("pipe.md", "folder.md"):
        with pytest.raises(OutputError, match="is there already and is no report"):
            PASSED.save(tmp_path / name)
    with pytest.raises(OutputError, match="the name of the output is empty"):
        PASSED.save("")


def test_a_file_that_appears_while_a_report_is_made_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "thesis.md"

    def text_of(_: Report) -> str:
        path.write_text("years of work")
        return "PASS"

    monkeypatch.setitem(FORMS, ".md", text_of)
    with pytest.raises(OutputError, match="is there already and is no report"):
        PASSED.save(path)
    assert path.read_text() == "years of work"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    bort_convert.convert(CHECKPOINT, tmp_path / "out", family="bort", heads=8)
    return tmp_path / "out"


def test_the_command_line_refuses_a_place_for_a_report_before_anything_runs(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the verification ran")

    monkeypatch.setattr("bort_convert.verify", fail)
    monkeypatch.setattr("bort_convert.verify_published", fail)
    source = tmp_path / "source.md"
    shutil.copyfile(CHECKPOINT, source)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for report, status, message in (
        (out / "README.md", 4, "is inside"),
        (out / "new.md", 4, "a converted directory. Choose a place outside of it"),
        (out / "sub" / "new.md", 4, "is inside"),
        (source, 4, "is no report of a verification"),
        ("", 4, "the name of the output is empty"),
        ("report.pdf", 2, "a report ends in"),
    ):
        for arguments in ([str(source), str(out)], ["--published", str(out)]):
            result = CliRunner().invoke(main, ["verify", *arguments, "--report", str(report)])
            assert result.exit_code == status, result.output
            assert message in result.output
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files
