"""Compare a converted directory with its manifest: every file and every tensor."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.errors import FormatError, printable
from bort_convert.files.fetched import on_this_machine
from bort_convert.files.streams import FileRange, sha256_of
from bort_convert.files.system_errors import reading
from bort_convert.model_dir.assemble import WEIGHTS_SUFFIX, file_digest
from bort_convert.model_dir.manifest import FILE_NAME, Manifest, TensorEntry, is_intact
from bort_convert.model_dir.read import ModelDir, parse_manifest, read_manifest_text, read_model_dir
from bort_convert.model_dir.shards import EXTRA
from bort_convert.params import source_file
from bort_convert.safetensors import open_tensors
from bort_convert.verification.reference import fit_as_converted
from bort_convert.verification.static_checks import bits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@dataclass(frozen=True)
class Check:
    """Outcome of `check`; true if there is no problem.

    Attributes:
        files: number of files that were compared.
        tensors: number of tensors that were compared.
        extra: names of those among them that are kept beside the model.
        problems: a line each, beginning with the name of the file or tensor.

    Examples:
        >>> manifest = bort_convert.convert("fixtures/bort_4_8_24_32.params", "out", family="bort", heads=8)
        >>> check = bort_convert.check("out", source="fixtures/bort_4_8_24_32.params")
        >>> check.tensors, check.problems
        (74, ())
    """

    files: int
    tensors: int
    problems: tuple[str, ...]
    extra: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not self.problems


@on_this_machine(target=FILE_NAME, source="")
def check(
    target: str | os.PathLike[str],
    *,
    source: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Check:
    """Compare every file and every tensor of a converted directory with conversion.json.

    Args:
        target: a directory that `convert` wrote, or its URL.
        source: the checkpoint, or its URL; tensors are compared with it too, bit for bit. Needed if the conversion
            computed no digests.
        progress: called from time to time with the bytes read so far and the bytes in all.

    Raises:
        FormatError: there is no such directory, or the source cannot be read.

    Examples:
        >>> manifest = bort_convert.convert("fixtures/bort_4_8_24_32.params", "out", family="bort", heads=8)
        >>> bool(bort_convert.check("out"))
        True
    """
    folder = Path(target)
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises an error for a long name
        raise FormatError(f"{target}: is no directory; expected one that was converted")
    try:
        text = read_manifest_text(folder)
        manifest = parse_manifest(folder, text)
    except FormatError as error:
        return Check(0, 0, (f"{FILE_NAME}: {error}",))
    with reading(target):
        return _compared(folder, manifest, text, source_file(Path(source)) if source is not None else None, progress)


def _compared(
    folder: Path, manifest: Manifest, text: str, source: Path | None, progress: Callable[[int, int], None]
) -> Check:
    problems = [] if is_intact(text) else [f"{FILE_NAME}: is not as it was written"]
    problems += _file_problems(folder, manifest)
    digests, extra = _tensor_digests(folder, progress)
    problems += _tensor_problems(digests, manifest.tensors)
    problems += _tensor_problems(extra, manifest.extra)
    if source is None and any(not tensor.sha256 for tensor in (*manifest.tensors.values(), *manifest.extra.values())):
        problems.append(
            f"{FILE_NAME}: has no digests of tensors (`checksums=False`); compare with the checkpoint, `source=...`"
        )
    if source is not None:
        problems += _source_problems(read_model_dir(folder, manifest_text=text, allow_foreign=True), source)
    return Check(len(manifest.files) + 1, len(digests) + len(extra), tuple(problems), tuple(manifest.extra))


def _file_problems(folder: Path, manifest: Manifest) -> Iterator[str]:
    paths = {path.name: path for path in sorted(folder.iterdir()) if path.name != FILE_NAME}
    yield from (f"{printable(name)}: missing" for name in manifest.files if name not in paths)
    for name, path in paths.items():
        if name not in manifest.files:
            yield f"{printable(name)}: was not there when the directory was written"
        elif not path.is_file() or file_digest(path) != manifest.files[name]:
            part = " in its header" if path.suffix == WEIGHTS_SUFFIX else ""
            yield f"{name}: differs{part} from what was written"


def _tensor_digests(folder: Path, progress: Callable[[int, int], None]) -> tuple[dict[str, str], dict[str, str]]:
    """Hash every tensor of the safetensors files that can be read: the model's, and those that are kept beside it."""
    paths = sorted(path for path in folder.iterdir() if path.suffix == WEIGHTS_SUFFIX and path.is_file())
    done, total = 0, sum(path.stat().st_size for path in paths)
    digests: dict[str, str] = {}
    extra: dict[str, str] = {}
    for path in paths:
        found = extra if path.name == EXTRA else digests
        try:
            with open_tensors(path) as file:
                header, offsets = file.header, file.offsets
        except FormatError:  # `_file_problems` reports a header that differs
            continue
        with path.open("rb") as stream:
            for name, spec in header.items():
                found[name] = sha256_of(FileRange(stream.fileno(), offsets[name], spec.nbytes))
                done += spec.nbytes
                progress(done, total)
    return digests, extra


def _tensor_problems(digests: Mapping[str, str], listed: Mapping[str, TensorEntry]) -> Iterator[str]:
    yield from (f"{printable(name)}: missing" for name in listed if name not in digests)
    yield from (
        f"{printable(name)}: was not there when the weights were written" for name in digests if name not in listed
    )
    for name, tensor in listed.items():
        expected = tensor.sha256
        if expected and digests.get(name, expected) != expected:
            yield f"{printable(name)}: has the sha256 {digests[name]}, expected {expected}"


def _source_problems(directory: ModelDir, source: Path) -> Iterator[str]:
    """Compare the tensors with a checkpoint, which must be the one that was converted."""
    fit = fit_as_converted(source, directory.conversion)
    expected, size = directory.conversion.source.size, source.stat().st_size
    if size != expected:
        yield f"{source.name}: has {size:,} bytes, expected {expected:,}: it is not the file that was converted"
    outcome = bits(directory, source, fit)
    if not outcome.passed:
        yield from outcome.detail.split("\n")
