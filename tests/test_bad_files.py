"""The reader and every command give the expected message for every malformed file of fixtures/bad_files.py."""

from __future__ import annotations

import io
import json
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bad_files import BAD_FILES, BadFile
from click.testing import CliRunner, Result
from environment import unmeasured
from params_files import list_file, names, npy, record, u32

from bort_convert import MAX_ARRAYS, cli, convert, open_params
from bort_convert.errors import FormatError
from bort_convert.verification import is_trace, load_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FEWEST = 60
FILES = {bad.name: bad for bad in BAD_FILES}
# Prints its calls and its peak memory on stderr at its end; Linux counts the peak from the start of each program.
PROGRAM = """
import sys
from counts import Calls
from damage import peak_mb
from bort_convert.cli import main
calls = Calls()
try:
    with calls:
        main()
finally:
    print(calls.count, peak_mb(), file=sys.stderr)
"""
CALLS, MB = 1000 * MAX_ARRAYS, 300


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments], catch_exceptions=False)


def written(bad: BadFile, folder: Path) -> Path:
    path = folder / bad.name
    path.write_bytes(bad.data)
    return path


def test_there_are_many_malformed_files_and_each_has_its_own_name() -> None:
    assert len(FILES) == len(BAD_FILES) >= FEWEST


@pytest.mark.parametrize("name", FILES)
def test_the_reader_gives_the_expected_message(name: str, tmp_path: Path) -> None:
    bad = FILES[name]
    path = written(bad, tmp_path)
    caught = []
    if bad.reader == "trace":
        caught.append(refusal(lambda: load_trace(path)))
    elif bad.at == "open":
        caught.append(refusal(lambda: open_params(path)))
    else:
        with open_params(path) as params:
            (array,) = params
            caught += [refusal(lambda: params.pieces(array)), refusal(lambda: params[array])]
    for message in caught:
        if bad.reader == "trace":  # some end in a message of Python's
            assert message.startswith(f"{path}: ")
            assert bad.message in message
        else:
            assert message == f"{path}: {bad.message}"
        assert message.isprintable()
        assert len(message) < len(str(path)) + 500


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(FormatError) as caught:
        read()
    return str(caught.value)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("converted") / "out"
    convert(Path(__file__).parents[1] / "fixtures" / "bort_2_3_24_24.params", out, family="bort", heads=3)
    return out


def test_every_command_ends_in_exit_3_and_one_line(
    tmp_path: Path, converted: Path, add_table: Callable[[str, Sequence[str]], None]
) -> None:
    lines = []
    for bad in BAD_FILES:
        path, out = written(bad, tmp_path), tmp_path / "out.npz"
        message = ""
        if bad.reader == "trace":
            message = failed(run("verify", path, converted), expected=bad.message if is_trace(path) else "")
        else:
            for arguments in (("inspect", path, "--values"), ("extract", path, out)):
                message = failed(run(*arguments), expected=bad.message)
            if bad.at == "open":
                failed(run("verify", path, converted), expected="" if is_trace(path) else bad.message)
                failed(run(path, tmp_path / "out"), expected=bad.message)
        assert [found.name for found in tmp_path.iterdir()] == [bad.name]
        path.unlink()
        lines.append(f"{bad.name}\n    rule:  {bad.rule}\n    {message.replace(f'{path}: ', '')}")
    add_table(f"{len(BAD_FILES)} bad files, and the messages of inspect, extract, convert and verify", lines)


def failed(result: Result, *, expected: str) -> str:
    """Check that a command ended with exit code 3, and return the only line that it printed."""
    assert (result.exit_code, result.stdout) == (3, ""), result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert as_shown(expected) in line
    return line


def as_shown(message: str) -> str:
    """A message of the reader as a command shows it."""
    message = message.replace("`max_arrays=32769`", "--max-arrays 32769")
    return re.sub(r"`(allow_\w+=True)`", r"`open_params(..., \1)` in Python", message)


