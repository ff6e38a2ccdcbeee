"""Paths are text from strangers: what a terminal would obey in one is printed escaped; swapped paths are named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from command_line import run

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "ernie_2_2_8_8.params"
FIT = ("--family", "ernie", "--heads", 2)
STRANGE = "a\n\x1b[31mb"
SHOWN = r"a\n\x1b[31mb"


def printed_by(*words: object, code: int = 0) -> str:
    result = run(*words)
    assert result.exit_code == code, result.output
    text: str = result.stdout + result.stderr
    assert text.replace("\n", "").isprintable()
    return text


def test_no_command_prints_what_a_terminal_obeys_in_a_path(fixtures: Path, tmp_path: Path) -> None:
    source, out = tmp_path / f"{STRANGE}.params", tmp_path / STRANGE
    source.write_bytes((fixtures / SOURCE).read_bytes())
    assert printed_by(source, out, *FIT).startswith(f"{tmp_path}/{SHOWN}: BertForPreTraining")
    assert printed_by("inspect", source, *FIT).startswith(f"{tmp_path}/{SHOWN}.params: MXNet list file")
    assert f"{SHOWN}.npz: 47 arrays" in printed_by("extract", source, out.with_suffix(".npz"))
    assert printed_by("check", out).startswith(f"{tmp_path}/{SHOWN}: 4 files and 46 tensors")
    assert f"{SHOWN}.back: ernie (language model) from {SHOWN}\n" in printed_by("export", out, out.with_suffix(".back"))
    printed = printed_by("tokenizer", out, "--vocab", fixtures / "tiny_bert.vocab", "--cased")
    assert printed.startswith(f"{tmp_path}/{SHOWN}: a tokenizer from tiny_bert.vocab")
    document = json.loads(run("inspect", source, "--json", *FIT).stdout)
    assert document["path"] == str(source)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("{missing}", "{out}"), 3),
        (("inspect", "{missing}"), 3),
        (("extract", "{missing}", "{out}.npz"), 3),
        (("verify", "{missing}", "{folder}"), 3),
        (("verify", "{source}", "{missing}"), 3),
        (("record", "{missing}", "{out}"), 3),
        (("check", "{missing}"), 3),
        (("export", "{missing}", "{out}"), 3),
        (("tokenizer", "{missing}"), 3),
        (("{source}", "{source}", *map(str, FIT)), 4),
        (("extract", "{source}", "{missing}.bin"), 2),
        (("verify", "{source}", "{out}", "--report", "{missing}.bin"), 2),
        (("{source}", "{out}", "--labels", "{missing}.txt"), 2),
    ],
)
def test_an_error_names_a_path_in_one_line_and_escaped(
    words: tuple[str, ...], code: int, fixtures: Path, tmp_path: Path
) -> None:
    source = tmp_path / f"{STRANGE}.params"
    source.write_bytes((fixtures / SOURCE).read_bytes())
    places = {"missing": tmp_path / f"{STRANGE}-missing", "out": tmp_path / "out", "source": source}
    run(fixtures / SOURCE, tmp_path / "folder", *FIT)
    places["folder"] = tmp_path / "folder"
    printed = printed_by(*(word.format(**places) for word in words), code=code)
    assert SHOWN in printed
    assert len(printed.splitlines()) == 1 or "Usage: " in printed


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("verify {out} {source}", "verify {source} {out}"),
        ("convert {out} {source}", "convert {source} {out}"),
        ("{new} {source}", "convert {source} {new}"),
        ("export {new} {out}", "export {out} {new}"),
        ("export {source} {out}", "export {out} {source}"),
        ("extract {new}.npz {source}", "extract {source} {new}.npz"),
        ("extract {npz} {source}", "extract {source} {npz}"),
        ("record {new} {source}", "record {source} {new}"),
        ("record {trace} {source}", "record {source} {trace}"),
    ],
)
def test_swapped_paths_are_named_with_the_command_that_is_meant(
    words: str, meant: str, fixtures: Path, tmp_path: Path
) -> None:
    source, out, npz = fixtures / SOURCE, tmp_path / "out", tmp_path / "x.npz"
    run(source, out, *FIT)
    run("extract", source, npz)
    trace = fixtures / "traces" / "bort_4_8_24_32.safetensors"
    places = {"source": source, "out": out, "new": tmp_path / "n", "npz": npz, "trace": trace}
    result = run(*(word.format(**places) for word in words.split()))
    assert (result.exit_code, result.stdout) == (2, "")
    names = "OUT and BACK.params" if meant.startswith("export") else "SOURCE and OUT"
    message = f"{names} seem to be swapped; did you mean bort-convert {meant.format(**places)}?"
    assert result.stderr.endswith(f"Error: {message}\n")


def test_two_directories_and_two_files_are_no_verification(fixtures: Path, tmp_path: Path) -> None:
    run(fixtures / SOURCE, tmp_path / "out", *FIT)
    result = run("verify", tmp_path / "out", tmp_path / "out")
    assert (result.exit_code, result.stderr) == (
        3,
        f"Error: {tmp_path / 'out'}: this is a directory. Expected SOURCE, a .params file or a trace\n",
    )
    for other in (fixtures / SOURCE, tmp_path / "out" / "config.json"):
        result = run("verify", fixtures / SOURCE, other)
        assert (result.exit_code, result.stderr) == (
            3,
            f"Error: {other}: this is a file. Expected OUT, the directory of a conversion\n",
        )


def test_right_paths_are_not_taken_for_swapped_ones(fixtures: Path, tmp_path: Path) -> None:
    assert run("extract", fixtures / SOURCE, tmp_path / "x.npz").exit_code == 0
    assert run("extract", fixtures / SOURCE, tmp_path / "x.npz", "--force").exit_code == 0
    assert run("extract", tmp_path / "x.npz", tmp_path / "y.safetensors").exit_code == 0
    assert run(fixtures / SOURCE, tmp_path / "out", *FIT).exit_code == 0
    assert run("export", tmp_path / "out", tmp_path / "b.params").exit_code == 0
    assert run("export", tmp_path / "out", tmp_path / "b.params", "--force").exit_code == 0
    both = run(fixtures / SOURCE, fixtures / SOURCE, *FIT)
    assert (both.exit_code, "swapped" in both.stderr) == (4, False)
    assert run(tmp_path / "missing.params", "").stderr.startswith(f"Error: {tmp_path}/missing.params: there is no such")
