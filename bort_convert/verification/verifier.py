"""Verify a converted directory in three checks: names and shapes, bits, and behaviour in both frameworks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

from bort_convert.arguments import Device
from bort_convert.errors import BackendError, FormatError, InputError, OptionError
from bort_convert.files.fetched import on_this_machine
from bort_convert.files.streams import sha256_of_file
from bort_convert.model_dir.manifest import FILE_NAME
from bort_convert.model_dir.read import ModelDir, read_model_dir
from bort_convert.params import source_file
from bort_convert.verification import static_checks
from bort_convert.verification.behaviour import BehaviourResult, Limits, check_behaviour, chosen_dtypes
from bort_convert.verification.exported import network_for, shown_by
from bort_convert.verification.findings import AS_USED, BEHAVIOUR, GRADIENTS, CheckResult, peak_mb
from bort_convert.verification.gradients import GradientsResult, check_gradients, default_cotangents
from bort_convert.verification.inputs import BATCH, inputs_for
from bort_convert.verification.notes import (
    cast_note,
    dtype_note,
    graph_note,
    limit_note,
    own_head_note,
    recorded_note,
    replaced_note,
    version_note,
)
from bort_convert.verification.provenance import call_text, digests_of_files, provenance_of
from bort_convert.verification.reference import LiveReference, ReferenceOptions, fit_as_converted, run_reference
from bort_convert.verification.report import Report
from bort_convert.verification.trace import BOTH, DTYPES, Trace, dtypes_of
from bort_convert.verification.trace_file import is_trace, load_trace

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from bort_convert.arguments import RunDtype
    from bort_convert.dtypes import Array
    from bort_convert.mapping.fit import Fit
    from bort_convert.mapping.plan import Plan

    PathLike = str | os.PathLike[str]

DEVICES: Final = get_args(Device)
_MAX_SENTENCES: Final = 64


@dataclass(frozen=True)
class Reference:
    """A checkpoint or a recorded trace to compare the directory with.

    Attributes:
        provenance: see `Trace`.
        digests: file name -> SHA-256.
        bits: result of comparing its weights with the directory's.
        dtypes: precisions to compare.
        run: a function that gives its outputs; it runs GluonNLP once.
        plan: of the tensors that both networks have; None for a recorded trace.
        live: the checkpoint and its interpreter; None for a recorded trace.
    """

    provenance: Mapping[str, str]
    digests: Mapping[str, str]
    bits: CheckResult
    dtypes: tuple[str, ...]
    run: Callable[[], Trace]
    plan: Plan | None = None
    live: LiveReference | None = None


@on_this_machine(reference="", target=FILE_NAME)
def verify(
    reference: PathLike,
    target: PathLike,
    *,
    dtype: RunDtype = BOTH,
    atol: float | None = None,
    rtol: float | None = None,
    text: PathLike | None = None,
    seed: int = 0,
    batch: int = BATCH,
    device: Device = "cpu",
    attentions: bool = False,
    gradients: bool = False,
    heads: int | None = None,
    symbol: PathLike | None = None,
    symbol_inputs: Mapping[str, str] | None = None,
    reference_options: ReferenceOptions | None = None,
    mxnet_python: str | None = None,
    gluonnlp: str | None = None,
    timeout: float | None = None,
    progress: Callable[[str], None] = lambda _line: None,
) -> Report:
    """Check a converted directory against its source: names and shapes, bits, behaviour, and the directory as used.

    Gradients are compared too if asked for.

    Args:
        reference: the `.params` file, or an archive or a directory that holds one, which GluonNLP then runs on MXNet;
            or a trace from `record`; or a URL, which is fetched whole.
        target: the directory, or its URL.
        dtype: "float32", "float64" or "both".
        atol: absolute tolerance, in place of the default limits.
        rtol: tolerance relative to the largest value of each output, likewise.
        text: a file of sentences, one a line, to add to the default inputs; the directory needs a tokenizer.
        seed: of the default inputs; a trace brings its own inputs.
        batch: rows of the default inputs.
        device: "cpu" or "cuda", for torch.
        attentions: compare attention probabilities too.
        gradients: compare the gradient of every tensor of the checkpoint too; see `gradients`.
        heads: attention heads, for a size that was never published; by default those of the conversion.
        symbol: the network itself, a `-symbol.json` that was exported from it; MXNet then runs that graph in place of
            GluonNLP's classes.
        symbol_inputs: name of an input of that graph -> "ids", "types", "valid_length" or "masked_positions"; only
            for inputs whose use does not tell.
        reference_options: interpreter, gluonnlp and timeout of the reference's run.
        mxnet_python: see `ReferenceOptions`.
        gluonnlp: see `ReferenceOptions`.
        timeout: see `ReferenceOptions`.
        progress: called with each line of progress.

    Returns:
        A report, true when every check passed.

    Raises:
        BackendError: a framework is missing, or MXNet died.
        FormatError: the reference, the directory or the graph cannot be read, or the graph has an operator that is
            not run.
        MappingError: the graph is not that of the checkpoint.
        OptionError: an option is wrong, or does not go with the reference or the directory.
        InputError: ids or lengths for which the model has no rows.

    Examples:
        With a reference that was recorded on MXNet, which needs torch alone:

        >>> manifest = bort_convert.convert("fixtures/bort_4_8_24_32.params", "out", family="bort", heads=8)
        >>> report = bort_convert.verify("fixtures/traces/bort_4_8_24_32.safetensors", "out", dtype="float64")
        >>> bool(report), [check.name for check in report.checks]
        (True, ['names and shapes', 'bits', 'behaviour', 'as used'])
    """
    start, call = time.perf_counter(), call_text(verify, locals())
    options = (reference_options or ReferenceOptions()).with_keywords(
        mxnet_python=mxnet_python, gluonnlp=gluonnlp, timeout=timeout
    )
    dtypes = dtypes_of(dtype)
    if device not in DEVICES:
        raise OptionError("device", device, f"expected {' or '.join(DEVICES)}")
    reference, directory = source_file(Path(reference)), read_model_dir(target)
    recorded = is_trace(reference)
    if recorded:
        _refuse_for_trace(text=text, gradients=gradients, symbol=symbol)
        against = _recorded(reference, directory, dtypes, all_needed=dtype != BOTH)
    else:
        fit = fit_as_converted(reference, directory.conversion, heads)
        network = network_for(symbol, fit, symbol_inputs, attentions=attentions)
        live = LiveReference(Path(reference), fit, options, progress, directory.cast, network)
        inputs = inputs_for(fit, seed=seed, batch=batch, sentences=_sentences(directory, text, fit))
        inputs = network.inputs_for(inputs) if network else inputs
        if gradients:
            inputs |= shown_by(network, default_cotangents(inputs, fit, attentions=attentions, seed=seed))
        against = _live(live, directory, inputs, dtypes, attentions=attentions)
    shapes = static_checks.names_and_shapes(directory, against.provenance)
    result = _behaviour(against, directory, Limits(atol, rtol), device, progress)
    used = _as_used(against, directory, Limits(atol, rtol), device, progress)
    trained = _gradients(against, directory, device, progress) if gradients else None
    return Report(
        source=Path(reference).name,
        target=Path(target).name,
        checks=(shapes, against.bits, result.check, used, *([trained.check] if trained else [])),
        runs=result.runs,
        per_layer=result.per_layer,
        notes=(*_notes(directory, against, result, recorded=recorded), *(trained.notes if trained else ())),
        versions=result.versions,
        lengths=result.lengths,
        seconds=time.perf_counter() - start,
        peak_mb=peak_mb(),
        digests={**against.digests, **digests_of_files(directory)},
        call=call,
        gradients=trained.runs if trained else (),
    )


def _refuse_for_trace(*, text: PathLike | None, gradients: bool, symbol: PathLike | None) -> None:
    """Refuse options that need the checkpoint."""
    if symbol is not None:
        problem = "a recorded trace has its outputs already; record with `symbol`, or verify with the checkpoint"
        raise OptionError("symbol", symbol, problem)
    if text is not None:
        raise OptionError("text", text, "a recorded trace brings its own inputs; leave `text` out, or record anew")
    if gradients:
        raise OptionError("gradients", gradients, "a recorded trace has none; verify with the checkpoint in its place")


def _notes(directory: ModelDir, against: Reference, result: BehaviourResult, *, recorded: bool) -> tuple[str, ...]:
    return (
        *recorded_note(against.provenance, recorded=recorded),
        *cast_note(directory, recorded=recorded),
        *graph_note(result.provenance),
        *version_note(against.provenance, result.versions),
        *dtype_note(against.dtypes, result.runs),
        *replaced_note(result.provenance, result.runs),
        *own_head_note(directory, result.runs),
        *limit_note(result.runs),
        *result.notes,
    )


def _recorded(path: PathLike, directory: ModelDir, dtypes: Sequence[str], *, all_needed: bool) -> Reference:
    """Load a trace; it has the outputs, and of the weights only the source's SHA-256."""
    trace, name = load_trace(path), Path(path).name
    provenance = trace.provenance
    chosen = chosen_dtypes(trace, dtypes, name, all_needed=all_needed)
    files = {name: sha256_of_file(Path(path)), f"{provenance['source']}, recorded in the trace": provenance["sha256"]}
    return Reference(provenance, files, static_checks.digests(directory, provenance), chosen, lambda: trace)


