"""What the values of a tensor are like: their range and mean, and how many are not finite. Pure, and in pieces."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from bort_convert.errors import MappingError, printable
from bort_convert.lazy_numpy import np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bort_convert.dtypes import Array, Shape


@dataclass(frozen=True)
class Values:
    """What is known of a tensor's values.

    Attributes:
        count: how many there are.
        nans: how many are no number.
        infinities: how many are infinite, of either sign.
        first: position of the first value that is not finite; None where all are.
        minimum: of the finite values, as float64; None where there are none.
        maximum: likewise.
        mean: likewise.
    """

    count: int
    nans: int = 0
    infinities: int = 0
    first: Shape | None = None
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None

    @property
    def finite(self) -> bool:
        """Whether every value is finite."""
        return self.first is None

    def __str__(self) -> str:
        parts = [f"{self.nans:,} NaN"] * bool(self.nans) + [f"{self.infinities:,} inf"] * bool(self.infinities)
        return f"{' and '.join(parts) or 'no NaN or inf'} in {self.count:,} values"


def survey(pieces: Iterable[Array], shape: Shape) -> Values:
    """Look at every value of a tensor once.

    Args:
        pieces: flat arrays of one dtype, bool, integer or floating-point, that hold the values in C order.
        shape: of the tensor.
    """
    seen = finite_count = nans = infinities = 0
    first: int | None = None
    low, high, mean = np.inf, -np.inf, 0.0
    for piece in pieces:
        with np.errstate(invalid="ignore"):  # some processors complain of NaN
            values = np.asarray(piece, np.float64)
        if (finite := np.isfinite(values)).all():
            kept = values
        else:
            kept = values[finite]
            first = seen + int(np.argmin(finite)) if first is None else first
            nan = int(np.count_nonzero(np.isnan(values)))
            nans, infinities = nans + nan, infinities + values.size - kept.size - nan
        seen += values.size
        if kept.size:
            finite_count += kept.size
            low, high = min(low, float(kept.min())), max(high, float(kept.max()))
            mean = _joined(mean, kept, kept.size / finite_count)
    position = None if first is None else tuple(map(int, np.unravel_index(first, shape)))
    known = (low, high, min(max(mean, low), high)) if finite_count else (None, None, None)
    return Values(prod(shape), nans, infinities, position, *known)


def check_finite(found: Mapping[str, Values]) -> None:
    """Refuse tensors with values that are not finite.

    Raises:
        MappingError: names each of them, how many values, and where the first one is.
    """
    lines = [
        f"{printable(name)}: {values}, first at {values.first}" for name, values in found.items() if not values.finite
    ]
    if lines:
        raise MappingError(
            "these tensors hold values that are not finite; expected none. Leave --strict out to convert them as they "
            "are:",
            lines,
        )


def _joined(mean: float, values: Array, weight: float) -> float:
    """The mean of what came before and of these, which have this part in all; no sum overflows on the way."""
    with np.errstate(over="ignore", under="ignore"):
        here = float((values / values.size).sum())
    here = min(max(here, float(values.min())), float(values.max()))
    return mean * (1 - weight) + here * weight
