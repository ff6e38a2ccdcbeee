"""Run the converted model on the reference's inputs and compare every output."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bort_convert.errors import OptionError, ParityError
from bort_convert.verification.compare import Run, compare
from bort_convert.verification.findings import BEHAVIOUR, CheckResult
from bort_convert.verification.headline import excess, failure_line, label
from bort_convert.verification.trace import (
    DTYPES,
    EMBEDDINGS,
    LAYER,
    Trace,
    input_of,
    is_attention,
    layers_of,
    sample_of,
    stacks_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bort_convert.dtypes import Array
    from bort_convert.model_dir.read import ModelDir


@dataclass(frozen=True)
class BehaviourResult:
    """The outcome of this check, with its numbers.

    Attributes:
        check: the verdict.
        runs: see `Report`.
        per_layer: see `Report`.
        notes: see `Report`.
        versions: see `Report`.
        lengths: see `Report`.
        provenance: of the reference's outputs; see `Trace`.
    """

    check: CheckResult
    runs: tuple[Run, ...] = ()
    per_layer: Run | None = None
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    lengths: tuple[int, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Limits:
    """Tolerances of the user.

    Attributes:
        atol: absolute; None for the default limits.
        rtol: relative to the largest value of each output; None for the default limits.
    """

    atol: float | None = None
    rtol: float | None = None


def check_behaviour(
    trace: Trace,
    directory: ModelDir,
    dtypes: Sequence[str],
    *,
    limits: Limits,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda _line: None,
) -> BehaviourResult:
    """Run the converted model on the trace's inputs and compare every output with the trace.

    Args:
        trace: the reference.
        directory: the converted directory.
        dtypes: precisions to compare, all of which the trace has.
        limits: tolerances.
        device: for torch.
        progress: called with each line of progress.

    Raises:
        BackendError: torch or transformers is missing, or the device is.
    """
    from bort_convert.verification import stock_class, torch_run  # noqa: PLC0415 - torch is loaded when it is needed

    outputs: dict[str, dict[str, Array]] = {}
    per_layer, notes = None, []
    attentions = any(is_attention(name) for arrays in trace.outputs.values() for name in arrays)
    overrides = directory.module_overrides
    for dtype in sorted(dtypes, reverse=True):  # float64 first: the per-layer comparison is sharper there
        progress(f"torch: running in {dtype}")
        try:
            model = torch_run.load_model(directory, dtype, device=device, attentions=attentions)
            torch_run.apply_module_overrides(model, overrides, as_float32=True)
            outputs[dtype] = torch_run.run_model(model, trace.inputs, attentions=attentions)
        except ParityError as error:
            return BehaviourResult(CheckResult(BEHAVIOUR, passed=False, detail=f"not run: {error}"))
        if per_layer is None and is_whole(trace, dtype) and not _compare_one(trace, outputs, dtype, limits).passed:
            progress(f"torch: per-layer comparison in {dtype}")
            fed = torch_run.run_model(model, trace.inputs, attentions=attentions, feed=trace.outputs[dtype])
            per_layer = _compare_one(trace, {dtype: fed}, dtype, limits)
        notes += stock_class.notes_on_stock_class(trace, model, overrides, dtype, outputs[dtype])
    runs = compare(trace, {dtype: outputs[dtype] for dtype in DTYPES if dtype in outputs}, **vars(limits))
    versions = {**_versions(trace), **torch_run.versions()}
    names = [input_of(stack, "valid_length") for stack in stacks_of(trace.inputs)]
    lengths = tuple(int(length) for name in names for length in trace.inputs[name])
    return BehaviourResult(_result(runs, per_layer), runs, per_layer, tuple(notes), versions, lengths, trace.provenance)


def chosen_dtypes(trace: Trace, requested: Sequence[str], name: str, *, all_needed: bool) -> tuple[str, ...]:
    """The requested precisions that a trace has.

    Args:
        trace: the trace.
        requested: precisions.
        name: of the trace, for the message.
        all_needed: refuse a trace that lacks one of them, not only one that lacks all.

    Raises:
        OptionError: a needed precision is missing.
    """
    found = tuple(dtype for dtype in requested if dtype in trace.outputs)
    if not found or (all_needed and found != tuple(requested)):
        raise OptionError(
            "dtype",
            requested[0] if len(requested) == 1 else "both",
            f"{name}: the trace has {' and '.join(trace.outputs)} alone. Choose that, or record anew",
        )
    return found


def is_whole(trace: Trace, dtype: str) -> bool:
    """True if a trace has every layer at every position, so that each layer can get the reference's input."""
    names = {
        f"{stack}{name}"
        for stack in stacks_of(trace.inputs)
        for name in (EMBEDDINGS, *(f"{LAYER}.{number}" for number in range(layers_of(stack, trace.dims))))
    }
    return sample_of(EMBEDDINGS, trace.inputs) is None and names <= set(trace.outputs[dtype])


def _versions(trace: Trace) -> dict[str, str]:
    names = ("mxnet", "gluonnlp", "numpy", "python")
    return {name: trace.provenance[name] for name in names if name in trace.provenance}


def _compare_one(trace: Trace, outputs: Mapping[str, Mapping[str, Array]], dtype: str, limits: Limits) -> Run:
    return compare(trace, {dtype: outputs[dtype]}, **vars(limits))[0]


def _result(runs: Sequence[Run], per_layer: Run | None) -> CheckResult:
    failing = [run for run in reversed(runs) if not run.passed]
    if not runs or any(not run.layers for run in runs):
        return CheckResult(BEHAVIOUR, passed=False, detail="no output was compared")
    if failing:
        lines = [
            failure_line(run, per_layer if per_layer and per_layer.dtype == run.dtype else None) for run in failing
        ]
        return CheckResult(BEHAVIOUR, passed=False, detail="\n".join(line.removeprefix("FAIL ") for line in lines))
    parts = []
    for run in runs:
        worst = max(run.layers, key=excess)
        count = sum(layer.count for layer in run.layers)
        largest = f"{label(worst.name)} max |d| {worst.max_abs:.2g}, limit {worst.limit:.2g}"
        parts.append(f"{run.dtype}: {len(run.layers)} outputs, {count:,} values, nearest to its limit {largest}")
    return CheckResult(BEHAVIOUR, passed=True, detail="; ".join(parts))
