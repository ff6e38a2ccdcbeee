"""What is fuzzed: functions that take any bytes at all, and raise nothing unless they have found a fault.

A `ConvertError` is how the package refuses an input, so it is no fault; any other exception is one, and so is a result
that contradicts itself. Nothing here needs the fuzzer, so `tests/test_fuzz.py` runs the same functions.
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
from bort_convert.verification.trace import sampled, valid_positions
from bort_convert.verification.trace_file import load_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bort_convert.mapping.fit import Fit
    from bort_convert.params import TensorInfo

Header = dict[str, TensorSpec | None]

# How a header is spelled in bytes: "name US dtype US dims" for each array, RS between them. Names hold anything else.
RECORD, UNIT = "\x1e", "\x1f"
NO_VALUE = "-"  # the dtype of a record without a value
MOST_BYTES = 2**20  # of values: the reader has compared a real header with the bytes of its file


def read_params(data: bytes) -> None:
    """A `.params` file: opened strictly, then leniently, and every array read whole and in pieces."""
    path = _written(data)
    for lenient in (False, True):
        with suppress(ConvertError), open_params(path, allow_trailing=lenient, allow_duplicates=lenient) as file:
            for info in file.header.values():
                _read_array(file, info)
            return


def fit_names(data: bytes) -> None:
    """A header with arbitrary names, dtypes and shapes, fitted to all families and each, with and without `--heads`."""
    header = parse_header(data.decode("utf-8", "replace"))
    if sum(spec.nbytes for spec in header.values() if spec) > MOST_BYTES:
        return
    known = families().values()
    for chosen, heads in product((known, *([family] for family in known)), (None, 1)):
        with suppress(ConvertError):
            _check_fit(fit(header, chosen, heads=heads), header)


def read_trace(data: bytes) -> None:
    """A recorded trace: loaded, and made smaller as `verify --sample` does."""
    with suppress(ConvertError):
        trace = load_trace(_written(data))
        valid = valid_positions(trace)
        if trace.positions is None:
            assert len(valid_positions(sampled(trace, layers=(0,), sample=1))) == min(len(valid), 1)


TARGETS: Mapping[str, Callable[[bytes], None]] = {"reader": read_params, "names": fit_names, "trace": read_trace}


def spell_header(header: Mapping[str, TensorSpec | None]) -> bytes:
    """The bytes that `fit_names` takes for a header."""
    fields = (
        (name, spec.dtype if spec else NO_VALUE, " ".join(map(str, spec.shape)) if spec else "")
        for name, spec in header.items()
    )
    return RECORD.join(UNIT.join(field) for field in fields).encode()


def parse_header(text: str) -> Header:
    """The header that a text spells; what makes no sense in it becomes something that does."""
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
        pieces = file.pieces(info.name)
        data = pieces["data"].tobytes()
        assert len(data) == info.nbytes
        if info.offset is not None:
            assert os.pread(file.fileno(), info.nbytes, info.offset) == data
        array = file[info.name]
        assert (array.shape, array.dtype.name) == (info.shape, info.dtype)


def _check_fit(found: Fit, header: Header) -> None:
    """Every source is taken once and every target made once, with the shape that its operation says."""
    taken = [found.names[name] for step in found.plan.steps for name in step.sources]
    taken += [found.names[alias] for alias, _ in found.plan.aliases]
    assert sorted(taken) == sorted(header)
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
