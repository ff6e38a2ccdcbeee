"""Record a reference: run a checkpoint with GluonNLP and save its outputs for checks that need no MXNet."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bort_convert.arguments import version_argument
from bort_convert.errors import OptionError, VariantError
from bort_convert.files.atomic import new_file
from bort_convert.files.fetched import on_this_machine
from bort_convert.model_dir.own_table import open_table
from bort_convert.model_dir.ownership import reason_to_keep_file
from bort_convert.params import source_file
from bort_convert.verification.exported import network_for
from bort_convert.verification.inputs import BATCH, MASKED, inputs_for
from bort_convert.verification.reference import LiveReference, ReferenceOptions, fit_checkpoint, run_reference
from bort_convert.verification.trace import BOTH, Trace, dtypes_of, sampled
from bort_convert.verification.trace_file import save_trace

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from bort_convert.arguments import FamilyName, RunDtype
    from bort_convert.dtypes import Hyperparameter
    from bort_convert.mapping.fit import Fit

    PathLike = str | os.PathLike[str]


@on_this_machine(source="")
def record(
    source: PathLike,
    target: PathLike,
    *,
    dtype: RunDtype = BOTH,
    seed: int = 0,
    batch: int = BATCH,
    masked: int = MASKED,
    layers: tuple[int, ...] | None = None,
    sample: int | None = None,
    attentions: bool = False,
    family: FamilyName | None = None,
    table: PathLike | None = None,
    variant: str | None = None,
    heads: int | None = None,
    gluonnlp_version: str | None = None,
    producer: str | None = None,
    hyperparameters: Mapping[str, Hyperparameter] | None = None,
    prefix: str | None = None,
    ignore: Sequence[str] = (),
    keep_extra: bool = False,
    symbol: PathLike | None = None,
    symbol_inputs: Mapping[str, str] | None = None,
    reference_options: ReferenceOptions | None = None,
    mxnet_python: str | None = None,
    gluonnlp: str | None = None,
    timeout: float | None = None,
    force: bool = False,
    progress: Callable[[str], None] = lambda _line: None,
) -> Trace:
    """Run a checkpoint with GluonNLP and save its outputs, for later checks that need no MXNet.

    Args:
        source: the `.params` file, or an archive or a directory that holds one.
        target: the trace to write.
        dtype: "float32", "float64" or "both".
        seed: of the inputs and of the sample.
        batch: rows of the inputs.
        masked: positions of each row that the language-model head reads.
        layers: numbers of the layers to keep; None for all.
        sample: number of valid positions to keep; None for all. Only a whole trace allows a per-layer comparison.
        attentions: keep attention probabilities too.
        family: see `convert`.
        table: see `convert`.
        variant: see `convert`.
        heads: see `convert`.
        gluonnlp_version: see `convert`.
        producer: the old name of `gluonnlp_version`.
        hyperparameters: see `convert`.
        prefix: see `convert`.
        ignore: see `convert`.
        keep_extra: accept other tensors than the model's; the trace does not hold them.
        symbol: see `verify`.
        symbol_inputs: see `verify`.
        reference_options: interpreter, gluonnlp and timeout of the run.
        mxnet_python: see `ReferenceOptions`.
        gluonnlp: see `ReferenceOptions`.
        timeout: see `ReferenceOptions`.
        force: replace a file at `target`, unless a converted directory holds it.
        progress: called with each line of progress.

    Returns:
        The trace that was saved.

    Raises:
        BackendError: mxnet or gluonnlp is missing, or MXNet died.
        OutputError: the trace cannot be written.
        OptionError: an option is wrong, such as a layer that the model does not have.

    Examples:
        Where there is MXNet:

        >>> trace = bort_convert.record(
        ...     "fixtures/bort_4_8_24_32.params", "trace.safetensors", dtype="float32", family="bort", heads=8
        ... )
        >>> list(trace.outputs["float32"])
        ['embeddings', 'layer.0', 'layer.1', 'layer.2', 'layer.3', 'mlm_logits']
    """
    options = (reference_options or ReferenceOptions()).with_keywords(
        mxnet_python=mxnet_python, gluonnlp=gluonnlp, timeout=timeout
    )
    dtypes = dtypes_of(dtype)
    version = version_argument(gluonnlp_version, producer)
    path = source_file(Path(source))
    fit = _fit(
        path,
        family=family,
        table=open_table(table, family).text if table is not None else None,
        variant=variant,
        heads=heads,
        gluonnlp_version=version,
        hyperparameters=hyperparameters,
        prefix=prefix,
        ignore=ignore,
        keep_extra=keep_extra,
        symbol=symbol,
    )
    network = network_for(symbol, fit, symbol_inputs, attentions=attentions)
    _check_selection(fit, layers, sample)
    with new_file(target, source=path, force=force, reason_to_keep=reason_to_keep_file) as partial_file:
        inputs = inputs_for(fit, seed=seed, batch=batch, masked=masked)
        inputs = network.inputs_for(inputs) if network else inputs
        reference = LiveReference(path, fit, options, progress, network=network)
        trace = run_reference(reference, inputs, dtypes=dtypes, attentions=attentions)
        kept = {"layers": layers, "sample": sample, "batch": batch, "masked": masked}
        provenance = {**trace.provenance, "seed": str(seed), "kept": json.dumps(kept)}
        trace = sampled(replace(trace, provenance=provenance), layers=layers, sample=sample, seed=seed)
        save_trace(partial_file, trace)
    return trace


def _fit(source: PathLike, **choices: Any) -> Fit:  # noqa: ANN401 - those of fit_source
    """Recognise a `.params` file; `layers` are those to keep here, so that a missing number is asked for otherwise."""
    try:
        return fit_checkpoint(source, **choices)
    except VariantError as error:
        message = str(error).replace("`layers=N`", "their number, such as `hyperparameters={'layers': 12}`")
        raise VariantError(message, missing=error.missing, candidates=error.candidates) from error


def _check_selection(fit: Fit, layers: tuple[int, ...] | None, sample: int | None) -> None:
    """Refuse layers that the model does not have, and an empty sample."""
    count = fit.plan.dims["layers"]
    if wrong := [number for number in layers or () if not 0 <= number < count]:
        raise OptionError("layers", layers, f"the model has the layers 0 to {count - 1}, and no layer {wrong[0]}")
    if sample is not None and sample < 1:
        raise OptionError("sample", sample, "expected at least 1 position")
