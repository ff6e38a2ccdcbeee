"""The command that fine-tunes a model: agora."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final, get_args

import click
from click.core import ParameterSource

from bort_convert.agora.core import OfEquals
from bort_convert.agora.deletion import Rule
from bort_convert.agora.options import OPTION_NAMES, Options, gpus_of
from bort_convert.agora.run_directory import read_settings
from bort_convert.agora.values import Epoch, Metric
from bort_convert.cli.command import Command
from bort_convert.cli.options import FILE, JSON, OUTPUT, QUIET
from bort_convert.cli.output import progress_lines, show
from bort_convert.errors import AgoraError
from bort_convert.workers.processes import LocalWorkers, usable_cpus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bort_convert.agora.starting import Inputs
    from bort_convert.cli.options import Function
    from bort_convert.workers.jobs import Workers

_DEFAULTS: Final = Options()
LIMITS: Final = ("max_rounds", "max_hours")
"""Options that decide when a run stops, and nothing else."""


def _choice(name: str, kind: object, text: str) -> Callable[[Function], Function]:
    default = getattr(_DEFAULTS, name)
    flag = f"--{name.replace('_', '-')}"
    return click.option(flag, type=click.Choice(get_args(kind)), default=default, show_default=True, help=text)


def _number(name: str, text: str) -> Callable[[Function], Function]:
    default = getattr(_DEFAULTS, name)
    return click.option(
        f"--{name.replace('_', '-')}", type=type(default), default=default, show_default=True, help=text
    )


def _flag(name: str, text: str) -> Callable[[Function], Function]:
    return click.option(f"--{name.replace('_', '-')}", is_flag=True, help=text)


def _options(function: Function) -> Function:
    """Add the options that decide about the outcome."""
    for option in reversed(
        (
            _choice("prune", Rule, "Rule by which tuples leave Theta; see docs/agora.md."),
            _flag("spare_best", "Keep the best tuple of a round, unless it is the only one left."),
            _choice("of_equals", OfEquals, "Which of equally good models of different rounds is the best."),
            _number("replay", "Rounds on the grown training set before each deletion."),
            _flag("stop_when_perfect", "End with a round whose best model has made no mistake."),
            _flag("warm_start", "Start each trial from the best model so far, in place of the candidate."),
            _number("copies", "Points made from each mistake."),
            _flag("soft", "Learn the teacher's probabilities, in place of its labels."),
            _choice("metric", Metric, "What a model's score is; the second label, as sorted, is the positive one."),
            _choice("epoch", Epoch, "Epoch of a trial that counts: the best on dev, or the last."),
            _number("epochs", "Epochs of a trial, where Theta does not say."),
            _number("batch", "Examples in a step, where Theta does not say."),
            _number("patience", "Epochs without a better score that end a trial, where Theta does not say."),
            _number("length", "Tokens at which a text is cut, where Theta does not say."),
            click.option("--freeze", multiple=True, metavar="PART", help="Do not train a part: embeddings."),
            _number("seed", "Of everything random."),
            click.option("--device", default="cpu", show_default=True, help="Device of torch, such as cuda."),
            _flag("balance", "Leave out examples of the majority label, of training and dev set."),
            click.option(
                "--allow-overlap", multiple=True, metavar="PAIR", help="Sets that may share texts: train:dev."
            ),
            _flag("weak_teacher", "Take a teacher that is not above 2/3 on dev."),
            click.option("--baselines/--no-baselines", default=True, help="Train what the model is compared with."),
            _number("delete_at_least", "Extension: share of the tuples left that each deletion takes, such as 0.33."),
            _number("judge_share", "Extension: share of dev that chooses; mistakes come from the rest, such as 0.5."),
        )
    ):
        function = option(function)
    return function


@click.command(cls=Command, short_help="Fine-tune a Bort by Agora, with a teacher and few labels.")
@click.argument("candidate", required=False, type=FILE)
@click.option("--train", type=FILE, help="Training set: CSV or JSONL with text (or text_a, text_b) and label.")
@click.option("--dev", type=FILE, help="Set that chooses the model, and whose mistakes are looked at.")
@click.option("--test", type=FILE, help="Set that the loop never sees; without it no figure means anything.")
@click.option("--teacher", type=FILE, help="Directory of a trained classifier, or of a sentence encoder.")
@click.option("--out", metavar="RUN", type=OUTPUT, help="Directory of the run.")
@click.option("--resume", metavar="RUN", type=OUTPUT, help="Go on with a run, by its inputs and options.")
@click.option("--plan", "only_plan", is_flag=True, help="Say what a run would cost, and start none.")
@click.option("--theta", default="small", show_default=True, metavar="FILE|bort|small", help="Hyperparameter tuples.")
@click.option(
    "--tau",
    default="mask,drop",
    show_default=True,
    metavar="NAMES",
    help="What makes texts like a text: mask, drop, swap, none, module:function.",
)
@click.option("--pool", type=FILE, help="Extension: unlabelled texts, which the teacher labels in place of made ones.")
@_options
@click.option(
    "--workers", type=click.IntRange(min=1), help="Trials at a time; by default one for each processor, or 1 on a GPU."
)
@click.option("--ray", metavar="ADDRESS", help="Run the trials on a Ray cluster, HOST:PORT or auto.")
@click.option("--gpus-per-trial", type=click.IntRange(min=0), help="By default 1 with --device cuda, else 0.")
@click.option("--max-rounds", type=click.IntRange(min=1), help="Stop after so many rounds.")
@click.option(
    "--max-hours", type=click.FloatRange(min=0, min_open=True), help="Stop after the round in which they end."
)
@click.option(
    "--progress",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="On stderr: a line for each round, or the journal as JSON lines.",
)
@JSON
@QUIET
@click.pass_context
def agora(
    ctx: click.Context,
    /,
    *,
    out: Path | None,
    resume: Path | None,
    only_plan: bool,
    workers: int | None,
    ray: str | None,
    gpus_per_trial: int | None,
    progress: str,
    as_json: bool,
    quiet: bool,
    **given: Any,  # noqa: ANN401
) -> None:
    """Fine-tune CANDIDATE, a directory that transformers loads, for a task of two labels.

    In each round every tuple of Theta is tried; where the best model errs on dev, new training texts are made and
    labelled by the teacher; and the worst tuples go. This is the first open implementation of the published description
    of Agora for Bort; what that leaves open is an option. The best model is in RUN/best.
    """
    place = resume or out
    if resume:
        given = {**_stored(resume), **{name: value for name, value in given.items() if _is_given(ctx, name)}}
    missing = [f"--{name}" for name in ("train", "dev", "teacher") if not given.get(name)]
    missing += ["CANDIDATE"] * (not given.get("candidate")) + ["--out"] * (not (place or only_plan))
    if missing:
        raise click.UsageError(f"missing: {', '.join(missing)}; or go on with a run by --resume RUN", ctx)
    gpus = gpus_per_trial if gpus_per_trial is not None else gpus_of(given["device"])
    at_a_time = workers or (1 if ray or gpus else usable_cpus())
    engine = _engine(at_a_time, ray, gpus)
    from bort_convert.agora import planning, report, run  # noqa: PLC0415 - they import torch

    tell = progress_lines(shown=not quiet)
    if only_plan:
        inputs = run.inputs_of(**{name: value for name, value in given.items() if name not in LIMITS})
        plan = planning.plan_of(inputs, engine, gpus=gpus, at_a_time=at_a_time)
        lines = [*planning.start_lines(inputs), *planning.plan_lines(inputs, plan)]
        show(lambda: planning.plan_to_dict(inputs, plan), lambda: lines, as_json=as_json, quiet=quiet)
        return

    def started(inputs: Inputs) -> None:
        for line in planning.start_lines(inputs):
            tell(line)
        if not resume:
            for line in planning.plan_lines(inputs, planning.plan_of(inputs, engine, gpus=gpus, at_a_time=at_a_time)):
                tell(line)

    in_words = progress == "text"
    done = run.agora(
        **given,
        out=place or "",
        resume=resume is not None,
        workers=engine,
        gpus_per_trial=gpus,
        on_start=started if in_words and not quiet else None,
        on_event=None if in_words else lambda record: tell(json.dumps(record)),
        on_round=(lambda record: tell(report.round_line(record))) if in_words else None,
    )
    show(lambda: done.report, lambda: report.text_of(done.report, os.fspath(place or "")), as_json=as_json, quiet=quiet)


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) != ParameterSource.DEFAULT


def _stored(place: Path) -> dict[str, Any]:
    """The inputs and options that a run was started with, as its directory has them."""
    found = read_settings(place)
    if found is None:
        raise AgoraError(f"{place}: no run was started there; expected the directory of one")
    options = {name: value for name, value in found["options"].items() if name in OPTION_NAMES}
    return {**found["inputs"], **options, "tau": found["tau"], "theta": found["theta"]}


def _engine(at_a_time: int, ray: str | None, gpus: int) -> Workers:
    """What runs the trials."""
    if ray is None:
        return LocalWorkers(at_a_time, gpus=gpus * at_a_time)
    from bort_convert.workers.cluster import RayWorkers  # noqa: PLC0415 - as little as possible for the help

    return RayWorkers(ray)
