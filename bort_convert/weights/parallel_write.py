"""From an open `.params` file to safetensors files: bytes are copied on one thread and hashed on others."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from bort_convert.errors import FormatError
from bort_convert.files.atomic import sync
from bort_convert.files.streams import FileRange, flat_arrays, same_bytes, sha256_of
from bort_convert.model_dir.manifest import SourceFile
from bort_convert.safetensors import write_tensors
from bort_convert.weights.statistics import survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from bort_convert.dtypes import Array, TensorSpec
    from bort_convert.files.streams import Payload
    from bort_convert.params import ParamsFile
    from bort_convert.weights.statistics import Values

HASHING: Final = 2
"""Threads that hash, of which the source has one to itself; on two processors more would only be in its way."""


@dataclass(frozen=True)
class Written:
    """What is known once the weights are written.

    Attributes:
        source: the file that they came from.
        digests: SHA-256 of every tensor that was written, by its name; of one that was copied, that of its source.
        unequal: those of the tied pairs that do not hold the same bytes.
    """

    source: SourceFile
    digests: Mapping[str, str]
    unequal: tuple[tuple[str, str], ...] = ()


def values_of(params: ParamsFile, name: str) -> FileRange | Array:
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
        found[name] = survey(flat_arrays(values_of(params, name), str(info.dtype)), info.shape)
    return found


def write_weights(
    files: Mapping[Path, Sequence[TensorSpec]],
    params: ParamsFile,
    payload: Payload,
    *,
    framework: str = "pt",
    tied: Sequence[tuple[str, str]] = (),
    checksums: bool = True,
    progress: Callable[[int, int], None],
) -> Written:
    """Write safetensors files.

    Args:
        files: what to write, by the path of the file, which must not exist.
        params: the source.
        payload: the values of a name, as `write_tensors` takes them.
        framework: "pt" or "np"; older releases of transformers refuse a file that does not say which.
        tied: pairs of names in the source, of one dtype and shape, that should hold the same bytes.
        checksums: whether to hash at all; without, no digest is known.
        progress: told from time to time the bytes written and the bytes to write.
    """
    total, done = sum(spec.nbytes for specs in files.values() for spec in specs), 0
    copied: dict[str, FileRange] = {}

    def located(name: str) -> FileRange | bytes | Iterable[Array]:
        values = payload(name)
        if isinstance(values, FileRange):
            copied[name] = values
        return values

    def advance(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        progress(done, total)

    with ThreadPoolExecutor(1) as disk, ThreadPoolExecutor(HASHING) as pool, _until_the_end() as raise_if_cancelled:
        # The digest of the source is the longest work, and one chain: it begins first, and has a thread to the end.
        source = pool.submit(describe_source, params, watch=raise_if_cancelled) if checksums else None
        synced: list[Future[None]] = []
        digests: dict[str, Future[str]] = {}
        equal: list[Future[bool]] = []
        for path, specs in files.items():
            begins = write_tensors(path, specs, located, metadata={"format": framework}, advance=advance)
            synced.append(disk.submit(sync, path))
            # Before the digests, of which most are short: so all threads have work to the end.
            equal = equal or [pool.submit(_equal, params, *pair, watch=raise_if_cancelled) for pair in tied]
            for spec in specs if checksums else ():
                if part := copied.get(spec.name):
                    digests[spec.name] = pool.submit(sha256_of, part, watch=raise_if_cancelled)
                else:
                    place = path, begins[spec.name], spec.nbytes
                    digests[spec.name] = pool.submit(_digest_in, *place, watch=raise_if_cancelled)
        for file in synced:
            file.result()
        return Written(
            source.result() if source else SourceFile(params.path.name, params.size),
            {name: digest.result() for name, digest in digests.items()},
            tuple(pair for pair, same in zip(tied, equal, strict=True) if not same.result()),
        )


def describe_source(params: ParamsFile, *, watch: Callable[[], None] = lambda: None) -> SourceFile:
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
    return SourceFile(params.path.name, params.size, sha256)


def _digest_in(path: Path, offset: int, size: int, *, watch: Callable[[], None]) -> str:
    with path.open("rb") as file:
        return sha256_of(FileRange(file.fileno(), offset, size), watch=watch)


@contextlib.contextmanager
def _until_the_end() -> Iterator[Callable[[], None]]:
    """Gives what raises CancelledError once the block has ended: threads that call it do not outlive it for long."""
    ended = threading.Event()

    def raise_if_cancelled() -> None:
        if ended.is_set():
            raise CancelledError

    try:
        yield raise_if_cancelled
    finally:
        ended.set()


def _reopened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise FormatError(
            f"{path}: cannot be opened a second time ({error.strerror or error}). Was it moved?"
        ) from error


def _equal(params: ParamsFile, one: str, other: str, *, watch: Callable[[], None]) -> bool:
    """Whether two tensors of one dtype and shape hold the same bytes."""
    first, second = values_of(params, one), values_of(params, other)
    if isinstance(first, FileRange) and isinstance(second, FileRange):
        return same_bytes(first, second, watch=watch)
    return params[one].tobytes() == params[other].tobytes()
