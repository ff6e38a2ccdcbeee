from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import junitparser
import pytest

from bort_convert.batch.render import FORMS, SHOWN, cells, failures, text_blocks
from bort_convert.batch.result import BatchResult, FileResult
from bort_convert.plain_table import TextTable
from bort_convert.verification.render import form_of

if TYPE_CHECKING:
    from pathlib import Path


def layer(name: str, max_abs: float | None, problem: str = "") -> dict[str, object]:
    return {"name": name, "passed": (max_abs or 1) < 1e-5, "problem": problem, "max_abs": max_abs, "limit": 1e-5}


def report(*, passed: bool) -> dict[str, object]:
    detail = "layer 1: max |d| 0.5; first divergence\nand more"
    behaviour = {"name": "behaviour", "passed": passed, "detail": "2 outputs" if passed else detail}
    layers = [layer("embeddings", 2e-6), layer("layer.1", 3e-6 if passed else 0.5)]
    wrong = [] if passed else [layer("logits", None, "the target has no <such> output")]
    return {
        "passed": passed,
        "checks": [{"name": "bits", "passed": True, "detail": "74 tensors"}, behaviour],
        "runs": [{"dtype": "float32", "layers": layers + wrong}],
        "per_layer": None if passed else {"dtype": "float32", "layers": layers},
    }


FINE = FileResult(
    "a/fine", "in/a.params", "p.csv:2", "converted", "new", "BertModel (bert, x)", report=report(passed=True)
)
WRONG = FileResult(
    *("wrong|<b>", "in/w.params", "p.csv:3", "failed"),
    error={"type": "ParityError", "message": "FAIL layer 1: max |d| 0.5; first divergence. Nothing was written"},
    report=report(passed=False),
)
REFUSED = FileResult(
    *("refused", "in/r.params", "p.csv:4", "failed"),
    error={"type": "MappingError", "message": "no family fits this file:\n  a\n  b"},
)
DAMAGED = FileResult(
    *("damaged", "in/d.params", "p.csv:5", "failed"),
    error={"type": "ParityError", "message": "the directory is not as it was written: x: missing"},
    problems=("x: missing", "y: missing"),
)
CHECKED = FileResult("checked", "in/c.params", "p.csv:6", "up to date", problems=())
ABSENT = FileResult("absent", "in/n.params", "p.csv:7")
BATCH = BatchResult((FINE, WRONG, REFUSED, DAMAGED, CHECKED, ABSENT), 12.34)
RIGHT = BatchResult((FINE, CHECKED), 1.0)


def test_the_verdict_counts_what_is_right_and_what_is_not() -> None:
    assert (bool(BATCH), bool(RIGHT), bool(BatchResult(()))) == (False, True, False)
    assert BATCH.headline == "FAIL 4 of 6 files: 1 converted, 1 up to date, 3 failed, 1 not run"
    assert RIGHT.headline == "PASS 2 files: 1 converted, 1 up to date"
    assert (FINE.worst, WRONG.worst, REFUSED.worst) == ((3e-6, 1e-5), (0.5, 1e-5), None)


def test_the_text_has_a_row_for_each_file_or_for_each_failure_of_many() -> None:
    headline, _, table, *_ = text_blocks(BATCH)
    assert headline == BATCH.headline
    assert isinstance(table, TextTable)
    assert [row[:3] for row in table.rows][:3] == [
        ("PASS", "a/fine", "converted"),
        ("FAIL", "wrong|<b>", "failed"),
        ("FAIL", "refused", "failed"),
    ]
    assert table.rows[0][4:] == ("3.0e-06", "1.0e-05", "0.0 s", "new")
    assert table.rows[2][-1] == "no family fits this file"
    many = BatchResult((*[FINE] * SHOWN, WRONG))
    assert [row[1] for block in text_blocks(many) if isinstance(block, TextTable) for row in block.rows] == [
        "wrong|<b>"
    ]
    assert not any(isinstance(block, TextTable) for block in text_blocks(BatchResult((FINE,) * (SHOWN + 1))))
    assert FORMS[".txt"](many).count("a/fine") == SHOWN


