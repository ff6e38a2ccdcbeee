"""Carry out a plan: hand each entry to a worker, remember what begins and ends, and put the results together."""

from __future__ import annotations

import os
import re
import secrets
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bort_convert.batch.job import NOT_SHARED, Settings, Task, do
from bort_convert.batch.journal import FILE_NAME, WORKER_DIED, Journal, Memory, read_memories
from bort_convert.batch.result import FAILED, UP_TO_DATE, BatchResult, FileResult
from bort_convert.batch.states import digest_of, manifest_digest, state_of
from bort_convert.errors import FormatError, OptionError, OutputError
from bort_convert.files.leftovers import clear_leftovers, delete
from bort_convert.files.places import named_path, named_place
from bort_convert.files.remote import is_remote
from bort_convert.files.system_errors import writing
from bort_convert.model_dir.ownership import converted_directory_around
from bort_convert.workers.jobs import Failure, Job, Needs
from bort_convert.workers.processes import LocalWorkers, usable_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from bort_convert.batch.plan import Entry
    from bort_convert.files.remote import Place
    from bort_convert.workers.jobs import Outcome, Workers

SCRATCH: Final = ".batch-scratch"
_LEFTOVER: Final = re.compile(r"\.(.+)\.(?:partial|replaced)-[0-9a-f]{16}")
_MEMORY: Final = 200_000_000
"""Bytes that a conversion takes at most, with the interpreter."""
_MEMORY_OF_FRAMEWORKS: Final = 1_500_000_000
_COPIES: Final = 12
"""Sizes of a source that a verification holds at a time: weights in float64 on both sides, and outputs."""


def convert_batch(
    plan: Sequence[Entry],
    root: str | os.PathLike[str],
    *,
    journal: str | os.PathLike[str] | None = None,
    verify: bool = False,
    check: bool = False,
    dry_run: bool = False,
    fail_fast: bool = False,
    retry_failed: bool = False,
    force: bool = False,
    jobs: int | None = None,
    workers: Workers | None = None,
    mxnet_python: str | None = None,
    gluonnlp: str | None = None,
    timeout: float | None = None,
    progress: Callable[[FileResult], None] = lambda _result: None,
) -> BatchResult:
    """Convert every checkpoint of a plan to a directory below one root; what is right there already is left alone.

    A target is converted again if it is missing or failed, or if its source (size and SHA-256), its options, a file
    that they name, or the version of this package is another one. `batch.journal` in the root remembers what was done.
    Of a source elsewhere, size and marks (ETag, version) count in place of its SHA-256.

    Workers are fresh interpreters that import the script they were started from. So a script calls this below
    `if __name__ == "__main__":`, as with `multiprocessing`.

    Args:
        plan: from `read_plan`.
        root: the folder of all targets, or its URL.
        journal: folder of this machine for the journal, by default the root; needed for a root elsewhere.
        verify: prove each conversion before its target appears: by the recorded trace of its entry, or live.
        check: compare each target with its manifest and its source, those that are left alone too.
        dry_run: read headers and say what would be done; write nothing.
        fail_fast: end with the first failure.
        retry_failed: do nothing but what failed in an earlier run.
        force: replace directories that another conversion wrote.
        jobs: conversions at a time; by default one for each processor.
        workers: who runs them; by default processes of this machine.
        mxnet_python: see `ReferenceOptions`.
        gluonnlp: see `ReferenceOptions`.
        timeout: seconds that one run of MXNet may take.
        progress: called with each result as soon as it is there.

    Returns:
        A result for each entry, true if every target is right.

    Raises:
        OptionError: `jobs` is less than 1, or a root elsewhere has no `journal`.
        OutputError: another batch writes to the root, or it cannot be written to.

    Examples:
        >>> plan = bort_convert.read_plan("fixtures/bort_2_3_24_24.params", defaults={"family": "bort", "heads": 3})
        >>> bool(bort_convert.convert_batch(plan, "models", jobs=1))
        True
        >>> again = bort_convert.convert_batch(plan, "models", jobs=1)  # what is right there is left alone
        >>> [(file.name, file.status) for file in again.files]
        [('bort_2_3_24_24', 'up to date')]
    """
    if jobs is not None and jobs < 1:
        raise OptionError("jobs", jobs, "expected at least 1")
    start, folder, home = time.perf_counter(), named_place(root), journal_folder(root, journal)
    settings = Settings(verify, check, dry_run, force, mxnet_python, gluonnlp, timeout)
    scratch = home / SCRATCH / secrets.token_hex(8)
    digest_of.cache_clear()
    with ExitStack() as stack:
        book = None if dry_run else stack.enter_context(_opened(scratch, folder, plan))
        memories = read_memories(home)
        tasks = [
            Task(entry, folder, scratch, state_of(entry, settings.state), memories.get(entry.name, Memory()), settings)
            for entry in plan
        ]
        waiting = [task for task in tasks if not retry_failed or _has_failed(task.memory)]
        outcomes = (workers or LocalWorkers(jobs or usable_cpus())).run(do, _jobs(waiting, book))
        results = {}
        for result in stack.enter_context(closing(_results(outcomes, book))):
            results[result.name] = result
            progress(result)
            if fail_fast and not result:
                break
    files = {task.entry.name: _left_alone(task) for task in tasks} | results
    return BatchResult(tuple(files.values()), time.perf_counter() - start)


