"""The third check: the converted model, run on the reference's inputs, against every output of the reference."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from bort_convert.errors import ConvertError, ParityError
from bort_convert.mapping.family import MODULE_OVERRIDES
from bort_convert.verification.compare import Run, compare
from bort_convert.verification.report import BEHAVIOUR, CheckResult, excess, failure_line, label
from bort_convert.verification.torch_modules import epsilon_of, first_position, has_float32_sinusoids
from bort_convert.verification.trace import DTYPES, EMBEDDINGS, MLM_LOGITS, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bort_convert.dtypes import Array
    from bort_convert.mapping.family import Hyperparameter
    from bort_convert.model_dir.read import ModelDir


@dataclass(frozen=True)
class BehaviourResult:
    """The third check's verdict, and its numbers; see `Report`."""

    check: CheckResult
    runs: tuple[Run, ...] = ()
    per_layer: Run | None = None
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    lengths: tuple[int, ...] = ()


@dataclass(frozen=True)
class Limits:
    """Tolerances in place of the default ones, None for the default."""

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
    """Run the converted model as the trace's inputs ask, and compare.

    Args:
        trace: the reference.
        directory: the converted directory.
        dtypes: precisions to compare, each of which the trace has.
        limits: tolerances.
        device: for torch.
        progress: told each line of progress.

    Raises:
        BackendError: torch or transformers is missing, or the device is.
    """
    from bort_convert.verification import torch_run  # noqa: PLC0415 - torch is loaded when it is needed

    outputs: dict[str, dict[str, Array]] = {}
    per_layer, notes = None, []
    attentions = any(name.startswith("attention.") for arrays in trace.outputs.values() for name in arrays)
    overrides = directory.module_overrides
    for dtype in sorted(dtypes, reverse=True):  # float64 first: where both fail, it is the one to isolate
        progress(f"torch: running in {dtype}")
        try:
            model = torch_run.load_model(directory, dtype, device=device, attentions=attentions)
            torch_run.apply_module_overrides(model, overrides, as_float32=True)
            outputs[dtype] = torch_run.run_model(model, trace.inputs, attentions=attentions)
        except ParityError as error:
            return BehaviourResult(CheckResult(BEHAVIOUR, passed=False, detail=f"not run: {error}"))
        if per_layer is None and is_whole(trace, dtype) and not _one(trace, outputs, dtype, limits).passed:
            progress(f"torch: every layer on the reference's input, in {dtype}")
            fed = torch_run.run_model(model, trace.inputs, attentions=attentions, feed=trace.outputs[dtype])
            per_layer = _one(trace, {dtype: fed}, dtype, limits)
        if dtype == "float64":
            notes.append(_stock_epsilon(trace, model, overrides))
            notes += _stock_positions(trace, model, overrides)
        notes += [
            note for name in overrides for note in _stock_module(trace, model, overrides, name, {dtype: outputs[dtype]})
        ]
    runs = compare(trace, {dtype: outputs[dtype] for dtype in DTYPES if dtype in outputs}, **vars(limits))
    versions = {**_versions(trace), **torch_run.versions()}
    lengths = tuple(int(length) for length in trace.inputs["valid_length"])
    return BehaviourResult(_verdict(runs, per_layer), runs, per_layer, tuple(notes), versions, lengths)


def chosen_dtypes(trace: Trace, asked: Sequence[str], name: str, *, all_needed: bool) -> tuple[str, ...]:
    """The asked precisions that a trace has.

    Raises:
        ConvertError: one that is needed is missing, or all are.
    """
    found = tuple(dtype for dtype in asked if dtype in trace.outputs)
    if not found or (all_needed and found != tuple(asked)):
        raise ConvertError(
            f"{name}: the trace has {' and '.join(trace.outputs)}, {' and '.join(asked)} was asked for. "
            "Choose with --dtype, or record anew"
        )
    return found


def is_whole(trace: Trace, dtype: str) -> bool:
    """Whether a trace has every layer at every position, so that each layer can be fed its input."""
    names = {EMBEDDINGS, *(f"layer.{number}" for number in range(trace.fact("dims")["layers"]))}
    return trace.positions is None and names <= set(trace.outputs[dtype])


