from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bort_convert.errors import OutputError
from bort_convert.verification.github import LARGEST_SUMMARY, add_to_summary, annotation, check_summary

if TYPE_CHECKING:
    from pathlib import Path


def test_an_annotation_is_one_line_whatever_its_text_holds() -> None:
    line = annotation("a: b, 100%\nc", "50 % of\r\n::error::x, y: z")
    assert line == "::error title=a%3A b%2C 100%25%0Ac::50 %25 of%0D%0A::error::x, y: z"


def test_a_summary_is_appended_and_never_larger_than_the_runner_takes(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    path.write_text("of an earlier command\n")
    check_summary(path)
    add_to_summary(path, "# Ours é")
    assert path.read_text("utf-8") == "of an earlier command\n# Ours é\n"
    add_to_summary(path, "ééé\n" * LARGEST_SUMMARY)
    add_to_summary(path, "more\n" * LARGEST_SUMMARY)
    text = path.read_text("utf-8")
    assert LARGEST_SUMMARY - 200 < len(text.encode()) <= LARGEST_SUMMARY
    assert set(text.partition("(cut")[0].split("\n")[2:]) == {"ééé", ""}
    assert "(cut here" in text
    assert "more" not in text.replace("no more", "")


@pytest.mark.skipif(os.name != "posix", reason="needs a link")
def test_a_summary_that_cannot_be_written_says_what_names_it(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"summary cannot be written: .*\. GITHUB_STEP_SUMMARY must name a file"):
        check_summary(tmp_path)