def journal_folder(root: str | os.PathLike[str], journal: str | os.PathLike[str] | None) -> Path:
    """The folder of the journal.

    Raises:
        OptionError: none is given, and the root is elsewhere.
    """
    if journal is None and is_remote(root):
        problem = "the root is elsewhere, and a journal is not: name a folder of this machine, the same for each run"
        raise OptionError("journal", journal, problem)
    return named_path(root if journal is None else journal)


@contextmanager
def _opened(scratch: Path, folder: Place, plan: Sequence[Entry]) -> Iterator[Journal]:
    """Open the journal of a root, without what killed runs left there; at the end the scratch folder is gone too."""
    home = scratch.parents[1]
    for place in (home, folder):
        if around := converted_directory_around(place / FILE_NAME):
            raise OutputError(f"{place} is inside {around}, a converted directory. Choose a place outside of it")
    with Journal(home) as journal:
        delete(home / SCRATCH)
        parents = {(folder / entry.name).parent for entry in plan} if isinstance(folder, Path) else set()
        with writing(home):
            for parent in sorted(parents):
                names = (found[1] for name in _names_in(parent) if (found := _LEFTOVER.fullmatch(name)))
                for name in sorted(set(names)):
                    clear_leftovers(parent / name)
            scratch.mkdir(parents=True)
        try:
            yield journal
        finally:
            delete(home / SCRATCH)


def _names_in(folder: Place) -> list[str]:
    if not isinstance(folder, Path):
        return sorted(folder.names())
    return os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208 - names alone


def _jobs(tasks: Sequence[Task], journal: Journal | None) -> Iterator[Job[Task]]:
    """A job for each task; taking one begins it."""
    for task in tasks:
        found = _found_at(task.target)  # what cannot be read, the job will say; nothing is known of it then
        if journal and found and not (found[0] and task.memory.end and not task.memory.is_open):
            before, free = found
            journal.begin(task.entry.name, task.state, before=before, free=free)
            yield Job(replace(task, memory=_begun(task, before, free=free)), _needs(task))
        else:
            yield Job(task, _needs(task))


def _found_at(target: Place) -> tuple[str, bool] | None:
    """Digest of the manifest at a target, and True if nothing stands there; None if that cannot be read."""
    try:
        return manifest_digest(target), not _names_in(target)
    except (FormatError, OSError):
        return None


def _begun(task: Task, before: str, *, free: bool) -> Memory:
    """What is known of a target once its conversion began: a cluster may run a job again whose machine it lost."""
    memory = replace(task.memory, is_open=True, is_ours=task.memory.is_ours or free)
    return memory if task.memory.is_open else replace(memory, state=task.state, before=before)


def _needs(task: Task) -> Needs:
    if not task.settings.verify:
        return Needs(memory=_MEMORY)
    size = 0
    with suppress(OSError):  # it is elsewhere, or the job will say it
        size = os.stat(task.entry.source).st_size  # noqa: PTH116 - a source is a text
    return Needs(memory=_MEMORY_OF_FRAMEWORKS + _COPIES * size)


def _results(outcomes: Generator[Outcome[Task, FileResult]], journal: Journal | None) -> Generator[FileResult]:
    """The result of each outcome, once the journal has it; closing this stops all jobs."""
    with closing(outcomes):
        for outcome in outcomes:
            task, result = outcome.job.argument, outcome.result
            if isinstance(result, Failure):
                result = _lost(task, result, outcome.seconds)
            elif result.error.get("type") == NOT_SHARED:
                raise OutputError(result.error["message"])
            if journal and (result.status != UP_TO_DATE or task.memory.is_open or _has_failed(task.memory)):
                journal.end(result.name, result.to_dict())
            yield result


def _lost(task: Task, failure: Failure, seconds: float) -> FileResult:
    """The result of a job that its worker did not live to tell, or that ended in an error that is not ours."""
    error = {"type": WORKER_DIED if failure.died else "InternalError", "message": failure.message}
    error |= {"traceback": failure.traceback} if failure.traceback else {}
    return replace(_left_alone(task), status=FAILED, error=error, seconds=round(seconds, 3))


def _has_failed(memory: Memory) -> bool:
    return memory.end is not None and memory.end["status"] == FAILED


def _left_alone(task: Task) -> FileResult:
    """The result of an entry that was not done in this run: what the journal says of an earlier one."""
    entry, end = task.entry, task.memory.end
    result = FileResult(entry.name, entry.shown_source, entry.place, state=task.state)
    if end is None or end["status"] == FAILED or task.memory.is_open:
        return result
    return replace(
        FileResult.from_dict(end), source=entry.shown_source, place=entry.place, status=UP_TO_DATE, reason=""
    )
