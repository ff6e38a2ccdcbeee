"""What a run will cost, before it starts: counts, and one measured step."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bort_convert.agora.specs import trial_spec
from bort_convert.agora.theta import counted, trainings
from bort_convert.agora.trial import time_steps
from bort_convert.errors import AgoraError
from bort_convert.workers.jobs import Failure, Job, Needs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bort_convert.agora.starting import Inputs
    from bort_convert.agora.values import Example
    from bort_convert.workers.jobs import Workers

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


@dataclass(frozen=True)
class Plan:
    """What a run will cost.

    Attributes:
        most: trainings at most, without baselines.
        about: trainings as there will be about, without baselines.
        baselines: trainings of the baselines, about.
        step: seconds of a training step, measured.
        training: seconds of a training, all epochs, on the training set as it is now.
        workers: trainings at a time.
    """

    most: int
    about: int
    baselines: int
    step: float
    training: float
    workers: int

    @property
    def seconds(self) -> float:
        """Seconds of all trainings, about."""
        return (self.about + self.baselines) * self.training / self.workers


def plan_of(inputs: Inputs, workers: Workers, *, gpus: int, at_a_time: int) -> Plan:
    """Measure a step on a worker, and count.

    Args:
        inputs: of the run.
        workers: what will run the trials.
        gpus: that a trial wants.
        at_a_time: trials that run side by side.

    Raises:
        AgoraError: not even a step can be taken.
    """
    options, data = inputs.options, inputs.data
    spec = replace(trial_spec(inputs, inputs.theta[0], data.train, "plan"), id="plan", save_from=None)
    with closing(workers.run(time_steps, [Job(spec, Needs(gpus=gpus))])) as outcomes:
        found = next(outcomes).result
    if isinstance(found, Failure):
        raise AgoraError(f"not even one step can be taken: {found.message}")
    full = [options.full(values) for values in inputs.theta]
    steps = sum(theta["epochs"] * math.ceil(len(data.train) / theta["batch"]) for theta in full) / len(full)
    epochs = sum(theta["epochs"] for theta in full) / len(full)
    most, about = trainings(inputs.theta, **options.core)
    baselines = about + len(inputs.theta) if options.baselines and data.test else 0
    training = found.start + steps * found.step + epochs * found.evaluation
    return Plan(most, about, baselines, found.step, training, at_a_time)


def start_lines(inputs: Inputs) -> list[str]:
    """What a run starts with, in lines of text."""
    data = inputs.data
    labels = ", ".join(f"{name} {_share(data.train, at):.1f} %" for at, name in enumerate(data.labels))
    sets = f"{len(data.dev):,} dev, {len(data.test):,} test" + (f", a pool of {len(data.pool):,}" if data.pool else "")
    weak = ": weak, and taken all the same" if inputs.options.weak_teacher else ""
    return [
        f"agora: {len(data.train):,} training points, {sets}; labels {labels}",
        f"teacher: {inputs.teacher_dev:.2f} on dev (2/3 needed){weak}",
        *(f"warning: {line}" for line in inputs.warnings),
    ]


def plan_lines(inputs: Inputs, plan: Plan) -> list[str]:
    """The cost of a run, in lines of text."""
    theta = inputs.theta
    beside = f", and about {plan.baselines:,} for the baselines" if plan.baselines else ""
    times = (
        f"one takes about {duration(plan.training)} (a step {plan.step:.3f} s): about {duration(plan.seconds)} with "
        f"{plan.workers} worker{'s' * (plan.workers != 1)}; made points add to it, patience takes from it"
    )
    return [
        f"Theta: {len(theta)} tuples ({counted(theta)}); at most {plan.most:,} trainings, about {plan.about:,}{beside}",
        times,
    ]


def plan_to_dict(inputs: Inputs, plan: Plan) -> dict[str, Any]:
    """The plan as JSON has it."""
    data = inputs.data
    return {
        "data": {"train": len(data.train), "dev": len(data.dev), "test": len(data.test), "pool": len(data.pool)},
        "teacher": {"dev": inputs.teacher_dev},
        "theta": len(inputs.theta),
        "warnings": list(inputs.warnings),
        "trainings": {"most": plan.most, "about": plan.about, "baselines": plan.baselines},
        "seconds": {"step": plan.step, "training": plan.training, "run": plan.seconds},
        "workers": plan.workers,
    }


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, name in ((_DAY, "days"), (_HOUR, "hours"), (_MINUTE, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def _share(examples: Sequence[Example], label: int) -> float:
    return 100 * sum(example.label == label for example in examples) / len(examples)
