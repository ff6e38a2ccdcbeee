"""One entry of a plan, as a worker does it: see if there is anything to do, convert, verify, check."""

from __future__ import annotations

import logging
import os
import platform
import tempfile
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.batch.journal import Memory
from bort_convert.batch.result import CONVERTED, FAILED, FITS, UP_TO_DATE, FileResult
from bort_convert.batch.states import Source, manifest_digest, reason_to_convert, source_digest, was_finished
from bort_convert.commands.check import check
from bort_convert.commands.convert import convert
from bort_convert.commands.inspect import inspect
from bort_convert.errors import ConvertError
from bort_convert.files.system_errors import writing
from bort_convert.model_dir.config import target_config
from bort_convert.model_dir.read import read_manifest
from bort_convert.verification import ReferenceOptions, Report, verify
from bort_convert.verification.reference_process import ReferenceProcess

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.batch.plan import Entry
    from bort_convert.files.remote import Place
    from bort_convert.model_dir.manifest import Manifest

FIT_OPTIONS: Final = (
    *(
        "family",
        "table",
        "variant",
        "heads",
        "layers",
        "gluonnlp_version",
        "hyperparameters",
        "prefix",
        "ignore",
        "keep_extra",
        "symbol",
    ),
    *("max_arrays", "recognise"),
)
CONFIG_OPTIONS: Final = ("dtype", "labels", "problem_type")
NOT_SHARED: Final = "RootNotShared"
"""Type of the error on a machine that does not see the root."""
_MXNET: Final = ReferenceProcess()
"""Of this process: it starts with the first verification that runs MXNet, and takes them all."""


@dataclass(frozen=True)
class Settings:
    """Settings of a whole batch.

    Attributes:
        verify: prove every conversion before its target appears.
        check: compare every target with its manifest, and with its source.
        dry_run: read headers, and write nothing.
        force: replace a directory that no batch here has written.
        mxnet_python: see `ReferenceOptions`.
        gluonnlp: see `ReferenceOptions`.
        timeout: see `ReferenceOptions`.
    """

    verify: bool = False
    check: bool = False
    dry_run: bool = False
    force: bool = False
    mxnet_python: str | None = None
    gluonnlp: str | None = None
    timeout: float | None = None

    @property
    def state(self) -> dict[str, Any]:
        """Settings that decide about a target."""
        return {"verify": {"gluonnlp": self.gluonnlp} if self.verify else None}


@dataclass(frozen=True)
class Task:
    """What a worker gets.

    Attributes:
        entry: of the plan.
        root: of the batch.
        scratch: folder below the root for files that nobody needs later; this run alone has made it.
        state: see `states.state_of`.
        memory: what the journal tells.
        settings: of the batch.
        machine: name of the one where the batch was started.
    """

    entry: Entry
    root: Place
    scratch: Path
    state: dict[str, Any]
    memory: Memory = field(default_factory=Memory)
    settings: Settings = field(default_factory=Settings)
    machine: str = field(default_factory=platform.node)

    @property
    def target(self) -> Place:
        """The directory to write."""
        return self.root / self.entry.name


def do(task: Task) -> FileResult:
    """Bring one target to what its entry asks for; an error of ours is part of the result."""
    start = time.perf_counter()
    logging.getLogger("bort_convert").setLevel(logging.ERROR)  # a leftover that is cleared is no news in a batch
    entry, here = task.entry, platform.node()
    result = FileResult(entry.name, entry.shown_source, entry.place, state=task.state)
    reports: list[Report] = []
    try:
        with writing(task.root):
            if not (task.settings.dry_run or task.scratch.is_dir()):
                problem = {"type": NOT_SHARED, "message": _not_shared(task.scratch.parents[1], here)}
                return replace(result, status=FAILED, error=problem)
            tempfile.tempdir = tempfile.tempdir if task.settings.dry_run else str(task.scratch)
            result = _done(task, result, reports)
    except ConvertError as error:
        place = "" if here == task.machine else f" (on {here})"
        failure = {"type": type(error).__name__, "message": f"{error}{place}"}
        result = replace(result, status=FAILED, error=failure, size=_size_of(entry.source))
    if reports:
        result = replace(result, report=_without_old_names(reports[-1].to_dict()))
    return replace(result, seconds=round(time.perf_counter() - start, 3))