def _versions(trace: Trace) -> dict[str, str]:
    names = ("mxnet", "gluonnlp", "numpy", "python")
    return {name: trace.provenance[name] for name in names if name in trace.provenance}


def _one(trace: Trace, outputs: Mapping[str, Mapping[str, Array]], dtype: str, limits: Limits) -> Run:
    return compare(trace, {dtype: outputs[dtype]}, **vars(limits))[0]


def _verdict(runs: Sequence[Run], per_layer: Run | None) -> CheckResult:
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


def _stock_epsilon(trace: Trace, model: object, overrides: Mapping[str, Hyperparameter]) -> str:
    """What the epsilon that MXNet holds as a float32 is worth: the same run with the one in config.json."""
    from bort_convert.verification import torch_run  # noqa: PLC0415 - as above

    torch_run.apply_module_overrides(model, overrides)
    outputs = torch_run.run_model(model, trace.inputs)
    worst = _largest(compare(trace, {"float64": outputs})[0])
    epsilon = epsilon_of(model)
    return (
        f"float64: MXNet holds LayerNorm's epsilon as a float32, so torch is given {float(np.float32(epsilon))!r}; "
        f"with {epsilon!r}, as config.json has it, max |d| is {worst:.2g}"
    )


def _stock_positions(trace: Trace, model: object, overrides: Mapping[str, Hyperparameter]) -> list[str]:
    """What it is worth that torch is told the positions, or given their sinusoids, where the class has others."""
    from bort_convert.verification import torch_run  # noqa: PLC0415 - as above

    ids, first = trace.inputs["input_ids"], first_position(model)
    valid = np.arange(ids.shape[1]) < trace.inputs["valid_length"][:, None]
    if first and first - 1 in ids[valid]:
        counted = f"the stock class does not count the padding id {first - 1}"
        told = f"torch is given the positions; {counted}, and with one among the tokens"
    elif has_float32_sinusoids(model):
        told = "torch is given sinusoids in float64; the stock class makes float32 ones, with which"
    else:
        return []
    torch_run.apply_module_overrides(model, overrides, as_float32=True)
    worst = _largest(compare(trace, {"float64": torch_run.run_model(model, trace.inputs, stock_positions=True)})[0])
    return [f"float64: {told} max |d| is {worst:.2g}"]


def _largest(run: Run) -> float:
    """The largest difference of a run, NaN where nothing was compared."""
    return max((layer.max_abs for layer in run.layers if layer.count and not layer.problem), default=float("nan"))


def _stock_module(
    trace: Trace,
    model: object,
    overrides: Mapping[str, Hyperparameter],
    name: str,
    outputs: Mapping[str, Mapping[str, Array]],
) -> list[str]:
    """What one thing that the original has of its own is worth: the same run without it, as the stock class is.

    Nothing is said of a head's where there is no such head.
    """
    from bort_convert.verification import torch_run  # noqa: PLC0415 - as above

    ((dtype, found),) = outputs.items()
    in_head = name.startswith("head_")
    kept = {key: array for key, array in trace.outputs[dtype].items() if not in_head or key == MLM_LOGITS}
    if in_head and not kept.keys() & found.keys():
        return []
    torch_run.apply_module_overrides(
        model, {key: value for key, value in overrides.items() if key != name}, as_float32=True
    )
    if in_head:
        last = found[max((key for key in found if key.startswith("layer.")), key=lambda key: int(key[6:]))]
        stock = torch_run.run_head(model, last, trace.inputs)
    else:
        stock = torch_run.run_model(model, trace.inputs)
    reference = replace(trace, outputs={dtype: {key: array for key, array in kept.items() if key in stock}})
    worst = max(compare(reference, {dtype: stock})[0].layers, key=excess)
    with_it = next(layer for layer in compare(reference, {dtype: found})[0].layers if layer.name == worst.name)
    numbers = f"max |d| {with_it.max_abs:.2g} with it, {worst.max_abs:.2g} as the stock class is"
    has = f"the config has no place for {MODULE_OVERRIDES[name]}, {overrides[name]}, which load_pretrained sets"
    return [f"{dtype}: {has}: {label(worst.name)} {numbers} (limit {worst.limit:.2g})"]
