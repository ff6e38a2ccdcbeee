"""The report of a run, made of its journal and of the answers that were kept: the same for the same run, always.

It holds no time and no name of a machine, so that a run that was killed and went on has the report of one that was not.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from bort_convert.agora.baselines import WORDS
from bort_convert.agora.metrics import score
from bort_convert.agora.theta import in_words
from bort_convert.agora.training import trial_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bort_convert.agora.run_directory import RunDirectory
    from bort_convert.agora.starting import Inputs
    from bort_convert.agora.values import Metric

FLATTERS: Final = "dev figures flatter: the model was chosen there, and learned from texts made of its mistakes there"
NO_TEST: Final = "on dev, where it was chosen"
WHAT: Final = "the first open implementation of the published description"
_NORMAL: Final = 1.959964
"""Of a normal distribution, 95 % lie within this many standard deviations."""


@dataclass(frozen=True)
class Figure:
    """A figure on the test set.

    Attributes:
        score: the metric of the run.
        accuracy: share of right answers.
        low: lower end of the accuracy's 95 % interval (Wilson's).
        high: upper end.
        count: examples.
    """

    score: float
    accuracy: float
    low: float
    high: float
    count: int


def figure_of(answers: Sequence[int], labels: Sequence[int], metric: Metric) -> Figure:
    """The figure of some answers."""
    right = sum(answer == label for answer, label in zip(answers, labels, strict=True))
    low, high = interval(right, len(labels))
    return Figure(score(metric, labels, answers), right / len(labels), low, high, len(labels))


def interval(right: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    share, square = right / count, _NORMAL**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _NORMAL * math.sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def report_of(inputs: Inputs, place: RunDirectory, stopped: str) -> dict[str, Any]:
    """The report of a run, as JSON has it.

    Args:
        inputs: of the run.
        place: its directory.
        stopped: why it ended before Theta was empty; "" if it did not.
    """
    data, options, theta = inputs.data, inputs.options, inputs.theta
    records = place.records()
    rounds = list(_rounds(inputs, place, records))
    best = max(rounds, key=lambda entry: (entry["is_best"], entry["round"]))
    figures = dict(_figures(inputs, place))
    return {
        "what": f"Agora for Bort: {WHAT}",
        "candidate": {"sha256": inputs.settings["digests"]["candidate"]},
        "options": {**inputs.settings["options"], "tau": inputs.settings["tau"]},
        "theta": [dict(values) for values in theta],
        "data": {
            **{name: len(found) for name, found in _sets(inputs).items()},
            "labels": list(data.labels),
            "digests": inputs.settings["digests"],
        },
        "teacher": {"dev": inputs.teacher_dev},
        "warnings": list(inputs.warnings),
        "rounds": rounds,
        "stopped": stopped,
        "trainings": sum(record["event"] == "told" and record["arm"] == "agora" for record in records),
        "failures": _failures(records),
        "best": {
            "trial": trial_name("agora", best["round"], best["best"]),
            "round": best["round"],
            "theta": dict(theta[best["best"]]),
            "dev": best["dev"],
            "metric": options.metric,
            "chosen": FLATTERS,
        },
        "test": best["test"],
        "baselines": {name: asdict(figure) for name, figure in figures.items()},
    }


def text_of(report: Mapping[str, Any], name: str) -> list[str]:
    """The outcome in lines of text.

    Args:
        report: of `report_of`.
        name: of the run.
    """
    best, test, metric = report["best"], report["test"], report["best"]["metric"]
    lines = [f"{name}: best is round {best['round']}, {in_words(best['theta'])}"]
    if test is None:
        lines += [f"  dev       {best['dev']:.2f}   {NO_TEST}: {FLATTERS}"]
    else:
        remark = f"chosen on dev, where it had {best['dev']:.2f}: dev figures flatter, it was chosen there"
        rows = [("test", test, remark), *((key, figure, WORDS[key]) for key, figure in report["baselines"].items())]
        lines += [f"  {key:<9} {figure_text(figure, metric):<21} {words}" for key, figure, words in rows]
    if report["failures"]:
        lines.append(f"  {len(report['failures'])} trials failed; the first: {report['failures'][0]['failure']}")
    lines += [report["stopped"]] if report["stopped"] else []
    return [*lines, f'Load it with transformers.AutoModelForSequenceClassification.from_pretrained("{name}/best")']


def figure_text(figure: Mapping[str, Any], metric: str) -> str:
    """A figure such as `0.68 (0.63 to 0.72)`; another metric than accuracy comes first."""
    accuracy = f"{figure['accuracy']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})"
    return accuracy if metric == "accuracy" else f"{metric} {figure['score']:.2f}, accuracy {accuracy}"


def round_line(record: Mapping[str, Any]) -> str:
    """A round in a line.

    Args:
        record: of the journal, or a round of the report.
    """
    grew = f"{record['mistakes'] or 0} mistakes -> {record['points']} points"
    best = "all failed" if record["mistakes"] is None else f"dev best {record['score']:.2f}"
    return (
        f"round {record['round']:<2} {record['trained']} trained  {best}  {grew}  "
        f"deleted {len(record['deleted'])}: {record['reason']}"
    )


def _sets(inputs: Inputs) -> dict[str, Sequence[object]]:
    data = inputs.data
    return {"train": data.train, "dev": data.dev, "test": data.test, "pool": data.pool}


def _rounds(inputs: Inputs, place: RunDirectory, records: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each round: the journal's record of its end, with the test figure of the best model so far."""
    parents: set[int] = set()
    test: dict[str, Any] | None = None
    best: float | None = None
    later = inputs.options.of_equals == "later"
    for record in records:
        if record["event"] != "grew":
            continue
        number, own = record["round"], {key: value for key, value in record.items() if key not in {"event", "score"}}
        is_best = best is None or record["score"] > best or (later and record["score"] == best)
        if is_best:
            best, test = record["score"], _test_figure(inputs, place, number)
        predictions = place.result(trial_name("agora", number, record["best"])).predictions
        near, rest = _dev_apart(inputs, predictions, parents)
        yield {
            **own,
            "dev": None if record["mistakes"] is None else record["score"],
            "score": record["score"],
            "dev_best_so_far": best,
            "dev_of_parents": near,
            "dev_of_others": rest,
            "is_best": is_best,
            "test": test,
        }
        parents |= {point.parent for point in place.made(number) if point.how != "pool"}


