"""Run work on other threads that end when the block that started them ends."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Background:
    """Other threads to run work on, made by `background`; without a pool, work runs on the thread that submits it."""

    _pool: ThreadPoolExecutor | None
    _cancelled: threading.Event

    def submit(
        self, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        """Start work, and give its future."""
        if self._pool is not None:
            return self._pool.submit(work, *args, **kwargs)
        future: Future[Result] = Future()
        future.set_result(work(*args, **kwargs))
        return future

    def raise_if_cancelled(self) -> None:
        """Raise CancelledError once the block has ended; long work calls this from time to time."""
        if self._cancelled.is_set():
            raise CancelledError


@contextlib.contextmanager
def background(threads: int) -> Iterator[Background]:
    """Offer other threads while the block runs.

    When the block ends, by an error or not, work that has not begun is dropped, and the block waits for the rest.

    Args:
        threads: their number. Where the system cannot start any (a browser), work runs on the thread that submits it.
    """
    cancelled = threading.Event()
    with ThreadPoolExecutor(threads) as pool:
        try:
            yield Background(pool if _can_start_threads() else None, cancelled)
        finally:
            cancelled.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _can_start_threads() -> bool:
    thread = threading.Thread(target=lambda: None)
    try:
        thread.start()
    except RuntimeError:
        return False
    thread.join()
    return True
