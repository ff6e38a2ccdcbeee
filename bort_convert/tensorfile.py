"""The safetensors format: a writer that streams behind a header written first, and a lazy reader.

A file is an unsigned 64-bit little-endian length N, N bytes of JSON, and the tensors' bytes without holes. The JSON
maps each name to `{"dtype": "F32", "shape": [...], "data_offsets": [begin, end]}`, offsets counted from the end of the
header; the key `__metadata__` maps strings to strings. All sizes are known before the first byte of data, so the
header goes first and nothing has to be held or rewritten.

Source: huggingface/safetensors, README.md, "Format".
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from bort_convert.dtypes import Array, TensorSpec, itemsize, numpy_dtype
from bort_convert.errors import FormatError, OutputError, printable
from bort_convert.streams import PIECE, FileRange, copy_range, read_into, write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType

    from typing_extensions import Self

CODES: Final = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "float16": "F16", "bfloat16": "BF16",
    "int32": "I32", "uint32": "U32", "float32": "F32", "float64": "F64", "int64": "I64", "uint64": "U64",
}  # fmt: skip
_NAMES: Final = {code: name for name, code in CODES.items()}
_MAX_HEADER: Final = 4 << 20  # 30,000 tensors; Python's objects for JSON take some 20 times its bytes
_MAX_DIMENSIONS: Final = 32  # NumPy 1 has no more
_TOO_LARGE: Final = 2**63
_LONGEST: Final = 300  # characters of a message that a file's own text may fill
_METADATA: Final = "__metadata__"


def write_tensors(
    path: str | os.PathLike[str],
    specs: Sequence[TensorSpec],
    payload: Callable[[str], FileRange | Iterable[Array]],
    *,
    metadata: Mapping[str, str] | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, str]:
    """Write a file in one pass, and give the SHA-256 of every tensor that was written from an array, by name.

    What was copied from a file is not read for that: see `digests.sha256_of`.

    Larger elements come first, then names in order, as the safetensors library has it: every tensor is aligned, and
    the same tensors give the same file.

    Args:
        path: the file, which must not exist.
        specs: what to write, in any order.
        payload: the values of a name: a range of an open file, copied as it is, or arrays of the spec's dtype that hold
            the values one after the other.
        metadata: for the header's `__metadata__`.
        advance: told after each tensor how many bytes it had.

    Raises:
        OutputError: a name is taken by the format or comes twice, or a payload does not match its spec.
    """
    order = sorted(specs, key=lambda spec: (-itemsize(spec.dtype), spec.name))
    digests: dict[str, str] = {}
    with Path(path).open("xb", buffering=0) as file:
        write_all(file.fileno(), _header(order, metadata or {}))
        for spec in order:
            values = payload(spec.name)
            if isinstance(values, FileRange):
                _check_size(spec, values.size)
                copy_range(values, file.fileno())
            else:
                digests[spec.name] = _write_arrays(file.fileno(), spec, values)
            advance(spec.nbytes)
        os.fsync(file.fileno())
    return digests


def save_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write arrays that are in memory, with their metadata, to a file that must not exist."""
    specs = [TensorSpec(name, array.dtype.name, array.shape) for name, array in tensors.items()]
    write_tensors(path, specs, lambda name: [tensors[name]], metadata=metadata)


def open_tensors(path: str | os.PathLike[str]) -> TensorFile:
    """Open a safetensors file: read and check its header, and none of its values.

    Raises:
        FormatError: the file cannot be opened or breaks a rule of the format: which one, where, and what was expected.
    """
    try:
        with ExitStack() as stack:
            file = stack.enter_context(Path(path).open("rb"))
            size = os.fstat(file.fileno()).st_size
            prefix = file.read(8)
            length = int.from_bytes(prefix, "little")
            if len(prefix) < 8 or length > min(size - 8, _MAX_HEADER):  # noqa: PLR2004 - the length field
                raise FormatError(
                    f"{path}: the header length at byte 0 is {length:,}; the file has {size:,} bytes and a header "
                    f"at most {_MAX_HEADER:,}. Not a safetensors file, or cut short?"
                )
            header, metadata = _parse_header(f"{path}", file.read(length), size - 8 - length)
            stack.pop_all()
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    return TensorFile(file, header, {name: 8 + length + begin for name, begin in _begins(header)}, metadata)