def _live(
    live: LiveReference, directory: ModelDir, inputs: dict[str, Array], dtypes: tuple[str, ...], *, attentions: bool
) -> Reference:
    """Compare a checkpoint's weights bit for bit; GluonNLP runs when the outputs are needed.

    GluonNLP runs in both precisions whatever was requested: limits follow the difference between them.
    """
    run = cache(partial(run_reference, live, inputs, dtypes=DTYPES, attentions=attentions))
    provenance = provenance_of(live.path, live.fit)
    files = {provenance["source"]: provenance["sha256"]}
    bits = static_checks.bits(directory, live.path, live.fit)
    return Reference(provenance, files, bits, dtypes, run, live.fit.network_plan, live)


def _behaviour(
    against: Reference, directory: ModelDir, limits: Limits, device: str, progress: Callable[[str], None]
) -> BehaviourResult:
    """Run both frameworks; a directory of other sizes fails without a run."""
    if not static_checks.same_sizes(directory, against.provenance):
        detail = "not run: config.json has other sizes than the source"
        return BehaviourResult(CheckResult(BEHAVIOUR, passed=False, detail=detail))
    trace = against.run()
    dtypes = [dtype for dtype in against.dtypes if dtype in trace.outputs]
    if not dtypes:
        release = trace.provenance.get("gluonnlp")
        one, ran = f"gluonnlp {release}" if release else "mxnet", next(iter(trace.outputs))
        raise BackendError(f"{one} computes this network in {ran} alone: choose `dtype={ran!r}`")
    return check_behaviour(trace, directory, dtypes, limits=limits, device=device, progress=progress)


