from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from bort_convert.errors import OutputError
from bort_convert.files import atomic
from bort_convert.files.atomic import new_directory, new_file

SOURCE = Path("somewhere") / "else.params"


def nothing(_: Path) -> str:
    """No reason to keep what stands at the target."""
    return ""


def build(target: Path, text: str = "new", *, force: bool = False) -> None:
    with new_directory(target, source=SOURCE, force=force, reason_to_keep=nothing) as folder:
        (folder / "file").write_text(text)


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_directory_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    with new_directory(target, source=SOURCE) as folder:
        (folder / "file").write_text("new")
        assert not target.exists()
        assert folder.parent == target.parent
    assert (target / "file").read_text() == "new"
    assert leftovers(target.parent) == []


@pytest.mark.skipif(os.name != "posix", reason="Windows syncs no directory")
@pytest.mark.parametrize("kind", ["directory", "file"])
def test_every_file_is_on_the_disk_before_the_target_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    synced: list[tuple[int, bool]] = []
    target = tmp_path / "out"
    fsync = os.fsync

    def recorded_fsync(descriptor: int) -> None:
        fsync(descriptor)
        synced.append((os.fstat(descriptor).st_ino, target.exists()))

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    if kind == "file":
        with new_file(target) as file:
            file.write_text("new")
        expected = [target]
    else:
        with new_directory(target) as folder:
            for name in ("one", "two"):
                (folder / name).write_text(name)
            os.mkfifo(folder / "pipe")  # opening it would wait for a writer
        expected = [target / "one", target / "two", target]
    *before, last = synced
    assert {inode for inode, _ in before} == {path.stat().st_ino for path in expected}
    assert not any(appeared for _, appeared in before)
    assert last == (tmp_path.stat().st_ino, True)


@pytest.mark.parametrize("fault", [errno.EINVAL, errno.ENOTSUP, None])
def test_an_output_appears_where_the_system_cannot_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: int | None
) -> None:
    def refuse(_: int) -> None:
        raise OSError(fault, "no sync here")

    if fault:
        monkeypatch.setattr(os, "fsync", refuse)
    else:
        monkeypatch.delattr(os, "fsync")
    build(tmp_path / "out")
    assert (tmp_path / "out" / "file").read_text() == "new"


