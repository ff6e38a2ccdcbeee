"""Check what a user gets: the model and tokenizer as transformers loads them, with nothing set by us.

The model comes from the `AutoModel...` class that `convert` names, takes no positions, and masks padding by the
tokenizer or by config.json. The reference is that of the behaviour check.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from bort_convert.errors import ParityError
from bort_convert.mapping.family import MODULE_OVERRIDES, stock_differences
from bort_convert.model_dir.config import widest_dtype
from bort_convert.model_dir.remarks import auto_class
from bort_convert.verification import torch_run
from bort_convert.verification.compare import Limit, Run, compare, position_text
from bort_convert.verification.findings import AS_USED, CheckResult
from bort_convert.verification.gluon_tokens import compare_ids
from bort_convert.verification.headline import excess, label
from bort_convert.verification.special_tokens import has_own_tokenizer, token_problems
from bort_convert.verification.torch_modules import Model, first_position, float32_parts, layout_of, shortest_text
from bort_convert.verification.trace import (
    DECODER_IDS,
    FINAL_NORM,
    INPUTS,
    LANGUAGE_MODELS,
    LAYER,
    LOGITS,
    NEXT_SENTENCE,
    NO_ANSWER,
    POOLED,
    REPLACED_LOGITS,
    SENTENCE_ORDER,
    SPAN_LOGITS,
    TAG_LOGITS,
    Trace,
    input_of,
    is_per_token,
    layers_of,
    stack_of,
    stacks_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bort_convert.dtypes import Array, Hyperparameter
    from bort_convert.model_dir.read import ModelDir
    from bort_convert.verification.behaviour import Limits
    from bort_convert.verification.compare import Difference
    from bort_convert.verification.reference import LiveReference

STOCK_FLOAT64: Final = Limit(3e-6, 3e-7)
"""Epsilons are not rounded to float32 as in MXNet (1e-9), and XLNet's class has sinusoids in float32 (1e-6)."""
_KNOWN: Final = "known deviation of the stock class, which lacks"
_NAMES: Final = {
    POOLED: "pooler_output",
    NEXT_SENTENCE: "seq_relationship_logits",
    SENTENCE_ORDER: "sop_logits",
}
_OF_A_ROW: Final = (
    *(*_NAMES.values(), "cls_logits"),
    *(f"{end}_top_{kind}" for end in ("start", "end") for kind in ("log_probs", "index")),
)
"""Outputs of transformers without an axis of tokens, and their names in a trace."""
_INPUTS_OF_ROWS: Final = tuple(name for name in INPUTS if not name.endswith("positions") or name.startswith("masked"))
Tokenizer: TypeAlias = Any
"""A tokenizer as transformers loads it, or None; transformers has no types here."""


def check_as_used(
    trace: Trace,
    directory: ModelDir,
    dtypes: Sequence[str],
    *,
    limits: Limits,
    device: str = "cpu",
    live: LiveReference | None = None,
    progress: Callable[[str], None] = lambda _line: None,
) -> CheckResult:
    """Run the stock class on padded batches and on single texts, and compare special tokens, labels and the tokenizer.

    Args:
        trace: the reference.
        directory: the converted directory.
        dtypes: precisions to compare, all of which the trace has.
        limits: tolerances.
        device: for torch.
        live: the checkpoint, where GluonNLP can tokenize; None for a recorded trace.
        progress: called with each line of progress.
    """
    known, details, problems = [], [], [*label_problems(trace, directory), *dtype_problems(directory)]
    own = directory.has_tokenizer and has_own_tokenizer(directory)
    try:
        tokenizer = torch_run.load_tokenizer(directory.path) if own else None
        problems += token_problems(directory, tokenizer)
        if tokenizer is not None and live is not None:
            summary, found = compare_ids(live, directory, tokenizer)
            details.append(summary)
            problems += found
        elif tokenizer is not None:
            details.append("ids of texts were not compared: a trace has no vocabulary")
        for dtype in dtypes:
            progress(f"torch: as used, in {dtype}")
            summary, deviations, found = _compare_stock(
                trace, directory, tokenizer, dtype, limits=limits, device=device
            )
            known += deviations
            details.append(summary)
            problems += found
    except ParityError as error:
        problems.append(str(error))
    if not own:
        missing = "a tokenizer that no conversion wrote" if directory.has_tokenizer else "no tokenizer"
        details.append(f"{missing}, so neither ids of texts nor special token ids could be compared")
    return CheckResult(AS_USED, not problems, "\n".join(problems or [*known, *details]))


def label_problems(trace: Trace, directory: ModelDir) -> list[str]:
    """Compare the labels that a pipeline gives with those that were asked for, in the order of the outputs."""
    outputs = trace.dims.get("labels")
    if not outputs:
        return []
    asked = directory.conversion.options.get("labels") or [f"LABEL_{number}" for number in range(outputs)]
    known = directory.config.get("id2label")
    found = [known.get(str(number)) if isinstance(known, dict) else None for number in range(outputs)]
    return [
        f"output {number} is called {name!r}, expected {expected!r}"
        for number, (name, expected) in enumerate(zip(found, asked, strict=True))
        if name != expected
    ]


