"""The model card of the best model of a run: how it was chosen, and what its figures are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bort_convert.agora.baselines import WORDS
from bort_convert.agora.report import FLATTERS, NO_TEST, WHAT, figure_text
from bort_convert.agora.theta import in_words

if TYPE_CHECKING:
    from collections.abc import Mapping


def card(report: Mapping[str, Any] | None) -> str:
    """The text of README.md.

    Args:
        report: of the run; None while it goes on.
    """
    head = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-classification",
        "---",
        "",
        "# Chosen by Agora",
        "",
    ]
    if report is None:
        return "\n".join(
            [*head, "The run that chose this model has not come to an end: it may choose another one.", ""]
        )
    lines = [*_chosen(report), "## Figures", "", *_figures(report)]
    if report["warnings"]:
        lines += ["## Doubts", "", *(f"- {warning}" for warning in report["warnings"]), ""]
    return "\n".join([*head, *lines])


def _chosen(report: Mapping[str, Any]) -> list[str]:
    best, data, made = report["best"], report["data"], _points(report)
    labels = " and ".join(data["labels"])
    return [
        f"A text classifier, labels {labels}, fine-tuned by Agora for Bort in bort_convert, {WHAT}.",
        "",
        "## How it was chosen",
        "",
        f"It is the best of {report['trainings']} models on {data['dev']} dev examples, by {best['metric']}: round",
        f"{best['round']} of {len(report['rounds'])}, {in_words(best['theta'])}. It learned {data['train']} labelled",
        f"examples, and {made} that were made in earlier rounds and labelled by a teacher. The teacher had an accuracy",
        f"of {report['teacher']['dev']:.2f} on the dev set.",
        "",
        f"On dev it had {best['dev']:.3f}. This figure says little: {FLATTERS}.",
        "",
    ]


def _figures(report: Mapping[str, Any]) -> list[str]:
    data, metric = report["data"], report["best"]["metric"]
    if report["test"] is None:
        return [f"There was no test set. The only figure is one {NO_TEST}.", ""]
    rows = [("this model", report["test"], f"on {data['test']} examples that the loop never saw")]
    rows += [(name, figure, WORDS[name]) for name, figure in report["baselines"].items()]
    lines = [f"| {name} | {figure_text(figure, metric)} | {words} |" for name, figure, words in rows]
    return ["| | test, with a 95 % interval | |", "|---|---|---|", *lines, ""]


def _points(report: Mapping[str, Any]) -> int:
    return sum(entry["points"] for entry in report["rounds"] if entry["round"] < report["best"]["round"])
