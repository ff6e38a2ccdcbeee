"""How `bort-convert agora` is typed: what is missing, and messages that speak flags."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from command_line import run
from word_task import SETS, converted

if TYPE_CHECKING:
    from pathlib import Path

DATA = [word for name, path in SETS.items() for word in (f"--{name}", path)]


def test_what_is_missing_is_said_at_once(tmp_path: Path) -> None:
    result = run("agora", "--train", "train.csv")
    assert result.exit_code == 2
    assert "missing: --dev, --teacher, CANDIDATE, --out; or go on with a run by --resume RUN" in result.stderr
    result = run("agora", "--resume", tmp_path / "none")
    assert result.exit_code == 2
    assert "no run was started there; expected the directory of one" in result.stderr
    assert run("agora", "alice", *DATA, "--teacher", "t", "--prune", "best", "--out", "o").exit_code == 2


@pytest.mark.torch
def test_all_problems_are_said_in_flags_and_nothing_is_started(tmp_path: Path) -> None:
    theta = tmp_path / "theta.toml"
    theta.write_text("lr = [-1.0]\n")
    words = ["agora", converted(tmp_path), *DATA, "--teacher", tmp_path, "--theta", theta, "--out", tmp_path / "run"]
    result = run(*words, "--copies", "0", "--judge-share", "1.5", "--tau", "blur", "--device", "cuda:99", "--json")
    assert result.exit_code == 2
    error = json.loads(result.stdout)["error"]
    assert error["type"] == "AgoraError"
    lines = "\n".join(error["disagreements"])
    for part in (
        "--copies 0: expected",
        "--judge-share 1.5: expected",
        "lr -1.0",
        "--tau blur",
        "--device cuda:99: torch cannot use it",
        "Install a build of torch that can, or choose --device cpu",
        f"--teacher {tmp_path}",
    ):
        assert part in lines
    assert error["message"].startswith("nothing was started: 6 problems")
    assert not (tmp_path / "run").exists()
