"""A run with a real teacher and two workers, killed and gone on, is the run that nobody disturbed; its model loads."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from word_task import SETS

# It is about processes: MXNet's marker keeps it to one environment.
pytestmark = [
    pytest.mark.mxnet,
    pytest.mark.torch,
    pytest.mark.report,
    pytest.mark.long,
    pytest.mark.skipif(os.name != "posix", reason="needs signals"),
]


def test_a_run_that_is_killed_goes_on_to_the_same_report_and_its_model_loads(
    little: str, tmp_path: Path, real_weights: Path
) -> None:
    import transformers
    from agora_kills import Kills

    assert real_weights.is_dir()
    kills = Kills(tmp_path, Path(little), seed=7)
    assert kills.kill(longest=2.0) == []
    assert kills.end() == []
    report = kills.whole.report
    assert {"plain", "dev too", "teacher"} == {*report["baselines"]}
    assert "dev figures flatter" in (tmp_path / "run" / "best" / "README.md").read_text()
    assert "<svg" in (tmp_path / "run" / "report.html").read_text()

    pipe = transformers.pipeline("text-classification", model=str(tmp_path / "run" / "best"), device="cpu")
    with SETS["test"].open() as file:
        rows = list(csv.DictReader(file))
    answers = pipe([row["text"] for row in rows])
    right = sum(answer["label"] == row["label"] for answer, row in zip(answers, rows, strict=True))
    assert right / len(rows) == report["test"]["accuracy"]
