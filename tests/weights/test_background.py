from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future

import pytest

from bort_convert.weights.background import Background, background


def test_work_runs_on_other_threads_and_gives_its_result() -> None:
    with background(1) as other:
        assert other.submit(threading.get_ident).result() != threading.get_ident()
        assert other.submit(int, "12", base=3).result() == 5


def test_an_error_of_the_work_is_raised_with_its_result() -> None:
    with background(1) as other, pytest.raises(ValueError, match="invalid literal"):
        other.submit(int, "x").result()


def test_where_no_thread_can_start_work_runs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with background(2) as other:
        assert other.submit(threading.get_ident).result() == threading.get_ident()
        with pytest.raises(ValueError, match="invalid literal"):
            other.submit(int, "x").result()


def test_work_ends_with_the_block() -> None:
    def work_until_cancelled(other: Background, started: threading.Event) -> None:
        while True:
            started.set()
            other.raise_if_cancelled()

    futures: list[Future[None]] = []
    started = threading.Event()

    def fail() -> None:
        with background(1) as other:
            futures.extend(other.submit(work_until_cancelled, other, started) for _ in range(2))
            started.wait()
            raise KeyError("in the block")

    with pytest.raises(KeyError, match="in the block"):
        fail()
    running, waiting = futures
    assert isinstance(running.exception(), CancelledError)
    assert waiting.cancelled()
