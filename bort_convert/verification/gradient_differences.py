"""Compare gradients of both frameworks by the checkpoint's tensors, in the order of a backward pass.

An error in a layer shows in the tensors of that layer and in all tensors behind them in the list, so that the first
tensor that differs is the nearest to the error.

A tensor passes when its largest absolute difference is at most `RTOL` times its range: the largest value of the
reference's gradient, but no less than `LEAST_RANGE` times the largest gradient of the model. The second part counts
where large terms cancel, because what is left of the gradient has the rounding error of the terms. The bias of a key
projection, which softmax removes, is rounding error alone: its gradient *vanishes*.

In float32, a difference no larger than both noise floors together passes too: the derivative of relu jumps at 0, so
that a unit within rounding of 0 counts in one run and not in the other.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from bort_convert.verification.compare import Difference, Limit, Run, measure, position_text
from bort_convert.verification.headline import ranges
from bort_convert.verification.trace import DTYPES, Trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bort_convert.dtypes import Array
    from bort_convert.mapping.plan import Plan

    Parameters = Mapping[tuple[str, ...], Array]
    """All names of a torch parameter (a tied one has several) -> its gradient; unused parameters are absent."""

RTOL: Final = {"float64": 1e-11, "float32": 1e-3}
"""Allowed difference, relative to a tensor's range."""
LEAST_RANGE: Final = 0.01
"""Smallest range of a tensor, relative to the model's largest gradient."""
FEW: Final = 3
"""Rows or tensors that a message names one by one."""
_FLOORS: Final = 1.01  # the runs can be as far apart as both floors together and the float64 runs' own distance
_PARALLEL: Final = 1e-6
_AXES: Final = {1: ("index",), 2: ("row", "column")}


def compare_gradients(
    plan: Plan, trace: Trace, gradients: Mapping[str, Parameters], frozen: Mapping[str, int] | None = None
) -> tuple[Run, ...]:
    """Compare torch's gradients with a trace's, one run for each precision.

    Args:
        plan: of the conversion.
        trace: the reference, with gradients.
        gradients: dtype -> torch's gradients.
        frozen: torch's name of an embedding -> row that torch freezes and GluonNLP trains.

    Returns:
        Differences by the checkpoint's names, last layer first. Before them, by torch's names: trained parameters that
        the checkpoint has not, and embeddings with a frozen row.
    """
    pulled = {dtype: _pulled_back(plan, parameters, dtype) for dtype, parameters in gradients.items()}
    limits = {dtype: gradient_limit(largest_values(trace.gradients[dtype]), dtype) for dtype in gradients}
    return tuple(
        Run(
            dtype,
            (
                *_problems_of_parameters(plan, gradients[dtype], frozen or {}, dtype),
                *(_difference(trace, pulled, dtype, name, limits[dtype]) for name in backward_order(plan)),
            ),
        )
        for dtype in DTYPES
        if dtype in gradients
    )


def largest_values(gradients: Mapping[str, Array]) -> dict[str, float]:
    """The largest absolute value of each gradient."""
    return {name: float(np.abs(array).max(initial=0.0)) for name, array in gradients.items()}


def gradient_limit(sizes: Mapping[str, float], dtype: str) -> Limit:
    """Tolerance of every gradient, from the largest values of all gradients of the reference."""
    return Limit(RTOL[dtype] * LEAST_RANGE * max(sizes.values(), default=0.0), RTOL[dtype])


def backward_order(plan: Plan) -> Iterator[str]:
    """Names of the tensors with a gradient, last step first, each original before its alias."""
    aliases = {original: name for name, original in plan.aliases}
    for step in reversed(plan.steps):
        for name in step.sources if step.targets else ():
            yield name
            if name in aliases:
                yield aliases[name]


