"""Verify a conversion on three rungs, and record what the reference computes."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import ConvertError, FormatError
from bort_convert.output import new_file
from bort_convert.verify import rungs
from bort_convert.verify.behaviour import Judged, Limits, judge
from bort_convert.verify.directory import cast_of, manifest_of
from bort_convert.verify.inputs import BATCH, MASKED, InputError, default_inputs
from bort_convert.verify.live import TIMEOUT, Reference, fit_file, run_reference
from bort_convert.verify.memory import peak_mb
from bort_convert.verify.notes import cast_note, dtype_note, release_note
from bort_convert.verify.result import BEHAVIOUR, Report, Rung
from bort_convert.verify.subject import Subject, recorded, running
from bort_convert.verify.trace import DTYPES, Trace, sampled, save_trace

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from bort_convert.dtypes import Array
    from bort_convert.fit import Fit

    PathLike = str | os.PathLike[str]

BOTH: Final = "both"
_LANGUAGE_MODELS: Final = ("MaskedLM", "PreTraining", "LMHeadModel")
_MAX_SENTENCES: Final = 64


def verify(
    reference: PathLike,
    target: PathLike,
    *,
    dtype: str = BOTH,
    atol: float | None = None,
    rtol: float | None = None,
    text: PathLike | None = None,
    seed: int = 0,
    batch: int = BATCH,
    device: str = "cpu",
    attentions: bool = False,
    heads: int | None = None,
    mxnet_python: str | None = None,
    gluonnlp: str | None = None,
    timeout: float = TIMEOUT,
    progress: Callable[[str], None] = lambda _line: None,
) -> Report:
    """Check a converted directory against its source: names and shapes, bits, behaviour.

    Args:
        reference: the `.params` file, which GluonNLP then runs on MXNet, or a trace from `record`.
        target: the directory.
        dtype: "float32", "float64" or "both".
        atol: what a difference may be, in place of the default limits.
        rtol: the same, relative to the largest value of each output.
        text: a file of sentences, one a line, that join the default inputs; the directory needs a tokenizer.
        seed: of the default inputs; a trace brings its own inputs.
        batch: how many rows they have.
        device: "cpu" or "cuda", for torch.
        attentions: compare attention probabilities too.
        heads: attention heads of a size that was never published; by default those that the conversion was given.
        mxnet_python: an interpreter that has mxnet and gluonnlp; this one by default.
        gluonnlp: a folder that holds another release of gluonnlp, in place of the interpreter's own.
        timeout: seconds that MXNet may take.
        progress: told each line of progress.

    Returns:
        A report, true when every rung passed.

    Raises:
        BackendError: a framework is missing, or MXNet died.
        FormatError: the reference or the directory cannot be read.
        InputError: ids or lengths that the model has no rows for.
    """
    start = time.perf_counter()
    manifest_of(target)
    if is_trace(reference):
        if text is not None:
            raise ConvertError(f"{reference}: a recorded trace brings its own inputs; leave --text out, or record anew")
        subject = recorded(reference, target, _dtypes(dtype), all_needed=dtype != BOTH)
    else:
        fit = fit_as_converted(reference, target, heads)
        live = Reference(Path(reference), fit, mxnet_python, timeout, progress, cast_of(target), gluonnlp)
        inputs = _inputs(live.fit, seed=seed, batch=batch, sentences=_sentences(target, text, live.fit))
        subject = running(live, target, inputs, _dtypes(dtype), attentions=attentions)
    shapes = rungs.names_and_shapes(target, subject.provenance)
    judged = _behaviour(subject, target, Limits(atol, rtol), device, progress)
    return Report(
        source=Path(reference).name,
        target=Path(target).name,
        rungs=(shapes, subject.bits, judged.rung),
        runs=judged.runs,
        isolation=judged.isolation,
        notes=(
            *cast_note(target, recorded=is_trace(reference)),
            *release_note(subject.provenance, judged.versions),
            *dtype_note(subject.dtypes, judged.runs),
            *judged.notes,
        ),
        versions=judged.versions,
        lengths=judged.lengths,
        seconds=time.perf_counter() - start,
        peak_mb=peak_mb(),
    )


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
    producer: str | None = None,
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
        producer: see `convert`.
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
    fit = fit_file(source, family=family, variant=variant, heads=heads, producer=producer)
    count = fit.plan.dims["layers"]
    if wrong := [number for number in layers or () if not 0 <= number < count]:
        raise InputError(f"layer {wrong[0]} was asked for, the model has the layers 0 to {count - 1}")
    if sample is not None and sample < 1:
        raise InputError(f"a sample of {sample} positions was asked for, expected at least 1")
    reference = Reference(Path(source), fit, mxnet_python, timeout, progress, gluonnlp=gluonnlp)
    with new_file(target, source=source, force=force) as partial_file:
        inputs = _inputs(fit, seed=seed, batch=batch, masked=masked)
        trace = run_reference(reference, inputs, dtypes=_dtypes(dtype), attentions=attentions)
        kept = {"layers": layers, "sample": sample, "batch": batch, "masked": masked}
        known = {**trace.provenance, "seed": str(seed), "kept": json.dumps(kept)}
        trace = sampled(replace(trace, provenance=known), layers=layers, sample=sample, seed=seed)
        save_trace(partial_file, trace)
    return trace


def is_trace(path: PathLike) -> bool:
    """Whether a file starts as safetensors does: a length, then a JSON object. A `.params` file never does.

    Raises:
        FormatError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from error


