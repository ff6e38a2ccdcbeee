"""The third rung: the converted model, run on the reference's inputs, against every output of the reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bort_convert.errors import ConvertError, ParityError
from bort_convert.verify.compare import Run, compare, limit_of
from bort_convert.verify.directory import head_epsilon
from bort_convert.verify.layers import epsilon_of, first_position, has_float32_sinusoids
from bort_convert.verify.result import BEHAVIOUR, Rung, excess, failure_line, label
from bort_convert.verify.trace import DTYPES, EMBEDDINGS, MLM_LOGITS, Trace

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from bort_convert.dtypes import Array


@dataclass(frozen=True)
class Judged:
    """The third rung's verdict, and its numbers; see `Report`."""

    rung: Rung
    runs: tuple[Run, ...] = ()
    isolation: Run | None = None
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Limits:
    """Tolerances in place of the default ones, None for the default."""

    atol: float | None = None
    rtol: float | None = None


def judge(
    trace: Trace,
    target: str | os.PathLike[str],
    dtypes: Sequence[str],
    *,
    limits: Limits,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda _line: None,
) -> Judged:
    """Run the converted model as the trace's inputs ask, and compare.

    Args:
        trace: the reference.
        target: the converted directory.
        dtypes: precisions to compare, each of which the trace has.
        limits: tolerances.
        device: for torch.
        progress: told each line of progress.

    Raises:
        BackendError: torch or transformers is missing, or the device is.
    """
    from bort_convert.verify import run_torch  # noqa: PLC0415 - torch is loaded when it is needed

    outputs: dict[str, dict[str, Array]] = {}
    isolation, notes = None, []
    attentions = any(name.startswith("attention.") for arrays in trace.outputs.values() for name in arrays)
    head = head_epsilon(target)
    for dtype in sorted(dtypes, reverse=True):  # float64 first: where both fail, it is the one to isolate
        progress(f"torch: running in {dtype}")
        try:
            model = run_torch.load_model(target, dtype, device=device, attentions=attentions)
            run_torch.set_epsilons(model, head=head, as_float32=True)
            outputs[dtype] = run_torch.run_model(model, trace.inputs, attentions=attentions)
        except ParityError as error:
            return Judged(Rung(BEHAVIOUR, passed=False, detail=f"not run: {error}"))
        if isolation is None and is_whole(trace, dtype) and not _one(trace, outputs, dtype, limits).passed:
            progress(f"torch: every layer on the reference's input, in {dtype}")
            fed = run_torch.run_model(model, trace.inputs, attentions=attentions, feed=trace.outputs[dtype])
            isolation = _one(trace, {dtype: fed}, dtype, limits)
        if dtype == "float64":
            notes.append(_stock_epsilon(trace, model, head))
            notes += [*_stock_positions(trace, model, head), *_stock_sinusoids(trace, model, head)]
        if head is not None and MLM_LOGITS in trace.outputs[dtype] and MLM_LOGITS in outputs[dtype]:
            notes.append(_stock_head(trace, model, outputs[dtype], dtype))
    runs = compare(trace, {dtype: outputs[dtype] for dtype in DTYPES if dtype in outputs}, **vars(limits))
    versions = {**_versions(trace), **run_torch.versions()}
    return Judged(_verdict(runs, isolation), runs, isolation, tuple(notes), versions)


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


def _verdict(runs: Sequence[Run], isolation: Run | None) -> Rung:
    failing = [run for run in reversed(runs) if not run.passed]
    if not runs or any(not run.layers for run in runs):
        return Rung(BEHAVIOUR, passed=False, detail="no output was compared")
    if failing:
        lines = [
            failure_line(run, isolation if isolation and isolation.dtype == run.dtype else None) for run in failing
        ]
        return Rung(BEHAVIOUR, passed=False, detail="\n".join(line.removeprefix("FAIL ") for line in lines))
    parts = []
    for run in runs:
        worst = max(run.layers, key=excess)
        count = sum(layer.count for layer in run.layers)
        largest = f"{label(worst.name)} max |d| {worst.max_abs:.2g}, limit {worst.limit:.2g}"
        parts.append(f"{run.dtype}: {len(run.layers)} outputs, {count:,} values, nearest to its limit {largest}")
    return Rung(BEHAVIOUR, passed=True, detail="; ".join(parts))


