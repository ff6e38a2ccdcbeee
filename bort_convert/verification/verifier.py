"""Verify a conversion: names and shapes, bits, and behaviour in both frameworks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bort_convert.errors import ConvertError, FormatError, InputError
from bort_convert.model_dir.read import ModelDir, read_model_dir
from bort_convert.verification import static_checks
from bort_convert.verification.behaviour import BehaviourResult, Limits, check_behaviour, chosen_dtypes
from bort_convert.verification.inputs import BATCH, inputs_for
from bort_convert.verification.notes import cast_note, dtype_note, version_note
from bort_convert.verification.reference import TIMEOUT, LiveReference, fit_as_converted, provenance, run_reference
from bort_convert.verification.report import BEHAVIOUR, CheckResult, Report, peak_mb
from bort_convert.verification.trace import BOTH, Trace, dtypes_of
from bort_convert.verification.trace_file import is_trace, load_trace

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from bort_convert.dtypes import Array
    from bort_convert.mapping.fit import Fit

    PathLike = str | os.PathLike[str]

_MAX_SENTENCES: Final = 64


@dataclass(frozen=True)
class Reference:
    """A checkpoint or a recorded trace, ready to be compared with.

    Attributes:
        provenance: its origin; see `Trace`.
        bits: outcome of the comparison of its weights with the directory's.
        dtypes: the precisions to compare.
        run: gives its outputs.
    """

    provenance: Mapping[str, str]
    bits: CheckResult
    dtypes: tuple[str, ...]
    run: Callable[[], Trace]


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
        atol: absolute tolerance, in place of the default limits.
        rtol: tolerance relative to the largest value of each output, likewise.
        text: a file of sentences, one a line, that join the default inputs; the directory needs a tokenizer.
        seed: of the default inputs; a trace brings its own inputs.
        batch: rows of the default inputs.
        device: "cpu" or "cuda", for torch.
        attentions: compare attention probabilities too.
        heads: attention heads of a size that was never published; by default those that the conversion was given.
        mxnet_python: an interpreter that has mxnet and gluonnlp; this one by default.
        gluonnlp: a folder that holds another version of gluonnlp, in place of the interpreter's own.
        timeout: seconds that MXNet may take.
        progress: called with each line of progress.

    Returns:
        A report, true when every check passed.

    Raises:
        BackendError: a framework is missing, or MXNet died.
        FormatError: the reference or the directory cannot be read.
        InputError: ids or lengths that the model has no rows for.
    """
    start = time.perf_counter()
    directory = read_model_dir(target)
    asked = dtypes_of(dtype)
    if is_trace(reference):
        if text is not None:
            raise ConvertError(f"{reference}: a recorded trace brings its own inputs; leave `text` out, or record anew")
        against = _recorded(reference, directory, asked, all_needed=dtype != BOTH)
    else:
        fit = fit_as_converted(reference, directory.conversion, heads)
        live = LiveReference(Path(reference), fit, mxnet_python, timeout, progress, directory.cast, gluonnlp)
        inputs = inputs_for(fit, seed=seed, batch=batch, sentences=_sentences(directory, text, fit))
        against = _live(live, directory, inputs, asked, attentions=attentions)
    shapes = static_checks.names_and_shapes(directory, against.provenance)
    found = _behaviour(against, directory, Limits(atol, rtol), device, progress)
    return Report(
        source=Path(reference).name,
        target=Path(target).name,
        checks=(shapes, against.bits, found.check),
        runs=found.runs,
        per_layer=found.per_layer,
        notes=(
            *cast_note(directory, recorded=is_trace(reference)),
            *version_note(against.provenance, found.versions),
            *dtype_note(against.dtypes, found.runs),
            *found.notes,
        ),
        versions=found.versions,
        lengths=found.lengths,
        seconds=time.perf_counter() - start,
        peak_mb=peak_mb(),
    )


def _recorded(path: PathLike, directory: ModelDir, dtypes: Sequence[str], *, all_needed: bool) -> Reference:
    """A trace: its outputs are at hand, and its weights known by their digests alone."""
    trace = load_trace(path)
    found = chosen_dtypes(trace, dtypes, Path(path).name, all_needed=all_needed)
    return Reference(trace.provenance, static_checks.digests(directory, trace.provenance), found, lambda: trace)


def _live(
    live: LiveReference, directory: ModelDir, inputs: dict[str, Array], dtypes: tuple[str, ...], *, attentions: bool
) -> Reference:
    """A checkpoint: GluonNLP runs it when its outputs are asked for, and its weights are compared bit for bit."""
    run = partial(run_reference, live, inputs, dtypes=dtypes, attentions=attentions)
    return Reference(provenance(live), static_checks.bits(directory, live.path, live.fit), dtypes, run)


def _behaviour(
    against: Reference, directory: ModelDir, limits: Limits, device: str, progress: Callable[[str], None]
) -> BehaviourResult:
    """Run both frameworks; a directory of other sizes fails without a run."""
    if not static_checks.same_sizes(directory, against.provenance):
        detail = "not run: config.json has other sizes than the source"
        return BehaviourResult(CheckResult(BEHAVIOUR, passed=False, detail=detail))
    trace = against.run()
    found = [dtype for dtype in against.dtypes if dtype in trace.outputs]
    return check_behaviour(trace, directory, found, limits=limits, device=device, progress=progress)


def _sentences(directory: ModelDir, text: PathLike | None, fit: Fit) -> list[list[int]]:
    """The non-empty lines of a file, as ids."""
    if text is None:
        return []
    if not directory.has_tokenizer:
        raise InputError(f"{directory.path}: has no tokenizer.json; add a tokenizer, or leave `text` out")
    try:
        lines = [line for line in Path(text).read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{text}: cannot be read as UTF-8 text: {error}") from error
    if not 1 <= len(lines) <= _MAX_SENTENCES:
        raise InputError(f"{text}: {len(lines):,} lines with text, expected 1 to {_MAX_SENTENCES}")
    from bort_convert.verification.torch_run import encode  # noqa: PLC0415 - torch is loaded when it is needed

    return encode(directory.path, lines, fit.plan.dims.get("max_positions"))
