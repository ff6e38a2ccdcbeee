"""What runs in a process of `processes`: take an argument, call the function, answer; until the parent is gone.

A worker ignores Ctrl-C, which a terminal sends to all processes: the parent decides, and sends SIGTERM. That becomes a
`SystemExit`, so that whatever the job has open is closed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from multiprocessing.connection import wait
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from bort_convert.workers.jobs import Failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from types import FrameType

GRACE: Final = 10.0
"""Seconds that a worker has to clean up after SIGTERM."""
_ORPHAN_GRACE: Final = 2.0
_TERMINATED: Final = 143


def serve(connection: Connection, function: Callable[[Any], object]) -> None:
    """Answer each argument with the seconds of the call, and its result or a `Failure`; end when nothing can come."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            argument = connection.recv()
            start = time.perf_counter()
            result = _called(function, argument)
            connection.send((time.perf_counter() - start, result))


def _called(function: Callable[[Any], object], argument: object) -> object:
    try:
        return function(argument)
    except Exception as error:  # noqa: BLE001 - a job's error is its outcome
        text = "".join(traceback.format_exception(error))
        return Failure(f"{type(error).__name__}: {error}".partition("\n")[0], traceback=text)


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # nothing disturbs the clean-up
    sys.exit(_TERMINATED)


def _end_with_parent() -> None:
    """End this process when its parent is gone, however that ended: in order, and at once if that takes long."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_ORPHAN_GRACE)
        os._exit(_TERMINATED)
