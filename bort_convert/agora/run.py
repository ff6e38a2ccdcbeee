"""The loop over rounds: train, choose, make points where the best model errs, delete tuples; and go on after a kill.

At the end of a round the points that it made are stored, then the best model gets its place, then the journal says that
the round is over. What is random follows from the seed and the round: a round that was cut off is made again the same.
"""

from __future__ import annotations

import os
import random
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.agora.baselines import Baselines
from bort_convert.agora.core import replay
from bort_convert.agora.model_card import card
from bort_convert.agora.options import OPTION_NAMES, Options, gpus_of, mixed_seed
from bort_convert.agora.render import to_html
from bort_convert.agora.report import Figure, report_of
from bort_convert.agora.run_directory import RunDirectory, delete, read_settings
from bort_convert.agora.specs import judged_rows, prediction_spec, trial_spec
from bort_convert.agora.starting import Request, differences, labels_of, prepare
from bort_convert.agora.training import Contest, Trainer, trial_name
from bort_convert.agora.trial import predict
from bort_convert.agora.values import FAILED, Example, MadePoint, TrialSpec
from bort_convert.errors import AgoraError, BackendError, OptionError, OutputError
from bort_convert.workers.processes import LocalWorkers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bort_convert.agora.starting import Inputs
    from bort_convert.agora.values import Hyperparameters, Text
    from bort_convert.workers.jobs import Workers

AGORA: Final = "agora"
_HOUR: Final = 3600


@dataclass(frozen=True)
class BestModel:
    """The model that a run chose.

    Attributes:
        model: its directory, which transformers loads.
        theta: its tuple.
        round: in which it was trained.
        dev: its score on the dev set, where it was chosen.
    """

    model: str
    theta: Hyperparameters
    round: int
    dev: float


@dataclass(frozen=True)
class Run:
    """The outcome of a run.

    Attributes:
        best: the model that it chose.
        rounds: each round, as the report has it.
        test: figure of the best model on the test set; None without one.
        baselines: the same of each baseline, by its name.
        report: the whole report, as JSON has it.
        directory: of the run.
    """

    best: BestModel
    rounds: list[dict[str, Any]]
    test: Figure | None
    baselines: dict[str, Figure]
    report: dict[str, Any]
    directory: str


def agora(
    candidate: str | os.PathLike[str],
    train: Any,  # noqa: ANN401 - a file or a list
    dev: Any,  # noqa: ANN401
    test: Any = None,  # noqa: ANN401
    *,
    teacher: Any,  # noqa: ANN401 - a directory or a callable
    out: str | os.PathLike[str],
    tau: Any = ("mask", "drop"),  # noqa: ANN401 - names or a callable
    theta: Any = "small",  # noqa: ANN401 - see `read_theta`
    pool: Any = None,  # noqa: ANN401 - a file or a list
    workers: Workers | None = None,
    gpus_per_trial: int | None = None,
    resume: bool = False,
    max_rounds: int | None = None,
    max_hours: float | None = None,
    on_start: Callable[[Inputs], None] | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    on_round: Callable[[dict[str, Any]], None] | None = None,
    **options: Any,  # noqa: ANN401 - those of `Options`
) -> Run:
    """Fine-tune a model by Agora: the first open implementation of the published description.

    Args:
        candidate: directory of the model to train, such as one that `convert` made.
        train: the training set: a CSV or JSONL file, or a list of (text, label) or ((text, text), label).
        dev: the evaluation set, from which the model is chosen and whose mistakes are looked at.
        test: a set that the loop never sees. Without one, no figure of the run means anything.
        teacher: directory of a trained classifier or of a sentence encoder, or a function from texts to labels.
        out: directory of the run.
        tau: makes texts like a text: `mask`, `drop`, `swap`, `none` or `module:function`; or a function of a text
            and a `random.Random`.
        theta: `small`, `bort`, a TOML file, or tuples as `grid` makes them.
        pool: unlabelled texts, which the teacher labels in place of made ones. An extension.
        workers: what runs the trials; by default two processes of this machine, or one if it needs a GPU.
        gpus_per_trial: graphics processors that a trial wants; by default 1 with a device such as `cuda`, else 0.
        resume: go on with the run in `out`, by the same inputs and options.
        max_rounds: stop after this many rounds; a run can go on later.
        max_hours: stop after the round in which these hours are over.
        on_start: takes what the run is made of, before the first trial.
        on_event: takes each record of the journal.
        on_round: takes each round, as the report has it.
        options: see `Options`.

    Raises:
        AgoraError: something is wrong with the inputs, all of which is listed, and nothing was started; the run in
            `out` was started with others; or every trial failed.
        OptionError: there is no such option.
        OutputError: `out` holds something else, or cannot be written.
        BackendError: workers have less than a trial wants.
    """
    _check_place(Path(out), resume=resume)
    inputs = inputs_of(candidate, train, dev, test, teacher=teacher, tau=tau, theta=theta, pool=pool, **options)
    if resume and (lines := differences(read_settings(out) or {}, inputs.settings)):
        raise AgoraError(f"{out}: the run was started with other inputs or options:", lines)
    if on_start:
        on_start(inputs)
    gpus = gpus_of(inputs.options.device) if gpus_per_trial is None else gpus_per_trial
    workers = workers or LocalWorkers(1 if gpus else 2, gpus=gpus)
    with RunDirectory(out) as place, workers.keeping() if isinstance(workers, LocalWorkers) else nullcontext():
        if not resume:
            place.start(inputs.settings)
        trainer = Trainer(place, workers, gpus=gpus, happened=on_event or _nothing)
        loop = _Loop(inputs, place, trainer, on_event=on_event or _nothing, on_round=on_round or _nothing)
        loop.run(max_rounds, max_hours)
        return loop.finish()


