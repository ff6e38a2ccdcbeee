"""Write a list file, from arrays or from a stream.

Its records are of version 2, which every MXNet from 0.12 to 1.9 loads, or of version 3 for MXNet's NumPy interface. The
two differ in the number of the version alone.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import FormatError, OutputError, printable
from bort_convert.files.streams import FileRange, array_bytes, copy_range, write_all
from bort_convert.lazy_numpy import np
from bort_convert.params.cursor import quoted
from bort_convert.params.info import DTYPES, MAX_DIMENSIONS
from bort_convert.params.listfile import LIST_MAGIC, V2, V3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bort_convert.dtypes import Array

UNREADABLE = ("int16", "uint16", "uint32", "uint64")  # MXNet 1.x knows their flags and refuses the arrays
FLAGS = {dtype: flag for flag, dtype in DTYPES.items() if dtype not in UNREADABLE}
DENSE = 0
CPU = (1, 0)  # device type and number


def save_params(path: str | os.PathLike[str], tensors: Mapping[str, Array] | Sequence[Array]) -> None:
    """Write arrays as `mx.nd.save` does: a mapping with its names, a sequence without names.

    The file appears under its name when it is complete, and replaces an older one.

    Args:
        path: the file to write.
        tensors: float16, float32, float64, bfloat16, int8, int32, int64, uint8 or bool, of 1 to 32 dimensions, any
            byte order and memory layout. Each array is asked for once, and none is kept.

    Raises:
        FormatError: MXNet would not read some arrays back: a 0-d array, another type, a name with a NUL. The message
            names all of them, and no file is written.
        OutputError: the file cannot be written.

    Examples:
        >>> import numpy as np
        >>> bort_convert.save_params("two.params", {"a": np.zeros((2, 3), np.float32), "b": np.arange(4)})
        >>> with bort_convert.open_params("two.params") as params:
        ...     params["b"].tolist()
        [0, 1, 2, 3]
    """
    if isinstance(tensors, np.ndarray | str | bytes):
        raise TypeError(f"tensors is a {type(tensors).__name__}; expected a mapping or a sequence of arrays")
    path = Path(path)
    partial = path.with_name(f".{os.urandom(8).hex()}.part")
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


def write_params(
    path: str | os.PathLike[str],
    specs: Sequence[TensorSpec],
    payload: Callable[[str], FileRange | Iterable[Array]],
    *,
    for_numpy: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Write a file in one pass: no more of a tensor is in memory than `payload` gives at once.

    Args:
        path: the file to write, which must not exist.
        specs: the arrays to write, in this order; the same restrictions as for `save_params`.
        payload: gives the values of a tensor by its name, little-endian and in C order: as a range of an open file to
            copy, or as consecutive arrays of the spec's dtype.
        for_numpy: write version 3 records, as MXNet's NumPy interface does, which in release 1.9 reads no others.
        advance: called after each tensor with its bytes.

    Raises:
        FormatError: MXNet would not read some arrays back; no file is written.
        OutputError: a payload has more or fewer bytes than its spec.
    """
    _refuse(str(path), [line for spec in specs if (line := _problem(spec))])
    with Path(path).open("xb", buffering=0) as file:
        write_all(file.fileno(), struct.pack("<QQQ", LIST_MAGIC, 0, len(specs)))
        for spec in specs:
            write_all(file.fileno(), _record_header(spec, V3 if for_numpy else V2))
            written = _write_values(file.fileno(), payload(spec.name))
            if written != spec.nbytes:
                raise OutputError(
                    f"{printable(spec.name)}: {written:,} bytes were given, expected {spec.nbytes:,} from its shape"
                )
            advance(spec.nbytes)
        write_all(file.fileno(), _names([spec.name for spec in specs]))


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
        spec = TensorSpec(name, array.dtype.name, array.shape)
        if problem := _problem(spec):
            problems.append(problem)
        elif not problems:
            file.write(_record_header(spec))
            values = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            file.write(values.view(np.uint8).data)
    _refuse(label, problems)
    file.write(_names(names))


def _refuse(label: str, problems: Sequence[str]) -> None:
    if problems:
        raise FormatError(f"{label}: " + "\n  ".join(problems))


def _problem(spec: TensorSpec) -> str:
    """Say why MXNet would not read a tensor back; "" if it would."""
    problem = _name_problem(spec.name) or _array_problem(spec)
    return f"tensor {quoted(spec.name)} {problem}" if problem else ""


def _name_problem(name: str) -> str:
    if "\0" in name:
        return "has a NUL in its name; MXNet would cut the name there"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "has half a surrogate pair in its name, which UTF-8 does not have"
    return ""


def _array_problem(spec: TensorSpec) -> str:
    count = len(spec.shape)
    if count == 0:
        return "has no dimensions; no MXNet reads such an array back from a list file. Give it the shape (1,)"
    if count > MAX_DIMENSIONS:
        return f"has {count} dimensions; expected 1 to {MAX_DIMENSIONS}"
    if spec.dtype not in FLAGS:
        return f"is {spec.dtype}, which MXNet 1.x does not read; expected one of {', '.join(FLAGS)}"
    return ""


def _record_header(spec: TensorSpec, version: int = V2) -> bytes:
    """Make the header of a dense record: 24 bytes, and 8 for each dimension."""
    count = len(spec.shape)
    return struct.pack(f"<Iii{count}qiii", version, DENSE, count, *spec.shape, *CPU, FLAGS[spec.dtype])


def _names(names: Sequence[str]) -> bytes:
    """Make the end of a file: the number of names, and each name behind its length."""
    texts = [name.encode() for name in names]
    return b"".join([struct.pack("<Q", len(texts)), *(struct.pack("<Q", len(text)) + text for text in texts)])


def _write_values(target: int, values: FileRange | Iterable[Array]) -> int:
    """Write a tensor's values, and return the number of their bytes."""
    if isinstance(values, FileRange):
        copy_range(values, target)
        return values.size
    size = 0
    for array in values:
        for piece in array_bytes(array):
            write_all(target, piece)
        size += array.nbytes
    return size
