"""Specs: what a tuple becomes with the data and the options of a run."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from bort_convert.agora.options import mixed_seed
from bort_convert.agora.values import Example, PredictionSpec, TrialSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bort_convert.agora.options import Options
    from bort_convert.agora.starting import Inputs
    from bort_convert.agora.values import Hyperparameters


def trial_spec(
    inputs: Inputs, values: Hyperparameters, train: Sequence[Example], *part: object, warm_start: str = ""
) -> TrialSpec:
    """The spec of a trial, but for its name, its directory and the score that it has to reach.

    Args:
        inputs: of the run.
        values: a tuple of Theta.
        train: what the trial learns.
        part: what the seed follows from, beside the run's and the tuple's: tuples with the same seed start from the
            same head in the same part of the run.
        warm_start: directory of the model to start from; "" for the candidate.
    """
    options = inputs.options
    theta = options.full(values)
    return TrialSpec(
        id="",
        candidate=inputs.candidate,
        folder="",
        train=tuple(train),
        dev=inputs.data.dev,
        labels=inputs.data.labels,
        theta=theta,
        seed=mixed_seed(options.seed, *part, theta["seed"]),
        judged=judged_rows(len(inputs.data.dev), options),
        metric=options.metric,
        epoch=options.epoch,
        device=options.device,
        freeze=options.freeze,
        warm_start=warm_start,
    )


def prediction_spec(inputs: Inputs, values: Hyperparameters, model: Path) -> PredictionSpec:
    """The test set for a model that was trained by a tuple of Theta: its texts are cut as those that it learned."""
    texts = tuple(example.texts for example in inputs.data.test)
    return PredictionSpec(str(model), texts, int(inputs.options.full(values)["length"]), inputs.options.device)


def judged_rows(count: int, options: Options) -> tuple[int, ...] | None:
    """Rows of the dev set that choose a model; None if all of them do."""
    if not options.judge_share:
        return None
    rows = list(range(count))
    random.Random(mixed_seed(options.seed, "judge")).shuffle(rows)  # noqa: S311 - no secrets
    return tuple(sorted(rows[: max(1, round(count * options.judge_share))]))