def dtype_problems(directory: ModelDir) -> list[str]:
    """A line if transformers loads the tensors in a dtype that cannot hold their values."""
    stored = {spec.dtype for spec in directory.header.values()}
    loaded = directory.config.get("dtype", directory.config.get("torch_dtype", "float32"))
    if widest_dtype({*stored, str(loaded)}) == loaded:
        return []
    return [f"transformers loads tensors of {' and '.join(sorted(stored))} as {loaded}, by config.json"]


def _compare_stock(
    trace: Trace,
    directory: ModelDir,
    tokenizer: Tokenizer,
    dtype: str,
    *,
    limits: Limits,
    device: str,
) -> tuple[str, list[str], list[str]]:
    """Compare the stock class in one precision: a summary, known deviations, and problems."""
    manifest = directory.conversion
    model = torch_run.load_stock(directory, auto_class(manifest.architecture), dtype, device=device)
    if parts := float32_parts(model):
        return f"{dtype}: not run, because this class computes {parts} in float32", [], []
    rows = _usable_rows(trace, model)
    if not rows:
        reason = "every row holds the padding id, from which this class counts positions, or is too short for it"
        return f"{dtype}: not run, because {reason}", [], []
    part = _rows_of(trace, rows)
    differences = stock_differences(manifest.architecture, manifest.hyperparameters)
    notes = []
    if differences:
        runs = _runs(part, model, tokenizer, dtype, limits)
        worst = max((layer for run in runs.values() for layer in run.layers), key=excess)
        size = worst.problem or f"max |d| {worst.max_abs:.2g}"
        notes = [f"{_KNOWN} {_named(differences)}: {label(worst.name)} {size} ({dtype}); load_pretrained has it"]
        torch_run.apply_module_overrides(model, directory.module_overrides)
    runs = _runs(part, model, tokenizer, dtype, limits)
    compared = [(way, layer) for way, run in runs.items() for layer in run.layers]
    worst = max((layer for _, layer in compared), key=excess)
    count = f"{len(rows)} of {len(trace.inputs['valid_length'])} rows, padded and alone"
    nearest = f"{label(worst.name)} max |d| {worst.max_abs:.2g}, limit {worst.limit:.2g}"
    summary = f"{dtype}: {count}, nearest to its limit {nearest}"
    problems = [f"{way}, {_difference_text(layer)} ({dtype})" for way, layer in compared if not layer.passed]
    return summary, notes, problems


def _named(differences: Mapping[str, Hyperparameter]) -> str:
    return " and ".join(f"{MODULE_OVERRIDES[name]} {value}" for name, value in differences.items())


def _difference_text(layer: Difference) -> str:
    found = f"max |d| {layer.max_abs:.2g} at {position_text(layer.where)}, limit {layer.limit:.2g}"
    return f"{label(layer.name)}: {layer.problem or found}"


def _runs(part: Trace, model: Model, tokenizer: Tokenizer, dtype: str, limits: Limits) -> dict[str, Run]:
    """Differences of a padded batch and of single texts."""
    outputs = {"padded batch": _padded(part, model, tokenizer), "single texts": _single(part, model)}
    atol, rtol = limits.atol, limits.rtol
    found = {}
    for way, arrays in outputs.items():
        named = _by_trace_names(part, arrays)
        reference = replace(
            part,
            outputs={
                key: {name: values for name, values in known.items() if name in named}
                for key, known in part.outputs.items()
            },
        )
        (run,) = compare(reference, {dtype: named}, atol=atol, rtol=rtol)
        if dtype == "float64" and atol is None and rtol is None:
            floors = compare(reference, {"float32": named})[0].layers if "float32" in part.outputs else ()
            noise = max((layer.floors.get("mxnet", 0.0) for layer in floors), default=0.0)
            layers = [replace(one, limit=max(STOCK_FLOAT64.at(one.largest), noise)) for one in run.layers]
            run = Run(dtype, tuple(layers))
        found[way] = run
    return found


def _usable_rows(trace: Trace, model: Model) -> list[int]:
    """Rows to compare: all, but for a class that counts positions from behind the padding id those without it.

    A class that searches for the best answers needs as many tokens as answers.
    """
    ids, lengths = trace.inputs["input_ids"], trace.inputs["valid_length"]
    first, shortest = first_position(model), shortest_text(model)
    return [
        row
        for row, length in enumerate(lengths)
        if length >= shortest and not (first and first - 1 in ids[row, :length])
    ]


def _rows_of(trace: Trace, rows: Sequence[int]) -> Trace:
    """A trace of some of the rows."""
    inputs = {name: values[list(rows)] for name, values in trace.inputs.items() if name in _INPUTS_OF_ROWS}
    kept: dict[str, Array | list[int]] = {stack: list(rows) for stack in stacks_of(trace.inputs)}
    for stack in kept:
        positions = trace.inputs.get(name := input_of(stack, "positions"))
        if positions is not None:
            kept[stack] = np.isin(positions[:, 0], rows)
            batch, token = positions[kept[stack]].T
            inputs[name] = np.stack([np.searchsorted(rows, batch), token], axis=1)
    outputs = {
        dtype: {
            name: values[kept[stack_of(name, inputs)] if is_per_token(name) else list(rows)]
            for name, values in found.items()
        }
        for dtype, found in trace.outputs.items()
    }
    return replace(trace, inputs=inputs, outputs=outputs)


