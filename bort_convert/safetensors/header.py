"""The header of a safetensors file: make it for a list of tensors, and parse it with every rule checked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import FormatError, OutputError, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CODES: Final = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "float16": "F16", "bfloat16": "BF16",
    "int32": "I32", "uint32": "U32", "float32": "F32", "float64": "F64", "int64": "I64", "uint64": "U64",
}  # fmt: skip
_NAMES: Final = {code: name for name, code in CODES.items()}
MAX_HEADER: Final = 4 << 20  # 30,000 tensors; parsed JSON takes some 20 times its bytes
_MAX_DIMENSIONS: Final = 32  # NumPy 1 has no more
_TOO_LARGE: Final = 2**63
_LONGEST: Final = 300  # characters of a file's own text in a message
_METADATA: Final = "__metadata__"


def header_bytes(order: Sequence[TensorSpec], metadata: Mapping[str, str]) -> bytes:
    """Make the length and the JSON for tensors that follow in this order, padded to a multiple of 8 bytes.

    Raises:
        OutputError: a name is reserved by the format or comes twice.
    """
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


def parse_header(path: str, text: bytes, available: int) -> tuple[dict[str, TensorSpec], dict[str, str]]:
    """Parse a header.

    Args:
        path: name of the file in messages.
        text: the JSON.
        available: bytes that follow the JSON in the file.

    Returns:
        The tensors by name, in the order of their values, and the metadata.

    Raises:
        FormatError: the header breaks a rule of the format.
    """
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