class TensorFile(Mapping[str, Array]):
    """An open file: a mapping from names to arrays, each read anew when it is asked for.

    Attributes:
        header: name -> `TensorSpec`, in the order of the values in the file.
        metadata: the strings under `__metadata__`.
        offsets: name -> the byte in the file where its values begin.
    """

    def __init__(
        self,
        file: IO[bytes],
        header: Mapping[str, TensorSpec],
        offsets: Mapping[str, int],
        metadata: Mapping[str, str],
    ) -> None:
        self._file = file
        self.header, self.offsets, self.metadata = header, offsets, metadata

    def __getitem__(self, name: str) -> Array:
        spec = self.header[name]
        if self._file.closed:
            raise ValueError(f"{name}: the file is closed")
        array = np.empty(spec.shape, numpy_dtype(spec.dtype))
        found = read_into(array.reshape(-1).view(np.uint8).data, self._file.fileno(), self.offsets[name])
        if found < spec.nbytes:
            raise FormatError(f"{self._file.name}: {name!r} ends after {found:,} of {spec.nbytes:,} bytes: cut short?")
        return array

    def __contains__(self, name: object) -> bool:
        return name in self.header  # a Mapping would read the array

    def __iter__(self) -> Iterator[str]:
        return iter(self.header)

    def __len__(self) -> int:
        return len(self.header)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; arrays stay as they are."""
        self._file.close()


def _header(order: Sequence[TensorSpec], metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    position = 0
    for spec in order:
        if spec.name in entries or spec.name == _METADATA:
            raise OutputError(
                f"'{printable(spec.name)}' cannot be written to safetensors: the name is taken. Extract to .npz instead"
            )
        end = position + spec.nbytes
        entries[spec.name] = {"dtype": CODES[spec.dtype], "shape": list(spec.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _write_arrays(target: int, spec: TensorSpec, arrays: Iterable[Array]) -> str:
    digest, size = hashlib.sha256(), 0
    for array in arrays:
        if array.dtype.name != spec.dtype:
            raise OutputError(f"{spec.name}: {array.dtype} was given, expected {spec.dtype}")
        for piece in _pieces(array):
            digest.update(piece)
            write_all(target, piece)
        size += array.nbytes
    _check_size(spec, size)
    return digest.hexdigest()


def _check_size(spec: TensorSpec, size: int) -> None:
    if size != spec.nbytes:
        raise OutputError(f"{spec.name}: {size:,} bytes were given, expected {spec.nbytes:,} from its shape")


def _pieces(array: Array) -> Iterator[memoryview]:
    """The little-endian C-order bytes of an array, in pieces: one that has them so is not copied."""
    flat = np.ascontiguousarray(array, numpy_dtype(array.dtype.name)).reshape(-1).view(np.uint8)
    for start in range(0, flat.size, PIECE):
        yield flat[start : start + PIECE].data


def _parse_header(path: str, text: bytes, available: int) -> tuple[dict[str, TensorSpec], dict[str, str]]:
    try:
        entries = json.loads(text.decode(), object_pairs_hook=_no_duplicates)
        metadata = entries.pop(_METADATA, {})
        specs = {name: _parse_entry(name, entry) for name, entry in entries.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = printable(str(error), _LONGEST)
        raise FormatError(f"{path}: the header is not what safetensors writes: {reason}") from error
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise FormatError(f"{path}: __metadata__ is not a mapping from strings to strings")
    position = 0
    ordered = sorted(specs.items(), key=lambda item: item[1][1:])
    for name, (spec, begin, end) in ordered:
        if begin != position or end - begin != spec.nbytes:
            raise FormatError(
                f"{path}: '{printable(name)}' has the data_offsets [{begin}, {end}], expected "
                f"[{position}, {position + spec.nbytes}] from the tensors before it and {spec.dtype}{list(spec.shape)}"
            )
        position = end
    if position != available:
        raise FormatError(f"{path}: {available:,} bytes follow the header, the tensors need {position:,}. Cut short?")
    return {name: spec for name, (spec, _, _) in ordered}, metadata


def _parse_entry(name: str, entry: Mapping[str, Any]) -> tuple[TensorSpec, int, int]:
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if len(shape) > _MAX_DIMENSIONS:
        raise ValueError(f"'{printable(name)}' has {len(shape):,} dimensions, expected up to {_MAX_DIMENSIONS}")
    if not all(type(number) is int and 0 <= number < _TOO_LARGE for number in (begin, end, *shape)):
        raise ValueError(f"'{printable(name)}' has a size or an offset that is no natural number below 2**63")
    if entry["dtype"] not in _NAMES:
        raise ValueError(f"'{printable(name)}' has the dtype {entry['dtype']!r}, known are {', '.join(_NAMES)}")
    return TensorSpec(name, _NAMES[entry["dtype"]], shape), begin, end


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key comes twice")
    return dict(pairs)


def _begins(header: Mapping[str, TensorSpec]) -> Iterator[tuple[str, int]]:
    position = 0
    for name, spec in header.items():
        yield name, position
        position += spec.nbytes
