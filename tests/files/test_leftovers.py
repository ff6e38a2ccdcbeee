from __future__ import annotations

import contextlib
import errno
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bort_convert.errors import OutputError
from bort_convert.files import leftovers
from bort_convert.files.atomic import new_directory
from bort_convert.files.leftovers import directory_lock, partial_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs locks on directories")

# Replaces a directory, by two renames if the argument says so, and waits in the middle to be killed.
RUN = """
import sys, time
from pathlib import Path
from bort_convert.files import atomic

def wait(*_):
    print("now", flush=True)
    time.sleep(60)

if sys.argv[2] == "between two renames":
    atomic._exchange = lambda *_: False
    steps = iter([Path.rename, Path.rename, wait])  # the first is refused, the second moves the old one away
    Path.rename = lambda path, to: next(steps)(path, to)
with atomic.new_directory(sys.argv[1], force=True, reason_to_keep=lambda _: "") as folder:
    (folder / "new").touch()
    if sys.argv[2] == "while it is built":
        wait()
"""


@contextlib.contextmanager
def a_run(target: Path, moment: str) -> Iterator[None]:
    """Start another run into a target and stop it at a moment; kill it when the block ends."""
    with subprocess.Popen([sys.executable, "-c", RUN, target, moment], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"now\n"
            yield
        finally:
            process.kill()


def killed(target: Path, moment: str) -> None:
    with a_run(target, moment):
        pass


def build(target: Path, *, force: bool = True) -> None:
    with new_directory(target, force=force, reason_to_keep=lambda _: "") as folder:
        (folder / "newer").touch()


def beside(target: Path) -> list[Path]:
    return sorted(path for path in target.parent.iterdir() if path != target)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").touch()
    return path


def test_the_next_run_deletes_the_leftovers_of_a_killed_run_and_logs_it(
    target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    killed(target, "while it is built")
    assert (target / "old").exists()
    (left,) = beside(target)
    assert left.name.startswith(".out.partial-")
    build(target.parent / "deeper" / "out")  # another target, of the same name
    assert left.exists()
    build(target)
    assert beside(target) == [target.parent / "deeper"]
    assert caplog.messages == [f"{left}: deleted, a run that was killed had left it"]


def test_the_directory_of_a_live_run_is_left_alone(target: Path, caplog: pytest.LogCaptureFixture) -> None:
    with a_run(target, "while it is built"):
        (theirs,) = beside(target)
        build(target)
        assert beside(target) == [theirs]
    assert caplog.messages == []


def test_an_old_directory_that_was_on_its_way_out_is_put_back(target: Path, caplog: pytest.LogCaptureFixture) -> None:
    killed(target, "between two renames")
    assert not target.exists()
    partial, replaced = beside(target)
    assert (replaced / "old").exists()
    with pytest.raises(OutputError, match="out is not empty"):
        build(target, force=False)
    assert (target / "old").exists()
    assert beside(target) == []
    assert caplog.messages == [
        f"{partial}: deleted, a run that was killed had left it",
        f"{target}: put back, a run that was killed had moved it to {replaced.name}",
    ]


def test_an_old_directory_is_not_deleted_where_something_else_took_its_place(
    target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    killed(target, "between two renames")
    target.mkdir()
    (target / "mine").touch()
    build(target)
    (replaced,) = beside(target)
    assert (replaced / "old").exists()
    assert (target / "newer").exists()
    assert caplog.messages[1] == (f"{replaced}: what stood at {target} before a run that was killed; move or delete it")


def test_no_lock_is_broken_between_two_renames(target: Path) -> None:
    with a_run(target, "between two renames"):
        partial, replaced = beside(target)
        build(target, force=False)
        assert beside(target) == [partial, replaced]


@pytest.mark.parametrize("name", ["out.partial-0123456789abcdef", ".out.partial-x", ".other.partial-0123456789abcdef"])
def test_a_directory_with_another_name_is_never_touched(target: Path, name: str) -> None:
    (target.parent / name).mkdir()
    build(target)
    assert beside(target) == [target.parent / name]


def test_a_link_is_no_leftover(target: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    link = tmp_path / ".out.partial-0123456789abcdef"
    link.symlink_to(precious, target_is_directory=True)
    build(target)
    assert link.is_dir()
    assert caplog.messages == []


def test_a_directory_that_another_run_deletes_before_it_is_locked_is_made_again(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = type(target).mkdir
    made: list[Path] = []

    def mkdir_and_lose_the_first(folder: Path, mode: int) -> None:
        mkdir(folder, mode)
        made.append(folder)
        if len(made) == 1:
            folder.rmdir()

    monkeypatch.setattr(type(target), "mkdir", mkdir_and_lose_the_first)
    with partial_directory(target) as folder:
        assert folder == made[1]
        assert folder.is_dir()
    assert beside(target) == []


@pytest.mark.parametrize("lacking", ["the file system's locks", "fcntl"])
def test_where_the_system_has_no_locks_leftovers_wait_for_a_person(
    target: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, lacking: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "no locks here")

    killed(target, "while it is built")
    (left,) = beside(target)
    if lacking == "fcntl":
        monkeypatch.setattr(leftovers, "HAS_LOCKS", False)
        monkeypatch.delattr(leftovers, "fcntl")
    else:
        monkeypatch.setattr(leftovers.fcntl, "flock", refuse)
    build(target)
    assert (target / "newer").exists()
    assert beside(target) == [left]
    assert caplog.messages == []


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    with directory_lock(tmp_path, own=True) as first, directory_lock(tmp_path, own=True) as second:
        assert (first, second) == (True, False)
    with directory_lock(tmp_path, own=False) as again:
        assert again
    with directory_lock(tmp_path / "nothing", own=True) as absent:
        assert not absent
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError), directory_lock(tmp_path / "file", own=True):
        pass