def collapsed(names: Iterable[str]) -> str:
    """Names as text, layers taken together: `encoder.transformer_cells.0-11.layer_norm.beta`."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for name in sorted(names):
        kind, *found = re.split(r"\.(\d+)(?=\.)", name, maxsplit=1)
        numbers[f"{kind}.{{}}{found[1]}" if found else name].extend([int(found[0])] if found else [])
    return ", ".join(template.format(ranges(found)) for template, found in numbers.items())


def gradient_failure(run: Run) -> str:
    """The first tensor of a failing run that trains differently, the cause, and the number of others."""
    first, *others = run.failures
    parts = [first.problem or f"max |d| {first.max_abs:.2g} at {position_text(first.where)}, limit {first.limit:.2g}"]
    parts += [first.cause] if first.cause else []
    if others:
        alike = first.cause and all(other.cause == first.cause for other in others)
        few = collapsed(other.name for other in others) if len(others) <= FEW else ""
        which = few or f"{len(others)} of the other {len(run.layers) - 1}"
        parts.append(f"{which} differ{'s' * (len(others) == 1)} too{', in the same way' if alike else ''}")
    return f"{first.name}: {'; '.join(parts)} ({run.dtype})"


def _pulled_back(plan: Plan, parameters: Parameters, dtype: str) -> dict[str, Array]:
    """Gradient of each tensor of the checkpoint, zero where torch has none."""
    known = {name: gradient for names, gradient in parameters.items() for name in names}
    specs = (spec for step in plan.steps for spec in step.targets)
    return dict(plan.pullback({spec.name: known.get(spec.name, np.zeros(spec.shape, dtype)) for spec in specs}))


def _difference(
    trace: Trace, pulled: Mapping[str, Mapping[str, Array]], dtype: str, name: str, limit: Limit
) -> Difference:
    reference, target = trace.gradients[dtype].get(name), pulled[dtype][name]
    if reference is None:
        return Difference(name, dtype, problem="GluonNLP's model has no such parameter")
    if reference.shape != target.shape:
        return Difference(name, dtype, problem=f"torch's has the shape {target.shape}, expected {reference.shape}")
    floors = {}
    if dtype == "float32" and "float64" in pulled and "float64" in trace.gradients:
        floors = {side: _floor(runs, name) for side, runs in (("mxnet", trace.gradients), ("torch", pulled))}
        limit = replace(limit, atol=max(limit.atol, _FLOORS * sum(floors.values())))
    result, index = measure(name, dtype, reference, target, limit, floors=floors)
    axes = _AXES.get(reference.ndim, tuple(f"axis {number}" for number in range(reference.ndim)))
    where = dict(zip(axes, index, strict=True)) if index else {}
    if result.problem:
        return replace(result, where=where, problem=f"{result.problem} at {position_text(where)}")
    return replace(result, where=where, cause="" if result.passed else _cause(reference, target, result.limit))


def _floor(runs: Mapping[str, Mapping[str, Array]], name: str) -> float:
    """Distance of a framework's float32 gradient from its own float64 gradient; 0 where a value is not finite."""
    distance = float(np.abs(runs["float32"][name].astype(np.float64) - runs["float64"][name]).max(initial=0.0))
    return distance if np.isfinite(distance) else 0.0


def _cause(reference: Array, target: Array, limit: float) -> str:
    """The plainest cause of a difference between two gradients, "" where none fits."""
    one, other = reference.astype(np.float64), target.astype(np.float64)
    if not other.any():
        return "torch does not train it"
    if not one.any():
        return "GluonNLP does not train it"
    ratio = float(np.vdot(one, other) / np.vdot(one, one))
    if np.abs(other - ratio * one).max() <= _PARALLEL * np.abs(other).max():
        return f"torch's is {ratio:.6g} times GluonNLP's"
    rows = np.flatnonzero((np.abs(other - one) > limit).reshape(len(one), -1).any(axis=1))
    if one.ndim > 1 and len(rows) <= FEW < len(one):
        which, differ = ("row", "differs") if len(rows) == 1 else ("rows", "differ")
        return f"only {which} {ranges(rows.tolist())} of {len(one):,} {differ}"
    return ""


def _problems_of_parameters(
    plan: Plan, parameters: Parameters, frozen: Mapping[str, int], dtype: str
) -> list[Difference]:
    """Problems of torch's parameters that no tensor of the checkpoint shows."""
    targets = {spec.name for step in plan.steps for spec in step.targets}
    sizes = {names[0]: np.abs(gradient).max() for names, gradient in parameters.items() if targets.isdisjoint(names)}
    trained = {
        name: f"torch trains it (gradient up to {size:.2g}), and the checkpoint has no such tensor"
        for name, size in sizes.items()
        if size
    }
    rows = {name: f"torch freezes row {row} (padding_idx), and GluonNLP trains it" for name, row in frozen.items()}
    return [Difference(name, dtype, problem=problem) for name, problem in {**trained, **rows}.items()]