def _padded(part: Trace, model: Model, tokenizer: Tokenizer) -> dict[str, Array]:
    """Outputs of all rows in one batch, padded and masked by the tokenizer, or by the padding id of config.json."""
    ids, lengths = part.inputs["input_ids"], part.inputs["valid_length"]
    valid = np.arange(ids.shape[1]) < lengths[:, None]
    pad = getattr(model.config, "pad_token_id", None)
    filled = np.where(valid, ids, 0 if pad is None else pad)
    if tokenizer is not None and tokenizer.pad_token_id is not None:
        rows = [row[:length].tolist() for row, length in zip(ids, lengths, strict=True)]
        # The reference has its padding behind the texts; an XLNet's tokenizer would put it in front.
        shape = {"padding": "max_length", "max_length": ids.shape[1], "padding_side": "right"}
        filled = tokenizer.pad({"input_ids": rows}, return_tensors="np", **shape)["input_ids"]
    inputs = {"input_ids": filled, "attention_mask": valid.astype(np.int64)}
    if DECODER_IDS in part.inputs:  # a decoder's tokens do not see the padding behind them
        inputs[DECODER_IDS] = part.inputs[DECODER_IDS]
    if pad is not None:
        by_config = filled != pad
        clean = [pad not in row[:length] for row, length in zip(ids, lengths, strict=True)]
        inputs["attention_mask"] = np.where(np.array(clean)[:, None], by_config, valid).astype(np.int64)
    if "token_types" in part.inputs:
        inputs["token_type_ids"] = part.inputs["token_types"]
    if NO_ANSWER in next(iter(part.outputs.values())):
        inputs |= {"cls_index": lengths - 1, "p_mask": (~valid).astype(np.float32)}
    return torch_run.call_stock(model, inputs)


def _single(part: Trace, model: Model) -> dict[str, Array]:
    """Outputs of each row alone, put into one batch: without its padding and a mask, unless the model reads padding."""
    ids, lengths = part.inputs["input_ids"], part.inputs["valid_length"]
    found: list[dict[str, Array]] = []
    reads_padding = layout_of(model).reads_padding
    for row, valid in enumerate(lengths):
        length = ids.shape[1] if reads_padding else valid
        inputs = {"input_ids": ids[row : row + 1, :length]}
        if reads_padding:
            inputs["attention_mask"] = (np.arange(length) < valid)[None].astype(np.int64)
        if "token_types" in part.inputs:
            inputs["token_type_ids"] = part.inputs["token_types"][row : row + 1, :length]
        if DECODER_IDS in part.inputs:
            read = part.inputs["decoder_valid_length"][row]
            inputs[DECODER_IDS] = part.inputs[DECODER_IDS][row : row + 1, :read]
        found.append(torch_run.call_stock(model, inputs))
    of_a_row = {*_OF_A_ROW, *(["logits"] if LOGITS in next(iter(part.outputs.values())) else [])}
    rows = {name: [arrays[name][0] for arrays in found] for name in found[0]}
    return {name: np.stack(each) if name in of_a_row else _in_one_batch(each) for name, each in rows.items()}


def _in_one_batch(rows: Sequence[Array]) -> Array:
    """Rows of different lengths as one array, with zeros behind each."""
    batch = np.zeros((len(rows), max(map(len, rows)), *rows[0].shape[1:]), rows[0].dtype)
    for number, row in enumerate(rows):
        batch[number, : len(row)] = row
    return batch


def _by_trace_names(part: Trace, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs of a transformers model by the names of the trace; those that it has not are left out."""
    known = next(iter(part.outputs.values()))
    named: dict[str, Array | None] = {}
    for stack in stacks_of(part.inputs):
        norm, layer = f"{stack}{FINAL_NORM}", f"{stack}{LAYER}.{layers_of(stack, part.dims) - 1}"
        named[norm if norm in known else layer] = arrays[f"{stack}last_hidden"]
    named |= {name: arrays.get(key) for name, key in _NAMES.items()}
    language = arrays.get("prediction_logits", arrays.get("logits"))
    for name in LANGUAGE_MODELS:
        if name in known and language is not None:
            masked = part.inputs["masked_positions"]
            named[name] = language[np.arange(len(masked))[:, None], masked]
    for name in (LOGITS, TAG_LOGITS, REPLACED_LOGITS):
        if name in known:
            named[name] = arrays.get("logits")
    if "cls_logits" in arrays:
        named[NO_ANSWER] = arrays["cls_logits"][:, None]
    if "start_logits" in arrays:
        named[SPAN_LOGITS] = np.stack([arrays["start_logits"], arrays["end_logits"]], axis=-1)
    return {name: values for name, values in named.items() if values is not None and name in known}
