"""What a machine of a cluster does with a job: run it in a process of its own, which takes job after job.

The caller waits beside this process. So a job that kills its process is told apart from a machine that goes away: the
first one is an answer of the caller, the other one is none. Nothing here knows the cluster.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Final

from bort_convert.version import __version__
from bort_convert.workers.processes import given, stop_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from bort_convert.workers.jobs import Failure, Job
    from bort_convert.workers.processes import WorkerProcess

_LOOK: Final = 0.2
"""Seconds between two looks whether the caller was told to stop."""
_IDLE: Final[list[WorkerProcess[Any, Any]]] = []


class UnlikeError(Exception):
    """This machine has another version of bort_convert than the one that sent the job."""


def perform(function: Callable[[Any], object], job: Job[Any], folder: str, version: str) -> tuple[float, Any | Failure]:
    """Run a job; give its seconds, and its result or a `Failure`.

    Args:
        function: see `Workers.run`.
        job: the job.
        folder: where relative paths of the argument start, if this machine has it.
        version: of bort_convert, at the sender.

    Raises:
        UnlikeError: this machine has another version.
    """
    if version != __version__:
        raise UnlikeError(f"bort_convert {__version__} is installed there, {version} sent the job")
    with contextlib.suppress(OSError):  # the job's own error will say what it did not find
        os.chdir(folder)
    for worker in [worker for worker in _IDLE if worker.function is not function]:
        _IDLE.remove(worker)
        stop_all([worker], [])
    worker = given(job, _IDLE, function)
    try:
        while not worker.connection.poll(_LOOK):
            pass
        outcome, lives = worker.outcome()
    except BaseException:
        stop_all([worker], [worker])
        raise
    if lives:
        _IDLE.append(worker)
    return outcome.seconds, outcome.result
