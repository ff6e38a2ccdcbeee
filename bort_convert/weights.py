"""From an open `.params` file to a safetensors file: bytes copied on one thread, hashed on others."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bort_convert.digests import sha256_of
from bort_convert.manifest import Source
from bort_convert.streams import FileRange, flat_arrays, same_bytes
from bort_convert.tensorfile import write_tensors
from bort_convert.values import survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from bort_convert.dtypes import Array, TensorSpec
    from bort_convert.params import ParamsFile
    from bort_convert.values import Values


@dataclass(frozen=True)
class Written:
    """What is known once the weights are written.

    Attributes:
        source: the file that they came from.
        stored: SHA-256 of every tensor that stands in the source as it is, by its name there.
        made: SHA-256 of every target that was written from an array and not copied, by its name.
        unequal: those of the tied pairs that do not hold the same bytes.
    """

    source: Source
    stored: Mapping[str, str]
    made: Mapping[str, str]
    unequal: tuple[tuple[str, str], ...] = ()


def payload_of(params: ParamsFile, name: str) -> FileRange | Array:
    """A tensor's bytes where they stand in the file, or its values where they do not stand there as they are."""
    array: Array = params[name]  # Checks what a header cannot show, as an archive's checksum; touches no dense value.
    info = params.header[name]
    if info.storage == "dense" and info.offset is not None:
        return FileRange(params.fileno(), info.offset, info.nbytes)
    return array


def survey_values(params: ParamsFile) -> dict[str, Values]:
    """What the values of every array are like, by name; at most a piece of a dense one is in memory."""
    found = {}
    for name in params:
        info = params.header[name]
        found[name] = survey(flat_arrays(payload_of(params, name), str(info.dtype)), info.shape)
    return found


def write_weights(
    path: Path,
    params: ParamsFile,
    specs: Sequence[TensorSpec],
    payload: Callable[[str], FileRange | Iterable[Array]],
    *,
    framework: str = "pt",
    tied: Sequence[tuple[str, str]] = (),
    checksums: bool = True,
    progress: Callable[[int, int], None],
) -> Written:
    """Write a safetensors file.

    Args:
        path: the file, which must not exist.
        params: the source.
        specs: what to write.
        payload: the values of a name, as `write_tensors` takes them.
        framework: "pt" or "np"; older releases of transformers refuse a file that does not say which.
        tied: pairs of names in the source, of one dtype and shape, that should hold the same bytes.
        checksums: whether to hash at all; without, every digest is "" or absent.
        progress: told from time to time the bytes written and the bytes to write.
    """
    total, done = sum(spec.nbytes for spec in specs), 0

    def advance(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        progress(done, total)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write_tensors, path, specs, payload, metadata={"format": framework}, advance=advance)
        source, stored = describe_source(params) if checksums else (Source(params.path.name, params.size), {})
        unequal = tuple(pair for pair in tied if not _equal(params, *pair, stored))
        made = writing.result()
        return Written(source, stored, made if checksums else {}, unequal)


def describe_source(params: ParamsFile) -> tuple[Source, dict[str, str]]:
    """The identity of an open file, and the SHA-256 of every dense tensor in it, in one pass over its bytes."""
    parts = {
        name: (info.offset, info.nbytes)
        for name, info in params.header.items()
        if info.storage == "dense" and info.offset is not None
    }
    with params.path.open("rb") as file:
        # A descriptor of its own: where reading moves a position, the copying thread has the other one.
        own = file.fileno()
        whole = FileRange(own, 0, params.size)
        if os.path.samestat(os.fstat(own), os.fstat(params.fileno())):
            sha256, digests = sha256_of(whole, {name: FileRange(own, *part) for name, part in parts.items()})
        else:
            # The checkpoint was unpacked from an archive: its tensors stand in another file than the archive.
            sha256, _ = sha256_of(whole, {})
            unpacked = FileRange(params.fileno(), 0, os.fstat(params.fileno()).st_size)
            _, digests = sha256_of(unpacked, {name: FileRange(params.fileno(), *part) for name, part in parts.items()})
    return Source(params.path.name, params.size, sha256), digests


def _equal(params: ParamsFile, one: str, other: str, digests: Mapping[str, str]) -> bool:
    """Whether two tensors of one dtype and shape hold the same bytes, by what costs least."""
    if one in digests and other in digests:
        return digests[one] == digests[other]
    first, second = payload_of(params, one), payload_of(params, other)
    if isinstance(first, FileRange) and isinstance(second, FileRange):
        return same_bytes(first, second)
    return params[one].tobytes() == params[other].tobytes()
