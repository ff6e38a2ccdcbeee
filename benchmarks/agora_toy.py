"""A toy problem for Agora, in seconds: two moons, a small network, and a teacher that is worse than the network.

    python benchmarks/agora_toy.py [SEEDS]

Prints the arms of `agora_arms` over the seeds, for two teachers. D has 12 points, E 60, T 1000; tau adds noise.
"""

from __future__ import annotations

import math
import random
import sys
from typing import TYPE_CHECKING

import torch

from agora_arms import ARMS, Outcome, Sets, Study, compared, grid, markdown

if TYPE_CHECKING:
    from collections.abc import Sequence

    Point = tuple[float, float]

LINE = 0.25
"""Height of the line between the moons."""
TRAIN, DEV, TEST, POOL = 12, 60, 1000, 500
NOISE, SIGMA, COPIES, STEPS = 0.15, 0.15, 2, 150
THETA = grid(lr=[0.1, 0.03, 0.01], decay=[0.0, 0.1], seed=[0, 1])
ERRORS = 0.2
SEEDS = 10


def moons(count: int, chance: random.Random) -> tuple[list[Point], list[int]]:
    """Points on two interleaved half circles, with noise, and on which of them each is."""
    points, labels = [], []
    for number in range(count):
        label, angle = number % 2, chance.uniform(0, math.pi)
        across, up = (1 - math.cos(angle), 0.5 - math.sin(angle)) if label else (math.cos(angle), math.sin(angle))
        points.append((across + chance.gauss(0, NOISE), up + chance.gauss(0, NOISE)))
        labels.append(label)
    return points, labels


class Moons:
    """The task.

    Args:
        teacher: "scattered" errs on a fifth of all points, wherever they are; "line" draws a line between the moons,
            and errs where they interlock.
    """

    def __init__(self, teacher: str) -> None:
        self._teacher = {"scattered": scattered, "line": line}[teacher]

    def vectors(self, points: Sequence[Point]) -> torch.Tensor:
        """The points themselves, centred."""
        return torch.tensor(points).reshape(-1, 2) - torch.tensor([0.5, LINE])

    def teach(self, points: Sequence[Point]) -> list[int]:
        """Labels by the teacher."""
        return [self._teacher(point) for point in points]

    def make(self, points: Sequence[Point], copies: int, seed: str) -> list[Point]:
        """Points with noise."""
        chance = random.Random(seed)
        pairs = [point for point in points for _ in range(copies)]
        return [(across + chance.gauss(0, SIGMA), up + chance.gauss(0, SIGMA)) for across, up in pairs]


def line(point: Point) -> int:
    """A teacher that is wrong in regions."""
    return int(point[1] < LINE)


def scattered(point: Point) -> int:
    """A teacher that is wrong here and there, always on the same points: else the nearer half circle."""
    across, up = point
    upper = abs(math.hypot(across, up) - 1) + 2 * max(0.0, -up)
    lower = abs(math.hypot(across - 1, up - 0.5) - 1) + 2 * max(0.0, up - 0.5)
    return int(lower < upper) ^ int(random.Random(repr(point)).random() < ERRORS)


def arms(seed: int, teacher: str, names: Sequence[str] = ARMS) -> dict[str, Outcome]:
    """Some arms of one seed."""
    chance = random.Random(seed)
    train, dev, test, pool = (moons(count, chance) for count in (TRAIN, DEV, TEST, POOL))
    return Study(Moons(teacher), Sets(*train, *dev, *test, pool[0]), THETA, steps=STEPS, copies=COPIES, seed=seed).arms(
        names
    )


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    for teacher in ("scattered", "line"):
        outcomes = [arms(seed, teacher) for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS)]
        sys.stdout.write(f"teacher: {teacher}, seeds: {len(outcomes)}\n{markdown(compared(outcomes))}\n\n")


if __name__ == "__main__":
    main()