def _stock_epsilon(trace: Trace, model: object, head: float | None) -> str:
    """What the epsilon that MXNet holds as a float32 is worth: the same run with the one in config.json."""
    from bort_convert.verify import run_torch  # noqa: PLC0415 - as above

    run_torch.set_epsilons(model, head=head)
    outputs = run_torch.run_model(model, trace.inputs)
    worst = _largest(compare(trace, {"float64": outputs})[0])
    epsilon = epsilon_of(model)
    return (
        f"float64: MXNet holds LayerNorm's epsilon as a float32, so torch is given {float(np.float32(epsilon))!r}; "
        f"with {epsilon!r}, as config.json has it, max |d| is {worst:.2g}"
    )


def _stock_positions(trace: Trace, model: object, head: float | None) -> list[str]:
    """What it is worth that torch is told the positions, where the class would count only ids that are not padding."""
    from bort_convert.verify import run_torch  # noqa: PLC0415 - as above

    ids, first = trace.inputs["input_ids"], first_position(model)
    valid = np.arange(ids.shape[1]) < trace.inputs["valid_length"][:, None]
    if not first or first - 1 not in ids[valid]:
        return []
    run_torch.set_epsilons(model, head=head, as_float32=True)
    worst = _largest(compare(trace, {"float64": run_torch.run_model(model, trace.inputs, stock_positions=True)})[0])
    counted = f"the stock class does not count the padding id {first - 1}"
    return [f"float64: torch is given the positions; {counted}, and with one among the tokens max |d| is {worst:.2g}"]


def _stock_sinusoids(trace: Trace, model: object, head: float | None) -> list[str]:
    """What it is worth that torch is given sinusoids in float64, where the class makes them in float32."""
    from bort_convert.verify import run_torch  # noqa: PLC0415 - as above

    if not has_float32_sinusoids(model):
        return []
    run_torch.set_epsilons(model, head=head, as_float32=True)
    worst = _largest(compare(trace, {"float64": run_torch.run_model(model, trace.inputs, stock_positions=True)})[0])
    given = "torch is given sinusoids in float64; the stock class makes float32 ones"
    return [f"float64: {given}, with which max |d| is {worst:.2g}"]


def _largest(run: Run) -> float:
    """The largest difference of a run, NaN where nothing was compared."""
    return max((layer.max_abs for layer in run.layers if layer.count and not layer.problem), default=float("nan"))


def _stock_head(trace: Trace, model: object, outputs: Mapping[str, Array], dtype: str) -> str:
    """What the head's own epsilon is worth: the logits of the stock class on the same hidden states."""
    from bort_convert.verify import run_torch  # noqa: PLC0415 - as above

    run_torch.set_epsilons(model, as_float32=True)
    last = outputs[max((name for name in outputs if name.startswith("layer.")), key=lambda name: int(name[6:]))]
    logits = run_torch.run_head(model, last, trace.inputs)
    expected = trace.outputs[dtype][MLM_LOGITS].astype(np.float64)
    limit = limit_of(MLM_LOGITS, dtype).at(float(np.abs(expected).max(initial=0.0)))
    largest = float(np.abs(logits[MLM_LOGITS] - expected).max(initial=0.0))
    return (
        f"{dtype}: GluonNLP's head has a LayerNorm epsilon of its own, which load_pretrained sets; the stock class has "
        f"the encoder's there, and its mlm_logits are {largest:.2g} off (limit {limit:.2g})"
    )
