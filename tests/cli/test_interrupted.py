from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kills
import pytest

from bort_convert import convert, extract, open_params
from bort_convert.cli.signals import SIGNALS, Interrupted, interruptible
from bort_convert.errors import ConvertError, FormatError, OutputError
from bort_convert.files import streams
from bort_convert.weights.parallel_write import describe_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bort_convert.files.streams import FileRange

    Progress = Callable[[int, int], None]
    Fault = Callable[[Path], None]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals")

PROGRAM = (sys.executable, "-m", "bort_convert")
KILLS = int(os.environ.get("BORT_CONVERT_KILLS", "30"))
SHM = Path("/dev/shm")  # noqa: S108 - another file system, if anywhere

# A command that gets a signal after it has begun to write, and another one while it cleans up.
STOPPED = """
import os, shutil, sys, time
import click
from bort_convert.cli.program import Program
from bort_convert.files.atomic import new_directory

@click.group(cls=Program, modules={"work": "this file"})
def main(): ...

@main.command()
@click.argument("target")
@click.argument("number", type=int)
def work(target, number):
    with new_directory(target) as folder:
        (folder / "file").touch()
        rmtree = shutil.rmtree

        def again(*arguments, **options):
            os.kill(os.getpid(), number)
            time.sleep(0.01)
            rmtree(*arguments, **options)

        shutil.rmtree = again
        os.kill(os.getpid(), number)
        time.sleep(60)

main()
"""

# A library's mapped file that is cut short ends the process.
CUT = """
import mmap, os, sys
from bort_convert.cli.signals import interruptible

with interruptible(), open(sys.argv[1], "r+b") as file:
    mapped = mmap.mmap(file.fileno(), 0)
    os.truncate(file.fileno(), 0)
    mapped[0]
"""


@pytest.fixture
def source(fixtures: Path, tmp_path: Path) -> Path:
    """A copy of a small Bort for the tests to damage; its last change lies years back."""
    path = tmp_path / "bort.params"
    shutil.copyfile(fixtures / "bort_4_8_24_32.params", path)
    os.utime(path, (10**9, 10**9))
    return path


def run(*command: object, first: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, check=False, capture_output=True, text=True, preexec_fn=first)


def beside(path: Path) -> list[str]:
    return sorted(other.name for other in path.parent.iterdir() if other.name.startswith("."))


@pytest.mark.slow
def test_a_conversion_that_is_killed_at_any_moment_leaves_the_old_the_new_or_nothing(
    full_size: Path, tmp_path: Path
) -> None:
    rounds, problems = kills.kill(tmp_path, full_size, KILLS)
    assert problems == [], kills.table(rounds)
    assert len(rounds) == KILLS


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_to_stop_cleans_up_says_one_line_and_gives_the_status_of_shells(
    tmp_path: Path, number: signal.Signals
) -> None:
    def heeded() -> None:  # a job in the background may ignore SIGINT, and so would its children
        signal.signal(number, signal.SIG_DFL)

    done = run(sys.executable, "-c", STOPPED, "work", tmp_path / "out", int(number), first=heeded)
    assert (done.returncode, done.stderr, done.stdout) == (128 + number, f"Interrupted by {number.name}\n", "")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_ignored_from_outside_stays_so() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGTERM)
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_handlers_are_as_before_when_the_program_ends() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(Interrupted), interruptible():
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_does_not_disturb_what_the_first_one_unwinds(number: signal.Signals) -> None:
    cleaned_up = []

    @contextlib.contextmanager
    def disturbed() -> Iterator[None]:
        try:
            yield
        finally:
            signal.raise_signal(number)
            cleaned_up.append("finally")
            try:
                int("another error, while the first is handled")
            except ValueError:
                signal.raise_signal(number)
                cleaned_up.append("except")

    before = signal.signal(number, signal.SIG_DFL)  # a shell's background job has SIGINT ignored
    try:
        with pytest.raises(Interrupted) as stopped, interruptible(), disturbed():
            signal.raise_signal(number)
    finally:
        signal.signal(number, before)
    assert stopped.value.signal == number
    assert cleaned_up == ["finally", "except"]


