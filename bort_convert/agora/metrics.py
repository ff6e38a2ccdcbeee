"""Score predictions of two labels: accuracy, F1 and Matthews' correlation; label 1 is the positive one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bort_convert.agora.values import Metric


def score(metric: Metric, labels: Sequence[int], predictions: Sequence[int]) -> float:
    """The metric of predictions; 0 where its denominator is 0, as in scikit-learn.

    Raises:
        ValueError: there are no labels, or not as many predictions.
    """
    if not labels:
        raise ValueError("a score of no points")
    pairs = list(zip(labels, predictions, strict=True))
    true, false = (sum(label == guess == value for label, guess in pairs) for value in (1, 0))
    too_many, missed = (sum((label, guess) == pair for label, guess in pairs) for pair in ((0, 1), (1, 0)))
    if metric == "accuracy":
        return (true + false) / len(pairs)
    if metric == "f1":
        return 2 * true / (2 * true + too_many + missed) if true else 0.0
    product = (true + too_many) * (true + missed) * (false + too_many) * (false + missed)
    return (true * false - too_many * missed) / math.sqrt(product) if product else 0.0
