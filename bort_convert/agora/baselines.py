"""What a run is compared with: as many plain trainings, the dev labels as training data, and the teacher itself.

`plain` trains the tuples of Theta in turn, each time with another seed, as often as Agora trained. `dev too` trains
each tuple once, on training and dev set together. Of both, the best on the dev set is taken, as in Agora.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.agora.run_directory import delete
from bort_convert.agora.specs import prediction_spec, trial_spec
from bort_convert.agora.starting import labels_of
from bort_convert.agora.training import Contest, Trainer
from bort_convert.agora.trial import predict

if TYPE_CHECKING:
    from bort_convert.agora.run_directory import RunDirectory
    from bort_convert.agora.starting import Inputs
    from bort_convert.agora.values import TrialSpec

PLAIN: Final = "plain"
DEV_TOO: Final = "dev too"
TEACHER: Final = "teacher"
WORDS: Final = {
    PLAIN: "best of as many trainings on the training set alone",
    DEV_TOO: "best of Theta, trained on training and dev labels",
    TEACHER: "the teacher itself",
}


class Baselines:
    """The baselines of a run.

    Args:
        inputs: of the run.
        place: its directory.
        trainer: of the run.
    """

    def __init__(self, inputs: Inputs, place: RunDirectory, trainer: Trainer) -> None:
        self._inputs, self._place, self._trainer = inputs, place, trainer

    def run(self, trainings: int) -> None:
        """Train what is still to train, and have all of them answer the test set.

        Args:
            trainings: those of Agora, for `plain`.
        """
        data, theta, count = self._inputs.data, self._inputs.theta, len(self._inputs.theta)
        both = (*data.train, *data.dev)

        def plain(at: int) -> TrialSpec:
            return trial_spec(self._inputs, theta[at % count], data.train, PLAIN, at // count)

        def dev_too(at: int) -> TrialSpec:
            return trial_spec(self._inputs, theta[at], both, DEV_TOO)

        contests = {Contest(PLAIN, 0, plain): trainings, Contest(DEV_TOO, 0, dev_too): count}
        for record in self._place.records():
            for contest in contests:
                contest.add(record)
        waiting = [(contest, at) for contest, number in contests.items() for at in contest.waiting(range(number))]
        if waiting:
            self._trainer.train(waiting)
        for contest in contests:
            self._answer(contest)
        self._ask_teacher()

    def _answer(self, contest: Contest) -> None:
        """Keep what the best model of a baseline answers on the test set, and let the model go."""
        if contest.leader is None:
            return
        trial = contest.name(contest.leader)
        file, model = f"tests/{contest.arm.replace(' ', '-')}.json", self._place.trial(trial) / "model"
        if (self._place.read_json(file) or {}).get("trial") != trial:
            theta = self._inputs.theta
            answers = labels_of(predict(prediction_spec(self._inputs, theta[contest.leader % len(theta)], model)))
            self._place.write_json(file, {"trial": trial, "answers": answers})
        for folder in self._place.path.glob(f"trials/{contest.arm.replace(' ', '-')}-*/model"):
            delete(folder)

    def _ask_teacher(self) -> None:
        if self._place.read_json("tests/teacher.json") is None:
            texts = [example.texts for example in self._inputs.data.test]
            answers = labels_of(self._inputs.teacher.probabilities(texts))
            self._place.write_json("tests/teacher.json", {"answers": answers})
