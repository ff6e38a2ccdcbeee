"""Whether a converted directory is as it was written: every file and every tensor, against the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.errors import FormatError, printable
from bort_convert.files.streams import FileRange, sha256_of
from bort_convert.model_dir import assemble
from bort_convert.model_dir.manifest import FILE_NAME, Manifest, is_intact
from bort_convert.model_dir.read import read_manifest, read_model_dir
from bort_convert.safetensors import open_tensors
from bort_convert.verification.reference import fit_as_converted
from bort_convert.verification.static_checks import bits

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Check:
    """What `check` found; true when there is no problem.

    Attributes:
        files: how many files were compared.
        tensors: how many tensors were compared.
        problems: a line each, which begins with the name of the file or tensor.
    """

    files: int
    tensors: int
    problems: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.problems


def check(
    target: str | os.PathLike[str],
    *,
    source: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Check:
    """Compare every file and every tensor of a converted directory with conversion.json.

    Args:
        target: what `convert` wrote.
        source: the checkpoint; the tensors are then also compared with it, bit for bit. Needed where the conversion
            computed no digests.
        progress: told from time to time the bytes read and the bytes to read.

    Raises:
        FormatError: there is no such directory, or the source cannot be read.
    """
    folder = Path(target)
    if not folder.is_dir():
        raise FormatError(f"{target}: is no directory; expected one that was converted")
    try:
        manifest = read_manifest(folder)
        text = (folder / FILE_NAME).read_text(encoding="utf-8")
    except FormatError as error:
        return Check(0, 0, (f"{FILE_NAME}: {error}",))
    problems = [] if is_intact(text) else [f"{FILE_NAME}: is not as it was written"]
    problems += _file_problems(folder, manifest)
    found = _digests(folder, progress)
    problems += _tensor_problems(found, manifest, undigested=source is None)
    if source is not None:
        problems += _source_problems(folder, Path(source), manifest)
    return Check(len(manifest.files) + 1, len(found), tuple(problems))


def _file_problems(folder: Path, manifest: Manifest) -> Iterator[str]:
    standing = {path.name: path for path in sorted(folder.iterdir()) if path.name != FILE_NAME}
    yield from (f"{printable(name)}: missing" for name in manifest.files if name not in standing)
    for name, path in standing.items():
        if name not in manifest.files:
            yield f"{printable(name)}: was not there when the directory was written"
        elif not path.is_file() or assemble.file_digest(path) != manifest.files[name]:
            part = " in its header" if path.suffix == assemble.WEIGHTS else ""
            yield f"{name}: differs{part} from what was written"


def _digests(folder: Path, progress: Callable[[int, int], None]) -> dict[str, str]:
    """The SHA-256 of every tensor that can be found in the directory's weights."""
    paths = sorted(path for path in folder.iterdir() if path.suffix == assemble.WEIGHTS and path.is_file())
    done, total = 0, sum(path.stat().st_size for path in paths)
    digests: dict[str, str] = {}
    for path in paths:
        try:
            with open_tensors(path) as file:
                header, offsets = file.header, file.offsets
        except FormatError:  # Its header differs, which has been said.
            continue
        with path.open("rb") as stream:
            for name, spec in header.items():
                part = FileRange(stream.fileno(), offsets[name], spec.nbytes)
                digests[name] = sha256_of(part)
                done += spec.nbytes
                progress(done, total)
    return digests


def _tensor_problems(found: dict[str, str], manifest: Manifest, *, undigested: bool) -> Iterator[str]:
    listed = manifest.tensors
    yield from (f"{name}: missing" for name in listed if name not in found)
    yield from (
        f"{printable(name)}: was not there when the weights were written" for name in found if name not in listed
    )
    for name, tensor in listed.items():
        wanted = tensor.sha256
        if wanted and found.get(name, wanted) != wanted:
            yield f"{name}: has the sha256 {found[name]}, expected {wanted}"
    if undigested and any(not tensor.sha256 for tensor in listed.values()):
        yield f"{FILE_NAME}: has no digests of tensors (--no-checksums); compare with the checkpoint: --source FILE"


def _source_problems(folder: Path, source: Path, manifest: Manifest) -> Iterator[str]:
    """Whether the tensors are those of a checkpoint, which must be the one that was converted."""
    known = manifest.source
    fit = fit_as_converted(source, manifest)
    if (size := source.stat().st_size) != known.size:
        yield f"{source.name}: has {size:,} bytes, expected {known.size:,}: it is not the file that was converted"
    if not (verdict := bits(read_model_dir(folder), source, fit)).passed:
        yield from verdict.detail.split("\n")