def test_the_json_of_an_error_has_the_message(tmp_path: Path) -> None:
    bad = FILES["list-repeated-name-with-control-characters.params"]
    result = run("extract", written(bad, tmp_path), tmp_path / "x.npz", "--json")
    assert as_shown(bad.message) in json.loads(result.stdout)["error"]["message"]


def bomb() -> bytes:
    """Make an archive of 130 kB whose one deflated member unpacks to 128 MiB of zeros, as its headers say."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = bytes(2**20)
    data = b"".join(packer.compress(piece) for _ in range(128)) + packer.flush()
    fields = struct.pack("<3I2H", 0, len(data), 2**27, 5, 0)
    local = b"PK\3\4" + struct.pack("<5H", 20, 0x800, 8, 0, 33) + fields + b"w.npy"
    central = b"PK\1\2" + struct.pack("<6H", 20, 20, 0x800, 8, 0, 33) + fields + bytes(14) + b"w.npy"
    return local + data + central + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local + data), 0)


def many_members() -> bytes:
    """Make an archive of as many members as are read."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for number in range(MAX_ARRAYS):
            target.writestr(zipfile.ZipInfo(f"{number}.npy"), npy(bytes(4), "(1,)"))
    return buffer.getvalue()


TINY = record(bytes(4), (1,))
HOSTILE: dict[str, tuple[Callable[[], bytes], int]] = {
    "60 bytes that claim terabytes": (lambda: list_file(record(bytes(4), (2**40,)), table=b""), 3),
    "a zip bomb": (bomb, 3),
    "10 million tiny arrays": (lambda: list_file(table=u32(0) * 10_000_002, count=10_000_000), 3),
    "as many tiny arrays as are read": (lambda: list_file(table=TINY * MAX_ARRAYS + bytes(8), count=MAX_ARRAYS), 0),
    "as many tiny members as are read": (many_members, 0),
    "a name of 40 MB": (lambda: list_file(record(bytes(4), (1,)), table=names("x" * 40_000_000)), 3),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="reads the counts that Linux keeps of a process")
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_takes_few_calls_and_300_mb_at_most(case: str, tmp_path: Path) -> None:
    build, status = HOSTILE[case]
    (tmp_path / "x.params").write_bytes(build())
    environment = unmeasured()
    environment["PYTHONPATH"] = str(Path(__file__).parent / "support")
    for arguments in (["inspect", "x.params"], ["extract", "x.params", "out.safetensors"]):
        process = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            cwd=tmp_path, env=environment, check=False, text=True, capture_output=True,
        )  # fmt: skip
        assert process.returncode == status, process.stderr
        calls, peak = process.stderr.split()[-2:]
        assert int(calls) < CALLS
        assert float(peak) < MB


def test_the_limit_on_arrays_can_be_raised_and_lowered(fixtures: Path, tmp_path: Path) -> None:
    many = tmp_path / "many.params"
    many.write_bytes(list_file(table=u32(0) * (MAX_ARRAYS + 1) + bytes(8), count=MAX_ARRAYS + 1))
    assert run("inspect", many, "--quiet").exit_code == 3
    assert run("inspect", many, "--quiet", "--max-arrays", MAX_ARRAYS + 1).exit_code == 0
    source = fixtures / "bort_2_3_24_24.params"
    for arguments in (["inspect"], ["extract", tmp_path / "x.npz"], ["convert", tmp_path / "x"]):
        result = run(arguments[0], source, *arguments[1:], "--max-arrays", 40)
        assert result.exit_code == 3
        assert "announces 42 arrays; at most 40 are read. If the file is what it should be, raise the" in result.stderr
        assert result.stderr.endswith("limit with --max-arrays 42\n")


def test_names_together_have_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    halves = ["a" * 2**19, "b" * 2**19]
    for extra, refused in (([], False), (["c"], True)):
        in_file = halves + extra
        path.write_bytes(list_file(*[u32(0)] * len(in_file), table=names(*in_file)))
        if refused:
            assert "name 3 of 3 has 1 bytes at byte" in refusal(lambda: open_params(path, max_arrays=9))
        else:
            with open_params(path, max_arrays=9) as params:
                assert list(params.header) == in_file
