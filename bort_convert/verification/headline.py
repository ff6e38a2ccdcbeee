"""Differences in words: the first line of a report, and names of outputs as people say them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bort_convert.verification.compare import position_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bort_convert.verification.compare import Difference, Run

_NUMBERED: Final = re.compile(r"(encoder\.|decoder\.)?\w+\.[0-9]+")


def excess(difference: Difference) -> float:
    """The difference in units of its limit; infinite where nothing could be compared."""
    if difference.problem or not difference.count:
        return float("inf")
    if not difference.limit:
        return float("inf") if difference.max_abs else 0.0
    return difference.max_abs / difference.limit


def failure_line(run: Run, per_layer: Run | None) -> str:
    """The first divergence of a run, and which later outputs inherit it or are at fault themselves.

    Args:
        run: one with a failure.
        per_layer: the same run with the reference's input in every layer, which tells the two apart; None without one.
    """
    first, *others = run.failures
    if first.problem:
        head = f"FAIL {label(first.name)}: {first.problem}"
    else:
        at = f"max |d| {first.max_abs:.2g} at {position_text(first.where)}, limit {first.limit:.2g}"
        head = f"FAIL {label(first.name)}: {at}; first divergence"
    if not others:
        return f"{head} ({run.dtype})"
    names = [layer.name for layer in others]
    if per_layer is None:
        return f"{head}; {labels(names)} {'differs' if len(names) == 1 else 'differ'} too ({run.dtype})"
    failing = {layer.name for layer in per_layer.failures}
    parts = [head]
    if first.name not in failing:
        parts.append("fed the reference's input it passes: error that builds up")
    if at_fault := [name for name in names if name in failing]:
        parts.append(f"{labels(at_fault)} {'is' if len(at_fault) == 1 else 'are'} at fault too")
    if inherited := [name for name in names if name not in failing]:
        parts.append(f"{labels(inherited)} {'inherits' if len(inherited) == 1 else 'inherit'} it")
    return f"{'; '.join(parts)} ({run.dtype})"


def label(name: str) -> str:
    """Name of an output in words, `layer 2` or `decoder layer 2`; a tensor keeps its name."""
    return name.replace(".", " ") if _NUMBERED.fullmatch(name) else name


def labels(names: Iterable[str]) -> str:
    """Names of several outputs in words: `layers 3-4 and mlm_logits`."""
    numbers: dict[str, list[int]] = {}
    for name in names:
        kind, _, number = label(name).rpartition(" ")
        numbers.setdefault(kind or number, []).extend([int(number)] if kind else [])
    parts = [f"{kind}{'s' * (len(found) > 1)} {ranges(found)}" if found else kind for kind, found in numbers.items()]
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1]))) if parts else ""


def ranges(numbers: list[int]) -> str:
    """`2, 4-6` for 2, 4, 5, 6."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(f"{first}-{last}" if last > first else f"{first}" for first, last in spans)
