from __future__ import annotations

import math

import pytest

from bort_convert.agora.metrics import score

LABELS, GUESSES = [1, 1, 1, 0, 0, 0, 0, 1], [1, 1, 0, 0, 0, 1, 1, 1]  # 3 found, 1 missed, 2 too many, 2 rejected


def test_each_metric_is_its_formula() -> None:
    assert score("accuracy", LABELS, GUESSES) == 5 / 8
    assert score("f1", LABELS, GUESSES) == pytest.approx(2 * (3 / 5) * (3 / 4) / (3 / 5 + 3 / 4))
    assert score("matthews", LABELS, GUESSES) == pytest.approx((3 * 2 - 2 * 1) / math.sqrt(5 * 4 * 4 * 3))


def test_the_majority_alone_has_no_correlation_and_no_f1() -> None:
    assert score("matthews", LABELS, [0] * 8) == 0.0
    assert score("f1", LABELS, [0] * 8) == 0.0
    assert score("f1", [0, 0], [0, 0]) == 0.0


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(ValueError, match="no points"):
        score("accuracy", [], [])
    with pytest.raises(ValueError, match="zip"):
        score("accuracy", [0, 1], [0])
