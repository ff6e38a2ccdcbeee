from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bort_convert.errors import BackendError, OptionError
from bort_convert.verification.compare import Difference, Run
from bort_convert.verification.findings import CheckResult
from bort_convert.verification.render import to_dict, to_html, to_markdown, to_text
from bort_convert.verification.report import Report
from bort_convert.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

FINE = Difference(
    "layer.0",
    "float32",
    count=1200,
    max_abs=1.25e-5,
    where={"batch": 1, "token": 17, "unit": 402},
    mean_abs=1e-6,
    cosine=0.999,
    largest=6.5,
    limit=3e-5,
    floors={"mxnet": 1e-5, "torch": 2e-5},
)
BROKEN = Difference("mlm_logits", "float32", problem="the target has no such output")
REPORT = Report(
    source="a|b<i>.params",
    target="out",
    checks=(
        CheckResult("names and shapes", passed=True, detail="5 tensors"),
        CheckResult("behaviour", passed=False, detail="one\ntwo"),
    ),
    runs=(Run("float32", (FINE, BROKEN)),),
    per_layer=Run("float32", (FINE,)),
    notes=("a note with <b>",),
    versions={"torch": "2"},
    lengths=(18, 1),
    seconds=12.3456,
    peak_mb=2316.26,
    digests={"a.params": "00ff", "out/model.safetensors": "ff00"},
    call="bort_convert.verify('a.params', 'out')",
)
PASSED = Report("a.params", "out", (CheckResult("bits", passed=True, detail="x"),))


def test_the_text_starts_with_the_verdict_and_shows_each_check() -> None:
    lines = to_text(REPORT).split("\n")
    assert lines[0] == "FAIL mlm_logits: the target has no such output (float32)"
    assert lines[2:5] == ["PASS  names and shapes  5 tensors", "FAIL  behaviour         one", " " * 24 + "two"]
    assert re.split(r"\s{2,}", lines[8]) == [
        *("layer 0", "1.3e-05", "(batch 1, token 17, unit 402)", "1.0e-06", "0.999000000000"),
        *("1.0e-05", "2.0e-05", "3.0e-05", "1.3e-05", "1,200", "PASS"),
    ]
    assert lines[9].endswith("FAIL the target has no such output")
    assert "float32, per-layer comparison: every layer with the reference's input" in lines
    assert lines[-2] == "12.3 s, peak memory 2,316 MB; torch 2"
    assert to_text(PASSED).startswith("PASS out is a.params: bits\n\nPASS  bits  x\n")


def test_json_has_what_other_programs_need() -> None:
    document = json.loads(json.dumps(REPORT.to_dict(), allow_nan=False))
    assert document["passed"] is False
    assert document["checks"][1] == {"name": "behaviour", "passed": False, "detail": "one\ntwo"}
    first, second = document["runs"][0]["layers"]
    assert document["runs"][0]["dtype"] == "float32"
    assert first == {
        "name": "layer.0",
        "passed": True,
        "problem": "",
        "max_abs": 1.25e-5,
        "where": {"batch": 1, "token": 17, "unit": 402},
        "mean_abs": 1e-6,
        "cosine": 0.999,
        "largest": 6.5,
        "floor": 2e-5,
        "floors": {"mxnet": 1e-5, "torch": 2e-5},
        "limit": 3e-5,
        "limit_by": "fixed",
        "smallest_atol": 1.3e-5,
        "count": 1200,
    }
    assert second["max_abs"] is second["cosine"] is second["largest"] is second["floor"] is None
    assert document["lengths"] == [18, 1]
    assert (document["seconds"], document["peak_mb"]) == (12.346, 2316.3)
    assert document["first_divergence"] == "mlm_logits"
    assert document["per_layer"] == {"dtype": "float32", "layers": [first]}
    assert document["digests"] == {"a.params": "00ff", "out/model.safetensors": "ff00"}
    assert document["call"] == "bort_convert.verify('a.params', 'out')"
    assert to_dict(PASSED)["passed"] is True
    assert to_dict(PASSED)["per_layer"] is to_dict(PASSED)["at_fault"] is None


def test_a_report_keeps_the_names_of_0_1_for_one_release() -> None:
    document = to_dict(replace(REPORT, per_layer=REPORT.runs[0]))
    assert document["rungs"] is document["checks"]
    assert document["at_fault"] == ["mlm_logits"]
    assert (REPORT.rungs, REPORT.isolation) == (REPORT.checks, REPORT.per_layer)


