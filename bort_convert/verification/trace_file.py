"""Save, load and validate a trace as a safetensors file.

An input is the tensor `inputs/NAME`, an output `DTYPE/NAME`, and the provenance is the metadata. Version 1 of the
format, written by bort_convert 0.1, has other names of axes and hyperparameters; it is read for one release.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from bort_convert.errors import FormatError, printable
from bort_convert.mapping.axes import current_names
from bort_convert.safetensors import open_tensors, save_tensors
from bort_convert.verification.trace import (
    DECODER_IDS,
    DTYPES,
    INPUTS,
    Trace,
    input_of,
    is_output,
    output_order,
    output_shape,
    stacks_of,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from bort_convert.dtypes import Array

_VERSION_KEY: Final = "bort_convert_trace"
_VERSION: Final = "2"
_OLD_VERSION: Final = "1"
_STRINGS: Final = ("source", "sha256", "family", "architecture")
_AXES_OF_INPUTS: Final = {name: 1 if name.endswith("valid_length") else 2 for name in INPUTS}
_DIMS: Final = ("vocab_size", "hidden_size", "layers")
_OPTIONAL_DIMS: Final = ("max_positions", "labels")


def save_trace(path: str | os.PathLike[str], trace: Trace) -> None:
    """Write a trace to a file that must not exist."""
    tensors = {f"inputs/{name}": array for name, array in trace.inputs.items()}
    for dtype, arrays in trace.outputs.items():
        tensors |= {f"{dtype}/{name}": array for name, array in arrays.items()}
    save_tensors(path, tensors, {_VERSION_KEY: _VERSION, **trace.provenance})


def load_trace(path: str | os.PathLike[str]) -> Trace:
    """Read a trace and check its contents.

    Raises:
        FormatError: the file is no safetensors file or no trace; the message names the tensor, and what was expected.
    """
    with open_tensors(path) as file:
        provenance = dict(file.metadata)
        version = provenance.pop(_VERSION_KEY, None)
        if version not in {_VERSION, _OLD_VERSION}:
            raise FormatError(
                f"{path}: __metadata__ has no {_VERSION_KEY} {_OLD_VERSION} or {_VERSION}: not a trace of a known "
                "version. Record one with bort_convert.record"
            )
        inputs, outputs = _grouped(path, file.items())
    if version == _OLD_VERSION:
        provenance = _with_current_names(provenance)
    trace = Trace(inputs, outputs, provenance)
    if problem := first_problem(trace):
        raise FormatError(f"{path}: {printable(problem, 400)}")
    return trace


def is_trace(path: str | os.PathLike[str]) -> bool:
    """True if a file starts as safetensors does: a length, then a JSON object. A `.params` file never does.

    Raises:
        FormatError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from error


def first_problem(trace: Trace) -> str:
    """The first fault of a trace, in an order in which each check relies on those before; "" for none."""
    return _provenance_problem(trace) or _input_problem(trace) or _range_problem(trace) or _output_problem(trace)


def _grouped(
    path: str | os.PathLike[str], tensors: Iterable[tuple[str, Array]]
) -> tuple[dict[str, Array], dict[str, dict[str, Array]]]:
    """Tensors of a file as inputs by name, and outputs by dtype and name in the order of a forward pass."""
    inputs: dict[str, Array] = {}
    outputs: dict[str, dict[str, Array]] = {}
    for name, array in tensors:
        group, _, rest = name.partition("/")
        if group == "inputs" and rest in INPUTS:
            inputs[rest] = array
        elif group in DTYPES and is_output(rest):
            outputs.setdefault(group, {})[rest] = array
        else:
            expected = " or ".join(f"{group}/..." for group in ("inputs", *DTYPES))
            raise FormatError(f"{path}: '{printable(name)}' is no part of a trace; expected {expected}")
    ordered: dict[str, dict[str, Array]] = {
        dtype: {name: outputs[dtype][name] for name in sorted(outputs[dtype], key=output_order)}
        for dtype in DTYPES
        if dtype in outputs
    }
    return inputs, ordered


def _with_current_names(provenance: Mapping[str, str]) -> dict[str, str]:
    """The provenance of version 1 with today's names: `facts` are hyperparameters, `units` is hidden_size.

    Text that is no JSON object stays as it is; `first_problem` reports it.
    """
    current = {"hyperparameters" if key == "facts" else key: text for key, text in provenance.items()}
    for key in {"dims", "hyperparameters"} & current.keys():
        try:
            values = json.loads(current[key])
        except (ValueError, RecursionError):
            continue
        if isinstance(values, dict):
            current[key] = json.dumps(current_names(values), sort_keys=True)
    return current


