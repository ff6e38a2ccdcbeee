"""Statistics of a tensor's values: their range and mean, and the number that are not finite; computed in pieces."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from bort_convert.errors import MappingError, printable
from bort_convert.files.streams import flat_arrays
from bort_convert.lazy_numpy import np
from bort_convert.weights.parallel_write import values_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bort_convert.dtypes import Array, Shape
    from bort_convert.params import ParamsFile


@dataclass(frozen=True)
class Statistics:
    """Statistics of a tensor's values.

    Attributes:
        count: number of values.
        nans: number of NaN.
        infinities: number of infinite values of either sign.
        first: index of the first value that is not finite; None if all are finite.
        minimum: smallest finite value, as float64; None without finite values.
        maximum: largest finite value, likewise.
        mean: mean of the finite values, likewise.
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
        """True if every value is finite."""
        return self.first is None

    def __str__(self) -> str:
        parts = [f"{self.nans:,} NaN"] * bool(self.nans) + [f"{self.infinities:,} inf"] * bool(self.infinities)
        return f"{' and '.join(parts) or 'no NaN or inf'} in {self.count:,} values"


def statistics_of_arrays(params: ParamsFile) -> dict[str, Statistics]:
    """Compute the statistics of every array, by name; at most a piece of a dense array is in memory."""
    return {
        name: compute_statistics(
            flat_arrays(values_of(params, name), str(params.header[name].dtype)), params.header[name].shape
        )
        for name in params
    }


def compute_statistics(pieces: Iterable[Array], shape: Shape) -> Statistics:
    """Compute the statistics of a tensor in one pass.

    Args:
        pieces: flat arrays of one dtype, bool, integer or floating-point, that hold the values in C order.
        shape: shape of the tensor.
    """
    count = finite_count = nans = infinities = 0
    first: int | None = None
    low, high, mean = np.inf, -np.inf, 0.0
    for piece in pieces:
        with np.errstate(invalid="ignore"):  # some processors complain of NaN
            values = np.asarray(piece, np.float64)
        if (finite := np.isfinite(values)).all():
            kept = values
        else:
            kept = values[finite]
            first = count + int(np.argmin(finite)) if first is None else first
            nan = int(np.count_nonzero(np.isnan(values)))
            nans, infinities = nans + nan, infinities + values.size - kept.size - nan
        count += values.size
        if kept.size:
            finite_count += kept.size
            low, high = min(low, float(kept.min())), max(high, float(kept.max()))
            mean = _updated_mean(mean, kept, kept.size / finite_count)
    index = None if first is None else tuple(map(int, np.unravel_index(first, shape)))
    of_finite = (low, high, min(max(mean, low), high)) if finite_count else (None, None, None)
    return Statistics(prod(shape), nans, infinities, index, *of_finite)


def check_finite(statistics: Mapping[str, Statistics]) -> None:
    """Refuse tensors with values that are not finite.

    Raises:
        MappingError: some values are not finite; the message says for each tensor how many, and where the first is.
    """
    lines = [f"{printable(name)}: {one}, first at {one.first}" for name, one in statistics.items() if not one.finite]
    if lines:
        raise MappingError(
            "these tensors hold values that are not finite; expected none. Leave `strict=True` out to convert them as "
            "they are:",
            lines,
        )


def _updated_mean(mean: float, values: Array, weight: float) -> float:
    """Update the mean by more values, a part of `weight` in all values, without a sum that overflows."""
    with np.errstate(over="ignore", under="ignore"):
        here = float((values / values.size).sum())
    here = min(max(here, float(values.min())), float(values.max()))
    return mean * (1 - weight) + here * weight
