"""Agora on two moons: new points from mistakes help, if the teacher's errors are others than the model's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.torch
SEEDS = 6
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def difference_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Sequence[str]], dict[str, tuple[float, float]]]:
    """Mean difference of each arm from `plain` on the test set, and its standard error, with some teacher."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    from agora_arms import difference
    from agora_toy import arms

    def measured(teacher: str, names: Sequence[str]) -> dict[str, tuple[float, float]]:
        found = [arms(seed, teacher, ("plain", *names)) for seed in range(SEEDS)]
        assert all(outcome["plain"].trainings == outcome["agora"].trainings for outcome in found)
        return {name: difference([one[name].test - one["plain"].test for one in found]) for name in names}

    return measured


def test_agora_beats_as_many_plain_trainings_and_neither_deletion_alone_nor_points_without_mistakes_do(
    difference_of: Callable[[str, Sequence[str]], dict[str, tuple[float, float]]],
    add_table: Callable[[str, Sequence[str]], None],
) -> None:
    found = difference_of("scattered", ("teacher", "agora", "prune only", "tau(D)", "dev too"))
    lines = [f"{name:10}  {mean:+.3f} ({error:.3f})" for name, (mean, error) in found.items()]
    add_table(f"Agora on two moons: test accuracy minus plain (standard error), {SEEDS} seeds", lines)
    assert found["teacher"][0] < -0.05
    assert found["agora"][0] > 0.04
    assert found["agora"][0] > 3 * found["agora"][1]
    assert found["prune only"][0] < found["agora"][0] / 2
    assert found["tau(D)"][0] < found["agora"][0] / 2
    assert found["dev too"][0] > 0.04


def test_a_teacher_that_errs_where_the_model_does_is_of_no_use(
    difference_of: Callable[[str, Sequence[str]], dict[str, tuple[float, float]]],
) -> None:
    assert difference_of("line", ("agora",))["agora"][0] < 0.03