def inputs_of(
    candidate: str | os.PathLike[str],
    train: Any,  # noqa: ANN401 - as in `agora`
    dev: Any,  # noqa: ANN401
    test: Any = None,  # noqa: ANN401
    *,
    teacher: Any,  # noqa: ANN401
    tau: Any = ("mask", "drop"),  # noqa: ANN401
    theta: Any = "small",  # noqa: ANN401
    pool: Any = None,  # noqa: ANN401
    **options: Any,  # noqa: ANN401
) -> Inputs:
    """Read and check what a run is made of; see `agora`.

    Raises:
        AgoraError: something is wrong; the error lists all of it.
        OptionError: there is no such option.
    """
    for name, value in options.items():
        if name not in OPTION_NAMES:
            raise OptionError(name, value, f"no such option; expected one of {', '.join(OPTION_NAMES)}")
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
    }
    sets = {"train": train, "dev": dev, "test": test, "pool": pool}
    path = os.path.abspath(candidate)  # noqa: PTH100 - it keeps the name of a link
    return prepare(Request(path, sets, teacher, tau, theta, Options(**given)))


def _check_place(out: Path, *, resume: bool) -> None:
    """Refuse a directory that holds something else, or nothing to go on with."""
    found = read_settings(out)
    if resume and found is None:
        raise AgoraError(f"{out}: no run was started there; expected the directory of one")
    if found is not None and not resume:
        raise OutputError(
            f"{out}: a run was started there already. Pass `resume=True` to go on, or choose another name"
        )
    if found is None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} is not empty; expected an empty directory, or nothing. Choose another name")


def _nothing(_happened: object) -> None:
    pass


