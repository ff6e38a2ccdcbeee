"""The process that runs GluonNLP on MXNet: it takes job after job, and can die without ending ours."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Final

from bort_convert.errors import BackendError, install_hint

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

SCRIPT: Final = Path(__file__).parent / "mxnet_process" / "serve.py"
_MISSING, _FAILED = 3, 4  # exit statuses of a job
_MARK: Final = "progress: "  # before each line of the script's own on stderr
_ANSWER: Final = "answer: "  # before the exit status of a job
_LAST_LINES: Final = 8
_TOO_NEW: Final = (3, 13)
"""The first Python that mxnet 1.9.1 has no wheel for."""
_TIME_TO_END: Final = 10.0
"""Seconds that the process may take to end once there are no more jobs."""


class ReferenceProcess:
    """A process with MXNet, which starts with the first job, and anew after a crash or for another GluonNLP.

    As a context manager it ends the process at the end of the block.
    """

    def __init__(self) -> None:
        self._running: _Running | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def run(
        self, python: str, job: Path, *, gluonnlp: str | None, timeout: float, progress: Callable[[str], None]
    ) -> None:
        """Do a job; see `mxnet_process.run`.

        Args:
            python: the interpreter.
            job: file with the job.
            gluonnlp: folder with the GluonNLP that the job names.
            timeout: seconds that the job may take; the first one starts MXNet too.
            progress: called with each line of progress.

        Raises:
            BackendError: a framework is missing, the job cannot be done, or the process died or took too long.
        """
        if self._running is None or self._running.kind != (python, gluonnlp):
            self.close()
            self._running = _Running(python, gluonnlp)
        running, status = self._running, None
        try:
            status = running.answer(job, timeout, progress)
        finally:
            if status is None:  # too late, or interrupted
                running.kill()
            if status is None or running.has_ended:
                self._running = None
                running.close()
        if status is None:
            raise BackendError(_with_last_lines(f"MXNet was stopped after {timeout:g} s", list(running.last)))
        if status:
            raise _failure(python, status, list(running.last))

    def close(self) -> None:
        """End the process, if there is one."""
        if self._running is not None:
            running, self._running = self._running, None
            running.close()


class _Running:
    """A started process."""

    def __init__(self, python: str, gluonnlp: str | None) -> None:
        self.kind = (python, gluonnlp)
        self.last: deque[str] = deque(maxlen=_LAST_LINES)
        self._progress: Callable[[str], None] = lambda _line: None
        self._answers: SimpleQueue[int | None] = SimpleQueue()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the interpreter is the user's choice, the rest is ours
                [python, str(SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise BackendError(
                f"{python}: cannot be started ({error.strerror or error}); "
                "`mxnet_python` must be an interpreter that has mxnet and gluonnlp"
            ) from error
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def has_ended(self) -> bool:
        """True if the process has ended."""
        return self._process.poll() is not None

    def answer(self, job: Path, timeout: float, progress: Callable[[str], None]) -> int | None:
        """Hand a job over and wait: its status, or that of the process if it ended; None if it takes too long."""
        self.last.clear()
        self._progress = progress
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has died; what it wrote says why
            self._process.stdin.write(f"{job}\n")
            self._process.stdin.flush()
        try:
            status = self._answers.get(timeout=timeout)
        except Empty:
            return None
        return self._process.wait() if status is None else status

    def kill(self) -> None:
        """Kill the process and all that it started."""
        if not self.has_ended:
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def close(self) -> None:
        """Let the process end, and wait for it."""
        assert self._process.stdin is not None
        assert self._process.stderr is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_TIME_TO_END)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        self._reader.join(5)
        self._process.stderr.close()

    def _read(self) -> None:
        """Sort the lines of stderr into answers, progress and the rest; None is the answer of a process that ended."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            text = line.rstrip()
            if text.startswith(_ANSWER):
                self._answers.put(int(text.removeprefix(_ANSWER)))
            elif text:
                self.last.append(text.removeprefix(_MARK))
                if text.startswith(_MARK):
                    self._progress(text.removeprefix(_MARK))
        self._answers.put(None)


def _failure(python: str, status: int, last: list[str]) -> BackendError:
    if status == _MISSING:
        why = last[-1] if last else "an import failed"
        return BackendError(
            f"the live reference needs mxnet and gluonnlp, which {python} has not ({why}): {_advice(python)}, or "
            "verify against a trace that was recorded where they are"
        )
    if status == _FAILED and last:
        return BackendError(f"the live reference cannot be run: {last[-1]}")
    if status < 0:
        name = signal.Signals(-status).name if -status in list(signal.Signals) else str(-status)
        hint = "; out of memory?" if name == "SIGKILL" else ""
        return BackendError(_with_last_lines(f"MXNet died of {name}{hint}", last))
    return BackendError(_with_last_lines(f"MXNet ended with status {status}", last))


def _advice(python: str) -> str:
    """The way to mxnet and gluonnlp; this interpreter may be too new for them."""
    if python == sys.executable and sys.version_info >= _TOO_NEW:
        version = ".".join(map(str, sys.version_info[:2]))
        return (
            f"mxnet 1.9.1 has no wheel for Python {version}. Pass `mxnet_python=...`, a Python 3.10 to 3.12 with both"
        )
    return install_hint("mxnet")


def _with_last_lines(event: str, last: list[str]) -> str:
    lines = "\n  ".join(last) if last else "(nothing)"
    return f"{event}; the last lines of its stderr:\n  {lines}"
