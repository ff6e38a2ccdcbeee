"""Record a reference: run a checkpoint as GluonNLP does, and keep its outputs for checks that need no MXNet."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.errors import InputError
from bort_convert.files.atomic import new_file
from bort_convert.verification.inputs import BATCH, MASKED, inputs_for
from bort_convert.verification.reference import TIMEOUT, LiveReference, fit_checkpoint, run_reference
from bort_convert.verification.trace import BOTH, Trace, dtypes_of, sampled
from bort_convert.verification.trace_file import save_trace

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    PathLike = str | os.PathLike[str]


def record(
    source: PathLike,
    target: PathLike,
    *,
    dtype: str = BOTH,
    seed: int = 0,
    batch: int = BATCH,
    masked: int = MASKED,
    layers: tuple[int, ...] | None = None,
    sample: int | None = None,
    attentions: bool = False,
    family: str | None = None,
    variant: str | None = None,
    heads: int | None = None,
    gluonnlp_version: str | None = None,
    mxnet_python: str | None = None,
    gluonnlp: str | None = None,
    timeout: float = TIMEOUT,
    force: bool = False,
    progress: Callable[[str], None] = lambda _line: None,
) -> Trace:
    """Run a checkpoint as GluonNLP does and keep its outputs, for later checks that need no MXNet.

    Args:
        source: the `.params` file.
        target: the trace to write.
        dtype: "float32", "float64" or "both".
        seed: of the inputs and of the sample.
        batch: rows of the inputs.
        masked: positions of each row that the language-model head reads.
        layers: numbers of the layers to keep; None for all.
        sample: how many valid positions to keep; None for all. Only a whole trace can tell the layer at fault.
        attentions: keep attention probabilities too.
        family: see `convert`.
        variant: see `convert`.
        heads: see `convert`.
        gluonnlp_version: see `convert`.
        mxnet_python: an interpreter that has mxnet and gluonnlp; this one by default.
        gluonnlp: a folder that holds another release of gluonnlp, in place of the interpreter's own.
        timeout: seconds that MXNet may take.
        force: replace a file at `target`.
        progress: told each line of progress.

    Raises:
        BackendError: mxnet or gluonnlp is missing, or MXNet died.
        OutputError: the trace cannot be written.
        InputError: a layer is asked for that the model has not, or nothing is.
    """
    fit = fit_checkpoint(source, family=family, variant=variant, heads=heads, gluonnlp_version=gluonnlp_version)
    count = fit.plan.dims["layers"]
    if wrong := [number for number in layers or () if not 0 <= number < count]:
        raise InputError(f"layer {wrong[0]} was asked for, the model has the layers 0 to {count - 1}")
    if sample is not None and sample < 1:
        raise InputError(f"a sample of {sample} positions was asked for, expected at least 1")
    reference = LiveReference(Path(source), fit, mxnet_python, timeout, progress, gluonnlp=gluonnlp)
    with new_file(target, source=source, force=force) as partial_file:
        inputs = inputs_for(fit, seed=seed, batch=batch, masked=masked)
        trace = run_reference(reference, inputs, dtypes=dtypes_of(dtype), attentions=attentions)
        kept = {"layers": layers, "sample": sample, "batch": batch, "masked": masked}
        known = {**trace.provenance, "seed": str(seed), "kept": json.dumps(kept)}
        trace = sampled(replace(trace, provenance=known), layers=layers, sample=sample, seed=seed)
        save_trace(partial_file, trace)
    return trace
