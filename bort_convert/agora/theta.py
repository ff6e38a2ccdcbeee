"""Theta, the finite set of hyperparameter tuples: a grid, a TOML file, or one of two that have a name."""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.agora.core import Agora, theta_problems
from bort_convert.agora.values import FIELDS, Hyperparameters
from bort_convert.errors import AgoraError, printable

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

_SHOWN: Final = 5
"""Problems of one kind that are listed."""
_WHOLE: Final = ("batch", "epochs", "ramp_up_epochs", "patience", "length", "seed")
_POSITIVE: Final = ("lr", "batch", "epochs", "ramp_up_epochs", "length")


def grid(**values: Sequence[int | float]) -> tuple[Hyperparameters, ...]:
    """Every combination of values: `grid(lr=[1e-4, 3e-5], seed=[0, 1])` has four tuples.

    Args:
        values: of each field; see `FIELDS` for those that there are.
    """
    return tuple(dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values()))


SMALL: Final = grid(lr=(1e-4, 3e-5, 1e-5), warmup=(0.35, 0.45), seed=(0, 1))
"""The default: 12 tuples."""
BORT: Final = grid(
    lr=(1e-4, 1e-5, 9e-6),
    decay=(0, 10, 100, 350),
    warmup=(0.35, 0.40, 0.45, 0.50),
    batch=(8, 16),
    seed=(0, 1, 2, 3, 4),
)
"""The 480 tuples that the README of alexa/bort lists."""
NAMED: Final = {"small": SMALL, "bort": BORT}


def read_theta(theta: str | os.PathLike[str] | Sequence[Mapping[str, int | float]]) -> tuple[Hyperparameters, ...]:
    """Read and check Theta.

    Args:
        theta: `small`, `bort`, a TOML file with a list for each field (a grid) or with `[[tuple]]` tables, or tuples.

    Raises:
        AgoraError: the file cannot be read, or something is wrong with Theta; the error lists all of it.
    """
    if isinstance(theta, (list, tuple)):
        found, name = tuple(dict(values) for values in theta), "theta"
    elif str(theta) in NAMED:
        return NAMED[str(theta)]
    else:
        found, name = _from_file(Path(str(theta))), str(theta)
    if problems := [*theta_problems(found), *_value_problems(found)]:
        raise AgoraError(f"{name}: Theta is wrong:", problems)
    return found


def in_words(values: Hyperparameters) -> str:
    """A tuple such as `lr 0.001 warmup 0.35 seed 1`."""
    return " ".join(f"{field} {value:g}" for field, value in values.items())


def counted(theta: Sequence[Hyperparameters]) -> str:
    """How many values of which field Theta has, such as `lr 3, warmup 2, seed 2`."""
    values = {field: len({entry[field] for entry in theta}) for field in theta[0]}
    return ", ".join(f"{field} {count}" for field, count in values.items())


def trainings(theta: Sequence[Hyperparameters], **options: Any) -> tuple[int, int]:  # noqa: ANN401 - those of `Agora`
    """The largest possible number of trainings, and about how many there will be.

    The second is what the rule takes where each value of each field adds its own, evenly spread effect.
    """
    repeats = options.get("replay", 0) + 1
    agora = Agora(theta, **options)
    while not agora.done:
        for at in agora.ask():
            agora.tell(at, _effect(theta[at], agora.round))
        agora.grew(mistakes=1)
    return repeats * len(theta) * (len(theta) + 1) // 2, agora.trainings


def _effect(values: Hyperparameters, number: int) -> float:
    """A score that is a sum of one part for each field, and of some noise: parts of multiples of irrational numbers."""
    parts = [
        math.modf((place + 1) * 1e6 * math.sqrt(2 + abs(value)) * math.pi)[0]
        for place, value in enumerate(values.values())
    ]
    noise = math.modf(1e4 * sum(parts) * math.sqrt(number))[0]
    return sum(parts) + 0.2 * noise


def _from_file(path: Path) -> tuple[Hyperparameters, ...]:
    try:
        document = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        known = ", ".join(NAMED)
        raise AgoraError(
            f"{path}: Theta cannot be read: {error.strerror or error}. Expected a TOML file, or one of {known}"
        ) from error
    except ValueError as error:
        raise AgoraError(f"{path}: is no TOML: {printable(str(error), 200)}") from error
    tuples = document.pop("tuple", None)
    if tuples is None:
        lists = {field: values if isinstance(values, list) else [values] for field, values in document.items()}
        return grid(**lists) if lists else ()
    if document or not isinstance(tuples, list) or not all(isinstance(values, dict) for values in tuples):
        raise AgoraError(
            f"{path}: Theta has [[tuple]] tables and something else beside them; expected one or the other"
        )
    return tuple(tuples)


def _value_problems(theta: Sequence[Hyperparameters]) -> list[str]:
    """What is wrong with single values, each once."""
    unknown = dict.fromkeys(field for values in theta for field in values if field not in FIELDS)
    problems = [f"unknown field {printable(field)}; expected one of {', '.join(FIELDS)}" for field in unknown]
    pairs = dict.fromkeys((field, repr(value)) for values in theta for field, value in values.items())
    known = {repr(value): value for values in theta for value in values.values()}
    wrong = [
        f"{field} {printable(text)}: expected {expected}"
        for field, text in pairs
        if field in FIELDS and (expected := _expected(field, known[text]))
    ]
    return [*problems, *wrong[:_SHOWN], *([f"and {len(wrong) - _SHOWN} more values"] if wrong[_SHOWN:] else [])]


def _expected(field: str, value: object) -> str:
    """What a field should have in place of a value; "" if the value is right."""
    kind = "a whole number" if field in _WHOLE else "a number"
    limit = "above 0" if field in _POSITIVE else "from 0 to 1" if field == "warmup" else "of at least 0"
    if isinstance(value, bool) or not isinstance(value, int if field in _WHOLE else (int, float)):
        return f"{kind} {limit}"
    right = math.isfinite(value) and (value > 0 if field in _POSITIVE else value >= 0)
    return "" if right and (field != "warmup" or value <= 1) else f"{kind} {limit}"
