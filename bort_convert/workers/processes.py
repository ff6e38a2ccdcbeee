"""Workers that are processes of this machine, each started when the first job needs it and used for job after job."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Final, Generic

from bort_convert.errors import BackendError
from bort_convert.workers.jobs import Argument, Failure, Needs, Outcome, Result
from bort_convert.workers.serving import GRACE, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from bort_convert.workers.jobs import Job

_CONTEXT: Final = multiprocessing.get_context("spawn")
"""A fresh interpreter: a fork would copy threads' locks, of a progress bar or of a framework."""
_THREADS: Final = "OMP_NUM_THREADS"


def usable_cpus() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine_memory() -> int:
    """Bytes of memory of this machine; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0


class LocalWorkers:
    """Processes of this machine; see `Workers`.

    Jobs run side by side as long as together they want no more than there is. A job that alone wants more processors
    or memory runs alone.

    Args:
        cpus: processors to use; as many jobs run at a time if each wants one.
        gpus: graphics processors to use.
        memory: bytes to use; by default those of the machine, 0 for no limit.
    """

    def __init__(self, cpus: int, *, gpus: int = 0, memory: int | None = None) -> None:
        self._room = Needs(cpus, gpus, machine_memory() if memory is None else memory)
        self._kept: dict[Callable[..., object], list[WorkerProcess[Any, Any]]] | None = None

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep the processes that a run has started for the next run of the same function, until the block ends."""
        self._kept = {}
        try:
            yield
        finally:
            idle = [worker for workers in self._kept.values() for worker in workers]
            self._kept = None
            stop_all(idle, [])

    def run(
        self, function: Callable[[Argument], Result], jobs: Iterable[Job[Argument]]
    ) -> Generator[Outcome[Argument, Result]]:
        """Run jobs; see `Workers.run`."""
        coming = iter(jobs)
        idle: list[WorkerProcess[Argument, Result]] = [] if self._kept is None else self._kept.pop(function, [])
        busy: list[WorkerProcess[Argument, Result]] = []
        try:
            job = next(coming, None)
            while job is not None or busy:
                while job is not None and self._has_room(job.needs, [worker.job.needs for worker in busy]):
                    busy.append(given(job, idle, function))
                    job = next(coming, None)
                for worker in _ended(busy):
                    busy.remove(worker)
                    outcome, lives = worker.outcome()
                    if lives:
                        idle.append(worker)
                    yield outcome
            if self._kept is not None:
                self._kept[function], idle = idle, []
        finally:
            stop_all([*idle, *busy], busy)

    def _has_room(self, wanted: Needs, taken: Sequence[Needs]) -> bool:
        if wanted.gpus > self._room.gpus:
            raise BackendError(f"a job wants {wanted.gpus} GPUs, these workers have {self._room.gpus}")
        return self._room.hold([wanted, *taken]) or not taken


class WorkerProcess(Generic[Argument, Result]):
    """One process, and the job that it has.

    Args:
        function: what it calls with the argument of each job.
        threads: that libraries use in it.

    Attributes:
        function: the same.
        job: the last job that it was given.
        connection: end of the pipe to it; there is something to read when it has an answer, or is dead.
        process: the process.
    """

    job: Job[Argument]

    def __init__(self, function: Callable[[Argument], Result], threads: int) -> None:
        self.function = function
        self.connection, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=serve, args=(theirs, function), daemon=True)
        with _threads(threads):
            self.process.start()
        theirs.close()
        self._started = time.perf_counter()

    def give(self, job: Job[Argument]) -> None:
        """Send a job; OSError if the process died meanwhile."""
        self.connection.send(job.argument)
        self.job, self._started = job, time.perf_counter()

    def outcome(self) -> tuple[Outcome[Argument, Result], bool]:
        """The outcome of the job, and True if the process lives to take another one."""
        try:
            seconds, result = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            failure = Failure(_death(self.process.exitcode or 0), died=True)
            self.connection.close()
            return Outcome(self.job, failure, time.perf_counter() - self._started), False
        return Outcome(self.job, result, seconds), True


def given(
    job: Job[Argument], idle: list[WorkerProcess[Argument, Result]], function: Callable[[Argument], Result]
) -> WorkerProcess[Argument, Result]:
    """A worker that was sent the job: an idle one, or a new one where there is none or it has died."""
    while idle:
        worker = idle.pop()
        with contextlib.suppress(OSError):
            worker.give(job)
            return worker
        worker.process.join()
    worker = WorkerProcess(function, job.needs.cpus)
    with contextlib.suppress(OSError):  # it died at once; its outcome says so
        worker.give(job)
    worker.job = job
    return worker


def _ended(busy: Sequence[WorkerProcess[Any, Any]]) -> list[WorkerProcess[Any, Any]]:
    """Wait until at least one worker has an answer or is dead; give those."""
    ready = {id(end) for end in wait([worker.connection for worker in busy])}
    return [worker for worker in busy if id(worker.connection) in ready]


def stop_all(workers: Sequence[WorkerProcess[Any, Any]], busy: Sequence[WorkerProcess[Any, Any]]) -> None:
    """End all processes: the idle ones by themselves, the busy ones by SIGTERM, and after a while any by SIGKILL."""
    for worker in workers:
        worker.connection.close()
    for worker in busy:
        worker.process.terminate()
    deadline = time.monotonic() + GRACE
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let the libraries of a process that is started now use this many threads, unless the user has said how many."""
    if _THREADS in os.environ:
        yield
        return
    os.environ[_THREADS] = str(count)
    try:
        yield
    finally:
        del os.environ[_THREADS]


def _death(status: int) -> str:
    if status < 0:
        name = signal.Signals(-status).name if -status in list(signal.Signals) else str(-status)
        return f"the process died of {name}{'; out of memory?' if name == 'SIGKILL' else ''}"
    return f"the process ended with status {status}"
