from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bort_convert.batch.journal import FILE_NAME, Journal, read_memories
from bort_convert.batch.result import FileResult
from bort_convert.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

STATE = {"version": "1", "options": {}, "files": {}, "verify": None}
DONE = FileResult("a", "a.params", status="converted", manifest="77", sha256="88", size=5, state=STATE)


def fill(folder: Path) -> None:
    with Journal(folder) as journal:
        journal.begin("a", STATE, before="", free=True)
        journal.end("a", DONE.to_dict())
        journal.begin("b", STATE, before="99", free=False)


def test_a_journal_tells_what_ended_and_what_only_began(tmp_path: Path) -> None:
    assert read_memories(tmp_path / "new") == {}
    fill(tmp_path / "new")
    memories = read_memories(tmp_path / "new")
    done, begun = memories["a"], memories["b"]
    assert FileResult.from_dict(done.end) == DONE
    assert (done.is_open, done.is_ours) == (False, True)
    assert (begun.end, begun.state, begun.before, begun.is_open, begun.is_ours) == (None, STATE, "99", True, False)


def test_a_target_stays_ours_and_a_worker_that_died_leaves_its_conversion_open(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.begin("a", STATE, before="", free=True)
        journal.begin("a", STATE, before="77", free=False)
        lost = FileResult("a", "a.params", status="failed", error={"type": "WorkerDied", "message": "SIGKILL"})
        journal.end("a", lost.to_dict())
    memory = read_memories(tmp_path)["a"]
    assert (memory.is_ours, memory.is_open, memory.end["status"]) == (True, True, "failed")


@pytest.mark.parametrize("cut", [1, 2, 30, 200])
def test_a_torn_last_line_is_passed_over_and_ended(tmp_path: Path, cut: int) -> None:
    fill(tmp_path)
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    path.write_bytes(whole[: -min(cut, len(last) - 1)])
    assert "a" in read_memories(tmp_path)
    assert ("b" in read_memories(tmp_path)) is (cut == 1)  # the line is whole but for its end
    fill(tmp_path)
    memories = read_memories(tmp_path)
    assert memories["a"].end["status"] == "converted"
    assert memories["b"].is_open
    torn = [line for line in path.read_bytes().splitlines() if not is_json(line)]
    assert len(torn) == (cut > 1)


@pytest.mark.parametrize(
    "line", [b"\xff\xfe", b"[]", b'{"event": "end", "name": "a"}', b'{"event": "begin"}', b"[" * 9999]
)
def test_a_line_that_is_no_record_is_passed_over(tmp_path: Path, line: bytes) -> None:
    fill(tmp_path)
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes() + line + b"\n")
    assert {name: memory.is_open for name, memory in read_memories(tmp_path).items() if name} == {"a": False, "b": True}


@pytest.mark.skipif(os.name != "posix", reason="needs locks")
def test_a_second_batch_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    code = f"import bort_convert.batch.journal as j, pathlib\nwith j.Journal(pathlib.Path({str(tmp_path)!r})): print(1)"
    with Journal(tmp_path):
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert f"another batch writes there (process {os.getpid()} on " in process.stderr
        assert "Wait for its end, or choose another root" in process.stderr
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


def test_a_journal_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/batch.journal: cannot be written: "):
        Journal(tmp_path / "file")
    (tmp_path / "root" / FILE_NAME).mkdir(parents=True)
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        Journal(tmp_path / "root")


def is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def test_a_disk_that_is_full_ends_a_batch_with_our_error_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path)
    write, parts = os.write, iter((2, 1, 2))  # "c" in two writes, half of "d", and then the disk is full

    def scarce(descriptor: int, data: memoryview) -> int:
        part = next(parts, None)
        if part is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[: len(data) // part])

    with Journal(tmp_path) as journal:
        monkeypatch.setattr(os, "write", scarce)
        journal.begin("c", STATE, before="", free=True)
        with pytest.raises(
            OutputError, match=r"batch\.journal: cannot be written: No space left on device\. Free some"
        ):
            journal.begin("d", STATE, before="", free=True)
    monkeypatch.undo()
    fill(tmp_path)
    assert {"a", "b", "c"} <= read_memories(tmp_path).keys()
    assert "d" not in read_memories(tmp_path)
