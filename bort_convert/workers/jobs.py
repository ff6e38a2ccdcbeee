"""Jobs, what they want of a machine, how they ended, and the interface of all workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

Argument = TypeVar("Argument")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Needs:
    """Resources that a job wants while it runs.

    Attributes:
        cpus: processors.
        gpus: graphics processors.
        memory: bytes.
    """

    cpus: int = 1
    gpus: int = 0
    memory: int = 0

    def hold(self, jobs: Sequence[Needs]) -> bool:
        """True if resources of this size are enough for all jobs together; memory of 0 bytes is without limit."""
        cpus, gpus, memory = (sum(getattr(job, name) for job in jobs) for name in ("cpus", "gpus", "memory"))
        return cpus <= self.cpus and gpus <= self.gpus and (memory <= self.memory or not self.memory)


@dataclass(frozen=True)
class Job(Generic[Argument]):
    """One call of a function.

    Attributes:
        argument: of the function; it can be pickled.
        needs: resources that the call wants.
    """

    argument: Argument
    needs: Needs = field(default_factory=Needs)


@dataclass(frozen=True)
class Failure:
    """The reason why a job has no result.

    Attributes:
        message: one line.
        died: True if the worker died of the job, False if the function raised an error.
        traceback: of the error; "" for a worker that died.
    """

    message: str
    died: bool = False
    traceback: str = ""


@dataclass(frozen=True)
class Outcome(Generic[Argument, Result]):
    """The end of a job.

    Attributes:
        job: the job.
        result: what the function returned; a `Failure` in its place.
        seconds: wall time of the job.
    """

    job: Job[Argument]
    result: Result | Failure
    seconds: float


class Workers(Protocol):
    """Processes or machines that run jobs."""

    def run(
        self, function: Callable[[Argument], Result], jobs: Iterable[Job[Argument]]
    ) -> Generator[Outcome[Argument, Result]]:
        """Run a job for each element of `jobs`; give each outcome as soon as it is there, in any order.

        A job is taken from `jobs` when there is a worker for it. A worker that dies costs the job that it had, and no
        other. When the generator is closed, or an exception passes through it, every worker is stopped.

        Args:
            function: a function that workers can import by its name.
            jobs: the jobs, with arguments and results that can be pickled.

        Raises:
            BackendError: a job wants more than all workers together have.
        """
        ...
