"""Targets of the fuzzer: functions that take any bytes, and raise only if they find a fault.

The package refuses an input with a `ConvertError`, which is no fault. Any other exception is a fault, and so is a
result that contradicts itself. `tests/test_fuzz.py` runs the same functions without the fuzzer.
"""

from __future__ import annotations

import functools
import json
import math
import os
import tempfile
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import ConvertError
from bort_convert.mapping.fit import fit
from bort_convert.models.registry import families
from bort_convert.params import ParamsFile, open_params
from bort_convert.params.info import DTYPES
from bort_convert.verification.trace import input_of, sampled, stacks_of, valid_positions
from bort_convert.verification.trace_file import load_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bort_convert.mapping.fit import Fit
    from bort_convert.params import TensorInfo

Header = dict[str, TensorSpec | None]

# A header as bytes: "name US dtype US dims" for each array, RS between them. Names hold any other character.
RECORD, UNIT = "\x1e", "\x1f"
NO_VALUE = "-"  # the dtype of a record without a value
MOST_BYTES = 2**20  # bytes of values: the reader has compared a real header with the bytes of its file


def read_params(data: bytes) -> None:
    """Open a `.params` file, strictly and then leniently, and read every array, and every stored array."""
    path = _written(data)
    for lenient in (False, True):
        with suppress(ConvertError), open_params(path, allow_trailing=lenient, allow_duplicates=lenient) as file:
            for info in file.header.values():
                _read_array(file, info)
            return


def fit_names(data: bytes) -> None:
    """Fit a header of any names, dtypes and shapes to all families and to each, with and without `heads`."""
    header = parse_header(data.decode("utf-8", "replace"))
    if sum(spec.nbytes for spec in header.values() if spec) > MOST_BYTES:
        return
    known = families().values()
    for chosen, heads in product((known, *([family] for family in known)), (None, 1)):
        with suppress(ConvertError):
            _check_fit(fit(header, chosen, heads=heads), header)


def read_trace(data: bytes) -> None:
    """Load a recorded trace, and sample it as `verify` does."""
    with suppress(ConvertError):
        trace = load_trace(_written(data))
        stacks = stacks_of(trace.inputs)
        if not any(input_of(stack, "positions") in trace.inputs for stack in stacks):
            chosen = sampled(trace, layers=(0,), sample=1)
            for stack in stacks:
                valid, kept = (valid_positions(each.inputs, stack) for each in (trace, chosen))
                assert len(kept) == min(len(valid), 1)


TARGETS: Mapping[str, Callable[[bytes], None]] = {"reader": read_params, "names": fit_names, "trace": read_trace}


def header_text(header: Mapping[str, TensorSpec | None]) -> bytes:
    """Write a header as the bytes that `fit_names` takes."""
    fields = (
        (name, spec.dtype if spec else NO_VALUE, " ".join(map(str, spec.shape)) if spec else "")
        for name, spec in header.items()
    )
    return RECORD.join(UNIT.join(field) for field in fields).encode()


def parse_header(text: str) -> Header:
    """Parse the header in a text; replace parts that make no sense by some that do."""
    header: Header = {}
    for part in text.split(RECORD):
        name, dtype, sizes, *_ = (*part.split(UNIT), "", "")
        shape = tuple(int(size[:18]) for size in sizes.split()[:32] if size.isascii() and size.isdecimal())
        known = dtype if dtype in DTYPES.values() else "float32"
        header[name] = None if dtype == NO_VALUE else TensorSpec(name, known, shape)
    return header


def _read_array(file: ParamsFile, info: TensorInfo) -> None:
    if info.storage == "none":
        assert info.name not in file
        return
    with suppress(ConvertError):
        data = file.pieces(info.name)["data"].tobytes()
        assert len(data) == info.nbytes
        if info.offset is not None:
            assert os.pread(file.fileno(), info.nbytes, info.offset) == data
        array = file[info.name]
        assert (array.shape, array.dtype.name) == (info.shape, info.dtype)


def _check_fit(found: Fit, header: Header) -> None:
    """Check that every tensor is used once and every target made once, with the shape that its operation infers."""
    used = [found.names[name] for step in found.plan.steps for name in step.sources]
    used += [found.names[alias] for alias, _ in found.plan.aliases]
    assert sorted([*used, *found.extra, *found.ignored]) == sorted(header)
    made = [spec.name for step in found.plan.steps for spec in step.targets]
    assert len(made) == len(set(made))
    for step in found.plan.steps:
        sources = [header[found.names[name]] for name in step.sources]
        shapes = step.op.target_shapes(*(spec.shape for spec in sources if spec))
        assert shapes == tuple(spec.shape for spec in step.targets)
        assert step.copied <= (sum(map(math.prod, shapes)) == sum(math.prod(spec.shape) for spec in sources if spec))
    json.dumps(found.config)


def _written(data: bytes) -> Path:
    path = Path(_scratch().name) / "input"
    path.unlink(missing_ok=True)  # a new file each time: views of an older one may still be alive
    path.write_bytes(data)
    return path


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()