def test_an_output_does_not_appear_when_the_disk_fails_to_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "the disk failed")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="out: cannot be written: the disk failed"):
        build(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    build(tmp_path / "out")
    (tmp_path / "other").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_nothing_appears_when_the_block_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with new_directory(tmp_path / "out", source=SOURCE) as folder:
            (folder / "file").write_text("half")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_directory_is_filled_and_a_full_one_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    build(tmp_path / "out", "first")
    with pytest.raises(OutputError) as caught:
        build(tmp_path / "out", "second")
    expected = "is not empty; expected an empty directory, or nothing. Pass `force=True` to replace it"
    assert str(caught.value) == f"{tmp_path / 'out'} {expected}"
    assert (tmp_path / "out" / "file").read_text() == "first"


@pytest.fixture(params=["exchange", "two renames"])
def replacement(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Replace an old directory in one step, as Linux can, or in two, as every system can."""
    if request.param == "two renames":
        monkeypatch.setattr("bort_convert.files.atomic._exchange", lambda *_: False)
    elif sys.platform != "linux":
        pytest.skip("exchanging two names needs Linux")
    return str(request.param)


@pytest.mark.usefixtures("replacement")
def test_force_replaces_a_whole_directory(tmp_path: Path) -> None:
    build(tmp_path / "out", "first")
    (tmp_path / "out" / "stale").write_text("x")
    build(tmp_path / "out", "second", force=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]
    assert (tmp_path / "out" / "file").read_text() == "second"
    assert leftovers(tmp_path) == []


def test_the_old_directory_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path / "out", "first")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if "partial" in self.name:
            raise OSError(5, "the disk is gone")
        return rename(self, target)

    monkeypatch.setattr("bort_convert.files.atomic._exchange", lambda *_: False)
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="out: cannot be written: the disk is gone"):
        build(tmp_path / "out", "second", force=True)
    assert (tmp_path / "out" / "file").read_text() == "first"
    assert leftovers(tmp_path) == []


def test_without_force_nothing_is_moved_out_of_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise OSError(5, f"{self.name[:4]} cannot be renamed to {target.name}")

    (tmp_path / "out").mkdir()
    inode = (tmp_path / "out").stat().st_ino
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match=r"\.out cannot be renamed to out"):
        build(tmp_path / "out")
    assert (tmp_path / "out").stat().st_ino == inode


def test_a_target_that_fills_up_meanwhile_is_refused(tmp_path: Path) -> None:
    def race() -> None:
        with new_directory(tmp_path / "out", source=SOURCE) as folder:
            (folder / "file").write_text("mine")
            build(tmp_path / "out", "theirs")

    with pytest.raises(OutputError, match=r"is not empty"):
        race()
    assert (tmp_path / "out" / "file").read_text() == "theirs"
    assert leftovers(tmp_path) == []


def test_a_directory_is_kept_with_force_where_nothing_says_who_wrote_it(tmp_path: Path) -> None:
    build(tmp_path / "out", "first")
    with (
        pytest.raises(OutputError, match=r"out is not empty, and nothing tells who wrote it. Empty it by hand, or"),
        new_directory(tmp_path / "out", force=True),
    ):
        pass
    assert (tmp_path / "out" / "file").read_text() == "first"


@pytest.mark.usefixtures("replacement")
def test_a_reason_to_keep_is_asked_for_again_right_before_the_replacement(tmp_path: Path) -> None:
    build(tmp_path / "out", "first")
    reasons = iter(["", "holds a thesis"])

    def replace() -> None:
        with new_directory(tmp_path / "out", force=True, reason_to_keep=lambda _: next(reasons)) as folder:
            (folder / "file").write_text("second")

    with pytest.raises(OutputError, match=r"out holds a thesis$"):
        replace()
    assert (tmp_path / "out" / "file").read_text() == "first"
    assert leftovers(tmp_path) == []


def test_a_reason_to_keep_a_file_is_asked_for_again_right_before_the_replacement(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("first")
    reasons = iter(["", "is a thesis"])

    def replace() -> None:
        with new_file(tmp_path / "file", force=True, reason_to_keep=lambda _: next(reasons)) as partial:
            partial.write_text("second")

    with pytest.raises(OutputError, match=r"file is a thesis$"):
        replace()
    assert (tmp_path / "file").read_text() == "first"


@pytest.mark.parametrize("kind", ["directory", "file"])
@pytest.mark.parametrize("force", [True, False])
def test_an_empty_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, *, force: bool) -> None:
    monkeypatch.chdir(tmp_path)
    make = new_directory if kind == "directory" else new_file
    with pytest.raises(OutputError, match="the name of the output is empty"), make("", force=force):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", [".", "..", "sub/..", "here", "../here", "../link"])
def test_the_current_directory_is_not_replaced_even_if_it_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    (tmp_path / "here" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("here", target_is_directory=True)
    monkeypatch.chdir(tmp_path / "here")
    name = str(tmp_path / target) if target == "here" else target
    inode = Path(name).stat().st_ino
    with pytest.raises(OutputError), new_directory(name, force=True, reason_to_keep=nothing):
        pass
    assert Path(name).stat().st_ino == inode


def test_a_link_that_leads_nowhere_is_no_free_name_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").symlink_to("nowhere")
    with pytest.raises(OutputError, match="is there already"), new_file(tmp_path / "file"):
        pass
    assert (tmp_path / "file").is_symlink()


@pytest.mark.skipif(os.name != "posix", reason="needs a pipe")
def test_a_pipe_is_not_replaced_even_with_force(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (
        pytest.raises(OutputError, match=r"pipe is a device or a pipe; expected a file, or nothing"),
        new_file(tmp_path / "pipe", force=True) as partial,
    ):
        partial.write_text("new")
    assert (tmp_path / "pipe").is_fifo()


def test_a_directory_can_be_replaced_where_the_current_directory_was_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path / "out", "first")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with new_directory(tmp_path / "out", force=True, reason_to_keep=nothing):
        pass
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(OutputError, match=r"\.: the current directory was deleted"), new_directory("."):
        pass


@pytest.mark.usefixtures("replacement")
def test_of_two_that_replace_a_directory_at_once_the_last_one_stands(tmp_path: Path) -> None:
    build(tmp_path / "out", "first")
    with new_directory(tmp_path / "out", force=True, reason_to_keep=nothing) as folder:
        (folder / "file").write_text("mine")
        build(tmp_path / "out", "theirs", force=True)
        assert (tmp_path / "out" / "file").read_text() == "theirs"
    assert (tmp_path / "out" / "file").read_text() == "mine"
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="exchanging two names needs Linux")
def test_linux_exchanges_two_directories_in_one_step(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert atomic._exchange(tmp_path / "one", tmp_path / "other")  # noqa: SLF001 - else the two renames hide its loss
    assert (tmp_path / "one" / "other").exists()
    assert (tmp_path / "other" / "one").exists()
    assert not atomic._exchange(tmp_path / "one", tmp_path / "nothing")  # noqa: SLF001


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "no links here")

    def race() -> None:
        with new_file(target) as partial:
            partial.write_text("mine")
            target.write_text("theirs")

    if not links:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    target = tmp_path / "x.npz"
    with pytest.raises(OutputError, match="is there already"):
        race()
    assert target.read_text() == "theirs"
    target.unlink()
    with new_file(target) as partial:
        partial.write_text("mine")
    assert target.read_text() == "mine"
    assert leftovers(tmp_path) == []


def test_a_target_may_be_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with new_directory(".") as folder:
        (folder / "file").touch()
    assert (tmp_path / "here" / "file").exists()


@pytest.mark.skipif(os.name != "posix", reason="needs a mount point that is always there")
def test_a_mount_point_is_refused_before_anything_is_written() -> None:
    with (
        pytest.raises(
            OutputError, match=r"/dev is where a file system is mounted, and cannot be replaced. Give a name"
        ),
        new_directory("/dev", force=True),
    ):
        pass


def test_a_file_or_a_link_in_the_way_is_refused_even_with_force(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r"is a file; expected a directory, or nothing. Choose another name"):
        build(tmp_path / "file", force=True)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(OutputError, match=r"is a link; expected a directory, or nothing. Give the name"):
        build(tmp_path / "link", force=True)


@pytest.mark.skipif(os.name != "posix", reason="needs /dev/null")
def test_an_error_of_the_system_is_one_line_that_names_the_target() -> None:
    with pytest.raises(OutputError, match="/dev/null/out: cannot be written: "):
        build(Path("/dev/null/out"))


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "x.npz"
    with new_file(target, source=SOURCE) as partial:
        partial.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    with (
        pytest.raises(OutputError, match=r"is there already; expected nothing. Pass `force=True`"),
        new_file(target, source=SOURCE),
    ):
        pass
    with new_file(target, source=SOURCE, force=True) as partial:
        partial.write_text("newer")
    assert target.read_text() == "newer"
    with (
        pytest.raises(OutputError, match=r"is a directory; expected a file"),
        new_file(tmp_path, source=SOURCE, force=True),
    ):
        pass
    assert leftovers(tmp_path) == []


def test_a_source_is_never_replaced_by_its_own_output(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    source = folder / "bort.params"
    source.write_text("years of work")
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    for target in (folder, tmp_path, tmp_path / "link"):
        with pytest.raises(OutputError, match="holds the source"), new_directory(target, source=source, force=True):
            pass
    with pytest.raises(OutputError, match="holds the source"), new_file(source, source=source, force=True):
        pass
    assert source.read_text() == "years of work"
    with new_directory(folder / "out", source=source):
        pass
    assert (folder / "out").is_dir()
