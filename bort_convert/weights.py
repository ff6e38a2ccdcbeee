"""From an open `.params` file to safetensors files: bytes copied on one thread, hashed on others."""

from __future__ import annotations

import os
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from bort_convert.digests import sha256_of
from bort_convert.errors import FormatError
from bort_convert.manifest import Source
from bort_convert.streams import FileRange, flat_arrays, same_bytes
from bort_convert.tensorfile import write_tensors
from bort_convert.values import survey

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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
    info = params.header[name]
    if info.storage == "dense" and info.offset is not None:
        params.check(name)
        return FileRange(params.fileno(), info.offset, info.nbytes)
    return params[name]


def survey_values(params: ParamsFile) -> dict[str, Values]:
    """What the values of every array are like, by name; at most a piece of a dense one is in memory."""
    found = {}
    for name in params:
        info = params.header[name]
        found[name] = survey(flat_arrays(payload_of(params, name), str(info.dtype)), info.shape)
    return found


def write_weights(
    files: Mapping[Path, Sequence[TensorSpec]],
    params: ParamsFile,
    payload: Callable[[str], FileRange | Iterable[Array]],
    *,
    framework: str = "pt",
    tied: Sequence[tuple[str, str]] = (),
    checksums: bool = True,
    hashed: Collection[str] | None = None,
    progress: Callable[[int, int], None],
) -> Written:
    """Write safetensors files.

    Args:
        files: what to write, by the path of the file, which must not exist.
        params: the source.
        payload: the values of a name, as `write_tensors` takes them.
        framework: "pt" or "np"; older releases of transformers refuse a file that does not say which.
        tied: pairs of names in the source, of one dtype and shape, that should hold the same bytes.
        checksums: whether to hash at all; without, every digest is "" or absent.
        hashed: the tensors of the source whose digests are wanted; None for all.
        progress: told from time to time the bytes written and the bytes to write.
    """
    total, done = sum(spec.nbytes for specs in files.values() for spec in specs), 0
    stopped = threading.Event()

    def advance(nbytes: int) -> None:
        nonlocal done
        if stopped.is_set():
            raise CancelledError
        done += nbytes
        progress(done, total)

    def write() -> dict[str, str]:
        made: dict[str, str] = {}
        for path, specs in files.items():
            made |= write_tensors(path, specs, payload, metadata={"format": framework}, advance=advance)
        return made

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)

        def watch() -> None:
            if writing.done():
                writing.result()

        try:
            source, stored = Source(params.path.name, params.size), dict[str, str]()
            if checksums:
                source, stored = describe_source(params, hashed, watch=watch)
            unequal = tuple(pair for pair in tied if not _equal(params, *pair, stored))
            made = writing.result()
        finally:
            stopped.set()
        return Written(source, stored, made if checksums else {}, unequal)


def describe_source(
    params: ParamsFile, hashed: Collection[str] | None = None, *, watch: Callable[[], None] = lambda: None
) -> tuple[Source, dict[str, str]]:
    """The identity of an open file, and the SHA-256 of the dense tensors in it, in one pass over its bytes.

    Args:
        params: the file.
        hashed: the tensors that are wanted; None for all.
        watch: called after each piece; what it raises ends the pass.

    Raises:
        FormatError: the file has become shorter, or is gone.
    """
    parts = {
        name: (info.offset, info.nbytes)
        for name, info in params.header.items()
        if info.storage == "dense" and info.offset is not None and (hashed is None or name in hashed)
    }
    with _reopened(params.path) as file:
        # A descriptor of its own: where reading moves a position, the copying thread has the other one.
        own = file.fileno()
        whole = FileRange(own, 0, params.size)
        if os.path.samestat(os.fstat(own), os.fstat(params.fileno())):
            ranges = {name: FileRange(own, *part) for name, part in parts.items()}
            sha256, digests = sha256_of(whole, ranges, watch=watch)
        else:
            # The checkpoint was unpacked from an archive: its tensors stand in another file than the archive.
            sha256, _ = sha256_of(whole, {}, watch=watch)
            unpacked = FileRange(params.fileno(), 0, os.fstat(params.fileno()).st_size)
            ranges = {name: FileRange(params.fileno(), *part) for name, part in parts.items()}
            _, digests = sha256_of(unpacked, ranges, watch=watch)
    return Source(params.path.name, params.size, sha256), digests


def _reopened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise FormatError(
            f"{path}: cannot be opened a second time ({error.strerror or error}). Was it moved?"
        ) from error


def _equal(params: ParamsFile, one: str, other: str, digests: Mapping[str, str]) -> bool:
    """Whether two tensors of one dtype and shape hold the same bytes, by what costs least."""
    if one in digests and other in digests:
        return digests[one] == digests[other]
    first, second = payload_of(params, one), payload_of(params, other)
    if isinstance(first, FileRange) and isinstance(second, FileRange):
        return same_bytes(first, second)
    return params[one].tobytes() == params[other].tobytes()