class Finalized:
    """Sends this process a signal from a finalizer, where Python drops what is raised."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_that_python_drops_is_heeded_when_it_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: dropped.append(what.exc_type))
    with interruptible():
        Finalized()
        assert dropped == [Interrupted]
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)


def test_a_crash_from_a_mapped_file_that_is_cut_short_prints_its_place(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    done = run(sys.executable, "-c", CUT, tmp_path / "x")
    assert done.returncode == -signal.SIGBUS
    assert "Fatal Python error: Bus error" in done.stderr


def limited() -> None:
    import resource  # noqa: PLC0415 - Windows has none

    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)  # its file could not be written either
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))


@pytest.mark.parametrize("options", [(), ("--dtype", "bfloat16")])
def test_a_limit_on_the_size_of_files_is_an_output_that_cannot_be_written(
    source: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    out = tmp_path / "out"
    done = run(*PROGRAM, source, out, "--family", "bort", "--heads", 8, *options, first=limited)
    assert done.returncode == 4
    assert done.stderr == (
        f"Error: {out}: cannot be written: File too large. A limit on the size of files is in force (see `ulimit -f`)\n"
    )
    assert not out.exists()
    assert beside(out) == []


def mounted(options: str, folder: Path, *command: object) -> subprocess.CompletedProcess[str]:
    """Mount a small file system on a folder, run a command there, and list the files that it left."""
    script = 'mount -t tmpfs -o "$1" none "$2" && cd "$2" && shift 2 && { "$@"; status=$?; ls -A; exit $status; }'
    unshare = ("unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", options, folder)
    if shutil.which("unshare") is None or run(*unshare, "true").returncode:
        pytest.skip("nothing can be mounted here")
    return run(*unshare, *command)


@pytest.mark.parametrize(
    ("options", "name", "message"),
    [
        (
            "size=64k",
            "out",
            "out: cannot be written: No space left on device. Free some space there, or choose another",
        ),
        ("ro", "out", "out: cannot be written: Read-only file system. Choose a place that can be written to"),
        ("size=1m", ".", " is where a file system is mounted, and cannot be replaced. Give a name inside it"),
    ],
    ids=["full", "read-only", "mount point"],
)
def test_a_file_system_that_takes_no_output_is_named_and_left_as_it_was(
    source: Path, tmp_path: Path, options: str, name: str, message: str
) -> None:
    (tmp_path / "mount").mkdir()
    done = mounted(options, tmp_path / "mount", *PROGRAM, source, name, "--family", "bort", "--heads", 8)
    assert done.returncode == 4
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_target_on_another_file_system_than_the_source_is_written(source: Path, tmp_path: Path) -> None:
    if not SHM.is_dir() or SHM.stat().st_dev == source.stat().st_dev:
        pytest.skip("there is no other file system")
    convert(source, tmp_path / "out", family="bort", heads=8)
    place = SHM / f"bort-convert-{os.getpid()}"
    try:
        for force in (False, True):
            convert(source, place / "out", family="bort", heads=8, force=force)
        assert [path.name for path in place.iterdir()] == ["out"]
        for path in (tmp_path / "out").iterdir():
            assert (place / "out" / path.name).read_bytes() == path.read_bytes()
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.mark.parametrize("force", [False, True])
def test_of_two_conversions_into_one_target_each_is_whole(source: Path, tmp_path: Path, *, force: bool) -> None:
    dtypes = ("float32", "float16")
    for dtype in dtypes:
        convert(source, tmp_path / dtype, family="bort", heads=8, dtype=dtype)
    wholes = [{path.name: path.read_bytes() for path in (tmp_path / dtype).iterdir()} for dtype in dtypes]
    for number in range(3):
        out = tmp_path / str(number) / "out"
        command = [
            *PROGRAM,
            source,
            out,
            "--family",
            "bort",
            "--heads",
            "8",
            *(["--force"] if force else []),
            "--dtype",
        ]
        both = [subprocess.Popen([*command, dtype], stderr=subprocess.PIPE, text=True) for dtype in dtypes]
        errors = [process.communicate()[1] for process in both]
        assert sorted(process.returncode for process in both) == ([0, 0] if force else [0, 4])
        found = {path.name: path.read_bytes() for path in out.iterdir()}
        assert beside(out) == []
        if force:
            assert found in wholes
        else:
            winner = [process.returncode for process in both].index(0)
            assert found == wholes[winner]
            assert (
                "is not empty; expected an empty directory, or nothing. Pass --force to replace it"
                in errors[1 - winner]
            )


def test_a_target_that_appears_meanwhile_is_kept(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def appear(_done: int, _total: int) -> None:
        out.mkdir(exist_ok=True)
        (out / "mine").touch()

    with pytest.raises(
        OutputError, match=r"out is not empty; expected an empty directory, or nothing. Pass `force=True`"
    ):
        convert(source, out, family="bort", heads=8, progress=appear)
    assert [path.name for path in out.iterdir()] == ["mine"]
    assert beside(out) == []


def truncated(path: Path) -> None:
    os.truncate(path, 8)


def written_to(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(file.read(1))


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def replaced(path: Path) -> None:
    other = path.with_suffix(".other")
    shutil.copy2(path, other)
    other.replace(path)


FAULTS = {
    written_to: "changed while it was read: something wrote to it. Try again when nothing writes to it",
    grown: "changed while it was read: it had 140,626 bytes and has 140,630 now",
    replaced: "changed while it was read: another file took its place",
    Path.unlink: "is gone since it was opened (No such file or directory); expected it to stay until the end",
}
WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "no checksums": {"checksums": False},
    "float16": {"dtype": "float16"},
}


def disturbed(path: Path, fault: Fault) -> Progress:
    """A progress function that damages a file once, after the first tensor has been written."""
    faults = [fault]

    def disturb(_done: int, _total: int) -> None:
        if faults:
            faults.pop()(path)

    return disturb


def refused(source: Path, out: Path, command: Callable[[Progress], object], fault: Fault) -> str:
    """Run a command on a source that is damaged meanwhile; return the message of its error. No output may be left."""
    with pytest.raises(FormatError) as caught:
        command(disturbed(source, fault))
    assert caught.value.exit_code == 3
    assert not out.exists()
    assert beside(out) == []
    return str(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_a_source_that_is_cut_short_while_it_is_read_is_refused(source: Path, tmp_path: Path, way: str) -> None:
    out = tmp_path / "out"
    message = refused(
        source,
        out,
        lambda progress: convert(source, out, family="bort", heads=8, progress=progress, **WAYS[way]),
        truncated,
    )
    assert "the source ended at byte" in message


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_an_extraction_reads_and_maps_nothing(source: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"x{suffix}"
    message = refused(source, out, lambda progress: extract(source, out, progress=progress), truncated)
    assert "ended at byte" in message


def test_an_extraction_of_a_source_that_changes_is_refused(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"
    message = refused(source, out, lambda progress: extract(source, out, progress=progress), written_to)
    assert "something wrote to it" in message


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_an_archive_that_is_cut_short_while_it_is_read_is_refused(
    source: Path, tmp_path: Path, compression: int
) -> None:
    path, out = tmp_path / "bort.zip", tmp_path / "out"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.write(source, "bort.params", compression)
    message = refused(
        path, out, lambda progress: convert(path, out, family="bort", heads=8, progress=progress), truncated
    )
    assert "ended at byte" in message or "changed while it was read" in message


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_source_that_changes_while_it_is_read_is_refused(
    source: Path, tmp_path: Path, way: str, fault: Fault
) -> None:
    out = tmp_path / "out"
    message = refused(
        source,
        out,
        lambda progress: convert(source, out, family="bort", heads=8, progress=progress, **WAYS[way]),
        fault,
    )
    if "opened a second time" not in message:  # the thread that hashes opens the source again, maybe too late
        assert message.startswith(f"{source}: {FAULTS[fault]}")


def test_a_source_that_was_moved_before_it_is_hashed_is_refused(source: Path) -> None:
    with open_params(source, mapped=False) as params:
        source.rename(source.with_suffix(".moved"))
        with pytest.raises(FormatError, match=r"cannot be opened a second time \(No such file .*\)\. Was it moved"):
            describe_source(params)


def test_an_old_directory_outlives_a_new_one_that_fails(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(source, out, family="bort", heads=8)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    done = run(*PROGRAM, source, out, "--family", "bort", "--heads", 8, "--force", "--json", first=limited)
    assert done.returncode == 4
    assert json.loads(done.stdout)["error"]["type"] == "OutputError"
    with pytest.raises(ConvertError):
        convert(source, out, family="bort", heads=8, force=True, progress=disturbed(source, truncated))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert beside(out) == []


@pytest.mark.parametrize("quiet", [True, False])
def test_a_deleted_leftover_is_named_on_stderr_unless_quiet_is_asked_for(
    source: Path, tmp_path: Path, *, quiet: bool
) -> None:
    left = tmp_path / ".out.partial-0123456789abcdef"
    left.mkdir()
    done = run(*PROGRAM, source, tmp_path / "out", "--family", "bort", "--heads", 8, *(["--quiet"] if quiet else []))
    assert done.returncode == 0
    assert done.stderr == ("" if quiet else f"{left}: deleted, a run that was killed had left it\n")
    assert not left.exists()


def test_a_writer_that_fails_ends_the_hashing_of_the_source(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed, hashed = threading.Event(), []

    def fail(_done: int, _total: int) -> None:
        failed.set()
        raise OSError(28, "No space left on device")

    read_pieces = streams.read_pieces

    def counted(whole: FileRange) -> Iterator[memoryview]:
        for piece in read_pieces(whole):
            hashed.append(len(piece))
            failed.wait(60)
            time.sleep(0.01)
            yield piece

    monkeypatch.setattr(streams, "PIECE", 100)
    monkeypatch.setattr(streams, "read_pieces", counted)
    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        convert(source, tmp_path / "out", family="bort", heads=8, progress=fail)
    assert sum(hashed) < source.stat().st_size


def test_a_disk_that_fails_on_another_thread_is_an_output_that_cannot_be_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def fail(descriptor: int) -> None:  # the system reports the error once; the next call succeeds
        if threading.current_thread() is not threading.main_thread():
            raise OSError(errno.EIO, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="cannot be written: Input/output error"):
        convert(source, tmp_path / "out", family="bort", heads=8)
    assert not (tmp_path / "out").exists()


def test_an_interrupt_ends_the_writing(source: Path, tmp_path: Path) -> None:
    written = []

    def interrupt(done: int, _total: int) -> None:
        written.append(done)
        signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted), interruptible():
        convert(source, tmp_path / "out", family="bort", heads=8, progress=interrupt)
    assert len(written) < 5
    assert [path.name for path in tmp_path.iterdir()] == [source.name]
