"""Workers on the machines of a Ray cluster that runs already: Ray places each job, and says when a machine is lost."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic

from bort_convert.errors import BackendError, OptionError, install_hint
from bort_convert.version import __version__
from bort_convert.workers.jobs import Argument, Failure, Job, Needs, Outcome, Result
from bort_convert.workers.node import perform
from bort_convert.workers.serving import GRACE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

AUTO: Final = "auto"
_LOG: Final = logging.getLogger(__name__)
_ADDRESS: Final = re.compile(r"(?P<host>[\w.-]+|\[[\w:.]+\]):(?P<port>[0-9]{1,5})")
_CONNECTING: Final = 5.0
_ANSWERING: Final = 60.0
"""Seconds that a cluster has to answer the first question, on a busy machine too; Ray alone would ask for minutes."""
_LOOK: Final = 1.0
"""Seconds between two looks at which machines there are."""
_TRIES: Final = 4
"""How often a job is run whose machines are lost."""


class RayWorkers:
    """Machines of a Ray cluster; see `Workers`.

    Each machine runs as many jobs as it has processors, graphics processors and memory for. A job that alone wants
    more processors or memory than any machine has gets the largest one for itself. Every machine needs the same
    versions of Python, Ray and bort_convert, and the files that jobs name under the same paths.

    A machine that is lost costs time: its jobs are run again on others, each at most 4 times. The machine
    that the caller runs on, and the head of the cluster, must live.

    Args:
        address: HOST:PORT of the cluster's head, or `auto` for the cluster of which this machine is a part.

    Raises:
        OptionError: it is no such address.
    """

    def __init__(self, address: str) -> None:
        if address != AUTO and not _ADDRESS.fullmatch(address):
            raise OptionError(
                "address", address, f"expected HOST:PORT of the head of a Ray cluster that runs, or {AUTO}"
            )
        self._address = address

    def run(
        self, function: Callable[[Argument], Result], jobs: Iterable[Job[Argument]]
    ) -> Generator[Outcome[Argument, Result]]:
        """Run jobs; see `Workers.run`.

        Raises:
            BackendError: Ray is not installed, no cluster answers, it does not go with this process, or a job wants
                graphics processors that no machine has.
        """
        coming = iter(jobs)
        with _connected(self._address) as ray:
            running = _Running(ray, function)
            try:
                job = next(coming, None)
                while job is not None or running.tasks:
                    while job is not None and running.has_room(job.needs):
                        running.start(job)
                        job = next(coming, None)
                    yield from running.ended()
            finally:
                running.stop_all()


@dataclass
class _Task(Generic[Argument]):
    """A job that Ray has.

    Attributes:
        job: the job.
        granted: what Ray keeps for it.
        tries: how often it was started.
        started: when it was first started.
    """

    job: Job[Argument]
    granted: Needs
    tries: int
    started: float


class _Running(Generic[Argument, Result]):
    """Jobs that Ray has, by Ray's references to their results.

    Args:
        ray: the package, connected.
        function: see `Workers.run`.

    Attributes:
        tasks: reference -> task.
    """

    def __init__(self, ray: Any, function: Callable[[Argument], Result]) -> None:  # noqa: ANN401 - the package
        self._ray, self._function = ray, function
        self._perform = ray.remote(perform)
        self.tasks: dict[Any, _Task[Argument]] = {}

    def has_room(self, needs: Needs) -> bool:
        """True if the cluster has what a job wants beside those that it has; BackendError if it never will."""
        machines = self._machines()
        wanted = [granted(needs, machines), *(task.granted for task in self.tasks.values())]
        total = Needs(*(sum(getattr(one, name) for one in machines) for name in ("cpus", "gpus", "memory")))
        return total.hold(wanted) or not self.tasks

    def start(self, job: Job[Argument], tries: int = 1, started: float | None = None) -> None:
        """Hand a job to Ray."""
        wants = granted(job.needs, self._machines())
        options = {"num_cpus": wants.cpus, "num_gpus": wants.gpus, "memory": wants.memory or None, "max_retries": 0}
        task = self._perform.options(**options, scheduling_strategy="SPREAD")
        reference = task.remote(self._function, job, os.getcwd(), __version__)  # noqa: PTH109 - a text
        self.tasks[reference] = _Task(job, wants, tries, time.perf_counter() if started is None else started)

    def ended(self) -> Iterator[Outcome[Argument, Result]]:
        """Wait a while for jobs that end, and give their outcomes; start those anew whose machine was lost."""
        machines = self._machines()
        for reference, task in self.tasks.items():
            if not any(machine.hold([task.granted]) for machine in machines):
                self._ray.cancel(reference, force=True)  # the only machine that could run it is gone
        done, _ = self._ray.wait(list(self.tasks), timeout=_LOOK)
        for reference in done:
            task = self.tasks.pop(reference)
            answer = self._answer(reference)
            if answer is None and task.tries < _TRIES:
                self.start(task.job, task.tries + 1, task.started)
            else:
                lost = Failure(f"the machine that ran it was lost, {task.tries} times", died=True)
                seconds, result = answer or (time.perf_counter() - task.started, lost)
                yield Outcome(task.job, result, seconds)

    def stop_all(self) -> None:
        """End all jobs: in order, and after a while by force."""
        references = list(self.tasks)
        for reference in references:
            self._ray.cancel(reference)
        if references:
            _, alive = self._ray.wait(references, num_returns=len(references), timeout=GRACE + _LOOK)
            for reference in alive:
                self._ray.cancel(reference, force=True)

    def _answer(self, reference: object) -> tuple[float, Result | Failure] | None:
        """Seconds and result of a job; None if its machine, or the process there that waits for it, was lost."""
        errors = self._ray.exceptions
        try:
            answer: tuple[float, Result | Failure] = self._ray.get(reference)
        except (errors.NodeDiedError, errors.WorkerCrashedError, errors.ObjectLostError, errors.TaskCancelledError):
            return None
        except errors.OutOfMemoryError as error:
            return 0.0, Failure(f"Ray ended it, as the machine ran out of memory: {_line(error)}", died=True)
        except errors.RayTaskError as error:
            cause = getattr(error, "cause", error)
            raise BackendError(f"a machine of the Ray cluster cannot run jobs: {_line(cause)}") from error
        except errors.RayError as error:
            raise BackendError(f"the Ray cluster is lost: {_line(error)}") from error
        return answer

    def _machines(self) -> list[Needs]:
        """What each machine has that lives."""
        found = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return [Needs(*(int(has.get(name, 0)) for name in ("CPU", "GPU", "memory"))) for has in found]


def granted(needs: Needs, machines: Sequence[Needs]) -> Needs:
    """What to keep for a job: what it wants, or the largest machine where none has as much.

    Raises:
        BackendError: no machine has the graphics processors, or a processor.
    """
    able = [machine for machine in machines if machine.gpus >= needs.gpus and machine.cpus]
    if not able:
        most = max((machine.gpus for machine in machines), default=0)
        raise BackendError(
            f"a job wants {needs.gpus} GPUs and a processor; of the {len(machines)} machines of the Ray cluster "
            f"none has both, and the most GPUs of one are {most}"
        )
    if any(machine.hold([needs]) for machine in able):
        return needs
    largest = max(able, key=lambda machine: (machine.memory, machine.cpus))
    return Needs(min(needs.cpus, largest.cpus), needs.gpus, min(needs.memory, largest.memory))


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    """The package ray, connected to a cluster; a connection of the caller's own is used, and left open."""
    try:
        import ray  # noqa: PLC0415 - few need it, and it takes a second
    except ImportError as error:
        raise BackendError(f"jobs on a cluster need Ray ({error}): {install_hint('ray')}") from error
    if ray.is_initialized():
        yield ray
        return
    _check_that_it_answers(address)
    with _notices_to_our_log():
        try:
            with _own_signal_handler():
                ray.init(address=address, log_to_driver=False, configure_logging=False)
        except (RuntimeError, ConnectionError, ValueError) as error:
            raise BackendError(f"the Ray cluster at {address} does not take this process: {_line(error)}") from error
        try:
            yield ray
        finally:
            ray.shutdown()


