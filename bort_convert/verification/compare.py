"""Compare two runs of the same inputs: every output in every precision, at valid positions, subtracted in float64.

An output passes when its largest absolute difference is at most the larger of two limits:

- a fixed one, `max(atol, rtol * max |reference|)`;
- `FLOORS` times the noise floor of the reference, which is the largest difference of its float32 from its own float64:
  it tells how the model amplifies rounding, and so scales to float64 by `FLOAT64_NOISE`. The floor of torch would hide
  errors of torch's float32, so it counts for nothing here.

A NaN or an infinity on either side fails, and so does an output without a value to compare.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from bort_convert.verification.trace import (
    HEADS,
    LANGUAGE_MODELS,
    LOGITS,
    NEXT_SENTENCE,
    NO_ANSWER,
    POOLED,
    REPLACED_LOGITS,
    SENTENCE_ORDER,
    TOKEN_HEADS,
    is_attention,
    is_per_token,
    pick,
    sample_of,
    stack_of,
    valid_positions,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import Array
    from bort_convert.verification.trace import Trace


@dataclass(frozen=True)
class Limit:
    """Tolerance of an output: `atol`, or `rtol` times the reference's largest value, whichever is larger."""

    atol: float
    rtol: float

    def at(self, size: float) -> float:
        """The largest difference allowed where the largest absolute value is `size`."""
        return max(self.atol, self.rtol * size)


FLOAT64: Final = Limit(1e-12, 1e-13)
HIDDEN_FLOAT32: Final = Limit(3e-5, 3e-6)
HEAD_FLOAT32: Final = Limit(1e-4, 1e-5)
FLOORS: Final = 4.0
"""Largest difference of a right conversion, in noise floors of the reference; 2.8 was the most that was measured."""
FLOAT64_NOISE: Final = 2.0**-29
"""Rounding of float64 over that of float32."""
BY_FLOOR: Final = "floor"


def limit_of(name: str, dtype: str, atol: float | None = None, rtol: float | None = None) -> Limit:
    """The default limit of an output, or the user's tolerances; one that is None beside the other counts as 0."""
    if atol is not None or rtol is not None:
        return Limit(atol or 0.0, rtol or 0.0)
    if dtype == "float64":
        return FLOAT64
    return HEAD_FLOAT32 if name in HEADS and name != POOLED else HIDDEN_FLOAT32


@dataclass(frozen=True)
class Difference:
    """Difference of one output in one precision.

    Attributes:
        name: of the output, as in a trace.
        dtype: the precision.
        count: number of values compared.
        max_abs: the largest absolute difference; NaN where `problem` says why there is none.
        where: axis -> index of that difference: batch and token; then unit, or head and key, or vocab; or label.
        mean_abs: the mean absolute difference.
        cosine: similarity of all values as two vectors; NaN where one vector is zero.
        largest: the largest absolute value of the reference.
        limit: the largest `max_abs` that passes.
        limit_by: "floor" where the reference's noise floor set the limit, else "fixed".
        floors: framework -> the largest difference of its float32 from its own float64, where both were run.
        problem: reason why nothing was compared, or "".
        cause: the plainest cause of a difference, or "".
    """

    name: str
    dtype: str
    count: int = 0
    max_abs: float = np.nan
    where: Mapping[str, int] = field(default_factory=dict)
    mean_abs: float = np.nan
    cosine: float = np.nan
    largest: float = np.nan
    limit: float = 0.0
    limit_by: str = "fixed"
    floors: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""
    cause: str = ""

    @property
    def passed(self) -> bool:
        """True if values were compared and are within the limit."""
        return not self.problem and self.count > 0 and self.max_abs <= self.limit

    @property
    def floor(self) -> float | None:
        """The larger of the two noise floors; None where they were not measured."""
        return max(self.floors.values(), default=None)

    @property
    def smallest_atol(self) -> float:
        """The smallest absolute tolerance of two digits that passes."""
        if not 0 < self.max_abs < np.inf:
            return self.max_abs
        step = 10.0 ** (np.floor(np.log10(self.max_abs)) - 1)
        rounded = float(f"{np.ceil(self.max_abs / step) * step:.1e}")
        return rounded if rounded >= self.max_abs else float(f"{rounded + step:.1e}")


@dataclass(frozen=True)
class Run:
    """Differences of all outputs in one precision.

    Attributes:
        dtype: the precision.
        layers: one for each output, in the order of a forward pass.
    """

    dtype: str
    layers: tuple[Difference, ...]

    @property
    def failures(self) -> tuple[Difference, ...]:
        """Outputs that did not pass."""
        return tuple(layer for layer in self.layers if not layer.passed)

    @property
    def passed(self) -> bool:
        """True if there are outputs and all of them passed."""
        return bool(self.layers) and not self.failures


