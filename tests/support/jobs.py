"""Jobs for workers, which import them by their name; run as a script, a parent with workers that a test kills."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.workers.jobs import Job
from bort_convert.workers.processes import LocalWorkers

if TYPE_CHECKING:
    from collections.abc import Callable

NAP, PATIENCE = 0.1, 120  # seconds


def sleep_and_tell(seconds: float) -> tuple[float, int]:
    """Sleep, and give the seconds and this process."""
    time.sleep(seconds)
    return seconds, os.getpid()


def die_or_tell(signal_number: int) -> int:
    """Die of a signal, unless the number is 0; give this process."""
    if signal_number:
        os.kill(os.getpid(), signal_number)
        time.sleep(60)
    return os.getpid()


def end_or_fail(word: str) -> str:
    """End the process in the way that a word names."""
    if word == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "exit":
        os._exit(7)
    if word == "raise":
        raise ValueError("one line\nanother")
    if word == "leave":
        raise SystemExit(3)
    return word


def wait_for_others(meeting: tuple[str, int]) -> tuple[int, int]:
    """Take a nap, and end after so many others of a folder; give their number and this process."""
    folder, others = meeting
    time.sleep(NAP)
    wait_until(lambda: len([*Path(folder).iterdir()]) >= others)
    Path(folder, f"{time.monotonic()}-{os.getpid()}").touch()
    return others, os.getpid()


def interval(seconds: float) -> tuple[float, float]:
    """Sleep; give when this began and ended, in the seconds of a clock that all processes share."""
    start = time.monotonic()
    time.sleep(seconds)
    return start, time.monotonic()


def interval_of_several(meeting: tuple[str, int]) -> tuple[float, float]:
    """Wait in a folder for other jobs, as many as shall run at once, and then a little for one too many."""
    folder, together = meeting
    start = time.monotonic()
    Path(folder, str(start)).touch()
    while len([*Path(folder).iterdir()]) < together and time.monotonic() < start + 60:
        time.sleep(0.01)
    time.sleep(0.3)
    return start, time.monotonic()


def threads(_argument: None) -> str | None:
    """Threads that a library will use here."""
    return os.environ.get("OMP_NUM_THREADS")


def hold(folder: str) -> None:
    """Leave a file while the job runs, which clean-up takes away, and another one if nobody stops it."""
    mark = Path(folder, str(os.getpid()))
    mark.touch()
    try:
        time.sleep(60)
        mark.with_name("not stopped").touch()
    finally:
        mark.unlink()


def first_or_again(marks: tuple[str, str]) -> str:
    """Leave the first mark and wait for the second; if the first is there, an earlier run of the job did not end."""
    mine, go_on = map(Path, marks)
    if mine.exists():
        return "again"
    mine.touch()
    wait_until(go_on.exists)
    return "first"


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def lives(process: int) -> bool:
    """True if a process runs, or may run again."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def main() -> None:
    """Run jobs that hold until something ends this process, as a program does that heeds SIGTERM."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    for _outcome in LocalWorkers(2).run(hold, [Job(sys.argv[1])] * 4):
        pass


if __name__ == "__main__":
    main()
