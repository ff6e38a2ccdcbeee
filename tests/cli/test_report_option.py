"""`verify --report`: its place is tried before anything runs, and a report that fails loses no verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_line import run

import bort_convert
from bort_convert.verification.findings import CheckResult
from bort_convert.verification.render import FORMS
from bort_convert.verification.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SOURCE = "ernie_2_2_8_8.params"


@pytest.fixture(autouse=True)
def _no_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


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
        ("r.pdf", (2, "a report ends in .html, .json, .md, .txt, .xml; choose one of them")),
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


def test_every_report_is_written_and_one_that_fails_stops_no_other(
    places: dict[str, Path], tmp_path: Path, verdict: Callable[..., list[int]]
) -> None:
    first, second, third = (tmp_path / name for name in ("1.md", "2.xml", "3.json"))
    options = [word for path in (first, second, third) for word in ("--report", path)]
    verdict(passed=False)
    assert run("verify", *places.values(), *options).exit_code == 1
    assert [path.read_text("utf-8")[:6] for path in (first, second, third)] == ["**FAIL", "<?xml ", '{\n  "p']
    for passed, code in ((True, 4), (False, 1)):
        for path in (first, second, third):
            path.unlink(missing_ok=True)
        verdict(passed=passed, then=second.mkdir)
        result = run("verify", *places.values(), *options)
        assert result.exit_code == code
        assert ("PASS t is s: bits" if passed else "FAIL bits: some") in result.stdout
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"Error: {second} is a directory")
        assert first.exists()
        assert third.exists()
        second.rmdir()


def test_a_report_that_cannot_be_made_loses_no_verdict(
    places: dict[str, Path], tmp_path: Path, verdict: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_report: object) -> str:
        raise RuntimeError("no fonts")

    monkeypatch.setitem(FORMS, ".html", fail)
    for passed, code in ((True, 4), (False, 1)):
        verdict(passed=passed)
        result = run("verify", *places.values(), "--report", tmp_path / "r.html")
        assert result.exit_code == code
        assert ("PASS t is s: bits" if passed else "FAIL bits: some") in result.stdout
        assert result.stderr == (
            f"Error: {tmp_path / 'r.html'}: the report cannot be made (RuntimeError: no fonts). Choose another form\n"
        )
    assert not (tmp_path / "r.html").exists()


def test_two_reports_need_two_files(places: dict[str, Path], tmp_path: Path, verdict: Callable[..., list[int]]) -> None:
    runs = verdict(passed=True)
    result = run("verify", *places.values(), "--report", tmp_path / "r.md", "--report", tmp_path / "r.md")
    assert (result.exit_code, runs) == (2, [])
    assert "stands there twice" in result.stderr


def test_a_workflow_of_github_gets_its_annotations_and_its_summary_by_itself(
    places: dict[str, Path], tmp_path: Path, verdict: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    for options in ((), ("--report", "github"), ("--json",)):
        verdict(passed=False)
        result = run("verify", *places.values(), *options)
        assert result.exit_code == 1
        lines = [line for line in result.stderr.splitlines() if line.startswith("::")]
        assert lines == ["::error title=t is not s::FAIL bits: some"]
        assert "::error" not in result.stdout
        verdict(passed=True)
        result = run("verify", *places.values(), *options)
        assert (result.exit_code, result.stderr) == (0, "")
    text = summary.read_text("utf-8")
    assert text.startswith("before\n**FAIL bits: some**\n\n| check | verdict | |\n")
    assert (text.count("**FAIL bits"), text.count("**PASS t is s")) == (3, 3)
    assert not (tmp_path / "github").exists()


def test_a_summary_that_cannot_be_written_fails_only_where_it_was_asked_for(
    places: dict[str, Path], tmp_path: Path, verdict: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    runs = verdict(passed=True)
    result = run("verify", *places.values(), "--report", "github")
    assert (result.exit_code, result.stdout, runs) == (4, "", [])
    assert "the step's summary cannot be written" in result.stderr
    result = run("verify", *places.values())
    assert (result.exit_code, runs) == (0, [1])
    assert "the step's summary cannot be written" in result.stderr
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    result = run("verify", *places.values(), "--report", "github")
    assert (result.exit_code, runs) == (2, [1])
    assert "--report github: GITHUB_STEP_SUMMARY is not set" in result.stderr