def compare(
    reference: Trace,
    outputs: Mapping[str, Mapping[str, Array]],
    *,
    atol: float | None = None,
    rtol: float | None = None,
) -> tuple[Run, ...]:
    """Compare the outputs of a target model with a trace, once for each precision that the target ran in.

    Args:
        reference: the trace; all its outputs are compared.
        outputs: dtype -> name -> the target's array, of all positions (a trace may be sampled).
        atol: absolute tolerance in place of the default limits and of the noise floors.
        rtol: likewise, relative to the largest value of the reference's output.
    """
    floors = 0.0 if atol is not None or rtol is not None else FLOORS
    runs = []
    for dtype in outputs:
        limits = {name: limit_of(name, dtype, atol, rtol) for name in reference.outputs.get(dtype, {})}
        layers = [
            _difference(reference, outputs, dtype, name, limit, floors_allowed=floors) for name, limit in limits.items()
        ]
        runs.append(Run(dtype, tuple(layers)))
    return tuple(runs)


def measure(
    name: str, dtype: str, reference: Array, target: Array, limit: Limit, *, floors: Mapping[str, float] | None = None
) -> tuple[Difference, tuple[int, ...]]:
    """Measure the difference of two arrays of one shape; give the index of the largest too, for `where`."""
    one, other = reference.astype(np.float64), target.astype(np.float64)
    if not one.size:
        return Difference(name, dtype, problem="no value was compared"), ()
    for side, values in (("reference", one), ("target", other)):
        bad = ~np.isfinite(values)
        if bad.any():
            text = f"{np.count_nonzero(bad):,} of {bad.size:,} values of the {side} are not finite, the first"
            return Difference(name, dtype, one.size, problem=text), _index(bad)
    with np.errstate(over="ignore", invalid="ignore"):  # a difference may be infinite, and then fails
        distance, largest = np.abs(one - other), float(np.abs(one).max())
        size = np.linalg.norm(one) * np.linalg.norm(other)
        found = Difference(
            name,
            dtype,
            count=one.size,
            max_abs=float(distance.max()),
            mean_abs=float(distance.mean()),
            cosine=float(np.vdot(one, other) / size) if size else np.nan,
            largest=largest,
            limit=limit.at(largest),
            floors=floors or {},
        )
    return found, _index(distance)


def position_text(where: Mapping[str, int]) -> str:
    """A position in words: `(batch 1, token 17, unit 402)`."""
    return "(" + ", ".join(f"{axis} {number}" for axis, number in where.items()) + ")"


def _difference(
    reference: Trace,
    outputs: Mapping[str, Mapping[str, Array]],
    dtype: str,
    name: str,
    limit: Limit,
    *,
    floors_allowed: float,
) -> Difference:
    expected, found = reference.outputs[dtype][name], outputs[dtype].get(name)
    if found is None:
        return Difference(name, dtype, problem="the target has no such output")
    rows = valid_positions(reference.inputs, stack_of(name, reference.inputs))
    whole = rows if sample_of(name, reference.inputs) is None else None
    expected, found = pick(name, expected, whole), pick(name, found, rows)
    if expected.shape != found.shape:
        return Difference(name, dtype, problem=f"the target has the shape {found.shape}, expected {expected.shape}")
    pairs = {"mxnet": (reference.outputs, whole), "torch": (outputs, rows)}
    floors = {side: _floor(runs, name, picked) for side, (runs, picked) in pairs.items()}
    by_floor = floors_allowed * (floors["mxnet"] or 0.0) * (FLOAT64_NOISE if dtype == "float64" else 1.0)
    known = {side: value for side, value in floors.items() if value is not None and dtype == "float32"}
    result, index = measure(name, dtype, expected, found, limit, floors=known)
    if not index:
        return result
    if not result.problem and by_floor > result.limit:
        result = replace(result, limit=by_floor, limit_by=BY_FLOOR)
    where = _where(reference, name, index)
    problem = f"{result.problem} at {position_text(where)}" if result.problem else ""
    return replace(result, where=where, problem=problem)


def _floor(runs: Mapping[str, Mapping[str, Array]], name: str, rows: Array | None) -> float | None:
    """The difference of a framework's float32 from its own float64, where it ran in both and all is finite."""
    if not all(name in runs.get(dtype, {}) for dtype in ("float32", "float64")):
        return None
    one, other = (pick(name, runs[dtype][name], rows).astype(np.float64) for dtype in ("float32", "float64"))
    if one.shape != other.shape or not (np.isfinite(one).all() and np.isfinite(other).all()):
        return None
    return float(np.abs(one - other).max(initial=0.0))


def _index(values: Array) -> tuple[int, ...]:
    return tuple(int(number) for number in np.unravel_index(int(values.argmax()), values.shape))


def _where(reference: Trace, name: str, index: tuple[int, ...]) -> dict[str, int]:
    last = {POOLED: "unit", **dict.fromkeys((NEXT_SENTENCE, SENTENCE_ORDER, LOGITS, NO_ANSWER), "label")}
    if name in last:
        return dict(zip(("batch", last[name]), index, strict=True))
    if name in LANGUAGE_MODELS:
        token = int(reference.inputs["masked_positions"][index[:2]])
        return {"batch": index[0], "token": token, "vocab": index[2]}
    assert is_per_token(name)
    rows = valid_positions(reference.inputs, stack_of(name, reference.inputs))
    batch, token = (int(number) for number in rows[index[0]])
    rest: tuple[str, ...] = ("head", "key") if is_attention(name) else ("label",) if name in TOKEN_HEADS else ("unit",)
    rest = () if name == REPLACED_LOGITS else rest
    return {"batch": batch, "token": token, **dict(zip(rest, index[1:], strict=True))}