def _not_shared(root: Place, machine: str) -> str:
    return (
        f"{root} on {machine} is not the folder of this batch. On a cluster every machine has to see the root, and all "
        "sources, under the same path: mount them there, or take that machine out"
    )


def _done(task: Task, result: FileResult, reports: list[Report]) -> FileResult:
    target, source = task.target, Source.at(task.entry.source)
    is_done = was_finished(target, task.state, task.memory, source)
    reason = "" if is_done else reason_to_convert(target, task.state, task.memory, source)
    result = replace(result, size=source.size, marks=source.marks)
    if not reason:
        kept = FileResult.from_dict(task.memory.good) if task.memory.good and not task.memory.is_open else result
        now: dict[str, Any] = {
            "name": result.name,
            "source": result.source,
            "place": result.place,
            "status": UP_TO_DATE,
            "reason": "",
        }
        now |= {"state": task.state, "manifest": manifest_digest(target), "size": source.size, "marks": source.marks}
        result = replace(kept, **now)
        if not result.model:
            manifest = read_manifest(target)
            result = replace(result, sha256=_digest(source, manifest), model=_model_in(manifest))
    elif task.settings.dry_run:
        return replace(result, status=FITS, reason=reason, model=_fitted(task.entry.source, task.entry.options))
    else:
        result = _converted(task, source, replace(result, reason=reason), reports)
    return _checked(task, result) if task.settings.check and not task.settings.dry_run else result


def _digest(source: Source, manifest: Manifest) -> str:
    """SHA-256 of a source; "" for one elsewhere that was not fetched whole."""
    return manifest.source.sha256 or (source_digest(source.place) if isinstance(source.place, Path) else "")


def _converted(task: Task, source: Source, result: FileResult, reports: list[Report]) -> FileResult:
    options = {name: value for name, value in task.entry.options.items() if name != "trace"}
    verifier = partial(_verify, task, reports) if task.settings.verify else None
    manifest = convert(
        source.given, task.target, **options, verify=verifier, force=task.memory.is_ours or task.settings.force
    )
    return replace(
        result,
        status=CONVERTED,
        model=_model_in(manifest),
        sha256=_digest(source, manifest),
        manifest=manifest_digest(task.target),
    )


def _verify(task: Task, reports: list[Report], source: str | os.PathLike[str], folder: Path) -> Report:
    settings = task.settings
    given = {"mxnet_python": settings.mxnet_python, "gluonnlp": settings.gluonnlp, "timeout": settings.timeout}
    options = ReferenceOptions(process=_MXNET).with_keywords(**given)
    trace = task.entry.options.get("trace")
    symbol = None if trace else task.entry.options.get("symbol")
    report = verify(trace or source, folder, symbol=symbol, reference_options=options)
    report = replace(report, target=task.entry.name)
    reports.append(report)
    return report


def _checked(task: Task, result: FileResult) -> FileResult:
    outcome = check(task.target, source=task.entry.source)
    result = replace(result, problems=outcome.problems)
    if outcome:
        return result
    message = "the directory is not as it was written: " + "; ".join(outcome.problems)
    return replace(result, status=FAILED, error={"type": "ParityError", "message": message})


def _fitted(source: str, options: Mapping[str, Any]) -> str:
    """The model that a header fits, with its options.

    Raises:
        ConvertError: it fits none, or an option does not go with it.
    """
    inspection = inspect(source, **{name: options[name] for name in FIT_OPTIONS if name in options})
    if inspection.misfit:
        raise inspection.misfit
    fit = inspection.fit
    assert fit is not None
    target_config(fit, **{name: options[name] for name in CONFIG_OPTIONS if name in options})
    return _model(fit.architecture, fit.variant or fit.family.name)


def _model_in(manifest: Manifest) -> str:
    return _model(manifest.architecture, manifest.variant or manifest.family)


def _model(architecture: str, size_or_family: str) -> str:
    return f"{architecture} ({size_or_family})"


def _size_of(source: str) -> int:
    """Bytes of a source whose conversion failed; 0 if it is elsewhere, where its size costs a question, or is gone."""
    try:
        return os.stat(source).st_size  # noqa: PTH116 - a source is a text
    except OSError:
        return 0


def _without_old_names(report: dict[str, Any]) -> dict[str, Any]:
    """A report without the names of release 0.1, which a batch never had."""
    return {name: value for name, value in report.items() if name not in {"rungs", "at_fault"}}
