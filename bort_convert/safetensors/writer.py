"""Write safetensors files in one pass: the header, then tensor after tensor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.dtypes import ITEMSIZES, TensorSpec
from bort_convert.errors import OutputError
from bort_convert.files.streams import FileRange, array_bytes, copy_range, write_all
from bort_convert.safetensors.header import header_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bort_convert.dtypes import Array
    from bort_convert.files.streams import Payload


def write_tensors(
    path: str | os.PathLike[str],
    specs: Sequence[TensorSpec],
    payload: Payload,
    *,
    metadata: Mapping[str, str] | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, int]:
    """Write a file in one pass; the caller has the system store it (`fsync`).

    Tensors are sorted by decreasing size of their elements, then by name, as the safetensors library does: every tensor
    is aligned, and the same tensors give the same file.

    Args:
        path: the file to write, which must not exist.
        specs: the tensors to write, in any order.
        payload: gives the values of a tensor by its name: as a range of an open file or bytes, to write unchanged, or
            as consecutive arrays of the spec's dtype.
        metadata: strings for the header's `__metadata__`.
        advance: called after each tensor with its bytes.

    Returns:
        The byte of the file at which each tensor's values begin.

    Raises:
        OutputError: a name is reserved by the format or comes twice, or a payload does not match its spec.
    """
    order = sorted(specs, key=lambda spec: (-ITEMSIZES[spec.dtype], spec.name))
    header = header_bytes(order, metadata or {})
    begins, position = {}, len(header)
    with Path(path).open("xb", buffering=0) as file:
        write_all(file.fileno(), header)
        for spec in order:
            begins[spec.name], position = position, position + spec.nbytes
            values = payload(spec.name)
            if isinstance(values, FileRange):
                _check_size(spec, values.size)
                copy_range(values, file.fileno())
            elif isinstance(values, bytes):
                _check_size(spec, len(values))
                write_all(file.fileno(), values)
            else:
                _write_arrays(file.fileno(), spec, values)
            advance(spec.nbytes)
    return begins


def save_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write arrays in memory, with metadata, to a file that must not exist."""
    specs = [TensorSpec(name, array.dtype.name, array.shape) for name, array in tensors.items()]
    write_tensors(path, specs, lambda name: [tensors[name]], metadata=metadata)


def _write_arrays(target: int, spec: TensorSpec, arrays: Iterable[Array]) -> None:
    size = 0
    for array in arrays:
        if array.dtype.name != spec.dtype:
            raise OutputError(f"{spec.name}: {array.dtype} was given, expected {spec.dtype}")
        for piece in array_bytes(array):
            write_all(target, piece)
        size += array.nbytes
    _check_size(spec, size)


def _check_size(spec: TensorSpec, size: int) -> None:
    if size != spec.nbytes:
        raise OutputError(f"{spec.name}: {size:,} bytes were given, expected {spec.nbytes:,} from its shape")
