"""JUnit XML as `junitparser` reads it, a parser that is not ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import junitparser

from bort_convert.verification.compare import Difference, Run
from bort_convert.verification.findings import CheckResult
from bort_convert.verification.headline import failure_line
from bort_convert.verification.junit import Case, Suite, to_junit
from bort_convert.verification.report import Report

if TYPE_CHECKING:
    from pathlib import Path

DIVERGENCE = failure_line(
    Run(
        "float64",
        (Difference("layer.1", "float64", count=9, max_abs=0.5, where={"batch": 1, "token": 3}, limit=1e-12),),
    ),
    None,
).removeprefix("FAIL ")
FAILED = Report(
    source="a.params",
    target="out",
    checks=(
        CheckResult("bits", passed=True, detail="74 tensors"),
        CheckResult("names and shapes", passed=False, detail="one <&> name\ntwo names"),
        CheckResult("behaviour", passed=False, detail=f"{DIVERGENCE}\nlayer 2: in float32"),
    ),
    seconds=2.5,
    versions={"torch": "2.13"},
)


def test_every_check_is_a_case_and_a_failed_one_has_the_first_divergence(tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    FAILED.save(path)
    document = junitparser.JUnitXml.fromfile(str(path))
    assert (document.tests, document.failures, document.errors, document.skipped, document.time) == (3, 2, 0, 0, 2.5)
    (suite,) = document
    assert (suite.name, suite.tests, suite.failures, suite.time) == ("out", 3, 2, 2.5)
    assert {entry.name: entry.value for entry in suite.properties()}["torch"] == "2.13"
    bits, names, behaviour = suite
    assert (bits.classname, bits.name, bits.is_passed) == ("out", "bits", True)
    (failure,) = names.result
    assert (type(failure), failure.message, failure.type) == (junitparser.Failure, "one <&> name", "ParityError")
    assert failure.text == "one <&> name\ntwo names"
    (divergence,) = behaviour.result
    assert divergence.message.startswith("layer 1: max |d| 0.5 at (batch 1, token 3), limit 1e-12; first divergence")
    assert divergence.text == f"{DIVERGENCE}\nlayer 2: in float32"


def test_errors_and_skipped_cases_are_told_apart() -> None:
    cases = [
        Case("fits", "error", "no family", "no family\n  line", "MappingError"),
        Case("bits", "skipped", "not run"),
    ]
    document = junitparser.JUnitXml.fromstring(to_junit([Suite("a", cases), Suite("b", [Case("bits")])]).encode())
    assert (document.tests, document.failures, document.errors, document.skipped) == (3, 0, 1, 1)
    first, second = document
    (error,), (skipped,) = (case.result for case in first)
    assert (type(error), error.type, error.message) == (junitparser.Error, "MappingError", "no family")
    assert (type(skipped), skipped.message) == (junitparser.Skipped, "not run")
    assert [case.is_passed for case in second] == [True]


def test_a_name_that_xml_cannot_hold_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    path = tmp_path / "new" / "report.xml"
    suite = Suite("\x1b[31m\udcff\ufffe", [Case("bits", "failed", 'a "b"\n\tc \x00', "\x07 é 中 \U0001f600")])
    path.write_text(to_junit([suite]), "utf-8")
    (read,) = junitparser.JUnitXml.fromfile(str(path))
    assert read.name == r"\x1b[31m\udcff\ufffe"
    (failure,) = next(iter(read)).result
    assert (failure.message, failure.text) == ('a "b"\n\tc \\x00', "\\x07 é 中 \U0001f600")
