from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bort_convert.cli.terminal import draw, fold
from bort_convert.plain_table import TextTable, plain_text

if TYPE_CHECKING:
    from pathlib import Path

NAME = "encoder.transformer_cells.0.attention_cell.proj_query.weight"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
posix = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 10, [""]),
        ("copy", 10, ["copy"]),
        ("filled with 0: no segments", 12, ["filled with", "0: no", "segments"]),
        (NAME, 60, [NAME]),
        (NAME, 20, ["encoder.", "transformer_cells.0.", "attention_cell.", "proj_query.weight"]),
        (NAME, 14, ["encoder.", "transformer_", "cells.0.", "attention_", "cell.", "proj_query.", "weight"]),
        ("layers 2, hidden_size 24", 18, ["layers 2,", "hidden_size 24"]),
        ("2 x 3 and 30522 x 768", 13, ["2 x 3 and", "30522 x 768"]),
        ("0.00125 1.5e-06", 9, ["0.00125", "1.5e-06"]),
        ("/home/some/where/model.safetensors", 14, ["/home/some/", "where/model.", "safetensors"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("語語語語", 4, ["語語", "語語"]),
    ],
)
def test_text_is_folded_between_words_then_after_marks_in_a_name(text: str, width: int, lines: list[str]) -> None:
    assert fold(text, width) == lines


def test_a_table_without_a_column_has_its_other_columns() -> None:
    table = TextTable(("A", "B", "C"), [("1", "2", "3")], optional=("B", "C"))
    assert table.without("B") == TextTable(["A", "C"], [["1", "3"]], optional=["C"])
    assert (
        plain_text(["first", table, TextTable((), [("a", "b"), ("cc", "d")])])
        == "first\nA  B  C\n1  2  3\na   b\ncc  d"
    )


def on_a_terminal(columns: int, *command: object, **environment: str) -> tuple[int, str]:
    """Exit status and output of the program on a pseudo-terminal, which is its stdout and stderr."""
    import fcntl  # noqa: PLC0415 - Windows has none of these
    import pty  # noqa: PLC0415
    import struct  # noqa: PLC0415
    import termios  # noqa: PLC0415

    own, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR", "FORCE_COLOR"}}
    words = [sys.executable, "-m", "bort_convert", *map(str, command)]
    process = subprocess.Popen(
        words, stdout=its, stderr=its, env=kept | {"TERM": "xterm-256color"} | environment, close_fds=True
    )
    os.close(its)
    output = b""
    while True:
        try:
            part = os.read(own, 1 << 16)
        except OSError:  # Linux's way to say that the other side is closed
            break
        if not part:
            break
        output += part
    os.close(own)
    return process.wait(), output.decode().replace("\r\n", "\n")


@posix
@pytest.mark.parametrize("columns", [80, 120, 200])
def test_on_a_terminal_columns_fold_and_no_word_is_broken(columns: int, fixtures: Path) -> None:
    source = fixtures / "bort_4_8_24_32.params"
    status, drawn = on_a_terminal(columns, "inspect", source, "--family", "bort", "--heads", 8)
    lines = CONTROL.sub("", drawn).splitlines()
    assert status == 0
    assert max(map(len, lines)) <= columns
    assert any(set(line) == {"─"} for line in lines)
    # No word of the plain text is broken by the columns.
    piped = subprocess.run(
        [sys.executable, "-m", "bort_convert", "inspect", source, "--family", "bort", "--heads", "8"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "─" not in piped
    words = re.split(r"[\s._/]+", piped)
    drawn_words = set(re.split(r"[\s._/]+", "\n".join(lines)))
    assert set(words) <= drawn_words


REPORT = TextTable(
    ("output", "max |d|", "mean |d|", "cosine", ""),
    [("embeddings", "4.8e-07", "5.1e-08", "1.000000000000", "PASS"), ("mlm_logits", "1.5e-05", "-", "-", "FAIL")],
    optional=("mean |d|", "cosine"),
)


@pytest.mark.parametrize(
    ("columns", "lines", "note"),
    [
        (80, ["output      max |d|  mean |d|  cosine", "embeddings  4.8e-07  5.1e-08   1.000000000000  PASS"], ""),
        (
            50,
            ["output      max |d|  cosine", "embeddings  4.8e-07  1.000000000000  PASS"],
            "columns left out at this width: mean |d| (--json\n  has all)",
        ),
        (
            30,
            ["output      max |d|", "embeddings  4.8e-07  PASS"],
            "columns left out at this\n  width: mean |d|, cosine\n  (--json has all)",
        ),
    ],
)
def test_a_narrow_terminal_leaves_optional_columns_out_and_says_so(
    columns: int,
    lines: list[str],
    note: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    draw(["first", REPORT])
    first, title, rule, *rows = (line.rstrip() for line in capsys.readouterr().out.splitlines())
    assert (first, set(rule)) == ("first", {"─"})
    assert [title, rows[0]] == lines
    assert "\n".join(rows[2:]) == note


def test_only_columns_that_fold_become_narrow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    draw([TextTable((), [("PASS", "bits", "42 tensors are equal", "indivisible"), ("", "", "a.long.name", "x")])])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "PASS  bits  42 tensors are       indivisible",
        "            equal",
        "            a.long.name          x",
    ]


@posix
def test_colours_are_left_out_where_nobody_wants_them(fixtures: Path) -> None:
    command = ("inspect", fixtures / "bort_4_8_24_32.params", "--family", "bort", "--heads", 8)
    _, coloured = on_a_terminal(80, *command)
    assert "\x1b[1m" in coloured
    _, plain = on_a_terminal(80, *command, TERM="dumb")
    assert "\x1b" not in plain
    _, without = on_a_terminal(80, *command, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*(3[0-9]|9[0-7])m", without)


@posix
def test_what_a_pipe_gets_has_no_escapes_even_beside_a_terminal() -> None:
    command = [sys.executable, "-m", "bort_convert", "families"]
    piped = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "40"})
    assert piped.stdout.startswith("FAMILY  ")
    assert max(map(len, piped.stdout.splitlines())) > 80
    assert "\x1b" not in piped.stdout