def _check_that_it_answers(address: str) -> None:
    """Ask a cluster for a sign of life, in a process that can be stopped: Ray's own questions take minutes.

    Raises:
        BackendError: none comes.
    """
    advice = "Start one (`ray start --head`), and name its HOST:PORT"
    words = []
    if match := _ADDRESS.fullmatch(address):
        words = ["--address", address]
        try:
            socket.create_connection((match["host"].strip("[]"), int(match["port"])), _CONNECTING).close()
        except (OSError, OverflowError) as error:
            raise BackendError(f"no Ray cluster answers at {address}: {error}. {advice}") from error
    program = [sys.executable, "-m", "ray.scripts.scripts", "health-check", *words]
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    try:
        subprocess.run(program, check=True, timeout=_ANSWERING, **quiet)  # noqa: S603 - our own words
    except subprocess.TimeoutExpired as error:
        what = f"nothing within {_ANSWERING:.0f} s; is something else there?"
        raise BackendError(f"no Ray cluster answers at {address}: {what} {advice}") from error
    except subprocess.CalledProcessError as error:
        last = error.stderr.strip().rpartition("\n")[2].partition(": ")[2]
        raise BackendError(f"no Ray cluster at {address} can be used: {last}") from error


@contextlib.contextmanager
def _notices_to_our_log() -> Iterator[None]:
    """Let Ray log what it tells of its machines, such as the loss of one; it would print that on stdout."""
    from ray._private import worker  # noqa: PLC0415 - see above

    def log(data: dict[str, Any], ignore_prefix: bool) -> None:  # noqa: FBT001, ARG001 - Ray's own signature
        for line in data["lines"]:
            _LOG.warning("Ray: %s", _line(line))

    before = worker.print_to_stdstream
    worker.print_to_stdstream = log
    try:
        yield
    finally:
        worker.print_to_stdstream = before


@contextlib.contextmanager
def _own_signal_handler() -> Iterator[None]:
    """Put our handler of SIGTERM back, in whose place Ray sets its own; Ray does so in the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _line(error: object) -> str:
    return " ".join(str(error).split())
