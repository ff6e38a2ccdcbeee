"""What a run is made of: inputs are read, checked together, and refused with all problems at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bort_convert.agora.classifier import check_device, truncated_rows
from bort_convert.agora.datasets import read_data
from bort_convert.agora.generation import Generator
from bort_convert.agora.run_directory import FORMAT
from bort_convert.agora.teacher import accuracy_on, load_teacher, weak_problem
from bort_convert.agora.theta import read_theta
from bort_convert.errors import AgoraError, ConvertError
from bort_convert.files.streams import sha256_of_folder
from bort_convert.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bort_convert.agora.options import Options
    from bort_convert.agora.values import Data, Hyperparameters, Teacher


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Attributes:
        candidate: directory of the model to train.
        sets: `train`, `dev`, `test` and `pool`: a file or a list of examples each; None for none.
        teacher: a directory, or a callable.
        tau: names, or a callable.
        theta: see `read_theta`.
        options: of the run.
    """

    candidate: str
    sets: Mapping[str, Any]
    teacher: Any
    tau: Any
    theta: Any
    options: Options


@dataclass(frozen=True)
class Inputs:
    """What a run is made of, read and checked.

    Attributes:
        candidate: directory of the model to train.
        data: the data sets.
        teacher: the teacher.
        teacher_dev: its accuracy on the dev set.
        generator: makes texts; one that makes none where there is a pool.
        theta: Theta.
        options: of the run.
        settings: what is kept of all this, as JSON has it.
        warnings: what is doubtful, a line each.
    """

    candidate: str
    data: Data
    teacher: Teacher
    teacher_dev: float
    generator: Generator
    theta: tuple[Hyperparameters, ...]
    options: Options
    settings: dict[str, Any]
    warnings: tuple[str, ...]


def prepare(request: Request) -> Inputs:
    """Read and check everything that a run is made of.

    Raises:
        AgoraError: something is wrong; the error lists all of it.
    """
    options = request.options
    problems = options.problems()
    theta = _tried(problems, lambda: read_theta(request.theta), ())
    balance = options.seed if options.balance else None
    sets, pool = request.sets, request.sets["pool"]
    if pool is not None and not isinstance(pool, (str, os.PathLike)):
        sets = {**sets, "pool": [(text, "") for text in pool]}
    data = read_data(**sets, allow_overlap=options.allow_overlap, balance=balance)
    problems += data.problems
    generator = _tried(problems, lambda: _generator(request, data), None)
    _tried(problems, lambda: check_device(options.device), None)
    cut = _tried(problems, lambda: _cut(request.candidate, data, _shortest(theta, options)), [])
    teacher, accuracy = _measured(request, data, problems)
    if problems or teacher is None:
        count = len(problems)
        raise AgoraError(f"nothing was started: {count} problem{'s' * (count != 1)}", problems)
    return Inputs(
        request.candidate,
        data,
        teacher,
        accuracy,
        generator,
        theta,
        options,
        _settings(request, data, teacher, theta),
        (*data.warnings, *cut),
    )


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What a run that goes on has otherwise than when it was started, a line each."""
    lines = [
        f"`{name}`: {old['options'].get(name)} in the run, {value} now"
        for name, value in new["options"].items()
        if old["options"].get(name) != value
    ]
    lines += [
        f"{name}: another content than when the run was started"
        for name in dict.fromkeys((*old["digests"], *new["digests"]))
        if old["digests"].get(name) != new["digests"].get(name)
    ]
    lines += [f"`{name}`: {old[name]} in the run, {new[name]} now" for name in ("tau",) if old[name] != new[name]]
    return lines + (["`theta`: other tuples than in the run"] if old["theta"] != new["theta"] else [])


def _measured(request: Request, data: Data, problems: list[str]) -> tuple[Teacher | None, float]:
    """The teacher and its accuracy on the dev set; without one where the data already has problems."""
    if data.problems:
        return None, 0.0
    options = request.options
    teacher: Teacher | None = _tried(problems, lambda: _teacher(request, data), None)
    if teacher is None:
        return None, 0.0
    found = teacher
    accuracy = _tried(problems, lambda: accuracy_on(found, data.dev), None)
    if accuracy is not None and not options.weak_teacher:
        problems += filter(None, [weak_problem(accuracy, len(data.dev))])
    return teacher, accuracy or 0.0


def _teacher(request: Request, data: Data) -> Teacher:
    length = request.options.length
    return load_teacher(request.teacher, data.train, data.labels, candidate=request.candidate, length=length)


def _generator(request: Request, data: Data) -> Generator:
    tau: Any = "none" if data.pool else [request.tau] if callable(request.tau) else ",".join(tau_names(request.tau))
    known = [example.texts for example in (*data.train, *data.dev, *data.test)]
    return Generator(tau, request.candidate, known, copies=request.options.copies)


def tau_names(tau: str | Sequence[str]) -> list[str]:
    """Names of generators, from a list or a text with commas."""
    return [name.strip() for name in (tau.split(",") if isinstance(tau, str) else tau)]


def labels_of(probabilities: Sequence[Sequence[float]]) -> list[int]:
    """The most probable label of each row, of equals the first."""
    return [max(range(len(row)), key=row.__getitem__) for row in probabilities]


def _shortest(theta: Sequence[Hyperparameters], options: Options) -> int:
    """The length at which some tuple's texts are cut first."""
    return min((int(options.full(values)["length"]) for values in theta), default=options.length)


def _cut(candidate: str, data: Data, length: int) -> list[str]:
    """A line on the texts that are longer than what the model is given, for each set that has any."""
    sets = {"train": data.train, "dev": data.dev, "test": data.test}
    counts = {
        name: len(truncated_rows(candidate, [example.texts for example in examples], length))
        for name, examples in sets.items()
    }
    return [
        f"{name}: {count:,} of {len(sets[name]):,} texts are longer than {length} tokens, and are cut there"
        for name, count in counts.items()
        if count
    ]


def _settings(request: Request, data: Data, teacher: Teacher, theta: Sequence[Hyperparameters]) -> dict[str, Any]:
    """What is kept of a run's inputs, as JSON has it."""
    tau = [_name_of(request.tau)] if callable(request.tau) else tau_names(request.tau)
    paths = {"candidate": request.candidate, "teacher": request.teacher, **request.sets}
    return {
        "format": FORMAT,
        "bort_convert": __version__,
        "inputs": {
            name: os.path.abspath(path)  # noqa: PTH100 - keeps the name of a link
            for name, path in paths.items()
            if isinstance(path, (str, os.PathLike))
        },
        "options": request.options.to_dict(),
        "tau": tau,
        "theta": [dict(values) for values in theta],
        "digests": {**data.digests, "candidate": sha256_of_folder(Path(request.candidate)), "teacher": teacher.digest},
    }


def _name_of(function: Callable[..., object]) -> str:
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(type(function)))}"


def _tried(problems: list[str], made: Callable[[], Any], otherwise: Any) -> Any:  # noqa: ANN401 - whatever is made
    """What is made; where that is refused, the reason joins the problems."""
    try:
        return made()
    except AgoraError as error:
        problems += error.disagreements or [str(error)]
    except ConvertError as error:
        problems += [str(error)]
    return otherwise
