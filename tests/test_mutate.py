"""The list of equivalent mutants holds for the code as it is, and the score counts what it says."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import mutate
import pytest
from mutate import Change

if TYPE_CHECKING:
    from pathlib import Path

DIFF = """\
# bort_convert.mapping.axes.xǁAxisǁ__str____mutmut_1: survived
--- bort_convert/mapping/axes.py
+++ bort_convert/mapping/axes.py
@@ -1,5 +1,5 @@
 def __str__(self) -> str:
-    if not self.name:
+    if self.name:
         return str(self.offset)
"""


def test_every_equivalent_mutant_changes_lines_that_are_there_and_has_its_reason() -> None:
    assert mutate.stale() == []
    assert all(len(reason.split()) > 3 for reason in mutate.equivalents().values())


@pytest.mark.parametrize(
    ("function", "line"),
    [
        ("bort_convert.mapping.axes.Axis.__str__", "no such line"),
        ("bort_convert.mapping.axes.Axis.gone", "return"),
        ("bort_convert.mapping.axes.Axis.__str__", "from __future__ import annotations"),
    ],
)
def test_an_entry_whose_line_is_not_in_its_function_is_stale(
    function: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = f'[[equivalent]]\nfunction = "{function}"\nbefore = "{line}"\nafter = ["x"]\nreason = "none"\n'
    monkeypatch.setattr(mutate, "EQUIVALENT", tmp_path / "list.toml")
    (tmp_path / "list.toml").write_text(entry)
    assert mutate.stale() == [f"{function}: {line}"]


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("bort_convert.mapping.axes.xǁAxisǁ__str____mutmut_1", "bort_convert.mapping.axes.Axis.__str__"),
        ("bort_convert.params.tar.x__members__mutmut_67", "bort_convert.params.tar._members"),
        ("bort_convert.params.x_listed__mutmut_3", "bort_convert.params.listed"),
    ],
)
def test_a_change_is_known_by_its_function_and_its_lines(name: str, function: str) -> None:
    assert mutate.change_of(name, DIFF) == Change(function, "if not self.name:", "if self.name:")


def test_the_score_is_the_share_of_killed_mutants_among_those_that_can_be_noticed() -> None:
    axes, tar = "bort_convert.mapping.axes.x_a__mutmut_", "bort_convert.params.tar.x_b__mutmut_"
    codes = {f"{axes}1": 1, f"{axes}2": 0, f"{axes}3": 36, f"{axes}4": None, f"{tar}1": 33, f"{tar}2": 1}
    lines, score = mutate.table(codes, [f"{axes}2"])
    assert [line.split() for line in lines] == [
        ["module", "mutants", "killed", "equivalent", "survived", "score"],
        ["bort_convert.mapping.axes", "3", "2", "1", "0", "100.0%"],
        ["bort_convert.params.tar", "2", "1", "0", "1", "50.0%"],
        ["all", "5", "3", "1", "1", "75.0%"],
    ]
    assert score == 0.75


def test_a_run_that_tried_no_mutant_says_what_mutmut_said(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.CompletedProcess([], 1, stdout="1 failed, 1718 passed")
    monkeypatch.setattr(mutate, "mutmut", lambda *_words: ended)
    monkeypatch.setattr(mutate, "exit_codes", lambda: {"bort_convert.mapping.axes.x_a__mutmut_1": None})
    with pytest.raises(SystemExit, match=r"1 failed, 1718 passed\nmutmut tried no mutant"):
        mutate.run(0, 0, 2, [])


def test_mutants_whose_names_begin_so_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, ...]] = []

    def mutmut(*words: str) -> subprocess.CompletedProcess[str]:
        said.append(words)
        return subprocess.CompletedProcess([], 0, stdout="")

    monkeypatch.setattr(mutate, "mutmut", mutmut)
    monkeypatch.setattr(mutate, "exit_codes", lambda: {"bort_convert.params.tar.x_a__mutmut_1": 1})
    mutate.run(0, 0, 2, ["bort_convert.params.tar"])
    mutate.run(5, 0, 2, ["bort_convert.params.tar"])
    mutate.run(0, 0, 2, [])
    chosen = [words[3:] for words in said]
    assert chosen == [("bort_convert.params.tar*",), ("bort_convert.params.tar.x_a__mutmut_1",), ()]
