"""Write safetensors files from an open `.params` file: copy on one thread, hash on others."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import FormatError
from bort_convert.files.atomic import sync
from bort_convert.files.streams import FileRange, bit_difference, is_cheap, sha256_of
from bort_convert.files.system_errors import close_input, reading_back
from bort_convert.model_dir.manifest import SourceFile
from bort_convert.safetensors import write_tensors
from bort_convert.weights.background import background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from bort_convert.dtypes import Array
    from bort_convert.files.streams import BitDifference, OpenBytes, Payload
    from bort_convert.params import ParamsFile

HASHING: Final = 2
"""Threads that hash. One of them hashes the source to the end; more would slow it down on two processors."""


@dataclass(frozen=True)
class WrittenWeights:
    """Digests of written weights and of their source.

    Attributes:
        source: the file that the weights were made from; its digest is "" where nothing was hashed.
        digests: SHA-256 of every tensor by its name; a copied tensor has that of its source.
        differences: pairs of names in the source whose tensors should be equal, and are not.
    """

    source: SourceFile
    digests: Mapping[str, str]
    differences: Mapping[tuple[str, str], BitDifference] = field(default_factory=dict)


def values_of(params: ParamsFile, name: str) -> FileRange | Array:
    """Give a tensor as the range of the file that holds its values, or as an array if no range does."""
    info = params.header[name]
    if info.storage == "dense" and info.offset is not None:
        params.check(name)
        return FileRange(params.file, info.offset, info.nbytes)
    return params[name]


def write_weights(
    files: Mapping[Path, Sequence[TensorSpec]],
    params: ParamsFile,
    payload: Payload,
    *,
    framework: str = "pt",
    tied: Sequence[tuple[str, str]] = (),
    checksums: bool = True,
    hash_source: bool = True,
    progress: Callable[[int, int], None],
) -> WrittenWeights:
    """Write safetensors files, hash their tensors and the source, and compare tied tensors of the source.

    Args:
        files: the tensors to write, by the path of their file, which must not exist.
        params: the source.
        payload: gives the values of a tensor by its name, as `write_tensors` takes them.
        framework: "pt" or "np"; older releases of transformers refuse a file without it.
        tied: pairs of names in the source, of one dtype and shape, that should hold the same bytes.
        checksums: hash; without, all digests are "".
        hash_source: hash the source too, where anything is hashed.
        progress: called with the bytes written and the bytes to write.
    """
    total, done = sum(spec.nbytes for specs in files.values() for spec in specs), 0
    copied: dict[str, FileRange] = {}

    def payload_noting_copies(name: str) -> FileRange | bytes | Iterable[Array]:
        values = payload(name)
        if isinstance(values, FileRange) and is_cheap(values.file):
            copied[name] = values
        return values

    def advance(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        progress(done, total)

    with background(1) as disk, background(HASHING) as hashing:
        watch = hashing.raise_if_cancelled
        # The digest of the source is the longest work, and one chain: it begins first, and has a thread to the end.
        source = hashing.submit(describe_source, params, watch=watch) if checksums and hash_source else None
        synced: list[Future[None]] = []
        digests: dict[str, Future[str]] = {}
        differences: dict[tuple[str, str], Future[BitDifference | None]] = {}
        for path, specs in files.items():
            begins = write_tensors(path, specs, payload_noting_copies, metadata={"format": framework}, advance=advance)
            synced.append(disk.submit(sync, path))
            if not differences:  # before the digests, most of which are short: so all threads have work to the end
                differences = {pair: hashing.submit(_difference, params, *pair, watch=watch) for pair in tied}
            for spec in specs if checksums else ():
                if values := copied.get(spec.name):
                    digests[spec.name] = hashing.submit(sha256_of, values, watch=watch)
                else:
                    written = path, begins[spec.name], spec.nbytes
                    digests[spec.name] = hashing.submit(_sha256_within, *written, watch=watch)
        for file in synced:
            file.result()
        return WrittenWeights(
            source.result() if source else named_source(params),
            {name: digest.result() for name, digest in digests.items()},
            {pair: different for pair, future in differences.items() if (different := future.result())},
        )


def named_source(params: ParamsFile) -> SourceFile:
    """Give name and size of an open file; of one elsewhere, what the server tells of its content."""
    return SourceFile(params.path.name, params.size, marks=params.marks)


def describe_source(params: ParamsFile, *, watch: Callable[[], None] = lambda: None) -> SourceFile:
    """Give name, size and SHA-256 of an open file; of one elsewhere the digest only where all bytes are here.

    Args:
        params: the file.
        watch: called after each piece of it; an exception that it raises ends the work.

    Raises:
        FormatError: the file has become shorter, or is gone.
    """
    if not is_cheap(params.source):
        return named_source(params)
    # By its path: the arrays of a checkpoint that was unpacked from an archive are in another open file.
    with _reopened(params) as file:
        sha256 = sha256_of(FileRange(file, 0, params.size), watch=watch)
    return SourceFile(params.path.name, params.size, sha256)


@contextmanager
def _reopened(params: ParamsFile) -> Iterator[OpenBytes]:
    if not isinstance(params.path, Path):
        yield params.source
        return
    try:
        file = params.path.open("rb")
    except OSError as error:
        raise FormatError(
            f"{params.path}: cannot be opened a second time ({error.strerror or error}). Was it moved?"
        ) from error
    try:
        yield file.fileno()
    finally:
        close_input(file)


def _sha256_within(path: Path, offset: int, size: int, *, watch: Callable[[], None]) -> str:
    with reading_back(path), path.open("rb") as file:
        return sha256_of(FileRange(file.fileno(), offset, size), watch=watch)


def _difference(params: ParamsFile, one: str, other: str, *, watch: Callable[[], None]) -> BitDifference | None:
    info = params.header[one]
    spec = TensorSpec(one, str(info.dtype), info.shape)
    return bit_difference(values_of(params, one), values_of(params, other), spec, watch=watch)
