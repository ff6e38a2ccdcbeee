"""From an open `.params` file to safetensors files: bytes copied on one thread, hashed on others."""

from __future__ import annotations

import contextlib
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
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
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

    def advance(nbytes: int) -> None:
        nonlocal done
        go_on()
        done += nbytes
        progress(done, total)

    def write() -> dict[str, str]:
        made: dict[str, str] = {}
        for path, specs in files.items():
            made |= write_tensors(path, specs, payload, metadata={"format": framework}, advance=advance)
        return made

    def watch() -> None:
        go_on()
        if writing.done():
            writing.result()

    # The digest of the source is the longest work: it has a processor from the start, and shares nothing.
    with ThreadPoolExecutor(2) as pool, _until_the_end() as go_on:
        writing = pool.submit(write)
        describing = pool.submit(describe_source, params, watch=watch) if checksums else None
        stored = _digests(params, hashed, watch) if checksums else {}
        unequal = tuple(pair for pair in tied if not _equal(params, *pair))
        source = describing.result() if describing else Source(params.path.name, params.size)
        made = writing.result()
    return Written(source, stored, made if checksums else {}, unequal)


def describe_source(params: ParamsFile, *, watch: Callable[[], None] = lambda: None) -> Source:
    """The identity of an open file.

    Args:
        params: the file.
        watch: called after each piece of it; what it raises ends the work.

    Raises:
        FormatError: the file has become shorter, or is gone.
    """
    # The path and not the descriptor: a checkpoint that was unpacked from an archive stands in another file.
    with _reopened(params.path) as file:
        sha256 = sha256_of(FileRange(file.fileno(), 0, params.size), watch=watch)
    return Source(params.path.name, params.size, sha256)


def _digests(params: ParamsFile, hashed: Collection[str] | None, watch: Callable[[], None]) -> dict[str, str]:
    """The SHA-256 of the tensors that stand in the file as they are, or of those that are wanted."""
    return {
        name: sha256_of(FileRange(params.fileno(), info.offset, info.nbytes), watch=watch)
        for name, info in params.header.items()
        if info.storage == "dense" and info.offset is not None and (hashed is None or name in hashed)
    }


@contextlib.contextmanager
def _until_the_end() -> Iterator[Callable[[], None]]:
    """Gives what raises CancelledError once the block has ended: threads that call it do not outlive it for long."""
    ended = threading.Event()

    def go_on() -> None:
        if ended.is_set():
            raise CancelledError

    try:
        yield go_on
    finally:
        ended.set()


def _reopened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise FormatError(
            f"{path}: cannot be opened a second time ({error.strerror or error}). Was it moved?"
        ) from error


def _equal(params: ParamsFile, one: str, other: str) -> bool:
    """Whether two tensors of one dtype and shape hold the same bytes."""
    first, second = payload_of(params, one), payload_of(params, other)
    if isinstance(first, FileRange) and isinstance(second, FileRange):
        return same_bytes(first, second)
    return params[one].tobytes() == params[other].tobytes()