def test_markdown_escapes_what_would_break_a_table() -> None:
    text = to_markdown(REPORT)
    assert text.startswith("**FAIL mlm_logits: ")
    assert "| behaviour | FAIL | one<br>two |" in text
    assert "| output | max \\|d\\| | at |" in text
    assert "- a note with &lt;b&gt;" in text
    header = next(line for line in text.split("\n") if line.startswith("| output"))
    row = next(line for line in text.split("\n") if line.startswith("| layer 0"))
    assert len(re.split(r"(?<!\\)\|", header)) == len(re.split(r"(?<!\\)\|", row))
    assert "| SHA-256 of out/model.safetensors | ff00 |\n| call | bort_convert.verify('a.params', 'out') |" in text


@pytest.mark.report
def test_html_is_one_file_with_a_plot() -> None:
    page = to_html(REPORT)
    assert page.startswith("<!DOCTYPE html>")
    assert "<svg" in page
    assert "<i>.params" not in page
    assert "a|b&lt;i&gt;.params" in page
    assert "a note with &lt;b&gt;" in page
    outside = re.sub(r'xmlns(:\w+)?="[^"]*"|<metadata>.*?</metadata>', "", page, flags=re.DOTALL)
    assert not re.search(r"https?://", outside)
    assert "<script" not in page
    assert to_html(REPORT) == page
    assert "<svg" not in to_html(PASSED)


@pytest.mark.report
def test_zeros_and_nans_can_be_drawn() -> None:
    layers = (Difference("layer.0", "float64", count=1, max_abs=0.0), Difference("layer.1", "float64", problem="x"))
    assert "<svg" in to_html(Report("a", "b", PASSED.checks, (Run("float64", layers),)))


@pytest.mark.report
def test_html_has_the_provenance() -> None:
    page = re.sub(r"\s+", " ", to_html(REPORT))
    for name, text in (
        ("SHA-256 of a.params", "00ff"),
        ("SHA-256 of out/model.safetensors", "ff00"),
        ("call", "bort_convert.verify(&#39;a.params&#39;, &#39;out&#39;)"),
        ("bort_convert", __version__),
        ("torch", "2"),
        ("tokens in each row", "18, 1"),
        ("took", "12.3 s, peak memory 2,316 MB"),
    ):
        assert f"<dt>{name}</dt> <dd>{text}</dd>" in page


@pytest.mark.report
def test_an_output_that_was_not_compared_has_its_problem_in_html() -> None:
    page = to_html(REPORT)
    assert 'class="FAIL">✗ mlm_logits</th>' in page
    assert '<td class="problem FAIL" colspan="9">the target has no such output</td>' in page


@pytest.mark.report
def test_the_plot_takes_the_colour_of_the_page() -> None:
    drawing = to_html(REPORT).partition("<svg")[2].partition("</svg>")[0]
    assert "currentColor" in drawing
    assert "#010203" not in drawing
    assert not re.search(r"fill: ?#ffffff", drawing)


@pytest.mark.report
def test_html_without_matplotlib_has_no_plot_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    page = to_html(REPORT)
    assert "<svg" not in page
    assert "No plot: matplotlib is missing" in page
    assert "pip install &#34;.[report]&#34; in a clone of bort_convert brings it" in page
    assert "No plot" not in to_html(PASSED)


def test_html_without_jinja2_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(
        BackendError, match=r'pip install "\.\[report\]" in a clone of bort_convert, or choose another form'
    ):
        to_html(REPORT)


@pytest.mark.parametrize(
    ("suffix", "start"),
    [pytest.param("html", "<!DOCTYPE", marks=pytest.mark.report), ("json", "{"), ("md", "**FAIL"), ("txt", "FAIL")],
)
def test_the_ending_chooses_the_form(tmp_path: Path, suffix: str, start: str) -> None:
    path = tmp_path / f"report.{suffix}"
    for _ in range(2):
        REPORT.save(path)
        assert path.read_text().startswith(start)


@pytest.mark.parametrize("name", ["report.pdf", "report", ".html"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        OptionError, match=r"a report ends in .html, .json, .md, .txt, .xml; choose one of them"
    ) as caught:
        REPORT.save(tmp_path / name)
    assert (caught.value.option, caught.value.exit_code) == ("report", 2)
    assert not list(tmp_path.iterdir())


def test_numbers_that_are_not_finite_never_reach_json() -> None:
    odd = Difference("layer.0", "float64", count=3, max_abs=np.inf, mean_abs=np.nan, cosine=np.nan)
    document = to_dict(Report("a", "b", (), (Run("float64", (odd,)),)))
    (layer,) = json.loads(json.dumps(document, allow_nan=False))["runs"][0]["layers"]
    assert (layer["max_abs"], layer["mean_abs"], layer["cosine"]) == (None, None, None)
