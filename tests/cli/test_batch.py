"""`bort-convert batch`: exit codes, lines of JSON, reports, and where its options come from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import junitparser
import pytest
from command_line import run
from environment import unmeasured
from fleet import FIXTURES, launch, write_plan

from bort_convert import cli

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def _no_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return write_plan(tmp_path / "plan.jsonl", launch(tmp_path / "in", 3, 1))


def test_a_batch_with_a_failure_ends_with_1_and_names_it(plan: Path, tmp_path: Path) -> None:
    result = run("batch", plan, "--out", tmp_path / "out", "--jobs", 1)
    assert result.exit_code == 1
    assert result.stdout.startswith("FAIL 1 of 4 files: 3 converted, 1 failed\n\nverdict  file ")
    assert "Truncated download?" in result.stdout
    assert "4 of 4: " in result.stderr
    document = json.loads((tmp_path / "out" / "batch.json").read_text())
    assert (document["passed"], len(document["files"])) == (False, 4)
    quiet = run("batch", plan, "--out", tmp_path / "out", "--quiet")
    assert (quiet.exit_code, quiet.stdout) == (1, "")
    assert quiet.stderr == "FAIL 1 of 4 files: 3 up to date, 1 failed\n"


def test_json_is_one_line_for_each_file(plan: Path, tmp_path: Path) -> None:
    result = run("batch", plan, "--out", tmp_path / "out", "--jobs", 1, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert sorted(line["status"] for line in lines) == ["converted", "converted", "converted", "failed"]
    assert result.stderr == "FAIL 1 of 4 files: 3 converted, 1 failed\n"


def test_options_of_the_command_line_hold_where_the_plan_has_none(tmp_path: Path) -> None:
    source = FIXTURES / "bert_2_2_8_8-classifier3.params"
    (tmp_path / "p.csv").write_text(f'source,name,labels\n{source},a,"x,y,z"\n{source},b,\n')
    options = ("--family", "bert", "--heads", 2, "--labels", "u,v,w", "--license", "mit", "--no-checksums")
    result = run("batch", tmp_path / "p.csv", "--out", tmp_path / "out", "--jobs", 1, *options)
    assert result.exit_code == 0, result.output
    for name, labels in (("a", ["x", "y", "z"]), ("b", ["u", "v", "w"])):
        manifest = json.loads((tmp_path / "out" / name / "conversion.json").read_text())
        assert manifest["options"] == {"family": "bert", "heads": 2, "labels": labels, "license": "mit"}
        assert manifest["source"]["sha256"] == ""
    again = run("batch", tmp_path / "p.csv", "--out", tmp_path / "out", "--jobs", 1, *options)
    assert again.stdout.startswith("PASS 2 files: 2 up to date\n")


def test_a_graph_tells_the_heads_of_a_row_or_of_all(tmp_path: Path) -> None:
    bert, gpt2 = FIXTURES / "bert_2_2_8_8.params", FIXTURES / "gpt2_2_3_48_12.params"
    (tmp_path / "p.csv").write_text(
        f"source,family,symbol\n{gpt2},,{FIXTURES}/graphs/{gpt2.stem}-symbol.json\n{bert},bert,\n"
    )
    graph = ("--symbol", FIXTURES / "graphs" / f"{bert.stem}-symbol.json")
    assert run("batch", tmp_path / "p.csv", "--out", tmp_path / "one", "--jobs", 1).exit_code == 1
    result = run("batch", tmp_path / "p.csv", "--out", tmp_path / "out", "--jobs", 1, *graph)
    assert result.exit_code == 0, result.stdout
    config = json.loads((tmp_path / "out" / gpt2.stem / "config.json").read_text())
    assert config["n_head"] == 3
    assert json.loads((tmp_path / "out" / bert.stem / "config.json").read_text())["num_attention_heads"] == 2


def test_a_cluster_is_named_right_and_not_beside_jobs_of_this_machine(plan: Path, tmp_path: Path) -> None:
    both = run("batch", plan, "--out", tmp_path / "out", "--jobs", 2, "--ray", "auto")
    assert (both.exit_code, "--jobs is for this machine" in both.stderr) == (2, True)
    wrong = run("batch", plan, "--out", tmp_path / "out", "--ray", "local")
    assert (wrong.exit_code, wrong.stderr) == (
        2,
        "Error: --ray local: expected HOST:PORT of the head of a Ray cluster that runs, or auto\n",
    )
    assert not (tmp_path / "out").exists()


def test_a_wrong_plan_ends_with_2_and_all_its_mistakes(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("source,heads\na.params,x\n,3\n")
    result = run("batch", tmp_path / "p.csv", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 2
    error = json.loads(result.stdout)["error"]
    assert error["type"] == "PlanError"
    assert [line.partition("p.csv:")[2][:8] for line in error["disagreements"]] == ["2: heads", "3: sourc"]
    assert not (tmp_path / "out").exists()


def test_a_bar_counts_files_failures_and_bytes_where_a_person_looks(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as caught:
        cli.main(["batch", str(plan), "--out", str(tmp_path / "out"), "--jobs", "1"])
    assert caught.value.code == 1
    shown = capsys.readouterr().err
    assert "4 of 4, 1 failed" in shown
    size = sum(path.stat().st_size for path in (tmp_path / "in").iterdir()) / 1000
    assert f"{size:.1f}/{size:.1f} kB" in shown


def test_an_empty_root_is_refused(plan: Path) -> None:
    result = run("batch", plan, "--out", "")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "the name of the output is empty" in result.stderr


@pytest.mark.report
def test_reports_are_tried_first_and_written_last(plan: Path, tmp_path: Path) -> None:
    result = run("batch", plan, "--out", tmp_path / "out", "--report", tmp_path / "r.pdf")
    assert (result.exit_code, (tmp_path / "out").exists()) == (2, False)
    reports = [tmp_path / f"r.{ending}" for ending in ("xml", "html", "md", "txt", "json")]
    words = [word for path in reports for word in ("--report", path)]
    result = run("batch", plan, "--out", tmp_path / "out", "--jobs", 1, *words)
    assert result.exit_code == 1
    document = junitparser.JUnitXml.fromfile(str(reports[0]))
    assert (document.tests, document.errors) == (4, 1)
    assert all(path.stat().st_size > 100 for path in reports)


def test_a_workflow_gets_an_annotation_for_each_failure(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    result = run("batch", plan, "--out", tmp_path / "out", "--jobs", 1)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("::")]
    assert line.startswith("::error title=broken-0%3A FormatError::")
    assert (tmp_path / "summary").read_text().startswith("**FAIL 1 of 4 files: 3 converted, 1 failed**\n\n| file |")


def test_a_dry_run_writes_nothing(plan: Path, tmp_path: Path) -> None:
    result = run("batch", plan, "--out", tmp_path / "out", "--dry-run", "--jobs", 1)
    assert result.exit_code == 1
    assert result.stdout.startswith("FAIL 1 of 4 files: 3 fits, 1 failed\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_all_workers_and_leaves_nothing_half_done(
    tmp_path: Path, sent: signal.Signals, status: int
) -> None:
    (tmp_path / "in").mkdir()
    plan = write_plan(tmp_path / "plan.jsonl", launch(tmp_path / "in", 100, 0))
    command = [sys.executable, "-m", "bort_convert", "batch", plan, "--out", tmp_path / "out", "--jobs", "2"]
    process = subprocess.Popen(
        list(map(str, command)),
        stderr=subprocess.PIPE,
        text=True,
        env=unmeasured(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )
    assert process.stderr is not None
    assert "1 of 100" in process.stderr.readline()
    process.send_signal(sent)
    _, stderr = process.communicate()
    assert process.returncode == status
    assert stderr.endswith(f"Interrupted by {sent.name}\n")
    assert "Traceback" not in stderr or "Exception ignored in" in stderr  # Python drops one in a finalizer
    names = [path.name for path in (tmp_path / "out").rglob("*")]
    assert not [name for name in names if name.startswith(".")]
    assert "batch.json" not in names
    assert run("batch", plan, "--out", tmp_path / "out", "--jobs", 2).exit_code == 0
