"""The third rung: the converted model, run on the reference's inputs, against every output of the reference."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from bort_convert.errors import ConvertError, ParityError
from bort_convert.family import OWN
from bort_convert.verify.compare import Run, compare
from bort_convert.verify.directory import own_of
from bort_convert.verify.layers import epsilon_of, first_position, has_float32_sinusoids
from bort_convert.verify.result import BEHAVIOUR, Rung, excess, failure_line, label
from bort_convert.verify.trace import DTYPES, EMBEDDINGS, MLM_LOGITS, Trace

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from bort_convert.dtypes import Array
    from bort_convert.family import Fact


@dataclass(frozen=True)
class Judged:
    """The third rung's verdict, and its numbers; see `Report`."""

    rung: Rung
    runs: tuple[Run, ...] = ()
    isolation: Run | None = None
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    lengths: tuple[int, ...] = ()


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
    own = own_of(target)
    for dtype in sorted(dtypes, reverse=True):  # float64 first: where both fail, it is the one to isolate
        progress(f"torch: running in {dtype}")
        try:
            model = run_torch.load_model(target, dtype, device=device, attentions=attentions)
            run_torch.set_own(model, own, as_float32=True)
            outputs[dtype] = run_torch.run_model(model, trace.inputs, attentions=attentions)
        except ParityError as error:
            return Judged(Rung(BEHAVIOUR, passed=False, detail=f"not run: {error}"))
        if isolation is None and is_whole(trace, dtype) and not _one(trace, outputs, dtype, limits).passed:
            progress(f"torch: every layer on the reference's input, in {dtype}")
            fed = run_torch.run_model(model, trace.inputs, attentions=attentions, feed=trace.outputs[dtype])
            isolation = _one(trace, {dtype: fed}, dtype, limits)
        if dtype == "float64":
            notes.append(_stock_epsilon(trace, model, own))
            notes += _stock_positions(trace, model, own)
        notes += [note for name in own for note in _stock_own(trace, model, own, name, {dtype: outputs[dtype]})]
    runs = compare(trace, {dtype: outputs[dtype] for dtype in DTYPES if dtype in outputs}, **vars(limits))
    versions = {**_versions(trace), **run_torch.versions()}
    lengths = tuple(int(length) for length in trace.inputs["valid_length"])
    return Judged(_verdict(runs, isolation), runs, isolation, tuple(notes), versions, lengths)


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


def _stock_epsilon(trace: Trace, model: object, own: Mapping[str, Fact]) -> str:
    """What the epsilon that MXNet holds as a float32 is worth: the same run with the one in config.json."""
    from bort_convert.verify import run_torch  # noqa: PLC0415 - as above

    run_torch.set_own(model, own)
    outputs = run_torch.run_model(model, trace.inputs)
    worst = _largest(compare(trace, {"float64": outputs})[0])
    epsilon = epsilon_of(model)
    return (
        f"float64: MXNet holds LayerNorm's epsilon as a float32, so torch is given {float(np.float32(epsilon))!r}; "
        f"with {epsilon!r}, as config.json has it, max |d| is {worst:.2g}"
    )


def _stock_positions(trace: Trace, model: object, own: Mapping[str, Fact]) -> list[str]:
    """What it is worth that torch is told the positions, or given their sinusoids, where the class has others."""
    from bort_convert.verify import run_torch  # noqa: PLC0415 - as above

    ids, first = trace.inputs["input_ids"], first_position(model)
    valid = np.arange(ids.shape[1]) < trace.inputs["valid_length"][:, None]
    if first and first - 1 in ids[valid]:
        counted = f"the stock class does not count the padding id {first - 1}"
        told = f"torch is given the positions; {counted}, and with one among the tokens"
    elif has_float32_sinusoids(model):
        told = "torch is given sinusoids in float64; the stock class makes float32 ones, with which"
    else:
        return []
    run_torch.set_own(model, own, as_float32=True)
    worst = _largest(compare(trace, {"float64": run_torch.run_model(model, trace.inputs, stock_positions=True)})[0])
    return [f"float64: {told} max |d| is {worst:.2g}"]


def _largest(run: Run) -> float:
    """The largest difference of a run, NaN where nothing was compared."""
    return max((layer.max_abs for layer in run.layers if layer.count and not layer.problem), default=float("nan"))


def _stock_own(
    trace: Trace, model: object, own: Mapping[str, Fact], name: str, outputs: Mapping[str, Mapping[str, Array]]
) -> list[str]:
    """What one thing that the original has of its own is worth: the same run without it, as the stock class is.

    Nothing is said of a head's where there is no such head.
    """
    from bort_convert.verify import run_torch  # noqa: PLC0415 - as above

    ((dtype, found),) = outputs.items()
    in_head = name.startswith("head_")
    kept = {key: array for key, array in trace.outputs[dtype].items() if not in_head or key == MLM_LOGITS}
    if in_head and not kept.keys() & found.keys():
        return []
    run_torch.set_own(model, {key: value for key, value in own.items() if key != name}, as_float32=True)
    if in_head:
        last = found[max((key for key in found if key.startswith("layer.")), key=lambda key: int(key[6:]))]
        stock = run_torch.run_head(model, last, trace.inputs)
    else:
        stock = run_torch.run_model(model, trace.inputs)
    reference = replace(trace, outputs={dtype: {key: array for key, array in kept.items() if key in stock}})
    worst = max(compare(reference, {dtype: stock})[0].layers, key=excess)
    with_it = next(layer for layer in compare(reference, {dtype: found})[0].layers if layer.name == worst.name)
    numbers = f"max |d| {with_it.max_abs:.2g} with it, {worst.max_abs:.2g} as the stock class is"
    has = f"the config has no place for {OWN[name]}, {own[name]}, which load_pretrained sets"
    return [f"{dtype}: {has}: {label(worst.name)} {numbers} (limit {worst.limit:.2g})"]