def _dev_apart(inputs: Inputs, predictions: Sequence[int], parents: set[int]) -> tuple[float | None, float | None]:
    """Accuracy on the dev rows that points were made from before this round, and on the others."""
    right = {row: answer == inputs.data.dev[row].label for row, answer in enumerate(predictions)}
    parts = [[right[row] for row in right if (row in parents) is near] for near in (True, False)]
    near, rest = (sum(part) / len(part) if part else None for part in parts)
    return near, rest


def _test_figure(inputs: Inputs, place: RunDirectory, number: int) -> dict[str, Any] | None:
    answers = place.read_json(f"tests/{number:04}.json")
    return asdict(figure_of(answers, _test_labels(inputs), inputs.options.metric)) if answers else None


def _figures(inputs: Inputs, place: RunDirectory) -> Iterator[tuple[str, Figure]]:
    for name in WORDS:
        found = place.read_json(f"tests/{name.replace(' ', '-')}.json")
        if found:
            yield name, figure_of(found["answers"], _test_labels(inputs), inputs.options.metric)


def _test_labels(inputs: Inputs) -> list[int]:
    return [example.label for example in inputs.data.test]


def _failures(records: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The trials that failed, in the order of their names: that of their reports differs from run to run."""
    failed = {
        trial_name(record["arm"], record["round"], record["id"]): record["failure"]
        for record in records
        if record["event"] == "told" and record["failure"]
    }
    return [{"trial": name, "failure": failed[name]} for name in sorted(failed)]
