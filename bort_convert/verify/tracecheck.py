"""Whether what a file holds is a trace: every input and output there, of the right dtype and shape, and in range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from bort_convert.dtypes import Array
    from bort_convert.verify.trace import Trace

_INPUTS: Final = {"input_ids": 2, "valid_length": 1, "token_types": 2, "masked_positions": 2, "positions": 2}
_DIMS: Final = ("vocab", "units", "layers")
_OPTIONAL: Final = ("positions", "labels")
_STRINGS: Final = ("source", "sha256", "family", "architecture")


def first_problem(trace: Trace) -> str:
    """The first thing that is wrong with a trace, in the order in which one rests on the other; "" for none."""
    return _provenance_problem(trace) or _dtype_problem(trace) or _range_problem(trace) or _output_problem(trace)


def _provenance_problem(trace: Trace) -> str:
    if missing := [name for name in _STRINGS if name not in trace.provenance]:
        return f"the provenance has no {', '.join(missing)}"
    if odd := [key for key, text in trace.provenance.items() if not (key + text).isprintable()]:
        return f"the provenance has {odd[0]!r}, which holds characters that are not printable"
    try:
        dims, facts, _ = (trace.fact(name) for name in ("dims", "facts", "config"))
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        return f"the provenance has no dims, facts and config as JSON objects: {error!r}"
    sizes = {name: dims.get(name) for name in _DIMS} | {name: dims.get(name, 1) for name in _OPTIONAL}
    sizes["heads"] = facts.get("heads", dims.get("heads"))
    wrong = [f"{name} is {size!r}" for name, size in sizes.items() if type(size) is not int or size < 1]
    return f"{', '.join(wrong)}; expected a natural number" if wrong else ""


def _dtype_problem(trace: Trace) -> str:
    for name, axes in _INPUTS.items():
        array = trace.inputs.get(name)
        if array is None and name in {"input_ids", "valid_length"}:
            return f"inputs/{name} is missing"
        if array is not None and (array.dtype != np.int64 or array.ndim != axes):
            return f"inputs/{name} is {array.dtype} with {array.ndim} axes, expected int64 with {axes}"
    batch, length = trace.inputs["input_ids"].shape
    if length > (positions := trace.fact("dims").get("positions", length)):
        return f"inputs/input_ids has rows of {length}, the model has {positions} positions"
    shapes: dict[str, tuple[int, ...]] = {"valid_length": (batch,), "token_types": (batch, length)}
    for name, shape in {**shapes, "masked_positions": (batch, -1), "positions": (-1, 2)}.items():
        found = trace.inputs.get(name)
        if found is not None and any(want not in (size, -1) for size, want in zip(found.shape, shape, strict=True)):
            return f"inputs/{name} has shape {found.shape}, expected {shape} from input_ids"
    return ""


def _range_problem(trace: Trace) -> str:
    ids, lengths = trace.inputs["input_ids"], trace.inputs["valid_length"]
    problem = _outside("input_ids", ids, 0, trace.fact("dims")["vocab"] - 1, "the vocabulary")
    problem = problem or _outside("valid_length", lengths, 1, ids.shape[1], "the rows")
    if problem:
        return problem
    types, masked, positions = trace.inputs.get("token_types"), trace.inputs.get("masked_positions"), trace.positions
    if types is not None:
        problem = _outside("token_types", types, 0, trace.fact("dims").get("types", 1) - 1, "the model")
    if masked is not None:
        problem = problem or _outside("masked_positions", masked, 0, lengths[:, None] - 1, "valid_length")
    if positions is not None:
        problem = problem or _outside("positions", positions[:, 0], 0, len(lengths) - 1, "the batch")
        problem = problem or _outside("positions", positions[:, 1], 0, lengths[positions[:, 0]] - 1, "valid_length")
    return problem


def _outside(name: str, values: Array, first: int, last: Array | int, source: str) -> str:
    outside = values[(values < first) | (values > last)]
    return f"inputs/{name} holds {outside[0]}, outside the range that {source} allows" if outside.size else ""


def _output_problem(trace: Trace) -> str:
    if not trace.outputs:
        return "there are no outputs"
    for dtype, arrays in trace.outputs.items():
        for name, array in arrays.items():
            expected = _shape(trace, name)
            if array.dtype != dtype or array.shape != expected:
                return f"{dtype}/{name} is {array.dtype} {array.shape}, expected {dtype} {expected}"
    return ""


def _shape(trace: Trace, name: str) -> tuple[int, ...]:
    """The shape that an output has by the trace's inputs and dims."""
    dims = trace.fact("dims")
    batch, length = trace.inputs["input_ids"].shape
    heads = {"logits": (batch, dims.get("labels", 0)), "pooled": (batch, dims["units"]), "next_sentence": (batch, 2)}
    if name in heads:
        return heads[name]
    if name in {"mlm_logits", "lm_logits"}:
        masked = trace.inputs.get("masked_positions")
        return batch, 0 if masked is None else masked.shape[1], dims["vocab"]
    rows = (batch, length) if trace.positions is None else (len(trace.positions),)
    if name.startswith("attention."):
        return *rows, trace.fact("facts").get("heads", dims.get("heads")), length
    return *rows, 2 if name == "span_logits" else dims["units"]