class _Loop:
    """A run, brought to where its journal ends."""

    def __init__(
        self,
        inputs: Inputs,
        place: RunDirectory,
        trainer: Trainer,
        *,
        on_event: Callable[[dict[str, Any]], None],
        on_round: Callable[[dict[str, Any]], None],
    ) -> None:
        self._inputs, self._place = inputs, place
        self._options, self._data = inputs.options, inputs.data
        self._trainer, self._on_event, self._on_round = trainer, on_event, on_round
        records = place.records()
        own = [record for record in records if record.get("arm", AGORA) == AGORA]
        self._core = replay(inputs.theta, own, **self._options.core)
        self._records = records
        self._points = [point for number in range(1, self._core.round) for point in place.made(number)]
        self._judged = judged_rows(len(self._data.dev), self._options)
        self._stopped = ""

    def run(self, max_rounds: int | None, max_hours: float | None) -> None:
        """Go through rounds until no tuple is left, or until it is time to stop."""
        end = None if max_hours is None else time.monotonic() + max_hours * _HOUR
        while not self._core.done and not self._stopped:
            if max_rounds is not None and self._core.round > max_rounds:
                self._stopped = f"stopped after {max_rounds} rounds, with {len(self._core.left)} tuples left"
                break
            self._train()
            self._close()
            if end is not None and time.monotonic() > end and not self._core.done:
                self._stopped = f"stopped after {max_hours:g} hours, with {len(self._core.left)} tuples left"

    def finish(self) -> Run:
        """Train the baselines, write the report, and give the outcome."""
        place, core, inputs = self._place, self._core, self._inputs
        if core.best is None:
            raise AgoraError(f"{place.path}: {self._stopped or 'no round came to an end'}")
        baselines = Baselines(inputs, place, self._trainer)
        if self._options.baselines and self._data.test:
            baselines.run(core.trainings)
        report = report_of(inputs, place, self._stopped)
        place.write_json("report.json", report)
        place.write_text("best/README.md", card(report))
        with suppress(BackendError):  # without jinja2 there is no page
            place.write_text("report.html", to_html(report))
        best = BestModel(str(place.best), inputs.theta[core.best.id], core.best.round, core.best.score)
        figures = {name: Figure(**figure) for name, figure in report["baselines"].items()}
        test = Figure(**report["test"]) if report["test"] else None
        return Run(best, report["rounds"], test, figures, report, str(place.path))

    def _contest(self) -> Contest:
        core = self._core
        limit = None if core.best is None else core.best.score
        number = core.round
        train = (*self._data.train, *(point.example for point in self._points))
        start = str(self._place.best) if self._options.warm_start and core.best else ""

        def spec(at: int) -> TrialSpec:
            return trial_spec(self._inputs, self._inputs.theta[at], train, AGORA, number, warm_start=start)

        contest = Contest(AGORA, number, spec, score_to_reach=limit)
        for record in self._records:
            contest.add(record)
        return contest

    def _train(self) -> None:
        """Run the trials that the round still wants."""
        core, contest = self._core, self._contest()
        waiting = core.ask()
        self._sweep(contest)
        if waiting:
            self._trainer.train((contest, at) for at in waiting)
        for at in waiting:
            core.tell(at, contest.scores.get(at, FAILED))
        if not contest.scores and core.best is None:
            reason = next(iter(contest.failures.values()))
            raise AgoraError(f"every trial of round {core.round} failed; the first one: {reason}")

    def _sweep(self, contest: Contest) -> None:
        """Delete the models that a killed run had no time to delete."""
        keep = None if contest.leader is None else self._place.trial(contest.name(contest.leader))
        for model in self._place.path.glob("trials/[0-9]*/model"):
            if model.parent != keep:
                delete(model)

    def _close(self) -> None:
        """End a round: points, the best model, the journal, in this order."""
        core, place, number = self._core, self._place, self._core.round
        winner = core.winner()
        name = trial_name(AGORA, number, winner)
        result = place.result(name)
        mistakes = self._mistakes(result.predictions)
        points, skipped = self._grow(mistakes, number)
        place.keep_made(number, points)
        if core.best and core.best.round == number:
            place.put_best(name, {"README.md": card(None)})
            self._answer(number, winner)
        else:
            delete(place.trial(name) / "model")
        trained, found = len(core.left), None if result.failure else len(mistakes)
        deletion = core.grew(mistakes=found)
        record = {
            "event": "grew",
            "round": number,
            "trained": trained,
            "best": winner,
            "score": result.score,
            "mistakes": found,
            "points": len(points),
            "skipped": skipped,
            "deleted": list(deletion.ids),
            "reason": deletion.reason,
        }
        place.append(record)
        self._points += points
        self._on_event(record)
        self._on_round({**record, "theta": self._inputs.theta[winner]})

    def _mistakes(self, predictions: Sequence[int]) -> list[int]:
        """Rows of the dev set that the best model of a round got wrong, without those that judge."""
        judged = set() if self._judged is None else set(self._judged)
        pairs = enumerate(zip(predictions, self._data.dev, strict=False))
        return [row for row, (answer, example) in pairs if answer != example.label and row not in judged]

    def _grow(self, mistakes: Sequence[int], number: int) -> tuple[list[MadePoint], int]:
        """Make points from mistakes, or take as many from the pool, and have the teacher label them."""
        data, options = self._data, self._options
        if data.pool:
            texts = self._from_pool(len(mistakes) * options.copies)
            skipped = len(mistakes) * options.copies - len(texts)
        else:
            parents = [(row, data.dev[row].texts) for row in mistakes]
            known = [point.example.texts for point in self._points]
            made = self._inputs.generator.make(parents, f"{options.seed}-{number}", known)
            texts, skipped = list(made.texts), made.skipped
        if not texts:
            return [], skipped
        rows = self._inputs.teacher.probabilities([text for text, _, _ in texts])
        labels = labels_of(rows)
        return [
            MadePoint(_example(text, label, tuple(row) if options.soft else None), parent, how)
            for (text, parent, how), label, row in zip(texts, labels, rows, strict=True)
        ], skipped

    def _from_pool(self, count: int) -> list[tuple[Text, int, str]]:
        """The next texts of the pool, in an order that the seed decides."""
        order = list(range(len(self._data.pool)))
        random.Random(mixed_seed(self._options.seed, "pool")).shuffle(order)  # noqa: S311 - no secrets
        taken = len(self._points)
        return [(self._data.pool[row], row, "pool") for row in order[taken : taken + count]]

    def _answer(self, number: int, winner: int) -> None:
        """Keep the best model's answers on the test set, which the loop does not read."""
        if self._data.test:
            spec = prediction_spec(self._inputs, self._inputs.theta[winner], self._place.best)
            self._place.write_json(f"tests/{number:04}.json", labels_of(predict(spec)))


def _example(text: Text, label: int, probabilities: tuple[float, ...] | None) -> Example:
    if isinstance(text, str):
        return Example(text, label, probabilities=probabilities)
    return Example(text[0], label, text[1], probabilities)