def _as_used(
    against: Reference, directory: ModelDir, limits: Limits, device: str, progress: Callable[[str], None]
) -> CheckResult:
    """Run the stock class on the inputs of the behaviour check; a directory of other sizes fails without a run."""
    if not static_checks.same_sizes(directory, against.provenance):
        return CheckResult(AS_USED, passed=False, detail="not run: config.json has other sizes than the source")
    from bort_convert.verification.as_used import check_as_used  # noqa: PLC0415 - torch is loaded when it is needed

    trace = against.run()
    dtypes = [dtype for dtype in against.dtypes if dtype in trace.outputs]
    return check_as_used(trace, directory, dtypes, limits=limits, device=device, live=against.live, progress=progress)


def _gradients(
    against: Reference, directory: ModelDir, device: str, progress: Callable[[str], None]
) -> GradientsResult:
    """Run both frameworks backwards; a directory of other sizes fails without a run."""
    if against.plan is None or not static_checks.same_sizes(directory, against.provenance):
        detail = "not run: config.json has other sizes than the source"
        return GradientsResult(CheckResult(GRADIENTS, passed=False, detail=detail))
    trace = against.run()
    dtypes = [dtype for dtype in against.dtypes if dtype in trace.outputs]
    return check_gradients(trace, directory, against.plan, dtypes, device=device, progress=progress)


def _sentences(directory: ModelDir, text: PathLike | None, fit: Fit) -> list[list[int]]:
    """Tokenize the lines of a file that are not empty."""
    if text is None:
        return []
    if not directory.has_tokenizer:
        raise OptionError("text", text, f"{directory.path} has no tokenizer.json; add a tokenizer, or leave `text` out")
    try:
        lines = [line for line in Path(text).read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{text}: cannot be read as UTF-8 text: {error}") from error
    if not 1 <= len(lines) <= _MAX_SENTENCES:
        raise InputError(f"{text}: {len(lines):,} lines with text, expected 1 to {_MAX_SENTENCES}")
    from bort_convert.verification.torch_run import encode  # noqa: PLC0415 - torch is loaded when it is needed

    return encode(directory.path, lines, fit.plan.dims.get("max_positions"))
