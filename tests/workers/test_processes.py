from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import jobs
import pytest
from jobs import lives, wait_until

from bort_convert.errors import BackendError
from bort_convert.workers.jobs import Failure, Job, Needs
from bort_convert.workers.processes import LocalWorkers, machine_memory, usable_cpus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.skipif(os.name != "posix", reason="needs signals"), pytest.mark.long]


def overlap(intervals: list[tuple[float, float]]) -> int:
    """Largest number of intervals that hold one moment."""
    return max(sum(start <= moment < end for start, end in intervals) for moment, _ in intervals)


def test_outcomes_come_as_they_are_done_and_a_process_takes_job_after_job(tmp_path: Path) -> None:
    now = time.monotonic  # noqa: TID251 - what an outcome says of its time is compared with the whole
    folder, start = str(tmp_path), now()
    outcomes = list(LocalWorkers(2).run(jobs.wait_for_others, [Job((folder, others)) for others in (3, 0, 0, 0)]))
    assert [outcome.result[0] for outcome in outcomes] == [0, 0, 0, 3]
    assert len({outcome.result[1] for outcome in outcomes}) == 2
    assert os.getpid() not in {outcome.result[1] for outcome in outcomes}
    assert all(jobs.NAP <= outcome.seconds < now() - start for outcome in outcomes)


def test_a_worker_that_dies_costs_the_job_that_it_had_and_no_other() -> None:
    arguments = [0, signal.SIGKILL, 0, signal.SIGSEGV, 0]
    outcomes = list(LocalWorkers(1).run(jobs.die_or_tell, map(Job, arguments)))
    assert [outcome.job.argument for outcome in outcomes] == arguments
    first, killed, second, crashed, third = (outcome.result for outcome in outcomes)
    assert len({first, second, third}) == 3
    assert killed == Failure("the process died of SIGKILL; out of memory?", died=True)
    assert crashed == Failure("the process died of SIGSEGV", died=True)


def test_an_error_of_a_job_is_its_outcome() -> None:
    outcomes = {
        outcome.job.argument: outcome.result
        for outcome in LocalWorkers(2).run(jobs.end_or_fail, map(Job, ("fine", "raise", "exit", "leave", "well")))
    }
    failed = outcomes.pop("raise")
    assert (failed.message, failed.died) == ("ValueError: one line", False)
    assert 'raise ValueError("one line' in failed.traceback
    assert outcomes == {
        "fine": "fine",
        "well": "well",
        "exit": Failure("the process ended with status 7", died=True),
        "leave": Failure("the process ended with status 3", died=True),
    }


@pytest.mark.parametrize(
    ("workers", "needs", "together"),
    [
        (LocalWorkers(3), Needs(), 3),
        (LocalWorkers(3), Needs(cpus=2), 1),
        (LocalWorkers(1), Needs(cpus=2), 1),
        (LocalWorkers(3, memory=100), Needs(memory=50), 2),
        (LocalWorkers(3, memory=0), Needs(memory=101), 3),
        (LocalWorkers(3, gpus=2), Needs(gpus=1), 2),
    ],
)
def test_jobs_run_side_by_side_as_far_as_there_is_what_they_want(
    workers: LocalWorkers, needs: Needs, together: int, tmp_path: Path
) -> None:
    meeting = str(tmp_path), together
    outcomes = list(workers.run(jobs.interval_of_several, [Job(meeting, needs) for _ in range(3)]))
    assert overlap([outcome.result for outcome in outcomes]) == together


def test_a_job_that_wants_a_gpu_is_refused_where_there_is_none() -> None:
    with pytest.raises(BackendError, match="a job wants 1 GPUs, these workers have 0"):
        next(LocalWorkers(1).run(jobs.interval, [Job(0.1, Needs(gpus=1))]))


def test_a_process_uses_as_many_threads_as_its_job_wants_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert [outcome.result for outcome in LocalWorkers(2).run(jobs.threads, [Job(None, Needs(cpus=2))])] == ["2"]
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert [outcome.result for outcome in LocalWorkers(2).run(jobs.threads, [Job(None)])] == ["5"]


def test_a_job_is_taken_when_there_is_a_worker_for_it() -> None:
    taken = []

    def coming() -> Iterator[Job[float]]:
        for number in range(5):
            taken.append(number)
            yield Job(0.1)

    outcomes = LocalWorkers(1).run(jobs.sleep_and_tell, coming())
    next(outcomes)
    assert len(taken) == 2
    outcomes.close()


def test_closing_the_outcomes_stops_every_job_in_order(tmp_path: Path) -> None:
    def coming() -> Iterator[Job[str]]:
        yield Job(str(tmp_path))
        yield Job(str(tmp_path))
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(LocalWorkers(3).run(jobs.hold, coming()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_its_parent(tmp_path: Path, sent: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, jobs.__file__, tmp_path], stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    assert all(map(lives, workers))
    parent.send_signal(sent)
    assert parent.wait(20) != 0
    wait_until(lambda: not any(map(lives, workers)))
    assert list(tmp_path.iterdir()) == []


def test_the_machine_is_measured() -> None:
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)
    assert machine_memory() > 1 << 28


def test_processes_are_kept_from_run_to_run_where_that_is_asked_for() -> None:
    workers = LocalWorkers(2)
    with workers.keeping():
        first, second = ({o.result for o in workers.run(jobs.die_or_tell, map(Job, (0, 0)))} for _ in range(2))
        assert second <= first
    assert not any(lives(process) for process in first)
    third = {outcome.result for outcome in workers.run(jobs.die_or_tell, [Job(0)])}
    assert not third & first