def test_json_has_every_file_and_comes_back(tmp_path: Path) -> None:
    document = json.loads(FORMS[".json"](BATCH))
    assert (document["passed"], document["headline"]) == (False, BATCH.headline)
    assert document["counts"] == {"converted": 1, "up to date": 1, "failed": 3, "not run": 1}
    assert tuple(FileResult.from_dict(file) for file in document["files"]) == BATCH.files
    assert FileResult.from_dict({**document["files"][0], "of a later release": 1}) == FINE
    assert tmp_path


def test_markdown_begins_with_what_failed() -> None:
    lines = FORMS[".md"](BATCH).splitlines()
    assert lines[0] == f"**{BATCH.headline}**"
    names = [line.split(" | ")[0] for line in lines[4:-2]]
    assert names[:4] == ["| wrong\\|&lt;b&gt;", "| refused", "| damaged", "| absent"]


def test_junit_has_a_suite_for_each_file_and_a_case_for_each_check() -> None:
    document = junitparser.JUnitXml.fromstring(FORMS[".xml"](BATCH).encode())
    assert (document.tests, document.failures, document.errors, document.skipped) == (12, 2, 1, 2)
    fine, wrong, refused, damaged, checked, absent = document
    assert [(case.name, case.is_passed) for case in fine] == [("conversion", True), ("bits", True), ("behaviour", True)]
    skipped, _, behaviour = wrong
    assert skipped.result[0].message == "nothing was written: the verification failed"
    assert behaviour.result[0].message == "layer 1: max |d| 0.5; first divergence"
    assert behaviour.result[0].text == "layer 1: max |d| 0.5; first divergence\nand more"
    (conversion,) = refused
    assert (conversion.result[0].type, conversion.result[0].text) == (
        "MappingError",
        "no family fits this file:\n  a\n  b",
    )
    assert [case.is_passed for case in damaged] == [True, False]
    assert list(damaged)[1].result[0].message == "x: missing"
    assert [(case.name, case.is_passed) for case in checked] == [("conversion", True), ("directory", True)]
    assert next(iter(absent)).result[0].message == "the batch ended before"
    assert {entry.name: entry.value for entry in fine.properties()}["place"] == "p.csv:2"


def test_a_workflow_is_told_each_failure() -> None:
    assert failures(BATCH) == [
        ("wrong|<b>: ParityError", "FAIL layer 1: max |d| 0.5; first divergence. Nothing was written"),
        ("refused: MappingError", "no family fits this file"),
        ("damaged: ParityError", "the directory is not as it was written: x: missing"),
    ]


@pytest.mark.report
def test_the_page_has_a_row_for_each_file_that_opens_to_its_layers() -> None:
    page = FORMS[".html"](BATCH)
    assert f"<title>{BATCH.headline}</title>" in page
    rows = re.findall(r'<details id="([^"]+)">(.*?)</details>', page, re.DOTALL)
    assert [anchor for anchor, _ in rows] == [
        *("file-wrong-7c--3c-b-3e-", "file-refused", "file-damaged", "file-absent", "file-a-2f-fine", "file-checked"),
    ]
    wrong = rows[0][1]
    assert "<strong>wrong|&lt;b&gt;</strong>" in wrong
    assert "✗ layer 1</th><td>5.0e-01</td><td>1.0e-05</td><td>5e+04</td>" in wrong
    assert "the target has no &lt;such&gt; output" in wrong
    assert "<b>" not in page
    assert "per-layer comparison" in wrong
    assert rows[1][1].count("<table>") == 0
    for anchor in ("file-a-2f-fine", "file-wrong-7c--3c-b-3e-"):
        assert f'xlink:href="#{anchor}"' in page  # from the plot


@pytest.mark.report
@pytest.mark.parametrize("ending", FORMS)
def test_a_report_of_a_batch_replaces_a_report(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"r{ending}"
    for batch in (BATCH, RIGHT):
        path.write_text(form_of(path, FORMS)(batch), "utf-8")
    assert cells(FINE)[1] in path.read_text("utf-8")


@pytest.mark.report
def test_a_page_without_measurements_has_no_plot_and_one_without_matplotlib_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "<svg" not in FORMS[".html"](BatchResult((REFUSED,)))
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert "No plot: matplotlib is missing" in FORMS[".html"](BATCH)
