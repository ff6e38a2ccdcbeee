"""Results where stdout or stderr cannot have them: a full disk, a pipe that nobody reads, a closed stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import run

if TYPE_CHECKING:
    from collections.abc import Sequence

FULL = Path("/dev/full")
NO_SPACE = "Error: the result cannot be printed: No space left on device"
SOURCE = "ernie_2_2_8_8.params"
FIT = ("--family", "ernie", "--heads", "2")
WORDS = {
    "convert": ("convert", "{source}", "{new}", *FIT),
    "inspect": ("inspect", "{source}", *FIT),
    "extract": ("extract", "{source}", "{new}.npz"),
    "verify": ("verify", "{source}", "{out}"),
    "record": ("record", "{source}", "{new}"),
    "check": ("check", "{out}"),
    "export": ("export", "{out}", "{new}"),
    "tokenizer": ("tokenizer", "{out}", "--vocab", "{vocab}", "--cased"),
    "families": ("families",),
    "help": ("--help",),
    "version": ("--version",),
    "help of a command": ("convert", "--help"),
}
WRITES = {"convert", "extract", "record", "export", "tokenizer"}
PROGRAM = """
import sys
import bort_convert
from bort_convert.cli import main
from bort_convert.verification.findings import CheckResult
from bort_convert.verification.report import Report
from bort_convert.verification.trace import Trace

def verify(source, out, **options):
    return Report(source="s", target="t", checks=(CheckResult("bits", passed=%r, detail="some"),))

bort_convert.verify = verify
bort_convert.record = lambda *paths, **options: Trace({}, {"float32": {"layer.0": None}}, {})
sys.exit(main(sys.argv[1:], prog_name="bort-convert"))
"""
"""The program, with a verification and a record that need no framework."""


@pytest.fixture
def places(fixtures: Path, tmp_path: Path) -> dict[str, Path]:
    out = tmp_path / "out"
    assert run(fixtures / SOURCE, out, *FIT).exit_code == 0
    return {"source": fixtures / SOURCE, "out": out, "new": tmp_path / "new", "vocab": fixtures / "tiny_bert.vocab"}


def ended(
    words: Sequence[str], places: dict[str, Path], redirection: str, *, passed: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run the program in bash with a redirection of its streams; the exit code is the program's own."""
    program = [sys.executable, "-c", PROGRAM % passed, *(word.format(**places) for word in words)]
    script = f'"$@" {redirection}; exit ${{PIPESTATUS[0]}}'
    return subprocess.run(["/bin/bash", "-c", script, "-", *program], capture_output=True, text=True, check=False)


@pytest.mark.long
@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("name", WORDS)
def test_a_result_that_cannot_be_printed_is_one_line_and_an_exit_code(
    name: str, form: str, places: dict[str, Path]
) -> None:
    words = WORDS[name] if form == "text" or name.startswith(("help", "version")) else (*WORDS[name], "--json")
    full = ended(words, places, "> /dev/full")
    last = full.stderr.splitlines()[-1]
    assert full.returncode == 4, full.stderr
    assert "Traceback" not in full.stderr
    assert last.startswith(NO_SPACE)
    assert last.endswith(" is complete") is (name in WRITES)
    assert len(full.stderr.splitlines()) == 1 + (name in {"verify", "check"})
    again = (*words, *(("--force",) if name in WRITES - {"tokenizer"} else ()))
    closed = ended(again, places, ">&-")
    assert (closed.returncode, closed.stderr) == (0, "")
    unread = ended(again, places, "| true")
    assert unread.stderr == ""
    assert unread.returncode in {141, 0}  # 0 where all was written before the reader ended


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("form", ["", "--json"])
def test_what_was_written_stays_where_the_result_cannot_be_printed(form: str, places: dict[str, Path]) -> None:
    result = ended([*WORDS["convert"], *filter(None, [form])], places, "> /dev/full")
    assert (result.returncode, result.stderr) == (4, f"{NO_SPACE}; {places['new']} is complete\n")
    assert run("check", places["new"]).exit_code == 0


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("form", ["", "--json", "--quiet"])
def test_a_verdict_goes_to_stderr_where_stdout_cannot_have_it(form: str, places: dict[str, Path]) -> None:
    for passed, code, headline in ((True, 4, "PASS t is s: bits"), (False, 1, "FAIL bits: some")):
        words = [*WORDS["verify"], *filter(None, [form])]
        result = ended(words, places, "> /dev/full", passed=passed)
        printed = "" if form == "--quiet" else f"{NO_SPACE}\n"
        shown = "" if form == "--quiet" and passed else f"{headline}\n"
        assert (result.returncode, result.stderr) == (0 if form == "--quiet" and passed else code, shown + printed)
    (places["out"] / "config.json").write_text("{}", "utf-8")
    result = ended([*WORDS["check"], *filter(None, [form])], places, "> /dev/full")
    assert result.returncode == 1
    assert result.stderr.startswith(f"{places['out']}: 1 problem\n")


def test_a_failed_check_stays_one_where_nobody_reads_its_result(places: dict[str, Path]) -> None:
    result = ended(WORDS["verify"], places, "| exec 0<&- true", passed=False)
    assert (result.returncode, result.stderr.splitlines()[:1]) in [(1, ["FAIL bits: some"]), (1, [])]


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("inspect", "missing"), 3),
        (("inspect", "missing", "--json"), 3),
        (("inspect", "missing", "--debug"), 3),
        (("inspect",), 2),
        (("inspekt", "x"), 2),
        (("inspect", "{source}", "--unheard-of", "--json"), 2),
        (WORDS["inspect"], 0),
        (WORDS["verify"], 0),
    ],
)
def test_stderr_that_cannot_be_written_to_changes_no_exit_code(
    words: tuple[str, ...], code: int, places: dict[str, Path]
) -> None:
    for redirection in ("2> /dev/full", "2>&-", "> /dev/full 2> /dev/full" if code else "2> /dev/full"):
        assert ended(words, places, redirection).returncode == code


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_an_error_as_json_is_printed_on_stderr_too_where_stdout_is_full(places: dict[str, Path]) -> None:
    result = ended(("inspect", "missing", "--json"), places, "> /dev/full")
    assert (result.returncode, result.stderr) == (3, "Error: missing: there is no such file\n")


def test_a_source_whose_name_is_no_utf_8_and_its_result(fixtures: Path, tmp_path: Path) -> None:
    source = tmp_path / os.fsdecode(b"n\xe9g.params")
    try:
        source.write_bytes((fixtures / SOURCE).read_bytes())
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")
    out = tmp_path / os.fsdecode(b"o\xe9")
    places = {"source": source, "out": out, "new": tmp_path / "new"}
    for name in ("convert", "inspect", "extract", "check", "export"):
        words = ("convert", "{source}", "{out}", *FIT) if name == "convert" else WORDS[name]
        for form in ("", "--json"):
            force = ["--force"] if form and name in WRITES else []
            result = ended([*words, *filter(None, [form]), *force], places, "")
            assert (result.returncode, result.stderr) == (0, ""), name
            if form:
                json.loads(result.stdout)
            assert result.stdout.replace("\n", "").isprintable()
    document = json.loads(ended((*WORDS["inspect"], "--json"), places, "").stdout)
    assert document["path"] == str(source)
    manifest = json.loads((out / "conversion.json").read_text("utf-8"))
    assert manifest["source"]["name"] == source.name
