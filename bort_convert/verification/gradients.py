"""The gradients check: both frameworks run backwards, and the gradient of every tensor of the checkpoint is compared.

Both run backwards from the sum over all outputs of <cotangent, output>: embeddings, every layer, every head. Cotangents
are random and fixed by the seed, and zero at padding; every dropout is off. `Plan.pullback` turns torch's gradients
into gradients of the checkpoint's tensors; see `gradient_differences` for the limits.

Torch computes like GluonNLP in two places, and a note has the difference that each makes: torch trains the padding
token's row, which the stock class freezes (`padding_idx`), and its GELU has MXNet's derivative of erf, which comes from
a float32 constant in any precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from bort_convert.errors import ParityError
from bort_convert.verification.findings import GRADIENTS, CheckResult
from bort_convert.verification.gradient_differences import (
    RTOL,
    backward_order,
    collapsed,
    compare_gradients,
    gradient_failure,
    gradient_limit,
    largest_values,
)
from bort_convert.verification.headline import excess
from bort_convert.verification.torch_modules import frozen_rows
from bort_convert.verification.trace import (
    ATTENTION,
    COTANGENTS,
    CROSS_ATTENTION,
    DECODER,
    EMBEDDINGS,
    FINAL_NORM,
    HEADS,
    LAYER,
    Trace,
    is_attention,
    is_per_token,
    is_valid,
    layers_of,
    output_shape,
    stack_of,
    stacks_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bort_convert.dtypes import Array
    from bort_convert.mapping.fit import Fit
    from bort_convert.mapping.plan import Plan
    from bort_convert.model_dir.read import ModelDir
    from bort_convert.verification.compare import Run
    from bort_convert.verification.gradient_differences import Parameters

Model: TypeAlias = Any
ERF_SLOPE: Final = "erf_slope"


@dataclass(frozen=True)
class GradientsResult:
    """The outcome of this check, with its numbers.

    Attributes:
        check: the verdict.
        runs: see `Report.gradients`.
        notes: see `Report`.
    """

    check: CheckResult
    runs: tuple[Run, ...] = ()
    notes: tuple[str, ...] = ()


def default_cotangents(
    inputs: Mapping[str, Array], fit: Fit, *, attentions: bool = False, seed: int = 0
) -> dict[str, Array]:
    """Random cotangents of every output that a model of these sizes can have, to put among a trace's inputs.

    Args:
        inputs: of a trace.
        fit: of the checkpoint.
        attentions: make cotangents of attention probabilities too.
        seed: of the random numbers.

    Returns:
        `cotangents/OUTPUT` -> float64 array of the output's shape with values of float32, zero at padding.
    """
    dims = fit.plan.dims
    heads = {**dims, **fit.hyperparameters}["attention_heads"]
    kinds = (LAYER, *((ATTENTION, CROSS_ATTENTION) if attentions else ()))
    names = list(HEADS)
    for stack in stacks_of(inputs):
        names += [f"{stack}{name}" for name in (EMBEDDINGS, FINAL_NORM)]
        layers = range(layers_of(stack, dims))
        names += [
            f"{stack}{kind}.{number}"
            for kind in kinds
            for number in layers
            if kind != CROSS_ATTENTION or stack == DECODER
        ]
    rng = np.random.default_rng(seed)
    found = {}
    for name in names:
        shape = output_shape(name, inputs, dims, int(heads))
        cotangent = rng.standard_normal(shape, np.float32).astype(np.float64)  # type: ignore[arg-type] # heads are known
        if is_per_token(name):
            cotangent[~is_valid(inputs, stack_of(name, inputs))] = 0
        found[COTANGENTS + name] = cotangent
    return found


def check_gradients(
    trace: Trace,
    directory: ModelDir,
    plan: Plan,
    dtypes: Sequence[str],
    *,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda _line: None,
) -> GradientsResult:
    """Run the converted model backwards from the trace's cotangents and compare its gradients with the trace's.

    Args:
        trace: the reference, with gradients.
        directory: the converted directory.
        plan: of the conversion.
        dtypes: precisions to compare, all of which the trace has.
        device: for torch.
        progress: called with each line of progress.

    Raises:
        BackendError: torch or transformers is missing, or the device is.
    """
    from bort_convert.verification import torch_run  # noqa: PLC0415 - torch is loaded when it is needed

    gradients: dict[str, Parameters] = {}
    frozen: dict[str, int] = {}
    notes: list[str] = []
    for dtype in sorted(dtypes, reverse=True):
        progress(f"torch: running backwards in {dtype}")
        attentions = any(is_attention(name) for name in trace.outputs[dtype])
        try:
            model = torch_run.load_model(directory, dtype, device=device, attentions=attentions)
            torch_run.apply_module_overrides(model, directory.module_overrides, as_float32=True)
            gradients[dtype] = run_backwards(model, trace, dtype)
            frozen = {name: row for name, row in frozen_rows(model).items() if row != padding_id(trace)}
            (run,) = compare_gradients(plan, trace, {dtype: gradients[dtype]}, frozen)
            notes += _stock_notes(plan, trace, model) if dtype == "float64" and run.passed else []
        except ParityError as error:
            return GradientsResult(CheckResult(GRADIENTS, passed=False, detail=f"not run: {error}"))
    runs = compare_gradients(plan, trace, gradients, frozen)
    return GradientsResult(
        _result(runs), runs, (*notes, *_floor_notes(trace, runs), *_plan_notes(plan, trace, gradients))
    )


def run_backwards(
    model: Model, trace: Trace, dtype: str, *, stock_padding: bool = False, stock_slope: bool = False
) -> Parameters:
    """Gradients of a torch model from the trace's cotangents, computed as GluonNLP does.

    Args:
        model: from `torch_run.load_model`.
        trace: the reference.
        dtype: the model's precision.
        stock_padding: freeze the padding token's row of the embeddings, as the stock class does.
        stock_slope: keep torch's own derivative of erf.
    """
    from bort_convert.verification import torch_run  # noqa: PLC0415 - as above

    cotangents = {name: array for name, array in trace.cotangents.items() if name in trace.outputs[dtype]}
    slope = trace.provenance.get(ERF_SLOPE) if dtype == "float64" and not stock_slope else None
    return torch_run.run_gradients(
        model,
        trace.inputs,
        cotangents,
        trained=None if stock_padding else padding_id(trace),
        erf_slope=None if slope is None else float(slope),
    )


def padding_id(trace: Trace) -> int | None:
    """Id of the padding token: the vocabulary's, or the family's where no vocabulary was given; None without one."""
    found = trace.hyperparameters.get("pad_token_id")
    return found if isinstance(found, int) else None


def _result(runs: Sequence[Run]) -> CheckResult:
    failing = [run for run in reversed(runs) if not run.passed]
    if not runs or not all(any(tensor.largest > 0 for tensor in run.layers) for run in runs):
        return CheckResult(GRADIENTS, passed=False, detail="no gradient was compared")
    if failing:
        return CheckResult(GRADIENTS, passed=False, detail="\n".join(map(gradient_failure, failing)))
    parts = []
    for run in runs:
        worst = max(run.layers, key=excess)
        count = sum(tensor.count for tensor in run.layers)
        floor = f", noise floor {worst.floor:.2g}" if worst.floors else ""
        sizes = f"max |d| {worst.max_abs:.2g} of {worst.largest:.2g}{floor}, limit {worst.limit:.2g}"
        parts.append(
            f"{run.dtype}: {len(run.layers)} tensors, {count:,} values, nearest to its limit {worst.name} {sizes}"
        )
    return CheckResult(GRADIENTS, passed=True, detail="; ".join(parts))


def _stock_notes(plan: Plan, trace: Trace, model: Model) -> list[str]:
    """Note the differences that the stock class makes: a frozen padding row, and torch's own derivative of erf."""
    notes = []
    padding = padding_id(trace)
    if padding in frozen_rows(model).values() and padding in trace.inputs["input_ids"][is_valid(trace.inputs)]:
        stock = run_backwards(model, trace, "float64", stock_padding=True)
        (run,) = compare_gradients(plan, trace, {"float64": stock})
        notes += [
            f"float64: {tensor.name}: the stock class freezes row {padding}, the padding token's, and here torch "
            f"trains it; as the stock class is, max |d| is {tensor.max_abs:.2g}, {tensor.cause}. Inputs with that "
            "token at padding alone train both alike"
            for tensor in run.failures[:1]
        ]
    if ERF_SLOPE in trace.provenance:
        stock = run_backwards(model, trace, "float64", stock_slope=True)
        (run,) = compare_gradients(plan, trace, {"float64": stock})
        if run.failures:
            slope = f"MXNet's erf has the slope {trace.provenance[ERF_SLOPE]} at 0, from a float32 constant"
            size = RTOL["float64"] * max(map(excess, run.failures))
            difference = f"with torch's own, gradients are up to {size:.2g} of their range off"
            notes.append(f"float64: {slope}, and torch's GELU is given the same; {difference}")
    return notes