def _behaviour(
    subject: Subject, target: PathLike, limits: Limits, device: str, progress: Callable[[str], None]
) -> Judged:
    """The third rung; a directory of other sizes fails it without a run."""
    if not rungs.same_sizes(target, subject.provenance):
        return Judged(Rung(BEHAVIOUR, passed=False, detail="not run: config.json has other sizes than the source"))
    trace = subject.run()
    found = [dtype for dtype in subject.dtypes if dtype in trace.outputs]
    return judge(trace, target, found, limits=limits, device=device, progress=progress)


def _dtypes(dtype: str) -> tuple[str, ...]:
    if dtype not in {*DTYPES, BOTH}:
        raise ConvertError(f"dtype is {dtype!r}, expected {', '.join((*DTYPES, BOTH))}")
    return DTYPES if dtype == BOTH else (dtype,)


def fit_as_converted(source: PathLike, target: PathLike, heads: int | None = None) -> Fit:
    """What a source is, with the choices that its conversion was given."""
    options = manifest_of(target).get("options") or {}
    choices: dict[str, Any] = {name: options.get(name) for name in ("family", "variant", "heads", "producer")}
    if heads is not None:
        choices["heads"] = heads
    return fit_file(source, **choices)


def _inputs(
    fit: Fit, *, seed: int, batch: int, masked: int = MASKED, sentences: list[list[int]] | None = None
) -> dict[str, Array]:
    with_head = masked if fit.architecture.endswith(_LANGUAGE_MODELS) else None
    return default_inputs(fit.plan.dims, seed=seed, batch=batch, masked=with_head, sentences=sentences or ())


def _sentences(target: PathLike, text: PathLike | None, fit: Fit) -> list[list[int]]:
    """The non-empty lines of a file, as ids."""
    if text is None:
        return []
    if not (Path(target) / "tokenizer.json").exists():
        raise InputError(f"{target}: has no tokenizer.json; add it with `bort-convert tokenizer`, or leave --text out")
    try:
        lines = [line for line in Path(text).read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{text}: cannot be read as UTF-8 text: {error}") from error
    if not 1 <= len(lines) <= _MAX_SENTENCES:
        raise InputError(f"{text}: {len(lines):,} lines with text, expected 1 to {_MAX_SENTENCES}")
    from bort_convert.verify.run_torch import encode  # noqa: PLC0415 - torch is loaded when it is needed

    return encode(target, lines, fit.plan.dims.get("positions"))