def _provenance_problem(trace: Trace) -> str:
    if missing := [name for name in _STRINGS if name not in trace.provenance]:
        return f"the provenance has no {', '.join(missing)}"
    if odd := [key for key, text in trace.provenance.items() if not (key + text).isprintable()]:
        return f"the provenance has {odd[0]!r}, which holds characters that are not printable"
    try:
        dims, _, _ = trace.dims, trace.hyperparameters, trace.config
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        return f"the provenance has no dims, hyperparameters and config as JSON objects: {error!r}"
    sizes = {name: dims.get(name) for name in _DIMS} | {name: dims.get(name, 1) for name in _OPTIONAL_DIMS}
    sizes["attention_heads"] = trace.attention_heads
    wrong = [f"{name} is {size!r}" for name, size in sizes.items() if type(size) is not int or size < 1]
    return f"{', '.join(wrong)}; expected a natural number" if wrong else ""


def _input_problem(trace: Trace) -> str:
    inputs = trace.inputs
    two_stacks = any(name.startswith("decoder_") for name in inputs)
    needed = {"input_ids", "valid_length", *((DECODER_IDS, "decoder_valid_length") if two_stacks else ())}
    for name, axes in _AXES_OF_INPUTS.items():
        array = inputs.get(name)
        if array is None and name in needed:
            return f"inputs/{name} is missing"
        if array is not None and (array.dtype != np.int64 or array.ndim != axes):
            return f"inputs/{name} is {array.dtype} with {array.ndim} axes, expected int64 with {axes}"
    batch, source_length = inputs["input_ids"].shape
    for stack in stacks_of(inputs):
        name = input_of(stack, "input_ids")
        length = inputs[name].shape[1]
        if length > (positions := trace.dims.get("max_positions", length)):
            return f"inputs/{name} has rows of {length}, the model has {positions} positions"
    shapes: dict[str, tuple[int, ...]] = {"valid_length": (batch,), "token_types": (batch, source_length)}
    shapes |= {DECODER_IDS: (batch, -1), "decoder_valid_length": (batch,), "masked_positions": (batch, -1)}
    for name, shape in {**shapes, "positions": (-1, 2), "decoder_positions": (-1, 2)}.items():
        found = inputs.get(name)
        if found is not None and any(want not in (size, -1) for size, want in zip(found.shape, shape, strict=True)):
            return f"inputs/{name} has shape {found.shape}, expected {shape} from input_ids"
    return ""


def _range_problem(trace: Trace) -> str:
    inputs, dims = trace.inputs, trace.dims
    found = (
        problem for stack in stacks_of(inputs) if (problem := _range_problem_of(stack, inputs, dims["vocab_size"]))
    )
    if problem := next(found, ""):
        return problem
    types, masked = inputs.get("token_types"), inputs.get("masked_positions")
    if types is not None:
        problem = _outside("token_types", types, 0, dims.get("type_vocab_size", 1) - 1, "the model")
    if masked is not None:
        read = stacks_of(inputs)[-1]
        last = inputs[input_of(read, "valid_length")][:, None] - 1
        problem = problem or _outside("masked_positions", masked, 0, last, input_of(read, "valid_length"))
    return problem


def _range_problem_of(stack: str, inputs: Mapping[str, Array], vocab_size: int) -> str:
    """The first problem with the ids, the lengths or the sampled positions of a stack."""
    names = [input_of(stack, name) for name in ("input_ids", "valid_length", "positions")]
    ids, lengths, positions = (inputs.get(name) for name in names)
    assert ids is not None
    assert lengths is not None
    problem = _outside(names[0], ids, 0, vocab_size - 1, "the vocabulary")
    problem = problem or _outside(names[1], lengths, 1, ids.shape[1], "the rows")
    if not problem and positions is not None:
        problem = _outside(names[2], positions[:, 0], 0, len(lengths) - 1, "the batch")
        problem = problem or _outside(names[2], positions[:, 1], 0, lengths[positions[:, 0]] - 1, names[1])
    return problem


def _outside(name: str, values: Array, first: int, last: Array | int, source: str) -> str:
    outside = values[(values < first) | (values > last)]
    return f"inputs/{name} holds {outside[0]}, outside the range that {source} allows" if outside.size else ""


def _output_problem(trace: Trace) -> str:
    if not trace.outputs:
        return "there are no outputs"
    for dtype, arrays in trace.outputs.items():
        for name, array in arrays.items():
            expected = output_shape(name, trace.inputs, trace.dims, trace.attention_heads)
            if array.dtype != dtype or array.shape != expected:
                return f"{dtype}/{name} is {array.dtype} {array.shape}, expected {dtype} {expected}"
    return ""