def _floor_notes(trace: Trace, runs: Sequence[Run]) -> list[str]:
    """Note the tensors that pass in float32 by the noise floors alone."""
    for run in runs:
        limit = gradient_limit(largest_values(trace.gradients[run.dtype]), run.dtype)
        if noisy := [tensor for tensor in run.layers if tensor.passed and tensor.max_abs > limit.at(tensor.largest)]:
            worst = max(noisy, key=lambda tensor: tensor.max_abs / limit.at(tensor.largest))
            sizes = f"max |d| {worst.max_abs:.2g} of {worst.largest:.2g}"
            floors = " and ".join(f"{side} {floor:.2g}" for side, floor in worst.floors.items())
            names = collapsed(tensor.name for tensor in noisy)
            return [f"{run.dtype}: {names}: as far apart as the noise floors, {floors}: {sizes} in {worst.name}"]
    return []


def _plan_notes(plan: Plan, trace: Trace, gradients: Mapping[str, Parameters]) -> list[str]:
    """Note initialised values that torch trains, tensors that were left out, and gradients that vanish."""
    dtype = max(gradients)
    known = {name: gradient for names, gradient in gradients[dtype].items() for name in names}
    notes = []
    for step in plan.steps:
        for spec in step.targets:
            gradient = known.get(spec.name, np.zeros(spec.shape))
            count = step.op.initialised(spec.shape)  # values before those of the source
            initialised = gradient.reshape(-1)[:count] if step.sources else gradient
            if initialised.any():
                part = f", the first {count:,} values" if step.sources else ""
                size = float(np.abs(initialised).max())
                notes.append(
                    f"{spec.name}{part}: initialised ({step.why}), and torch trains it: a gradient up to {size:.2g}"
                )
        if not step.targets:
            notes += [f"{name}: left out ({step.why}), so no gradient was compared" for name in step.sources]
    sizes = largest_values(trace.gradients[dtype])
    limit = gradient_limit(sizes, dtype).atol
    if vanishing := [name for name in backward_order(plan) if sizes.get(name, np.inf) <= limit]:
        size, largest = max(sizes[name] for name in vanishing), max(sizes.values())
        text = f"the gradient vanishes: at most {size:.1g}, where the model's largest is {largest:.2g} ({dtype})"
        notes.append(f"{collapsed(vanishing)}: {text}")
    return notes
