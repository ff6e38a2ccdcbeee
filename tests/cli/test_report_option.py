"""`verify --report`: its place is tried before anything runs, and a report that fails loses no verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_line import run

import bort_convert
from bort_convert.verification.findings import CheckResult
from bort_convert.verification.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SOURCE = "ernie_2_2_8_8.params"


@pytest.fixture
def places(fixtures: Path, tmp_path: Path) -> dict[str, Path]:
    out = tmp_path / "out"
    assert run(fixtures / SOURCE, out, "--family", "ernie", "--heads", 2).exit_code == 0
    return {"source": fixtures / SOURCE, "out": out}


@pytest.fixture
def verdict(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Make `verify` give a verdict at once, after a call of `then`; the list grows with each run."""

    def make(*, passed: bool, then: Callable[[], object] = lambda: None) -> list[int]:
        runs: list[int] = []

        def verify(*_paths: object, **_options: object) -> Report:
            runs.append(1)
            then()
            return Report(source="s", target="t", checks=(CheckResult("bits", passed=passed, detail="some"),))

        monkeypatch.setattr(bort_convert, "verify", verify, raising=False)
        return runs

    return make


def test_the_verdict_is_printed_and_the_report_is_written(
    places: dict[str, Path], tmp_path: Path, verdict: Callable[..., list[int]]
) -> None:
    for passed, code in ((True, 0), (False, 1)):
        verdict(passed=passed)
        for name in ("new/r.md", "new/r.md", "r.txt", "r.json"):
            result = run("verify", *places.values(), "--report", tmp_path / name)
            assert (result.exit_code, result.stderr) == (code, "")
            assert ("PASS t is s" if passed else "FAIL bits: some") in result.stdout
            assert ("PASS" if passed else "FAIL") in (tmp_path / name).read_text("utf-8")


@pytest.mark.parametrize(
    ("report", "refusal"),
    [
        ("r.pdf", (2, "a report ends in .html, .json, .md, .txt; choose one of them")),
        ("", (4, "empty")),
        ("folder.md", (4, "is there already and is no report")),
        ("note.md", (4, "is there already and is no report of a verification")),
        ("out/README.md", (4, "is inside")),
        ("out/new.md", (4, "is inside")),
        ("note.md/r.md", (4, "note.md")),
        ("/proc/r.md", (4, "/proc/r.md: cannot be written")),
    ],
)
def test_a_place_that_no_report_can_have_is_refused_before_anything_runs(
    report: str, refusal: tuple[int, str], places: dict[str, Path], tmp_path: Path, verdict: Callable[..., list[int]]
) -> None:
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "note.md").write_text("mine", "utf-8")
    runs = verdict(passed=True)
    result = run("verify", *places.values(), "--report", report and tmp_path / report)
    code, message = refusal
    assert (result.exit_code, result.stdout, runs) == (code, "", [])
    assert message in result.stderr
    assert (tmp_path / "note.md").read_text("utf-8") == "mine"


@pytest.mark.parametrize(("passed", "code"), [(True, 4), (False, 1)])
def test_a_report_that_cannot_be_written_any_more_loses_no_verdict(
    *, passed: bool, code: int, places: dict[str, Path], tmp_path: Path, verdict: Callable[..., list[int]]
) -> None:
    report = tmp_path / "r.md"
    verdict(passed=passed, then=lambda: report.write_text("somebody else's", "utf-8"))
    result = run("verify", *places.values(), "--report", report)
    assert result.exit_code == code
    assert ("PASS t is s: bits" if passed else "FAIL bits: some") in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {report} is there already and is no report of a verification")
    assert report.read_text("utf-8") == "somebody else's"


def test_a_verification_that_ends_in_an_error_leaves_no_report(
    places: dict[str, Path], tmp_path: Path, verdict: Callable[..., list[int]]
) -> None:
    def fail() -> None:
        raise bort_convert.BackendError("MXNet died")

    verdict(passed=True, then=fail)
    before = sorted(tmp_path.iterdir())
    result = run("verify", *places.values(), "--report", tmp_path / "r.md")
    assert (result.exit_code, result.stdout, result.stderr) == (5, "", "Error: MXNet died\n")
    assert sorted(tmp_path.iterdir()) == before


def test_a_missing_jinja2_is_found_before_anything_runs(
    places: dict[str, Path], tmp_path: Path, verdict: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    runs = verdict(passed=True)
    result = run("verify", *places.values(), "--report", tmp_path / "r.html")
    assert (result.exit_code, result.stdout, runs) == (5, "", [])
    assert "an HTML report needs jinja2" in result.stderr
    assert not (tmp_path / "r.html").exists()
