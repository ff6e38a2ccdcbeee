"""Writing a list file of version 2 records, which every MXNet from 0.12 to 1.9 loads."""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from bort_convert.errors import FormatError, OutputError
from bort_convert.params.cursor import shown
from bort_convert.params.info import DTYPES, MAX_DIMENSIONS
from bort_convert.params.listfile import LIST_MAGIC, V2

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bort_convert.dtypes import Array

UNREADABLE = ("int16", "uint16", "uint32", "uint64")  # MXNet 1.x has the numbers, but refuses them
FLAGS = {dtype: flag for flag, dtype in DTYPES.items() if dtype not in UNREADABLE}
DENSE = 0
CPU = (1, 0)  # device type and number


def save_params(path: str | os.PathLike[str], tensors: Mapping[str, Array] | Sequence[Array]) -> None:
    """Writes arrays as `mx.nd.save` does: a mapping with its names, a sequence without names.

    The file appears under its name when it is complete; an older one is replaced.

    Args:
        path: of the file to write.
        tensors: float16, float32, float64, bfloat16, int8, int32, int64, uint8 or bool, of 1 to 32 dimensions, any
            byte order and memory layout. Each is asked for once, and none is kept.

    Raises:
        FormatError: something that MXNet would not read back: a 0-d array, another type, a name with a NUL. All such
            are reported at once, and no file is written.
        OutputError: the file cannot be written.
    """
    if isinstance(tensors, np.ndarray | str | bytes):
        raise TypeError(f"tensors is a {type(tensors).__name__}; expected a mapping or a sequence of arrays")
    path = Path(path)
    partial = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        try:
            with partial.open("xb") as file:
                _write(file, tensors, str(path))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error


def _write(file: IO[bytes], tensors: Mapping[str, Array] | Sequence[Array], label: str) -> None:
    items: Iterable[tuple[str, Array]]
    if isinstance(tensors, Mapping):
        items, names = tensors.items(), list(tensors)
    else:
        items, names = ((str(number), array) for number, array in enumerate(tensors)), []
    file.write(struct.pack("<QQQ", LIST_MAGIC, 0, len(tensors)))
    problems = []
    for name, value in items:
        array = np.asarray(value)
        if problem := _name_problem(name) or _array_problem(array):
            problems.append(f"tensor {shown(name)} {problem}")
        elif not problems:
            _write_record(file, array)
    if problems:
        raise FormatError(f"{label}: " + "\n  ".join(problems))
    file.write(struct.pack("<Q", len(names)))
    for name in names:
        text = name.encode()
        file.write(struct.pack("<Q", len(text)) + text)


def _name_problem(name: str) -> str | None:
    if "\0" in name:
        return "has a NUL in its name; MXNet would cut the name there"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "has half a surrogate pair in its name, which UTF-8 does not have"
    return None


def _array_problem(array: Array) -> str | None:
    if array.ndim == 0:
        return "has no dimensions; no MXNet reads such an array back from a list file. Give it the shape (1,)"
    if array.ndim > MAX_DIMENSIONS:
        return f"has {array.ndim} dimensions; expected 1 to {MAX_DIMENSIONS}"
    if array.dtype.name not in FLAGS:
        return f"is {array.dtype.name}, which MXNet 1.x does not read; expected one of {', '.join(FLAGS)}"
    return None


def _write_record(file: IO[bytes], array: Array) -> None:
    """One dense record: 24 bytes, 8 for each dimension, then the values, little-endian in C order."""
    file.write(struct.pack(f"<Iii{array.ndim}q", V2, DENSE, array.ndim, *array.shape))
    file.write(struct.pack("<iii", *CPU, FLAGS[array.dtype.name]))
    values = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    file.write(values.reshape(-1).view(np.uint8).data)
